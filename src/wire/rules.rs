//! One filter rule: its wire form, read into what it means for a sender (protocol 6.1, 6.2, 6.4).
//!
//! A rule text comes from the client or from a line of a per-directory file; the two differ in defaults and in which
//! sided rules count. Nothing here keeps or repeats the text of a rule that failed: a [`Flaw`] only names the
//! mistake, so that no message can carry a line of a file to a client.
//! Deliberately absent: `.` rules (a client expands its own files; ours must not be named by it), and perishable and
//! xattr semantics, which concern receivers only.

/// What a rule says about the names that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Leave the entry out, and do not enter it.
    Exclude,
    /// Keep the entry, whatever later rules say.
    Include,
}

/// A plain rule that acts on the sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    pub(super) verdict: Verdict,
    /// Without the trailing slash that says "directories only".
    pub(super) pattern: Vec<u8>,
    pub(super) directories_only: bool,
    pub(super) negated: bool,
    /// Modifier `/`: compared with the path from the module root.
    pub(super) absolute: bool,
}

/// Which side the modifiers `s` and `r` (or the kinds `H S P R`) name; both together are as good as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Both,
    Sender,
    Receiver,
}

/// How the lines of a per-directory file are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lines {
    /// Each is a rule.
    Rules,
    /// Each is a bare pattern (modifiers `-`, `+`).
    Patterns(Verdict),
    /// Each is a bare exclude pattern, but a lone `!` clears (modifier `C`).
    Cvs,
}

/// Whether subdirectories go on with what a per-directory file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Inheritance {
    Inherited,
    OwnDirectoryOnly,
}

/// A `:` rule: a file that is looked for in every directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Merge {
    /// The file's name, one component.
    pub(super) name: Vec<u8>,
    /// What stood before the name, without the slash between; empty for the module root.
    pub(super) start: Option<Vec<u8>>,
    pub(super) inheritance: Inheritance,
    pub(super) lines: Lines,
    /// Modifier `w`: rules end at white space, and there are no comments.
    words: bool,
    absolute: bool,
    side: Option<Side>,
    xattr: bool,
}

/// What one rule text stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Clear,
    Rule(Rule),
    Merge(Merge),
}

/// Where a rule text comes from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    Client,
    File(&'a Merge),
}

/// What is wrong with a rule, without a byte of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The text starts with no kind of rule.
    #[error("no such kind of rule")]
    Kind,
    /// A modifier that this kind of rule does not take.
    #[error("a modifier that does not go with this kind of rule")]
    Modifier,
    /// The text ends before the pattern.
    #[error("the pattern is missing")]
    NoPattern,
    /// Something follows a `!`.
    #[error("a clear rule stands alone")]
    Trailing,
    /// The file's own rule names a side already (protocol 6.4).
    #[error("the side is given twice")]
    SideTwice,
    /// A `.` rule.
    #[error("a merge rule is not taken; send its rules instead")]
    Merge,
    /// A text of more than [`MAX_RULE_BYTES`].
    #[error("longer than {MAX_RULE_BYTES} bytes")]
    TooLong,
}

/// Length of one rule, in bytes: the stock limit (protocol 6.1).
pub const MAX_RULE_BYTES: usize = 5_119;

/// What `:C` reads if it names no file.
const CVS_FILE: &[u8] = b".cvsignore";

/// The built-in list of `-C`, in its order (protocol 6.4).
const CVS_PATTERNS: &str = "RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* \
    *$ *.old *.bak *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/";

/// The long names of the kinds (protocol 6.1).
const LONG_NAMES: [(&[u8], u8); 9] = [
    (b"exclude", b'-'),
    (b"include", b'+'),
    (b"hide", b'H'),
    (b"show", b'S'),
    (b"protect", b'P'),
    (b"risk", b'R'),
    (b"dir-merge", b':'),
    (b"merge", b'.'),
    (b"clear", b'!'),
];

/// The modifiers of one rule, as they were given.
#[derive(Default)]
struct Modifiers {
    absolute: bool,
    negated: bool,
    cvs: bool,
    exclude_file: bool,
    no_inherit: bool,
    words: bool,
    bare: Option<Verdict>,
    sender: bool,
    receiver: bool,
    xattr: bool,
}

impl Modifiers {
    fn side(&self) -> Option<Side> {
        match (self.sender, self.receiver) {
            (false, false) => None,
            (true, true) => Some(Side::Both),
            (true, false) => Some(Side::Sender),
            (false, true) => Some(Side::Receiver),
        }
    }
}

