//! One rule's pattern made ready: which part of a name it is compared with, and how (protocol 6.3).
//!
//! All that a pattern and its anchor decide is decided once. What then runs for each of some 177,000 names is for
//! most patterns one comparison of bytes from an end. Nothing is allocated there: a text that has to be longer than
//! the name (the module's part in front, a slash behind) is read piecewise.
//! Invariant: the names given are relative to the transfer root, without a slash at either end.

use super::rules::Rule;
use super::wild::{has_wildcards, wild_match, wild_match_by};

/// What an entry is, as far as filter rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Is {
    /// A directory: patterns with a trailing slash apply, and `***` matches the directory itself.
    Directory,
    /// Anything else, a symlink to a directory included.
    Other,
}

/// Where the name starts that a pattern is compared with.
#[derive(Debug)]
enum Base {
    /// At the transfer root.
    Root,
    /// At a directory above it: these bytes (they end with a slash) stand in front of each name.
    Above(Box<[u8]>),
    /// At a directory below it: names that do not start with these bytes (they end with a slash) do not match.
    Below(Box<[u8]>),
}

/// The table of protocol 6.3, with cheap forms for the patterns that are frequent.
#[derive(Debug)]
enum Shape {
    /// Can match nothing: anchored outside of the transfer.
    Never,
    /// The last component, byte by byte.
    Name(Box<[u8]>),
    /// `*X`: the end of the last component.
    NameEnd(Box<[u8]>),
    /// `X*`: the start of the last component.
    NameStart(Box<[u8]>),
    NameWild(Box<[u8]>),
    /// The whole name, byte by byte. The base is worked in.
    Whole(Box<[u8]>),
    WholeWild(Box<[u8]>),
    /// As many last components as the pattern has, byte by byte.
    Tail(Box<[u8]>),
    TailWild {
        pattern: Box<[u8]>,
        slashes: usize,
    },
    /// The whole name with a slash in front.
    Deep(Box<[u8]>),
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    shape: Shape,
    base: Base,
    /// The pattern ends in `***`: directories are compared with a slash behind.
    slash_behind: bool,
}

impl Pattern {
    /// Compiles the pattern of `rule` for a transfer from `root`. `anchor` is the directory of the file that holds the
    /// rule, if one does; both are paths from the module root, which itself is the empty path.
    pub(super) fn compile(rule: &Rule, root: &[u8], anchor: Option<&[u8]>) -> Self {
        let text = rule.pattern.as_slice();
        let wild = has_wildcards(text);
        let deep = text.windows(2).any(|pair| pair == b"**");
        let slashes = text.iter().filter(|byte| **byte == b'/').count();
        let base = match (rule.absolute, text, anchor) {
            (true, ..) => Base::between(b"", root),
            (false, [b'/', ..], Some(anchor)) => Base::between(anchor, root),
            _ => Some(Base::Root),
        };
        let Some(base) = base else { return Self { shape: Shape::Never, base: Base::Root, slash_behind: false } };
        let shape = match text {
            [b'/', rest @ ..] if wild => Shape::WholeWild(rest.into()),
            [b'/', rest @ ..] => base.literal(rest),
            _ if slashes == 0 && !deep => Shape::name(text, wild),
            [b'*', b'*', ..] => Shape::Deep(text.into()),
            // "Also every tail that starts after a slash" is what `**/` says of a name with a slash in front.
            _ if deep => Shape::Deep([b"**/", text].concat().into()),
            _ if wild => Shape::TailWild { pattern: text.into(), slashes },
            _ => Shape::Tail(text.into()),
        };
        Self { shape, base, slash_behind: text.ends_with(b"***") }
    }

