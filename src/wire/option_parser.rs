//! Goes through argument vectors word by word and does what the option table says.
//!
//! The first objection is kept and reading goes on, so that [`Options`] tell the truth about the client even when
//! it will be refused. An upload is the exception: it wins over every other objection, since for somebody who
//! pushes to a mirror no other message would help. Invariant: every value that is used is checked here, once.

use super::option_table::{Effect, Number, Row, Takes, by_letter, by_name};
use super::options::{Append, Caps, CompressChoice, FilesFrom, Flag, Options, Parsed, Refusal};
use super::quote::quote;
use super::sums::SumKind;
use super::tokens::Codec;
use std::slice;

/// Longest timeout in seconds that a client may ask for: a day, as in the other direction (protocol 11.3).
const MAX_TIMEOUT: u32 = 86_400;

/// The lowest and highest level that any codec knows: those of zstd.
const LEVELS: (i64, i64) = (-131_072, 22);

/// The exit code for arguments that make no sense.
const SYNTAX: i32 = 1;

/// The exit code for what is not granted.
const UNSUPPORTED: i32 = 4;

/// Arguments up to the dot, with the shell escapes of the first vector undone (protocol 2.7).
struct Words<'a> {
    rest: slice::Iter<'a, Vec<u8>>,
    escapes: Escapes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Undo,
    Keep,
}

impl Iterator for Words<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let word = self.rest.next()?;
        Some(match self.escapes {
            Escapes::Undo => without_escapes(word),
            Escapes::Keep => word.clone(),
        })
    }
}

/// `\X` becomes `X`. A backslash at the very end stays.
fn without_escapes(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut bytes = word.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
    }
    plain
}

/// The parser's state over both vectors.
#[derive(Default)]
pub(super) struct Parser {
    parsed: Parsed,
    sender: bool,
    /// The codec that was named, if any.
    codec: Option<Codec>,
    /// What was said about `-R`, if anything.
    relative: Option<bool>,
}

impl Parser {
    pub(super) fn first_vector(&mut self, vector: &[Vec<u8>]) {
        self.vector(Words { rest: vector.iter(), escapes: Escapes::Undo });
    }

    /// Its first word is the program's name.
    pub(super) fn second_vector(&mut self, vector: &[Vec<u8>]) {
        let words = vector.get(1..).unwrap_or_default();
        self.vector(Words { rest: words.iter(), escapes: Escapes::Keep });
    }

    /// Draws the conclusions that need all arguments.
    pub(super) fn finish(mut self) -> Parsed {
        let options = &mut self.parsed.options;
        let asked = options.has(Flag::Compress) || options.compress.level.is_some();
        options.compress.choice = match self.codec {
            Some(codec) => CompressChoice::Fixed(codec),
            None if asked => CompressChoice::Negotiate,
            None => CompressChoice::Off,
        };
        if self.relative.unwrap_or(options.files_from == FilesFrom::Client) {
            *options = options.with(Flag::Relative);
        }
        if !self.sender {
            let line = "ERROR: module is read only\n".to_owned();
            self.parsed.refusal = Some(Refusal { code: SYNTAX, line });
        } else if self.parsed.paths.is_empty() {
            self.object(SYNTAX, "on remote machine: no path among the arguments");
        }
        self.parsed
    }

    fn vector(&mut self, mut words: Words<'_>) {
        while let Some(word) = words.next() {
            match word.as_slice() {
                b"." => {
                    self.parsed.paths.extend(words.rest.cloned());
                    return;
                }
                [b'-', b'-', long @ ..] => self.long(long, &mut words),
                [b'-', letters @ ..] if !letters.is_empty() => self.letters(letters, &mut words),
                stray => self.unknown(stray),
            }
        }
    }

    fn long(&mut self, word: &[u8], words: &mut Words<'_>) {
        let mut parts = word.splitn(2, |&byte| byte == b'=');
        let name = parts.next().unwrap_or_default();
        let attached = parts.next().map(<[u8]>::to_vec);
        match (by_name(name), attached) {
            (Some(row), None) if row.takes == Takes::Nothing => self.apply(row, &[]),
            (Some(row), attached) if row.takes == Takes::Value => {
                let shown = [b"--", name].concat();
                self.with_value(row, attached.or_else(|| words.next()), &shown);
            }
            (None, None) if self.negated(name) => {}
            _ => self.unknown(&[b"--", word].concat()),
        }
    }

