//! What a sample consists of: decided once, then made piece by piece, in any order, by anyone.
//!
//! How many there are of each kind grows with the number of packages in the proportions of the
//! ::gentoo tree of 2020-07-01 (18,889 packages, 126,342 files). A sample of N files has the most
//! packages that fit, and a few more GLSAs than usual to make it exactly N.

use super::category::CategoryDigest;
use super::eclass::Eclasses;
use super::history::History;
use super::package::Package;
use super::recipe::{FEWEST_PACKAGES, MOST_PACKAGES, MOST_REVISIONS, Recipe, RecipeError, SampleFile, Size};
use super::{profiles, rest, words};

/// A sample that is ready to be made.
pub struct Plan {
    pub(super) recipe: Recipe,
    pub(super) scale: Scale,
    pub(super) eclasses: Eclasses,
    /// Names of the licences; the first is a EULA.
    pub(super) licences: Vec<String>,
    names: Vec<&'static str>,
    /// By index: those that are alive, those that are gone.
    packages: Vec<Package>,
    /// The packages of each category, by index.
    members: Vec<Vec<usize>>,
}

/// How many there are of each kind at revision 0.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Scale {
    pub(super) packages: u32,
    pub(super) categories: usize,
    pub(super) eclasses: usize,
    pub(super) licences: usize,
    pub(super) features: u32,
    pub(super) glsas: u32,
    pub(super) news: u32,
}

impl Scale {
    fn of(packages: u32) -> Self {
        Self {
            packages,
            categories: ((packages / 8) as usize).clamp(5, category_names().count()),
            eclasses: (40 + packages as usize / 118).min(200),
            licences: 20 + packages as usize / 15,
            features: 4 + packages / 60,
            glsas: 3 + packages / 32 * 5,
            news: 3 + packages / 180,
        }
    }

    /// Files of the tree at revision 0 that do not belong to a package.
    fn file_count(&self) -> usize {
        let features = profiles::FEATURE_FILES * self.features as usize;
        let lists = self.eclasses + self.licences + self.glsas as usize + self.news as usize;
        3 * self.categories + features + lists + profiles::FIXED_FILES + rest::FIXED_FILES
    }
}

impl Plan {
    /// Decides what the sample consists of.
    ///
    /// # Errors
    /// When the recipe is out of bounds.
    pub fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        let recipe = *recipe;
        if recipe.revision > MOST_REVISIONS {
            return Err(RecipeError::Revision { asked: recipe.revision });
        }
        let scale = match recipe.size {
            Size::Packages(asked) if (FEWEST_PACKAGES..=MOST_PACKAGES).contains(&asked) => Scale::of(asked),
            Size::Packages(asked) => return Err(RecipeError::Packages { asked }),
            Size::Files(asked) => fitting(recipe.seed, asked)?,
        };
        let count = scale.packages + added(scale.packages, recipe.revision);
        let mut members = vec![Vec::new(); scale.categories];
        let mut packages = Vec::with_capacity(count as usize);
        let mut born = 0;
        for index in 0..count {
            while index >= scale.packages + added(scale.packages, born) {
                born += 1;
            }
            let package = Package::new(recipe.seed, index, scale.categories, born);
            members[package.category].push(packages.len());
            packages.push(package);
        }
        Ok(Self {
            recipe,
            scale,
            eclasses: Eclasses::new(recipe.seed, scale.eclasses, recipe.revision),
            licences: licences(recipe.seed, scale.licences),
            names: category_names().take(scale.categories).collect(),
            packages,
            members,
        })
    }

    /// How many categories there are to be made.
    pub fn categories(&self) -> usize {
        self.members.len()
    }

    /// Makes everything, one after the other: categories first, then the rest. A directory comes
    /// after the files in it; there is no other order.
    ///
    /// # Errors
    /// Whatever `take` returns ends it.
    pub fn make<E>(&self, take: &mut dyn FnMut(SampleFile) -> Result<(), E>) -> Result<(), E> {
        let mut digests: Vec<CategoryDigest> = Vec::with_capacity(self.categories());
        for number in 0..self.categories() {
            let made = self.category(number);
            digests.push(made.digest);
            made.files.into_iter().try_for_each(&mut *take)?;
        }
        self.rest(&digests).into_iter().try_for_each(take)
    }

    pub(super) fn category_name(&self, number: usize) -> &'static str {
        self.names[number]
    }

    /// All packages that ever were in a category, up to this revision.
    pub(super) fn members(&self, category: usize) -> impl Iterator<Item = &Package> {
        self.members[category].iter().map(|&index| &self.packages[index])
    }

    /// All packages, alive or gone, by index.
    pub(super) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// `category/name` of the package with this index.
    pub(super) fn atom(&self, index: u32) -> String {
        let package = &self.packages[index as usize];
        format!("{}/{}", self.names[package.category], package.name)
    }
}

