//! What a client asks for once it has the list: requests, informational records, deletion statistics, DONE.
//!
//! A request may be cut anywhere, and its block sums may be megabytes, so the reader keeps what is complete of it and
//! never reads a byte twice. Invariant: an index that leaves here names an entry of the list, and a transfer is only
//! asked for while it is legal. Whether the entry is a regular file only the driver knows.
//! In append mode a file's first request has a header without sums behind it: it tells how much of the file the client
//! has (protocol 9.9).

use super::error::WireError;
use super::numbers::{
    Cursor, NDX_DEL_STATS, NDX_DONE, NdxReader, NdxWriter, Short, put_u16, put_varint_u32, put_vstring,
};
use super::options::Append;
use super::sender_input::DataStream;
use super::sums::{SumHead, SumKind, SumSet};

/// Item flag: a basis type follows (protocol 9.1).
const BASIS_TYPE: u16 = 0x0800;
/// Item flag: a name follows.
const XNAME: u16 = 0x1000;
/// Item flag: the file's content is wanted.
const TRANSFER: u16 = 0x8000;

/// The destination file itself, which is meant where no basis type is sent (protocol 9.1).
pub(super) const BASIS_DESTINATION: u8 = 0x80;
/// The file in the partial directory.
pub(super) const BASIS_PARTIAL: u8 = 0x81;

/// Bytes of a header of block sums.
const HEADER_BYTES: u64 = 16;

/// Longest extra name in bytes: that of a path.
const XNAME_MAX: usize = 4095;

/// Most deletions of one kind that statistics may tell of (protocol 10.4).
const DELETED_MAX: u32 = 1 << 28;

/// Whether a file is asked for the first time in this session (protocol 9.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// The first time.
    First,
    /// Once more: what the client got the first time had a wrong sum. Whoever answers should doubt its own bytes.
    Again,
}

/// One file that the client wants. It is given back to [`Sender::begin`](super::sender::Sender::begin) or
/// [`Sender::no_send`](super::sender::Sender::no_send).
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub(super) record: Record,
    pub(super) attempt: Attempt,
    pub(super) sums: SumSet,
    pub(super) prefix: u64,
}

impl Request {
    /// The entry's place in the sorted list, below the number of its entries. It need not be a regular file: such a
    /// request breaks the protocol (9.1).
    #[must_use]
    pub fn ndx(&self) -> u32 {
        self.record.ndx.unsigned_abs()
    }

    /// Whether the file was asked for before.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// What the client says of its own copy, for logs: the item flags (protocol 9.1).
    #[must_use]
    pub fn item_flags(&self) -> u16 {
        self.record.flags
    }

    /// Bytes of the block sums that came with it, their header included.
    #[must_use]
    pub fn sum_bytes(&self) -> u64 {
        // In append mode the header alone comes.
        if self.prefix > 0 { HEADER_BYTES } else { self.sums.head().whole_length() }
    }

    /// Bytes of memory that it takes until it is answered, about: block sums count twice, for what is made of them to
    /// look for them.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.record.name.len() + 2 * self.sums.memory()
    }

    /// Whether the client has a basis, so that reading the file means searching it for known blocks as well.
    #[must_use]
    pub fn has_basis(&self) -> bool {
        self.prefix == 0 && self.sums.head().count() > 0
    }

    /// How many bytes from the file's start the client has and does not want again: 0 but in append mode. They are left
    /// out of what is sent (protocol 9.9); whether they are to be fed all the same says
    /// [`Sender::leave_out`](super::sender::Sender::leave_out).
    #[must_use]
    pub fn prefix(&self) -> u64 {
        self.prefix
    }
}

/// The head of a request, which is also the head of its reply (protocol 9.1, 9.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Of the sign of an index, but never negative.
    pub(super) ndx: i32,
    flags: u16,
    pub(super) basis: u8,
    name: Box<[u8]>,
}

impl Record {
    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.name.len()
    }

    fn read(ndx: i32, from: &mut Cursor<'_>) -> Result<Self, Short> {
        let flags = from.u16()?;
        let basis = if flags & BASIS_TYPE != 0 { from.u8()? } else { BASIS_DESTINATION };
        let name = if flags & XNAME != 0 { from.vstring(XNAME_MAX)?.into() } else { Box::default() };
        Ok(Self { ndx, flags, basis, name })
    }

    /// Appends the record as it came.
    pub(super) fn put(&self, ndx: &mut NdxWriter, out: &mut Vec<u8>) {
        ndx.write(out, self.ndx);
        put_u16(out, self.flags);
        if self.flags & BASIS_TYPE != 0 {
            out.push(self.basis);
        }
        if self.flags & XNAME != 0 {
            put_vstring(out, &self.name);
        }
    }
}

/// The five numbers of deletion statistics (protocol 10.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeletionStatistics([u32; 5]);

impl DeletionStatistics {
    fn read(from: &mut Cursor<'_>) -> Result<Self, Short> {
        let mut counts = [0; 5];
        for count in &mut counts {
            *count = from.varint()?.cast_unsigned();
        }
        Ok(Self(counts))
    }

    /// Appends the record as it came.
    pub(super) fn put(&self, ndx: &mut NdxWriter, out: &mut Vec<u8>) {
        ndx.write(out, NDX_DEL_STATS);
        self.0.iter().for_each(|count| put_varint_u32(out, *count));
    }
}

/// What [`Requests::next`] finds.
#[derive(Debug)]
pub(super) enum Incoming {
    Done,
    Deleted(DeletionStatistics),
    /// A record that is only to be sent back.
    Echo(Record),
    Wanted(Request),
}

/// What is legal at the moment (protocol 10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Legal {
    /// Nothing but DONE and deletion statistics.
    Endings,
    /// Informational records, too.
    Records,
    /// And transfers.
    Transfers,
}