    fn letters(&mut self, letters: &[u8], words: &mut Words<'_>) {
        let mut rest = letters;
        while let Some((&letter, tail)) = rest.split_first() {
            rest = tail;
            match by_letter(letter) {
                None => self.unknown(&[b'-', letter]),
                Some(row) if row.takes == Takes::Nothing => self.apply(row, &[]),
                Some(row) => {
                    let attached = Some(tail.to_vec()).filter(|value| !value.is_empty());
                    self.with_value(row, attached.or_else(|| words.next()), &[b'-', letter]);
                    return;
                }
            }
        }
    }

    fn with_value(&mut self, row: &Row, value: Option<Vec<u8>>, shown: &[u8]) {
        match value {
            Some(value) => self.apply(row, &value),
            None => {
                let text = format!("on remote machine: {}: missing argument", quote(shown));
                self.object(SYNTAX, &text);
            }
        }
    }

    /// `--no-OPTION` asks for less and so is never refused, if there is such an option. Says whether there is.
    fn negated(&mut self, name: &[u8]) -> bool {
        let row = match name.strip_prefix(b"no-") {
            Some(&[letter]) => by_letter(letter),
            Some(name) => by_name(name),
            None => None,
        };
        let options = &mut self.parsed.options;
        match row.map(|row| row.effect) {
            Some(Effect::Set(flag)) => *options = options.without(flag),
            Some(Effect::Devices) => {
                *options = options.without(Flag::Devices).without(Flag::Specials);
            }
            Some(Effect::Relative) => self.relative = Some(false),
            Some(Effect::Compress) => {
                *options = options.without(Flag::Compress);
                self.codec = None;
            }
            Some(Effect::Append | Effect::AppendVerify) => options.append = Append::No,
            Some(Effect::Verbose) => options.verbosity = 0,
            Some(Effect::Number(Number::Timeout)) => options.timeout = None,
            Some(Effect::Number(Number::Bwlimit)) => options.bwlimit = None,
            Some(Effect::Ignore | Effect::Refuse) => {}
            _ => return false,
        }
        true
    }

    fn apply(&mut self, row: &Row, value: &[u8]) {
        let options = &mut self.parsed.options;
        match row.effect {
            Effect::Ignore => {}
            Effect::Verbose => options.verbosity = options.verbosity.saturating_add(1),
            Effect::Set(flag) => *options = options.with(flag),
            Effect::Clear(flag) => *options = options.without(flag),
            Effect::Archive => *options = archive(*options),
            Effect::Devices => *options = options.with(Flag::Devices).with(Flag::Specials),
            Effect::Relative => self.relative = Some(true),
            Effect::Compress => *options = options.with(Flag::Compress),
            Effect::Codec(codec) => self.codec = Some(codec),
            Effect::Append if options.append == Append::No => options.append = Append::Yes,
            Effect::Append | Effect::AppendVerify => options.append = Append::Verify,
            Effect::Sender => self.sender = true,
            Effect::Caps => self.parsed.caps = Caps::parse(value),
            Effect::Number(which) => self.number(row, which, value),
            Effect::ChecksumChoice => self.checksum_choice(value),
            Effect::CompressChoice => self.compress_choice(value),
            Effect::FilesFrom if value == b"-" => options.files_from = FilesFrom::Client,
            Effect::FilesFrom | Effect::Refuse => self.refuse(row),
            Effect::Write => self.write(row),
        }
    }

    fn number(&mut self, row: &Row, which: Number, value: &[u8]) {
        let text = str::from_utf8(value).ok();
        let number = match which {
            Number::Bwlimit => text.and_then(kib),
            _ => text.and_then(|text| text.parse::<i64>().ok()),
        };
        if number.and_then(|number| set_number(&mut self.parsed.options, which, number)).is_none() {
            let shown = quote(value);
            let text = format!("on remote machine: --{}={shown}: invalid numeric value", row.long);
            self.object(SYNTAX, &text);
        }
    }

    /// One name for everything, or one for transfers and one for the list. A name that is not known still counts as
    /// a choice: the client will not negotiate.
    fn checksum_choice(&mut self, value: &[u8]) {
        let mut names = value.splitn(2, |&byte| byte == b',');
        let transfer = names.next().unwrap_or_default();
        let list = names.next().unwrap_or(transfer);
        let [transfer, list] = [transfer, list].map(|name| {
            SumKind::from_name(name).unwrap_or_else(|| {
                let text = format!("unknown checksum name: {}", quote(name));
                self.object(UNSUPPORTED, &text);
                SumKind::None
            })
        });
        self.parsed.options.checksum_choice = Some((transfer, list));
    }

