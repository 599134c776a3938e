//! Where damage begins: recorded sessions, recorded rules and arguments, and small texts that are right.

use headwater::tree::{Head, Snapshot, delta_text};

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../vectors/", $name)).as_slice()
    };
}

/// Clients of every kind, as stock ones spoke.
pub(crate) const RECORDED_CLIENTS: &[&[u8]] = &[
    vector!("full-noinc-p32.client.bin"),
    vector!("full-noinc-p30.client.bin"),
    vector!("numeric-p32.client.bin"),
    vector!("delta-xxh128-p32.client.bin"),
    vector!("delta-md5-p31.client.bin"),
    vector!("delta-xxh64-p32.client.bin"),
    vector!("delta-xxh3-negseed-p32.client.bin"),
    vector!("delta-sha1-p32.client.bin"),
    vector!("delta-zstd-p32.client.bin"),
    vector!("delta-zlibx-p32.client.bin"),
    vector!("delta-zlibx-inc-p30.client.bin"),
    vector!("delta-zlib-p31.client.bin"),
    vector!("delta-lz4-p32.client.bin"),
    vector!("checksum-c-p32.client.bin"),
    vector!("emerge-declined-p32.client.bin"),
    vector!("redo-noinc-p32.client.bin"),
    vector!("append-p32.client.bin"),
    vector!("append-verify-p32.client.bin"),
    vector!("files-from-p30.client.bin"),
    vector!("files-from-p32.client.bin"),
    vector!("files-from-comments-p32.client.bin"),
    vector!("secluded-p32.client.bin"),
    vector!("auth-sha512.client.bin"),
    vector!("auth-fail.client.bin"),
];

/// Servers, for what a client reads.
const RECORDED_SERVERS: &[&[u8]] = &[
    vector!("full-noinc-p32.server.bin"),
    vector!("full-noinc-p30.server.bin"),
    vector!("delta-zstd-p32.server.bin"),
    vector!("delta-zlibx-p32.server.bin"),
    vector!("delta-zlib-p31.server.bin"),
    vector!("delta-lz4-p32.server.bin"),
];

const FILTERS: &str = include_str!("../vectors/filters.tsv");
const ARGUMENTS: &str = include_str!("../vectors/args.tsv");
const TOPOLOGY: &str = include_str!("../../topology/single.toml");

const RSYNCD_CONF: &str = "uid = nobody\nmax connections = 20\nlog format = %t %a %m %f %b\n[gentoo-portage]\n\
    path = /srv/gentoo\nhosts allow = 10.0.0.0/8 a.example\nexclude = /distfiles \\\n  /packages\nauth users = a b:deny\n\
    filter = - x + y\n[global]\ntransfer logging = yes\n[part]\npath = /srv/gentoo/metadata\nread only = no\n&include x\n";

/// What a law is tried on.
pub(crate) fn seeds(law: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let prefixed = |byte: u8, all: &[&[u8]]| all.iter().map(|one| [&[byte], *one].concat()).collect::<Vec<_>>();
    match law {
        "tree_text" => vec![tree(1).to_text(), tree(2).to_text()],
        "tree_delta" => vec![delta_text(&tree(1), &tree(2)), delta_text(&tree(1), &tree(1))],
        "signed_texts" => vec![head()],
        "rsync_args" | "rsync_options" => {
            rows(ARGUMENTS).map(|row| row.replace([' ', '\t'], "\0").into_bytes()).collect()
        }
        "filter_rules" => rows(FILTERS).map(|row| row.replace('\t', "\n").into_bytes()).collect(),
        "wild" => {
            texts(&["*.o\0a.o", "a/**/b\0a/x/y/b", "[a-c]?[!x]\0bcd", "***\0x", "[[:upper:]]*\0A", "\\*\0*", "[]a]\0]"])
        }
        "greeting" => texts(&["@RSYNCD: 31.0 sha512 md5\nmod\n", "@RSYNCD: 30\n#list\n", "@RSYNCD: 32.0\r\n\n"]),
        "mux" => RECORDED_SERVERS.iter().map(|server| server.to_vec()).collect(),
        "session" => prefixed(97, RECORDED_CLIENTS),
        "session_frames" => (0..24).map(|which| [&[which, 20], &b"\0\0\0\0"[..]].concat()).collect(),
        "file_list" => RECORDED_SERVERS.iter().flat_map(|server| parts_of(&[0xff, 0x39], server)).collect(),
        "block_sums" => RECORDED_CLIENTS.iter().flat_map(|client| parts_of(&[], client)).collect(),
        "delta_search" => vec![[&[16, 1, 3, 128], &b"some text that repeats ".repeat(40)[..]].concat()],
        "tokens" => (0..5)
            .flat_map(|codec| RECORDED_SERVERS.iter().flat_map(move |server| parts_of(&[codec], server)))
            .collect(),
        "stamps" => texts(&[
            "Wed, 01 Jul 2020 12:00:01 +0000\n",
            "1593604801 Wed 01 Jul 2020 12:00:01 PM UTC\n",
            "0123456789012345678901234567890123456789 1593604801 2020-07-01T12:00:01+00:00\n",
            "2020-07-01T12:00:01Z",
        ]),
        "topology" => texts(&[TOPOLOGY]),
        "rsyncd_conf" => texts(&[RSYNCD_CONF]),
        "secrets" => texts(&["# who may\nalice:sesame\nbob:a:b c\r\n\nmirror-7:x\n"]),
        "log_format" => texts(&["%o %h [%a] %m (%u) %f %l", "%-50n %8l %07p %'b %%", "json"]),
        law => panic!("there is no law named {law}"),
    }
}

/// The rows of a table, without its comments.
fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|row| !row.is_empty() && !row.starts_with('#'))
}

/// The ends of a recording from some places on, behind a prefix: one of them begins where a reader would.
fn parts_of(prefix: &[u8], recording: &[u8]) -> Vec<Vec<u8>> {
    let places = recording.windows(2).enumerate().filter(|(_, pair)| *pair == [0, 7]).map(|(at, _)| at + 2);
    places.take(8).map(|at| [prefix, &recording[at..]].concat()).collect()
}

fn tree(number: u8) -> Snapshot {
    super::laws::small_tree(&[("a", number), ("b", 2), ("sub/c", 3)])
}

/// A head, signed by nobody.
fn head() -> Vec<u8> {
    let hex = |pair: &str, bytes: usize| pair.repeat(bytes);
    let text = format!(
        "headwater head 1\nfederation {}\nchannel tree/full\ngeneration 7\nsnapshot {}\nterm 1\ntime 1700000000\nsignature {}\n",
        hex("ab", 64),
        hex("cd", 64),
        hex("ef", 64)
    );
    assert!(Head::parse(text.as_bytes()).is_ok(), "{:?}\n{text}", Head::parse(text.as_bytes()));
    text.into_bytes()
}
