//! The table of every option that a daemon knows: its names, whether a value follows, and what it does.
//!
//! A row is all there is to say about an option (protocol 2.12); the parser holds no names. What is not in the
//! table is unknown and refused. Deliberately absent: the caps behind `-e` and the values, which are read by the
//! parser.

use super::options::Flag;
use super::tokens::Codec;

/// One option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The long name without dashes; empty where there is only a letter.
    pub(super) long: &'static str,
    /// The letter in the short bundle.
    pub(super) short: Option<u8>,
    pub(super) takes: Takes,
    pub(super) effect: Effect,
}

/// Whether a value belongs to the option, attached or as the next argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Takes {
    Nothing,
    Value,
}

/// What an option does to the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// Nothing: it concerns the receiver, or only the words that are printed.
    Ignore,
    Verbose,
    Set(Flag),
    Clear(Flag),
    /// `-a`
    Archive,
    /// `-D`: devices and specials.
    Devices,
    Relative,
    Compress,
    Codec(Codec),
    /// The first one appends, a second one also verifies.
    Append,
    AppendVerify,
    Sender,
    Caps,
    Number(Number),
    ChecksumChoice,
    CompressChoice,
    FilesFrom,
    /// The daemon does not do that.
    Refuse,
    /// It would change the daemon's files.
    Write,
}

/// An option whose value is a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    Seed,
    Timeout,
    Bwlimit,
    Level,
}

impl Row {
    const fn new(long: &'static str, short: &'static str, takes: Takes, effect: Effect) -> Self {
        let short = match short.as_bytes() {
            [letter, ..] => Some(*letter),
            [] => None,
        };
        Self { long, short, takes, effect }
    }
}

const fn set(long: &'static str, short: &'static str, flag: Flag) -> Row {
    Row::new(long, short, Takes::Nothing, Effect::Set(flag))
}

const fn act(long: &'static str, short: &'static str, effect: Effect) -> Row {
    Row::new(long, short, Takes::Nothing, effect)
}

const fn value(long: &'static str, short: &'static str, effect: Effect) -> Row {
    Row::new(long, short, Takes::Value, effect)
}

const fn ignore(long: &'static str, short: &'static str) -> Row {
    act(long, short, Effect::Ignore)
}

const fn ignore_value(long: &'static str, short: &'static str) -> Row {
    value(long, short, Effect::Ignore)
}

const fn refuse(long: &'static str, short: &'static str) -> Row {
    act(long, short, Effect::Refuse)
}

const fn refuse_value(long: &'static str, short: &'static str) -> Row {
    value(long, short, Effect::Refuse)
}

/// The row with this long name.
pub(super) fn by_name(name: &[u8]) -> Option<&'static Row> {
    rows().find(|row| !row.long.is_empty() && row.long.as_bytes() == name)
}

/// The row with this letter.
pub(super) fn by_letter(letter: u8) -> Option<&'static Row> {
    rows().find(|row| row.short == Some(letter))
}

pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [OBEYED, IGNORED, IGNORED_WITH_VALUE, REFUSED].into_iter().flatten()
}

