//! Files over the store's limit, one at a time and a piece at a time: opened, held against their id where a client doubts
//! them, and sent, by the kernel where nothing is to be done to their bytes.
//!
//! A piece takes some milliseconds, so that nobody waits long for a reader and keep-alives go out in time. A content is
//! held against its id once a session at most: it never changes, and a client may ask as often as it likes.
//! Invariant: what a client is told is the whole file is as long as its entry says, and its sum is the stored one. What
//! a client has already and takes as right (`--append`) is not read.
//! Deliberately absent: the socket.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use super::sending::{Basis, Done, IO_ERROR, Job, Wanted};
use super::splice::End;
use super::telling::Trouble;
use super::view::shown;
use crate::store::Reader;
use crate::tree::{ContentHasher, ContentId};
use crate::wire::sender::{Attempt, Bulk, Request};

/// How much of a large file is read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// How long to wait before a large file is tried again for which there was no file descriptor.
pub(super) const STARVED_PAUSE: Duration = Duration::from_millis(100);
/// How often; after a minute the client hears of it.
const TRIES: u32 = 600;

/// Pieces that are hashed in one go.
const PIECES_HASHED: u32 = 8;

/// Whether the kernel may send the bytes of large files by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bursts {
    Allowed,
    /// The client's bytes are counted out to it.
    Never,
}

/// A large file that is being answered.
pub(crate) struct Large {
    file: Arc<File>,
    entry: usize,
    size: u64,
    /// Up to here it was read.
    at: u64,
    xxh128: [u8; 16],
    basis: Basis,
    stage: Stage,
}

enum Stage {
    /// The client doubts it, and gets an answer when it is known whether it is right.
    Checking(Doubt),
    /// Its bytes go through the protocol machine.
    Fed,
    /// They do not.
    Bulk(Bulk),
}

/// A request whose answer depends on whether the bytes are what their id says.
struct Doubt {
    request: Request,
    id: ContentId,
    hasher: Box<ContentHasher>,
}

impl Job {
    /// Opens the file, and answers at once if that is not possible.
    pub(super) fn start_large(&mut self, wanted: Wanted, xxh128: [u8; 16], reader: &Reader, done: &mut Done) {
        let Some(id) = self.id(wanted.entry) else {
            return self.refuse(&wanted.request, wanted.entry, "it has no id", done);
        };
        let file = match reader.read_large(&id) {
            Ok(Some(file)) => file,
            Ok(None) => return self.refuse(&wanted.request, wanted.entry, "its file is missing", done),
            Err(error) if error.is_damage() => {
                return self.refuse(&wanted.request, wanted.entry, &error.to_string(), done);
            }
            Err(error) if error.is_starved() && self.starved < TRIES => {
                self.starved += 1;
                done.starved = Some(self.starved);
                return self.requests.push_front(wanted.request);
            }
            // What cannot be opened now, for want of rights or descriptors, is not bad.
            Err(error) => return self.fail(&wanted.request, wanted.entry, &error.to_string(), done),
        };
        self.starved = 0;
        let Wanted { request, entry, size, .. } = wanted;
        match file.metadata().map(|now| now.len()) {
            Ok(length) if length == size => {}
            Ok(length) => {
                let reason = format!("its file has {length} bytes in place of {size}");
                return self.refuse(&request, entry, &reason, done);
            }
            Err(error) => return self.fail(&request, entry, &error.to_string(), done),
        }
        // It is read from its start to its end; a hint that is not taken costs nothing.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let basis = Basis::of(&request);
        let mut large = Large { file: Arc::new(file), entry, size, at: 0, xxh128, basis, stage: Stage::Fed };
        if request.attempt() == Attempt::Again && !self.checked.contains(&entry) {
            large.stage = Stage::Checking(Doubt { request, id, hasher: Box::default() });
            self.large = Some(large);
        } else {
            self.send_large(large, request);
        }
    }

    fn send_large(&mut self, mut large: Large, request: Request) {
        self.sender.begin(request);
        large.at = self.sender.leave_out(large.size);
        large.stage = match self.sender.bulk(large.size) {
            Some(bulk) if self.bursts == Bursts::Allowed => Stage::Bulk(bulk),
            _ => Stage::Fed,
        };
        self.large = Some(large);
    }

