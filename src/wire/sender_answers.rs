//! How a driver answers requests for files: the calls of [`Sender`] between a request and the end of its reply.
//!
//! Each does nothing where the conversation is not at requests, so a driver that is behind needs no check of its own.
//! Invariant: a reply is begun, fed and ended in this order, or not begun at all.
//! Deliberately absent: which bytes belong to a request, which only the driver knows.

use super::sender::{NoSend, Outcome, Sender};
use super::sender_bulk::{Bulk, with_tokens};
use super::sender_request::Request;

impl Sender {
    /// Begins the reply to a request: its head. The file's bytes follow with [`Sender::feed`].
    pub fn begin(&mut self, request: Request) {
        if let Some((transfer, output)) = self.transfer() {
            transfer.begin(request, output);
        }
    }

    /// Sends the next bytes of the file whose reply was begun. Long pieces are cheaper than short ones.
    pub fn feed(&mut self, data: &[u8]) {
        if let Some((transfer, output)) = self.transfer() {
            transfer.feed(data, output);
        }
    }

    /// How many bytes at the start of a file of `size` bytes are not to be fed in the reply that was begun: the client has
    /// them, and no sum that is computed covers them (protocol 9.9). Ask before any byte is fed, or feed all.
    pub fn leave_out(&mut self, size: u64) -> u64 {
        self.transfer().map_or(0, |(transfer, _)| transfer.leave_out(size))
    }

    /// Offers to leave the bytes of the reply that was begun, `size` of them, to the driver: nothing is to be done to them
    /// but what a [`Bulk`] says. Only before any byte was fed; `None` where they must be fed.
    #[must_use]
    pub fn bulk(&mut self, size: u64) -> Option<Bulk> {
        self.transfer().filter(|(transfer, _)| transfer.is_plain()).map(|_| Bulk::new(size))
    }

    /// Says how much the driver has sent by itself, in whole frames of a [`Bulk`] and after all output that it was handed
    /// before: bytes of the file, and bytes on the wire. What is left of the file may be fed.
    pub fn sent_bulk(&mut self, data: u64, wire: u64) {
        if let Some((transfer, output)) = self.transfer() {
            transfer.file_bytes += data;
            output.passed(wire, with_tokens(data));
        }
    }

    /// Ends the reply that was begun. `stored` is the stored, unseeded xxh128 of the file, in the order of the wire.
    pub fn finish(&mut self, stored: &[u8; 16]) -> Outcome {
        self.transfer().map_or(Outcome::Sent, |(transfer, output)| transfer.finish(stored, output))
    }

    /// Bytes of the data stream that the reply took which was finished last: its head, tokens and sum. It is what
    /// stock daemons log as `%b`. 0 before the first one.
    #[must_use]
    pub fn last_file_bytes(&mut self) -> u64 {
        self.transfer().map_or(0, |(transfer, _)| transfer.last_file_bytes)
    }

    /// Ends the reply that was begun for a file whose bytes cannot be read to the end: the client gets a wrong sum and
    /// the reason, and will ask once more (protocol 9.4).
    pub fn give_up(&mut self, path: &[u8], reason: &str) {
        if let Some((transfer, output)) = self.transfer() {
            transfer.give_up(path, reason, output);
        }
    }

    /// Answers a request whose file is not sent at all.
    pub fn no_send(&mut self, request: &Request, why: NoSend<'_>) {
        if let Some((transfer, output)) = self.transfer() {
            transfer.no_send(request, why, output);
        }
    }
}
