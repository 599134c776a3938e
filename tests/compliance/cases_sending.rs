//! Ways to send a file: the rest of it, with another compression, with its time of access, and along a very long path.

use super::case::Before::{Basis, Begun, CopyOf, Edited, Empty, Partial};
use super::case::{Case, list, pull};

/// `--append` and `--append-verify`.
pub(crate) const APPENDING: &[Case] = &[
    pull("the rest of two files", "-ai --append --stats", "odd/big/").over(Partial).shows("Literal data: "),
    pull("the rest of two files, verified", "-ai --append-verify --stats", "odd/big/").over(Partial),
    pull("the rest of files, one of which begins otherwise", "-ai --append", "odd/big/").over(Begun),
    pull("the rest of files, verified, one of which begins otherwise", "-ai --append-verify", "odd/big/").over(Begun),
    pull("the rest of files, compressed", "-aiz --append --stats", "odd/big/").over(Begun),
    pull("the rest of files, compressed and verified", "-aiz --append-verify", "odd/big/").over(Begun),
    pull("the rest of files with protocol 30", "-ai --append --protocol=30", "odd/big/").over(Begun),
    pull("the rest of files with protocol 30, verified", "-ai --append-verify --protocol=30", "odd/big/").over(Begun),
    pull("the rest of files with protocol 31, verified", "-ai --append-verify --protocol=31", "odd/big/").over(Begun),
    pull("the rest of nothing", "-ai --append", "odd/plain/").over(Empty),
    pull("the rest of whole files", "-ai --append", "odd/big/").over(CopyOf("odd/big")),
    pull("the rest of whole files, whatever the times", "-aiI --append", "odd/big/").over(CopyOf("odd/big")),
    pull("the rest of longer files", "-ai --append", "odd/big/").over(Basis),
    pull("the rest of longer files, verified", "-ai --append-verify", "odd/big/").over(Basis),
    pull("the rest of files by md5", "-ai --append-verify --cc=md5", "odd/big/").over(Begun),
    pull("the rest of files by xxh64", "-ai --append-verify --cc=xxh64", "odd/big/").over(Begun),
    pull("the rest of files by sha1", "-ai --append-verify --cc=sha1 --checksum-seed=5", "odd/big/").over(Begun),
    pull("the rest of files, by checksum", "-aic --append-verify", "odd/big/").over(Begun),
    pull("the rest of edited files", "-ai --append --force", "odd/mix/").over(Edited),
    pull("the rest of one file", "-ai --append-verify", "odd/big/large").over(Partial),
];

/// lz4.
pub(crate) const LZ4: &[Case] = &[
    pull("compressed by lz4", "-ai --zc=lz4", "odd/plain/ odd/big"),
    pull("a delta compressed by lz4", "-ai --zc=lz4 --no-W --stats", "odd/big/").over(Basis),
    pull("compressed by lz4 at a level", "-ai --zc=lz4 --zl=1", "odd/big/"),
    pull("compressed by lz4, and statistics", "-a --zc=lz4 --stats", "odd/big/ odd/plain"),
    pull("compressed by lz4, resumed", "-ai --zc=lz4 --no-W", "odd/big/").over(Partial),
    pull("compressed by lz4 in place", "-ai --zc=lz4 --inplace --no-W", "odd/big/large odd/big/prose").over(Basis),
    pull("a text compressed by lz4", "-ai --zc=lz4 --stats", "odd/big/prose odd/big/zeros"),
];

/// `-U`. A snapshot has no times of access, so that of change stands for it.
pub(crate) const ACCESSED: &[Case] = &[
    pull("times of access", "-aiU", "odd/plain/"),
    pull("times of access, twice", "-aiUU", "odd/plain/"),
    pull("times of access with protocol 30", "-aiU --protocol=30", "odd/plain/"),
    pull("times of access with hard links", "-aHiU", "odd/hard/"),
    list("times of access, listed", "-rU", "odd/plain/")
        .differs("times-of-access", &["< out -rw-r--r-- *", "> out -rw-r--r-- *"]),
];

/// Needs nothing new.
pub(crate) const LONG: &[Case] = &[
    pull("paths as long as a system has them", "-ai", "odd/long/"),
    pull("paths as long as a system has them, nothing to do", "-ai", "odd/long/").over(CopyOf("odd/long")),
    pull("paths as long as a system has them, deleted", "-ai --delete", "odd/plain/").over(CopyOf("odd/long")),
    pull("paths as long as a system has them, with protocol 30", "-ai --protocol=30", "odd/long/"),
    list("paths as long as a system has them, listed", "-r", "odd/long/"),
    pull("a second pull of a whole module", "-aHi --delete", "odd/").over(CopyOf("odd")),
    pull("a second pull of a whole module with protocol 30", "-aHi --delete --protocol=30", "odd/").over(CopyOf("odd")),
    pull("a second pull of a whole module with protocol 31", "-aHi --delete --protocol=31", "odd/").over(CopyOf("odd")),
    pull("a second pull of a whole module, by checksum", "-aHic --delete", "odd/").over(CopyOf("odd")),
    pull("modes and times with protocol 31", "-ai --protocol=31", "odd/modes odd/times"),
    pull("an edited copy with protocol 31", "-ai --force --protocol=31", "odd/mix/").over(Edited),
    pull("an edited copy by checksum with protocol 30", "-aic --force --protocol=30", "odd/mix/").over(Edited),
    pull("an interrupted transfer is resumed in place", "-ai --inplace --no-W --stats", "odd/big/").over(Partial),
    pull("an interrupted transfer is resumed with protocol 30", "-ai --partial --no-W --protocol=30", "odd/big/")
        .over(Partial),
    pull("an interrupted transfer is resumed as a whole", "-aiW --partial", "odd/big/").over(Partial),
    pull("files that were begun are mended by delta", "-ai --no-W --stats", "odd/big/").over(Begun),
];
