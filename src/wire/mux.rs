//! The multiplex: after the binary setup both directions carry frames, a header of four bytes and a payload.
//!
//! Data frames, put together, are the data stream; where one frame ends means nothing, so [`Demux`] hands
//! their bytes on as they arrive and collects none. A message is collected, and may do so: no message that we
//! accept is longer than 5,119 bytes. What a side may not send in a pull is an error on sight. Keep-alives (empty
//! data frames) and no-ops end here; whoever measures silence does it where the bytes are read. Deliberately
//! absent: any reaction to a message, and the meaning of the bytes that protocol 30 puts between two frames.

use bytes::{Buf, Bytes, BytesMut};

/// Longest text or other message in either direction, in bytes. Stock aborts on 5,120 and more (protocol 5.1).
pub const MAX_MESSAGE: usize = 5_119;

/// Longest payload that the 24 bits of a frame header can announce.
pub const MAX_PAYLOAD: usize = (1 << 24) - 1;

/// Payload of the data frames that [`frames_of`] makes: with its header a frame fills 64 KiB.
pub const FRAME: usize = 65_536 - HEADER;

const HEADER: usize = 4;

/// A frame's tag goes over the wire with this added (protocol 5.1).
const TAG_BASE: u8 = 7;

/// What a frame carries: data, or one kind of message (protocol 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Tag {
    /// A piece of the data stream.
    Data = 0,
    /// Text about a file that could not be transferred; the client ends with code 23.
    ErrorXfer = 1,
    /// Text for the client's standard output.
    Info = 2,
    /// Text for the client's standard error.
    Error = 3,
    /// Text of a warning.
    Warning = 4,
    /// Four bytes: bits to add to the session's I/O error.
    IoError = 22,
    /// Four bytes: the daemon's timeout in seconds.
    IoTimeout = 33,
    /// Nothing at all, from peers of the 3.0 series.
    Noop = 42,
    /// The sender of it is about to die: four bytes of exit code, or empty for "stop now" (protocol 5.3).
    ErrorExit = 86,
    /// Four bytes: the index of a file that arrived; only with `--remove-source-files`.
    Success = 100,
    /// A name that was deleted; never on the wire in a pull.
    Deleted = 101,
    /// Four bytes: the index of a file that will get no reply.
    NoSend = 102,
}

impl Tag {
    const ALL: [Self; 12] = [
        Self::Data,
        Self::ErrorXfer,
        Self::Info,
        Self::Error,
        Self::Warning,
        Self::IoError,
        Self::IoTimeout,
        Self::Noop,
        Self::ErrorExit,
        Self::Success,
        Self::Deleted,
        Self::NoSend,
    ];

    fn from_wire(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tag| tag.to_wire() == byte)
    }

    const fn to_wire(self) -> u8 {
        self as u8 + TAG_BASE
    }

    /// The table of protocol 5.2, columns "in a pull".
    fn may_come_from(self, peer: Peer) -> bool {
        match self {
            Self::Data | Self::Noop | Self::ErrorExit => true,
            Self::ErrorXfer
            | Self::Info
            | Self::Error
            | Self::Warning
            | Self::IoError
            | Self::IoTimeout
            | Self::NoSend => peer == Peer::Daemon,
            Self::Success | Self::Deleted => false,
        }
    }

    fn allows_length(self, length: usize) -> bool {
        match self {
            Self::Data => length <= MAX_PAYLOAD,
            Self::ErrorXfer | Self::Info | Self::Error | Self::Warning | Self::Deleted => length <= MAX_MESSAGE,
            Self::IoError | Self::IoTimeout | Self::Success | Self::NoSend => length == 4,
            Self::ErrorExit => length == 4 || length == 0,
            Self::Noop => length == 0,
        }
    }
}

/// The header of a frame with `length` bytes of payload, at most [`MAX_PAYLOAD`] (protocol 5.1).
#[must_use]
pub const fn frame_header(tag: Tag, length: usize) -> [u8; 4] {
    debug_assert!(length <= MAX_PAYLOAD, "a payload longer than its header can say");
    let [low, middle, high, ..] = length.to_le_bytes();
    [low, middle, high, tag.to_wire()]
}