/// Options that change the stream or the set of files.
const OBEYED: &[Row] = &[
    act("sender", "", Effect::Sender),
    value("rsh", "e", Effect::Caps),
    act("archive", "a", Effect::Archive),
    set("recursive", "r", Flag::Recursive),
    set("dirs", "d", Flag::Dirs),
    set("links", "l", Flag::Links),
    set("hard-links", "H", Flag::HardLinks),
    set("owner", "o", Flag::Owner),
    set("group", "g", Flag::Group),
    act("", "D", Effect::Devices),
    set("devices", "", Flag::Devices),
    set("specials", "", Flag::Specials),
    set("times", "t", Flag::Times),
    set("checksum", "c", Flag::Checksum),
    act("relative", "R", Effect::Relative),
    set("no-implied-dirs", "", Flag::NoImpliedDirs),
    act("implied-dirs", "", Effect::Clear(Flag::NoImpliedDirs)),
    set("dry-run", "n", Flag::DryRun),
    set("one-file-system", "x", Flag::OneFileSystem),
    set("cvs-exclude", "C", Flag::CvsExclude),
    set("numeric-ids", "", Flag::NumericIds),
    set("ignore-errors", "", Flag::IgnoreErrors),
    set("ignore-missing-args", "", Flag::IgnoreMissingArgs),
    set("delete-missing-args", "", Flag::DeleteMissingArgs),
    set("inplace", "", Flag::Inplace),
    set("list-only", "", Flag::ListOnly),
    set("copy-links", "L", Flag::CopyLinks),
    set("copy-dirlinks", "k", Flag::CopyDirlinks),
    set("copy-unsafe-links", "", Flag::CopyUnsafeLinks),
    set("atimes", "U", Flag::Atimes),
    set("secluded-args", "s", Flag::Secluded),
    set("protect-args", "", Flag::Secluded),
    act("append", "", Effect::Append),
    act("append-verify", "", Effect::AppendVerify),
    value("files-from", "", Effect::FilesFrom),
    set("from0", "0", Flag::From0),
    act("compress", "z", Effect::Compress),
    act("new-compress", "", Effect::Codec(Codec::Zlibx)),
    act("old-compress", "", Effect::Codec(Codec::Zlib)),
    value("compress-choice", "", Effect::CompressChoice),
    value("zc", "", Effect::CompressChoice),
    value("compress-level", "", Effect::Number(Number::Level)),
    value("zl", "", Effect::Number(Number::Level)),
    value("checksum-choice", "", Effect::ChecksumChoice),
    value("cc", "", Effect::ChecksumChoice),
    value("checksum-seed", "", Effect::Number(Number::Seed)),
    value("timeout", "", Effect::Number(Number::Timeout)),
    value("bwlimit", "", Effect::Number(Number::Bwlimit)),
    act("verbose", "v", Effect::Verbose),
];

/// Options without a value that mean nothing to a sender.
const IGNORED: &[Row] = &[
    ignore("server", ""),
    ignore("quiet", "q"),
    ignore("update", "u"),
    ignore("backup", "b"),
    ignore("ignore-times", "I"),
    ignore("whole-file", "W"),
    ignore("sparse", "S"),
    ignore("perms", "p"),
    ignore("executability", "E"),
    ignore("keep-dirlinks", "K"),
    ignore("prune-empty-dirs", "m"),
    ignore("omit-dir-times", "O"),
    ignore("omit-link-times", "J"),
    ignore("fuzzy", "y"),
    ignore("itemize-changes", "i"),
    ignore("", "P"),
    ignore("human-readable", "h"),
    ignore("8-bit-output", "8"),
    ignore("ipv4", "4"),
    ignore("ipv6", "6"),
    ignore("safe-links", ""),
    ignore("munge-links", ""),
    ignore("size-only", ""),
    ignore("existing", ""),
    ignore("ignore-non-existing", ""),
    ignore("ignore-existing", ""),
    ignore("partial", ""),
    ignore("progress", ""),
    ignore("force", ""),
    ignore("del", ""),
    ignore("delete", ""),
    ignore("delete-before", ""),
    ignore("delete-during", ""),
    ignore("delete-delay", ""),
    ignore("delete-after", ""),
    ignore("delete-excluded", ""),
    ignore("delay-updates", ""),
    ignore("use-qsort", ""),
    ignore("qsort", ""),
    ignore("inc-recursive", ""),
    ignore("i-r", ""),
    ignore("stats", ""),
    ignore("super", ""),
    ignore("open-noatime", ""),
    ignore("fsync", ""),
    ignore("mkpath", ""),
    ignore("preallocate", ""),
    ignore("msgs2stderr", ""),
    ignore("motd", ""),
    ignore("old-args", ""),
    ignore("old-dirs", ""),
    ignore("old-d", ""),
    ignore("drop-D", ""),
    ignore("trust-sender", ""),
    ignore("blocking-io", ""),
];

