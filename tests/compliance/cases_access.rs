//! Who may come, and what a module hides from everybody: logins, denied hosts, modules with filters, and clients that push.

use super::case::Before::{CopyOf, Edited, Empty};
use super::case::{Case, list, pull, push};

/// A client that names itself and has the right password.
const fn login(name: &'static str, args: &'static str, paths: &'static str) -> Case {
    pull(name, args, paths).by("alice")
}

/// Modules that ask for a password.
pub(crate) const LOGINS: &[Case] = &[
    login("a login with the right password", "-ai --password-file=password", "guarded/"),
    login("a login with the wrong password", "-ai --password-file=wrong-password", "guarded/")
        .ends(&[5])
        .shows("@ERROR: auth failed on module guarded"),
    pull("a login of an unknown user", "-ai --password-file=password", "guarded/").by("carol").ends(&[5]),
    pull("a login of a user who may not", "-ai --password-file=password", "guarded/").by("bob").ends(&[5]),
    pull("a login of a user by a pattern", "-ai --password-file=password", "guarded/").by("mirror-7"),
    pull("a login of a user by a pattern, with the wrong password", "-ai --password-file=wrong-password", "guarded/")
        .by("mirror-7")
        .ends(&[5]),
    pull("a login of a user whose password nobody knows", "-ai --password-file=password", "guarded/")
        .by("mirror-8")
        .ends(&[5]),
    pull("a login without a name", "-ai --password-file=password", "guarded/").ends(&[5]),
    login("a login with a file of the wrong kind", "-ai --password-file=nothing", "guarded/").ends(&[1]),
    login("a login where none is asked for", "-ai --password-file=password", "hidden/"),
    login("a login with protocol 30", "-ai --password-file=password --protocol=30", "guarded/"),
    login("a login with protocol 31", "-ai --password-file=password --protocol=31", "guarded/"),
    login("a login for a delta", "-ai --no-W --password-file=password --stats", "guarded-big/")
        .over(super::case::Before::Basis),
    login("a login for one file", "-ai --password-file=password", "guarded/sub/c"),
    login("a login for what is not there", "-ai --password-file=password", "guarded/nothing").ends(&[23]),
    login("a login with a strong digest", "-ai --password-file=password", "strong/"),
    list("a login for a listing", "-r --password-file=password", "guarded/").by("alice"),
    list("modules that ask for a password are listed", "", "").shows("guarded"),
    login("a hidden module that asks for a password", "-ai --password-file=password", "guarded-and-hidden/"),
    login("a hidden module and the wrong password", "-ai --password-file=wrong-password", "guarded-and-hidden/")
        .ends(&[5]),
    login("a denied host is not asked for a password", "-ai --password-file=password", "guarded-and-denied/")
        .ends(&[5])
        .shows("access denied to guarded-and-denied")
        .differs(
            "hosts-by-address",
            &[
                "< err @ERROR: access denied to guarded-and-denied from UNDETERMINED (127.0.0.1)",
                "> err @ERROR: access denied to guarded-and-denied from 127.0.0.1 (127.0.0.1)",
            ],
        ),
    push("a login gives no right to push", "-a --password-file=password", "guarded/")
        .by("alice")
        .ends(&[1])
        .shows("module is read only")
        .differs("last-words", &["< err rsync error: syntax or usage error (code 1)"]),
];