/// Appends `payload` as one frame. Data too long for one frame becomes several, which means the same; a message
/// longer than [`MAX_MESSAGE`] loses its end, since the peer would abort over it.
pub fn put_frame(out: &mut Vec<u8>, tag: Tag, payload: &[u8]) {
    match tag {
        Tag::Data if payload.len() > MAX_PAYLOAD => {
            payload.chunks(FRAME).for_each(|piece| put_one(out, tag, piece));
        }
        Tag::Data => put_one(out, tag, payload),
        _ => match payload.get(..MAX_MESSAGE - 1) {
            Some(start) if payload.len() > MAX_MESSAGE => put_one(out, tag, &[start, b"\n"].concat()),
            _ => put_one(out, tag, payload),
        },
    }
}

fn put_one(out: &mut Vec<u8>, tag: Tag, payload: &[u8]) {
    out.extend_from_slice(&frame_header(tag, payload.len()));
    out.extend_from_slice(payload);
}

/// `data` as data frames of at most [`FRAME`] bytes each, in one buffer. No data gives no frame.
#[must_use]
pub fn frames_of(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len().div_ceil(FRAME) * HEADER);
    data.chunks(FRAME).for_each(|piece| put_one(&mut out, Tag::Data, piece));
    out
}

/// Why a stream of frames cannot be read on. All of them are violations by the peer (exit code 12).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MuxError {
    /// The tag is unknown, or not one that this peer may send in a pull.
    #[error("frame with tag {0}, which this side of a pull never sends")]
    Tag(i16),
    /// The payload's length does not fit the message.
    #[error("{tag:?} message of {length} bytes, which is not a length it can have")]
    Length {
        /// The kind of message.
        tag: Tag,
        /// The length that its header announced, in bytes.
        length: usize,
    },
}

/// What a [`Demux`] hands out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// The next bytes of the data stream, never empty.
    Data(Bytes),
    /// A whole message: its kind and payload, of a length that fits the kind.
    Message(Tag, Vec<u8>),
}

/// Who sends the frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Client,
    Daemon,
}

/// Takes a direction's bytes apart into data and messages.
///
/// It holds what was put in and not yet asked for, and nothing more: who calls [`Demux::next`] until it gives
/// `None` after each input leaves at most one unfinished message inside.
#[derive(Debug)]
pub struct Demux {
    peer: Peer,
    buffer: BytesMut,
    /// Bytes of the current data frame that have not been handed out.
    open: usize,
}

impl Default for Demux {
    fn default() -> Self {
        Self::new()
    }
}

impl Demux {
    /// Reads what a client sends.
    #[must_use]
    pub fn new() -> Self {
        Self { peer: Peer::Client, buffer: BytesMut::new(), open: 0 }
    }

    /// Reads what a daemon sends.
    #[must_use]
    pub fn of_daemon() -> Self {
        Self { peer: Peer::Daemon, ..Self::new() }
    }