    /// Whether the pattern matches `name`.
    pub(super) fn matches(&self, name: &[u8], is: Is) -> bool {
        let front: &[u8] = match &self.base {
            Base::Above(front) => front,
            Base::Root | Base::Below(_) => b"",
        };
        let back: &[u8] = if self.slash_behind && is == Is::Directory { b"/" } else { b"" };
        match &self.shape {
            Shape::Never => false,
            Shape::Name(text) => ends_with_components(b"", name, text),
            Shape::NameEnd(text) => name.ends_with(text),
            Shape::NameStart(text) => last_component(name).starts_with(text),
            Shape::NameWild(pattern) => wild_match(pattern, last_component(name)),
            Shape::Whole(text) => name == &**text,
            Shape::WholeWild(pattern) => match &self.base {
                Base::Below(start) => {
                    name.strip_prefix(&**start).is_some_and(|rest| match_joined(pattern, [b"", b"", rest, back]))
                }
                Base::Root | Base::Above(_) => match_joined(pattern, [b"", front, name, back]),
            },
            Shape::Tail(text) => ends_with_components(front, name, text),
            Shape::TailWild { pattern, slashes } => match tail(name, *slashes) {
                Ok(tail) => wild_match(pattern, tail),
                Err(_) if front.is_empty() => false,
                // The front's own slash at its end stands for one of those that the name lacks.
                Err(missing) => tail(front, missing).is_ok_and(|front| match_joined(pattern, [b"", front, name, b""])),
            },
            Shape::Deep(pattern) => match_joined(pattern, [b"/", front, name, back]),
        }
    }
}

impl Base {
    /// The base of a pattern that is anchored at `anchor`, or `None` if that is neither above nor below `root`.
    fn between(anchor: &[u8], root: &[u8]) -> Option<Self> {
        if anchor == root {
            return Some(Self::Root);
        }
        let with_slash = |path: &[u8]| Box::from([path, b"/"].concat());
        below(root, anchor)
            .map(|rest| Self::Above(with_slash(rest)))
            .or_else(|| below(anchor, root).map(|rest| Self::Below(with_slash(rest))))
    }

    /// The shape of an anchored pattern without wildcards.
    fn literal(&self, text: &[u8]) -> Shape {
        match self {
            Self::Root => Shape::Whole(text.into()),
            Self::Below(start) => Shape::Whole([start, text].concat().into()),
            Self::Above(front) => text.strip_prefix(&**front).map_or(Shape::Never, |rest| Shape::Whole(rest.into())),
        }
    }
}

impl Shape {
    fn name(text: &[u8], wild: bool) -> Self {
        let plain = |text: &[u8]| !has_wildcards(text) && !text.contains(&b'\\');
        match text {
            _ if !wild => Self::Name(text.into()),
            [b'*', rest @ ..] if plain(rest) => Self::NameEnd(rest.into()),
            [rest @ .., b'*'] if plain(rest) => Self::NameStart(rest.into()),
            _ => Self::NameWild(text.into()),
        }
    }
}

/// What of `path` lies below `directory` (the empty path is the module root), if it does.
pub(super) fn below<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    if directory.is_empty() {
        return Some(path).filter(|path| !path.is_empty());
    }
    path.strip_prefix(directory)?.strip_prefix(b"/")
}

fn last_component(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)
}

/// The last components of `text` with this many slashes between them, or how many slashes it lacks.
fn tail(text: &[u8], slashes: usize) -> Result<&[u8], usize> {
    let mut left = slashes;
    for (at, _) in text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/') {
        match left.checked_sub(1) {
            Some(fewer) => left = fewer,
            None => return Ok(text.get(at + 1..).unwrap_or_default()),
        }
    }
    if left == 0 { Ok(text) } else { Err(left) }
}

/// Whether the last components of `front` and `name` together are `text`. `front` is empty or ends with a slash.
fn ends_with_components(front: &[u8], name: &[u8], text: &[u8]) -> bool {
    let ends_whole =
        |path: &[u8], text: &[u8]| path.strip_suffix(text).is_some_and(|before| matches!(before, [] | [.., b'/']));
    if let Some(rest) = text.strip_suffix(name) {
        rest.is_empty() || (rest.ends_with(b"/") && ends_whole(front, rest))
    } else {
        ends_whole(name, text)
    }
}

