//! Ways to say what is wanted: names from a file, arguments that no shell sees, and arguments that may be missing.

use super::case::Before::{Basis, CopyOf, Edited, Empty};
use super::case::{Case, list, pull};

/// `--files-from`.
pub(crate) const NAMES: &[Case] = &[
    pull("names from a file", "-ai --files-from=names", "hidden/"),
    pull("names from a file of all kinds", "-ai --files-from=names-of-all-kinds", "hidden/").ends(&[0, 23]),
    pull("names from a file, with what is below", "-air --files-from=names-of-all-kinds", "hidden/"),
    pull("names from a file with comments", "-ai --files-from=names-with-comments", "hidden/").ends(&[0, 23]),
    pull("names from a file with zeros", "-ai0 --files-from=names-with-zeros", "hidden/"),
    pull("names from a file, some missing", "-ai --files-from=names-that-miss", "hidden/").ends(&[23]),
    pull(
        "names from a file, some missing as they may",
        "-ai --ignore-missing-args --files-from=names-that-miss",
        "hidden/",
    )
    .ends(&[0, 23]),
    pull("names from a file with dots", "-ai --files-from=names-with-dots", "hidden/"),
    pull("names from a file with dots and what is below", "-air --files-from=names-with-dots", "hidden/"),
    pull("names from a file with odd letters", "-ai --files-from=names-with-odd-letters", "letters/"),
    pull("names from a file are no wildcards", "-ai --files-from=names-with-wildcards", "hidden/").ends(&[23]),
    pull("names from a file, twice", "-ai --files-from=names-twice", "hidden/"),
    pull("names from a file, twice, with what is below", "-air --files-from=names-twice", "hidden/"),
    pull("directories from a file", "-ai --files-from=names-of-directories", "hidden/"),
    pull("directories from a file, with what is below", "-air --files-from=names-of-directories", "hidden/"),
    pull("everything from a file", "-ai --files-from=names-of-everything", "hidden/"),
    pull("everything from a file, with what is below", "-air --files-from=names-of-everything", "hidden/"),
    pull("no name from a file", "-ai --files-from=names-none", "hidden/").over(Empty),
    pull("names from a file without their paths", "-ai --no-R --files-from=names", "hidden/"),
    pull("directories from a file without their paths", "-air --no-R --files-from=names-of-directories", "hidden/"),
    pull("names from a file without implied directories", "-ai --no-implied-dirs --files-from=names", "hidden/"),
    pull("names from a file with protocol 30", "-ai --protocol=30 --files-from=names-of-all-kinds", "hidden/"),
    pull("names from a file with protocol 31", "-ai --protocol=31 --files-from=names-of-all-kinds", "hidden/"),
    pull("names from a file, with a filter", "-air --exclude=c --files-from=names-of-all-kinds", "hidden/"),
    pull("names from a file, with filters in the tree", "-airF --files-from=names-of-everything", "inner/")
        .differs("filters-in-the-tree-of-names", &["< out *", "< tree *"]),
    pull("names from a file, deleting", "-air --delete --files-from=names-of-directories", "hidden/")
        .over(CopyOf("odd/filter"))
        .ends(&[0, 1]),
    pull("names from a file that climb", "-ai --files-from=names-that-climb", "hidden/").ends(&[4]),
    // A stock daemon that is not in a chroot loses its way to files below a directory.
    pull("names from a file below a directory", "-ai --files-from=names", "odd/plain/").ends(&[0, 24]).differs(
        "names-below-a-directory",
        &[
            "?< code 24",
            "?> code 0",
            "?< err file has vanished: *",
            "?< err rsync warning: some files vanished *",
            "?> out >f+++++++++ *",
            "?< tree *",
            "?> tree *",
        ],
    ),
    pull("names from a file, compressed", "-aiz --files-from=names", "hidden/"),
    pull("names from a file, by checksum", "-aic --files-from=names", "hidden/").over(CopyOf("odd/plain")),
    pull("names from a file, statistics", "-a --stats --files-from=names-of-all-kinds", "hidden/"),
    pull("names from a file, one list", "-air --no-i-r --files-from=names-of-directories", "hidden/"),
    pull("names from a file below a missing directory", "-ai --files-from=names", "odd/nothing")
        .ends(&[3])
        .differs("last-words", &["< err rsync error: errors selecting input/output files, dirs (code 3)"]),
    pull("names from a file below a file", "-ai --files-from=names", "odd/plain/a")
        .ends(&[3])
        .differs("last-words", &["< err rsync error: errors selecting input/output files, dirs (code 3)"]),
    pull("names from a file with hard links", "-aiH --files-from=names-of-everything -r", "joined/"),
    pull("names from a file of symlinks", "-ai --files-from=names-of-links", "linked/").ends(&[0, 23]),
    pull("names from a file, listed", "--list-only --files-from=names-of-all-kinds", "hidden/"),
];

