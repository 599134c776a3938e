//! All files of one package: ebuilds, metadata.xml, files/, Manifest, md5-cache, distfiles.
//!
//! The Manifest is full (`thin-manifests = false`), as in the rsync tree: AUX, DIST, EBUILD and
//! MISC lines, sorted, uncompressed because Portage reads no other. Every digest is taken from the
//! bytes that are handed out, never computed twice from a recipe.

use std::collections::BTreeMap;

use crate::portage::manifest_write::{Digests, Tag, entry_line};

use super::dice::Dice;
use super::distfile::archive;
use super::ebuild::sources;
use super::history::{Extra, History};
use super::outline::{Outline, local_flag};
use super::package::Package;
use super::plan::Plan;
use super::recipe::{BASE, Content, Place, SampleFile, changed};
use super::words;

/// Mean size of a file below `files/`.
const EXTRA_MEAN: u32 = 1_500;
/// Mean size of what a maintainer adds to metadata.xml.
const DESCRIPTION_MEAN: u32 = 250;

/// One package, made.
pub(super) struct Packed {
    /// Files of the tree, and distfiles.
    pub(super) files: Vec<SampleFile>,
    /// What the category's Manifest says of the package's.
    pub(super) manifest: Digests,
    /// What the md5-cache's Manifest says of each entry, by its name.
    pub(super) cache: Vec<(String, Digests)>,
}

/// Makes the files of a package that is alive.
pub(super) fn pack(plan: &Plan, package: &Package) -> Packed {
    let seed = plan.recipe.seed;
    let history = History::of(seed, package, plan.recipe.revision);
    let outline = Outline::new(plan, package);
    let atom = plan.atom(package.index);
    let category = plan.category_name(package.category);
    let at = |path: &str, day| changed(seed, path, day);
    let mut files = Vec::with_capacity(history.file_count() + 4);
    let mut listed: Vec<(Tag, String)> = Vec::new();
    let mut cached = Vec::new();

    for release in &history.releases {
        let written = outline.write(plan, package, &history, release);
        let pf = format!("{}-{}", package.name, release.full_version());
        let path = format!("{atom}/{pf}.ebuild");
        listed.push((Tag::Ebuild, format!("{pf}.ebuild")));
        let mtime = at(&path, release.day);
        files.push(SampleFile::tree(path, written.ebuild, mtime));
        let path = format!("metadata/md5-cache/{category}/{pf}");
        let mtime = at(&path, written.cache_day);
        cached.push((pf, SampleFile::tree(path, written.cache, mtime)));
    }
    for extra in &history.extras {
        let name = extra_name(package, extra);
        let path = format!("{atom}/files/{name}");
        let text = extra_text(seed, package, extra);
        listed.push((Tag::Aux, name));
        let mtime = at(&path, extra.day);
        files.push(SampleFile::tree(path, text, mtime));
    }
    let path = format!("{atom}/metadata.xml");
    let text = metadata_xml(seed, package, &outline, history.described);
    let mtime = at(&path, history.described);
    files.push(SampleFile::tree(path, text, mtime));
    listed.push((Tag::Misc, "metadata.xml".to_owned()));
    let sources = distfiles(seed, package, &history);
    listed.extend(sources.iter().map(|source| (Tag::Dist, source.path.clone())));
    files.extend(sources);

    let text = manifest(&listed, &files);
    let digests = Digests::of(text.as_bytes());
    let path = format!("{atom}/Manifest");
    // A version that was removed leaves no other trace of its day.
    let own = files.iter().filter(|file| file.place == Place::Tree);
    let mtime = own.map(|file| file.mtime).fold(at(&path, history.day), i64::max);
    files.push(SampleFile::tree(path, text, mtime));
    let bytes: Vec<&[u8]> = cached.iter().map(|(_, file)| file.bytes()).collect();
    let cache = Digests::of_many(&bytes);
    let (names, entries): (Vec<String>, Vec<SampleFile>) = cached.into_iter().unzip();
    files.extend(entries);
    Packed { files, manifest: digests, cache: names.into_iter().zip(cache).collect() }
}