/// Reads one rule and adds what it stands for to `items`: nothing for a rule that does not act on a sender, one item,
/// or several for `-C` and the modifier `e`.
pub(super) fn parse(text: &[u8], origin: Origin<'_>, items: &mut Vec<Item>) -> Result<(), Flaw> {
    if text.len() > MAX_RULE_BYTES {
        return Err(Flaw::TooLong);
    }
    if let Origin::File(merge) = origin {
        let verdict = match merge.lines {
            Lines::Rules => None,
            Lines::Cvs if text == b"!" => {
                items.push(Item::Clear);
                return Ok(());
            }
            Lines::Cvs => Some(Verdict::Exclude),
            Lines::Patterns(verdict) => Some(verdict),
        };
        if let Some(verdict) = verdict {
            push_rule(items, origin, verdict, &Modifiers::default(), text);
            return Ok(());
        }
    }
    let (kind, rest) = split_kind(text)?;
    match kind {
        b'!' if rest.is_empty() => items.push(Item::Clear),
        b'!' => return Err(Flaw::Trailing),
        b'.' => return Err(Flaw::Merge),
        _ => {
            let (modifiers, pattern) = split_modifiers(kind, rest)?;
            let side_given = modifiers.side().is_some();
            if matches!(origin, Origin::File(Merge { side: Some(_), .. })) && side_given {
                return Err(Flaw::SideTwice);
            }
            if pattern.is_empty() && !modifiers.cvs {
                return Err(Flaw::NoPattern);
            }
            let verdict = if matches!(kind, b'+' | b'S' | b'R') { Verdict::Include } else { Verdict::Exclude };
            match (kind, modifiers.cvs) {
                (b':', _) => push_merge(items, origin, &modifiers, pattern),
                (_, true) => {
                    for pattern in CVS_PATTERNS.split(' ') {
                        push_rule(items, origin, verdict, &modifiers, pattern.as_bytes());
                    }
                }
                (_, false) => push_rule(items, origin, verdict, &modifiers, pattern),
            }
        }
    }
    Ok(())
}

/// The two rules that the option `-C` adds at the end of the list (protocol 6.1).
pub(super) const CVS_RULES: [&[u8]; 2] = [b":C .cvsignore", b"-C "];

/// The kind as its short letter, and what follows it, from the modifiers on.
fn split_kind(text: &[u8]) -> Result<(u8, &[u8]), Flaw> {
    for (name, kind) in LONG_NAMES {
        if let Some(rest) = text.strip_prefix(name) {
            match rest {
                [] | [b' ' | b'_', ..] => return Ok((kind, rest)),
                [b',', rest @ ..] => return Ok((kind, rest)),
                _ => {}
            }
        }
    }
    match text {
        [kind @ (b'-' | b'+' | b':' | b'.' | b'!' | b'H' | b'S' | b'P' | b'R'), rest @ ..] => {
            Ok((*kind, rest.strip_prefix(b",").unwrap_or(rest)))
        }
        _ => Err(Flaw::Kind),
    }
}

/// The modifiers of a rule of `kind`, and its pattern.
fn split_modifiers(kind: u8, text: &[u8]) -> Result<(Modifiers, &[u8]), Flaw> {
    let mut found = Modifiers {
        sender: matches!(kind, b'H' | b'S'),
        receiver: matches!(kind, b'P' | b'R'),
        ..Modifiers::default()
    };
    let sided = found.side().is_some();
    let merge = kind == b':';
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'_')).unwrap_or(text.len());
    let (letters, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    for letter in letters {
        match letter {
            b'/' => found.absolute = true,
            b'p' => {}
            b'x' => found.xattr = true,
            b's' if !sided => found.sender = true,
            b'r' if !sided => found.receiver = true,
            b'!' if !merge => found.negated = true,
            b'C' if found.bare.is_none() && matches!(kind, b':' | b'-' | b'+') => found.cvs = true,
            b'e' if merge => found.exclude_file = true,
            b'n' if merge => found.no_inherit = true,
            b'w' if merge => found.words = true,
            b'-' if merge && found.bare.is_none() && !found.cvs => found.bare = Some(Verdict::Exclude),
            b'+' if merge && found.bare.is_none() && !found.cvs => found.bare = Some(Verdict::Include),
            _ => return Err(Flaw::Modifier),
        }
    }
    Ok((found, rest.get(1..).unwrap_or_default()))
}

