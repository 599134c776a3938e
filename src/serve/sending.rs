//! Answers requests for files: reads neighbours in one go and hands their bytes to the protocol machine.
//!
//! Runs on a blocking thread, one batch at a time; between two batches the connection writes what was
//! made, so a slow client holds at most one batch. A first request is answered from the stored bytes
//! unhashed; a second one for the same file is checked against the content id first, and what is bad is
//! refused by name. Files over the store's limit are the business of `large`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::bad_content::BadContent;
use super::contents::Kit;
use super::large::{Bursts, Large};
use super::listing::Index;
use super::part::Part;
use super::published::Current;
use super::telling::Trouble;
use super::view::shown;
use crate::store::{Home, Place, Row, StoreError};
use crate::tree::{ContentId, Entry, Kind};
use crate::wire::sender::{Attempt, NoSend, Outcome, Request, Sender};

/// Output that is made before the connection gets to write it.
const BATCH_BYTES: u64 = 512 << 10;

/// Files in one batch, so that empty files are bounded too.
const BATCH_FILES: usize = 2048;

/// What stands in a message for a content that cannot be had.
pub(super) const IO_ERROR: &str = "Input/output error (5)";

/// A file that was sent, for the transfer log.
pub(crate) struct Sent {
    /// Which one, as an index into the snapshot.
    pub(crate) entry: usize,
    /// Its stored sum.
    pub(crate) xxh128: [u8; 16],
    /// Bytes that went out for it.
    pub(crate) wire_bytes: u64,
    pub(crate) basis: Basis,
}

/// What a client says of the copy that it has.
#[derive(Clone, Copy)]
pub(crate) struct Basis {
    pub(crate) item_flags: u16,
    pub(crate) sum_bytes: u64,
}

impl Basis {
    pub(super) fn of(request: &Request) -> Basis {
        Basis { item_flags: request.item_flags(), sum_bytes: request.sum_bytes() }
    }
}

/// What a batch did.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) sent: Vec<Sent>,
    pub(crate) files: u64,
    pub(crate) bad: Vec<BadContent>,
    pub(crate) troubles: Vec<Trouble>,
    /// There was no file descriptor left for the next file: it is so many times that it was tried.
    pub(crate) starved: Option<u32>,
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
    /// Bytes that may be made in one go, within the limits of a batch.
    pub(crate) budget: usize,
    /// How bytes may leave that nothing is to be done to.
    pub(crate) bursts: Bursts,
    /// The large file that is being answered, if there is one.
    pub(super) large: Option<Large>,
    /// The content that is being sent in parts, if there is one.
    pub(super) part: Option<Part>,
    /// How many times the next large file was tried and there was no file descriptor left.
    pub(super) starved: u32,
    /// Large files that were held against their id in this session.
    pub(super) checked: HashSet<usize>,
    /// Files that were blamed in this session: a client may ask for them as often as it likes.
    blamed: HashSet<usize>,
}

/// One request with what the snapshot says of it.
pub(super) struct Wanted {
    pub(super) request: Request,
    pub(super) entry: usize,
    pub(super) size: u64,
    place: Option<Place>,
}

impl Job {
    /// A job without work.
    pub(crate) fn new(
        sender: Box<Sender>,
        current: Arc<Current>,
        index: Arc<Index>,
        root: Vec<u8>,
        log: bool,
        bursts: Bursts,
    ) -> Job {
        let (requests, checked, blamed) = (VecDeque::new(), HashSet::new(), HashSet::new());
        let budget = usize::MAX;
        let (large, part, starved) = (None, None, 0);
        Job { sender, requests, current, index, root, log, budget, bursts, large, part, starved, checked, blamed }
    }