/// `-s`.
pub(crate) const SECLUDED: &[Case] = &[
    pull("secluded arguments", "-ais", "odd/plain/"),
    pull("secluded arguments with a blank", "-ais", "odd/names/with␣blank odd/names/directory␣with␣blank"),
    pull(
        "secluded arguments with odd letters",
        "-ais",
        "odd/names/#hash odd/names/quote'\" odd/names/$dollar odd/names/~user",
    ),
    pull("secluded arguments that look like options", "-ais", "odd/names/-dash odd/names/--delete"),
    pull("secluded arguments with a backslash", "-ais", "odd/names/back\\slash").ends(&[0, 23]),
    pull("secluded arguments with wildcards", "-ais", "odd/plain/* odd/filter/[ab]?"),
    pull("secluded arguments with an escaped wildcard", "-ais", "odd/names/star\\*"),
    pull("secluded arguments that look like two", "-ais", "odd/names/odd-directory␣odd/inside"),
    pull("secluded arguments with a newline", "-ais", "odd/names/new%0aline"),
    pull("secluded arguments that are no UTF-8", "-ais", "odd/names/latin-1␣%ff"),
    pull("secluded arguments, one missing", "-ais", "odd/nothing odd/plain/a").ends(&[23]),
    pull("secluded arguments and whole paths", "-aRis", "odd/plain/./sub odd/./plain/zub"),
    pull("secluded arguments with protocol 30", "-ais --protocol=30", "odd/plain/"),
    pull("secluded arguments and many options", "-aiszc --delete --stats --bwlimit=100000 --timeout=40", "odd/mix/")
        .over(Edited),
    pull("secluded arguments and filters", "-ais --exclude=*.o --filter=:␣.rules", "odd/filter/"),
    pull("secluded arguments for a module", "-ais", "hidden"),
    pull("secluded arguments and an option that is refused", "-aisA", "odd/plain/").ends(&[0, 4]).differs(
        "refused-kinds",
        &["< code 0", "> code 4", "> err rsync: The server is configured to refuse --acls (-A)", "< out *", "< tree *"],
    ),
    pull("secluded arguments by their old name", "-ai --protect-args", "odd/plain/sub"),
    list("secluded arguments, listed", "-rs", "odd/names/"),
];

/// Both.
pub(crate) const SECLUDED_NAMES: &[Case] = &[
    pull("secluded arguments and names from a file", "-ais --files-from=names-of-directories", "hidden/"),
    pull("secluded arguments and names from a file with zeros", "-ais0 --files-from=names-with-zeros", "hidden/"),
];

/// `--delete-missing-args`.
pub(crate) const MISSING: &[Case] = &[
    pull("a missing argument is deleted", "-ai --delete-missing-args", "odd/nothing odd/mix/missing")
        .over(CopyOf("odd/plain")),
    pull("a missing argument is deleted that is there", "-ai --delete-missing-args", "odd/plain/newer odd/plain/a")
        .over(CopyOf("odd/mix")),
    pull("a missing directory is deleted", "-ai --delete-missing-args --delete", "odd/hard/big odd/plain/a")
        .over(Basis),
    pull("missing arguments are deleted, none is", "-ai --delete-missing-args", "odd/plain/"),
    pull(
        "missing arguments are deleted, with protocol 30",
        "-ai --delete-missing-args --protocol=30",
        "odd/plain/same odd/plain/a",
    )
    .over(CopyOf("odd/mix")),
    pull("a missing way is no missing argument", "-ai --delete-missing-args", "odd/nothing/x odd/plain/a")
        .over(Empty)
        .ends(&[0, 23]),
    pull("missing arguments are deleted, talk only", "-ain --delete-missing-args", "odd/plain/same odd/plain/a")
        .over(CopyOf("odd/mix")),
];

/// Both, with names from a file.
pub(crate) const MISSING_NAMES: &[Case] = &[
    pull(
        "names from a file that miss are deleted",
        "-ai --delete-missing-args --files-from=names-that-miss",
        "hidden/",
    )
    .over(CopyOf("odd/plain"))
    .ends(&[0, 23]),
    pull("names from a file that are gone are deleted", "-ai --delete-missing-args --files-from=names-gone", "hidden/")
        .over(CopyOf("odd/mix"))
        .ends(&[0, 23]),
];
