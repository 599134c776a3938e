//! The bytes of a file that the sender never sees: where they stand on the wire, so that the kernel can put them there.
//!
//! Without a basis, without compression and with a stored sum there is nothing to be done to a file's bytes but to frame
//! them: literal tokens under data frames (protocol 5.1 and 9.6). A [`Bulk`] says which header comes next and how many
//! bytes of the file follow it; the driver writes both, tells the sender how much it was, and goes on with it.
//! Invariants: the frames are whole and hold whole tokens of at most 32 KiB, since some receivers refuse longer ones; all
//! but the last token of a file are of that length, so a file is read in steps that fit its pages. A frame that was begun
//! must be ended, with other bytes if need be: then the reply is given up, and its wrong sum says so.
//! Absent on purpose: the bytes.

use super::mux::{Tag, frame_header};
use super::tokens::LITERAL_MAX;

/// Tokens in a frame: few enough that a frame fits into a pipe of half a MiB with one header before every eight pages.
const TOKENS: usize = 8;

/// Header of a frame, and of a token.
const HEADER: usize = 4;

/// Most bytes of a file in one frame.
pub const BULK_FRAME: usize = TOKENS * LITERAL_MAX;

/// How many bytes of the data stream so many bytes of a file take, with the headers of their tokens.
pub(super) fn with_tokens(data: u64) -> u64 {
    let (token, header) = (u64::try_from(LITERAL_MAX).unwrap_or(u64::MAX), u64::try_from(HEADER).unwrap_or_default());
    data + data.div_ceil(token) * header
}

/// What is left of a file that the driver sends by itself. Copies stand for the same file: only one of them may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulk {
    left: u64,
}

impl Bulk {
    /// A file of so many bytes.
    pub(super) fn new(size: u64) -> Self {
        Self { left: size }
    }

    /// Bytes of the file that are in no frame yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next frame; `None` after the last byte.
    pub fn next_frame(&mut self) -> Option<BulkFrame> {
        let data = usize::try_from(self.left).unwrap_or(usize::MAX).min(BULK_FRAME);
        self.left -= u64::try_from(data).unwrap_or(self.left);
        (data > 0).then_some(BulkFrame { data, left: data })
    }
}

/// A data frame full of literal tokens, as the stretches that it is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkFrame {
    data: usize,
    left: usize,
}

impl BulkFrame {
    /// Bytes of the file in it.
    #[must_use]
    pub fn data(&self) -> usize {
        self.data
    }

    /// Its length on the wire.
    #[must_use]
    pub fn length(&self) -> usize {
        HEADER + self.payload()
    }

    fn payload(&self) -> usize {
        self.data + self.data.div_ceil(LITERAL_MAX) * HEADER
    }
}

impl Iterator for BulkFrame {
    type Item = Stretch;

    fn next(&mut self) -> Option<Stretch> {
        let data = self.left.min(LITERAL_MAX);
        let token = u32::try_from(data).ok().filter(|token| *token > 0)?.to_le_bytes();
        let mut header = [0; 2 * HEADER];
        let length = if self.left == self.data { 2 * HEADER } else { HEADER };
        let (start, rest) = header.split_at_mut(length - HEADER);
        if !start.is_empty() {
            start.copy_from_slice(&frame_header(Tag::Data, self.payload()));
        }
        for (to, from) in rest.iter_mut().zip(token) {
            *to = from;
        }
        self.left -= data;
        Some(Stretch { header, length, data })
    }
}

/// Bytes that are written as they are, and bytes of the file that follow them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    header: [u8; 2 * HEADER],
    length: usize,
    data: usize,
}

