//! A sender's long part: requests in, replies out, and the DONEs at their end.
//!
//! Requests are handed to the driver as fast as they arrive, up to a bound; what arrives between them and needs no
//! file (records, deletion statistics, DONE) waits until everything before it is answered, so the client sees one
//! order. Invariant: nothing is written between a reply's begin and its end but messages, which have frames of their
//! own. Absent on purpose: incremental recursion, with which a DONE could also end a part of the list.

use std::collections::VecDeque;
use std::time::Duration;

use super::error::WireError;
use super::greeting::Protocol;
use super::mux::Tag;
use super::numbers::{Min, NDX_DONE, NdxWriter, put_varlong};
use super::options::{Flag, Options};
use super::sender::{Limits, NoSend};
use super::sender_input::DataStream;
use super::sender_output::Output;
use super::sender_reply::{Outcome, Replies};
use super::sender_request::{DeletionStatistics, Incoming, Legal, Record, Request, Requests, Terms};
use super::setup::Agreed;
use super::tokens::TokenError;

/// I/O error bit: something could not be read (protocol 5.2).
const GENERAL: u32 = 1;
/// I/O error bit: something vanished.
const VANISHED: u32 = 2;

/// What the driver is to do next.
#[derive(Debug)]
pub(super) enum Next {
    Wait,
    Send(Request),
    Goodbye,
}

/// Where the conversation stands: which DONE of the client comes next (protocol 10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// C1: requests.
    First,
    /// C2: repeated requests.
    Redo,
    /// C3: nothing but records.
    Late,
    /// C4: statistics are sent; from protocol 31 on.
    After,
    /// The last one.
    Goodbye,
}

/// What was asked for and is not answered yet, in order.
#[derive(Debug)]
enum Waiting {
    /// A file, with the memory of its request, which the driver has.
    File(usize),
    Record(Record),
}

/// What must wait until nothing else does.
#[derive(Debug)]
enum Held {
    Done,
    Deleted(DeletionStatistics),
}

/// What is left of a list when it has been sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListFacts {
    pub(super) entries: u32,
    pub(super) total_size: u64,
    pub(super) build: Duration,
}

#[derive(Debug)]
pub(super) struct Transfer {
    requests: Requests,
    replies: Replies,
    ndx: NdxWriter,
    stage: Stage,
    waiting: VecDeque<Waiting>,
    /// The memory of all that waits.
    waiting_bytes: usize,
    held: Option<Held>,
    failed: Option<TokenError>,
    io_error: u32,
    module: Vec<u8>,
    since_31: bool,
    total_size: u64,
    build: Duration,
    /// Bytes received by the whole session, for the statistics.
    pub(super) received: u64,
    pub(super) files: u64,
    pub(super) file_bytes: u64,
    /// How much of the data stream was before the last reply.
    reply_start: u64,
    pub(super) last_file_bytes: u64,
}

impl Transfer {
    pub(super) fn new(options: &Options, agreed: Agreed, protocol: Protocol, module: Vec<u8>, list: ListFacts) -> Self {
        let ListFacts { entries, total_size, build } = list;
        let since_31 = protocol >= Protocol::V31;
        let dry_run = options.has(Flag::DryRun);
        let (block_sum, append) = (agreed.block_sum, options.append);
        let terms = Terms { entries, block_sum, append, dry_run, deletion_statistics: since_31 };
        Self {
            requests: Requests::new(terms),
            replies: Replies::new(options, agreed, protocol),
            ndx: NdxWriter::default(),
            stage: Stage::First,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            held: None,
            failed: None,
            io_error: 0,
            module,
            since_31,
            total_size,
            build,
            received: 0,
            files: 0,
            file_bytes: 0,
            reply_start: 0,
            last_file_bytes: 0,
        }
    }

