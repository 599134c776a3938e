//! One file list, encoded: the bytes that every client with the same wishes gets, and what stands behind each index.
//!
//! A selection is in list order, so the n-th entry sent has index n (protocol 8.6). Only where several
//! arguments overlap is it sorted once more. Owner and group are the module's, since snapshots have none. The bytes
//! of a list count as memory as long as anybody holds them, and the index apart from them, since it is needed longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::account::{Account, Charge};
use super::effort::{Effort, MOST_SUMMING};
use super::published::Ownership;
use super::selection::{NOTHING, Selected, Selection};
use super::view::{ViewOrder, select};
use crate::store::{Home, Located, Reader, Row};
use crate::tree::{Entry, Kind, Snapshot};
use crate::wire::filter::{FilterError, MAX_MERGE_FILE};
use crate::wire::flist::{DirRole, Is, Link, ListFormat, Listed, TYPE_DIRECTORY, TYPE_FILE, TYPE_SYMLINK};
use crate::wire::flist_write::ListWriter;
use crate::wire::mux::{Tag, frames_of, put_frame};
use crate::wire::order::compare;
use crate::wire::sums::{Digest, SumKind, WholeSum};

/// What a directory says of its size: one block, as most file systems do. Clients only print it.
const DIRECTORY_SIZE: u64 = 4096;

/// Permissions that a symlink is listed with.
const SYMLINK_MODE: u32 = 0o777;

/// What a list counts for beside its bytes. Its place takes less; but so the cache never holds more lists than can be
/// looked through while clients wait: 16,384 in 256 MiB, and half of them for one address.
pub(super) const PLACE_BYTES: usize = 16 << 10;

/// How many contents are read in one go for the sums of `-c`.
const SUM_BATCH: usize = 1024;

/// Most bytes of an encoded list: 8,000,000 entries with long names.
const MOST_LIST_BYTES: usize = 1 << 30;

/// An encoded file list.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Mux frames: the whole list with its end.
    pub(crate) frames: Bytes,
    /// What stands behind each index; all that is needed once the list is sent.
    pub(crate) index: Arc<Index>,
    /// Mux frames that go before it: what the client is told about what could not be listed.
    pub(crate) messages: Bytes,
    pub(crate) io_error: u32,
    /// Sizes of files and symlinks, added up.
    pub(crate) total_size: u64,
    pub(crate) build: Duration,
}

/// Entries of the snapshot by list index.
#[derive(Debug)]
pub(crate) struct Index {
    entries: Vec<u32>,
    _charge: Charge,
}

impl Listing {
    /// Memory that it takes, for the bound of the cache.
    pub(crate) fn weight(&self) -> usize {
        self.frames.len() + self.messages.len() + self.index.len() * size_of::<u32>() + PLACE_BYTES
    }

    /// Whether nobody but the cache has it, or anything of it.
    pub(crate) fn is_idle(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1 && Arc::strong_count(&self.index) == 1
    }
}

impl Index {
    fn of(selection: &Selection, account: &Account) -> Arc<Index> {
        let entries: Vec<u32> = selection.selected.iter().map(|one| one.entry).collect();
        let _charge = account.charge(entries.len() * size_of::<u32>() + PLACE_BYTES);
        Arc::new(Index { entries, _charge })
    }

    /// How many entries the list has.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry that a client's index means.
    pub(crate) fn entry<'a>(&self, snapshot: &'a Snapshot, ndx: u32) -> Option<(usize, Entry<'a>)> {
        let index = usize::try_from(*self.entries.get(usize::try_from(ndx).ok()?)?).ok()?;
        Some((index, snapshot.entry(index)?))
    }
}

/// Why there is no list: the text for the client, and the exit code that it ends with (protocol 12.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NoList {
    pub(crate) code: i32,
    pub(crate) text: String,
}

/// Exit code: what was asked for cannot be selected.
const CODE_SELECTION: i32 = 3;

impl NoList {
    /// The client asks for too much, or for what is not there.
    pub(crate) fn selection(text: impl Into<String>) -> NoList {
        NoList { code: CODE_SELECTION, text: text.into() }
    }

    /// It is our fault, and in our log.
    pub(crate) fn ours() -> NoList {
        NoList::selection("the server could not build the file list")
    }
}

impl From<FilterError> for NoList {
    fn from(error: FilterError) -> NoList {
        NoList { code: i32::from(error.exit_code()), text: error.to_string() }
    }
}

/// How a list is written.
pub(crate) struct Form<'a> {
    pub(crate) format: ListFormat,
    /// Whom all entries belong to.
    pub(crate) owner: &'a Ownership,
}

