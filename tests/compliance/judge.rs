//! What came of a case as sorted lines, and the comparison of two such results.
//!
//! An outcome is `code N`, `out LINE`, `err LINE` and `tree ENTRY`. What two honest runs may say differently is taken out
//! here and nowhere else: bytes on the wire, speeds, times needed, ports, places, and the words for the way in which
//! the list travels. Order of lines is not compared: it depends on that way too.

use std::path::Path;
use std::process::Output;

use super::case::{Case, Expect};

/// What one client said and left behind.
pub(crate) struct Outcome {
    lines: Vec<String>,
}

/// Lines of a client that say how it went this time, not what came of it.
const PASSING: &[&str] = &[
    "sent ",
    "File list size: ",
    "File list generation time: ",
    "File list transfer time: ",
    "Total bytes sent: ",
    "Total bytes received: ",
];

/// What a client says when a server closes its socket before it has read all. The stock daemon does so after an error, and its
/// client sees it or not, as time goes; ours must not.
const CUT: &str = "] read error: Connection reset by peer";

impl Outcome {
    /// From what a client gave that ran in `place`; `port` is its server's, `tree` what its destination holds.
    pub(crate) fn new(output: &Output, port: u16, place: &Path, tree: Vec<String>) -> Self {
        let code = output.status.code().map_or("none: a signal".to_owned(), |code| code.to_string());
        let mut lines = vec![format!("code {code}")];
        lines.extend(said(&output.stdout, port, place).into_iter().map(|line| format!("out {line}")));
        lines.extend(said(&output.stderr, port, place).into_iter().map(|line| format!("err {line}")));
        lines.extend(tree.into_iter().map(|line| format!("tree {line}")));
        lines.sort();
        Self { lines }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    fn code(&self) -> Option<i32> {
        self.lines.iter().find_map(|line| line.strip_prefix("code ")).and_then(|code| code.parse().ok())
    }
}

fn said(bytes: &[u8], port: u16, place: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).replace(&*place.to_string_lossy(), "PLACE");
    text.replace(&format!(" port {port}"), " port PORT").lines().filter_map(plain).collect()
}

/// A line without what may differ; none if nothing is left of it.
fn plain(line: &str) -> Option<String> {
    let line = line.trim_end();
    if line.is_empty() || PASSING.iter().any(|start| line.starts_with(start)) {
        return None;
    }
    if line.starts_with("receiving ") && line.contains("file list") {
        return Some("receiving file list".to_owned());
    }
    if let Some((start, rest)) = line.split_once("  speedup is ") {
        let end = rest.find(" (").map_or("", |at| &rest[at..]);
        return Some(format!("{start}{end}"));
    }
    // `rsync error: some text (code 23) at main.c(1852) [generator=3.5.0]`: where in the client depends on timing.
    let end = line.find(") at ").filter(|_| line.starts_with("rsync ")).map_or(line.len(), |at| at + 1);
    Some(line[..end].to_owned())
}

/// An error says all that is not as `case` expects it.
pub(crate) fn judge(case: &Case, stock: &Outcome, ours: &Outcome) -> Result<(), String> {
    let mut wrong = Vec::new();
    if !stock.code().is_some_and(|code| case.codes.contains(&code)) {
        wrong.push(format!("the case is not what it says: stock ended with {:?}\n{}", stock.code(), stock.text()));
    }
    if !stock.lines.iter().any(|line| line.contains(case.shows)) {
        wrong.push(format!("the case is not what it says: stock shows no {:?}\n{}", case.shows, stock.text()));
    }
    if let Some(line) = ours.lines.iter().find(|line| line.contains(CUT)) {
        wrong.push(format!("ours cuts the connection: {line}"));
    }
    let mut differences = differences(&stock.lines, &ours.lines);
    differences.retain(|line| !(line.starts_with("< ") && line.contains(CUT)));
    let expected = match case.expect {
        Expect::Same => &[],
        Expect::Differs(_, expected) => expected,
    };
    for line in &differences {
        if !expected.iter().any(|pattern| fits(pattern, line)) {
            wrong.push(line.clone());
        }
    }
    for pattern in expected.iter().filter(|pattern| !pattern.starts_with('?')) {
        if !differences.iter().any(|line| fits(pattern, line)) {
            wrong.push(format!("expected and not found: {pattern}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// `< line` is stock's alone, `> line` ours alone; both lists are sorted.
fn differences(stock: &[String], ours: &[String]) -> Vec<String> {
    let (mut stock, mut ours) = (stock.iter().peekable(), ours.iter().peekable());
    let mut found = Vec::new();
    loop {
        match (stock.peek(), ours.peek()) {
            (None, None) => return found,
            (Some(a), Some(b)) if a == b => {
                stock.next();
                ours.next();
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => {
                found.push(format!("< {a}"));
                stock.next();
            }
            (_, b) => {
                found.extend(b.map(|b| format!("> {b}")));
                ours.next();
            }
        }
    }
}

/// A pattern is a whole line, or its start and `*`; a `?` in front says that it need not occur.
fn fits(pattern: &str, line: &str) -> bool {
    let pattern = pattern.strip_prefix('?').unwrap_or(pattern);
    match pattern.strip_suffix('*') {
        Some(start) => line.starts_with(start),
        None => line == pattern,
    }
}

#[test]
fn a_line_keeps_only_what_an_honest_server_must_repeat() {
    let check = |line: &str, expected: Option<&str>| assert_eq!(plain(line).as_deref(), expected, "{line}");
    check("receiving incremental file list", Some("receiving file list"));
    check("receiving file list ... done", Some("receiving file list"));
    check("sent 20 bytes  received 1,044 bytes  709.33 bytes/sec", None);
    check("total size is 1,234  speedup is 1.16 (DRY RUN)", Some("total size is 1,234 (DRY RUN)"));
    check(
        "rsync error: some files/attrs were not transferred (code 23) at main.c(1852) [generator=3.5.0]",
        Some("rsync error: some files/attrs were not transferred (code 23)"),
    );
    check("rsync: [generator] failed to open", Some("rsync: [generator] failed to open"));
    check(">f+++++++++ a at b) at c", Some(">f+++++++++ a at b) at c"));
}

#[test]
fn every_difference_between_two_outcomes_is_seen() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let check = |stock: &str, ours: &str, expected: &[&str]| {
        assert_eq!(differences(&lines(stock), &lines(ours)), expected, "{stock} {ours}");
    };
    check("a b", "a b", &[]);
    check("a b c", "a c d", &["< b", "> d"]);
    check("a a b", "a b b", &["< a", "> b"]);
    check("b", "a", &["> a", "< b"]);
    check("a", "a b", &["> b"]);
    assert!(fits("< out *", "< out x") && fits("?> a", "> a") && !fits("> a", "> ab"));
}
