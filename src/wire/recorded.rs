//! For tests: recorded sessions of stock peers, and what a daemon's bytes say when they are taken apart.
//!
//! The text phase is skipped, the rest is read with this folder's own readers to the last byte: list, replies with
//! their tokens, DONEs, statistics, messages. A recording and a sender of ours can so be compared by meaning, where
//! frames, order of entries and compressed bytes may differ. Of sessions with incremental recursion, which this daemon
//! always declines, only the client's first words are of use.

use std::collections::HashMap;

use super::flist::{DirRole, Is, Link, Listed, TYPE_FILE, TYPE_MASK};
use super::flist_read::{ListItem, ListReader};
use super::mux::{Demux, Piece, Tag};
use super::numbers::{Cursor, Min, NDX_DEL_STATS, NDX_DONE, NdxReader, Short};
use super::options::{CompressChoice, Flag};
use super::order::compare;
use super::sender::{ListRequest, ModuleTerms, Sender, SenderConfig, Step};
use super::sums::{Digest, SumHead};
use super::token_read::{Event, TokenReader};

/// A recorded session by name: what the client sent, what the daemon sent.
macro_rules! recording {
    ($name:literal) => {
        $crate::wire::recorded::Recording {
            name: $name,
            client: include_bytes!(concat!("../../tests/vectors/", $name, ".client.bin")),
            server: include_bytes!(concat!("../../tests/vectors/", $name, ".server.bin")),
        }
    };
}
pub(super) use recording;

pub(super) struct Recording {
    pub(super) name: &'static str,
    pub(super) client: &'static [u8],
    pub(super) server: &'static [u8],
}

/// All recordings of the whole tree with a single list.
pub(super) fn recordings() -> Vec<Recording> {
    vec![
        recording!("full-noinc-p32"),
        recording!("full-noinc-p30"),
        recording!("numeric-p32"),
        recording!("delta-xxh128-p32"),
        recording!("delta-md5-p31"),
        recording!("delta-xxh64-p32"),
        recording!("delta-xxh3-negseed-p32"),
        recording!("delta-sha1-p32"),
        recording!("delta-zstd-p32"),
        recording!("delta-zlibx-p32"),
        recording!("delta-zlib-p31"),
        recording!("delta-lz4-p32"),
        recording!("checksum-c-p32"),
        recording!("emerge-declined-p32"),
        recording!("redo-noinc-p32"),
    ]
}

/// Recordings of parts of the tree: named files, and append mode. Requests and list fit together as in [`recordings`].
pub(super) fn partial_recordings() -> Vec<Recording> {
    vec![
        recording!("files-from-p32"),
        recording!("files-from-p30"),
        recording!("files-from-comments-p32"),
        recording!("append-p32"),
        recording!("append-verify-p32"),
    ]
}

/// One entry with its bytes owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) size: u64,
    time: (i64, u32),
    ids: (u32, u32),
    target: Vec<u8>,
    checksum: Vec<u8>,
    role: DirRole,
    link: Link,
}

impl Owned {
    pub(super) fn of(entry: &Listed<'_>) -> Self {
        Self {
            name: entry.name.to_vec(),
            mode: entry.mode,
            size: entry.size,
            time: (entry.mtime, entry.nanos),
            ids: (entry.uid, entry.gid),
            target: entry.target.to_vec(),
            checksum: entry.checksum.to_vec(),
            role: entry.role,
            link: entry.link,
        }
    }

    pub(super) fn listed(&self) -> Listed<'_> {
        Listed {
            name: &self.name,
            mode: self.mode,
            size: self.size,
            mtime: self.time.0,
            nanos: self.time.1,
            uid: self.ids.0,
            gid: self.ids.1,
            target: &self.target,
            checksum: &self.checksum,
            role: self.role,
            link: self.link,
        }
    }
}

/// A token of a reply, neighbouring literals put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(Vec<u8>),
    Copy(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Done,
    Deleted([i32; 5]),
    /// Index, flags, basis type, extra name.
    Record(i32, u16, Option<u8>, Option<Vec<u8>>),
    /// The reply to the record before it.
    File {
        head: SumHead,
        parts: Vec<Part>,
        sum: Digest,
    },
    Statistics([i64; 5]),
}

