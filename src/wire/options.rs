//! What a client asks for: the options and paths of its argument vectors, and whether that is granted.
//!
//! All arguments are read even after a bad one, because a refusal can only be sent after the binary setup, and the
//! setup has to match what the client's arguments say (protocol 2.12). So the parser never fails: it gives
//! options, caps and paths, and the first thing that it has to refuse. Invariant: numbers are within their limits,
//! and no text of a client is repeated unescaped or at length. Deliberately absent: the meaning of the paths
//! (globs, `..`), which needs a tree.

use super::option_parser::Parser;
use super::sums::SumKind;
use super::tokens::Codec;

/// An option that is on or off. Names are those of rsync's manual.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Flag {
    /// `-r`
    Recursive,
    /// `-d`: directories as entries, and the content of the arguments.
    Dirs,
    /// `-l`: symlinks as symlinks.
    Links,
    /// `-H`
    HardLinks,
    /// `-o`
    Owner,
    /// `-g`
    Group,
    /// Half of `-D`.
    Devices,
    /// The other half of `-D`: FIFOs and sockets.
    Specials,
    /// `-t`: changes nothing for a sender.
    Times,
    /// `-c`: whole-file sums in the list.
    Checksum,
    /// `-R`, also when implied by names from the client.
    Relative,
    /// `-n`
    DryRun,
    /// `-z`: compression was asked for; what comes of it is in [`Compress`].
    Compress,
    /// `-L`
    CopyLinks,
    /// `-k`
    CopyDirlinks,
    /// `--copy-unsafe-links`
    CopyUnsafeLinks,
    /// `-U`
    Atimes,
    /// `--numeric-ids`: no names of users and groups.
    NumericIds,
    /// `-C`
    CvsExclude,
    /// `-x`
    OneFileSystem,
    /// `--ignore-missing-args`
    IgnoreMissingArgs,
    /// `--delete-missing-args`
    DeleteMissingArgs,
    /// `--ignore-errors`
    IgnoreErrors,
    /// `--inplace`: restricts which blocks may be matched (protocol 9.8).
    Inplace,
    /// `--from0`
    From0,
    /// `--list-only`: changes nothing for a sender.
    ListOnly,
    /// `--no-implied-dirs`: changes nothing on the wire.
    NoImpliedDirs,
    /// `-s`: a second vector follows the first.
    Secluded,
}

/// A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Flags(u64);

impl Flags {
    const fn of(flags: &[Flag]) -> Self {
        match flags {
            [first, rest @ ..] => Self(Self::of(rest).0 | 1 << *first as u8),
            [] => Self(0),
        }
    }

    const fn has(self, flag: Flag) -> bool {
        self.0 & Self::of(&[flag]).0 != 0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Whether files only grow (protocol 9.9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Append {
    /// No.
    #[default]
    No,
    /// `--append`: what the client has is taken as right.
    Yes,
    /// `--append-verify`: the sum covers the whole file.
    Verify,
}

/// What the arguments say about compression (protocol 2.11, 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Compress {
    /// Which one.
    pub choice: CompressChoice,
    /// `--compress-level`, within -131,072 and 22; each codec narrows it further.
    pub level: Option<i32>,
}

/// How the codec is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum CompressChoice {
    /// Compression was not asked for.
    #[default]
    Off,
    /// `-z` or a level alone: the binary setup settles it.
    Negotiate,
    /// Named in the arguments, so no names are exchanged.
    Fixed(Codec),
}

/// Where names come from besides the path arguments (protocol 7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum FilesFrom {
    /// Nowhere.
    #[default]
    No,
    /// `--files-from=-`: the client sends them after its filter rules.
    Client,
}

/// What a path argument stands for (protocol 2.8, 2.10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PathForm {
    /// Perhaps for several paths, as old clients send them: see [`split_old_args`].
    #[default]
    Old,
    /// For one path: it came in a second vector.
    Secluded,
}

/// All that the argument vectors say besides paths and caps.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Options {
    flags: Flags,
    /// `--append`, `--append-verify`
    pub append: Append,
    /// `--checksum-choice`: sums of blocks and whole files, sums in the list.
    pub checksum_choice: Option<(SumKind, SumKind)>,
    /// `-z` and its relatives.
    pub compress: Compress,
    /// `--checksum-seed`, never 0.
    pub seed: Option<i32>,
    /// `--timeout` in seconds, 1 to 86,400.
    pub timeout: Option<u32>,
    /// `--bwlimit` in KiB a second, never 0.
    pub bwlimit: Option<u32>,
    /// `--files-from`
    pub files_from: FilesFrom,
    /// How often `-v` was given, at most 255.
    pub verbosity: u8,
}

impl Options {
    /// Whether `flag` is on.
    #[must_use]
    pub const fn has(&self, flag: Flag) -> bool {
        self.flags.has(flag)
    }

