//! One file copied without blocks for its zeros, and what was copied known by its digest. For backups and restores. And
//! whether there is room for it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::copy_error::CopyError;
use super::error::{NodeError, file};
use super::watch::Watch;
use crate::store::Hollow;
use crate::tree::{ContentHasher, ContentId};

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// What the kernel counts room in, in bytes, whatever the file system.
const BLOCK: u64 = 512;

/// What was copied.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Copied {
    pub(super) id: ContentId,
    pub(super) size: u64,
}

/// Copies a file with this mode to where none is. The inner error is of the source.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    mode: u32,
    watch: &mut Watch<'_>,
) -> Result<Result<Copied, io::Error>, NodeError> {
    let mut source = match File::open(from) {
        Ok(source) => source,
        Err(error) => return Ok(Err(error)),
    };
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut out = Hollow::new(made.map_err(file("make", to))?);
    let copied = pour(&mut source, &mut |piece| out.write(piece).map_err(file("write", to)), watch)?;
    let permissions = std::fs::Permissions::from_mode(mode & 0o7777);
    out.finish().map_err(file("write", to))?.set_permissions(permissions).map_err(file("set the mode of", to))?;
    Ok(copied)
}

/// The digest of a file.
pub(super) fn digest(path: &Path, watch: &mut Watch<'_>) -> Result<Result<Copied, io::Error>, NodeError> {
    match File::open(path) {
        Ok(mut source) => pour(&mut source, &mut |_| Ok(()), watch),
        Err(error) => Ok(Err(error)),
    }
}

/// The room that a copy takes: less than its length where it has holes.
pub(super) fn room_of(original: &Metadata) -> u64 {
    original.len().min(original.blocks().saturating_mul(BLOCK))
}

/// Fails with numbers if `needed` bytes do not fit on the file system of `path`.
pub(super) fn require_room(path: &Path, needed: u64) -> Result<(), NodeError> {
    let room = rustix::fs::statvfs(path).map_err(|error| file("ask for the free space of", path)(error.into()))?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    match needed <= free {
        true => Ok(()),
        false => Err(CopyError::Space { path: path.to_owned(), free, needed }.into()),
    }
}

fn pour(
    source: &mut File,
    each: &mut dyn FnMut(&[u8]) -> Result<(), NodeError>,
    watch: &mut Watch<'_>,
) -> Result<Result<Copied, io::Error>, NodeError> {
    let (mut hasher, mut size, mut piece) = (ContentHasher::new(), 0, vec![0; PIECE]);
    loop {
        match source.read(&mut piece) {
            Ok(0) => return Ok(Ok(Copied { id: hasher.finish(), size })),
            Ok(length) => {
                let read = piece.get(..length).unwrap_or_default();
                hasher.update(read);
                each(read)?;
                let length = u64::try_from(length).unwrap_or(u64::MAX);
                size += length;
                watch.add(0, length);
                watch.breathe()?;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}