/// The name below `files/`.
pub(super) fn extra_name(package: &Package, extra: &Extra) -> String {
    let (name, number) = (&package.name, extra.number);
    match (extra.patches, number % 3) {
        (Some(_), 0) => format!("{name}-{number}-build.patch"),
        (Some(_), 1) => format!("{name}-{number}-crash.patch"),
        (Some(_), _) => format!("{name}-{number}-tests.patch"),
        (None, 0) => format!("{name}-{number}.initd"),
        (None, 1) => format!("systemd/{name}-{number}.service"),
        (None, _) => format!("{name}-{number}.conf"),
    }
}

/// A patch adds a file of its own, so that it applies whatever the sources hold.
fn extra_text(seed: u64, package: &Package, extra: &Extra) -> String {
    let number = u64::from(package.index) << 32 | u64::from(extra.number);
    let mut dice = Dice::new(seed, "extra", number);
    let size = dice.size(EXTRA_MEAN);
    let subject = words::phrase(&mut dice, 6);
    let mut body = String::with_capacity(size + 80);
    match extra.patches {
        Some(_) => {
            words::lines(&mut body, &mut dice, "+", size);
            let (count, number) = (body.lines().count(), extra.number);
            format!("{subject}\n\n--- /dev/null\n+++ b/notes/{number}.txt\n@@ -0,0 +1,{count} @@\n{body}")
        }
        None => {
            words::lines(&mut body, &mut dice, "# ", size);
            format!("# {subject}\n{body}")
        }
    }
}

fn metadata_xml(seed: u64, package: &Package, outline: &Outline, day: u32) -> String {
    let number = u64::from(package.index) << 32 | u64::from(day);
    let mut dice = Dice::new(seed, "metadata.xml", number);
    let who = words::word(&mut dice);
    let mut body = String::new();
    if dice.chance(600) {
        body.push_str("\t<longdescription lang=\"en\">\n");
        let size = dice.size(DESCRIPTION_MEAN);
        words::lines(&mut body, &mut dice, "\t\t", size);
        body.push_str("\t</longdescription>\n");
    }
    if let Some((flag, meaning)) = local_flag(seed, package.index)
        && outline.flags.contains(&flag)
    {
        body.push_str(&format!("\t<use>\n\t\t<flag name=\"{flag}\">{meaning}</flag>\n\t</use>\n"));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE pkgmetadata SYSTEM \"https://www.gentoo.org/dtd/metadata.dtd\">\n<pkgmetadata>\n\
         \t<maintainer type=\"project\">\n\t\t<email>{who}@headwater.invalid</email>\n\
         \t\t<name>The {who} project</name>\n\t</maintainer>\n{body}\
         \t<upstream>\n\t\t<remote-id type=\"github\">headwater-sample/{}</remote-id>\n\t</upstream>\n\
         </pkgmetadata>\n",
        package.name
    )
}

/// Each file once, however many releases share it.
fn distfiles(seed: u64, package: &Package, history: &History) -> Vec<SampleFile> {
    let mut tops = BTreeMap::new();
    for source in history.releases.iter().flat_map(|release| sources(package, release)) {
        tops.insert(source.name, source.top);
    }
    let made = tops.into_iter().map(|(name, top)| SampleFile {
        content: Content::File(archive(seed, &name, &top)),
        place: Place::Distfiles,
        path: name,
        mode: 0o644,
        mtime: BASE,
    });
    made.collect()
}

/// `listed` names `files` in their order.
fn manifest(listed: &[(Tag, String)], files: &[SampleFile]) -> String {
    let bytes: Vec<&[u8]> = files.iter().map(SampleFile::bytes).collect();
    let digests = Digests::of_many(&bytes);
    let mut lines: Vec<String> =
        listed.iter().zip(&digests).map(|((tag, name), digests)| entry_line(*tag, name, digests)).collect();
    lines.sort_unstable();
    lines.concat()
}
