//! The laws of `laws.rs`, each tried a thousand times on damaged recordings and on noise.
//!
//! The same laws are targets of a fuzzer: see `tests/fuzz`. What a fuzzer finds becomes a row of `FOUND` here, so that it is
//! tried for ever.
#![expect(clippy::unwrap_used, reason = "a test says where it failed, and that is enough")]
#![expect(clippy::panic, reason = "a law fails by a panic")]

mod laws;
mod seeds;
mod session;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use laws::LAWS;
use seeds::seeds;

/// Tries of each law; enough to find what is near a seed, and some seconds in all.
const TRIES: u32 = 1_000;

/// What broke a law once.
const FOUND: &[(&str, &[u8])] = &[("rsync_args", &MANY_AND_BIG)];

/// A row with a string too many that has more bytes than all may have.
const MANY_AND_BIG: [u8; 2_102] = {
    let mut row = [b'x'; 2_102];
    let mut at = 0;
    while at < 50 {
        row[2 * at + 1] = 0;
        at += 1;
    }
    (row[2_100], row[2_101]) = (0, 0);
    row
};

/// How a seed is damaged: cut, some bytes changed, noise behind it. Half of it stays text, since most of what is read is text.
fn damage() -> impl Strategy<Value = (Index, Index, Vec<(Index, u8)>, Vec<u8>)> {
    let byte = || prop_oneof![4 => b' '..=b'~', 1 => Just(b'\n'), 1 => any::<u8>()];
    let changed = prop::collection::vec((any::<Index>(), byte()), 0..8);
    let noise = prop_oneof![
        2 => Just(Vec::new()),
        1 => "[ -~\n]{0,200}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    (any::<Index>(), any::<Index>(), changed, noise)
}

fn damaged(seeds: &[Vec<u8>], of: (Index, Index, Vec<(Index, u8)>, Vec<u8>)) -> Vec<u8> {
    let (which, kept, changed, noise) = of;
    let mut bytes = seeds[which.index(seeds.len())].clone();
    // Every other time it stays whole.
    if kept.index(2) == 0 {
        bytes.truncate(kept.index(bytes.len() + 1));
    }
    if !bytes.is_empty() {
        for (place, byte) in changed {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
    }
    bytes.extend_from_slice(&noise);
    bytes
}

/// The package of the fuzzer.
const TARGETS: &str = include_str!("../fuzz/Cargo.toml");

#[test]
fn every_law_is_a_target_of_the_fuzzer() {
    let targets: Vec<&str> =
        TARGETS.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).skip(2).collect();
    assert_eq!(targets, LAWS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn every_law_holds_for_every_seed_as_it_is() {
    for (name, law) in LAWS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        seeds.iter().for_each(|seed| law(seed));
        law(b"");
    }
    for (name, bytes) in FOUND {
        let (_, law) = LAWS.iter().find(|(known, _)| known == name).unwrap();
        law(bytes);
    }
}

#[test]
fn every_law_holds_for_damaged_seeds() {
    for (name, law) in LAWS {
        let seeds = seeds(name);
        let config = Config { cases: TRIES, failure_persistence: None, ..Config::default() };
        let result = TestRunner::new(config).run(&damage(), |of| {
            law(&damaged(&seeds, of));
            Ok(())
        });
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
    }
}