    fn compress_choice(&mut self, name: &[u8]) {
        let codec = Codec::from_name(name);
        self.codec = Some(codec.unwrap_or(Codec::None));
        if codec.is_none() {
            let text = format!("unknown compression name: {}", quote(name));
            self.object(UNSUPPORTED, &text);
        }
    }

    fn write(&mut self, row: &Row) {
        if self.parsed.refusal.is_none() {
            let line = format!("ERROR: --{} cannot be used with a read-only module\n", row.long);
            self.parsed.refusal = Some(Refusal { code: SYNTAX, line });
        }
    }

    fn refuse(&mut self, row: &Row) {
        let letter = row.short.map(|letter| format!(" (-{})", char::from(letter)));
        let letter = letter.unwrap_or_default();
        let text = format!("The server is configured to refuse --{}{letter}", row.long);
        self.object(UNSUPPORTED, &text);
    }

    fn unknown(&mut self, word: &[u8]) {
        self.object(SYNTAX, &format!("on remote machine: {}: unknown option", quote(word)));
    }

    fn object(&mut self, code: i32, text: &str) {
        if self.parsed.refusal.is_none() {
            self.parsed.refusal = Some(Refusal { code, line: format!("rsync: {text}\n") });
        }
    }
}

fn archive(options: Options) -> Options {
    let flags = [Flag::Recursive, Flag::Links, Flag::Owner, Flag::Group, Flag::Devices, Flag::Specials, Flag::Times];
    flags.into_iter().fold(options, Options::with)
}

/// A size in KiB, rounded up: a whole number, or one with a fraction, of KiB or of the unit behind it. Clients send
/// plain numbers; people may write any of it behind `--remote-option`.
fn kib(text: &str) -> Option<i64> {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let bytes: i64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "" | "k" | "kib" => 1 << 10,
        "kb" => 1_000,
        "m" | "mib" => 1 << 20,
        "mb" => 1_000_000,
        "g" | "gib" => 1 << 30,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = fraction.get(..3).unwrap_or(fraction);
    let thousandths = format!("{digits:0<3}").parse::<i64>().ok()?;
    let bytes = whole.parse::<i64>().ok()?.checked_mul(bytes)?.checked_add(thousandths * bytes / 1_000)?;
    Some(bytes.checked_add(1_023)? >> 10)
}

