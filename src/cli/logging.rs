//! Logs: where `tracing` events go, and how a running node changes what it lets through.
//!
//! They go to standard error, so that standard output holds results only. A node logs as its configuration says; every other command
//! is quiet but for warnings.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::node::config::{LogConfig, LogFormat};

/// Puts a new filter in force; the format stays what it was at the start.
pub(super) type Relog = Box<dyn Fn(&LogConfig) + Send + Sync>;

/// Starts the log of a node. What comes back changes its filter later.
pub(super) fn start(config: &LogConfig) -> Relog {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&config.filter));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second start in one process changes nothing.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(lines));
    Box::new(move |config| drop(handle.reload(EnvFilter::new(&config.filter))))
}

/// Starts the log of a command: warnings, and more with `-v`.
pub(super) fn start_quiet(verbose: u8, colours: bool) {
    let subscriber = fmt::fmt()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .with_env_filter(EnvFilter::new(filter(verbose)))
        .without_time()
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// What `-v`, `-vv` and silence let through.
fn filter(verbose: u8) -> &'static str {
    match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug,h2=info,hyper=info",
        _ => "trace",
    }
}

/// The filter that `-v` asks a node for; `None`: what the configuration says.
pub(super) fn wished(verbose: u8) -> Option<&'static str> {
    (verbose > 0).then(|| filter(verbose.saturating_add(1)))
}
