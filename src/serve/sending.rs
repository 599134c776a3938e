//! Answers requests for files: reads neighbours in one go and hands their bytes to the protocol machine.
//!
//! Runs on a blocking thread, one batch at a time; between two batches the connection writes what was
//! made, so a slow client holds at most one batch. A first request is answered from the stored bytes
//! unhashed; a second one for the same file is checked against the content id first, and what is bad is
//! refused by name. Files over the store's limit are streamed in pieces.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use super::bad_content::BadContent;
use super::contents::Kit;
use super::listing::Index;
use super::published::Current;
use super::view::shown;
use crate::store::{Home, Place, Reader, Row};
use crate::tree::{ContentHasher, ContentId, Entry, Kind};
use crate::wire::sender::{Attempt, NoSend, Outcome, Request, Sender};

/// Output that is made before the connection gets to write it.
const BATCH_BYTES: u64 = 512 << 10;

/// Files in one batch, so that empty files are bounded too.
const BATCH_FILES: usize = 2048;

/// How much of a large file is read at a time.
const PIECE_BYTES: usize = 256 << 10;

/// What stands in a message for a content that cannot be had.
const IO_ERROR: &str = "Input/output error (5)";

/// A file that was sent, for the transfer log.
pub(crate) struct Sent {
    pub(crate) path: Vec<u8>,
    pub(crate) size: u64,
}

/// What a batch did.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) sent: Vec<Sent>,
    pub(crate) files: u64,
    pub(crate) bad: Vec<BadContent>,
    /// The client asked for something that is no file.
    pub(crate) illegal: Option<u32>,
}

/// Requests of one connection that wait for their answer, and the machine that writes them.
pub(crate) struct Job {
    pub(crate) sender: Box<Sender>,
    pub(crate) requests: VecDeque<Request>,
    pub(crate) current: Arc<Current>,
    /// What the client's indices mean.
    pub(crate) index: Arc<Index>,
    /// The module's root inside the snapshot; empty: the whole.
    pub(crate) root: Vec<u8>,
    /// Whether names and sizes are wanted for the transfer log.
    pub(crate) log: bool,
    pub(crate) large: Option<Large>,
}

/// A large file half sent.
pub(crate) struct Large {
    file: File,
    entry: usize,
    xxh128: [u8; 16],
}

/// One request with what the snapshot says of it.
struct Wanted {
    request: Request,
    entry: usize,
    size: u64,
    place: Option<Place>,
}

