//! Reading and hashing files with several threads, while the caller's thread writes what they found.
//!
//! Small files are read, some hundred at a time, into one buffer, and hashed side by side; a large one is hashed while it
//! is copied to where large contents live. What is under way is bounded by the number of threads and the length of the
//! queue. A file counts as read only if the kernel says the same of it before and after.
//! Deliberately absent: an order of arrival; a batch is in tree order, and batches come nearly so.

use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::fs::{Mode, OFlags, openat};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::descent::Descent;
use super::error::{Failure, MOST_FAILURES, Why};
use super::facts::{Facts, Sort};
use super::plan::{Plan, ToRead};
use super::progress::Counter;
use super::walk::Walked;
use crate::store::{Incoming, Ingest, LARGE, Landing, NewContent, StoreError, Xxh128};
use crate::tree::{ContentHasher, ContentId, TreePath};

/// Files in a batch, at most.
const BATCH_FILES: usize = 256;

/// Bytes in a batch; the last file may exceed it by [`LARGE`].
const BATCH_BYTES: u64 = 1 << 20;

/// Batches that wait for the writer. With 16 threads this bounds what is under way to some 48 MiB.
const QUEUE: usize = 8;

/// How often a file is read that changes meanwhile.
const ATTEMPTS: usize = 3;

/// How much of a large file is read at once.
const PIECE: usize = 1 << 20;

/// A file that was read.
pub(super) struct Done {
    index: usize,
    facts: Facts,
    id: ContentId,
}

enum Message {
    Small {
        files: Vec<SmallFile>,
        bytes: Vec<u8>,
    },
    Large {
        done: Done,
        xxh128: Xxh128,
        incoming: Incoming,
    },
    /// A large file that holds what it held before.
    Same(Done),
    Failed(Failure),
    Store(StoreError),
}

struct SmallFile {
    done: Done,
    xxh128: Xxh128,
    range: Range<usize>,
}

/// Whether somebody still waits for what is read.
type Wanted<'a> = dyn Fn() -> bool + Sync + 'a;

/// What the threads share.
struct Crew<'w> {
    walked: &'w Walked,
    read: &'w [ToRead],
    jobs: Vec<Range<usize>>,
    next: AtomicUsize,
    stop: AtomicBool,
    root: BorrowedFd<'w>,
    landing: Landing,
    counter: &'w Counter<'w>,
    wanted: &'w Wanted<'w>,
}

/// Reads what the plan says, puts what the store lacks, and notes what was found in `walked` and `plan`.
pub(super) fn read_all(
    root: BorrowedFd<'_>,
    walked: &mut Walked,
    plan: &mut Plan,
    ingest: &mut Ingest<'_>,
    threads: usize,
    (counter, wanted): (&Counter<'_>, &Wanted<'_>),
) -> Result<Vec<Failure>, StoreError> {
    let crew = Crew {
        jobs: jobs(walked, &plan.read),
        walked,
        read: &plan.read,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        root,
        landing: ingest.landing(),
        counter,
        wanted,
    };
    let mut done = Vec::with_capacity(plan.read.len());
    let mut failures = Vec::new();
    let outcome = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(QUEUE);
        for _ in 0..threads.min(crew.jobs.len()) {
            let (sender, crew) = (sender.clone(), &crew);
            scope.spawn(move || crew.work(&sender));
        }
        drop(sender);
        let outcome = take_in(&receiver, ingest, &crew, &mut done, &mut failures);
        crew.stop.store(true, Ordering::Relaxed);
        outcome
    });
    outcome?;
    for Done { index, facts, id } in done {
        if let (Some(entry), Some(content)) = (walked.entries.get_mut(index), plan.contents.get_mut(index)) {
            entry.facts = facts;
            *content = Some(id);
        }
    }
    Ok(failures)
}