/// All that a daemon said behind the setup.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// In the order in which they were sent.
    pub(super) entries: Vec<Owned>,
    pub(super) users: Vec<(u32, Vec<u8>)>,
    pub(super) groups: Vec<(u32, Vec<u8>)>,
    pub(super) io_error: u32,
    /// The bytes of the list in the data stream.
    pub(super) list: Vec<u8>,
    pub(super) said: Vec<Said>,
    pub(super) messages: Vec<(Tag, Vec<u8>)>,
}

/// What a client asks for: its bytes, given to a sender up to the point where it wants the list.
pub(super) fn asked(client: &[u8]) -> ListRequest {
    let mut sender = Sender::new(SenderConfig::default());
    sender.input(client);
    loop {
        match sender.poll().unwrap() {
            Step::Module(_) => sender.accept(ModuleTerms::default()),
            Step::List(request) => return *request,
            step => panic!("{step:?} before the list"),
        }
    }
}

/// The contents of the recorded tree by name, from the session that sent them all.
pub(super) fn contents() -> HashMap<Vec<u8>, Vec<u8>> {
    let all = recording!("numeric-p32");
    let heard = hear(all.server, &asked(all.client), &HashMap::new());
    let mut contents = HashMap::new();
    let sorted = sorted(&heard.entries);
    let mut last = 0;
    for said in &heard.said {
        match said {
            Said::Record(ndx, ..) => last = usize::try_from(*ndx).unwrap(),
            Said::File { parts, .. } => {
                let whole = parts.iter().flat_map(|part| match part {
                    Part::Literal(data) => data.clone(),
                    Part::Copy(_) => panic!("a copy in a session without a basis"),
                });
                contents.insert(sorted[last].name.clone(), whole.collect());
            }
            _ => {}
        }
    }
    contents
}

/// Entries in the order of their indices.
pub(super) fn sorted(entries: &[Owned]) -> Vec<Owned> {
    let mut sorted = entries.to_vec();
    sorted.sort_by(|a, b| compare((&a.name, Is::of(a.mode)), (&b.name, Is::of(b.mode))));
    sorted
}

/// Splits frames into the data stream and the messages. All of `frames` must be whole.
pub(super) fn unframed(frames: &[u8]) -> (Vec<u8>, Vec<(Tag, Vec<u8>)>) {
    let (mut demux, mut data, mut messages) = (Demux::of_daemon(), Vec::new(), Vec::new());
    demux.input(frames);
    while let Some(piece) = demux.next().unwrap() {
        match piece {
            Piece::Data(bytes) => data.extend_from_slice(&bytes),
            Piece::Message(tag, payload) => messages.push((tag, payload)),
        }
    }
    (data, messages)
}

/// Where the frames begin in what a daemon sent.
pub(super) fn framed<'a>(server: &'a [u8], about: &ListRequest) -> &'a [u8] {
    const OK: &[u8] = b"@RSYNCD: OK\n";
    let text = server.windows(OK.len()).position(|window| window == OK).unwrap() + OK.len();
    let mut setup = Cursor::new(&server[text..]);
    let varint_flags = setup.varint().unwrap() & 0x80 != 0;
    if varint_flags && about.options.checksum_choice.is_none() {
        setup.vstring(1000).unwrap();
    }
    if varint_flags && about.options.compress.choice == CompressChoice::Negotiate {
        setup.vstring(1000).unwrap();
    }
    setup.i32().unwrap();
    setup.rest()
}