/// [`wild_match`] over pieces that lie one behind the other.
fn match_joined(pattern: &[u8], pieces: [&[u8]; 4]) -> bool {
    if let [[], [], text, []] = pieces {
        return wild_match(pattern, text);
    }
    wild_match_by(pattern, |mut at| {
        for piece in pieces {
            if let Some(byte) = piece.get(at) {
                return Some(*byte);
            }
            at = at.saturating_sub(piece.len());
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::rules::{Item, Origin, parse};

    /// Each row: rule, path of the root, directory of the rule's file, name (directories end with a slash), outcome.
    fn check(table: &[(&str, &str, Option<&str>, &str, bool)]) {
        for (text, root, anchor, name, expected) in table {
            let mut items = Vec::new();
            parse(text.as_bytes(), Origin::Client, &mut items).unwrap();
            let Some(Item::Rule(rule)) = items.pop() else { panic!("no rule: {text}") };
            let pattern = Pattern::compile(&rule, root.as_bytes(), anchor.map(str::as_bytes));
            let (name, is) = name.strip_suffix('/').map_or((*name, Is::Other), |name| (name, Is::Directory));
            let got = pattern.matches(name.as_bytes(), is);
            assert_eq!(got, *expected, "rule {text:?}, root {root:?}, anchor {anchor:?}, name {name:?}");
        }
    }

    #[test]
    fn each_row_of_the_table_compares_its_part_of_the_name() {
        check(&[
            ("- foo", "", None, "a/foo", true),
            ("- foo", "", None, "a/xfoo", false),
            ("- foo", "", None, "foo/a", false),
            ("- foo", "", None, "o", false),
            ("- *.o", "", None, "a/b.o", true),
            ("- *.o", "", None, ".o", true),
            ("- .#*", "", None, "a/.#b", true),
            ("- .#*", "", None, ".#a/b", false),
            ("- a\\b*", "", None, "abc", true),
            ("- *a\\b", "", None, "xab", true),
            ("- a\\b", "", None, "a\\b", true),
            ("- a*b", "", None, "x/a1b", true),
            ("- a*b", "", None, "a/b", false),
            ("- /a", "", None, "a", true),
            ("- /a", "", None, "x/a", false),
            ("- /a*", "", None, "ab", true),
            ("- /a*", "", None, "ab/c", false),
            ("- a/b", "", None, "x/a/b", true),
            ("- a/b", "", None, "xa/b", false),
            ("- a/b", "", None, "b", false),
            ("- a/*", "", None, "x/a/y", true),
            ("- */*/*", "", None, "x/y", false),
            ("- a**b", "", None, "x/a/c/b", true),
            ("- a**b", "", None, "xa/b", false),
            ("- **/b", "", None, "b", true),
            ("- **b", "", None, "a/xb", true),
            ("- a/**", "", None, "a/", false),
            ("- a/***", "", None, "a/", true),
            ("- a/***", "", None, "a", false),
            ("- a/***", "", None, "x/a/y", true),
            ("- /a/***", "", None, "a/", true),
            ("- a***", "", None, "ab/", true),
            ("- /", "", None, "a", false),
            ("- a//", "", None, "a/", false),
        ]);
    }

    #[test]
    fn absolute_rules_see_the_path_from_the_module_root() {
        check(&[
            ("-/ /t/s/a", "t/s", None, "a", true),
            ("-/ /t/a", "t/s", None, "a", false),
            ("-/ /a", "t/s", None, "a", false),
            ("-/ /t/*/a", "t/s", None, "a", true),
            ("-/ /t/s", "t/s", None, "a", false),
            ("-/ a", "t/s", None, "x/a", true),
            ("-/ s/a", "t/s", None, "a", true),
            ("-/ t/s/a", "t/s", None, "a", true),
            ("-/ x/s/a", "t/s", None, "a", false),
            ("-/ s/a", "ts", None, "a", false),
            ("-/ s/a", "s", None, "a", true),
            ("-/ ?/a", "t/s", None, "a", true),
            ("-/ ?/?/a", "t/s", None, "a", true),
            ("-/ ?/?/?/a", "t/s", None, "a", false),
            ("-/ **/t/s/a", "t/s", None, "a", true),
            ("-/ s/**", "t/s", None, "a", true),
            ("-/ /a", "", None, "a", true),
        ]);
    }

    #[test]
    fn anchored_rules_of_a_file_hold_from_its_directory_on() {
        check(&[
            ("- /a", "t", Some("t"), "a", true),
            ("- /a", "t", Some("t/d"), "d/a", true),
            ("- /a", "t", Some("t/d"), "a", false),
            ("- /a", "t", Some("t/d"), "d/x/a", false),
            ("- /*", "t", Some("t/d"), "d/x", true),
            ("- /*", "t", Some("t/d"), "d/x/y", false),
            ("- /*", "t", Some("t/d*"), "d1/x", false),
            ("- /s/a", "t/s", Some("t"), "a", true),
            ("- /*/a", "t/s", Some("t"), "a", true),
            ("- /a", "t/s", Some("t"), "a", false),
            ("- /a", "t/s", Some("u"), "a", false),
            ("- /d/***", "", Some("t"), "t/d/", true),
            ("- a", "t", Some("t/d"), "x/a", true),
            ("-/ /t/a", "t", Some("t/d"), "a", true),
        ]);
    }
}