    /// Whether no further request is taken until some are answered.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.held.is_some() || self.waiting.len() >= limits.waiting || self.waiting_bytes > limits.waiting_bytes
    }

    /// Bytes of memory that all requests and records take until they are answered, about.
    pub(super) fn memory(&self) -> usize {
        self.waiting_bytes + self.requests.memory()
    }

    /// Whether the driver has an answer to give.
    pub(super) fn is_owed(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn during(&self) -> &'static str {
        match self.stage {
            Stage::First | Stage::Redo | Stage::Late => "asking for files",
            Stage::After | Stage::Goodbye => "saying goodbye",
        }
    }

    /// Goes on as far as the stream allows.
    pub(super) fn next(
        &mut self,
        stream: &mut DataStream,
        output: &mut Output,
        limits: &Limits,
    ) -> Result<Next, WireError> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        loop {
            if self.waiting.is_empty()
                && let Some(held) = self.held.take()
                && self.release(&held, output)
            {
                return Ok(Next::Goodbye);
            }
            if self.is_full(limits) {
                return Ok(Next::Wait);
            }
            match self.requests.next(stream, self.legal())? {
                None => return Ok(Next::Wait),
                Some(Incoming::Done) => self.held = Some(Held::Done),
                Some(Incoming::Deleted(counts)) => self.held = Some(Held::Deleted(counts)),
                Some(Incoming::Echo(record)) if self.waiting.is_empty() => record.put(&mut self.ndx, output.data()),
                Some(Incoming::Echo(record)) => {
                    self.waiting_bytes += record.memory();
                    self.waiting.push_back(Waiting::Record(record));
                }
                Some(Incoming::Wanted(request)) => {
                    let memory = request.memory();
                    self.waiting_bytes += memory;
                    self.waiting.push_back(Waiting::File(memory));
                    return Ok(Next::Send(request));
                }
            }
        }
    }

    fn legal(&self) -> Legal {
        match self.stage {
            Stage::First | Stage::Redo => Legal::Transfers,
            Stage::Late => Legal::Records,
            Stage::After | Stage::Goodbye => Legal::Endings,
        }
    }

    /// Answers what had to wait. Whether it was the goodbye.
    fn release(&mut self, held: &Held, output: &mut Output) -> bool {
        let Held::Done = held else {
            if let Held::Deleted(counts) = held {
                counts.put(&mut self.ndx, output.data());
            }
            return false;
        };
        self.stage = match self.stage {
            Stage::First => Stage::Redo,
            Stage::Redo => Stage::Late,
            Stage::Late if self.io_error != 0 => {
                output.message(Tag::IoError, &self.io_error.to_le_bytes());
                self.io_error = 0;
                self.after_late()
            }
            Stage::Late => self.after_late(),
            Stage::After => Stage::Goodbye,
            Stage::Goodbye => return true,
        };
        self.ndx.write(output.data(), NDX_DONE);
        if matches!((self.stage, self.since_31), (Stage::After, _) | (Stage::Goodbye, false)) {
            self.put_statistics(output);
        }
        false
    }

    /// Protocol 30 has one DONE less.
    fn after_late(&self) -> Stage {
        if self.since_31 { Stage::After } else { Stage::Goodbye }
    }

    /// Protocol 10.3. The time of sending, which nobody needs, is left at 0.
    fn put_statistics(&self, output: &mut Output) {
        let written = output.total();
        let build = u64::try_from(self.build.as_millis()).unwrap_or(u64::MAX).max(1);
        let out = output.data();
        for number in [self.received, written, self.total_size, build, 0] {
            put_varlong(out, i64::try_from(number).unwrap_or(i64::MAX), Min::Three);
        }
    }

    pub(super) fn begin(&mut self, request: Request, output: &mut Output) {
        self.files += 1;
        self.reply_start = output.total_data();
        self.replies.begin(request, &mut self.ndx, output);
    }

    pub(super) fn feed(&mut self, data: &[u8], output: &mut Output) {
        self.file_bytes += u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.replies.feed(data, output);
    }

    /// How many bytes of a file of this size need not be fed.
    pub(super) fn leave_out(&mut self, size: u64) -> u64 {
        let left_out = self.replies.leave_out().min(size);
        self.file_bytes += left_out;
        left_out
    }

    /// Whether the bytes of the open reply go out as they are, unseen.
    pub(super) fn is_plain(&self) -> bool {
        self.replies.is_plain()
    }

    pub(super) fn finish(&mut self, stored: &[u8; 16], output: &mut Output) -> Outcome {
        self.end_reply(Some(stored), output)
    }

    pub(super) fn give_up(&mut self, path: &[u8], reason: &str, output: &mut Output) {
        if self.replies.is_open() {
            self.end_reply(None, output);
            let text =
                [b"rsync: [sender] read errors mapping ", &self.place(path)[..], b": ", reason.as_bytes(), b"\n"];
            output.message(Tag::ErrorXfer, &text.concat());
            self.io_error |= GENERAL;
        }
    }

    fn end_reply(&mut self, stored: Option<&[u8; 16]>, output: &mut Output) -> Outcome {
        if !self.replies.is_open() {
            return Outcome::Sent;
        }
        let outcome = self.replies.finish(stored, output).unwrap_or_else(|error| {
            self.failed = Some(error);
            Outcome::Sent
        });
        self.last_file_bytes = output.total_data() - self.reply_start;
        self.answered(output);
        outcome
    }

    pub(super) fn no_send(&mut self, request: &Request, why: NoSend<'_>, output: &mut Output) {
        let (tag, text, bit) = match why {
            NoSend::Vanished { path } => {
                (Tag::Warning, [b"file has vanished: ", &self.place(path)[..], b"\n"].concat(), VANISHED)
            }
            NoSend::Failed { path, reason } => {
                let (start, place) = (b"rsync: [sender] send_files failed to open ", self.place(path));
                (Tag::ErrorXfer, [start, &place[..], b": ", reason.as_bytes(), b"\n"].concat(), GENERAL)
            }
        };
        output.message(tag, &text);
        output.message(Tag::NoSend, &request.record.ndx.to_le_bytes());
        self.io_error |= bit;
        self.answered(output);
    }

    /// A path as messages name it (protocol 9.4).
    fn place(&self, path: &[u8]) -> Vec<u8> {
        [b"\"", path, b"\" (in ", &self.module[..], b")"].concat()
    }

    /// The first file that waited is answered; so are the records behind it.
    fn answered(&mut self, output: &mut Output) {
        if let Some(Waiting::File(memory)) = self.waiting.pop_front() {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(memory);
        }
        while let Some(Waiting::Record(_)) = self.waiting.front() {
            if let Some(Waiting::Record(record)) = self.waiting.pop_front() {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(record.memory());
                record.put(&mut self.ndx, output.data());
            }
        }
    }
}
