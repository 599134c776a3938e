//! The daemon's side of one connection, from its first byte to its last, as a state machine without I/O.
//!
//! A driver gives what it reads to [`Sender::input`], asks [`Sender::poll`] what to do, does it, and writes what
//! [`Sender::take_output`] hands out. Where the sender needs something that it cannot know (which modules there are,
//! what is in a list, the bytes of a file) `poll` gives a [`Step`] that names the call with which to answer.
//! Invariants: nothing a client sends makes it panic; what it keeps of a client is bounded by the limits of its
//! parsers, by [`Limits`] and by [`Sender::keep_within`], as long as the driver reads only while
//! [`Sender::wants_input`]; replies, records and DONEs leave in the order in which they were asked for.
//! Absent on purpose: time. The driver keeps the deadlines, and calls [`Sender::keepalive`].

use bytes::Bytes;

use super::error::WireError;
use super::filter::Filters;
use super::flist::ListFormat;
use super::greeting::{PasswordDigest, Protocol};
use super::mux::Tag;
use super::options::Options;
use super::sender_asking::{Asking, Heard};
use super::sender_input::DataStream;
use super::sender_output::Output;
use super::sender_phase::Phase;
use super::sender_start::{Opened, Start, StartStep, put_text};
use super::sender_transfer::{ListFacts, Next, Transfer};
use super::setup::Agreed;

pub use super::args::Bound;
pub use super::login::Login;
pub use super::sender_bulk::{BULK_FRAME, Bulk, BulkFrame, Stretch};
pub use super::sender_reply::Outcome;
pub use super::sender_request::{Attempt, Request};
pub use super::sender_step::{
    ARGUMENTS, FileList, Finish, Limits, ListRequest, ModuleTerms, NAMES, NoSend, RULES, SenderConfig, Step, WAITING,
    WAITING_BYTES,
};

/// Exit code of a client that could not have all files (protocol 12.1).
const PARTIAL: i32 = 23;
/// Exit code of a client that was turned away before its session began.
const START: i32 = 5;

/// What is settled once the frames begin.
#[derive(Debug)]
struct Session {
    protocol: Protocol,
    options: Options,
    agreed: Agreed,
    paths: Vec<Vec<u8>>,
    /// Bytes of memory that the arguments take until they are given to the driver.
    memory: usize,
}

/// The daemon's side of one connection.
#[derive(Debug)]
pub struct Sender {
    limits: Limits,
    phase: Phase,
    session: Option<Session>,
    module: Vec<u8>,
    silence: Option<u32>,
    terms: ModuleTerms,
    /// Bytes from before the frames that no parser has taken yet.
    raw: Vec<u8>,
    stream: DataStream,
    output: Output,
    received: u64,
    ended: bool,
    /// How much of what the client sends may be kept.
    room: usize,
}

impl Sender {
    /// A sender for a new connection. Its greeting is queued at once, as nobody waits for the other's.
    #[must_use]
    pub fn new(config: SenderConfig) -> Self {
        let mut output = Output::default();
        let start = Start::new(&config.motd, config.seed, config.limits.arguments, &mut output);
        Self {
            limits: config.limits,
            phase: Phase::Start(Box::new(start)),
            session: None,
            module: Vec::new(),
            silence: config.silence,
            terms: ModuleTerms::default(),
            raw: Vec::new(),
            stream: DataStream::default(),
            output,
            received: 0,
            ended: false,
            room: usize::MAX,
        }
    }

    /// Takes what was read from the connection.
    pub fn input(&mut self, bytes: &[u8]) {
        self.received += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match self.phase {
            Phase::Start(_) => self.raw.extend_from_slice(bytes),
            Phase::Asking(_) | Phase::List | Phase::Transfer(_) => self.stream.input(bytes),
            Phase::Drain(_) | Phase::Finished(_) => {}
        }
    }

    /// Says that the client will send nothing more. It is heard once: a socket that has ended is readable for ever.
    pub fn end_of_input(&mut self) {
        self.ended = true;
    }