    /// Goes on with the large file.
    pub(super) fn piece(&mut self, buffer: &mut Vec<u8>, done: &mut Done) {
        buffer.resize(PIECE_BYTES.min(self.budget), 0);
        let Some(mut large) = self.large.take() else { return };
        match std::mem::replace(&mut large.stage, Stage::Fed) {
            Stage::Checking(doubt) => self.check(large, doubt, buffer, done),
            // Where it could be sent in bursts, there is no lane for them: from here on it is fed.
            Stage::Fed | Stage::Bulk(_) => self.feed_piece(large, buffer, done),
        }
    }

    /// Hashes some pieces; at the end of the file it is known what becomes of the request.
    fn check(&mut self, mut large: Large, mut doubt: Doubt, buffer: &mut [u8], done: &mut Done) {
        for _ in 0..PIECES_HASHED {
            match read_piece(&large.file, large.at, large.size, buffer) {
                Ok([]) => {
                    let Doubt { request, id, hasher } = doubt;
                    if hasher.finish() == id {
                        self.checked.insert(large.entry);
                        return self.send_large(large, request);
                    }
                    return self.refuse(&request, large.entry, "its bytes do not match its id", done);
                }
                Ok(bytes) => {
                    doubt.hasher.update(bytes);
                    large.at += count(bytes.len());
                }
                Err(error) => {
                    let reason = format!("reading it failed: {error}");
                    return self.refuse(&doubt.request, large.entry, &reason, done);
                }
            }
        }
        large.stage = Stage::Checking(doubt);
        self.large = Some(large);
    }

    fn feed_piece(&mut self, mut large: Large, buffer: &mut [u8], done: &mut Done) {
        match read_piece(&large.file, large.at, large.size, buffer) {
            Ok([]) => self.end(large.entry, large.basis, large.xxh128, done),
            Ok(bytes) => {
                self.sender.feed(bytes);
                large.at += count(bytes.len());
                self.large = Some(large);
            }
            Err(error) => self.abandon(large.entry, &error, done),
        }
    }

    /// The bytes that were promised are not there: the client gets a wrong sum and asks again.
    fn abandon(&mut self, entry: usize, error: &io::Error, done: &mut Done) {
        let path = self.shown_path(entry);
        self.sender.give_up(&path, IO_ERROR);
        self.blame(entry, &format!("reading it failed: {error}"), done);
    }

    /// Whether the next thing to do is a burst.
    pub(crate) fn bursts(&self) -> bool {
        matches!(self.large, Some(Large { stage: Stage::Bulk(_), .. }))
    }

    /// What the next burst is to send: the file, from where, in which frames.
    pub(super) fn stretch(&self) -> Option<(Arc<File>, u64, Bulk)> {
        match &self.large {
            Some(Large { file, at, stage: Stage::Bulk(bulk), .. }) => Some((file.clone(), *at, *bulk)),
            _ => None,
        }
    }

    /// Takes note of a burst of so many bytes, after which `left` is to be sent. An error if the connection broke.
    pub(super) fn went(&mut self, data: u64, left: Bulk, end: End) -> io::Result<Done> {
        let mut done = Done::default();
        let Some(mut large) = self.large.take() else { return Ok(done) };
        large.at += data;
        match end {
            End::Whole => self.end(large.entry, large.basis, large.xxh128, &mut done),
            End::Unreadable(error) => self.abandon(large.entry, &error, &mut done),
            End::Broken(error) => return Err(error),
            End::Unfit => {
                large.stage = Stage::Fed;
                self.large = Some(large);
            }
            End::Turn => {
                large.stage = Stage::Bulk(left);
                self.large = Some(large);
            }
        }
        Ok(done)
    }

    /// The file is not sent, but nobody is to take its content for bad.
    fn fail(&mut self, request: &Request, entry: usize, reason: &str, done: &mut Done) {
        done.troubles.push(Trouble { what: shown(&self.path(entry)), reason: reason.to_owned() });
        self.no_send(request, entry);
    }
}

/// Reads the next piece of a file that should have `size` bytes; nothing at its end, and an error if it is shorter.
fn read_piece<'b>(file: &File, at: u64, size: u64, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let left = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
    let space = buffer.get_mut(..left).unwrap_or_default();
    file.read_exact_at(space, at)?;
    Ok(space)
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
