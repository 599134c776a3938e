//! What can go wrong where plain files are written out or taken back: exports, backups, restores.

use std::path::PathBuf;

use crate::fault::Fault;

/// Damaged files that a message names one by one.
const NAMED: usize = 20;

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The directory is in use for something else.
    #[error("{} holds files, and they are no {kind} of headwater's", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What it would have to be.
        kind: &'static str,
    },
    /// A directory that is to be read is none of these.
    #[error("{} is no {kind} of headwater's", path.display())]
    NoEdition {
        /// The directory.
        path: PathBuf,
        /// What it would have to be.
        kind: &'static str,
    },
    /// A place where a directory has to be, and is none.
    #[error("there is no directory {}", path.display())]
    NoDirectory {
        /// The place.
        path: PathBuf,
    },
    /// A directory that cannot be replaced.
    #[error("{} is a mount point, which cannot be replaced in one step as a directory in it can", path.display())]
    MountPoint {
        /// The directory.
        path: PathBuf,
    },
    /// A crash between two renames has left it elsewhere.
    #[error("there is no {kind} {}: a crash has left it in {}", path.display(), at.display())]
    Cut {
        /// Where it should be.
        path: PathBuf,
        /// Where it is.
        at: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Another process writes there.
    #[error("another process makes the {kind} {} at this moment", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// What is being made.
        kind: &'static str,
    },
    /// Files that are part of it cannot be had.
    #[error("{what} is not whole: {count} of its files cannot be had\n{}", shown(files, *count))]
    Bad {
        /// What was to be copied.
        what: String,
        /// How many files.
        count: u64,
        /// The first of them, each with the reason.
        files: Vec<String>,
    },
    /// A copy inside of what it is a copy of, or the other way round.
    #[error("{} is inside of the data directory, or the other way round", path.display())]
    Inside {
        /// Where the copy is, or was to be.
        path: PathBuf,
    },
    /// The copy does not fit.
    #[error("{} has {free} bytes free, but {needed} are needed", path.display())]
    Space {
        /// Where it was to be.
        path: PathBuf,
        /// Bytes that can be written there.
        free: u64,
        /// Bytes that have to be.
        needed: u64,
    },
    /// The directory is no backup, or one that this release cannot read.
    #[error("{} is no backup that can be restored: {why}", path.display())]
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// A file of a backup is not what was written there.
    #[error("the backup is damaged: {} {why}", path.display())]
    BadBackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The directory that is to become a node's is in use.
    #[error("{} is not empty, and a restore overwrites nothing", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Something of somebody else lies where a restore was begun.
    #[error("{} is not empty: {} is not of this backup, and a restore overwrites nothing", path.display(), file.display())]
    Stray {
        /// The directory.
        path: PathBuf,
        /// What lies in it.
        file: PathBuf,
    },
    /// It was ended before it was done.
    #[error("ended early: the node that kept everything in place is gone, or nobody waits any more")]
    Ended,
}

fn shown(files: &[String], count: u64) -> String {
    let mut lines: Vec<String> = files.iter().take(NAMED).map(|file| format!("  {file}")).collect();
    let more = count.saturating_sub(u64::try_from(lines.len()).unwrap_or(u64::MAX));
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    lines.join("\n")
}

impl CopyError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotOurs { .. }
            | Self::NoEdition { .. }
            | Self::NoDirectory { .. }
            | Self::MountPoint { .. }
            | Self::Cut { .. }
            | Self::Busy { .. }
            | Self::Inside { .. }
            | Self::NotABackup { .. }
            | Self::NotEmpty { .. }
            | Self::Stray { .. } => Fault::Operator,
            Self::Bad { .. } | Self::Space { .. } | Self::BadBackup { .. } => Fault::Local,
            Self::Ended => Fault::Peer,
        }
    }

    /// What to do about it.
    pub fn todo(&self) -> &'static str {
        match self {
            Self::NotOurs { .. } => "name an empty directory, or one that is not there yet",
            Self::NoEdition { .. } => "name an earlier export with --link-dest, or leave it out",
            Self::NoDirectory { .. } => "name a directory that is there",
            Self::MountPoint { .. } => "name a directory in it",
            Self::Cut { .. } => "name that directory, or make it once more: it is put back first",
            Self::Busy { .. } => "wait for it, or name another directory",
            Self::Bad { .. } => "import the tree again, which mends them; or leave them out with --allow-missing",
            Self::Inside { .. } => "name a directory elsewhere, best on another disk",
            Self::Space { .. } => "make room there, or name a directory on another disk",
            Self::NotABackup { .. } => "name a directory that `headwater backup` has made",
            Self::BadBackup { .. } => "restore another backup",
            Self::NotEmpty { .. } => "name a directory that is empty or not there yet with --dir",
            Self::Stray { .. } => "remove it if nobody needs it, or name a directory that is empty with --dir",
            Self::Ended => "try again",
        }
    }
}