/// Selects and encodes. Contents are read for merge files and for sums that are not stored.
pub(crate) fn build(
    located: &Located,
    order: &ViewOrder<'_>,
    form: &Form<'_>,
    reader: &mut Reader,
    account: &Account,
) -> Result<Listing, NoList> {
    let start = Instant::now();
    let snapshot = located.snapshot();
    let mut selection = select(snapshot, order, &mut |index| read_small(located, reader, index))?;
    sort(snapshot, &mut selection);
    let sums = match form.format.checksum.filter(|_| reads_contents(form.format)) {
        None => HashMap::new(),
        Some(kind) => computed_sums(located, &selection, kind, reader, order.effort)?,
    };
    let encoded = encode(located, &selection, form, &sums)?;
    Ok(Listing {
        frames: account.chunk(frames_of(&encoded.bytes)),
        index: Index::of(&selection, account),
        messages: account.chunk(message_frames(&selection.messages)),
        io_error: selection.io_error,
        total_size: encoded.total_size,
        build: start.elapsed(),
    })
}

/// Whether such a list holds sums for which every content must be read.
pub(crate) fn reads_contents(format: ListFormat) -> bool {
    format.checksum.is_some_and(|kind| kind != SumKind::Xxh128)
}

fn message_frames(messages: &[(Tag, Vec<u8>)]) -> Vec<u8> {
    let mut frames = Vec::new();
    for (tag, text) in messages {
        put_frame(&mut frames, *tag, text);
    }
    frames.shrink_to_fit();
    frames
}

/// A merge file's bytes, or nothing where they cannot be had.
fn read_small(located: &Located, reader: &mut Reader, index: usize) -> Option<Vec<u8>> {
    let mut bytes = None;
    match located.place(index)?.home {
        Home::Row(row) => {
            reader.read(&[row], &mut |_, found| bytes = Some(found.to_vec())).ok()?;
        }
        // Too long for rules. One byte more than is allowed says so.
        Home::Large => bytes = Some(vec![b'#'; MAX_MERGE_FILE + 1]),
    }
    bytes
}

fn usize_of(entry: u32) -> usize {
    usize::try_from(entry).unwrap_or(usize::MAX)
}

/// Puts overlapping arguments into one order; a selection of one argument already has it.
fn sort(snapshot: &Snapshot, selection: &mut Selection) {
    let mut selected = std::mem::take(&mut selection.selected);
    let is = |one: &Selected| if one.role == DirRole::NotADirectory { Is::Other } else { Is::Directory };
    let (mut left, mut right) = (Vec::new(), Vec::new());
    selected.sort_by(|a, b| {
        let names = (selection.name(a, snapshot, &mut left), selection.name(b, snapshot, &mut right));
        compare((names.0, is(a)), (names.1, is(b)))
    });
    selection.selected = selected;
}

/// Sums that the store does not keep: every listed content is read and hashed. What cannot be read gets zeros (8.3).
fn computed_sums(
    located: &Located,
    selection: &Selection,
    kind: SumKind,
    reader: &mut Reader,
    effort: &Effort,
) -> Result<HashMap<u32, Digest>, NoList> {
    let mut sums = HashMap::new();
    let mut rows: Vec<(u32, Row)> = Vec::new();
    for one in &selection.selected {
        match located.place(usize_of(one.entry)).map(|place| place.home) {
            Some(Home::Row(row)) => rows.push((one.entry, row)),
            Some(Home::Large) if sums.contains_key(&one.entry) => {}
            Some(Home::Large) => {
                if let Some(digest) = large_sum(located, one.entry, kind, reader, effort)? {
                    sums.insert(one.entry, digest);
                }
            }
            None => {}
        }
    }
    for batch in rows.chunks(SUM_BATCH) {
        effort.within(MOST_SUMMING)?;
        let wanted: Vec<Row> = batch.iter().map(|(_, row)| *row).collect();
        let read = reader.read(&wanted, &mut |at, bytes| {
            if let Some((entry, _)) = batch.get(at) {
                sums.insert(*entry, kind.whole(bytes));
            }
        });
        if let Err(error) = read {
            tracing::error!(%error, "read contents for the sums of a file list");
        }
    }
    Ok(sums)
}

