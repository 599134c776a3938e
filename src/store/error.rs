//! What can go wrong with the data directory, and whose fault it is.
//!
//! Each error names the object and what was attempted; those that an operator meets say what to do. SQLite's own
//! message is the source, never the whole text.
//! Deliberately absent: retries. A full or failing disk is reported, and whoever asked decides.

use std::io;
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::tree::{SnapshotId, TextError};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data directory.
    #[error(
        "the data directory {path} is in use{}: one process at a time may write it; stop that one, or talk to it",
        .pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that has it, if it could be read.
        pid: Option<u32>,
    },
    /// There is no data directory, and none was to be made.
    #[error("{path} is no data directory: it has no headwater.db; name another with --dir, or make one with init")]
    NoStore {
        /// The directory that was asked for.
        path: PathBuf,
    },
    /// The database is of another program.
    #[error(
        "{path} is an SQLite database, but not of headwater; move it away or name another directory, or restore a backup if it was"
    )]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The database was written by a newer release.
    #[error(
        "{path} has schema version {found}, but this release knows only {known}: it was written by a newer one; \
         run that one, or restore a backup"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version that it has.
        found: i64,
        /// The newest version that this release knows.
        known: i64,
    },
    /// The database was written by an older release, and a reader cannot bring it up to date.
    #[error(
        "{path} has schema version {found}, and this release reads {known}: it is brought up to date when a node of this \
         release starts, or by any command where no node runs"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// The version that it has.
        found: i64,
        /// The version that this release reads.
        known: i64,
    },
    /// Something was to be changed on a read-only file system.
    #[error(
        "the data directory {path} is on a read-only file system: what is published is served, nothing can be changed"
    )]
    ReadOnly {
        /// The data directory.
        path: PathBuf,
    },
    /// A log on a read-only file system that can only be taken in by writing.
    #[error("{path} was left behind by a process that died, and a read-only file system does not let it be taken in")]
    Unfinished {
        /// The log.
        path: PathBuf,
    },
    /// A generation that is no longer there was to be kept.
    #[error("{channel} keeps no generation {generation} any more")]
    NotKept {
        /// The channel.
        channel: String,
        /// The generation.
        generation: u64,
    },
    /// A name that stands for another generation.
    #[error("{channel}@{generation} is kept as {name} already; release that one, or choose another name")]
    NameTaken {
        /// The name.
        name: String,
        /// The channel of both.
        channel: String,
        /// The generation that has the name.
        generation: u64,
    },
    /// One kept generation too many.
    #[error("{channel} has {most} generations that are kept by hand, and no more can be; release one first")]
    TooManyKept {
        /// The channel.
        channel: String,
        /// The bound.
        most: usize,
    },
    /// Nothing may be swept at this moment.
    #[error("nothing can be swept now: a backup is being made, or another command holds every generation")]
    SweepHeld,
    /// A file or directory could not be read or written.
    #[error("cannot {attempt} {path}: {source}")]
    File {
        /// What was attempted, as a verb.
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("cannot {attempt}: {source}")]
    Database {
        /// What was attempted, as a verb with its object.
        attempt: &'static str,
        /// Why not.
        source: rusqlite::Error,
    },
    /// There is not enough room.
    #[error(
        "{path} has {free} bytes free, but {needed} are needed: {missing} are missing; free them or keep fewer generations"
    )]
    Space {
        /// The data directory.
        path: PathBuf,
        /// Bytes that an unprivileged process may still write.
        free: u64,
        /// Bytes that are needed, with the reserve.
        needed: u64,
        /// The difference.
        missing: u64,
    },
    /// A snapshot names contents that the store does not have.
    #[error("snapshot {} cannot be staged: {count} of its contents are missing, the first is that of {example}", .snapshot.short())]
    Missing {
        /// The snapshot.
        snapshot: SnapshotId,
        /// How many of its files have no content here.
        count: usize,
        /// The path of the first of them.
        example: String,
    },
    /// No such snapshot is kept.
    #[error("snapshot {} is not kept here", .0.short())]
    UnknownSnapshot(SnapshotId),
    /// A head names a snapshot that was not staged.
    #[error("channel {channel} cannot be published: snapshot {} was not staged", .snapshot.short())]
    NotStaged {
        /// The channel.
        channel: String,
        /// The snapshot that its head names.
        snapshot: SnapshotId,
    },
    /// A head that does not come after the one that is published.
    #[error(
        "channel {channel} cannot go to generation {generation} of term {term}: it is at generation {at} of term {at_term}"
    )]
    StaleHead {
        /// The channel.
        channel: String,
        /// The generation that was to be published.
        generation: u64,
        /// Its term.
        term: u64,
        /// The generation that is published.
        at: u64,
        /// Its term.
        at_term: u64,
    },
    /// The text of a head that was to be published is not one.
    #[error("a head cannot be published: {0}")]
    BadHead(String),
    /// A stored text does not parse.
    #[error("{what} in the database is damaged: {source}; the next publication replaces what it can")]
    BadText {
        /// Which one.
        what: String,
        /// What is wrong in it.
        source: TextError,
    },
    /// A value in the database is impossible.
    #[error("the database is damaged: {0}; check it with `sqlite3 headwater.db 'pragma integrity_check'`")]
    Damaged(String),
    /// A content that is too large for a row was handed over as one.
    #[error("a content of {0} bytes is too large for a row")]
    TooLarge(usize),
}

