//! What a sender has to say: a queue of finished chunks, and one open chunk that small things and file data go to.
//!
//! A chunk holds text lines or whole frames. The header of a data frame is left blank when the frame is opened and
//! filled in when it is closed, so one frame may hold many replies and file data is copied once, into its place.
//! Shared chunks (the encoded file list) are queued as they are and never copied. Invariant: what [`Output::take`]
//! hands out ends at a frame's end, whatever was asked for. Absent on purpose: any limit on the queue; it grows only
//! by what the driver itself puts in, and [`Output::pending`] tells how much that is.

use std::collections::VecDeque;

use bytes::Bytes;

use super::mux::{Tag, frame_header, put_frame};

/// A chunk is finished when less than one token would still fit; its frame stays far below the limit of 2^24.
const CHUNK: usize = 256 << 10;

/// Most file data that is copied before the chunk's room is looked at again: the longest literal token (protocol 9.6).
pub(super) const PIECE: usize = 32_768;

/// Room beside [`PIECE`] for what comes with it: a token's length, a sum, a reply's head.
const MARGIN: usize = 64;

/// Room for things that come alone: a line, a DONE, statistics.
const SMALL: usize = 512;

#[derive(Debug, Default)]
pub(super) struct Output {
    chunks: VecDeque<Bytes>,
    chunk_bytes: usize,
    open: Vec<u8>,
    /// Where in `open` the header of the unfinished data frame stands.
    frame: Option<usize>,
    /// Bytes of all chunks ever finished.
    total: u64,
    /// Bytes of the data stream in all frames ever finished, but those of shared chunks.
    data: u64,
}

impl Output {
    /// Appends bytes that belong to no frame: the text phase and the binary setup.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.close_frame();
        self.open.extend_from_slice(bytes);
    }

    /// Appends a message as a frame of its own.
    pub(super) fn message(&mut self, tag: Tag, payload: &[u8]) {
        self.close_frame();
        put_frame(&mut self.open, tag, payload);
    }

    /// Appends finished frames without copying them.
    pub(super) fn shared(&mut self, frames: Bytes) {
        self.seal();
        self.queue(frames);
    }

    /// Where bytes of the data stream are appended; a frame is opened if there is none.
    pub(super) fn data(&mut self) -> &mut Vec<u8> {
        if self.open.len() >= CHUNK {
            self.seal();
        }
        if self.open.capacity() == 0 {
            self.open.reserve(SMALL);
        }
        if self.frame.is_none() {
            self.frame = Some(self.open.len());
            self.open.extend_from_slice(&frame_header(Tag::Data, 0));
        }
        &mut self.open
    }

    /// As [`Output::data`], with room for a piece of file data, so that it will not be moved again.
    pub(super) fn file_data(&mut self) -> &mut Vec<u8> {
        if self.open.capacity() - self.open.len() < PIECE + MARGIN {
            self.seal();
            self.open.reserve_exact(CHUNK);
        }
        self.data()
    }

    /// How many bytes have not been taken yet.
    pub(super) fn pending(&self) -> usize {
        self.chunk_bytes + self.open.len()
    }

    /// How many bytes were ever put in.
    pub(super) fn total(&self) -> u64 {
        self.total + length(self.open.len())
    }

    /// Counts bytes that the driver put onto the wire by itself, and those of the data stream among them.
    pub(super) fn passed(&mut self, bytes: u64, data: u64) {
        self.total += bytes;
        self.data += data;
    }

    /// How many bytes of the data stream were ever put in, without headers, messages and shared chunks.
    pub(super) fn total_data(&self) -> u64 {
        let open = self.frame.map_or(0, |start| self.open.len().saturating_sub(start + 4));
        self.data + length(open)
    }

    /// Hands out everything.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.seal();
        self.chunk_bytes = 0;
        self.chunks.drain(..)
    }

    fn seal(&mut self) {
        self.close_frame();
        if !self.open.is_empty() {
            let chunk = Bytes::from(std::mem::take(&mut self.open));
            self.queue(chunk);
        }
    }

    fn queue(&mut self, chunk: Bytes) {
        self.total += length(chunk.len());
        self.chunk_bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    fn close_frame(&mut self) {
        let Some(start) = self.frame.take() else { return };
        let payload = self.open.len().saturating_sub(start + 4);
        self.data += length(payload);
        if payload == 0 {
            self.open.truncate(start);
        } else if let Some(header) = self.open.get_mut(start..start + 4) {
            header.copy_from_slice(&frame_header(Tag::Data, payload));
        }
    }
}

/// A length as it is counted in statistics.
fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::mux::{Demux, Piece};

    fn taken(output: &mut Output) -> Vec<u8> {
        output.take().flat_map(|chunk| chunk.to_vec()).collect()
    }

    #[test]
    fn data_and_messages_become_frames_in_order_and_an_empty_frame_vanishes() {
        let mut output = Output::default();
        output.raw(b"@RSYNCD: OK\n");
        output.data();
        output.message(Tag::IoTimeout, &[3, 0, 0, 0]);
        output.data().extend_from_slice(b"ab");
        output.data().extend_from_slice(b"c");
        output.message(Tag::Info, b"x\n");
        output.data().push(0);
        let expected = b"@RSYNCD: OK\n\x04\0\0\x28\x03\0\0\0\x03\0\0\x07abc\x02\0\0\x09x\n\x01\0\0\x07\0";
        assert_eq!((output.pending(), output.total()), (expected.len(), length(expected.len())));
        assert_eq!(output.total_data(), 4);
        assert_eq!(taken(&mut output), expected);
        assert_eq!((output.pending(), output.total()), (0, length(expected.len())));
        assert_eq!(taken(&mut output), b"");
    }

    #[test]
    fn a_shared_chunk_is_handed_on_and_not_copied() {
        let shared = Bytes::from(vec![7; 1000]);
        let mut output = Output::default();
        output.data().push(1);
        output.shared(shared.clone());
        output.data().push(2);
        let chunks: Vec<Bytes> = output.take().collect();
        assert_eq!(chunks.len(), 3);
        assert_eq!(chunks[1].as_ptr(), shared.as_ptr());
    }

    #[test]
    fn file_data_fills_chunks_that_never_grow_and_comes_out_whole() {
        let mut output = Output::default();
        let mut expected = Vec::new();
        for round in 0..100_u8 {
            let piece = vec![round; 1 + usize::from(round) * 327];
            output.file_data().extend_from_slice(&piece);
            assert!(output.open.capacity() <= CHUNK + 4);
            expected.extend_from_slice(&piece);
        }
        let mut demux = Demux::of_daemon();
        let mut found = Vec::new();
        let chunks: Vec<Bytes> = output.take().collect();
        assert!(chunks.len() > 5, "{}", chunks.len());
        for chunk in chunks {
            demux.input(&chunk);
            while let Some(Piece::Data(data)) = demux.next().unwrap() {
                found.extend_from_slice(&data);
            }
        }
        assert_eq!(found, expected);
    }
}