/// What decides how a request is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) entries: u32,
    pub(super) block_sum: SumKind,
    pub(super) append: Append,
    /// In a dry run a request has no sums, and is only echoed.
    pub(super) dry_run: bool,
    /// From protocol 31 on.
    pub(super) deletion_statistics: bool,
}

/// How much of the next request has arrived.
#[derive(Debug)]
enum Partial {
    Nothing,
    Index(i32),
    Record(Record),
    Sums(Record, Box<SumSet>),
}

/// Reads requests off the data stream.
#[derive(Debug)]
pub(super) struct Requests {
    terms: Terms,
    ndx: NdxReader,
    partial: Partial,
    /// One bit for each entry that was asked for; empty until the first one is.
    asked: Vec<u64>,
}

impl Requests {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, ndx: NdxReader::default(), partial: Partial::Nothing, asked: Vec::new() }
    }

    /// The next complete item, or `None` until more has arrived.
    pub(super) fn next(&mut self, stream: &mut DataStream, legal: Legal) -> Result<Option<Incoming>, WireError> {
        loop {
            match std::mem::replace(&mut self.partial, Partial::Nothing) {
                Partial::Nothing => match stream.item("file index", |from| self.ndx.read(from))? {
                    None => return Ok(None),
                    Some(NDX_DONE) => return Ok(Some(Incoming::Done)),
                    Some(ndx) => {
                        self.check(ndx, legal)?;
                        self.partial = Partial::Index(ndx);
                    }
                },
                Partial::Index(NDX_DEL_STATS) => {
                    let Some(deleted) = stream.item("deletion statistics", DeletionStatistics::read)? else {
                        self.partial = Partial::Index(NDX_DEL_STATS);
                        return Ok(None);
                    };
                    if deleted.0.iter().any(|count| *count > DELETED_MAX) {
                        return Err(WireError::DeletionStatistics);
                    }
                    return Ok(Some(Incoming::Deleted(deleted)));
                }
                Partial::Index(ndx) => {
                    let Some(record) = stream.item("request", |from| Record::read(ndx, from))? else {
                        self.partial = Partial::Index(ndx);
                        return Ok(None);
                    };
                    if record.flags & TRANSFER == 0 || (self.terms.dry_run && legal == Legal::Transfers) {
                        return Ok(Some(Incoming::Echo(record)));
                    }
                    if legal < Legal::Transfers {
                        return Err(WireError::Late { ndx });
                    }
                    self.partial = Partial::Record(record);
                }
                Partial::Record(record) => {
                    let Some(head) =
                        stream.item("block sums", |from| from.array().map(|bytes| SumHead::parse(&bytes)))?
                    else {
                        self.partial = Partial::Record(record);
                        return Ok(None);
                    };
                    let head = head.map_err(|source| WireError::Sums { ndx: record.ndx, source })?;
                    let sums = SumSet::begin(head, self.terms.block_sum);
                    let appends = self.terms.append != Append::No && self.attempt(record.ndx) == Attempt::First;
                    let prefix = if appends { head.basis_length() } else { 0 };
                    if appends || sums.is_complete() {
                        return Ok(Some(self.wanted(record, sums, prefix)));
                    }
                    self.partial = Partial::Sums(record, Box::new(sums));
                }
                Partial::Sums(record, mut sums) => {
                    let mut rest = stream.rest();
                    let before = rest.len();
                    let complete = sums.fill(&mut rest);
                    let taken = before - rest.len();
                    stream.advance(taken);
                    if complete {
                        return Ok(Some(self.wanted(record, *sums, 0)));
                    }
                    self.partial = Partial::Sums(record, sums);
                    return Ok(None);
                }
            }
        }
    }

    /// Bytes of memory that the incomplete request takes.
    pub(super) fn memory(&self) -> usize {
        match &self.partial {
            Partial::Nothing | Partial::Index(_) => 0,
            Partial::Record(record) => record.memory(),
            Partial::Sums(record, sums) => record.memory() + sums.memory(),
        }
    }

    fn check(&self, ndx: i32, legal: Legal) -> Result<(), WireError> {
        let entries = self.terms.entries;
        match u32::try_from(ndx) {
            Ok(place) if place >= entries => Err(WireError::Index { ndx, entries }),
            Ok(_) if legal == Legal::Endings => Err(WireError::Late { ndx }),
            Ok(_) => Ok(()),
            Err(_) if ndx != NDX_DEL_STATS => Err(WireError::Index { ndx, entries }),
            Err(_) if self.terms.deletion_statistics => Ok(()),
            Err(_) => Err(WireError::DeletionStatistics),
        }
    }

    /// Whether a file would be asked for the first time now.
    fn attempt(&self, ndx: i32) -> Attempt {
        let (word, bit) = place(ndx);
        match self.asked.get(word) {
            Some(word) if *word & bit != 0 => Attempt::Again,
            _ => Attempt::First,
        }
    }

    fn wanted(&mut self, record: Record, sums: SumSet, prefix: u64) -> Incoming {
        let attempt = self.attempt(record.ndx);
        if self.asked.is_empty() {
            let entries = usize::try_from(self.terms.entries).unwrap_or_default();
            self.asked = vec![0; entries.div_ceil(64)];
        }
        let (word, bit) = place(record.ndx);
        if let Some(word) = self.asked.get_mut(word) {
            *word |= bit;
        }
        Incoming::Wanted(Request { record, attempt, sums, prefix })
    }
}

/// The word and the bit of an index that is not negative.
fn place(ndx: i32) -> (usize, u64) {
    let ndx = usize::try_from(ndx).unwrap_or_default();
    (ndx / 64, 1 << (ndx % 64))
}
