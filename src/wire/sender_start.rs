//! A sender's first part: everything before the frames, from the client's greeting to the agreement.
//!
//! Text lines, argument vectors and the binary setup come without any framing, so each step takes its bytes off the
//! front of what has arrived and leaves the rest. Invariant: a question to the driver (the module list, or whether a
//! module may be used) stops the machine until it is answered, however much the client has sent ahead.
//! An argument vector that passes its bound is read to its end all the same, as only then the client can be told.
//! Absent on purpose: passwords, and any deadline; the driver keeps one over this whole part (protocol 2.7).

use super::args::{Args, ArgsError, Bound};
use super::error::WireError;
use super::greeting::{
    BAD_EARLY_INPUT, EXIT_LINE, GREETING, GREETING_LIMIT, GreetingError, Lines, OK_LINE, PasswordDigest, Protocol,
    REQUEST_LIMIT, RequestLine, challenge_line, module_list_line, no_digest_line, parse_greeting, parse_request,
    unknown_command_line,
};
use super::login::{LOGIN_LIMIT, Login};
use super::options::{Options, Parsed, Refusal, is_secluded, parse_args};
use super::quote::quote;
use super::sender_output::Output;
use super::setup::{Agreed, Setup};

/// What the first part settles.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) protocol: Protocol,
    pub(super) options: Options,
    pub(super) paths: Vec<Vec<u8>>,
    pub(super) refusal: Option<Refusal>,
    pub(super) agreed: Agreed,
    /// Bytes of memory that options and paths take, about.
    pub(super) memory: usize,
}

/// Exit code for arguments that make no sense (protocol 12.1).
const SYNTAX: i32 = 1;
/// Exit code for want of memory (protocol 12.1).
const NO_MEMORY: i32 = 22;

/// Queues a text for people. No line of it may start like an answer of the protocol: such a line gets a blank in
/// front (protocol 2.2).
pub(super) fn put_text(text: &[u8], output: &mut Output) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"@") {
            output.raw(b" ");
        }
        output.raw(line);
    }
}

/// Where the first part stops to ask, or ends.
#[derive(Debug)]
pub(super) enum StartStep {
    ListModules,
    Module(Vec<u8>),
    Login(Login),
    Opened(Box<Opened>),
}

#[derive(Debug)]
pub(super) struct Start {
    state: State,
    lines: Lines,
    bound: Bound,
    args: Args,
    /// Bytes of memory that the first vector takes where there are two.
    first: usize,
    /// Which bound the client's arguments passed.
    passed: Option<ArgsError>,
    protocol: Protocol,
    /// The client's password digests, in its order.
    digests: Vec<PasswordDigest>,
    seed: i32,
}

#[derive(Debug)]
enum State {
    Greeting,
    Request,
    /// So many bytes are to be dropped before the next request line.
    EarlyInput(usize),
    /// The driver has a question to answer.
    Asked,
    /// The answer to this challenge is due.
    Login(String, PasswordDigest),
    /// There is no digest for a challenge.
    NoDigest,
    FirstArgs,
    SecondArgs(Vec<Vec<u8>>),
    Setup(Setup, Box<Parsed>),
}

impl Start {
    /// Says the daemon's greeting and the message of the day (protocol 2.1, 2.2).
    pub(super) fn new(motd: &[u8], seed: i32, bound: Bound, output: &mut Output) -> Self {
        output.raw(GREETING);
        if !motd.is_empty() {
            put_text(motd, output);
            output.raw(b"\n");
        }
        Self {
            state: State::Greeting,
            lines: Lines::new(),
            bound,
            args: Args::new(bound),
            first: 0,
            passed: None,
            protocol: Protocol::V30,
            digests: Vec::new(),
            seed,
        }
    }

