//! A line on the terminal that says how far an import, or another long work, is.
//!
//! It is drawn on standard error and only where that is a terminal; elsewhere nothing is printed at all.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::control::{Phase, Progress};

/// How often the line moves while nothing is told.
const TICK: Duration = Duration::from_millis(120);

const WITH_END: &str = "{spinner} {wide_bar:.dim} {percent:>3} %  {msg}";
const WITHOUT_END: &str = "{spinner} {msg}";

/// The line. It vanishes when it is dropped.
pub(super) struct ImportLine {
    bar: ProgressBar,
    /// The phase that the style was made for, and whether its end was known.
    styled: Option<(Phase, bool)>,
}

impl ImportLine {
    /// A line that waits for its first news.
    pub(super) fn new() -> ImportLine {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(TICK);
        ImportLine { bar, styled: None }
    }

    /// Shows how far it is now.
    pub(super) fn show(&mut self, progress: Progress) {
        let styled = Some((progress.phase, progress.total.is_some()));
        if self.styled != styled {
            self.styled = styled;
            self.bar.set_style(style(progress.total));
        }
        if let Some(total) = progress.total {
            self.bar.set_length(total);
            self.bar.set_position(progress.done.min(total));
        }
        self.bar.set_message(words(progress));
    }
}

impl Drop for ImportLine {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar where the end is known, else a wheel.
fn style(total: Option<u64>) -> ProgressStyle {
    let template = if total.is_some() { WITH_END } else { WITHOUT_END };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn words(progress: Progress) -> String {
    let doing = match progress.phase {
        Phase::List => "list",
        Phase::Read => "read",
        Phase::Verify => "verify",
        Phase::Publish => "publish",
        Phase::Sweep => "sweep",
        Phase::Scrub => "scrub",
        Phase::Copy => "copy",
    };
    let done = output::count(progress.done);
    let mut text = match progress.total {
        Some(total) => format!("{doing}: {done} of {}", output::count(total)),
        None => format!("{doing}: {done}"),
    };
    if progress.bytes > 0 {
        text.push_str(&format!(", {}", output::size(progress.bytes)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_counts_and_bytes() {
        let progress = Progress { phase: Phase::Read, done: 1_200, total: Some(152_331), bytes: 2 << 20 };
        assert_eq!(words(progress), "read: 1,200 of 152,331, 2.0 MiB");
        let list = Progress { phase: Phase::List, done: 7, total: None, bytes: 0 };
        assert_eq!(words(list), "list: 7");
    }

    #[test]
    fn both_templates_are_sound() {
        for template in [WITH_END, WITHOUT_END] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
