//! The walls of the house: floors, dryness, sizes, names and first lines, checked over the sources.
//!
//! Plain text checks without a parser: they see what a reader sees. What they cannot see is in
//! `clippy.toml`. Exceptions stand in `EXCEPTIONS` and may only become fewer: one that is no longer
//! needed fails the test too.
#![expect(clippy::expect_used, reason = "a test says where it failed, and that is enough")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folder (or file) of `src/` → what it may import. The order is the order of the floors.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("tree", &[]),
    ("names", &[]),
    ("fault", &[]),
    ("wire", &[]),
    ("portage", &["tree"]),
    ("policy", &["names", "tree", "portage"]),
    ("verify", &["tree", "portage"]),
    ("cascade", &["names", "tree"]),
    ("sample", &["tree", "portage", "verify"]),
    ("store", &["fault", "names", "tree"]),
    ("identity", &["fault", "names", "tree"]),
    ("fetch", &["fault", "tree", "wire", "portage", "store"]),
    ("serve", &["fault", "names", "tree", "wire", "portage", "store"]),
    ("control", &["fault", "names", "tree", "cascade", "identity"]),
    (
        "node",
        &[
            "tree", "names", "fault", "portage", "policy", "verify", "cascade", "sample", "store", "identity", "fetch",
            "serve", "control",
        ],
    ),
    ("cli", &["fault", "names", "tree", "policy", "verify", "cascade", "store", "control", "node"]),
];

/// Floors 0 to 2.
const DRY: &[&str] = &["tree", "names", "fault", "wire", "portage", "policy", "verify", "cascade", "sample"];

/// What a dry file does not contain outside comments and tests.
const WET: &[&str] = &[
    "async fn",
    "async move",
    ".await",
    "tokio",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::env",
    "SystemTime",
    "Instant::now",
    "SystemRandom",
    "serde",
    "tonic",
    "prost::",
];

const BANNED_WORDS: &[&str] =
    &["manager", "handler", "helper", "helpers", "util", "utils", "misc", "common", "service", "context", "info"];

const MAX_FILE_LINES: usize = 450;
const MAX_FILE_LINES_WITH_TESTS: usize = 700;
const MAX_FUNCTION_LINES: usize = 70;

/// Named exceptions: (file, what, reason). May only shrink.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

struct Source {
    path: String,
    folder: String,
    text: String,
}

impl Source {
    /// The text before the in-file tests.
    fn code(&self) -> &str {
        let at = self.text.find("\n#[cfg(test)]\nmod tests").map_or(self.text.len(), |at| at + 1);
        &self.text[..at]
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("_tests.rs") || self.path.ends_with("/tests.rs")
    }

    /// The code with comments cut off, line by line; line numbers stay.
    fn bare_lines(&self) -> Vec<String> {
        self.code().lines().map(|line| without_comment(line).to_owned()).collect()
    }
}

/// Cuts a `//` comment, unless it stands inside a string on that line.
fn without_comment(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if at == 0 || bytes[at - 1] != b'\'' || quoted => quoted = !quoted,
            b'/' if !quoted && bytes.get(at + 1) == Some(&b'/') => return &line[..at],
            _ => {}
        }
    }
    line
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(source(&root, path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn source(root: &Path, path: PathBuf) -> Source {
    let inner = path.strip_prefix(root).expect("below src").to_string_lossy().into_owned();
    let folder = inner.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    Source { path: inner, folder, text: fs::read_to_string(&path).expect("a source is UTF-8") }
}

/// Fails with all findings at once, except those that `EXCEPTIONS` names for this wall.
fn report(wall: &str, mut findings: Vec<(String, String)>) {
    for (file, what, _) in EXCEPTIONS.iter().filter(|(_, what, _)| *what == wall) {
        let before = findings.len();
        findings.retain(|(path, _)| path != file);
        assert!(findings.len() < before, "the exception for {file} ({what}) is no longer needed: remove it");
    }
    let lines: Vec<String> = findings.into_iter().map(|(path, text)| format!("src/{path}: {text}")).collect();
    assert!(lines.is_empty(), "{wall}:\n{}", lines.join("\n"));
}

/// `crate::a::…` and `crate::{a::…, b}` → the folders that a line names.
fn imports(line: &str) -> Vec<String> {
    let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(top_level_words(group).into_iter().map(|w| word(&w))),
            None => found.push(word(rest)),
        }
    }
    found.retain(|w| !w.is_empty());
    found
}

/// The items of a `{…}` group, nested groups skipped.
fn top_level_words(group: &str) -> Vec<String> {
    let (mut depth, mut item, mut items) = (0_i32, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    items.push(item);
    items
}

#[test]
fn a_folder_imports_only_from_lower_floors() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| !["lib", "main"].contains(&s.folder.as_str())) {
        let Some(allowed) = table.get(source.folder.as_str()) else {
            findings.push((source.path.clone(), "stands on no floor: add its folder to the table".to_owned()));
            continue;
        };
        // One logical line a statement, so that a `use crate::{` over several lines is seen whole.
        let joined = source.bare_lines().join(" ").replace(';', ";\n");
        for name in joined.lines().flat_map(imports) {
            if name != source.folder && table.contains_key(name.as_str()) && !allowed.contains(&name.as_str()) {
                findings.push((source.path.clone(), format!("imports {name}")));
            }
        }
    }
    report("floors", findings);
}

