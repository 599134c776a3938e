//! The first table: the options of a pull, one by one and together, and the few places where the answers may differ.

use super::case::Before::{Basis, CopyOf, Edited, Empty, Older, Partial};
use super::case::{Case, list, pull, push};

/// What Portage gives to rsync, and what it adds.
macro_rules! portage {
    ($more:literal) => {
        concat!(
            "--recursive --links --safe-links --perms --times --omit-dir-times --compress --force --whole-file --delete ",
            "--stats --human-readable --timeout=180 --exclude=/distfiles --exclude=/local --exclude=/packages ",
            "--exclude=/.git ",
            $more
        )
    };
}

/// The difference between a transfer and a refusal in our words, with code 4.
macro_rules! refused {
    ($option:literal) => {
        [
            "< code 0",
            "> code 4",
            concat!("> err rsync: The server is configured to refuse ", $option),
            "< out *",
            "< tree *",
        ]
    };
}

/// The difference between a refusal after which the connection is cut, and one that the client hears to its end. A client that is
/// cut off says so in words that depend on time, and may even have missed the reason.
macro_rules! cut_off {
    ($code:literal, $reason:literal) => {
        [
            "< code 1*",
            $code,
            concat!("?> err rsync: ", $reason),
            "< err rsync error: *",
            "?< err rsync: connection *",
            "?< err rsync: [*",
        ]
    };
}