/// How many packages were added up to this day.
fn added(packages: u32, day: u32) -> u32 {
    let added = u64::from(packages) * u64::from(day) / 5_000;
    u32::try_from(added).unwrap_or(u32::MAX)
}

/// The scale of a sample with exactly so many files at revision 0.
fn fitting(seed: u64, asked: u32) -> Result<Scale, RecipeError> {
    let mut packed = 0;
    let mut fewest = None;
    let mut best: Option<(Scale, usize)> = None;
    for packages in 1..=MOST_PACKAGES {
        // The category of a package does not matter to the number of its files.
        let package = Package::new(seed, packages - 1, 1, 0);
        packed += History::of(seed, &package, 0).file_count();
        if packages < FEWEST_PACKAGES {
            continue;
        }
        let scale = Scale::of(packages);
        let files = packed + scale.file_count();
        fewest.get_or_insert(files);
        if files > asked as usize {
            break;
        }
        best = Some((scale, files));
    }
    let u32_of = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let most = MOST_PACKAGES * 6;
    match best {
        Some((scale, files)) if asked <= most => Ok(Scale { glsas: scale.glsas + asked - u32_of(files), ..scale }),
        _ => Err(RecipeError::Files { asked, fewest: u32_of(fewest.unwrap_or(0)), most }),
    }
}

fn licences(seed: u64, count: usize) -> Vec<String> {
    const USUAL: [&str; 18] = [
        "headwater-EULA",
        "GPL-2",
        "GPL-2+",
        "MIT",
        "BSD",
        "Apache-2.0",
        "GPL-3",
        "GPL-3+",
        "LGPL-2.1",
        "LGPL-2.1+",
        "BSD-2",
        "ISC",
        "ZLIB",
        "MPL-2.0",
        "LGPL-3",
        "AGPL-3",
        "CC-BY-4.0",
        "public-domain",
    ];
    let more = (0..).map(|n| format!("headwater-{}", words::name(seed ^ 2, n)));
    USUAL.iter().map(|&name| name.to_owned()).chain(more).take(count).collect()
}

/// The large ones first; `app-misc` must be the third. Blanks between them.
const CATEGORIES: &str = "\
    dev-libs dev-python app-misc sys-apps net-misc dev-perl dev-ruby dev-haskell dev-util dev-java dev-lang \
    dev-ml virtual dev-php dev-db dev-go dev-vcs dev-qt dev-tcltk dev-cpp dev-embedded dev-games dev-lisp \
    dev-lua dev-build dev-debug dev-dotnet x11-misc x11-libs x11-themes x11-plugins x11-apps x11-wm \
    x11-drivers x11-terms x11-base media-libs media-sound media-video media-plugins media-gfx media-fonts \
    media-radio media-tv net-analyzer net-libs net-im net-mail net-wireless net-p2p net-dns net-firewall \
    net-proxy net-irc net-ftp net-fs net-dialup net-print net-voip net-nds net-nntp net-vpn app-text \
    app-admin app-arch app-emulation app-crypt app-editors app-dicts app-shells app-emacs app-portage \
    app-backup app-accessibility app-antivirus app-cdr app-benchmarks app-containers app-doc app-eselect \
    app-forensics app-i18n app-laptop app-metrics app-mobilephone app-office app-officeext app-pda app-vim \
    app-xemacs sys-kernel sys-libs sys-devel sys-fs sys-auth sys-block sys-boot sys-cluster sys-fabric \
    sys-firmware sys-power sys-process games-action games-arcade games-board games-emulation games-engines \
    games-fps games-kids games-misc games-mud games-puzzle games-roguelike games-rpg games-server \
    games-simulation games-sports games-strategy games-util sci-astronomy sci-biology sci-calculators \
    sci-chemistry sci-electronics sci-geosciences sci-libs sci-mathematics sci-misc sci-ml sci-physics \
    sci-visualization www-apps www-apache www-client www-misc www-plugins www-servers gui-apps gui-libs \
    gui-wm gui-liri gnome-base gnome-extra kde-apps kde-frameworks kde-misc kde-plasma xfce-base xfce-extra \
    lxqt-base lxqt-extra mate-base mate-extra perl-core perl-gcpan acct-group acct-user";

fn category_names() -> impl Iterator<Item = &'static str> {
    CATEGORIES.split_ascii_whitespace()
}