#[test]
fn the_table_of_floors_has_no_circle() {
    let mut seen: Vec<&str> = Vec::new();
    for (folder, allowed) in MAY_IMPORT {
        for name in *allowed {
            assert!(seen.contains(name), "{folder} may import {name}, which does not stand below it");
        }
        seen.push(folder);
    }
}

#[test]
fn floors_below_the_waterline_are_dry() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| DRY.contains(&s.folder.as_str()) && !s.is_test()) {
        for (number, line) in source.bare_lines().iter().enumerate() {
            for wet in WET.iter().filter(|wet| line.contains(**wet)) {
                findings.push((source.path.clone(), format!("line {}: {wet}", number + 1)));
            }
        }
    }
    report("dryness", findings);
}

#[test]
fn files_are_short() {
    let mut findings = Vec::new();
    for source in sources() {
        let (all, code) = (source.text.lines().count(), source.code().lines().count());
        if code > MAX_FILE_LINES && !source.is_test() {
            findings.push((source.path.clone(), format!("{code} lines without tests; at most {MAX_FILE_LINES}")));
        } else if all > MAX_FILE_LINES_WITH_TESTS {
            findings.push((source.path.clone(), format!("{all} lines; at most {MAX_FILE_LINES_WITH_TESTS}")));
        }
    }
    report("file length", findings);
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_fn = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "const fn ",
                "pub const fn ",
            ]
            .iter()
            .any(|start| head.starts_with(start));
            if !is_fn || head.ends_with(';') {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|l| *l == close).map_or(1, |n| n + 1);
            if length > MAX_FUNCTION_LINES && !head.ends_with('}') {
                findings.push((source.path.clone(), format!("line {}: {length} lines: {head}", start + 1)));
            }
        }
    }
    report("function length", findings);
}

#[test]
fn every_file_says_what_it_is() {
    let findings = sources()
        .iter()
        .filter(|s| !s.text.starts_with("//! "))
        .map(|s| (s.path.clone(), "does not open with //!".to_owned()))
        .collect();
    report("first line", findings);
}

#[test]
fn a_mod_file_holds_no_logic() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|s| s.path.ends_with("mod.rs")) {
        for (number, line) in source.bare_lines().iter().enumerate() {
            if line.contains("fn ") || line.contains("impl ") || line.contains("struct ") || line.contains("enum ") {
                findings.push((source.path.clone(), format!("line {}: {}", number + 1, line.trim())));
            }
        }
    }
    report("mod.rs", findings);
}

#[test]
fn names_say_what_a_thing_is() {
    let mut findings = Vec::new();
    for source in sources() {
        let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        for word in stem.split('_').filter(|w| BANNED_WORDS.contains(w)) {
            findings.push((source.path.clone(), format!("the file name says {word}")));
        }
        for line in source.bare_lines() {
            let Some(name) = ["struct ", "enum ", "trait "].iter().find_map(|k| {
                line.split(k)
                    .nth(1)
                    .filter(|_| line.trim_start().starts_with("pub") || line.trim_start().starts_with(k))
            }) else {
                continue;
            };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            let lower = name.to_lowercase();
            if BANNED_WORDS.iter().any(|w| lower.ends_with(w)) {
                findings.push((source.path.clone(), format!("the type {name} says nothing")));
            }
        }
    }
    report("names", findings);
}

#[test]
fn nothing_is_left_for_later_in_the_code() {
    let marks = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
    ];
    let mut findings = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            for mark in marks.iter().filter(|m| line.contains(**m)) {
                findings.push((source.path.clone(), format!("line {}: {mark}", number + 1)));
            }
        }
    }
    report("left for later", findings);
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "proto",
        "src",
        "topology",
        "tests",
        "docker",
        "README.md",
        "benches",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "build.rs",
        "clippy.toml",
        "deny.toml",
        "rustfmt.toml",
        "target",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let strange: Vec<String> = fs::read_dir(root)
        .expect("the project is readable")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str()) && !name.ends_with(".key"))
        .collect();
    assert!(strange.is_empty(), "not at the top level, please: {strange:?}");
}

#[test]
fn the_walls_can_see() {
    assert_eq!(imports("use crate::store::Store;"), ["store"]);
    assert_eq!(imports("use crate::{tree::{A, B}, wire};"), ["tree", "wire"]);
    assert_eq!(imports("fn f(a: crate::node::X) {}"), ["node"]);
    assert_eq!(without_comment(r#"let a = "//"; // tokio"#), r#"let a = "//"; "#);
    let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {}\n".to_owned();
    let source = Source { path: "x.rs".to_owned(), folder: "x".to_owned(), text };
    assert_eq!(source.code(), "//! x\nfn a() {}\n");
}