pub(crate) const CASES: &[Case] = &[
    // ── Modules and access.
    list("modules are listed with their comments", "", "").shows("Oddities of all kinds"),
    list("modules are listed without the greeting", "--no-motd", ""),
    pull("a hidden module is served to who knows its name", "-a", "hidden/"),
    pull("a module that does not exist is refused", "-a", "nothing/").ends(&[5]).shows("Unknown module 'nothing'"),
    pull("module names are case-sensitive", "-a", "ODD/plain").ends(&[5]),
    pull("a denied host is told so", "-a", "denied/").ends(&[5]).shows("access denied to denied from").differs(
        "hosts-by-address",
        &[
            "< err @ERROR: access denied to denied from UNDETERMINED (127.0.0.1)",
            "> err @ERROR: access denied to denied from 127.0.0.1 (127.0.0.1)",
        ],
    ),
    pull("a hidden module is unknown to a denied host", "-a", "hidden-and-denied/")
        .ends(&[5])
        .shows("Unknown module 'hidden-and-denied'"),
    pull("an allowed host is served although all others are denied", "-a", "allowed/"),
    pull("one connection too many is sent away", "-a", "place-taken/")
        .while_held("place-taken")
        .ends(&[5])
        .shows("max connections (1) reached"),
    pull("one place is enough for one client", "-a", "one-place/"),
    pull("a place in one module is none in another", "-a", "hidden/").while_held("other-place-taken"),
    pull("a module may end silent connections", "-a", "with-timeout/"),
    pull("a module may be a part of a channel", "-ai", "inner/src"),
    pull("a module that is a part cannot be left upwards", "-ai", "inner/../../plain/a").ends(&[23]),
    push("a module is read only", "-a", "odd/plain/")
        .ends(&[1])
        .shows("module is read only")
        .differs("last-words", &["< err rsync error: syntax or usage error (code 1)"]),
    pull("an unknown option is refused by name", "-a -M--foo", "odd/plain/")
        .ends(&[10, 12])
        .differs("code-of-a-refusal", &cut_off!("> code 1", "on remote machine: --foo: unknown option")),
    pull("ACLs are refused", "-aiA", "odd/plain/").differs("refused-kinds", &refused!("--acls (-A)")),
    pull("extended attributes are refused", "-aiX", "odd/plain/").differs("refused-kinds", &refused!("--xattrs (-X)")),
    pull("a client that would remove our files is refused", "-a --remove-source-files", "odd/plain/")
        .ends(&[1])
        .shows("--remove-source-files cannot be used with a read-only module")
        .differs("last-words", &["< err rsync error: syntax or usage error (code 1)"]),
    pull("a kind of rules that only files may hold is refused", "-ai -M--exclude=a", "odd/plain/")
        .differs("refused-kinds", &refused!("--exclude")),
    pull("to pretend to be root is refused", "-ai -M--fake-super", "odd/plain/")
        .differs("refused-kinds", &refused!("--fake-super")),
    pull("another character set is refused", "-ai --iconv=utf8,iso-8859-1", "odd/plain/")
        .ends(&[10, 12])
        .differs("code-of-a-refusal", &cut_off!("> code 4", "The server is configured to refuse --iconv")),
    pull("a log file of ours is refused", "-ai -M--log-file=x", "odd/plain/")
        .ends(&[10, 12])
        .differs("code-of-a-refusal", &cut_off!("> code 4", "The server is configured to refuse --log-file")),
    pull("devices as files are refused", "-ai --copy-devices", "odd/plain/")
        .ends(&[10, 12])
        .differs("code-of-a-refusal", &cut_off!("> code 4", "The server is configured to refuse --copy-devices")),
    pull("a number that is none is refused", "-ai -M--checksum-seed=x", "odd/plain/").ends(&[10, 12]).differs(
        "code-of-a-refusal",
        &cut_off!("> code 1", "on remote machine: --checksum-seed=x: invalid numeric value"),
    ),
    pull("a negative timeout is refused", "-ai -M--timeout=-1", "odd/plain/").differs(
        "numbers-within-reason",
        &["< code 0", "> code 1", "> err rsync: on remote machine: --timeout=-1: *", "< out *", "< tree *"],
    ),
    pull("bytes before the request", "-ai --early-input=names", "odd/plain/"),
    pull("options for a receiver that a sender need not know", "-ai -M--delete -M--existing -M-r", "odd/plain/"),
    // ── Listings.
    list("a listing of a module", "", "odd/").shows("plain"),
    list("a listing of a module without a slash", "", "odd"),
    list("a listing of everything below", "-r", "odd/"),
    list("a listing of everything below, with links", "-rlH", "odd/"),
    pull("a listing instead of a copy", "-a --list-only", "odd/plain/"),
    list("a listing of a directory without a slash", "", "odd/plain"),
    list("a listing of one file", "", "odd/plain/a"),
    pull("a listing of several arguments", "--list-only", "odd/plain/a odd/links/ odd/big"),
    list("a listing with times far away", "-r", "odd/times/"),
    list("a listing of modes", "-r", "odd/modes/"),
    list("a listing of odd names", "-r", "odd/names/"),
    list("a listing of odd names as they are", "-r8", "odd/names/"),
    list("a listing of an empty module", "", "void/"),
    list("a listing of a missing file", "", "odd/nothing").ends(&[23]),
    list("a listing with checksums", "-rc", "odd/plain/"),
    list("a listing with a filter", "-r --exclude=*.o", "odd/filter/"),
    list("a listing of whole paths", "-rR", "odd/plain/sub"),
    list("a listing of nothing", "--no-dirs", "odd/").shows("skipping directory ."),
    // ── Arguments.
    pull("one file", "-ai", "odd/plain/a"),
    pull("one file under another name", "-ai", "odd/plain/a").over(Empty).to("dst/renamed"),
    pull("one file over a file", "-ai", "odd/plain/a").over(CopyOf("odd/plain/sub/c")).to("dst"),
    pull("one file without any option", "", "odd/plain/a"),
    pull("a directory", "-ai", "odd/plain"),
    pull("what a directory holds", "-ai", "odd/plain/"),
    pull("what a directory holds, by a dot", "-ai", "odd/plain/."),
    pull("a whole module", "-aiH", "odd/"),
    pull("a whole module, told at length", "-avvH", "odd")
        .differs("a-timeout-for-all", &["> out Setting --timeout=200 to match server", "> out done"]),
    pull("slashes and dots too many", "-ai", "odd//plain/.//sub/../sub/"),
    pull("no way up out of a module", "-ai", "odd/../../plain/sub"),
    pull("several arguments", "-ai", "odd/plain/a odd/plain/sub odd/hard/"),
    pull("arguments that overlap", "-ai", "odd/plain odd/plain/sub odd/plain/"),
    pull("the same argument twice", "-ai", "odd/plain/a odd/plain/a"),
    pull("two files of one name", "-ai", "odd/plain/sub/ odd/plain/zub/ odd/mix/sub/"),
    pull("two different directories of one name", "-ai", "odd/plain/sub odd/mix/sub"),
    pull("a file and a directory of one name", "-ai", "odd/hard/other odd/hard/sub/"),
    pull("a missing argument", "-ai", "odd/nothing")
        .ends(&[23])
        .shows("link_stat \"nothing\" (in odd) failed: No such file or directory (2)"),
    pull("a missing argument among others", "-ai", "odd/plain/a odd/nothing odd/hard").ends(&[23]),
    pull("a missing argument stops no deletion", "-ai --delete", "odd/mix/ odd/nothing").over(Edited).ends(&[23]),
    pull("a missing file in a directory", "-ai", "odd/plain/sub/nothing").ends(&[23]),
    pull("a missing directory on the way", "-ai", "odd/plain/nothing/x").ends(&[23]),
    pull("a missing directory by a slash", "-ai", "odd/nothing/").ends(&[23]),
    pull("a file on the way", "-ai", "odd/plain/a/x").ends(&[23]),
    pull("a file by a slash", "-ai", "odd/plain/a/").ends(&[23]),
    pull("a missing argument that may be missing", "-ai --ignore-missing-args", "odd/plain/a odd/nothing"),
    pull("nothing but arguments that may be missing", "-ai --ignore-missing-args", "odd/nothing"),
    pull("a directory without -r is skipped", "-lpt", "odd/plain odd/plain/a").shows("skipping directory plain"),
    pull("a directory as an entry", "-di", "odd/plain"),
    pull("a directory as entries", "-dti", "odd/plain/"),
    pull("a directory as entries, deleting", "-dti --delete", "odd/mix/").over(Edited),
    pull("a symlink as an argument", "-ai", "odd/links/to-directory"),
    pull("what is behind a symlink", "-ai", "odd/links/to-directory/"),
    pull("a file behind a symlink", "-ai", "odd/links/to-directory/file"),
    pull("a symlink to nowhere by a slash", "-ai", "odd/links/dangling/").ends(&[23]),
    pull("symlinks to places and to files", "-rHi", "odd/hard/ odd/links"),
    pull(
        "a missing directory may not be missing",
        "-ai --ignore-missing-args",
        "odd/nothing/x odd/plain/a/x odd/plain/b",
    )
    .ends(&[23]),
    pull("ways down and up again", "-ai", "odd/plain/sub/deeper/../../a odd/plain/a/../b"),
    pull("other modules are directories", "-ai", "odd/plain/a hidden/b").ends(&[23]),
    // ── Wildcards.
    pull("a wildcard", "-ai", "odd/plain/*"),
    pull("a wildcard in a directory's place", "-ai", "odd/*/sub").ends(&[23]),
    pull("a wildcard on two levels", "-ai", "odd/plain/*/*"),
    pull("a wildcard that matches nothing", "-ai", "odd/plain/x*").ends(&[23]),
    pull("a class", "-ai", "odd/filter/[ab]* odd/filter/[!a-z]*"),
    pull("a question mark", "-ai", "odd/filter/a?"),
    pull("a wildcard and hidden files", "-ai", "odd/filter/*s*"),
    pull("a wildcard and a byte that is no UTF-8", "-ai", "odd/names/latin-1*"),
    list("a wildcard in a listing", "", "odd/p*/[ab]"),
    pull("an escaped wildcard", "-ai", "odd/names/star\\*"),
    pull("a wildcard in brackets", "-ai", "odd/names/[[]class] odd/names/*\\?"),
    pull("a wildcard of directories only", "-di", "odd/*"),
    pull("a wildcard and symlinks that lead nowhere", "-lti", "odd/links/*").differs(
        "wildcards-and-dangling-links",
        &[
            "> out cL+++++++++ blank -> *",
            "> out cL+++++++++ dangling -> *",
            "> out cL+++++++++ itself -> *",
            "> out cL+++++++++ long -> *",
            "> out cL+++++++++ munged -> *",
            "> out cL+++++++++ outside -> *",
            "> tree *",
        ],
    ),
    // ── Names.
    pull("odd names", "-ai", "odd/names/"),
    pull("odd names, nothing to do", "-ai", "odd/names/").over(CopyOf("odd/names")),
    pull("odd names, deleted", "-ai --delete", "odd/plain/").over(CopyOf("odd/names")),
    pull("a name with a blank", "-ai", "odd/names/with␣blank"),
    pull("a name with a blank at its end", "-ai", "odd/names/blank␣last␣"),
    pull("a name that looks like two arguments", "-ai", "odd/names/odd-directory␣odd/inside"),
    pull("a directory with a blank", "-ai", "odd/names/directory␣with␣blank/"),
    pull("a name with #", "-ai", "odd/names/#hash"),
    pull("a name with a dash first", "-ai", "odd/names/-dash odd/names/--delete odd/names/-d/"),
    pull("a name that is no UTF-8", "-ai", "odd/names/latin-1␣%ff odd/names/d%fe"),
    pull("a name with a newline", "-ai", "odd/names/new%0aline"),
    pull("a name with a backslash", "-ai", "odd/names/back\\slash"),
    pull(
        "names that a shell would read otherwise",
        "-ai",
        "odd/names/quote'\" odd/names/$dollar odd/names/a&b|c odd/names/semi;colon odd/names/~user",
    ),
    pull("old arguments are split at blanks", "-ai --old-args", "odd/plain/a␣odd/plain/b"),
    pull("a missing name with odd characters", "-ai", "odd/no\"th#ing").ends(&[23]),
    pull("a missing name that is no UTF-8", "-ai", "odd/no%ff%09thing").ends(&[23]).differs(
        "names-in-messages",
        &["< err rsync: [sender] link_stat *", "> err rsync: [sender] link_stat \"no\\#357\\#277\\#275\\tthing\"*"],
    ),
    // ── What is kept of an entry.
    pull("times far away", "-ai", "odd/times/"),
    pull("times far away, nothing to do", "-ai", "odd/times/").over(CopyOf("odd/times")),
    pull("times far away with protocol 30", "-ai --protocol=30", "odd/times/"),
    pull("modes", "-ai", "odd/modes/"),
    pull("modes by the umask", "-rlti", "odd/modes/"),
    pull("modes changed by the client", "-ai --chmod=D700,F600", "odd/modes/"),
    pull("executability only", "-rltEi", "odd/modes/"),
    pull("neither owners nor groups", "-ai --no-o --no-g", "odd/plain/"),
    pull("owners by their numbers", "-ai --numeric-ids", "odd/plain/"),
    pull("neither modes nor times", "-rli", "odd/plain/"),
    pull("no times of directories", "-aiO", "odd/plain/"),
    pull("no times of links", "-aiJ", "odd/links/"),
    pull("symlinks", "-ai", "odd/links/"),
    pull("symlinks, nothing to do", "-ai", "odd/links/").over(CopyOf("odd/links")),
    pull("symlinks that are not asked for", "-rti", "odd/links/").shows("skipping non-regular file"),
    pull("symlinks only inside", "-av --safe-links", "odd/links/").shows("ignoring unsafe symlink"),
    pull("symlinks munged by the client", "-ai --munge-links", "odd/links/"),
    pull("hard links", "-aHi", "odd/hard/").shows("=>"),
    pull("hard links, nothing to do", "-aHi", "odd/hard/").over(CopyOf("odd/hard")),
    pull("hard links to be mended", "-aHi", "odd/hard/sub/ odd/hard").over(CopyOf("odd/hard/sub")),
    pull("hard links as files", "-ai", "odd/hard/"),
    pull("hard links, one of them filtered", "-aHi --exclude=/first", "odd/hard/"),
    pull("hard links by several arguments", "-aHi", "odd/hard/sub odd/hard/first"),
    pull("hard links with protocol 30", "-aHi --protocol=30", "odd/hard/"),
    pull("an empty directory", "-ai", "odd/empty"),
    pull("an empty tree", "-ai", "void/"),
    pull("an empty tree empties", "-ai --delete", "void/").over(CopyOf("odd/plain")),
    pull("a deep tree", "-ai", "odd/deep"),
    pull("a place deep in a tree", "-ai", "odd/deep/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/"),
    pull("one file system", "-aix", "odd/plain/"),
    pull("devices and specials", "-rDi", "odd/plain/"),
    pull("devices without specials", "-ai --no-specials", "odd/plain/"),
    pull("hard links, told about everything", "-aiiH", "odd/hard/").over(CopyOf("odd/hard")),
    pull("owners as the client likes them", "-ai --chown=0:0", "odd/plain/"),
    pull("file systems not even named", "-aixx", "odd/plain"),
    pull("times to the nanosecond", "-ai --modify-window=-1", "odd/times/").over(CopyOf("odd/times")),
    // ── What is transferred.
    pull("nothing to do", "-ai", "odd/mix/").over(CopyOf("odd/mix")),
    pull("nothing to do, told", "-av", "odd/mix/").over(CopyOf("odd/mix")),
    pull("an edited copy", "-ai", "odd/mix/").over(Edited).ends(&[23]),
    pull("an edited copy, told", "-av --force", "odd/mix/").over(Edited),
    pull("an edited copy, told at length", "-avvi --force", "odd/mix/")
        .over(Edited)
        .differs("a-timeout-for-all", &["> out Setting --timeout=200 to match server", "> out done"]),
    pull("an edited copy, told about everything", "-aii --force", "odd/mix/").over(Edited),
    pull("only talk", "-ain --delete", "odd/mix/").over(Edited),
    pull("only talk about a first copy", "-avn", "odd/plain/ odd/links"),
    pull("by checksum", "-aic --force", "odd/mix/").over(Edited),
    pull("by checksum, nothing to do", "-aic", "odd/big/").over(CopyOf("odd/big")),
    pull("by checksum without times", "-rlic --force", "odd/mix/").over(Edited),
    pull("whole files", "-aiW", "odd/big/").over(Basis),
    pull("whatever the times", "-aiI", "odd/plain/").over(CopyOf("odd/plain")),
    pull("only what is newer", "-aiu --force", "odd/mix/").over(Edited),
    pull("by size only", "-ai --size-only --force", "odd/mix/").over(Edited),
    pull("only what exists", "-ai --existing --force", "odd/mix/").over(Edited),
    pull("only what does not exist", "-ai --ignore-existing --force", "odd/mix/").over(Edited).ends(&[23]),
    pull("neither what exists nor what does not", "-ai --existing --ignore-existing --delete", "odd/mix/")
        .over(CopyOf("odd/plain")),
    pull("within a window of times", "-ai --modify-window=1000000000 --force", "odd/mix/").over(Edited),
    pull("only small files", "-ai --max-size=250k", "odd/big/"),
    pull("only big files", "-ai --min-size=250k", "odd/big/"),
    pull("with backups", "-aib --suffix=.old --force", "odd/mix/").over(Edited).ends(&[23]),
    pull("with backups in a directory", "-aib --backup-dir=old --delete", "odd/mix/").over(Edited),
    pull("from a tree beside it", "-ai --link-dest=..", "odd/plain/").over(CopyOf("odd/plain")).to("dst/new/"),
    pull("with directories made on the way", "-ai --mkpath", "odd/plain/").to("dst/on/the/way/"),
    pull("with updates at the end", "-ai --delay-updates", "odd/big/").over(Basis),
    pull("with a search for a similar basis", "-aiyy --no-W --stats", "odd/big/large odd/big/noise")
        .over(Basis)
        .to("dst/new/"),
    pull("only talk, with statistics", "-avn --delete --stats", "odd/mix/").over(Edited),
    // ── Deleting.
    pull("delete", "-ai --delete", "odd/mix/").over(Edited),
    pull("delete before", "-ai --delete-before", "odd/mix/").over(Edited),
    pull("delete during", "-ai --delete-during", "odd/mix/").over(Edited),
    pull("delete delayed", "-ai --delete-delay", "odd/mix/").over(Edited).ends(&[0, 23]),
    pull("delete after", "-ai --delete-after", "odd/mix/").over(Edited).ends(&[0, 23]),
    pull("delete what is excluded", "-ai --delete-excluded --exclude=*.o --exclude=sub", "odd/mix/").over(Edited),
    pull("delete, but not what is excluded", "-ai --delete --exclude=*.o --exclude=sub", "odd/mix/").over(Edited),
    pull("delete, but not what is protected", "-ai --delete --filter=P␣extra*", "odd/mix/").over(Edited),
    pull("delete nothing after all", "-ai --delete --max-delete=0", "odd/mix/").over(CopyOf("odd/plain")).ends(&[25]),
    pull("delete a little", "-ai --delete-before --max-delete=3", "odd/plain/").over(CopyOf("odd/filter")).ends(&[25]),
    pull("delete as many as there are", "-ai --delete --max-delete=100", "odd/mix/").over(Edited),
    pull("delete with force", "-ai --delete --force", "odd/mix/").over(Edited),
    pull("force without delete", "-ai --force", "odd/mix/").over(Edited),
    pull("delete although there were errors", "-ai --delete --ignore-errors", "odd/mix/ odd/nothing/x")
        .over(Edited)
        .ends(&[23]),
    pull("delete nothing because there were errors", "-ai --delete", "odd/mix/ odd/nothing/x").over(Edited).ends(&[23]),
    pull("delete with statistics", "-a --delete --stats", "odd/mix/").over(Edited).shows("Number of deleted files"),
    pull("delete with protocol 30", "-ai --delete --protocol=30", "odd/mix/").over(Edited),
    pull("delete all", "-ai --delete", "odd/empty/").over(CopyOf("odd/plain")),
    // ── Delta.
    pull("a delta against an older basis", "-ai --no-W --stats", "odd/big/").over(Basis).shows("Matched data"),
    pull("a delta in place", "-ai --no-W --inplace --stats", "odd/big/noise odd/big/prose odd/big/large").over(Basis),
    pull("a delta in place of blocks that are all alike", "-ai --no-W --inplace --stats", "odd/big/zeros")
        .over(Basis)
        .differs(
            "blocks-in-place",
            &["< out Literal data: *", "> out Literal data: *", "< out Matched data: *", "> out Matched data: *"],
        ),
    pull("a delta in small blocks", "-ai --no-W -B700 --stats", "odd/big/").over(Basis),
    pull("a delta in large blocks", "-ai --no-W -B100000 --stats", "odd/big/").over(Basis),
    pull("a delta with a seed", "-ai --no-W --checksum-seed=7 --stats", "odd/big/").over(Basis),
    pull("a delta with a negative seed", "-ai --no-W --checksum-seed=-7 --stats", "odd/big/").over(Basis),
    pull("a delta with protocol 30", "-ai --no-W --protocol=30 --stats", "odd/big/").over(Basis),
    pull("a delta with protocol 31", "-ai --no-W --protocol=31 --stats", "odd/big/").over(Basis),
    pull("a delta with protocol 30, compressed", "-aiz --no-W --protocol=30 --stats", "odd/big/").over(Basis),
    pull("a delta by md5", "-ai --no-W --cc=md5 --stats", "odd/big/").over(Basis),
    pull("a delta by xxh64", "-ai --no-W --cc=xxh64 --stats", "odd/big/").over(Basis),
    pull("a delta by xxh3", "-ai --no-W --cc=xxh3 --stats", "odd/big/").over(Basis),
    pull("a delta by xxh128", "-ai --no-W --cc=xxh128 --stats", "odd/big/").over(Basis),
    pull("a delta by sha1", "-ai --no-W --cc=sha1 --stats", "odd/big/").over(Basis),
    pull("a delta by two kinds of sums", "-ai --no-W --cc=md5,xxh64 --stats", "odd/big/").over(Basis),
    pull("no sums", "-ai --cc=none --stats", "odd/big/").over(Basis),
    pull("sums that nobody knows", "-ai --cc=crc", "odd/big/").ends(&[4]),
    pull("lists by md5", "-aic --cc=md5", "odd/mix/").over(Edited).ends(&[23]),
    pull("lists by sha1", "-aic --cc=sha1 --force", "odd/mix/").over(Edited),
    pull("lists by xxh64 with protocol 31", "-aic --cc=xxh64 --force --protocol=31", "odd/mix/").over(Edited),
    pull("a partial file is completed", "-ai --partial --no-W --stats", "odd/big/large").over(Empty),
    pull("two interrupted transfers are resumed", "-ai --partial --no-W --stats", "odd/big/")
        .over(Partial)
        .shows("Matched data: "),
    pull("two interrupted transfers are resumed, compressed", "-aiz --partial --no-W --stats", "odd/big/")
        .over(Partial),
    pull("an interrupted transfer is resumed from a directory", "-ai --partial-dir=parts --no-W", "odd/big/")
        .over(Partial),
    pull("sparse files", "-aiS", "odd/big/"),
    pull("sparse files in place", "-aiyS --inplace", "odd/big/noise odd/big/prose").over(Basis),
    pull("a delta in the largest blocks", "-ai --no-W -B131072 --stats", "odd/big/").over(Basis),
    pull("lists with the largest seed", "-aic --checksum-seed=2147483647", "odd/big/").over(CopyOf("odd/big")),
    // ── Compression.
    pull("compressed", "-aiz", "odd/big/ odd/plain"),
    pull("a compressed delta", "-aiz --no-W --stats", "odd/big/").over(Basis),
    pull("a delta compressed by zstd", "-ai --zc=zstd --no-W --stats", "odd/big/").over(Basis),
    pull("a delta compressed by zlib", "-ai --zc=zlib --no-W --stats", "odd/big/").over(Basis),
    pull("a delta compressed by zlibx", "-ai --zc=zlibx --no-W --stats", "odd/big/").over(Basis),
    pull("a delta compressed in the old way", "-ai --old-compress --no-W --stats", "odd/big/").over(Basis),
    pull("a delta compressed in the new way", "-ai --new-compress --no-W --stats", "odd/big/").over(Basis),
    pull("compressed a little", "-aiz --zl=1", "odd/big/"),
    pull("compressed much", "-ai --zl=9", "odd/big/"),
    pull("compressed as much as zstd can", "-aiz --zl=19", "odd/big/prose odd/plain/"),
    pull("compressed by zlib at level 9", "-ai --zc=zlib --zl=9", "odd/big/"),
    pull("compressed at level 0", "-ai --zc=zlib --zl=0", "odd/big/"),
    pull("not compressed by name", "-ai --zc=none", "odd/big/"),
    pull("compression that nobody knows", "-ai --zc=brotli", "odd/big/").ends(&[4]),
    pull("compressed but for some", "-aiz --skip-compress=o/c", "odd/filter/"),
    pull("compressed in the new way at a level", "-aizz --zl=3 --skip-compress=gz", "odd/big/"),
    pull("compressed and summed as it comes", "-aiz --cc=auto --zc=auto", "odd/big/"),
    // ── Whole paths.
    pull("whole paths", "-aRi", "odd/plain/sub/c odd/plain/zub"),
    pull("whole paths from a dot on", "-aRi", "odd/plain/./sub/deeper odd/plain/./a"),
    pull("whole paths from the module on", "-aRi", "odd/./plain/sub/"),
    pull("whole paths of a module", "-aRi", "odd/"),
    pull("whole paths without the directories on the way", "-aRi --no-implied-dirs", "odd/plain/sub/c odd/modes/1777"),
    pull(
        "whole paths with the modes on the way",
        "-aRi",
        "odd/names/odd-directory␣odd/inside odd/times/old-directory/",
    ),
    pull("whole paths through a symlink", "-aRi", "odd/links/to-directory/file").ends(&[0, 23]),
    pull("whole paths that overlap", "-aRi", "odd/plain odd/plain/sub/c odd/./plain/zub/e"),
    pull("whole paths, one missing", "-aRi", "odd/plain/nothing/x odd/plain/a").ends(&[23]),
    pull("whole paths with wildcards", "-aRi", "odd/plain/*/[cde] odd/./filter/*.c").ends(&[0, 23]),
    pull("whole paths, deleting", "-aRi --delete", "odd/plain/sub odd/./mix").over(CopyOf("odd")),
    pull("whole paths without -r", "-Rti", "odd/plain/sub/c odd/plain"),
    pull("whole paths of directories only", "-dRti", "odd/plain/sub/ odd/filter/src"),
    pull("whole paths with wildcards and more below", "-aRi", "odd/*/sub*"),
    pull("whole paths from a file on", "-aRi", "odd/links/to-sibling odd/plain/a/./").ends(&[23]),
    pull("whole paths from a missing place on", "-aRi", "odd/plain/nothing/./x odd/plain/./a").ends(&[23]),
    // ── Filters.
    pull("exclude by name", "-ai --exclude=*.o --exclude=core", "odd/filter/"),
    pull("exclude from the root", "-ai --exclude=/build --exclude=/src/lib/*.o", "odd/filter/"),
    pull("exclude from the root of a named directory", "-ai --exclude=/build --exclude=/filter/src", "odd/filter"),
    pull("exclude directories only", "-ai --exclude=build/ --exclude=core/", "odd/filter/"),
    pull("exclude a path", "-ai --exclude=src/build", "odd/filter/"),
    pull("exclude at any depth", "-ai --exclude=src/**.o --exclude=/doc/**", "odd/filter/"),
    pull("exclude a directory and all below", "-ai --exclude=src/***", "odd/filter/"),
    pull("exclude a class", "-ai --exclude=a[0-9] --exclude=[[:upper:]]* --exclude=?b", "odd/filter/"),
    pull("exclude all but", "-ai --include=*/ --include=*.c --exclude=*", "odd/filter/"),
    pull("exclude all but, without empty directories", "-aim --include=*/ --include=*.c --exclude=*", "odd/filter/"),
    pull("without empty directories", "-aim", "odd/filter/ odd/empty"),
    pull("exclude everything", "-ai --exclude=*", "odd/filter/"),
    pull("exclude the argument", "-ai --exclude=filter", "odd/filter odd/plain/a"),
    pull("exclude what does not match", "-ai --filter=-!␣*/", "odd/filter/"),
    pull("exclude by the path in the module", "-ai --filter=-/␣/filter/src", "odd/filter/"),
    pull("exclude and clear", "-ai --exclude=*.o --filter=! --exclude=*.c", "odd/filter/"),
    pull("exclude by a file of names", "-ai --exclude-from=names", "odd/plain/"),
    pull("exclude odd names", "-ai --exclude=*␣* --exclude=star\\* --exclude=[[] --exclude=\\#*", "odd/names/"),
    pull("hide and show", "-ai --delete --filter=S␣keep.o --filter=H␣*.o", "odd/filter/").over(CopyOf("odd/filter")),
    pull("filters in the tree", "-aiF", "odd/filter/"),
    pull("filters in the tree that are not copied", "-aiFF", "odd/filter/"),
    pull("filters in the tree, from the module's root on", "-aiF", "odd/filter/src"),
    pull("filters in the tree, deleting", "-aiF --delete", "odd/filter/").over(CopyOf("odd/filter")),
    pull("filters of another name in the tree", "-ai --filter=:␣.rules", "odd/filter/"),
    pull("filters in the tree that are not inherited", "-ai --filter=:n␣.rsync-filter", "odd/filter/"),
    pull("filters in the tree that only exclude", "-ai --filter=:-␣.cvsignore", "odd/filter/"),
    pull("filters in the tree, word by word", "-ai --filter=:w-␣.cvsignore", "odd/filter/"),
    pull("what CVS ignores", "-aiC", "odd/filter/"),
    pull("what CVS ignores, by a filter", "-ai --filter=:C --filter=-C", "odd/filter/"),
    pull("a filter against a wildcard argument", "-ai --exclude=*.o", "odd/filter/*"),
    pull("a filter with whole paths", "-aRi --exclude=/filter/src --exclude=*.o", "odd/filter odd/plain/sub/c"),
    pull("a filter at a deep place", "-ai --exclude=/lib --exclude=build", "odd/filter/src/"),
    pull("filters, told at length", "-avv --exclude=*.o --exclude=src/", "odd/filter/")
        .differs("a-timeout-for-all", &["> out Setting --timeout=200 to match server", "> out done"]),
    pull("filters in the tree that hide themselves", "-ai --filter=:e␣.rsync-filter", "odd/filter/"),
    pull("filters in the tree for the sender only", "-ai --delete --filter=:s␣.rules", "odd/filter/")
        .over(CopyOf("odd/filter")),
    pull("exclude by a slash and by stars", "-ai --exclude=/ --exclude=**", "odd/filter/"),
    pull("exclude with backslashes", "-ai --exclude=a␣b --exclude=\\* --include=**/c", "odd/plain/"),
    pull("one level by an old word", "-ai --old-d", "odd/plain/"),
    // ── Options of the transfer.
    pull("statistics", "-a --stats", "odd/plain/ odd/links").shows("Number of regular files transferred: "),
    pull("statistics of everything", "-aH --stats --no-i-r", "odd/").over(Empty),
    pull("one list", "-ai --no-i-r", "odd/"),
    pull("protocol 30", "-aH --protocol=30", "odd/"),
    pull("protocol 31", "-aH --protocol=31", "odd/"),
    pull("protocol 29", "-ai --protocol=29", "odd/plain/").differs(
        "old-protocols",
        &[
            "< code 0",
            "> code 5",
            "> err @ERROR: protocol 29 is too old",
            "> err rsync error: error starting client-server protocol (code 5)",
            "< out *",
            "< tree *",
        ],
    ),
    pull("a limit of speed", "-ai --bwlimit=100000", "odd/big/"),
    pull("a limit of patience", "-ai --timeout=30", "odd/plain/"),
    pull("a limit of patience with the connection", "-ai --contimeout=10", "odd/plain/"),
    pull("quiet", "-aq", "odd/plain/"),
    pull("names in a format", "-a --out-format=%i␣%n%L␣%l␣%M", "odd/plain/ odd/links"),
    pull("told by words", "-a --info=name1,del1,flist0,stats1", "odd/plain/").over(CopyOf("odd/plain")),
    pull("file sums in a format", "-a --out-format=%C␣%n --cc=md5", "odd/plain/"),
    pull("eight bits", "-ai8", "odd/names/"),
    pull("human numbers", "-avh --stats", "odd/big/"),
    pull(
        "options that mean nothing to a sender",
        "-aiK --fsync --preallocate --max-alloc=1g --open-noatime",
        "odd/plain/",
    )
    .over(Empty),
    pull("a sort that only ours lets a client ask for", "-ai --qsort", "odd/plain/")
        .ends(&[10, 12])
        .differs("code-of-a-refusal", &["< code 1*", "> code 0", "< err *", "> out *", "> tree *"]),
    pull("all to standard error", "-ai --stderr=all", "odd/plain/ odd/nothing").ends(&[23]),
    pull("errors to the client", "-ai --stderr=client", "odd/plain/ odd/nothing").ends(&[23]),
    pull("told more", "-ai --info=skip2,misc2,flist2 --debug=filter2", "odd/filter/")
        .over(CopyOf("odd/filter"))
        .differs("a-timeout-for-all", &["> out Setting --timeout=200 to match server", "> out 48 files to consider"]),
    pull("a sender that is trusted", "-ai --trust-sender", "odd/plain/"),
    pull("until a time", "-ai --partial --timeout=50 --stop-after=5", "odd/plain/"),
    // ── Portage.
    pull("emerge --sync for the first time", portage!(""), "gentoo/").over(Empty),
    pull("emerge --sync with nothing to do", portage!(""), "gentoo/").over(CopyOf("gentoo")),
    pull("emerge --sync after a change", portage!(""), "gentoo/").over(Older),
    pull("emerge --sync after a change, told", portage!("--verbose"), "gentoo/")
        .over(Older)
        .shows("Number of deleted files"),
    pull("emerge --sync with --debug", portage!("--verbose --checksum"), "gentoo/").over(Older),
    pull("emerge --sync with --quiet", portage!("--quiet"), "gentoo/").over(Older),
    pull("emerge's look at the timestamp", portage!("--verbose --inplace"), "gentoo/metadata/timestamp.chk")
        .over(Empty)
        .to("dst/tmp"),
    pull("emerge's look at a known timestamp", portage!("--verbose --inplace"), "gentoo/metadata/timestamp.chk")
        .over(CopyOf("gentoo/metadata/timestamp.chk"))
        .to("dst"),
    pull("emerge's look at an old timestamp", portage!("--verbose --inplace"), "gentoo/metadata/timestamp.chk")
        .over(CopyOf("gentoo/metadata/layout.conf"))
        .to("dst"),
    pull(
        "emerge's look at a timestamp that is not there",
        portage!("--verbose --inplace"),
        "inner/metadata/timestamp.chk",
    )
    .over(Empty)
    .to("dst/tmp")
    .ends(&[23]),
    pull(
        "emerge --sync of a submodule",
        portage!("--verbose --relative"),
        "gentoo/./metadata/layout.conf gentoo/./profiles",
    )
    .over(Empty),
    pull(
        "emerge --sync of a submodule after a change",
        portage!("--verbose --relative"),
        "gentoo/./metadata/layout.conf gentoo/./profiles",
    )
    .over(Older),
    pull("emerge --sync leaves what it must not touch", portage!(""), "inner/").over(CopyOf("odd/filter")),
    pull("a gateway of old, with rsync -a --delete", "-ai --delete", "gentoo/").over(Older),
];
