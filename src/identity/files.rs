//! Small files that must be whole, durable and not readable by others.
//!
//! A file is written under another name in the same directory, synced, renamed, and the directory is synced: after a
//! crash it is there as a whole or not at all. New files never replace one. Everything is mode 0600, and a secret whose
//! mode allows more is not used.
//! Deliberately absent: what the files hold.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::{IdentityError, file};

/// Longest file that is read here, in bytes; a term takes half a KiB, a key 300 bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Permission bits of others than the owner.
const OTHERS: u32 = 0o077;

/// Writes a file where none may be yet.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    refuse_existing(path)?;
    let beside = write_beside(path, bytes)?;
    let renamed = rename_new(&beside, path);
    if renamed.is_err() {
        // The refusal is what matters; a leftover is overwritten by the next try.
        let _ = fs::remove_file(&beside);
    }
    renamed?;
    sync_directory(parent(path))
}

/// Fails if there is anything at `path`.
pub(super) fn refuse_existing(path: &Path) -> Result<(), IdentityError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(IdentityError::Exists(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file("look at", path)(error)),
    }
}

/// Renames without replacing. File systems that cannot promise it get a link instead, which cannot replace either.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), IdentityError> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(IdentityError::Exists(to.to_owned())),
        Err(Errno::INVAL | Errno::NOSYS) if !from.is_dir() => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from)).map_err(file("make", to))
        }
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to).map_err(file("make", to)),
        Err(error) => Err(file("make", to)(error.into())),
    }
}

/// Writes and syncs a file under a hidden name in the directory of `path`; answers that name.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, IdentityError> {
    let name = path.file_name().ok_or_else(|| file("make", path)(io::ErrorKind::InvalidInput.into()))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    let beside = parent(path).join(hidden);
    let _ = fs::remove_file(&beside);
    let mut out =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(file("make", &beside))?;
    out.write_all(bytes).and_then(|()| out.sync_all()).map_err(file("write", &beside))?;
    Ok(beside)
}

/// The directory that holds `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory with `mode`, and what is missing above it; one that is there stays as it is.
pub(super) fn make_directory(path: &Path, mode: u32) -> Result<(), IdentityError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(file("make", path))
}

/// Makes what was renamed in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), IdentityError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(file("sync", path))
}

/// Reads a small file that is no secret.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    read_open(&open(path)?, path)
}

/// Reads a secret; fails if others than its owner may read or write it.
pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let opened = open(path)?;
    let mode = opened.metadata().map_err(file("look at", path))?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(IdentityError::Open { path: path.to_owned(), mode });
    }
    read_open(&opened, path)
}

fn open(path: &Path) -> Result<File, IdentityError> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => IdentityError::Missing(path.to_owned()),
        _ => file("open", path)(error),
    })
}

fn read_open(opened: &File, path: &Path) -> Result<Vec<u8>, IdentityError> {
    let mut bytes = Vec::new();
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(file("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(file("read", path)(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 64 KiB")));
    }
    Ok(bytes)
}
