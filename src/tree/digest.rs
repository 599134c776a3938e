//! Fixed-length byte strings that are written as lower-case hex: digests, keys, signatures.
//!
//! A type each, so that a snapshot's id never passes for a content's. The text form is exact: all digits, lower
//! case, nothing else. A content id is the plain BLAKE2b-512 of the bytes, what `b2sum` prints and what Gentoo
//! Manifests call `BLAKE2B`.
//! Two crates compute it, because each is twice as fast as the other at its job: `blake2` for one stream,
//! `blake2b_simd` for many small contents side by side.
//! Deliberately absent: signing and the checking of signatures.

use std::fmt;
use std::str::FromStr;

use blake2::{Blake2b512, Digest};
use blake2b_simd::many::{HashManyJob, hash_many};

use super::error::HexError;
use super::escape::shown;

/// Jobs that are handed to the parallel hash at once: bounds its scratch memory to some 100 KiB.
const JOBS_AT_ONCE: usize = 256;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Marks a byte that is no lower-case hex digit. Has a bit above the low four, so that wrong digits add up.
const NO_DIGIT: u8 = 0x80;

/// The value of each byte as a hex digit, or [`NO_DIGIT`].
const NIBBLES: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    let mut value = 0u8;
    while digit < DIGITS.len() {
        table[DIGITS[digit] as usize] = value;
        digit += 1;
        value += 1;
    }
    table
};

/// The two hex digits of a byte.
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// The value of one lower-case hex digit.
pub(super) fn nibble(digit: u8) -> Option<u8> {
    let value = NIBBLES[usize::from(digit)];
    (value != NO_DIGIT).then_some(value)
}

/// Appends `bytes` as lower-case hex.
pub(super) fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    for (pair, &byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&hex_pair(byte));
    }
}

/// `N` bytes from exactly `2 * N` lower-case hex digits.
pub(super) fn from_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    let mut wrong = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        wrong |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    (wrong & NO_DIGIT == 0).then_some(bytes)
}

macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Takes the raw bytes.
            pub const fn from_bytes(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Reads the exact hex form.
            pub fn from_hex(text: &[u8]) -> Result<Self, HexError> {
                from_hex(text).map(Self).ok_or_else(|| HexError {
                    kind: $kind,
                    digits: 2 * $length,
                    found: shown(text),
                })
            }

            /// The first 12 hex digits, for messages and tables.
            pub fn short(&self) -> String {
                self.0[..6].iter().flat_map(|&byte| hex_pair(byte)).map(char::from).collect()
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                Self::from_hex(text.as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = Vec::with_capacity(2 * $length);
                put_hex(&mut text, &self.0);
                f.pad(&String::from_utf8_lossy(&text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}…)"), self.short())
            }
        }
    };
}

hex_bytes!(
    /// The BLAKE2b-512 of a file's bytes.
    ContentId, 64, "content id"
);
hex_bytes!(
    /// The BLAKE2b-512 of a snapshot's canonical text.
    SnapshotId, 64, "snapshot id"
);
hex_bytes!(
    /// The BLAKE2b-512 of the admin's public key: it names the federation and pins the key.
    FederationId, 64, "federation id"
);
hex_bytes!(
    /// An Ed25519 signature. Carried here, checked elsewhere.
    Signature, 64, "signature"
);
hex_bytes!(
    /// An Ed25519 public key.
    PublicKey, 32, "public key"
);
hex_bytes!(
    /// The SHA-256 of a certificate authority's certificate.
    CaId, 32, "SHA-256 of a CA"
);

impl ContentId {
    /// The id of one content.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Blake2b512::digest(bytes).into())
    }

    /// The ids of many small contents, in their order; some twice as fast as one by one.
    pub fn of_many(contents: &[&[u8]]) -> Vec<Self> {
        let parameters = blake2b_simd::Params::new();
        let mut ids = Vec::with_capacity(contents.len());
        let mut jobs = Vec::with_capacity(contents.len().min(JOBS_AT_ONCE));
        for some in contents.chunks(JOBS_AT_ONCE) {
            jobs.clear();
            jobs.extend(some.iter().map(|bytes| HashManyJob::new(&parameters, bytes)));
            hash_many(&mut jobs);
            ids.extend(jobs.iter().map(|job| Self(*job.to_hash().as_array())));
        }
        ids
    }
}

impl FederationId {
    /// The id of the federation whose admin holds the secret half of `admin`.
    pub fn of(admin: &PublicKey) -> Self {
        Self(Blake2b512::digest(admin.0).into())
    }
}

/// The id of a content that comes in pieces.
#[derive(Clone, Default)]
pub struct ContentHasher(Blake2b512);

impl ContentHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The id of all bytes so far.
    pub fn finish(self) -> ContentId {
        ContentId(self.digest())
    }

    /// The same digest, for whoever names something else by it.
    pub(super) fn digest(self) -> [u8; 64] {
        self.0.finalize().into()
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentHasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_id_is_what_b2sum_prints() {
        assert_eq!(
            ContentId::of(b"").to_string(),
            "786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419\
             d25e1031afee585313896444934eb04b903a685b1448b755d56f701afe9be2ce"
        );
        assert_eq!(
            ContentId::of(b"abc").to_string(),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1\
             7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"
        );
    }

    #[test]
    fn many_at_once_one_by_one_and_in_pieces_agree() {
        let contents: Vec<Vec<u8>> = (0..600usize).map(|n| vec![n.to_le_bytes()[0]; n * 7 % 1000]).collect();
        let slices: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let one_by_one: Vec<ContentId> = slices.iter().map(|bytes| ContentId::of(bytes)).collect();
        assert_eq!(ContentId::of_many(&slices), one_by_one);
        for (bytes, id) in slices.iter().zip(one_by_one) {
            let mut hasher = ContentHasher::new();
            bytes.chunks(13).for_each(|piece| hasher.update(piece));
            assert_eq!(hasher.finish(), id);
        }
        assert_eq!(ContentId::of_many(&[]), []);
    }

    #[test]
    fn hex_is_exact() {
        let id = ContentId::of(b"x");
        let text = id.to_string();
        assert_eq!(text.parse::<ContentId>(), Ok(id));
        assert_eq!(id.short(), text[..12]);
        assert!(text.to_uppercase().parse::<ContentId>().is_err());
        assert!(text[..127].parse::<ContentId>().is_err());
        assert!(format!("{text}0").parse::<ContentId>().is_err());
        assert!(format!("{}g", &text[..127]).parse::<ContentId>().is_err());
        assert!("".parse::<PublicKey>().is_err());
        for digit in 0..=255u8 {
            assert_eq!(nibble(digit).is_some(), matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        }
    }
}
