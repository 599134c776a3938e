//! An ebuild and its md5-cache entry, made together so that they agree.
//!
//! The values are drawn once and written twice: into the ebuild as a maintainer would write
//! them, and into the cache entry as Portage arrives at them when it sources that text: variables
//! expanded, blanks collapsed, what eclasses add appended. Every ebuild is EAPI 8 and works with
//! the default phases; functions that are there say `default` and are otherwise padding.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::dice::Dice;
use super::eclass;
use super::history::{History, Release};
use super::outline::Outline;
use super::package::{Package, Role};
use super::plan::Plan;
use super::words;

/// Mean size of what functions add to an ebuild.
const PADDING: u32 = 820;

/// One source file of a release.
pub(super) struct Source {
    /// The item in SRC_URI, with variables.
    uri: String,
    /// Its file name.
    pub(super) name: String,
    /// The directory it unpacks to.
    pub(super) top: String,
}

/// An ebuild's text, its cache entry's text, and when the latter changed.
pub(super) struct Written {
    pub(super) ebuild: String,
    pub(super) cache: String,
    /// The last day on which the ebuild or one of its eclasses changed.
    pub(super) cache_day: u32,
}

impl Outline {
    /// The ebuild of one release, and its cache entry.
    pub(super) fn write(&self, plan: &Plan, package: &Package, history: &History, release: &Release) -> Written {
        let number = u64::from(package.index) << 32 | u64::from(release.ordinal);
        let mut dice = Dice::new(plan.recipe.seed, "ebuild", number);
        let sources = sources(package, release);
        let fields = self.fields(package, release, &sources);
        let mut text = String::with_capacity(2048);
        text.push_str(
            "# Copyright 2026 headwater sample\n\
             # Distributed under the terms of the GNU General Public License v2\n\nEAPI=8\n\n",
        );
        let names: Vec<&str> = self.eclasses.iter().map(|&n| plan.eclasses.get(n).name.as_str()).collect();
        if !names.is_empty() {
            push(&mut text, format_args!("inherit {}\n\n", names.join(" ")));
        }
        put_fields(&mut text, &fields, sources.is_empty());
        put_patches(&mut text, package, history, release);
        let phases = put_functions(&mut text, &mut dice, package, release, &self.flags);
        for edit in 1..=release.edits {
            push(&mut text, format_args!("\n# {edit}: {}\n", words::phrase(&mut dice, 8)));
        }
        let inherited = plan.eclasses.closure(&self.eclasses);
        let cache_day = inherited.values().map(|eclass| eclass.day).fold(release.day, u32::max);
        let sums: Vec<String> = inherited.values().map(|eclass| format!("{}\t{}", eclass.name, eclass.md5)).collect();
        let cache = self.cache(package, release, fields, phases, &names, &sums, &text);
        Written { ebuild: text, cache, cache_day }
    }