/// Adds a plain rule, if it acts on a sender. A receiver-side rule does so only if a client sent it (protocol 6.2).
fn push_rule(items: &mut Vec<Item>, origin: Origin<'_>, verdict: Verdict, modifiers: &Modifiers, pattern: &[u8]) {
    let mut side = modifiers.side();
    let (mut absolute, mut xattr) = (modifiers.absolute, modifiers.xattr);
    if let Origin::File(merge) = origin {
        side = side.or(merge.side);
        absolute |= merge.absolute;
        xattr |= merge.xattr;
    }
    let ignored = matches!((origin, side), (Origin::File(_), Some(Side::Receiver)));
    if xattr || ignored {
        return;
    }
    let stripped = pattern.strip_suffix(b"/").filter(|rest| !rest.is_empty());
    items.push(Item::Rule(Rule {
        verdict,
        pattern: stripped.unwrap_or(pattern).to_vec(),
        directories_only: stripped.is_some(),
        negated: modifiers.negated,
        absolute,
    }));
}

fn push_merge(items: &mut Vec<Item>, origin: Origin<'_>, modifiers: &Modifiers, path: &[u8]) {
    let path = if path.is_empty() { CVS_FILE } else { path };
    let (start, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).map(<[u8]>::to_vec), path.get(slash + 1..).unwrap_or_default()),
        None => (None, path),
    };
    if name.is_empty() {
        return;
    }
    if modifiers.exclude_file {
        push_rule(items, origin, Verdict::Exclude, &Modifiers::default(), name);
    }
    let own_only = modifiers.no_inherit || modifiers.cvs;
    items.push(Item::Merge(Merge {
        name: name.to_vec(),
        start,
        inheritance: if own_only { Inheritance::OwnDirectoryOnly } else { Inheritance::Inherited },
        lines: match modifiers.bare {
            _ if modifiers.cvs => Lines::Cvs,
            Some(verdict) => Lines::Patterns(verdict),
            None => Lines::Rules,
        },
        words: modifiers.words || modifiers.cvs,
        absolute: modifiers.absolute,
        side: modifiers.side(),
        xattr: modifiers.xattr,
    }));
}

