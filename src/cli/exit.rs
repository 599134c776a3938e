//! How a command ends: the exit code, and the message in the form what failed / why / what to do.
//!
//! | code | meaning | made from |
//! |---|---|---|
//! | 0 | done; also when there was nothing to do | |
//! | 1 | refused: a name, a configuration or an order that cannot be obeyed | `Fault::Operator` |
//! | 2 | the command line cannot be read | clap |
//! | 3 | this machine failed: disk, memory, permissions, a damaged store | `Fault::Local` |
//! | 4 | the running node, or another one, did not answer as agreed | `Fault::Peer` |
//! | 5 | an upstream failed | `Fault::Upstream` |
//! | 6 | a client failed | `Fault::Client` |
//!
//! `headwater --help` shows the same table. Standard output that was closed by its reader (`| head`) is no failure.

use std::process::ExitCode;

use anyhow::Error;

use super::output::{self, OutputGone};
use crate::control::{ControlError, Refusal};
use crate::fault::Fault;
use crate::node::config::ConfigError;
use crate::node::error::NodeError;
use crate::node::sample_out::SampleError;

/// The exit code of a fault.
pub(super) fn code(fault: Fault) -> u8 {
    match fault {
        Fault::Operator => 1,
        Fault::Local => 3,
        Fault::Peer => 4,
        Fault::Upstream => 5,
        Fault::Client => 6,
    }
}

/// Prints clap's message or help, and gives its code: 2, or 0 for help that was asked for.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // A terminal that is gone cannot be told so.
    let _ = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Prints an error and gives its code.
pub(super) fn failed(error: &Error) -> ExitCode {
    if error.downcast_ref::<OutputGone>().is_some() {
        return ExitCode::SUCCESS;
    }
    let refusal = refusal_of(error);
    output::warn(&message(&refusal));
    ExitCode::from(code(refusal.fault))
}

/// The message as it is printed: three parts at most, each on lines of its own.
fn message(refusal: &Refusal) -> String {
    // Some errors tell their cause in their own sentence; it is told once.
    let what = refusal.what.strip_suffix(&refusal.why).and_then(|what| what.strip_suffix(": "));
    let mut text = format!("headwater: {}\n", what.unwrap_or(&refusal.what));
    for (mark, part) in [("why", &refusal.why), ("do", &refusal.todo)] {
        if !part.is_empty() {
            let indented = part.replace('\n', "\n       ");
            text.push_str(&format!("  {:<4} {indented}\n", format!("{mark}:")));
        }
    }
    text
}

/// Any error of ours in the form in which it is told.
fn refusal_of(error: &Error) -> Refusal {
    for cause in error.chain() {
        let known = if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            refusal.clone()
        } else if let Some(error) = cause.downcast_ref::<NodeError>() {
            error.refusal()
        } else if let Some(ControlError::Refused(refusal)) = cause.downcast_ref::<ControlError>() {
            refusal.clone()
        } else if let Some(error) = cause.downcast_ref::<ControlError>() {
            told(error, error.fault(), error.todo())
        } else if let Some(error) = cause.downcast_ref::<ConfigError>() {
            told(error, error.fault(), error.todo())
        } else if let Some(error) = cause.downcast_ref::<SampleError>() {
            told(error, error.fault(), "")
        } else {
            continue;
        };
        return known;
    }
    told(error.as_ref(), Fault::Local, "")
}

/// An error as what, and its causes as why.
fn told(error: &dyn std::error::Error, fault: Fault, todo: &str) -> Refusal {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    Refusal { fault, what: error.to_string(), why: causes.join(": "), todo: todo.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;
    use crate::node::config::{Environment, Sources};

    fn check(error: Error, code_expected: u8, expected: &str) {
        let refusal = refusal_of(&error);
        assert_eq!((code(refusal.fault), message(&refusal).as_str()), (code_expected, expected));
    }

    #[test]
    fn an_error_is_told_as_what_failed_why_and_what_to_do() {
        let refusal = Refusal {
            fault: Fault::Operator,
            what: "import /tree into nosuch".into(),
            why: "the topology has no repository of this name".into(),
            todo: "name one of: gentoo".into(),
        };
        let expected = "headwater: import /tree into nosuch\n  why: the topology has no repository of this name\n  do:  name one of: gentoo\n";
        check(refusal.clone().into(), 1, expected);
        let twice = Refusal { what: format!("{}: {}", refusal.what, refusal.why), ..refusal.clone() };
        check(twice.into(), 1, expected);
        check(ControlError::Refused(refusal).into(), 1, expected);
        check(
            ControlError::NoNode { socket: "/d/control.sock".into() }.into(),
            1,
            "headwater: no node runs here: nobody answers on /d/control.sock\n  do:  start one with `headwater run`, or name its data directory with --dir\n",
        );
        check(
            ControlError::Lost { call: "status", reason: "no answer within 15 s".into() }.into(),
            4,
            "headwater: status on the running node: no answer within 15 s\n  do:  see the node's log, then try again\n",
        );
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        check(
            Err::<(), _>(denied).context("write the sample").unwrap_err(),
            3,
            "headwater: write the sample\n  why: permission denied\n",
        );
    }

    #[test]
    fn mistakes_in_the_configuration_come_on_lines_of_their_own() {
        let sources = Sources { dir: "/d".into(), environment: Environment::default(), flags: Vec::new() };
        let error = sources.resolve("nam = 1\n").unwrap_err();
        check(
            error.into(),
            1,
            "headwater: the configuration has 2 mistakes:\n  headwater.toml, name: every node has a name: write such as name = \"gw\"\n  headwater.toml:1:1, nam: no such key; did you mean name?\n  do:  correct what is named above, then try again\n",
        );
    }

    #[test]
    fn the_help_names_every_exit_code() {
        use clap::CommandFactory;
        let help = super::super::args::Arguments::command().render_long_help().to_string();
        for fault in [Fault::Upstream, Fault::Peer, Fault::Client, Fault::Operator, Fault::Local] {
            assert!(help.contains(&format!("\n  {}  ", code(fault))), "{fault}");
        }
    }
}