    /// The variables as the ebuild sets them.
    fn fields(&self, package: &Package, release: &Release, sources: &[Source]) -> BTreeMap<&'static str, String> {
        let keywords = match (release.is_live(), release.stable) {
            (true, _) => String::new(),
            (_, true) => self.stable.clone(),
            (_, false) => self.testing.clone(),
        };
        let mut restrict = match package.role {
            Role::NoMirror => "mirror".to_owned(),
            Role::Fetch => "fetch".to_owned(),
            _ => String::new(),
        };
        if self.flags.iter().any(|flag| flag == "test") {
            restrict = format!("{restrict} !test? ( test )").trim().to_owned();
        }
        let uris: Vec<&str> = sources.iter().map(|source| source.uri.as_str()).collect();
        let depend = if self.depends.is_empty() { "" } else { "${RDEPEND}" };
        let fields = [
            ("DESCRIPTION", self.description.clone()),
            ("HOMEPAGE", "https://www.headwater.invalid/${PN}/".to_owned()),
            ("SRC_URI", uris.join("\n\t")),
            ("LICENSE", self.licence.clone()),
            ("SLOT", self.slot.to_owned()),
            ("KEYWORDS", keywords),
            ("IUSE", self.flags.join(" ")),
            ("RESTRICT", restrict),
            ("PROPERTIES", if release.is_live() { "live" } else { "" }.to_owned()),
            ("RDEPEND", self.depends.join("\n\t")),
            ("DEPEND", depend.to_owned()),
            ("BDEPEND", self.builds.join("\n\t")),
            ("PDEPEND", self.later.join("\n\t")),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The lines that Portage would write after sourcing the ebuild (PMS 14.3).
    #[expect(clippy::too_many_arguments, reason = "each is another part of the entry")]
    fn cache(
        &self,
        package: &Package,
        release: &Release,
        mut fields: BTreeMap<&'static str, String>,
        phases: BTreeSet<&'static str>,
        inherits: &[&str],
        sums: &[String],
        ebuild: &str,
    ) -> String {
        if package.language {
            for (key, more) in [("IUSE", eclass::IUSE), ("REQUIRED_USE", eclass::REQUIRED_USE)] {
                let value = fields.entry(key).or_default();
                value.push(' ');
                value.push_str(more);
            }
        }
        if fields.contains_key("DEPEND") {
            fields.insert("DEPEND", self.depends.join(" "));
        }
        let phases: Vec<&str> = phases.into_iter().collect();
        fields.insert("DEFINED_PHASES", if phases.is_empty() { "-".to_owned() } else { phases.join(" ") });
        fields.insert("EAPI", "8".to_owned());
        fields.insert("INHERIT", inherits.join(" "));
        let mut out = String::with_capacity(2048);
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            let value = expand(value, &package.name, &release.version);
            push(&mut out, format_args!("{key}="));
            for (n, word) in value.split_ascii_whitespace().enumerate() {
                if n > 0 {
                    out.push(' ');
                }
                out.push_str(word);
            }
            out.push('\n');
        }
        if !sums.is_empty() {
            push(&mut out, format_args!("_eclasses_={}\n", sums.join("\t")));
        }
        push(&mut out, format_args!("_md5_={}\n", eclass::md5_hex(ebuild.as_bytes())));
        out
    }
}

/// The source files of one release; file names are what SRC_URI makes of them.
pub(super) fn sources(package: &Package, release: &Release) -> Vec<Source> {
    let pn = &package.name;
    let p = format!("{pn}-{}", release.version);
    let source = |uri: &str, name: String, top: String| Source { uri: uri.to_owned(), name, top };
    let own = |uri: &str| source(uri, format!("{p}.tar.gz"), p.clone());
    let plain = || own("https://dist.headwater.invalid/${PN}/${P}.tar.gz");
    if release.is_live() {
        return Vec::new();
    }
    match package.role {
        Role::Meta => Vec::new(),
        Role::Plain | Role::NoMirror => vec![plain()],
        Role::Mirror => vec![own("mirror://headwater/${PN}/${P}.tar.gz")],
        Role::Renamed => vec![source(
            "https://code.headwater.invalid/${PN}/archive/v${PV}.tar.gz -> ${P}.gh.tar.gz",
            format!("{p}.gh.tar.gz"),
            p.clone(),
        )],
        Role::Fetch => vec![source("${P}-licensed.tar.gz", format!("{p}-licensed.tar.gz"), p.clone())],
        Role::Patchset => {
            let uri = "https://dist.headwater.invalid/${PN}/${PN}-patchset-1.tar.gz";
            vec![plain(), source(uri, format!("{pn}-patchset-1.tar.gz"), format!("{pn}-patchset"))]
        }
        Role::Optional => {
            let uri = "doc? ( https://dist.headwater.invalid/${PN}/${P}-doc.tar.gz )";
            vec![plain(), source(uri, format!("{p}-doc.tar.gz"), format!("{p}/doc"))]
        }
        Role::Vendored => {
            let mut sources = vec![plain()];
            for n in 0..3 + package.index % 18 {
                let uri = format!("mirror://headwater/${{PN}}/${{PN}}-vendor-{n}.tar.gz");
                sources.push(source(&uri, format!("{pn}-vendor-{n}.tar.gz"), format!("{pn}-vendor-{n}")));
            }
            sources
        }
    }
}

