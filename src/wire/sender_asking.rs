//! A sender's second part: what a client says before it gets a list, its filter rules and the names of `--files-from`.
//!
//! The stream is read one piece at a time, because at protocol 30 the names lie outside the frames, directly behind
//! the one in which the filter list ends (protocol 7). Invariant: rules and names are within their bounds, and the
//! rules are ones that can be obeyed. Absent on purpose: what the names mean, which needs a tree.

use super::args::{Args, Bound};
use super::error::WireError;
use super::filter::{CvsExclude, Filters, MAX_LIST_BYTES, MAX_RULES};
use super::greeting::Protocol;
use super::mux::Tag;
use super::numbers::{Cursor, Short};
use super::options::{FilesFrom, Flag, Options};
use super::sender_input::{DataStream, Pumped};
use super::sender_step::Limits;

/// Where names of files come from.
#[derive(Clone, Copy, Debug)]
enum Names {
    Nowhere,
    /// The data stream, from protocol 31 on.
    InFrames,
    /// The connection itself, between two frames.
    BetweenFrames,
}

/// What [`Asking::next`] found.
#[derive(Debug)]
pub(super) enum Heard {
    /// More input is needed.
    Nothing,
    Message(Tag, Vec<u8>),
    /// That was all.
    All(Filters, Option<Vec<Vec<u8>>>),
}

#[derive(Debug)]
pub(super) struct Asking {
    rules: RuleList,
    cvs: CvsExclude,
    /// The rules once they are all there.
    filters: Option<Filters>,
    from: Names,
    names: Args,
}

impl Asking {
    pub(super) fn new(options: &Options, protocol: Protocol, limits: &Limits) -> Self {
        let cvs = if options.has(Flag::CvsExclude) { CvsExclude::Yes } else { CvsExclude::No };
        let from = match options.files_from {
            FilesFrom::No => Names::Nowhere,
            FilesFrom::Client if protocol >= Protocol::V31 => Names::InFrames,
            FilesFrom::Client => Names::BetweenFrames,
        };
        Self { rules: RuleList::new(limits.rules), cvs, filters: None, from, names: Args::new(limits.names) }
    }

    /// Reads on, up to the next message or to the end.
    pub(super) fn next(&mut self, stream: &mut DataStream) -> Result<Heard, WireError> {
        loop {
            if self.filters.is_none()
                && let Some(rules) = self.rules.read(stream)?
            {
                self.filters = Some(Filters::parse(&rules, self.cvs)?);
            }
            if let Some(filters) = &mut self.filters {
                let files = match self.from {
                    Names::Nowhere => return Ok(Heard::All(std::mem::take(filters), None)),
                    Names::InFrames => stream.strings(&mut self.names),
                    Names::BetweenFrames => stream.unframed_strings(&mut self.names)?,
                };
                if let Some(passed) = self.names.passed() {
                    return Err(WireError::Names(passed));
                }
                if files.is_some() {
                    return Ok(Heard::All(std::mem::take(filters), files));
                }
                if let Names::BetweenFrames = self.from {
                    return Ok(Heard::Nothing);
                }
            }
            match stream.pump_piece()? {
                Pumped::Nothing => return Ok(Heard::Nothing),
                Pumped::Data => {}
                Pumped::Message(tag, payload) => return Ok(Heard::Message(tag, payload)),
            }
        }
    }

    /// Bytes of memory that rules and names take, about.
    pub(super) fn memory(&self) -> usize {
        self.rules.bytes + self.rules.count * RULE_OVERHEAD + self.names.memory()
    }

    /// Whether all rules are there.
    pub(super) fn has_rules(&self) -> bool {
        self.filters.is_some()
    }

    pub(super) fn during(&self) -> &'static str {
        if self.filters.is_none() { "sending its filter rules" } else { "sending the names of files" }
    }
}

/// Longest filter rule in bytes: the limit of stock (protocol 6.1).
const RULE_MAX: usize = 5_119;

/// What a rule takes beside its bytes once it was read, about.
const RULE_OVERHEAD: usize = 160;

/// The filter list while it arrives (protocol 6.1).
#[derive(Debug)]
struct RuleList {
    rules: Vec<Vec<u8>>,
    /// How many have come, and their bytes; also once they were given.
    count: usize,
    bytes: usize,
    bound: Bound,
}

impl RuleList {
    /// A list at its start; what a matcher takes is the upper limit of the bound.
    fn new(bound: Bound) -> Self {
        let bound = Bound { count: bound.count.min(MAX_RULES), bytes: bound.bytes.min(MAX_LIST_BYTES) };
        Self { rules: Vec::new(), count: 0, bytes: 0, bound }
    }

    /// Takes rules off the stream; gives them all once the end of the list has come.
    fn read(&mut self, stream: &mut DataStream) -> Result<Option<Vec<Vec<u8>>>, WireError> {
        while let Some(rule) = stream.item("filter list", rule)? {
            let rule = rule?;
            if rule.is_empty() {
                return Ok(Some(std::mem::take(&mut self.rules)));
            }
            self.bytes += rule.len();
            let Bound { count, bytes } = self.bound;
            if self.rules.len() >= count || self.bytes > bytes {
                return Err(WireError::RuleList(format!("more than {count} rules or {bytes} bytes; send fewer")));
            }
            self.count += 1;
            self.rules.push(rule);
        }
        Ok(None)
    }
}

/// One rule; the end of the list is an empty one.
fn rule(from: &mut Cursor<'_>) -> Result<Result<Vec<u8>, WireError>, Short> {
    let length = usize::try_from(from.i32()?).ok().filter(|length| *length <= RULE_MAX);
    match length {
        Some(length) => Ok(Ok(from.take(length)?.to_vec())),
        None => Ok(Err(WireError::RuleList(format!("a rule of more than {RULE_MAX} bytes")))),
    }
}
