//! What a backup says that it holds: a text beside its files, written last.
//!
//! ```text
//! headwater backup 1
//! time 1783123201
//! directory 700 identity
//! file 600 241 <128 hex digits> identity/gateway.key
//! ```
//!
//! Modes are octal, ids are those of contents. Large contents stand in the database with their ids, and not here. Nor
//! does the text itself, also where a node's directory is a copy of a backup and has one; a line of that kind is passed
//! over.
//! Deliberately absent: a signature. Who can write to a backup has the gateway's key.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

use super::beside::write_durably;
use super::copied::Copied;
use super::copy_error::CopyError;
use super::error::{NodeError, file};
use crate::tree::ContentId;

/// The name of the text in a backup.
pub(super) const NAME: &str = "headwater-backup";

/// Stands in a directory while it is being restored.
pub(super) const MARK: &str = "restore-is-not-finished";

const TITLE: &str = "headwater backup 1";

/// Longest text that is read: a data directory has some ten files of its own.
const MAX_BYTES: u64 = 16 << 20;

/// What a backup holds beside large contents.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Manifest {
    /// When it was made, in seconds since 1970.
    pub(super) time: i64,
    /// Mode and path of each directory, those that hold others first.
    pub(super) directories: Vec<(u32, String)>,
    pub(super) files: Vec<Listed>,
}

/// A file of a backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listed {
    pub(super) mode: u32,
    pub(super) copied: Copied,
    pub(super) path: String,
}

impl Manifest {
    /// Writes it into the backup at `root`.
    pub(super) fn write(&self, root: &Path) -> Result<(), NodeError> {
        write_durably(&root.join(NAME), self.to_text().as_bytes())
    }

    fn to_text(&self) -> String {
        let mut text = format!("{TITLE}\ntime {}\n", self.time);
        for (mode, path) in &self.directories {
            text.push_str(&format!("directory {mode:o} {path}\n"));
        }
        for Listed { mode, copied, path } in &self.files {
            text.push_str(&format!("file {mode:o} {} {} {path}\n", copied.size, copied.id));
        }
        text
    }

    /// Reads that of the backup at `root`.
    pub(super) fn read(root: &Path) -> Result<Self, NodeError> {
        let path = root.join(NAME);
        let none = |why: String| CopyError::NotABackup { path: root.to_owned(), why };
        let open = match File::open(&path) {
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(none(format!("it has no {NAME}")).into());
            }
            opened => opened.map_err(file("open", &path))?,
        };
        let mut text = String::new();
        open.take(MAX_BYTES).read_to_string(&mut text).map_err(file("read", &path))?;
        Self::parse(&text).map_err(|line| none(format!("line {line} of {NAME} is none of this release's")).into())
    }

    /// Or the number of the line that is wrong.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut lines = text.lines().zip(1_usize..);
        let time = match (lines.next(), lines.next()) {
            (Some((TITLE, _)), Some((time, _))) => {
                time.strip_prefix("time ").and_then(|time| time.parse().ok()).ok_or(2_usize)?
            }
            _ => return Err(1),
        };
        let mut manifest = Self { time, ..Self::default() };
        for (line, number) in lines {
            manifest.take(line).ok_or(number)?;
        }
        Ok(manifest)
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let (sort, rest) = line.split_once(' ')?;
        let (mode, rest) = rest.split_once(' ')?;
        let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)?;
        match sort {
            "directory" => self.directories.push((mode, inside(rest)?)),
            "file" => {
                let (size, rest) = rest.split_once(' ')?;
                let (id, path) = rest.split_once(' ')?;
                let copied = Copied { id: ContentId::from_hex(id.as_bytes()).ok()?, size: size.parse().ok()? };
                let path = inside(path)?;
                if !is_of_copies(&path) {
                    self.files.push(Listed { mode, copied, path });
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// A path that stays inside and can stand on a line.
fn inside(path: &str) -> Option<String> {
    let is_plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && !path.is_empty() && !path.chars().any(char::is_control)).then(|| path.to_owned())
}

/// Whether a file says something of a copy, and is no part of what was copied.
pub(super) fn is_of_copies(path: &str) -> bool {
    [NAME, MARK].contains(&path)
}

/// The name of a path in a data directory, if it can stand in a manifest.
pub(super) fn name(path: &Path) -> Option<String> {
    inside(path.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_survives_the_way_there_and_back() {
        let copied = Copied { id: ContentId::of(b"key"), size: 3 };
        let manifest = Manifest {
            time: -5,
            directories: vec![(0o700, "identity".into())],
            files: vec![Listed { mode: 0o600, copied, path: "identity/gateway key".into() }],
        };
        assert_eq!(Manifest::parse(&manifest.to_text()), Ok(manifest));
    }

    #[test]
    fn a_manifest_lists_neither_itself_nor_a_mark() {
        let lines: String = [NAME, MARK].map(|name| format!("file 600 0 {} {name}\n", ContentId::of(b""))).concat();
        assert_eq!(
            Manifest::parse(&format!("{TITLE}\ntime 1\n{lines}")).map(|manifest| manifest.files),
            Ok(Vec::new())
        );
    }

    #[test]
    fn nothing_leads_out_of_a_backup() {
        let check = |line: &str, expected: Result<(), usize>| {
            let text = format!("{TITLE}\ntime 1\n{line}\n");
            assert_eq!(Manifest::parse(&text).map(drop), expected, "{line}");
        };
        let id = ContentId::of(b"");
        check("directory 700 identity", Ok(()));
        check(&format!("file 600 0 {id} a"), Ok(()));
        for path in ["../a", "/a", "a/../b", "", "a\tb", "."] {
            check(&format!("file 600 0 {id} {path}"), Err(3));
        }
        for line in ["", "file", "file 600 0 abc a", "link 600 a", "directory 10000 a", "directory 9 a"] {
            check(line, Err(3));
        }
        for text in ["", "headwater backup 2\ntime 1\n", "headwater backup 1\n"] {
            assert_eq!(Manifest::parse(text), Err(1), "{text}");
        }
    }
}