fn put_fields(text: &mut String, fields: &BTreeMap<&'static str, String>, sourceless: bool) {
    const GROUPS: [&[&str]; 3] = [
        &["DESCRIPTION", "HOMEPAGE", "SRC_URI"],
        &["LICENSE", "SLOT", "KEYWORDS", "IUSE", "RESTRICT", "PROPERTIES"],
        &["RDEPEND", "DEPEND", "BDEPEND", "PDEPEND"],
    ];
    for group in GROUPS {
        for key in group {
            match fields.get(key) {
                Some(value) if key.ends_with("DEPEND") && !value.starts_with('$') => {
                    push(text, format_args!("{key}=\"\n\t{value}\n\"\n"));
                }
                Some(value) => push(text, format_args!("{key}=\"{value}\"\n")),
                None => {}
            }
        }
        if group[0] == "DESCRIPTION" && sourceless {
            text.push_str("S=\"${WORKDIR}\"\n");
        }
        text.push('\n');
    }
    // The last group may be empty.
    while text.ends_with("\n\n") {
        text.pop();
    }
}

fn put_patches(text: &mut String, package: &Package, history: &History, release: &Release) {
    let mut names = Vec::new();
    for extra in history.extras.iter().filter(|extra| extra.patches == Some(release.ordinal)) {
        names.push(super::contents::extra_name(package, extra));
    }
    if names.is_empty() {
        return;
    }
    text.push_str("\nPATCHES=(\n");
    for name in names {
        push(text, format_args!("\t\"${{FILESDIR}}\"/{name}\n"));
    }
    text.push_str(")\n");
}

fn put_functions(
    text: &mut String,
    dice: &mut Dice,
    package: &Package,
    release: &Release,
    flags: &[String],
) -> BTreeSet<&'static str> {
    const CHOICES: [(&str, &str); 4] = [
        ("src_prepare", "prepare"),
        ("src_configure", "configure"),
        ("src_install", "install"),
        ("pkg_postinst", "postinst"),
    ];
    let mut phases = BTreeSet::new();
    if package.role == Role::Fetch && !release.is_live() {
        text.push_str("\npkg_nofetch() {\n\teinfo \"Please get ${A} by hand.\"\n}\n");
        phases.insert("nofetch");
    }
    let padding = dice.size(PADDING);
    let end = text.len() + padding;
    for (n, (function, phase)) in CHOICES.into_iter().enumerate() {
        if text.len() >= end || !dice.chance(600) {
            continue;
        }
        push(text, format_args!("\n{function}() {{\n"));
        match (function, flags) {
            ("src_configure", [flag, ..]) => {
                push(text, format_args!("\tlocal options=(\n\t\t$(use_enable {flag})\n"));
                for _ in 0..dice.below(6) {
                    push(text, format_args!("\t\t--with-{}={}\n", words::word(dice), words::word(dice)));
                }
                text.push_str("\t)\n\teinfo \"Would use ${options[*]}\"\n");
            }
            ("src_prepare" | "src_install", _) => text.push_str("\tdefault\n"),
            ("pkg_postinst", _) => push(text, format_args!("\telog \"{}.\"\n", words::phrase(dice, 9))),
            _ => text.push_str("\t:\n"),
        }
        let left = end.saturating_sub(text.len());
        let share = if n == 3 { left } else { left / 2 };
        words::lines(text, dice, "\t# ", share);
        text.push_str("}\n");
        phases.insert(phase);
    }
    phases
}

/// What bash makes of the variables that ebuilds of the sample use.
fn expand(value: &str, pn: &str, pv: &str) -> String {
    if !value.contains('$') {
        return value.to_owned();
    }
    value
        .replace("${PN}", pn)
        .replace("${PV}", pv)
        .replace("${P}", &format!("{pn}-{pv}"))
        .replace("${ESTUARY_USEDEP}", eclass::USEDEP)
}

/// Writing to a String cannot fail.
fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}