/// The sum of a large content; nothing where it cannot be read.
fn large_sum(
    located: &Located,
    entry: u32,
    kind: SumKind,
    reader: &Reader,
    effort: &Effort,
) -> Result<Option<Digest>, NoList> {
    use std::io::Read;
    let content = match located.snapshot().entry(usize_of(entry)).map(|entry| entry.kind) {
        Some(Kind::File { content, .. }) => content,
        _ => return Ok(None),
    };
    let Ok(Some(mut file)) = reader.read_large(content) else { return Ok(None) };
    let mut sum = WholeSum::new(kind);
    let mut buffer = vec![0; 256 << 10];
    loop {
        effort.within(MOST_SUMMING)?;
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Some(sum.finish())),
            Ok(n) => sum.update(buffer.get(..n).unwrap_or_default()),
            Err(_) => return Ok(None),
        }
    }
}

struct Encoded {
    bytes: Vec<u8>,
    total_size: u64,
}

/// Group numbers are the position of the group's first member (protocol 8.3.1).
struct Groups(HashMap<u32, u32>);

impl Groups {
    fn link(&mut self, entry: Option<&Entry<'_>>, position: u32) -> Link {
        let Some(Kind::File { group: Some(group), .. }) = entry.map(|entry| entry.kind) else { return Link::None };
        match self.0.get(&group.get()) {
            Some(first) => Link::Member(*first),
            None => {
                self.0.insert(group.get(), position);
                Link::First
            }
        }
    }
}

fn encode(
    located: &Located,
    selection: &Selection,
    form: &Form<'_>,
    sums: &HashMap<u32, Digest>,
) -> Result<Encoded, NoList> {
    let (snapshot, format) = (located.snapshot(), form.format);
    let Ownership { uid, user, gid, group } = form.owner;
    let mut writer = ListWriter::new(format);
    let mut bytes = Vec::with_capacity(selection.selected.len() * 32);
    let (mut total_size, mut buffer, mut groups) = (0_u64, Vec::new(), Groups(HashMap::new()));
    // What is missing goes first: some clients take a mode of 0 only where it needs not be said (protocol 8.3). The
    // order on the wire is free.
    let (missing, there): (Vec<&Selected>, Vec<&Selected>) =
        selection.selected.iter().partition(|one| one.entry == NOTHING);
    for one in missing.into_iter().chain(there) {
        let entry = snapshot.entry(usize_of(one.entry));
        let link = if format.hard_links { groups.link(entry.as_ref(), writer.count()) } else { Link::None };
        let sum = checksum(located, one, format, sums);
        let (mode, size, target): (u32, u64, &[u8]) = match entry.map(|entry| entry.kind) {
            None => (0, 0, b""),
            Some(Kind::Directory { mode }) => (TYPE_DIRECTORY | mode.bits(), DIRECTORY_SIZE, b""),
            Some(Kind::File { mode, size, .. }) => (TYPE_FILE | mode.bits(), size, b""),
            Some(Kind::Symlink { target }) => {
                (TYPE_SYMLINK | SYMLINK_MODE, u64::try_from(target.len()).unwrap_or(u64::MAX), target)
            }
        };
        if !entry.is_some_and(|entry| entry.is_directory()) {
            total_size = total_size.saturating_add(size);
        }
        let mtime = entry.map(|entry| entry.mtime).unwrap_or_default();
        let listed = Listed {
            name: selection.name(one, snapshot, &mut buffer),
            mode,
            size,
            mtime: mtime.seconds(),
            nanos: mtime.nanos(),
            uid: *uid,
            gid: *gid,
            target,
            checksum: &sum,
            role: one.role,
            link,
        };
        writer.push(&mut bytes, &listed);
        if bytes.len() > MOST_LIST_BYTES {
            return Err(NoList::selection("the file list is too long: ask for parts of it"));
        }
    }
    let (users, names) = ([(*uid, user.as_bytes())], [(*gid, group.as_bytes())]);
    let known = |names: &[(u32, &[u8])]| names.iter().filter(|(_, name)| !name.is_empty()).count();
    writer.finish(&mut bytes, selection.io_error, &users[..known(&users)], &names[..known(&names)]);
    Ok(Encoded { bytes, total_size })
}

/// The sum of one entry for `-c`; empty where the list carries none.
fn checksum(located: &Located, one: &Selected, format: ListFormat, sums: &HashMap<u32, Digest>) -> Vec<u8> {
    let Some(kind) = format.checksum else { return Vec::new() };
    let stored = match kind {
        SumKind::Xxh128 => located.place(usize_of(one.entry)).map(|place| place.xxh128.to_vec()),
        _ => sums.get(&one.entry).map(|digest| digest.as_bytes().to_vec()),
    };
    stored.unwrap_or_else(|| vec![0; kind.length()])
}
