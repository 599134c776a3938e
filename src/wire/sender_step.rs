//! What a sender and its driver say to each other: questions, answers, bounds, and how it ended.
//!
//! These are plain values without behaviour; [`Sender`](super::sender::Sender) has it all and hands them on under its
//! own name. Invariant: whatever comes out of here was bounded when it was read; paths and names are a client's bytes
//! and no more. Absent on purpose: file contents, which go through `Sender::feed` as they are read.

use std::time::Duration;

use bytes::Bytes;

use super::args::Bound;
use super::filter::{Filters, MAX_LIST_BYTES, MAX_RULES};
use super::flist::ListFormat;
use super::greeting::Protocol;
use super::login::Login;
use super::mux::Tag;
use super::options::{Options, PathForm};
use super::sender_request::Request;
use super::setup::Agreed;

/// Requests and records of one client that may wait: enough for a driver to read its store in long runs.
pub const WAITING: usize = 4_096;
/// Bytes of memory that waiting requests and records take, of which block sums may be nearly all.
pub const WAITING_BYTES: usize = 16 << 20;
/// Arguments of one vector: as many as stock takes (protocol 2.7), and room for thousands of paths.
pub const ARGUMENTS: Bound = Bound { count: 16_000, bytes: 1 << 20 };
/// Filter rules of a client: all that [`Filters`](super::filter::Filters) takes.
pub const RULES: Bound = Bound { count: MAX_RULES, bytes: MAX_LIST_BYTES };
/// Names of `--files-from`: every file of a large tree by name.
pub const NAMES: Bound = Bound { count: 1 << 18, bytes: 16 << 20 };

/// How much of one client's asking is kept. All of it is settable; a client that passes a bound is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests and records that wait for answers. Beyond it nothing more is read. Default [`WAITING`].
    pub waiting: usize,
    /// Bytes of memory that they take, block sums and names included. One request may pass it; the next one then
    /// waits. Default [`WAITING_BYTES`].
    pub waiting_bytes: usize,
    /// Each argument vector. Default [`ARGUMENTS`].
    pub arguments: Bound,
    /// The client's filter rules. Default [`RULES`], which is also the most: every rule may be tried on every entry.
    pub rules: Bound,
    /// The names of `--files-from`. Default [`NAMES`].
    pub names: Bound,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: WAITING, waiting_bytes: WAITING_BYTES, arguments: ARGUMENTS, rules: RULES, names: NAMES }
    }
}

/// What a sender is made of.
#[derive(Clone, Debug, Default)]
pub struct SenderConfig {
    /// The message of the day as it stands in its file; empty: none.
    pub motd: Vec<u8>,
    /// The checksum seed for clients that name none: any number from a random source.
    pub seed: i32,
    /// Bounds.
    pub limits: Limits,
    /// The timeout in seconds that clients are told of when neither they nor their module have one: they send
    /// keep-alives only once they know of one (protocol 11.1), and who is busy is told from who has gone by them alone.
    pub silence: Option<u32>,
}

/// What the driver grants with a module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleTerms {
    /// The module's timeout in seconds; the smaller one of this and the client's is in effect.
    pub timeout: Option<u32>,
}

/// What a list is made from. Equal options, format, filters and paths over the same tree give the same list.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// What the client's arguments say.
    pub options: Options,
    /// What both sides agreed on.
    pub agreed: Agreed,
    /// The form of the list.
    pub format: ListFormat,
    /// The client's filter rules.
    pub filters: Filters,
    /// The path arguments as sent, with the module's name as it was asked for (also where that names a generation).
    /// With [`ListRequest::files`] the first one is the base directory of the names.
    pub paths: Vec<Vec<u8>>,
    /// Whether a path argument may hold several paths.
    pub path_form: PathForm,
    /// The names of `--files-from` as sent, in order; none of them is empty or holds a zero byte (protocol 7).
    pub files: Option<Vec<Vec<u8>>>,
    /// The protocol version.
    pub protocol: Protocol,
}

/// A list, ready to be sent.
#[derive(Clone, Debug, Default)]
pub struct FileList {
    /// Finished data frames with the encoded list, its end and the names of ids.
    pub frames: Vec<Bytes>,
    /// Messages about problems while listing, sent before it.
    pub messages: Vec<(Tag, Vec<u8>)>,
    /// I/O error bits (protocol 5.2).
    pub io_error: u32,
    /// How many entries the list has.
    pub entries: u32,
    /// Size of all regular files and symlinks in bytes, for the client's statistics.
    pub total_size: u64,
    /// How long it took to build it, for the client's statistics.
    pub build: Duration,
}

/// Why a requested file is not sent (protocol 9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSend<'a> {
    /// It is gone: the client ends with code 24.
    Vanished {
        /// Path from the module root, with a leading slash.
        path: &'a [u8],
    },
    /// It cannot be read: the client ends with code 23.
    Failed {
        /// Path from the module root, with a leading slash.
        path: &'a [u8],
        /// The system's words and number, as in "Input/output error (5)".
        reason: &'a str,
    },
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// Whether both sides said goodbye; a listing of modules counts as well.
    pub clean: bool,
    /// The code that the client gave when it stopped by itself (protocol 5.3).
    pub client_code: Option<i32>,
    /// Bytes received, from the first one on.
    pub received: u64,
    /// Bytes that were handed out or wait to be.
    pub sent: u64,
    /// Files that were sent, repeated ones included.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
}

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Flush, then read more input, or finish what was handed out before.
    Wait,
    /// Answer with `Sender::modules`.
    ListModules,
    /// The client names a module, perhaps with a generation behind an `@`: the request line as it came. Answer with
    /// `Sender::accept`, `Sender::refuse` or `Sender::challenge`.
    Module(Vec<u8>),
    /// The answer to a challenge. Answer with `Sender::accept` or `Sender::refuse`.
    Login(Login),
    /// Answer with `Sender::list` or `Sender::fatal`.
    List(Box<ListRequest>),
    /// Answer with `Sender::begin`, `Sender::feed` (always from the file's first byte) and `Sender::finish` (or `Sender::give_up`), or with
    /// `Sender::no_send`. Further ones may be asked for before this one is answered; answer them in order.
    Send(Request),
    /// The last words are queued: flush, close the writing half, read and drop until the end of the stream or 2 s, and
    /// close (protocol 2.12). Nothing else will follow.
    Drain {
        /// The exit code that the client is expected to end with.
        code: i32,
    },
    /// Flush and close.
    Finished(Finish),
}
