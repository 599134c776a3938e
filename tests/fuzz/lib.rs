//! The laws of `tests/properties`, for a fuzzer.

#[path = "../properties/laws.rs"]
mod laws;
#[path = "../properties/seeds.rs"]
mod seeds;
#[path = "../properties/session.rs"]
mod session;

/// Tries the law of this name; a broken one panics.
pub fn check(law: &str, data: &[u8]) {
    let (_, law) = laws::LAWS.iter().find(|(name, _)| *name == law).expect("a target has the name of a law");
    law(data);
}

/// The names of all laws.
pub fn laws() -> impl Iterator<Item = &'static str> {
    laws::LAWS.iter().map(|(name, _)| *name)
}

/// What a law is tried on first.
pub fn seeds(law: &str) -> Vec<Vec<u8>> {
    seeds::seeds(law)
}
