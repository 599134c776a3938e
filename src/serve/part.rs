//! A content of the database that is sent bit by bit, because there is no room to hold it whole.
//!
//! Happens where much waits to be written, here or on all connections, and to files that are larger than what is left. The
//! content is read anew for each part, which costs some copying and no memory; so a client that reads goes on, at a walk,
//! however many others do not read. Deliberately absent: large files, which are read in pieces anyway.

use super::contents::Kit;
use super::sending::{Basis, Done, IO_ERROR, Job};
use crate::store::Row;

/// What is sent at a time: a token of the protocol, so that no allocation is much larger than what it holds.
const PART_BYTES: usize = 32 << 10;

/// A reply that was begun.
pub(crate) struct Part {
    pub(super) row: Row,
    pub(super) entry: usize,
    pub(super) basis: Basis,
    pub(super) xxh128: [u8; 16],
    /// How much of it was sent.
    pub(super) at: usize,
}

impl Job {
    /// Reads the content again and sends the next part.
    pub(super) fn go_on(&mut self, part: Part, kit: &mut Kit, done: &mut Done) {
        kit.arena.clear();
        let Kit { reader, arena } = kit;
        let read = reader.read(&[part.row], &mut |_, bytes| arena.extend_from_slice(bytes));
        match read {
            Ok(missing) if missing.is_empty() => self.send_part(part, arena, done),
            Ok(_) => self.lose(&part, "it is not in the store any more", done),
            Err(error) => self.lose(&part, &error.to_string(), done),
        }
    }

    /// Sends the next part of `bytes`, and ends the reply after the last one.
    pub(super) fn send_part(&mut self, mut part: Part, bytes: &[u8], done: &mut Done) {
        let rest = bytes.get(part.at..).unwrap_or_default();
        let (now, later) = rest.split_at(rest.len().min(PART_BYTES));
        self.sender.feed(now);
        part.at += now.len();
        if later.is_empty() {
            self.end(part.entry, part.basis, part.xxh128, done);
        } else {
            self.part = Some(part);
        }
    }

    /// The bytes that were promised are not there: the client gets a wrong sum and asks again.
    fn lose(&mut self, part: &Part, reason: &str, done: &mut Done) {
        let path = self.shown_path(part.entry);
        self.sender.give_up(&path, IO_ERROR);
        self.blame(part.entry, reason, done);
    }
}