    /// Whether reading helps: not while a question of this sender is unanswered, or too many requests are.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        !self.ended && self.phase.wants_input(&self.limits) && !(self.is_cramped() && self.phase.is_owed())
    }

    /// Bytes of memory that what the client has sent takes, about: what is incomplete, and what was asked of the driver
    /// and is not answered. A [`ListRequest`] is the driver's own.
    #[must_use]
    pub fn memory(&self) -> usize {
        let session = self.session.as_ref().map_or(0, |session| session.memory);
        self.raw.len() + self.stream.memory() + session + self.phase.memory()
    }

    /// Says how much [`Sender::memory`] may be from now on. It may pass this by what is read in one go. Beyond it a
    /// client that waits for an answer gets that first; one that must send more before it gets anything is told that
    /// there is no room, and that is the end.
    pub fn keep_within(&mut self, room: usize) {
        self.room = room;
    }

    fn is_cramped(&self) -> bool {
        self.memory() > self.room
    }

    /// What to do next. Call it after input and after each answer, until it says [`Step::Wait`].
    ///
    /// # Errors
    /// The client broke a rule, was refused, or went away. It is said once: what the client is to be told about it is
    /// queued, and the next call gives [`Step::Drain`] or [`Step::Finished`].
    pub fn poll(&mut self) -> Result<Step, WireError> {
        let step = self.step();
        match step {
            Ok(Step::Wait) if self.ended && !self.phase.is_owed() => {
                Err(self.fail(WireError::Ended { during: self.phase.during() }))
            }
            Ok(Step::Wait) if self.is_cramped() && !self.phase.is_owed() => self.no_room(),
            Ok(step) => Ok(step),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Arguments are read to their end, as only then the client can be told.
    fn no_room(&mut self) -> Result<Step, WireError> {
        match &mut self.phase {
            Phase::Start(start) => {
                start.close();
                Ok(Step::Wait)
            }
            _ => Err(self.fail(WireError::NoRoom)),
        }
    }

    fn step(&mut self) -> Result<Step, WireError> {
        if let Phase::Start(_) = self.phase
            && let Some(step) = self.start()?
        {
            return Ok(step);
        }
        while let Phase::Asking(asking) = &mut self.phase {
            match asking.next(&mut self.stream)? {
                Heard::Nothing => return Ok(Step::Wait),
                Heard::Message(tag, payload) => self.hear_message(tag, &payload),
                Heard::All(filters, files) => return Ok(self.ask_for_list(filters, files)),
            }
        }
        if matches!(self.phase, Phase::List | Phase::Transfer(_)) {
            self.hear_messages()?;
        }
        match &mut self.phase {
            Phase::Start(_) | Phase::Asking(_) | Phase::List => Ok(Step::Wait),
            Phase::Transfer(transfer) => {
                transfer.received = self.received;
                match transfer.next(&mut self.stream, &mut self.output, &self.limits)? {
                    Next::Wait => Ok(Step::Wait),
                    Next::Send(request) => Ok(Step::Send(request)),
                    Next::Goodbye => Ok(self.finished(Finish { clean: true, ..self.counts() })),
                }
            }
            Phase::Drain(code) => Ok(Step::Drain { code: *code }),
            Phase::Finished(finish) => Ok(Step::Finished(finish.clone())),
        }
    }

    /// The first part. `None`: it needs input or an answer, or it is over and the next part begins.
    fn start(&mut self) -> Result<Option<Step>, WireError> {
        let Phase::Start(start) = &mut self.phase else { return Ok(None) };
        let mut rest: &[u8] = &self.raw;
        let step = start.poll(&mut rest, &mut self.output);
        let taken = self.raw.len() - rest.len();
        self.raw.drain(..taken);
        match step? {
            None => Ok(None),
            Some(StartStep::ListModules) => Ok(Some(Step::ListModules)),
            Some(StartStep::Module(name)) => {
                self.module.clone_from(&name);
                Ok(Some(Step::Module(name)))
            }
            Some(StartStep::Login(login)) => Ok(Some(Step::Login(login))),
            Some(StartStep::Opened(opened)) => self.open(*opened),
        }
    }

    /// From here on both directions carry frames.
    fn open(&mut self, opened: Opened) -> Result<Option<Step>, WireError> {
        let Opened { protocol, options, paths, refusal, agreed, memory } = opened;
        self.stream.input(&std::mem::take(&mut self.raw));
        self.phase = Phase::Asking(Box::new(Asking::new(&options, protocol, &self.limits)));
        self.session = Some(Session { protocol, options, agreed, paths, memory });
        if let Some(refusal) = refusal {
            let text = refusal.line.trim_end().to_owned();
            return Err(WireError::Refused { code: refusal.code, text });
        }
        if protocol >= Protocol::V31
            && let Some(seconds) = self.timeout()
        {
            self.output.message(Tag::IoTimeout, &seconds.to_le_bytes());
        }
        self.step().map(Some)
    }

    /// Reacts to the messages that have arrived.
    fn hear_messages(&mut self) -> Result<(), WireError> {
        while let Some((tag, payload)) = self.stream.pump()? {
            self.hear_message(tag, &payload);
            if let Phase::Finished(_) = self.phase {
                break;
            }
        }
        Ok(())
    }

    /// All that is left of a client's messages is its ERROR_EXIT (protocol 5.3).
    fn hear_message(&mut self, tag: Tag, payload: &[u8]) {
        if tag == Tag::ErrorExit {
            let client_code = payload.first_chunk().map(|code| i32::from_le_bytes(*code));
            if client_code.is_some() {
                self.output.message(Tag::ErrorExit, &[]);
            }
            self.finished(Finish { client_code, ..self.counts() });
        }
    }

    fn ask_for_list(&mut self, filters: Filters, files: Option<Vec<Vec<u8>>>) -> Step {
        let Some(session) = &mut self.session else { return Step::Wait };
        self.phase = Phase::List;
        let Session { protocol, options, agreed, .. } = *session;
        let format = ListFormat::new(&options, &agreed, protocol);
        let paths = std::mem::take(&mut session.paths);
        session.memory = 0;
        let path_form = options.path_form();
        Step::List(Box::new(ListRequest { options, agreed, format, filters, paths, path_form, files, protocol }))
    }

    /// Answers [`Step::ListModules`] with the names and comments of the modules that are listed, in order.
    pub fn modules(&mut self, modules: &[(&[u8], &[u8])]) {
        if matches!(self.phase, Phase::Start(_)) {
            Start::modules(modules, &mut self.output);
            self.finished(Finish { clean: true, ..self.counts() });
        }
    }

    /// Sends a text before the answer to [`Step::Module`]: the message of the day of that module. It should end in a
    /// line feed.
    pub fn greet(&mut self, text: &[u8]) {
        if matches!(self.phase, Phase::Start(_)) {
            put_text(text, &mut self.output);
        }
    }

    /// Answers [`Step::Module`]: the client has to prove who it is; [`Step::Login`] follows. The challenge is to be of
    /// at least 128 random bits, in base64 without padding (protocol 2.5). A client whose digest is weaker than
    /// `weakest` is refused before it proves anything to whoever listens: the next [`Sender::poll`] says so.
    pub fn challenge(&mut self, challenge: &str, weakest: PasswordDigest) {
        if let Phase::Start(start) = &mut self.phase {
            start.challenge(challenge, weakest, &mut self.output);
        }
    }

    /// Answers [`Step::Module`] or [`Step::Login`]: the client may use the module.
    pub fn accept(&mut self, terms: ModuleTerms) {
        if let Phase::Start(start) = &mut self.phase {
            self.terms = terms;
            start.accept(&mut self.output);
        }
    }

    /// Answers [`Step::Module`] or [`Step::Login`] with a line that starts with `@ERROR`, given without its end (protocol 2.6).
    pub fn refuse(&mut self, line: &[u8]) {
        if matches!(self.phase, Phase::Start(_)) {
            self.output.raw(line);
            self.output.raw(b"\n");
            self.phase = Phase::Drain(START);
        }
    }

    /// Answers [`Step::List`]. An empty list ends the session (protocol 8.10.4).
    pub fn list(&mut self, list: FileList) {
        let (Phase::List, Some(session)) = (&self.phase, &self.session) else { return };
        let Session { protocol, options, agreed, .. } = *session;
        for (tag, text) in &list.messages {
            self.output.message(*tag, text);
        }
        list.frames.into_iter().for_each(|frames| self.output.shared(frames));
        let format = ListFormat::new(&options, &agreed, protocol);
        if list.io_error != 0 && !format.end_carries_errors() && !format.ignore_errors {
            self.output.message(Tag::IoError, &list.io_error.to_le_bytes());
        }
        let complained = list.io_error != 0 || list.messages.iter().any(|(tag, _)| *tag == Tag::ErrorXfer);
        self.phase = if list.entries == 0 {
            Phase::Drain(if complained { PARTIAL } else { 0 })
        } else {
            let facts = ListFacts { entries: list.entries, total_size: list.total_size, build: list.build };
            Phase::Transfer(Box::new(Transfer::new(&options, agreed, protocol, self.module.clone(), facts)))
        };
    }

    /// The long part and what it writes to, while it goes on.
    pub(super) fn transfer(&mut self) -> Option<(&mut Transfer, &mut Output)> {
        match &mut self.phase {
            Phase::Transfer(transfer) => Some((transfer, &mut self.output)),
            _ => None,
        }
    }

    /// Ends the session for a reason of ours: the client prints `rsync: ` and `text`, and ends with `code`
    /// (protocol 12.2); at protocol 30 with 12, and in the text phase with 5.
    pub fn fatal(&mut self, code: i32, text: &str) {
        match &self.phase {
            Phase::Start(_) => self.refuse(format!("@ERROR: {text}").as_bytes()),
            Phase::Drain(_) | Phase::Finished(_) => {}
            _ => self.last_words(code, &format!("rsync: {text}\n")),
        }
    }

    fn last_words(&mut self, code: i32, line: &str) {
        self.output.message(Tag::Error, line.as_bytes());
        if self.session.as_ref().is_some_and(|session| session.protocol >= Protocol::V31) {
            self.output.message(Tag::ErrorExit, &code.to_le_bytes());
        }
        self.phase = Phase::Drain(code);
    }

    /// Sends an empty frame, if the session has come so far that it has frames (protocol 11.2).
    pub fn keepalive(&mut self) {
        if matches!(self.phase, Phase::Asking(_) | Phase::List | Phase::Transfer(_)) {
            self.output.message(Tag::Data, &[]);
        }
    }

    /// The timeout in effect in seconds: the smaller one of the module's and the client's (protocol 11.1). Where there is
    /// neither, that of the [configuration](SenderConfig::silence), if the client can be told of it.
    #[must_use]
    pub fn timeout(&self) -> Option<u32> {
        let session = self.session.as_ref();
        let client = session.and_then(|session| session.options.timeout);
        let wished = [self.terms.timeout, client].into_iter().flatten().filter(|seconds| *seconds > 0).min();
        let told = session.filter(|session| session.protocol >= Protocol::V31).and(self.silence);
        wished.or(told)
    }

    /// Whether arguments, setup and filter rules are through, which a deadline is for (protocol 2.7, 11.1). Behind them a
    /// client may take its time, as when it sends many names of files, as long as something comes.
    #[must_use]
    pub fn is_opened(&self) -> bool {
        self.phase.is_opened()
    }

    /// Hands out what is to be written, in order. Shared frames of a list come as they were given.
    pub fn take_output(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.output.take()
    }

    /// How many bytes [`Sender::take_output`] would hand out.
    #[must_use]
    pub fn pending_output(&self) -> usize {
        self.output.pending()
    }

    /// Says to the client what it did wrong, if it still can be said, and ends the session.
    fn fail(&mut self, error: WireError) -> WireError {
        match (&self.phase, &error) {
            (_, WireError::Ended { .. }) => {
                self.finished(self.counts());
            }
            (Phase::Start(_), _) => self.phase = Phase::Drain(error.code()),
            (_, WireError::Refused { code, text }) => self.last_words(*code, &format!("{text}\n")),
            _ => self.last_words(error.code(), &format!("rsync: {error}\n")),
        }
        error
    }

    fn counts(&self) -> Finish {
        let (files, file_bytes) = match &self.phase {
            Phase::Transfer(transfer) => (transfer.files, transfer.file_bytes),
            _ => (0, 0),
        };
        Finish { received: self.received, sent: self.output.total(), files, file_bytes, ..Finish::default() }
    }

    fn finished(&mut self, finish: Finish) -> Step {
        self.phase = Phase::Finished(finish.clone());
        Step::Finished(finish)
    }
}