impl Stretch {
    /// What goes first.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.header.get(..self.length).unwrap_or_default()
    }

    /// How many bytes of the file go next.
    #[must_use]
    pub fn data(&self) -> usize {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::greeting::Protocol;
    use crate::wire::mux::{Demux, Piece};
    use crate::wire::sender::{FileList, ModuleTerms, Sender, SenderConfig, Step};
    use crate::wire::tokens::{Codec, TokenWriter};

    /// The frames of a file as they stand on the wire, and their length by their own account.
    fn framed(file: &[u8]) -> (Vec<u8>, usize) {
        let (mut wire, mut told, mut at) = (Vec::new(), 0, 0);
        let mut bulk = Bulk::new(u64::try_from(file.len()).unwrap());
        while let Some(frame) = bulk.next_frame() {
            told += frame.length();
            let data = frame.data();
            assert_eq!(frame.map(|stretch| stretch.data()).sum::<usize>(), data);
            for stretch in frame {
                wire.extend_from_slice(stretch.header());
                wire.extend_from_slice(&file[at..at + stretch.data()]);
                at += stretch.data();
            }
        }
        assert_eq!((bulk.left(), at), (0, file.len()));
        (wire, told)
    }

    #[test]
    fn the_frames_of_a_file_carry_the_tokens_that_the_sender_would_have_written() {
        for length in
            [0, 1, 32_767, 32_768, 32_769, BULK_FRAME - 1, BULK_FRAME, BULK_FRAME + 1, 3 * BULK_FRAME + 70_000]
        {
            let file: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
            let (wire, told) = framed(&file);
            assert_eq!(wire.len(), told, "{length}");
            let mut demux = Demux::of_daemon();
            demux.input(&wire);
            let mut found = Vec::new();
            while let Some(piece) = demux.next().unwrap() {
                let Piece::Data(data) = piece else { panic!("{length}: a message") };
                found.extend_from_slice(&data);
            }
            let mut expected = Vec::new();
            TokenWriter::new(Codec::None, None, Protocol::V31).literal(&file, &mut expected);
            assert!(found == expected, "{length}");
        }
    }

    /// Whether the bytes of the one file may go by themselves, for a client with these options and this request.
    fn is_offered(options: &str, choice: &[u8], request: &[u8]) -> bool {
        let mut sender = Sender::new(SenderConfig::default());
        sender.input(b"@RSYNCD: 32.0 md5\nmod\n");
        assert!(matches!(sender.poll(), Ok(Step::Module(_))));
        sender.accept(ModuleTerms::default());
        sender.input(format!("--server\0--sender\0{options}\0.\0mod/f\0\0").as_bytes());
        sender.input(choice);
        // An empty list of rules.
        sender.input(&[4, 0, 0, 7, 0, 0, 0, 0]);
        assert!(matches!(sender.poll(), Ok(Step::List(_))), "{options}");
        sender.list(FileList { entries: 1, ..FileList::default() });
        let length = u8::try_from(request.len()).unwrap();
        sender.input(&[&[length, 0, 0, 7], request].concat());
        let Ok(Step::Send(request)) = sender.poll() else { panic!("{options}: no request") };
        assert_eq!(sender.bulk(1), None, "{options}: nothing was begun");
        sender.begin(request);
        let offered = sender.bulk(5) == Some(Bulk { left: 5 });
        sender.finish(&[0; 16]);
        assert_eq!(sender.bulk(1), None, "{options}: it is ended");
        offered
    }

    #[test]
    fn bytes_that_must_be_seen_are_not_left_to_the_driver() {
        let whole = [[1, 0x00, 0xa0].as_slice(), &[0; 16]].concat();
        // One block of 700 bytes: its weak sum, and two bytes of its strong one.
        let with_basis =
            [[1, 0x00, 0xa0].as_slice(), &[1, 0, 0, 0, 0xbc, 2, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0], &[7; 6]].concat();
        let cases: [(&str, &[u8], &[u8], bool); 6] = [
            ("-te.LsfxCIvu", b"\x06xxh128", &whole, true),
            ("-te.LsfxCIvu", b"\x06xxh128", &with_basis, false),
            ("-te.LsfxCIvu", b"\x03md5", &whole, false),
            ("-tze.LsfxCIvu", b"\x06xxh128\x04zstd", &whole, false),
            // A client that cannot choose: md5.
            ("-te.LsfxC", b"", &whole, false),
            ("-tze.LsfxC", b"", &whole, false),
        ];
        for (options, choice, request, expected) in cases {
            assert_eq!(is_offered(options, choice, request), expected, "{options} {}", choice.escape_ascii());
        }
    }

    #[test]
    fn every_token_but_the_last_starts_at_a_page_of_the_file() {
        let mut at = 0;
        let mut bulk = Bulk::new(1_000_000);
        while let Some(frame) = bulk.next_frame() {
            for stretch in frame {
                assert_eq!(at % 4096, 0);
                at += stretch.data();
            }
        }
        assert_eq!(at, 1_000_000);
    }
}