/// A module that hides: `*.bak`, all `*.o` but `keep.o`, `core`, `/build`, and what is below `src/secret`.
pub(crate) const VEILED: &[Case] = &[
    pull("what a module hides is not there", "-ai", "veiled/"),
    pull("what a module hides is not there, with the module by name", "-ai", "veiled"),
    list("what a module hides is not listed", "-r", "veiled/"),
    pull("a hidden file by name is missing", "-ai", "veiled/main.o").ends(&[23]),
    pull("a hidden directory by name is missing", "-ai", "veiled/build").ends(&[23]),
    pull("what is in a hidden directory is missing", "-ai", "veiled/build/out.c").ends(&[23]),
    pull("what is below a hidden place is missing", "-ai", "veiled/src/secret/key").ends(&[23]),
    pull("a file that a module shows after all", "-ai", "veiled/keep.o veiled/src/keep.o"),
    pull("a wildcard does not see what is hidden", "-ai", "veiled/*"),
    pull("a wildcard for nothing but hidden files", "-ai", "veiled/*.bak").ends(&[23]),
    pull("a wildcard through a hidden directory", "-ai", "veiled/*/out.c").ends(&[23]),
    pull("whole paths through a hidden directory", "-aRi", "veiled/build/sub/deep.c veiled/src/lib").ends(&[23]),
    pull("hidden files are deleted at the destination", "-ai --delete", "veiled/").over(CopyOf("odd/filter")),
    pull("a client's rules come on top of the module's", "-ai --exclude=*.c --include=*.o", "veiled/"),
    pull("a client cannot show what a module hides", "-ai --include=main.o --include=build", "veiled/"),
    pull("rules of a client in a tree with hidden files", "-aiF", "veiled/"),
    pull("a module's rules are for the whole module", "-ai", "veiled/src"),
    pull("a module's anchored rules do not move with the argument", "-ai", "veiled/src/"),
    pull("a missing hidden argument that may be missing", "-ai --ignore-missing-args", "veiled/build veiled/doc"),
    pull("a listing of what hides, as entries", "-di", "veiled/").over(Empty),
    pull("a symlink whose name is hidden for directories", "-ai", "veiled-links/to-dir"),
    pull("a symlink that is hidden as the directory behind it", "-aik", "veiled-links/to-dir").ends(&[23]),
    pull("a symlink that is hidden as the directory behind it, with whole paths", "-aikR", "veiled-links/to-dir")
        .ends(&[23]),
    pull("a symlink that is hidden as the directory behind it, by a wildcard", "-aik", "veiled-links/to-*"),
    pull("a symlink to what a module hides", "-ai", "veiled-links/to-file veiled-links/dir"),
    pull("a symlink to what a module hides, followed", "-aiL", "veiled-links/dir").differs(
        "links-to-hidden-places",
        &[
            "< code 0",
            "> code 23",
            "> err rsync error: some files/attrs were not transferred (see previous errors) (code 23)",
            "> err symlink has no referent: \"/dir/up\" (in veiled-links)",
            "< out >f+++++++++ dir/up",
            "< tree dir/up file *",
        ],
    ),
    pull("a symlink to what a module hides, followed by name", "-aiL", "veiled-links/to-file").differs(
        "links-to-hidden-places",
        &[
            "< code 0",
            "> code 23",
            "> err rsync error: some files/attrs were not transferred (see previous errors) (code 23)",
            "> err rsync: [sender] link_stat \"to-file\" (in veiled-links) failed: No such file or directory (2)",
            "< out >f+++++++++ to-file",
            "< out created directory dst",
            "< tree . directory *",
            "< tree to-file file *",
        ],
    ),
];

/// Names from a file where a module hides.
pub(crate) const VEILED_NAMES: &[Case] =
    &[pull("names from a file, some of them hidden", "-ai --files-from=names-that-hide", "veiled/").ends(&[23])];

/// Clients that send what nobody takes.
pub(crate) const PUSHES: &[Case] = &[
    push("a push that would delete", "-a --delete", "odd/plain/")
        .ends(&[1])
        .differs("last-words", &["< err rsync error: syntax or usage error (code 1)"]),
    push("a push with protocol 30", "-a --protocol=30", "odd/plain/")
        .ends(&[1, 10, 12])
        .shows("module is read only")
        .differs(
            "last-words",
            &[
                "< err rsync error: syntax or usage error (code 1)",
                "?< code *",
                "?< err rsync error: *",
                "?< err rsync: *",
                "?> code 12",
                "?> err rsync error: error in rsync protocol data stream (code 12)",
                "?> err rsync: connection unexpectedly closed *",
            ],
        ),
    push("a push of one name", "-a --existing", "odd/plain/a")
        .ends(&[1])
        .differs("last-words", &["< err rsync error: syntax or usage error (code 1)"]),
    push("a push that only talks", "-an", "odd/plain/")
        .ends(&[1])
        .differs("last-words", &["< err rsync error: syntax or usage error (code 1)"]),
    push("a push to a module that does not exist", "-a", "nothing/").ends(&[5]),
    push("a push to a denied module", "-a", "hidden-and-denied/").ends(&[5]),
    pull("an edited copy is mended and nothing else is touched", "-ai --delete --exclude=/extra*", "odd/mix/")
        .over(Edited),
];