impl Job {
    /// Whether something is left to answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.large.is_none()
    }

    /// Answers until a batch of output is made or nothing is left.
    pub(crate) fn run(&mut self, kit: &mut Kit) -> Done {
        let mut done = Done::default();
        if self.large.is_some() {
            self.piece(&mut kit.arena, &mut done);
            return done;
        }
        let batch = self.next_batch(&mut done);
        self.answer(batch, kit, &mut done);
        done
    }

    /// Takes requests off the queue until the batch is full; a large or doubted file is a batch of its own.
    fn next_batch(&mut self, done: &mut Done) -> Vec<Wanted> {
        let snapshot = self.current.located.snapshot();
        let (mut batch, mut bytes) = (Vec::new(), 0_u64);
        while batch.len() < BATCH_FILES && bytes < BATCH_BYTES {
            let Some(request) = self.requests.pop_front() else { break };
            let Some((entry, Entry { kind: Kind::File { size, .. }, .. })) = self.index.entry(snapshot, request.ndx())
            else {
                done.illegal = Some(request.ndx());
                break;
            };
            let place = self.current.located.place(entry);
            let alone =
                request.attempt() == Attempt::Again || place.is_some_and(|place| matches!(place.home, Home::Large));
            if alone && !batch.is_empty() {
                self.requests.push_front(request);
                break;
            }
            bytes = bytes.saturating_add(size);
            batch.push(Wanted { request, entry, size, place });
            if alone {
                break;
            }
        }
        batch
    }

    fn answer(&mut self, batch: Vec<Wanted>, kit: &mut Kit, done: &mut Done) {
        let rows: Vec<Option<Row>> = batch
            .iter()
            .map(|wanted| match wanted.place?.home {
                Home::Row(row) => Some(row),
                Home::Large => None,
            })
            .collect();
        let found = read_rows(&rows, kit);
        for (wanted, range) in batch.into_iter().zip(found) {
            match (wanted.place, range.and_then(|range| kit.arena.get(range))) {
                (Some(place), Some(bytes)) => self.whole(wanted, place, bytes, done),
                (Some(Place { home: Home::Large, xxh128 }), None) => {
                    self.start_large(wanted, xxh128, &kit.reader, done);
                }
                _ => self.refuse(&wanted, "it is not in the store", done),
            }
        }
    }

    fn whole(&mut self, wanted: Wanted, place: Place, bytes: &[u8], done: &mut Done) {
        if wanted.request.attempt() == Attempt::Again && self.id_of(&wanted) != Some(ContentId::of(bytes)) {
            return self.refuse(&wanted, "its bytes do not match its id", done);
        }
        let Wanted { request, entry, size, .. } = wanted;
        self.sender.begin(request);
        self.sender.feed(bytes);
        self.end(entry, size, &place.xxh128, done);
    }

    fn end(&mut self, entry: usize, size: u64, xxh128: &[u8; 16], done: &mut Done) {
        let outcome = self.sender.finish(xxh128);
        done.files += 1;
        if outcome == Outcome::Mismatch {
            self.blame(entry, "its checksum differs from the one taken at import", done);
        } else if self.log {
            let path = self.path(entry);
            done.sent.push(Sent { path, size });
        }
    }

    fn start_large(&mut self, wanted: Wanted, xxh128: [u8; 16], reader: &Reader, done: &mut Done) {
        let Some(id) = self.id_of(&wanted) else { return self.refuse(&wanted, "it has no id", done) };
        match reader.read_large(&id) {
            Ok(Some(file)) if wanted.request.attempt() == Attempt::Again && !is_sound(&file, &id) => {
                self.refuse(&wanted, "its bytes do not match its id", done);
            }
            Ok(Some(file)) => {
                self.large = Some(Large { file, entry: wanted.entry, xxh128 });
                self.sender.begin(wanted.request);
            }
            Ok(None) => self.refuse(&wanted, "its file is missing", done),
            Err(error) => self.refuse(&wanted, &error.to_string(), done),
        }
    }

    /// Sends the next piece of the large file.
    fn piece(&mut self, buffer: &mut Vec<u8>, done: &mut Done) {
        let Some(large) = &mut self.large else { return };
        buffer.resize(PIECE_BYTES, 0);
        let (entry, xxh128) = (large.entry, large.xxh128);
        match read_full(&mut large.file, buffer) {
            Ok(0) => {
                self.large = None;
                let size = self.size(entry);
                self.end(entry, size, &xxh128, done);
            }
            Ok(n) => self.sender.feed(buffer.get(..n).unwrap_or_default()),
            Err(error) => {
                self.large = None;
                let path = self.shown_path(entry);
                self.sender.give_up(&path, IO_ERROR);
                self.blame(entry, &format!("reading it failed: {error}"), done);
            }
        }
    }

    fn id_of(&self, wanted: &Wanted) -> Option<ContentId> {
        self.id(wanted.entry)
    }

    fn id(&self, entry: usize) -> Option<ContentId> {
        match self.current.located.snapshot().entry(entry)?.kind {
            Kind::File { content, .. } => Some(*content),
            _ => None,
        }
    }

    fn size(&self, entry: usize) -> u64 {
        match self.current.located.snapshot().entry(entry).map(|e| e.kind) {
            Some(Kind::File { size, .. }) => size,
            _ => 0,
        }
    }

    fn path(&self, entry: usize) -> Vec<u8> {
        self.current.located.snapshot().entry(entry).map_or_else(Vec::new, |e| e.path.as_bytes().to_vec())
    }

    /// The path as messages show it: from the module's root, with a slash in front.
    fn shown_path(&self, entry: usize) -> Vec<u8> {
        let path = self.path(entry);
        let inside = match self.root.as_slice() {
            b"" => path.as_slice(),
            root => path.get(root.len() + 1..).unwrap_or_default(),
        };
        format!("/{}", shown(inside)).into_bytes()
    }

    fn refuse(&mut self, wanted: &Wanted, reason: &str, done: &mut Done) {
        let path = self.shown_path(wanted.entry);
        self.sender.no_send(&wanted.request, NoSend::Failed { path: &path, reason: IO_ERROR });
        self.blame(wanted.entry, reason, done);
    }

    fn blame(&self, entry: usize, reason: &str, done: &mut Done) {
        if let Some(content) = self.id(entry) {
            done.bad.push(BadContent { content, path: self.path(entry), reason: reason.to_owned() });
        }
    }
}

/// Reads rows into the arena and tells where each one lies; `None` where there is no such row.
fn read_rows(rows: &[Option<Row>], kit: &mut Kit) -> Vec<Option<Range<usize>>> {
    kit.arena.clear();
    let mut found = vec![None; rows.len()];
    let (at, wanted): (Vec<usize>, Vec<Row>) =
        rows.iter().enumerate().filter_map(|(at, row)| row.map(|row| (at, row))).unzip();
    let Kit { reader, arena } = kit;
    let read = reader.read(&wanted, &mut |index, bytes| {
        let start = arena.len();
        arena.extend_from_slice(bytes);
        if let Some(slot) = at.get(index).and_then(|at| found.get_mut(*at)) {
            *slot = Some(start..arena.len());
        }
    });
    if let Err(error) = read {
        tracing::error!(%error, "read contents");
    }
    found
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Whether a large file is what its id says; the read position is back at the start afterwards.
fn is_sound(file: &File, id: &ContentId) -> bool {
    use std::io::Seek;
    let (mut file, mut hasher, mut buffer) = (file, ContentHasher::new(), vec![0; PIECE_BYTES]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hasher.update(buffer.get(..n).unwrap_or_default()),
            Err(_) => return false,
        }
    }
    hasher.finish() == *id && file.rewind().is_ok()
}