impl Merge {
    /// The rule texts of a file, with the numbers of their lines (the first is 1).
    pub(super) fn split<'a>(&self, content: &'a [u8]) -> impl Iterator<Item = (usize, &'a [u8])> + use<'a> {
        let words = self.words;
        let separates = move |byte: &u8| if words { byte.is_ascii_whitespace() } else { matches!(byte, b'\n' | b'\r') };
        let mut line = 1;
        content.split_inclusive(move |byte| separates(byte)).filter_map(move |piece| {
            let number = line;
            line += usize::from(piece.ends_with(b"\n"));
            let text = match piece.split_last() {
                Some((last, text)) if separates(last) => text,
                _ => piece,
            };
            let comment = !words && matches!(text, [b'#' | b';', ..]);
            (!text.is_empty() && !comment).then_some((number, text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, origin: Origin<'_>) -> Result<Vec<Item>, Flaw> {
        let mut items = Vec::new();
        parse(text.as_bytes(), origin, &mut items).map(|()| items)
    }

    fn merge(text: &str) -> Merge {
        match one(text, Origin::Client).unwrap().pop() {
            Some(Item::Merge(merge)) => merge,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn plain_rules_in_all_their_spellings() {
        let rule = |verdict, pattern: &str, marks: &str| {
            vec![Item::Rule(Rule {
                verdict,
                pattern: pattern.into(),
                directories_only: marks.contains('d'),
                negated: marks.contains('!'),
                absolute: marks.contains('/'),
            })]
        };
        use Verdict::{Exclude, Include};
        for (text, expected) in [
            ("- a", rule(Exclude, "a", "")),
            ("+ a/", rule(Include, "a", "d")),
            ("-_a b", rule(Exclude, "a b", "")),
            ("-  a", rule(Exclude, " a", "")),
            ("-,/!s a", rule(Exclude, "a", "/!")),
            ("-! */", rule(Exclude, "*", "!d")),
            ("- /", rule(Exclude, "/", "")),
            ("- a//", rule(Exclude, "a/", "d")),
            ("-r a", rule(Exclude, "a", "")),
            ("-x a", vec![]),
            ("H a", rule(Exclude, "a", "")),
            ("S a", rule(Include, "a", "")),
            ("P a", rule(Exclude, "a", "")),
            ("R,/ a", rule(Include, "a", "/")),
            ("exclude a", rule(Exclude, "a", "")),
            ("include,!_a", rule(Include, "a", "!")),
            ("protect a", rule(Exclude, "a", "")),
            ("risk a", rule(Include, "a", "")),
            ("show a", rule(Include, "a", "")),
            ("hide a", rule(Exclude, "a", "")),
            ("!", vec![Item::Clear]),
            ("clear", vec![Item::Clear]),
        ] {
            assert_eq!(one(text, Origin::Client), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refusals_name_the_mistake() {
        for (text, flaw) in [
            ("", Flaw::Kind),
            ("a", Flaw::Kind),
            ("excluded a", Flaw::Kind),
            ("exclude/ a", Flaw::Kind),
            ("-", Flaw::NoPattern),
            ("- ", Flaw::NoPattern),
            (":", Flaw::NoPattern),
            ("exclude", Flaw::NoPattern),
            ("-q a", Flaw::Modifier),
            ("-n a", Flaw::Modifier),
            ("-,,s a", Flaw::Modifier),
            ("RC ", Flaw::Modifier),
            ("-nC ", Flaw::Modifier),
            (":C- a", Flaw::Modifier),
            (":-C a", Flaw::Modifier),
            ("-s,r a", Flaw::Modifier),
            ("-\ta", Flaw::Modifier),
            ("Hs a", Flaw::Modifier),
            (":! a", Flaw::Modifier),
            (":-+ a", Flaw::Modifier),
            ("! a", Flaw::Trailing),
            (". a", Flaw::Merge),
            ("merge a", Flaw::Merge),
        ] {
            assert_eq!(one(text, Origin::Client), Err(flaw), "{text:?}");
        }
    }

    #[test]
    fn cvs_rules_are_the_built_in_list() {
        let items = one("-C ", Origin::Client).unwrap();
        assert_eq!(items.len(), 36);
        assert!(matches!(items.last(), Some(Item::Rule(rule)) if rule.directories_only && rule.pattern == b".bzr"));
        assert_eq!(one("-C ignored", Origin::Client).unwrap(), items);
        assert!(matches!(
            &one("+C ", Origin::Client).unwrap()[..],
            [Item::Rule(Rule { verdict: Verdict::Include, .. }), ..]
        ));
        assert_eq!(merge(":C "), merge(":C .cvsignore"));
        assert_ne!(merge(":C "), merge(":nw- .cvsignore"), "only C takes a lone ! for a clear");
    }

    #[test]
    fn a_file_is_split_at_line_ends_or_at_white_space() {
        let lines = |rule: &str, content: &str| -> Vec<(usize, String)> {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            merge(rule).split(content.as_bytes()).map(|(line, bytes)| (line, text(bytes))).collect()
        };
        let expect =
            |rows: &[(usize, &str)]| rows.iter().map(|(line, text)| (*line, (*text).to_owned())).collect::<Vec<_>>();
        assert_eq!(lines(": .r", "- a\r\n# c\n\n ;x\n; y\n- b"), expect(&[(1, "- a"), (4, " ;x"), (6, "- b")]));
        assert_eq!(lines(":w .r", "-_a +_b\n\t#c"), expect(&[(1, "-_a"), (1, "+_b"), (2, "#c")]));
        assert_eq!(lines(": .r", "a\rb"), expect(&[(1, "a"), (1, "b")]));
    }

    #[test]
    fn a_file_s_own_rule_sets_the_defaults_of_its_lines() {
        let count = |rule: &str, line: &str| one(line, Origin::File(&merge(rule))).map(|items| items.len());
        assert_eq!(count(": .r", "- a"), Ok(1));
        assert_eq!(count(": .r", "-r a"), Ok(0), "a receiver's rule in a file is none of the sender's");
        assert_eq!(count(": .r", "P a"), Ok(0));
        assert_eq!(count(":r .r", "- a"), Ok(0));
        assert_eq!(count(":s .r", "- a"), Ok(1));
        assert_eq!(count(":s .r", "-r a"), Err(Flaw::SideTwice));
        assert_eq!(count(":r .r", "H a"), Err(Flaw::SideTwice));
        assert_eq!(count(":x .r", "- a"), Ok(0));
        assert_eq!(count(":e .r", "!"), Ok(1));
        let absolute = one("- /a", Origin::File(&merge(":/ .r"))).unwrap();
        assert!(matches!(&absolute[..], [Item::Rule(Rule { absolute: true, .. })]));
        for (rule, line, expected) in [(":- .r", "!", "!"), (":- .r", "+ a", "+ a"), (":C ", "- a", "- a")] {
            let items = one(line, Origin::File(&merge(rule))).unwrap();
            assert!(matches!(&items[..], [Item::Rule(rule)] if rule.pattern == expected.as_bytes()), "{rule}: {line}");
        }
        assert_eq!(one("!", Origin::File(&merge(":C "))), Ok(vec![Item::Clear]));
    }
}