impl StoreError {
    /// Who has to act.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Locked { .. }
            | Self::NoStore { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::NotKept { .. }
            | Self::NameTaken { .. }
            | Self::TooManyKept { .. }
            | Self::SweepHeld => Fault::Operator,
            _ => Fault::Local,
        }
    }

    /// True if what was read is not what was written; what does not need it can go on. Anything else may be read at
    /// another moment, or by somebody with other rights, so it says nothing about the bytes. SQLite tells of an EIO as
    /// of a corrupt page.
    pub fn is_damage(&self) -> bool {
        use rusqlite::{Error, ErrorCode};
        match self {
            Self::Damaged(_) | Self::BadText { .. } | Self::UnknownSnapshot(_) => true,
            Self::File { source, .. } => source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()),
            Self::Database { source, .. } => match source {
                Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::Utf8Error(..) => true,
                other => {
                    matches!(other.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
                }
            },
            _ => false,
        }
    }

    /// True if the database itself is damaged, so that another import may fail where this one did.
    pub fn is_broken_database(&self) -> bool {
        use rusqlite::ErrorCode;
        match self {
            Self::Damaged(_) => true,
            Self::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            }
            _ => false,
        }
    }

    /// Takes what cannot be read because it is damaged for empty: what is not needed to serve keeps nobody from it.
    pub fn or_nothing<T: Default>(self) -> Result<T, Self> {
        match self.is_damage() {
            true => {
                tracing::error!(error = %self, "the database is damaged: restore a backup");
                Ok(T::default())
            }
            false => Err(self),
        }
    }

    /// True if nothing can be written there, whoever noticed.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::ReadOnly { .. } | Self::Unfinished { .. } => true,
            Self::File { source, .. } => source.kind() == io::ErrorKind::ReadOnlyFilesystem,
            Self::Database { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly),
            _ => false,
        }
    }

    /// True if there was no file descriptor left, which may be otherwise in a moment.
    pub fn is_starved(&self) -> bool {
        use rustix::io::Errno;
        let starved = |errno: Errno| matches!(self, Self::File { source, .. } if source.raw_os_error() == Some(errno.raw_os_error()));
        starved(Errno::MFILE) || starved(Errno::NFILE)
    }

    /// True if the disk is full, whoever noticed.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Space { .. } => true,
            Self::File { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Database { source, .. } => source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }
}

/// Names what was attempted with the database.
pub(super) fn sql(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| StoreError::Database { attempt, source }
}

/// Names what was attempted with a file.
pub(super) fn file<E: Into<io::Error>>(attempt: &'static str, path: &Path) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::File { attempt, path: path.to_owned(), source: source.into() }
}

/// A number that SQLite can only hold as signed, and that counts something.
pub(super) fn count(what: &str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged(format!("{what} is {number}")))
}

/// The way back: SQLite has signed 64 bits. Nothing that the store counts comes near the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column of exactly `N` bytes.
pub(super) fn fixed<const N: usize>(what: &str, bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(format!("{what} has {} bytes, not {N}", bytes.len())))
}