    /// Adds bytes as they came from the connection.
    pub fn input(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of a piece, or to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next piece, or `None` until there is more input.
    ///
    /// # Errors
    /// The peer broke the rules of protocol 5.1 or 5.2. The stream is lost: every later call says the same.
    #[expect(clippy::should_implement_trait, reason = "no iterator: `None` means not yet, and an error is for good")]
    pub fn next(&mut self) -> Result<Option<Piece>, MuxError> {
        loop {
            if self.open > 0 {
                return Ok(self.data());
            }
            let Some((tag, length)) = self.header()? else { return Ok(None) };
            if tag == Tag::Data {
                self.buffer.advance(HEADER);
                self.open = length;
                continue;
            }
            if self.buffer.len() < HEADER + length {
                return Ok(None);
            }
            self.buffer.advance(HEADER);
            let payload = self.buffer.split_to(length).to_vec();
            if tag != Tag::Noop {
                return Ok(Some(Piece::Message(tag, payload)));
            }
        }
    }

    /// Lets `take` have the bytes behind the last frame, which are no frame: it takes what is its own off their front
    /// (protocol 7, at protocol 30). `None`: the last frame has not ended.
    pub fn between_frames<T>(&mut self, take: impl FnOnce(&mut &[u8]) -> T) -> Option<T> {
        if self.open > 0 {
            return None;
        }
        let mut rest: &[u8] = &self.buffer;
        let taken = take(&mut rest);
        let left = rest.len();
        self.buffer.advance(self.buffer.len() - left);
        Some(taken)
    }

    fn data(&mut self) -> Option<Piece> {
        let length = self.open.min(self.buffer.len());
        if length == 0 {
            return None;
        }
        self.open -= length;
        Some(Piece::Data(self.buffer.split_to(length).freeze()))
    }

    fn header(&self) -> Result<Option<(Tag, usize)>, MuxError> {
        let Some(&[low, middle, high, byte]) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let tag = Tag::from_wire(byte)
            .filter(|tag| tag.may_come_from(self.peer))
            .ok_or(MuxError::Tag(i16::from(byte) - i16::from(TAG_BASE)))?;
        let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
        if !tag.allows_length(length) {
            return Err(MuxError::Length { tag, length });
        }
        Ok(Some((tag, length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces with neighbouring data put together, the input given `step` bytes at a time.
    fn pieces(mut demux: Demux, bytes: &[u8], step: usize) -> Result<Vec<Piece>, MuxError> {
        let mut found: Vec<Piece> = Vec::new();
        for chunk in bytes.chunks(step) {
            demux.input(chunk);
            while let Some(piece) = demux.next()? {
                match (found.last_mut(), piece) {
                    (Some(Piece::Data(before)), Piece::Data(more)) => {
                        *before = [before.as_ref(), more.as_ref()].concat().into();
                    }
                    (_, piece) => found.push(piece),
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn the_recorded_frames_of_the_protocol_document_are_written_and_read() {
        let rows: [(Tag, &[u8], &[u8]); 8] = [
            (Tag::Data, b"", b"\x00\x00\x00\x07"),
            (Tag::Data, b"\x00", b"\x01\x00\x00\x07\x00"),
            (Tag::IoTimeout, &[20, 0, 0, 0], b"\x04\x00\x00\x28\x14\x00\x00\x00"),
            (Tag::NoSend, &[9, 0, 0, 0], b"\x04\x00\x00\x6d\x09\x00\x00\x00"),
            (Tag::IoError, &[2, 0, 0, 0], b"\x04\x00\x00\x1d\x02\x00\x00\x00"),
            (Tag::ErrorExit, &[0x17, 0, 0, 0], b"\x04\x00\x00\x5d\x17\x00\x00\x00"),
            (Tag::ErrorExit, b"", b"\x00\x00\x00\x5d"),
            (Tag::Warning, b"x\n", b"\x02\x00\x00\x0bx\n"),
        ];
        for (tag, payload, bytes) in rows {
            let mut out = Vec::new();
            put_frame(&mut out, tag, payload);
            assert_eq!(out, bytes, "{tag:?}");
            let expected = match (tag, payload) {
                (Tag::Data, b"") => vec![],
                (Tag::Data, data) => vec![Piece::Data(Bytes::copy_from_slice(data))],
                (tag, payload) => vec![Piece::Message(tag, payload.to_vec())],
            };
            for step in [1, 3, 64] {
                assert_eq!(pieces(Demux::of_daemon(), bytes, step), Ok(expected.clone()), "{tag:?}");
            }
        }
    }

    #[test]
    fn bytes_between_frames_are_taken_only_between_frames() {
        let mut demux = Demux::new();
        demux.input(b"\x02\0\0\x07a");
        assert_eq!(demux.next(), Ok(Some(Piece::Data(Bytes::from_static(b"a")))));
        assert_eq!(demux.between_frames(|_| ()), None);
        demux.input(b"bname\0\x01\0\0\x07c");
        assert_eq!(demux.next(), Ok(Some(Piece::Data(Bytes::from_static(b"b")))));
        let name = demux.between_frames(|bytes| bytes.split_off(..5).map(<[u8]>::to_vec));
        assert_eq!(name, Some(Some(b"name\0".to_vec())));
        assert_eq!(demux.next(), Ok(Some(Piece::Data(Bytes::from_static(b"c")))));
    }

    #[test]
    fn a_client_may_send_data_noops_and_its_last_words_and_nothing_else() {
        for byte in 0..=u8::MAX {
            let length: u8 = if byte == Tag::ErrorExit.to_wire() { 4 } else { 0 };
            let frame = [length, 0, 0, byte, 0, 0, 0, 0];
            let result = pieces(Demux::new(), &frame[..HEADER + usize::from(length)], 8);
            let allowed = [7, 49, 93].contains(&byte);
            assert_eq!(result.is_ok(), allowed, "header byte {byte}: {result:?}");
        }
        assert_eq!(pieces(Demux::new(), &[4, 0, 0, 9], 4), Err(MuxError::Tag(2)));
        assert_eq!(pieces(Demux::new(), &[0, 0, 0, 0], 4), Err(MuxError::Tag(-7)));
    }

    #[test]
    fn messages_of_a_wrong_length_are_refused_when_their_header_is_read() {
        let rows = [
            (Tag::Error, MAX_MESSAGE + 1),
            (Tag::IoError, 3),
            (Tag::IoTimeout, 0),
            (Tag::NoSend, 5),
            (Tag::Noop, 1),
            (Tag::ErrorExit, 1),
        ];
        for (tag, length) in rows {
            let header = frame_header(tag, length);
            assert_eq!(pieces(Demux::of_daemon(), &header, 4), Err(MuxError::Length { tag, length }));
        }
    }

    #[test]
    fn data_flows_through_while_its_frame_is_still_open() {
        let mut demux = Demux::new();
        demux.input(&frame_header(Tag::Data, MAX_PAYLOAD));
        assert_eq!(demux.next(), Ok(None));
        demux.input(b"ab");
        assert_eq!(demux.next(), Ok(Some(Piece::Data(Bytes::from_static(b"ab")))));
        assert_eq!(demux.next(), Ok(None));
        assert_eq!(demux.buffer.len(), 0);
    }

    #[test]
    fn data_keeps_its_order_around_messages_and_keep_alives() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, Tag::Data, b"one ");
        put_frame(&mut bytes, Tag::Data, b"");
        put_frame(&mut bytes, Tag::Noop, b"");
        put_frame(&mut bytes, Tag::Data, b"two");
        put_frame(&mut bytes, Tag::ErrorExit, b"");
        put_frame(&mut bytes, Tag::Data, b"three");
        let expected = vec![
            Piece::Data(Bytes::from_static(b"one two")),
            Piece::Message(Tag::ErrorExit, Vec::new()),
            Piece::Data(Bytes::from_static(b"three")),
        ];
        for step in [1, 2, 5, 1000] {
            assert_eq!(pieces(Demux::new(), &bytes, step), Ok(expected.clone()));
        }
    }

    #[test]
    fn long_data_is_framed_so_that_nothing_is_lost() {
        let data: Vec<u8> = (0..=250).cycle().take(3 * FRAME + 7).collect();
        let framed = frames_of(&data);
        assert_eq!(framed.len(), data.len() + 4 * HEADER);
        assert_eq!(pieces(Demux::new(), &framed, 4096), Ok(vec![Piece::Data(data.into())]));
        assert!(frames_of(b"").is_empty());

        let huge = vec![7; MAX_PAYLOAD + 1];
        let mut out = Vec::new();
        put_frame(&mut out, Tag::Data, &huge);
        assert_eq!(pieces(Demux::new(), &out, 1 << 20), Ok(vec![Piece::Data(huge.into())]));
    }

    #[test]
    fn an_overlong_text_is_cut_and_keeps_its_last_newline() {
        for (length, sent) in [(MAX_MESSAGE, MAX_MESSAGE), (MAX_MESSAGE + 1, MAX_MESSAGE)] {
            let text = [vec![b'x'; length - 1], vec![b'\n']].concat();
            let mut out = Vec::new();
            put_frame(&mut out, Tag::Error, &text);
            let expected = [vec![b'x'; sent - 1], vec![b'\n']].concat();
            assert_eq!(pieces(Demux::of_daemon(), &out, 9), Ok(vec![Piece::Message(Tag::Error, expected)]));
        }
    }
}
