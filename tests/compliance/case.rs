//! What a case is, and the words in which the tables write it.
//!
//! A case is data. Its arguments and paths are words parted by blanks, in which `␣` is a blank; paths start with the module,
//! and `%` with two hex digits is a byte. What `ends` and `shows` say is true of the stock server, so that a case cannot agree
//! about nothing.

/// One thing to ask.
pub(crate) struct Case {
    /// A plain sentence.
    pub(crate) name: &'static str,
    pub(crate) args: &'static str,
    pub(crate) paths: &'static str,
    pub(crate) way: Way,
    /// What stands at the destination before.
    pub(crate) before: Before,
    /// A module in which somebody else has a connection.
    pub(crate) held: Option<&'static str>,
    /// Who logs in; nobody if it is empty.
    pub(crate) user: &'static str,
    /// Exit codes that the stock client may end with at the stock server.
    pub(crate) codes: &'static [i32],
    /// A text that occurs in what comes of it there.
    pub(crate) shows: &'static str,
    pub(crate) expect: Expect,
}

/// What a destination holds before a case; paths are those of the served trees.
#[derive(Clone, Copy)]
pub(crate) enum Before {
    /// It does not exist.
    Nothing,
    Empty,
    /// A copy that has it all.
    CopyOf(&'static str),
    /// A copy of `mix` in which everything was touched.
    Edited,
    /// A copy of `big` with other contents, to be mended by delta.
    Basis,
    /// The first parts of two files of `big`.
    Partial,
    /// A copy of the repository from before a change.
    Older,
    /// Short beginnings of the files of `big`, one of which is not what is served.
    Begun,
}

/// Where the files go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To this destination.
    Pull(&'static str),
    /// Nowhere: they are listed.
    List,
    /// From the client to the server.
    Push,
}

/// What a case needs of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feature {
    Logins,
    ModuleFilters,
    FilesFrom,
    Secluded,
    FollowedLinks,
    Appending,
    Lz4,
    AccessTimes,
    MissingArguments,
}

/// How the two results compare.
#[derive(Clone, Copy)]
pub(crate) enum Expect {
    Same,
    /// For the reason of this name in QUIRKS.md: `< line` is stock's alone, `> line` ours alone. `*` at the end stands for
    /// anything, `?` in front says that the line need not occur.
    Differs(&'static str, &'static [&'static str]),
}

use Before::Nothing;

/// Fetched into a directory of which nothing exists, with success, and the same from both.
pub(crate) const fn pull(name: &'static str, args: &'static str, paths: &'static str) -> Case {
    let (way, expect) = (Way::Pull("dst/"), Expect::Same);
    Case { name, args, paths, way, before: Nothing, held: None, user: "", codes: &[0], shows: "", expect }
}

/// Listed, not fetched.
pub(crate) const fn list(name: &'static str, args: &'static str, paths: &'static str) -> Case {
    Case { way: Way::List, ..pull(name, args, paths) }
}

/// Sent to the server.
pub(crate) const fn push(name: &'static str, args: &'static str, paths: &'static str) -> Case {
    Case { way: Way::Push, ..pull(name, args, paths) }
}

impl Case {
    pub(crate) const fn over(self, before: Before) -> Self {
        Self { before, ..self }
    }

    pub(crate) const fn to(self, target: &'static str) -> Self {
        Self { way: Way::Pull(target), ..self }
    }

    pub(crate) const fn while_held(self, module: &'static str) -> Self {
        Self { held: Some(module), ..self }
    }

    pub(crate) const fn by(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    pub(crate) const fn ends(self, codes: &'static [i32]) -> Self {
        Self { codes, ..self }
    }

    pub(crate) const fn shows(self, shows: &'static str) -> Self {
        Self { shows, ..self }
    }

    pub(crate) const fn differs(self, quirk: &'static str, lines: &'static [&'static str]) -> Self {
        Self { expect: Expect::Differs(quirk, lines), ..self }
    }
}

/// Files that every client finds in its directory: names for `--files-from`, and passwords.
pub(crate) const CLIENT_FILES: &[(&str, &str)] = &[
    ("names", "a\nsub/c\n"),
    ("names-of-all-kinds", "sub\nzub/\n./a\n/empty\n\nsub/deeper/d\n"),
    ("names-with-comments", "# not a comment\n; neither\n\na\r\n\r\nsub/c\r\n"),
    ("names-with-zeros", "a\0sub/c\0"),
    ("names-that-miss", "a\nnothing\nsub/nothing\nnothing/at/all\na/x\nsub/c\n"),
    ("names-with-dots", "sub/./deeper/d\n./zub/e\n./sub//c\n"),
    ("names-that-climb", "a\n../b\nsub/../sub/c\n"),
    (
        "names-with-odd-letters",
        "with blank\nstar*\n[class]\n#hash\n-dash\nback\\slash\ntilde~\n~user\n$dollar\nco:lon\n",
    ),
    ("names-with-wildcards", "a*\n*\nsub/?\nb\n"),
    ("names-twice", "a\nsub/c\na\nsub\nsub/c\nsub/\n"),
    ("names-of-directories", "sub/\nzub\nsub/deeper/.\n"),
    ("names-of-everything", ".\n"),
    ("names-none", ""),
    ("names-gone", "a\nsame\nsub/kept\n"),
    ("names-that-hide", "main.c\nmain.o\nbuild/out.c\nsrc/keep.o\nsrc/lib/y.o\n"),
    ("names-of-links", "to-file\nto-dir\nto-dir/inside\nto-dir/\n"),
    ("password", "sesame\n"),
    ("wrong-password", "mustard\n"),
];