/// Options with a value that mean nothing to a sender.
const IGNORED_WITH_VALUE: &[Row] = &[
    ignore_value("block-size", "B"),
    ignore_value("modify-window", "@"),
    ignore_value("log-format", ""),
    ignore_value("out-format", ""),
    ignore_value("info", ""),
    ignore_value("debug", ""),
    ignore_value("stderr", ""),
    // A list of suffixes. Stock 3.5.0 compresses them like all others, with every codec: only a daemon's own setting
    // `dont compress = *` does something, and that with zlib and zlibx alone.
    ignore_value("skip-compress", ""),
    // Threads are never a client's to choose (protocol 14.2).
    ignore_value("compress-threads", ""),
    ignore_value("zt", ""),
    ignore_value("max-alloc", ""),
    ignore_value("suffix", ""),
    ignore_value("max-size", ""),
    ignore_value("min-size", ""),
    ignore_value("max-delete", ""),
    ignore_value("backup-dir", ""),
    ignore_value("partial-dir", ""),
    ignore_value("temp-dir", "T"),
    ignore_value("compare-dest", ""),
    ignore_value("copy-dest", ""),
    ignore_value("link-dest", ""),
    ignore_value("chmod", ""),
    ignore_value("chown", ""),
    ignore_value("usermap", ""),
    ignore_value("groupmap", ""),
    ignore_value("contimeout", ""),
    ignore_value("stop-after", ""),
    ignore_value("time-limit", ""),
    ignore_value("stop-at", ""),
    ignore_value("outbuf", ""),
    ignore_value("sockopts", ""),
    ignore_value("protocol", ""),
    ignore_value("address", ""),
    ignore_value("port", ""),
    ignore_value("early-input", ""),
    ignore_value("password-file", ""),
    ignore_value("rsync-path", ""),
    // All paths are resolved inside the module anyway.
    ignore_value("confine-root", ""),
];

/// Options that change the stream into something that is not spoken here, or that a daemon does not grant.
const REFUSED: &[Row] = &[
    refuse("acls", "A"),
    refuse("xattrs", "X"),
    refuse("crtimes", "N"),
    refuse_value("iconv", ""),
    act("remove-source-files", "", Effect::Write),
    act("remove-sent-files", "", Effect::Write),
    refuse("copy-devices", ""),
    refuse("write-devices", ""),
    refuse("insecure-links", ""),
    refuse_value("log-file", ""),
    refuse_value("log-file-format", ""),
    refuse("daemon", ""),
    refuse_value("config", ""),
    refuse_value("filter", "f"),
    refuse_value("include", ""),
    refuse_value("include-from", ""),
    refuse_value("exclude", ""),
    refuse_value("exclude-from", ""),
    refuse_value("copy-as", ""),
    refuse_value("write-batch", ""),
    refuse_value("only-write-batch", ""),
    refuse_value("read-batch", ""),
    refuse("fake-super", ""),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_and_no_letter_is_given_twice() {
        let mut names = HashSet::new();
        let mut letters = HashSet::new();
        for row in rows() {
            assert!(row.long.is_empty() || names.insert(row.long), "--{}", row.long);
            assert!(row.short.is_none_or(|letter| letters.insert(letter)), "{:?}", row.short);
            assert!(!row.long.is_empty() || row.short.is_some(), "a row without a name");
        }
    }

    #[test]
    fn every_letter_of_the_protocol_document_is_in_the_table() {
        for letter in *b"rdlHogDcRnzLkxCUsevqubIWStpEKmOJyiPh0846B@AXN" {
            assert!(by_letter(letter).is_some(), "{}", char::from(letter));
        }
        assert!(by_letter(b'Q').is_none());
    }
}