    /// Whether something is left to answer.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.large.is_none() && self.part.is_none()
    }

    /// Answers until a batch of output is made or nothing is left.
    pub(crate) fn run(&mut self, kit: &mut Kit) -> Done {
        let mut done = Done::default();
        if self.large.is_some() {
            self.piece(&mut kit.arena, &mut done);
            return done;
        }
        if let Some(part) = self.part.take() {
            self.go_on(part, kit, &mut done);
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
        let most = BATCH_BYTES.min(u64::try_from(self.budget).unwrap_or(u64::MAX));
        while batch.len() < BATCH_FILES && bytes < most {
            let Some(request) = self.requests.pop_front() else { break };
            let Some((entry, Entry { kind: Kind::File { size, .. }, .. })) = self.index.entry(snapshot, request.ndx())
            else {
                done.illegal = Some(request.ndx());
                break;
            };
            let place = self.current.located.place(entry);
            let alone = request.attempt() == Attempt::Again
                || self.is_too_much(size)
                || place.is_some_and(|place| matches!(place.home, Home::Large));
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
        for (wanted, read) in batch.into_iter().zip(read_rows(&rows, kit, done)) {
            let (request, entry) = (&wanted.request, wanted.entry);
            let bytes = read.map(|range| range.and_then(|range| kit.arena.get(range)));
            match (wanted.place, bytes) {
                (Some(place), Ok(Some(bytes))) => self.whole(wanted, place, bytes, done),
                (Some(Place { home: Home::Large, xxh128 }), _) => {
                    self.start_large(wanted, xxh128, &kit.reader, done);
                }
                (Some(_), Err(Failure::Suspect(reason))) => self.refuse(request, entry, &reason, done),
                (Some(_), Err(Failure::Unknown)) => self.no_send(request, entry),
                (Some(_), Ok(None)) | (None, _) => self.refuse(request, entry, "it is not in the store", done),
            }
        }
    }

    /// Whether a file is larger than what may be made.
    fn is_too_much(&self, size: u64) -> bool {
        usize::try_from(size).is_ok_and(|size| size > self.budget)
    }

    fn whole(&mut self, wanted: Wanted, place: Place, bytes: &[u8], done: &mut Done) {
        let Wanted { request, entry, size, .. } = wanted;
        if request.attempt() == Attempt::Again && self.id(entry) != Some(ContentId::of(bytes)) {
            return self.refuse(&request, entry, "its bytes do not match its id", done);
        }
        let basis = Basis::of(&request);
        self.sender.begin(request);
        if let (Home::Row(row), true) = (place.home, self.is_too_much(size)) {
            return self.send_part(Part { row, entry, basis, xxh128: place.xxh128, at: 0 }, bytes, done);
        }
        self.sender.feed(bytes);
        self.end(entry, basis, place.xxh128, done);
    }

    pub(super) fn end(&mut self, entry: usize, basis: Basis, xxh128: [u8; 16], done: &mut Done) {
        let outcome = self.sender.finish(&xxh128);
        done.files += 1;
        if outcome == Outcome::Mismatch {
            self.blame(entry, "its checksum differs from the one taken at import", done);
        } else if self.log {
            done.sent.push(Sent { entry, xxh128, wire_bytes: self.sender.last_file_bytes(), basis });
        }
    }

    pub(super) fn id(&self, entry: usize) -> Option<ContentId> {
        match self.current.located.snapshot().entry(entry)?.kind {
            Kind::File { content, .. } => Some(*content),
            _ => None,
        }
    }

    pub(super) fn path(&self, entry: usize) -> Vec<u8> {
        self.current.located.snapshot().entry(entry).map_or_else(Vec::new, |e| e.path.as_bytes().to_vec())
    }

    /// The path as messages show it: from the module's root, with a slash in front.
    pub(super) fn shown_path(&self, entry: usize) -> Vec<u8> {
        let path = self.path(entry);
        let inside = match self.root.as_slice() {
            b"" => path.as_slice(),
            root => path.get(root.len() + 1..).unwrap_or_default(),
        };
        format!("/{}", shown(inside)).into_bytes()
    }

    /// Answers that the file cannot be had.
    pub(super) fn no_send(&mut self, request: &Request, entry: usize) {
        let path = self.shown_path(entry);
        self.sender.no_send(request, NoSend::Failed { path: &path, reason: IO_ERROR });
    }

    /// The same, and the node is to look at the content.
    pub(super) fn refuse(&mut self, request: &Request, entry: usize, reason: &str, done: &mut Done) {
        self.no_send(request, entry);
        self.blame(entry, reason, done);
    }

    /// Tells of a content, once a session.
    pub(super) fn blame(&mut self, entry: usize, reason: &str, done: &mut Done) {
        if let Some(content) = self.id(entry)
            && self.blamed.insert(entry)
        {
            done.bad.push(BadContent { content, path: self.path(entry), reason: reason.to_owned() });
        }
    }
}

/// What a read of the database that failed says of a content.
enum Failure {
    /// It may be the reason.
    Suspect(String),
    /// Nothing.
    Unknown,
}

/// Where in the arena a content lies; nowhere, if there is no such row.
type Found = Result<Option<Range<usize>>, Failure>;

/// Reads rows into the arena. Where the database is damaged each of the rest is read for itself, so that it costs what lies
/// there and nothing beside it. Where it cannot be asked at all nobody waits for each.
fn read_rows(rows: &[Option<Row>], kit: &mut Kit, done: &mut Done) -> Vec<Found> {
    kit.arena.clear();
    let mut found = vec![None; rows.len()];
    let mut wanted: Vec<(usize, Row)> =
        rows.iter().enumerate().filter_map(|(at, row)| row.map(|row| (at, row))).collect();
    let mut failures = HashMap::new();
    if let Err(error) = read_into(&wanted, kit, &mut found) {
        done.troubles.push(Trouble { what: "contents".to_owned(), reason: error.to_string() });
        wanted.retain(|(at, _)| found.get(*at).is_some_and(Option::is_none));
        let mut answers = true;
        for one in wanted {
            let failure = match answers.then(|| read_into(&[one], kit, &mut found)) {
                Some(Ok(())) => continue,
                Some(Err(error)) => {
                    answers = error.is_damage();
                    Failure::Suspect(error.to_string())
                }
                None => Failure::Unknown,
            };
            failures.insert(one.0, failure);
        }
    }
    found.into_iter().enumerate().map(|(at, range)| failures.remove(&at).map_or(Ok(range), Err)).collect()
}

fn read_into(wanted: &[(usize, Row)], kit: &mut Kit, found: &mut [Option<Range<usize>>]) -> Result<(), StoreError> {
    let Kit { reader, arena } = kit;
    let rows: Vec<Row> = wanted.iter().map(|(_, row)| *row).collect();
    let read = reader.read(&rows, &mut |index, bytes| {
        let start = arena.len();
        arena.extend_from_slice(bytes);
        if let Some(slot) = wanted.get(index).and_then(|(at, _)| found.get_mut(*at)) {
            *slot = Some(start..arena.len());
        }
    });
    read.map(drop)
}
