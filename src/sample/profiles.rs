//! The `profiles` directory of the sample: enough for a real Portage, and the lists that tools read.
//!
//! `default/linux/amd64` is the profile to point make.profile at. The masks and the local USE flags
//! follow the packages that are alive, so they change when packages come and go; all else stays.
//! The feature profiles only give the tree its size: nothing inherits them.

use super::dice::Dice;
use super::outline::{ARCHES, FLAGS, local_flag};
use super::plan::Plan;
use super::recipe::{SampleFile, changed};
use super::words;

/// Files of each feature profile.
pub(super) const FEATURE_FILES: usize = 3;
/// Files that are always there, without the Manifest.
pub(super) const FIXED_FILES: usize = TEXTS.len() + 9;

const EAPI: &str = "8\n";

/// Files whose text never changes.
const TEXTS: [(&str, &str); 17] = [
    ("repo_name", "gentoo\n"),
    ("eapi", EAPI),
    ("profiles.desc", "# arch\tprofile\tstatus\namd64\tdefault/linux/amd64\tstable\narm64\tdefault/linux/arm64\tdev\n"),
    ("info_pkgs", "app-misc/hello-headwater\n"),
    ("info_vars", "ACCEPT_KEYWORDS\nDISTDIR\nGENTOO_MIRRORS\n"),
    (
        "thirdpartymirrors",
        "headwater\thttps://one.headwater.invalid/mirror https://two.headwater.invalid/mirror\n\
         gentoo\thttps://distfiles.headwater.invalid/distfiles\n",
    ),
    (
        "desc/estuary_targets.desc",
        "v3_11 - Build for version 3.11\nv3_12 - Build for version 3.12\nv3_13 - Build for version 3.13\nv3_14 - Build for version 3.14\n",
    ),
    ("updates/1Q-2026", "move app-misc/hello-downriver app-misc/hello-headwater\n"),
    ("base/eapi", EAPI),
    (
        "base/make.defaults",
        "ARCH=\"\"\nUSE=\"\"\nUSE_ORDER=\"env:pkg:conf:defaults:pkginternal:features:repo:env.d\"\n\
         ACCEPT_LICENSE=\"* -@EULA\"\nCBUILD=\"${CHOST}\"\nIUSE_IMPLICIT=\"prefix prefix-guest\"\n\
         ENV_UNSET=\"GREP_OPTIONS\"\nUSE_EXPAND=\"ESTUARY_TARGETS\"\nUSE_EXPAND_IMPLICIT=\"ARCH\"\n\
         USE_EXPAND_UNPREFIXED=\"ARCH\"\n\
         USE_EXPAND_VALUES_ARCH=\"amd64 arm arm64 hppa loong mips ppc64 riscv sparc x86\"\n\
         PROFILE_ONLY_VARIABLES=\"ARCH IUSE_IMPLICIT USE_EXPAND_IMPLICIT USE_EXPAND_UNPREFIXED USE_EXPAND_VALUES_ARCH\"\n",
    ),
    ("default/linux/eapi", EAPI),
    ("default/linux/parent", "../../base\n"),
    ("default/linux/amd64/eapi", EAPI),
    ("default/linux/amd64/parent", "..\n"),
    (
        "default/linux/amd64/make.defaults",
        "ARCH=\"amd64\"\nACCEPT_KEYWORDS=\"${ARCH}\"\nCHOST=\"x86_64-pc-linux-gnu\"\nCFLAGS=\"-O2 -pipe\"\n\
         CXXFLAGS=\"${CFLAGS}\"\nFEATURES=\"\"\n",
    ),
    ("default/linux/amd64/use.mask", "-amd64\n"),
    ("default/linux/amd64/packages", "*app-misc/hello-headwater\n"),
];

/// The files of `profiles/`, without its Manifest.
pub(super) fn profiles(plan: &Plan) -> Vec<SampleFile> {
    let seed = plan.recipe.seed;
    let mut files = Vec::new();
    let mut put = |name: &str, text: String, day: u32| {
        let path = format!("profiles/{name}");
        let mtime = changed(seed, &path, day);
        files.push(SampleFile::tree(path, text, mtime));
    };
    for (name, text) in TEXTS {
        put(name, text.to_owned(), 0);
    }
    let arch_path = "default/linux/arm64";
    put(&format!("{arch_path}/eapi"), EAPI.to_owned(), 0);
    put(&format!("{arch_path}/parent"), "..\n".to_owned(), 0);
    let text = "ARCH=\"arm64\"\nACCEPT_KEYWORDS=\"${ARCH}\"\nCHOST=\"aarch64-unknown-linux-gnu\"\n";
    put(&format!("{arch_path}/make.defaults"), text.to_owned(), 0);
    put("arch.list", lines_of(ARCHES.into_iter().map(str::to_owned)), 0);
    put("categories", lines_of((0..plan.categories()).map(|n| plan.category_name(n).to_owned())), 0);
    put("use.desc", lines_of(FLAGS.iter().map(|flag| format!("{flag} - Whatever {flag} means"))), 0);
    put("license_groups", license_groups(plan), 0);
    let day = last_change(plan);
    put("package.mask", package_mask(plan), day);
    put("use.local.desc", use_local_desc(plan), day);
    for n in 0..plan.scale.features {
        let mut dice = Dice::new(seed, "feature", u64::from(n));
        let path = format!("features/{}", words::name(seed ^ 3, n));
        put(&format!("{path}/eapi"), EAPI.to_owned(), 0);
        let mut text = format!("USE=\"{}\"\n", dice.pick(&FLAGS));
        words::lines(&mut text, &mut dice, "# ", 300);
        put(&format!("{path}/make.defaults"), text, 0);
        let masked = (0..dice.below(40)).map(|_| format!("-{}", dice.pick(&FLAGS))).collect::<Vec<_>>();
        put(&format!("{path}/use.mask"), lines_of(masked.into_iter()), 0);
    }
    files
}

fn lines_of(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

fn license_groups(plan: &Plan) -> String {
    let free = plan.licences.get(1..).unwrap_or_default().join(" ");
    format!("GPL-COMPATIBLE GPL-2 GPL-2+ MIT BSD\nFREE @GPL-COMPATIBLE {free}\nEULA headwater-EULA\n")
}

/// The last day on which a package came or went.
fn last_change(plan: &Plan) -> u32 {
    let today = plan.recipe.revision;
    let days = plan.packages().iter().flat_map(|package| [Some(package.born), package.gone]);
    days.flatten().filter(|day| *day <= today).max().unwrap_or(0)
}

fn package_mask(plan: &Plan) -> String {
    let mut text = String::from("# Uses GLEP 84 format\n");
    for package in plan.packages() {
        if package.masked && package.is_alive(plan.recipe.revision) {
            let mut dice = Dice::new(plan.recipe.seed, "mask", u64::from(package.index));
            let (reason, atom) = (words::phrase(&mut dice, 8), plan.atom(package.index));
            text.push_str(&format!("\n# Sample <sample@headwater.invalid> (2025-12-01)\n# {reason}.\n{atom}\n"));
        }
    }
    text
}

fn use_local_desc(plan: &Plan) -> String {
    let alive = plan.packages().iter().filter(|package| package.is_alive(plan.recipe.revision));
    let mut lines: Vec<String> = alive
        .filter_map(|package| {
            let (flag, meaning) = local_flag(plan.recipe.seed, package.index)?;
            Some(format!("{}:{flag} - {meaning}\n", plan.atom(package.index)))
        })
        .collect();
    lines.sort_unstable();
    lines.concat()
}
