//! One file copied without blocks for its zeros, and what was copied known by its digest. For backups and restores.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::{NodeError, file};
use super::watch::Watch;
use crate::store::Hollow;
use crate::tree::{ContentHasher, ContentId};

/// How much is read at once.
const PIECE: usize = 1 << 20;

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