/// `None`: the number is out of its range. Zero stands for "not given", except as a level.
fn set_number(options: &mut Options, which: Number, number: i64) -> Option<()> {
    match which {
        Number::Seed => {
            let seed = i32::try_from(number).ok()?;
            options.seed = Some(seed).filter(|&seed| seed != 0);
        }
        Number::Timeout => {
            let seconds = u32::try_from(number).ok()?;
            options.timeout = Some(seconds.min(MAX_TIMEOUT)).filter(|&seconds| seconds > 0);
        }
        Number::Bwlimit => {
            let rate = u32::try_from(number).ok()?;
            options.bwlimit = Some(rate).filter(|&rate| rate > 0);
        }
        Number::Level => {
            let (lowest, highest) = LEVELS;
            options.compress.level = Some(i32::try_from(number.clamp(lowest, highest)).ok()?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::option_table::rows;
    use super::super::options::{Cap, Compress, is_secluded, parse_args, split_old_args};
    use super::*;
    use proptest::prelude::*;

    const RECORDED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/args.tsv"));

    fn vector(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn parse(words: &str) -> Parsed {
        let words = format!("--server --sender {words} . mod/");
        parse_args(&vector(&words.split(' ').collect::<Vec<_>>()), None)
    }

    fn refusal(words: &str) -> Option<(i32, String)> {
        parse(words).refusal.map(|refusal| (refusal.code, refusal.line))
    }

    /// A JSON list of strings in which one character stands for one byte.
    fn byte_strings(list: &str) -> Vec<Vec<u8>> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut current: Option<Vec<u8>> = None;
        let mut chars = list.chars();
        while let Some(char) = chars.next() {
            match (&mut current, char) {
                (Some(_), '"') => found.extend(current.take()),
                (Some(text), '\\') => match chars.next().unwrap() {
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        text.push(u8::from_str_radix(&digits, 16).unwrap());
                    }
                    'n' => text.push(b'\n'),
                    't' => text.push(b'\t'),
                    'r' => text.push(b'\r'),
                    plain => text.push(u8::try_from(plain).unwrap()),
                },
                (Some(text), char) => text.push(u8::try_from(char).unwrap()),
                (None, '"') => current = Some(Vec::new()),
                (None, _) => {}
            }
        }
        found
    }

    /// What is refused among the recorded words: the word, or its start, and the line that the client gets.
    const REFUSED_WORDS: [(&str, &str); 6] = [
        ("--copy-devices", "rsync: The server is configured to refuse --copy-devices\n"),
        ("--fake-super", "rsync: The server is configured to refuse --fake-super\n"),
        ("--iconv", "rsync: The server is configured to refuse --iconv\n"),
        ("--foo", "rsync: on remote machine: --foo: unknown option\n"),
        ("--remove-source-files", "ERROR: --remove-source-files cannot be used with a read-only module\n"),
        ("/lists/x", "rsync: The server is configured to refuse --files-from\n"),
    ];

    /// The same for the letters of a bundle.
    const REFUSED_LETTERS: [(char, &str); 3] = [
        ('A', "rsync: The server is configured to refuse --acls (-A)\n"),
        ('X', "rsync: The server is configured to refuse --xattrs (-X)\n"),
        ('N', "rsync: The server is configured to refuse --crtimes (-N)\n"),
    ];

    fn expected_refusal(words: &[Vec<u8>]) -> Option<&'static str> {
        words.iter().find_map(|word| {
            let word = str::from_utf8(word).ok()?;
            let bundle = word.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            match bundle {
                Some(bundle) => {
                    let letters = bundle.split('e').next()?;
                    let lines = letters
                        .chars()
                        .filter_map(|letter| REFUSED_LETTERS.iter().find(|row| row.0 == letter).map(|row| row.1));
                    { lines }.next()
                }
                None => REFUSED_WORDS.iter().find(|row| word.starts_with(row.0)).map(|row| row.1),
            }
        })
    }

    #[test]
    fn every_recorded_command_line_is_read_and_granted_or_refused_as_documented() {
        let (mut granted, mut refused) = (0, 0);
        for row in RECORDED.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = row.split('\t').collect();
            let command = columns[0];
            let first = byte_strings(columns[1]);
            let second = byte_strings(columns[3]);
            assert_eq!(is_secluded(&first), !second.is_empty(), "{command}");
            let parsed = parse_args(&first, Some(&second[..]).filter(|second| !second.is_empty()));

            let words = if second.is_empty() { &first } else { &second };
            let dot = words.iter().position(|word| word == b".").unwrap();
            assert_eq!(parsed.paths, words[dot + 1..], "{command}");
            let expected = expected_refusal(&[&first[..], &second[..]].concat());
            assert_eq!(parsed.refusal.as_ref().map(|refusal| refusal.line.as_str()), expected, "{command}");
            let newest = columns[5] != "3.1.3";
            assert_eq!(parsed.caps.has(Cap::VarintFlags), newest, "{command}");
            assert!(parsed.caps.has(Cap::SafeList) && parsed.caps.has(Cap::SeedFix), "{command}");
            *if expected.is_none() { &mut granted } else { &mut refused } += 1;
        }
        assert_eq!((granted, refused), (201, 10));
    }

    #[test]
    fn what_emerge_sends_is_understood() {
        let parsed = parse("-lWtprze.iLsfxCIvu --timeout=180 --safe-links");
        assert_eq!(parsed.refusal, None);
        let mut options =
            Options::default().with(Flag::Links).with(Flag::Times).with(Flag::Recursive).with(Flag::Compress);
        options.timeout = Some(180);
        options.compress = Compress { choice: CompressChoice::Negotiate, level: None };
        assert_eq!(parsed.options, options);
        assert!(parsed.caps.has(Cap::IncRecurse) && parsed.caps.has(Cap::Id0Names));
        assert_eq!(parsed.paths, [b"mod/"]);
    }

    #[test]
    fn later_words_change_earlier_ones() {
        let specials = |words: &str| {
            let options = parse(words).options;
            [Flag::Devices, Flag::Specials].map(|flag| options.has(flag))
        };
        assert_eq!(specials("-De.f"), [true, true]);
        assert_eq!(specials("-De.f --no-specials"), [true, false]);
        assert_eq!(specials("-re.f --specials"), [false, true]);
        assert_eq!(specials("-De.f --no-D"), [false, false]);
        assert!(!parse("-re.f --no-r").options.has(Flag::Recursive));
        assert!(parse("-e.f --relative").options.has(Flag::Relative));
        assert!(!parse("-Re.f --no-relative").options.has(Flag::Relative));
        assert_eq!(parse("-vvve.f").options.verbosity, 3);
        assert_eq!(parse("-e.f --append").options.append, Append::Yes);
        assert_eq!(parse("-e.f --append --append").options.append, Append::Verify);
    }

    #[test]
    fn names_from_the_client_imply_relative_unless_told_otherwise() {
        let relative = |words: &str| parse(words).options.has(Flag::Relative);
        assert!(relative("-e.f --files-from=- --from0"));
        assert!(!relative("-e.f --no-relative --files-from=- --from0"));
        assert!(!relative("-e.f --files-from list"));
        assert_eq!(parse("-e.f --files-from -").options.files_from, FilesFrom::Client);
    }

    #[test]
    fn values_may_be_attached_or_follow() {
        for words in ["--timeout=20", "--timeout 20"] {
            assert_eq!(parse(words).options.timeout, Some(20));
        }
        for words in ["-B4096", "-B 4096", "-rB4096", "--backup-dir ../bak", "-T .", "-@-1 --suffix=", "--temp-dir ."] {
            let parsed = parse(words);
            assert_eq!((parsed.refusal, parsed.paths), (None, vector(&["mod/"])), "{words}");
        }
        assert_eq!(refusal("--safe-links=1").unwrap().1, "rsync: on remote machine: --safe-links=1: unknown option\n");
        let open = parse_args(&vector(&["--sender", "--timeout"]), None);
        assert_eq!(open.refusal.unwrap().line, "rsync: on remote machine: --timeout: missing argument\n");
    }

    #[test]
    fn numbers_are_kept_within_their_bounds() {
        let options = |words: &str| parse(words).options;
        assert_eq!(options("--timeout=0").timeout, None);
        assert_eq!(options("--timeout=4294967295").timeout, Some(86_400));
        assert_eq!(options("--bwlimit=1536").bwlimit, Some(1536));
        let sizes = [("1m", 1_024), ("1.5M", 1_536), ("1.5", 2), ("2MB", 1_954), ("1GiB", 1 << 20), ("1500b", 2)];
        for (size, kib) in sizes {
            assert_eq!(options(&format!("--bwlimit={size}")).bwlimit, Some(kib), "{size}");
        }
        assert_eq!(options("--checksum-seed=-5").seed, Some(-5));
        assert_eq!(options("--checksum-seed=0").seed, None);
        assert_eq!(options("--compress-level=99999999999").compress.level, Some(22));
        let bad = [
            "--timeout=-1",
            "--timeout=x",
            "--timeout=",
            "--bwlimit=4294967296",
            "--bwlimit=1x",
            "--bwlimit=m",
            "--bwlimit=9999999999999999999g",
            "--bwlimit=9999999999999999g",
            "--bwlimit=1..5",
            "--checksum-seed=2147483648",
        ];
        for words in bad {
            let line = format!("rsync: on remote machine: {words}: invalid numeric value\n");
            assert_eq!(refusal(words), Some((1, line)));
        }
        let flood = format!("--timeout={}", "9".repeat(4_000));
        assert!(refusal(&flood).unwrap().1.len() < 200);
    }

    #[test]
    fn the_first_objection_is_kept_and_reading_goes_on() {
        let parsed = parse("-Ae.LsfxCIvu --foo --checksum-choice=md4 --timeout=7 -Q");
        let line = "rsync: The server is configured to refuse --acls (-A)\n".to_owned();
        assert_eq!(parsed.refusal, Some(Refusal { code: 4, line }));
        assert_eq!(parsed.options.timeout, Some(7));
        assert!(parsed.caps.has(Cap::VarintFlags));
        let rows = [
            ("-Q", 1, "rsync: on remote machine: -Q: unknown option\n"),
            ("--foo\x1b", 1, "rsync: on remote machine: --foo\\x1b: unknown option\n"),
            ("stray", 1, "rsync: on remote machine: stray: unknown option\n"),
            ("--checksum-choice=md5,md4", 4, "rsync: unknown checksum name: md4\n"),
            ("--filter=x", 4, "rsync: The server is configured to refuse --filter (-f)\n"),
            ("--no-sender", 1, "rsync: on remote machine: --no-sender: unknown option\n"),
        ];
        for (words, code, line) in rows {
            assert_eq!(refusal(words), Some((code, line.to_owned())), "{words}");
        }
    }

    #[test]
    fn an_upload_is_told_that_the_module_is_read_only_before_anything_else() {
        let parsed = parse_args(&vector(&["--server", "-slogDtpAXre.iLsfxCIvu", ".", "mod/"]), None);
        let line = "ERROR: module is read only\n".to_owned();
        assert_eq!(parsed.refusal, Some(Refusal { code: 1, line }));
    }

    #[test]
    fn a_vector_without_a_path_is_refused() {
        for words in [&["--sender", "-r"][..], &["--sender", "-r", "."]] {
            let code = parse_args(&vector(words), None).refusal.map(|refusal| refusal.code);
            assert_eq!(code, Some(1));
        }
    }

    #[test]
    fn escapes_are_undone_in_options_of_the_first_vector_only() {
        assert_eq!(without_escapes(br"--suffix=\$a\ b\*\\"), br"--suffix=$a b*\");
        assert_eq!(without_escapes(br"end\"), br"end\");
        let first = vector(&["--sender", r"\-r", r"--checksum-seed=\5", ".", r"mod/a\ b"]);
        let parsed = parse_args(&first, None);
        assert_eq!((parsed.options.seed, parsed.refusal), (Some(5), None));
        assert_eq!(parsed.paths, [br"mod/a\ b"]);
        let second = vector(&["rsync", r"--checksum-seed=\5", ".", "mod/"]);
        let parsed = parse_args(&vector(&["--sender", "-e.f"]), Some(&second));
        assert_eq!(parsed.refusal.unwrap().code, 1);
    }

    #[test]
    fn options_accumulate_over_both_vectors() {
        let second = vector(&["rsync", "--timeout=60", "--numeric-ids", ".", "mod/a b *.txt"]);
        let parsed = parse_args(&vector(&["--server", "--sender", "-slogDtprze.iLsfxCIvu"]), Some(&second));
        assert!(parsed.options.has(Flag::Recursive) && parsed.options.has(Flag::NumericIds));
        assert_eq!(parsed.options.timeout, Some(60));
        assert_eq!(parsed.paths, [b"mod/a b *.txt"]);
    }

    #[test]
    fn only_what_changes_a_list_is_a_list_option() {
        let list = |words: &str| parse(words).options.list_options();
        assert_eq!(list("-rlze.LsfxCIvu"), list("-vvWlrnCque.f --timeout=5 --bwlimit=7 --inplace --checksum-seed=3"));
        let base = list("-rle.f");
        let words = ["-de.f", "-rlHe.f", "-rloe.f", "-rlge.f", "-rle.f --specials", "-rlce.f", "-rlRe.f", "-rlxe.f"];
        for words in words {
            assert_ne!(list(words), base, "{words}");
        }
        for words in ["--numeric-ids", "--ignore-errors", "--ignore-missing-args", "--no-implied-dirs"] {
            assert_ne!(list(&format!("-rle.f {words}")), base, "{words}");
        }
    }

    #[test]
    fn one_path_with_the_module_in_it_is_split_as_old_clients_expect() {
        let rows: [(&str, &[&str]); 6] = [
            ("mod/a b mod/c", &["mod/a b", "mod/c"]),
            ("mod/a mod/b mod/", &["mod/a", "mod/b", "mod/"]),
            ("mod/a b[ ]mod/c", &["mod/a b[ ]mod/c"]),
            ("mod/a", &["mod/a"]),
            ("mod/a xmod/b", &["mod/a xmod/b"]),
            ("", &[""]),
        ];
        for (path, pieces) in rows {
            assert_eq!(split_old_args(b"mod", path.as_bytes()), vector(pieces), "{path}");
        }
    }

    fn known_words() -> Vec<Vec<u8>> {
        rows().map(|row| format!("--{}", row.long).into_bytes()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_vector_is_too_strange_to_be_answered(
            words in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 1..20),
                    "--?(no-)?[a-z0-9]{1,8}(-[a-z]{1,8})?(=.{0,8})?".prop_map(String::into_bytes),
                    prop::sample::select(known_words()),
                ],
                0..12,
            ),
        ) {
            let parsed = parse_args(&words, Some(&words));
            prop_assert_eq!(parsed.paths.is_empty() && parsed.refusal.is_none(), false);
            if let Some(refusal) = parsed.refusal {
                let (text, end) = refusal.line.split_at(refusal.line.len() - 1);
                prop_assert_eq!(end, "\n");
                prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.len() < 600);
            }
        }
    }
}