/// Takes apart what a daemon sent from its first byte on. Every byte must have a meaning.
pub(super) fn hear(server: &[u8], about: &ListRequest, contents: &HashMap<Vec<u8>, Vec<u8>>) -> Heard {
    let (data, messages) = unframed(framed(server, about));
    let mut heard = Heard { messages, ..Heard::default() };
    let mut cursor = Cursor::new(&data);
    let mut reader = ListReader::new(about.format);
    loop {
        match reader.next(&mut cursor).unwrap().expect("the list ends early") {
            ListItem::Entry(entry) => heard.entries.push(Owned::of(&entry)),
            ListItem::User(id, name) => heard.users.push((id, name.to_vec())),
            ListItem::Group(id, name) => heard.groups.push((id, name.to_vec())),
            ListItem::End { io_error } => {
                heard.io_error = io_error;
                break;
            }
        }
    }
    heard.list = data[..cursor.consumed()].to_vec();
    let mut conversation = Conversation {
        about,
        contents,
        names: sorted(&heard.entries).into_iter().map(|entry| (entry.name, entry.mode)).collect(),
        tokens: TokenReader::new(about.agreed.codec, about.protocol),
        ndx: NdxReader::default(),
        said: Vec::new(),
    };
    conversation.hear(cursor.rest());
    heard.said = conversation.said;
    heard
}

struct Conversation<'a> {
    about: &'a ListRequest,
    contents: &'a HashMap<Vec<u8>, Vec<u8>>,
    names: Vec<(Vec<u8>, u32)>,
    tokens: TokenReader,
    ndx: NdxReader,
    said: Vec<Said>,
}

impl Conversation<'_> {
    fn hear(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let mut cursor = Cursor::new(data);
            self.one(&mut cursor).expect("the conversation ends inside something");
            data = cursor.rest();
        }
    }

    fn one(&mut self, from: &mut Cursor<'_>) -> Result<(), Short> {
        let ndx = self.ndx.read(from)?;
        match ndx {
            NDX_DONE => {
                self.said.push(Said::Done);
                if self.said.iter().filter(|said| **said == Said::Done).count() == 3 {
                    let mut numbers = [0; 5];
                    for number in &mut numbers {
                        *number = from.varlong(Min::Three)?;
                    }
                    self.said.push(Said::Statistics(numbers));
                }
            }
            NDX_DEL_STATS => {
                let mut counts = [0; 5];
                for count in &mut counts {
                    *count = from.varint()?;
                }
                self.said.push(Said::Deleted(counts));
            }
            _ => {
                let flags = from.u16()?;
                let basis = if flags & 0x0800 != 0 { Some(from.u8()?) } else { None };
                let name = if flags & 0x1000 != 0 { Some(from.vstring(4095)?.to_vec()) } else { None };
                self.said.push(Said::Record(ndx, flags, basis, name));
                if flags & 0x8000 != 0 && !self.about.options.has(Flag::DryRun) {
                    let file = self.file(usize::try_from(ndx).unwrap(), from)?;
                    self.said.push(file);
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, ndx: usize, from: &mut Cursor<'_>) -> Result<Said, Short> {
        let head = SumHead::parse(&from.array()?).unwrap();
        let (name, mode) = &self.names[ndx];
        assert_eq!(mode & TYPE_MASK, TYPE_FILE);
        let whole = self.contents.get(name).map_or(&[][..], Vec::as_slice);
        let (mut parts, mut at): (Vec<Part>, usize) = (Vec::new(), 0);
        self.tokens.start_file(head.count());
        let mut rest = from.rest();
        let before = rest.len();
        loop {
            match self.tokens.next(&mut rest).unwrap().ok_or(Short::More)? {
                Event::Literal(data) => {
                    at += data.len();
                    match parts.last_mut() {
                        Some(Part::Literal(last)) => last.extend_from_slice(data),
                        _ => parts.push(Part::Literal(data.to_vec())),
                    }
                }
                Event::Copy(block) => {
                    let length = usize::try_from(head.length_of(block)).unwrap();
                    self.tokens.matched(&whole[at..at + length]).unwrap();
                    at += length;
                    parts.push(Part::Copy(block));
                }
                Event::End => break,
            }
        }
        from.take(before - rest.len())?;
        let sum = Digest::new(from.take(self.about.agreed.whole_sum.length())?);
        Ok(Said::File { head, parts, sum })
    }
}
