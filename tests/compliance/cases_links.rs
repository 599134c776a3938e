//! Symlinks that are followed: `-L`, `-k` and `--copy-unsafe-links`.
//!
//! All lead to places in the module, and none in a circle: what an absolute target means on a server of files has no meaning
//! for a snapshot.

use super::case::Before::{CopyOf, Empty};
use super::case::{Case, list, pull};

pub(crate) const LINKS: &[Case] = &[
    pull("symlinks as what they point to", "-aiL", "odd/follow/"),
    pull("symlinks as what they point to, nothing to do", "-aiL", "odd/follow/").over(CopyOf("odd/follow")),
    pull("symlinks as what they point to, by name", "-aiL", "odd/follow/to-file odd/follow/to-dir odd/follow/chain"),
    pull("symlinks as what they point to, by a slash", "-aiL", "odd/follow/to-dir/"),
    pull("symlinks as what they point to, without -l", "-rtiL", "odd/follow/"),
    pull("symlinks as what they point to, without -r", "-tiL", "odd/follow/to-file odd/follow/to-dir"),
    pull("symlinks as what they point to, as entries", "-diL", "odd/follow/"),
    pull("symlinks as what they point to, with whole paths", "-aRiL", "odd/follow/to-dir/inside odd/follow/dir/up"),
    pull("symlinks as what they point to, and hard links", "-aHiL", "odd/follow/ odd/hard"),
    pull("symlinks as what they point to, with a filter", "-aiL --exclude=inside --exclude=/chain*", "odd/follow/"),
    pull("symlinks as what they point to, a filter for directories", "-aiL --exclude=to-dir/", "odd/follow/"),
    pull("symlinks as what they point to, deleting", "-aiL --delete", "odd/follow/").over(CopyOf("odd/plain")),
    pull("symlinks as what they point to, with a wildcard", "-aiL", "odd/follow/to-*"),
    pull("symlinks as what they point to, with protocol 30", "-aiL --protocol=30", "odd/follow/"),
    pull("symlinks as what they point to, by checksum", "-aicL", "odd/follow/").over(CopyOf("odd/follow")),
    pull("symlinks as what they point to, safe ones", "-aiL --safe-links", "odd/follow/"),
    pull("symlinks that lead nowhere, followed", "-aiL", "odd/dangling/").ends(&[23]),
    pull("symlinks that lead nowhere, followed, deleting", "-aiL --delete", "odd/dangling/")
        .over(CopyOf("odd/plain"))
        .ends(&[23]),
    pull("a symlink that leads nowhere, by name", "-aiL", "odd/dangling/nowhere").ends(&[23]),
    pull("a symlink to itself, by name", "-aiL", "odd/links/itself").ends(&[23]),
    list("symlinks as what they point to, listed", "-rL", "odd/follow/"),
    pull("symlinks to directories as directories", "-aik", "odd/follow/"),
    pull("symlinks to directories as directories, by name", "-aik", "odd/follow/to-dir odd/follow/to-file"),
    pull("symlinks to directories as directories, without -r", "-ltik", "odd/follow/to-dir odd/follow/to-file"),
    pull("symlinks to directories as directories, deleting", "-aik --delete", "odd/follow/").over(CopyOf("odd/plain")),
    pull("symlinks to directories as directories, with a filter", "-aik --exclude=sub", "odd/follow/"),
    pull("symlinks to directories as directories, that lead nowhere", "-aik", "odd/dangling/"),
    pull("symlinks to directories as directories, with protocol 30", "-aik --protocol=30", "odd/follow/"),
    pull("unsafe symlinks as what they point to", "-ai --copy-unsafe-links", "odd/follow/"),
    pull("unsafe symlinks as what they point to, told", "-avv --copy-unsafe-links", "odd/follow/").differs(
        "words-on-unsafe-symlinks",
        &["< out copying unsafe symlink *", "> out Setting --timeout=200 to match server", "> out done"],
    ),
    pull(
        "unsafe symlinks as what they point to, by name",
        "-ai --copy-unsafe-links",
        "odd/follow/unsafe odd/follow/to-file",
    ),
    pull("unsafe symlinks as what they point to, without a slash", "-ai --copy-unsafe-links", "odd/follow"),
    pull(
        "unsafe symlinks as what they point to, from above",
        "-ai --copy-unsafe-links",
        "odd/follow/dir odd/follow/chain",
    ),
    pull("unsafe symlinks as what they point to, deleting", "-ai --copy-unsafe-links --delete", "odd/follow/")
        .over(CopyOf("odd/plain")),
    pull(
        "unsafe symlinks as what they point to, with whole paths",
        "-aRi --copy-unsafe-links",
        "odd/follow/dir odd/follow/unsafe",
    ),
    pull("symlinks followed at both sides", "-aikK", "odd/follow/").over(CopyOf("odd/follow")),
    pull("symlinks as what they point to, into what is there", "-aiL", "odd/follow/").over(Empty),
];

/// With names from a file.
pub(crate) const LINK_NAMES: &[Case] = &[
    pull("symlinks from a file as what they point to", "-aiL --files-from=names-of-links", "linked/"),
    pull("symlinks from a file as directories", "-airk --files-from=names-of-links", "linked/").ends(&[0, 23]),
];