    /// Goes on as far as `input` allows. `None`: it needs more of it, or an answer.
    pub(super) fn poll(&mut self, input: &mut &[u8], output: &mut Output) -> Result<Option<StartStep>, WireError> {
        loop {
            let next = match &mut self.state {
                State::Asked => return Ok(None),
                State::NoDigest => return Err(WireError::NoDigest),
                State::Greeting => match self.lines.next(input, GREETING_LIMIT)? {
                    Some(line) => self.greeting(&line, output)?,
                    None => return Ok(None),
                },
                State::Request => match self.lines.next(input, REQUEST_LIMIT)? {
                    Some(line) => match request(&line, output)? {
                        Asked::Ahead(state) => state,
                        Asked::Driver(step) => {
                            self.state = State::Asked;
                            return Ok(Some(step));
                        }
                    },
                    None => return Ok(None),
                },
                State::EarlyInput(left) => {
                    let dropped = input.split_off(..input.len().min(*left)).unwrap_or_default();
                    *left -= dropped.len();
                    if *left > 0 {
                        return Ok(None);
                    }
                    State::Request
                }
                State::Login(challenge, digest) => match self.lines.next(input, LOGIN_LIMIT)? {
                    Some(line) => {
                        let login = Login::parse(&line, std::mem::take(challenge), *digest);
                        self.state = State::Asked;
                        return Ok(Some(StartStep::Login(login)));
                    }
                    None => return Ok(None),
                },
                State::FirstArgs => match self.args.read(input) {
                    Some(first) if is_secluded(&first) => {
                        self.first = self.args.memory();
                        self.passed = std::mem::replace(&mut self.args, Args::new(self.bound)).passed();
                        State::SecondArgs(first)
                    }
                    Some(first) => self.setup(parse_args(&first, None), output),
                    None => return Ok(None),
                },
                State::SecondArgs(first) => match self.args.read(input) {
                    Some(second) => {
                        let parsed = parse_args(first, Some(&second));
                        self.setup(parsed, output)
                    }
                    None => return Ok(None),
                },
                State::Setup(setup, parsed) => {
                    let Some(agreed) = setup.read(input)? else { return Ok(None) };
                    let Parsed { options, paths, refusal, .. } = std::mem::take(&mut **parsed);
                    self.state = State::Asked;
                    let (protocol, memory) = (self.protocol, self.memory());
                    let opened = Opened { protocol, options, paths, refusal, agreed, memory };
                    return Ok(Some(StartStep::Opened(Box::new(opened))));
                }
            };
            self.state = next;
        }
    }

    fn greeting(&mut self, line: &[u8], output: &mut Output) -> Result<State, GreetingError> {
        let greeting = parse_greeting(line).inspect_err(|error| output.raw(format!("{error}\n").as_bytes()))?;
        self.protocol = greeting.protocol;
        self.digests = greeting.digests;
        Ok(State::Request)
    }

    fn setup(&mut self, mut parsed: Parsed, output: &mut Output) -> State {
        if let Some(passed) = self.passed.or(self.args.passed()) {
            let code = if passed == ArgsError::NoRoom { NO_MEMORY } else { SYNTAX };
            parsed.refusal = Some(Refusal { code, line: format!("rsync: too many arguments: {passed}\n") });
        }
        let setup = Setup::new(&parsed.options, parsed.caps, self.seed);
        output.raw(&setup.opening());
        State::Setup(setup, Box::new(parsed))
    }

    /// Bytes of memory that the arguments take, about.
    pub(super) fn memory(&self) -> usize {
        self.first + self.args.memory()
    }

    /// Says that there is no room for more arguments. The client hears it when it has sent them all.
    pub(super) fn close(&mut self) {
        self.args.close();
    }

    /// Whether a question of [`StartStep`] is unanswered.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.state, State::Asked)
    }

    /// The driver's list of modules (protocol 2.4).
    pub(super) fn modules(modules: &[(&[u8], &[u8])], output: &mut Output) {
        for (name, comment) in modules {
            output.raw(&module_list_line(name, comment));
        }
        output.raw(EXIT_LINE);
    }

    /// The driver wants a password. A client whose digests are all weaker than `weakest` is told so instead.
    pub(super) fn challenge(&mut self, challenge: &str, weakest: PasswordDigest, output: &mut Output) {
        self.state = match self.digests.first() {
            Some(digest) if *digest <= weakest => {
                output.raw(&challenge_line(challenge));
                State::Login(challenge.to_owned(), *digest)
            }
            _ => {
                output.raw(&no_digest_line(weakest));
                State::NoDigest
            }
        };
    }

    /// The driver lets the client have the module.
    pub(super) fn accept(&mut self, output: &mut Output) {
        output.raw(OK_LINE);
        self.state = State::FirstArgs;
    }

    /// What to say was going on when the client went away.
    pub(super) fn during(&self) -> &'static str {
        match self.state {
            State::Greeting => "greeting",
            State::Request | State::EarlyInput(_) | State::Asked => "asking for a module",
            State::Login(..) | State::NoDigest => "asked for a password",
            State::FirstArgs | State::SecondArgs(_) => "sending its arguments",
            State::Setup(..) => "agreeing on checksums and compression",
        }
    }
}

/// What a request line leads to.
enum Asked {
    Ahead(State),
    Driver(StartStep),
}

/// Protocol 2.3. What asks for nothing known gets its line here.
fn request(line: &[u8], output: &mut Output) -> Result<Asked, WireError> {
    match parse_request(line) {
        RequestLine::List => Ok(Asked::Driver(StartStep::ListModules)),
        RequestLine::Module(name) => Ok(Asked::Driver(StartStep::Module(name))),
        RequestLine::EarlyInput(count) => Ok(Asked::Ahead(State::EarlyInput(count))),
        RequestLine::BadEarlyInput => {
            output.raw(BAD_EARLY_INPUT);
            Err(WireError::Request(quote(line)))
        }
        RequestLine::Unknown(line) => {
            output.raw(&unknown_command_line(&line));
            Err(WireError::Request(quote(&line)))
        }
    }
}