    /// The same options with `flag` on.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        Self { flags: self.flags.with(Flags::of(&[flag])), ..self }
    }

    /// The same options with `flag` off.
    #[must_use]
    pub const fn without(self, flag: Flag) -> Self {
        Self { flags: self.flags.without(Flags::of(&[flag])), ..self }
    }

    /// What the path arguments stand for.
    #[must_use]
    pub const fn path_form(&self) -> PathForm {
        if self.has(Flag::Secluded) { PathForm::Secluded } else { PathForm::Old }
    }

    /// The part of the options that decides which entries are listed, and how.
    #[must_use]
    pub const fn list_options(&self) -> ListOptions {
        ListOptions(self.flags.and(ListOptions::FLAGS))
    }
}

/// The flags that change a file list: two sessions that agree in these, in format, filters and paths, get the same
/// list. Filters are on their own, so `-C` is not among them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ListOptions(Flags);

impl ListOptions {
    const FLAGS: Flags = Flags::of(&[
        Flag::Recursive,
        Flag::Dirs,
        Flag::Links,
        Flag::HardLinks,
        Flag::Owner,
        Flag::Group,
        Flag::Devices,
        Flag::Specials,
        Flag::Checksum,
        Flag::Relative,
        Flag::NoImpliedDirs,
        Flag::OneFileSystem,
        Flag::NumericIds,
        Flag::IgnoreErrors,
        Flag::IgnoreMissingArgs,
        Flag::DeleteMissingArgs,
        Flag::CopyLinks,
        Flag::CopyDirlinks,
        Flag::CopyUnsafeLinks,
        Flag::Atimes,
    ]);

    /// Whether `flag` is on. A flag that does not change lists is always off.
    #[must_use]
    pub const fn has(&self, flag: Flag) -> bool {
        self.0.has(flag)
    }
}

/// Something that the client can do, a letter behind `-e` (protocol 2.9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Cap {
    /// `i`: wants incremental recursion.
    IncRecurse,
    /// `f`: understands an I/O error in the list's terminator.
    SafeList,
    /// `x`: does not want the xattr shortcut.
    AvoidXattrOptim,
    /// `C`: mixes the seed into md5 the new way.
    SeedFix,
    /// `I`: understands in-place updates from a partial directory.
    InplacePartialDir,
    /// `v`: varint list flags, and names of sums and codecs are negotiated.
    VarintFlags,
    /// `u`: expects names for id 0.
    Id0Names,
}

impl Cap {
    fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'i' => Some(Self::IncRecurse),
            b'f' => Some(Self::SafeList),
            b'x' => Some(Self::AvoidXattrOptim),
            b'C' => Some(Self::SeedFix),
            b'I' => Some(Self::InplacePartialDir),
            b'v' => Some(Self::VarintFlags),
            b'u' => Some(Self::Id0Names),
            _ => None,
        }
    }
}

/// The caps of a client that mean something to a daemon.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Caps(u8);

impl Caps {
    /// Reads the value of `-e`: digits, a dot, digits, then letters. Without a dot there are no caps.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let letters = value
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .and_then(|end| value.get(end..))
            .and_then(|rest| rest.strip_prefix(b"."))
            .unwrap_or_default();
        let known = letters.iter().copied().filter_map(Cap::from_letter);
        Self(known.fold(0, |set, cap| set | 1 << cap as u8))
    }

    /// Whether the client has `cap`.
    #[must_use]
    pub const fn has(self, cap: Cap) -> bool {
        self.0 >> cap as u8 & 1 == 1
    }
}

/// Why a session is refused, as the client shall see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The client's exit code: 1 for a mistake, 4 for what is not granted.
    pub code: i32,
    /// The complete text of the error message, line end included.
    pub line: String,
}

/// What two argument vectors hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parsed {
    /// The options of both vectors.
    pub options: Options,
    /// What the client can do.
    pub caps: Caps,
    /// The path arguments as sent, module name included.
    pub paths: Vec<Vec<u8>>,
    /// The first thing that cannot be granted. It is sent once the binary setup is through.
    pub refusal: Option<Refusal>,
}

/// Reads the argument vectors (protocol 2.7 to 2.9, 2.12). `second` is the one that follows if [`is_secluded`].
#[must_use]
pub fn parse_args(first: &[Vec<u8>], second: Option<&[Vec<u8>]>) -> Parsed {
    let mut parser = Parser::default();
    parser.first_vector(first);
    if let Some(second) = second {
        parser.second_vector(second);
    }
    parser.finish()
}

/// Whether a second vector follows this one (protocol 2.8). It does even where the option itself is refused.
#[must_use]
pub fn is_secluded(first: &[Vec<u8>]) -> bool {
    parse_args(first, None).options.has(Flag::Secluded)
}

/// Splits a path argument as old clients expect: before each blank that is followed by the module's name and a
/// slash (protocol 2.10). Only for [`PathForm::Old`].
#[must_use]
pub fn split_old_args<'a>(module: &[u8], path: &'a [u8]) -> Vec<&'a [u8]> {
    let mark = [b" ", module, b"/"].concat();
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some(blank) = rest.windows(mark.len()).position(|window| window == mark) {
        let (piece, next) = rest.split_at(blank);
        pieces.push(piece);
        rest = next.get(1..).unwrap_or_default();
    }
    pieces.push(rest);
    pieces
}
