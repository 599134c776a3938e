//! One category: its packages, their md5-cache entries and distfiles, and two Manifests.
//!
//! This is nearly all of the work, and categories know nothing of each other, so a caller may make
//! them on as many threads as it likes. What the rest of the tree needs of them is a
//! [`CategoryDigest`].

use crate::portage::manifest_write::{Digests, Tag, entry_line};

use super::contents::pack;
use super::plan::Plan;
use super::recipe::{Place, SampleFile, changed};
use super::seal::{self, Sealed, Shape, directories, seal};

/// A category, made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Its files and directories, in no particular order: those of the tree (`CATEGORY/` and
    /// `metadata/md5-cache/CATEGORY/`) and distfiles.
    pub files: Vec<SampleFile>,
    /// What [`Plan::rest`] needs of it.
    pub digest: CategoryDigest,
}

/// What the rest of the tree says of a category.
#[derive(Clone, Debug)]
pub struct CategoryDigest {
    pub(super) number: usize,
    pub(super) packages: Sealed,
    pub(super) cache: Sealed,
}

impl Plan {
    /// Makes the category with this number, from 0 to [`Plan::categories`] - 1.
    pub fn category(&self, number: usize) -> Made {
        let name = self.category_name(number);
        let seed = self.recipe.seed;
        let mut files = Vec::new();
        let mut manifests = Vec::new();
        let mut cache_lines = Vec::new();
        let mut newest = i64::MIN;
        for package in self.members(number) {
            if package.is_alive(self.recipe.revision) {
                let packed = pack(self, package);
                manifests.push((format!("{name}/{}/Manifest", package.name), packed.manifest));
                cache_lines.extend(packed.cache.iter().map(|(pf, digests)| entry_line(Tag::Data, pf, digests)));
                files.extend(packed.files);
            } else if let Some(gone) = package.gone.filter(|gone| *gone <= self.recipe.revision) {
                newest = newest.max(changed(seed, &package.name, gone));
            }
        }
        let own = files.iter().filter(|file| file.place == Place::Tree);
        newest = own.map(|file| file.mtime).fold(newest, i64::max);
        let below: Vec<Sealed> =
            manifests.into_iter().map(|(path, digests)| Sealed { path, digests, mtime: newest }).collect();
        let path = format!("{name}/metadata.xml");
        let mtime = changed(seed, &path, 0);
        let mut own = vec![SampleFile::tree(path, metadata_xml(name), mtime)];
        let packages = seal(name, &mut own, &below, &[], Shape::Packed, newest);
        files.append(&mut own);

        let packed = seal::pack(cache_lines);
        let cache_dir = format!("metadata/md5-cache/{name}");
        let path = format!("{cache_dir}/Manifest.gz");
        let cache = Sealed { path: path.clone(), digests: Digests::of(&packed), mtime: newest };
        files.push(SampleFile::tree(path, packed, newest));
        let folders = directories(&files, &[name, &cache_dir]);
        files.extend(folders);
        Made { files, digest: CategoryDigest { number, packages, cache } }
    }
}

fn metadata_xml(name: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE catmetadata SYSTEM \"https://www.gentoo.org/dtd/metadata.dtd\">\n<catmetadata>\n\
         \t<longdescription lang=\"en\">\n\t\tThe {name} category holds made-up packages.\n\
         \t</longdescription>\n</catmetadata>\n"
    )
}