/// The writing half, on the caller's thread.
fn take_in(
    receiver: &Receiver<Message>,
    ingest: &mut Ingest<'_>,
    crew: &Crew<'_>,
    done: &mut Vec<Done>,
    failures: &mut Vec<Failure>,
) -> Result<(), StoreError> {
    for message in receiver {
        match message {
            Message::Small { files, bytes } => {
                let contents: Vec<NewContent<'_>> = files
                    .iter()
                    .map(|file| NewContent {
                        id: file.done.id,
                        xxh128: file.xxh128,
                        bytes: bytes.get(file.range.clone()).unwrap_or_default(),
                    })
                    .collect();
                ingest.put(&contents)?;
                crew.counter.read(contents.len().try_into().unwrap_or(0), bytes.len().try_into().unwrap_or(0));
                done.extend(files.into_iter().map(|file| file.done));
            }
            Message::Large { done: file, xxh128, incoming } => {
                ingest.put_large(&file.id, &xxh128, file.facts.size, incoming)?;
                crew.counter.read(1, 0);
                done.push(file);
            }
            Message::Same(file) => {
                crew.counter.read(1, 0);
                done.push(file);
            }
            Message::Store(error) => return Err(error),
            Message::Failed(failure) => {
                failures.push(failure);
                if failures.len() >= MOST_FAILURES {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Cuts the list into what a thread takes at once: a large file, or small neighbours.
fn jobs(walked: &Walked, read: &[ToRead]) -> Vec<Range<usize>> {
    let size =
        |at: usize| read.get(at).and_then(|file| walked.entries.get(file.index)).map_or(0, |entry| entry.facts.size);
    let mut jobs: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for at in 0..read.len() {
        let full = bytes >= BATCH_BYTES || size(at) > LARGE;
        match jobs.last_mut() {
            Some(job) if !full && job.len() < BATCH_FILES => {
                job.end = at + 1;
                bytes += size(at);
            }
            _ => {
                jobs.push(at..at + 1);
                bytes = size(at);
            }
        }
    }
    jobs
}

/// What one try at a small file gave.
enum Small {
    Read(Facts),
    TooLarge,
}

impl Crew<'_> {
    /// The reading half. Ends when there is nothing left, nobody listens, or nobody wants it any more.
    fn work(&self, sender: &SyncSender<Message>) {
        let mut descent = Descent::from(self.root);
        while !self.stop.load(Ordering::Relaxed) && (self.wanted)() {
            let Some(job) = self.jobs.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            let files = self.read.get(job.clone()).unwrap_or_default();
            if self.read_batch(&mut descent, files, sender).is_none() {
                return;
            }
        }
    }

    /// `None` if nobody listens any more.
    fn read_batch(&self, descent: &mut Descent<'_>, files: &[ToRead], sender: &SyncSender<Message>) -> Option<()> {
        let (mut bytes, mut read) = (Vec::new(), Vec::new());
        for file in files {
            let entry = self.walked.entries.get(file.index)?;
            let path = self.walked.path(entry);
            if entry.facts.size > LARGE {
                sender.send(self.large(descent, file, path, entry.facts)).ok()?;
                continue;
            }
            let start = bytes.len();
            match read_small(descent, path, &mut bytes).and_then(|small| same_group(small, &entry.facts)) {
                Ok(Small::Read(facts)) => read.push((file.index, facts, start..bytes.len())),
                Ok(Small::TooLarge) => sender.send(self.large(descent, file, path, entry.facts)).ok()?,
                Err(why) => sender.send(Message::Failed(Failure { path: path.to_string(), why })).ok()?,
            }
            // Files that grew since they were listed must not fill the memory.
            if u64::try_from(bytes.len()).is_ok_and(|length| length >= 2 * BATCH_BYTES) {
                sender.send(hashed(std::mem::take(&mut read), std::mem::take(&mut bytes))).ok()?;
            }
        }
        if read.is_empty() { Some(()) } else { sender.send(hashed(read, bytes)).ok() }
    }

    fn large(&self, descent: &mut Descent<'_>, file: &ToRead, path: TreePath<'_>, listed: Facts) -> Message {
        match self.read_large(descent, file, path) {
            Ok(Ok(message)) => match &message {
                Message::Large { done, .. } | Message::Same(done) if !is_same_inode(&done.facts, &listed) => {
                    Message::Failed(Failure { path: path.to_string(), why: Why::Changed })
                }
                _ => message,
            },
            Ok(Err(why)) => Message::Failed(Failure { path: path.to_string(), why }),
            Err(error) => Message::Store(error),
        }
    }

    /// Hashes a large file, and copies it where large contents live unless it is what was expected.
    fn read_large(
        &self,
        descent: &mut Descent<'_>,
        file: &ToRead,
        path: TreePath<'_>,
    ) -> Result<Result<Message, Why>, StoreError> {
        let index = file.index;
        let mut expected = file.expected;
        for _ in 0..ATTEMPTS {
            let (mut opened, before) = match open(descent, path) {
                Ok(opened) => opened,
                Err(why) => return Ok(Err(why)),
            };
            let mut incoming = if expected.is_some() { None } else { Some(self.landing.create()?) };
            let (mut hasher, mut xxh, mut length) = (ContentHasher::new(), Xxh3::new(), 0);
            let mut piece = vec![0; PIECE];
            loop {
                if !(self.wanted)() {
                    return Ok(Err(Why::Ended));
                }
                let read = match opened.read(&mut piece) {
                    Ok(0) => break,
                    Ok(read) => piece.get(..read).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Ok(Err(error.into())),
                };
                hasher.update(read);
                xxh.update(read);
                if let Some(incoming) = &mut incoming {
                    incoming.write(read)?;
                }
                let count = u64::try_from(read.len()).unwrap_or(0);
                length += count;
                self.counter.read(0, count);
                if length > before.size {
                    break;
                }
            }
            if length != before.size || Facts::of_open(&opened).ok() != Some(before) {
                continue;
            }
            let (id, xxh128) = (hasher.finish(), xxh.digest128().to_le_bytes());
            let done = Done { index, facts: before, id };
            match incoming {
                Some(incoming) => return Ok(Ok(Message::Large { done, xxh128, incoming })),
                None if expected == Some(id) => return Ok(Ok(Message::Same(done))),
                // Other bytes than before: once more, and this time they are kept.
                None => expected = None,
            }
        }
        Ok(Err(Why::Changed))
    }
}

/// A file with several names must still be the inode that they were found on.
fn is_same_inode(now: &Facts, listed: &Facts) -> bool {
    listed.links <= 1 || (now.mark.device, now.mark.inode) == (listed.mark.device, listed.mark.inode)
}

fn same_group(small: Small, listed: &Facts) -> Result<Small, Why> {
    match &small {
        Small::Read(facts) if !is_same_inode(facts, listed) => Err(Why::Changed),
        _ => Ok(small),
    }
}

fn hashed(read: Vec<(usize, Facts, Range<usize>)>, bytes: Vec<u8>) -> Message {
    let slices: Vec<&[u8]> = read.iter().map(|(_, _, range)| bytes.get(range.clone()).unwrap_or_default()).collect();
    let ids = ContentId::of_many(&slices);
    let sums: Vec<Xxh128> = slices.iter().map(|slice| xxh3_128(slice).to_le_bytes()).collect();
    let files = read.into_iter().zip(ids).zip(sums);
    let files =
        files.map(|(((index, facts, range), id), xxh128)| SmallFile { done: Done { index, facts, id }, xxh128, range });
    Message::Small { files: files.collect(), bytes }
}

/// Opens a file below the root: never through a symlink, and without waiting for a FIFO's writer.
fn open(descent: &mut Descent<'_>, path: TreePath<'_>) -> Result<(std::fs::File, Facts), Why> {
    let parent = descent.to(path.parent().unwrap_or(TreePath::ROOT)).map_err(Why::of_listed)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(parent, path.name(), flags, Mode::empty()).map_err(Why::of_listed)?;
    let facts = Facts::of_open(&opened).map_err(Why::of_listed)?;
    if facts.sort == Sort::File { Ok((opened.into(), facts)) } else { Err(Why::Changed) }
}

/// Appends a file to `bytes`, as often as it takes to find it the same before and after.
fn read_small(descent: &mut Descent<'_>, path: TreePath<'_>, bytes: &mut Vec<u8>) -> Result<Small, Why> {
    let start = bytes.len();
    for _ in 0..ATTEMPTS {
        bytes.truncate(start);
        let (opened, before) = open(descent, path)?;
        if before.size > LARGE {
            return Ok(Small::TooLarge);
        }
        let size = usize::try_from(before.size).unwrap_or(usize::MAX);
        let end = read_to_end(&opened, size, bytes)?;
        if end == End::Reached && bytes.len() - start == size && Facts::of_open(&opened).ok() == Some(before) {
            return Ok(Small::Read(before));
        }
    }
    bytes.truncate(start);
    Err(Why::Changed)
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum End {
    Reached,
    /// There is more than the kernel said.
    Beyond,
}

/// Reads a file of `size` bytes. One byte more is asked for, so that a short answer tells the end without another call.
fn read_to_end(opened: impl AsFd, size: usize, bytes: &mut Vec<u8>) -> Result<End, Why> {
    let start = bytes.len();
    bytes.resize(start + size + 1, 0);
    let mut filled = 0;
    loop {
        let rest = bytes.get_mut(start + filled..).unwrap_or_default();
        match rustix::io::read(&opened, rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Why::of_listed(error)),
        }
        if filled >= size {
            break;
        }
    }
    bytes.truncate(start + filled);
    Ok(if filled > size { End::Beyond } else { End::Reached })
}
