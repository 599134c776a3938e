//! The two kinds of Ed25519 keys, made, stored and used to sign.
//!
//! A key file is text: a comment that says what the key is and how to treat it, then one line with the key as PKCS#8
//! (version 2, with the public half, as RFC 5958 has it; OpenSSL 3.0 and older do not read that version) in lower-case
//! hex. The first line names the kind, so that an admin key is never used as a gateway key. What a key may sign is in
//! its type.
//! Deliberately absent: passphrases, and any way to get the secret out again.

use std::fmt;
use std::path::Path;

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::error::IdentityError;
use super::files;
use crate::tree::{Document, Head, PublicKey, Signature, Term};

/// Longest PKCS#8 that is looked at, in bytes; an Ed25519 key takes 83.
const MAX_PKCS8_BYTES: usize = 256;

/// The key of the federation's admin. It signs terms and nothing else, and stays with the admin.
pub struct AdminKey(Ed25519KeyPair);

/// The key of one gateway. It signs heads and documents.
pub struct GatewayKey(Ed25519KeyPair);

const ADMIN: &str = "headwater admin key";
const GATEWAY: &str = "headwater gateway key";

const ADMIN_COMMENT: &str = "\
# headwater admin key (Ed25519, PKCS#8 in hex). It says who is gateway of the federation.
# Whoever has this file rules the federation: keep it offline and secret, and keep a copy.
";

const GATEWAY_COMMENT: &str = "\
# headwater gateway key (Ed25519, PKCS#8 in hex). It signs what this node publishes.
# It belongs to this data directory; do not copy it to another node.
";

impl AdminKey {
    /// Makes a key and stores it at `path`, where nothing may be yet.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let (pair, pkcs8) = generate()?;
        files::write_new(path, &key_text(ADMIN_COMMENT, &pkcs8))?;
        Ok(Self(pair))
    }

    /// Reads the key from `path`, which nobody else may read.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        load(path, ADMIN).map(Self)
    }

    /// The public half, which every node pins.
    pub fn public(&self) -> PublicKey {
        public(&self.0)
    }

    /// The whole, signed text of `term`.
    pub fn sign_term(&self, term: &Term) -> Vec<u8> {
        term.signed(sign(&self.0, &term.body()))
    }
}

impl GatewayKey {
    /// Makes a key and stores it at `path`, where nothing may be yet.
    pub fn create(path: &Path) -> Result<Self, IdentityError> {
        let (pair, pkcs8) = generate()?;
        files::write_new(path, &key_text(GATEWAY_COMMENT, &pkcs8))?;
        Ok(Self(pair))
    }

    /// Reads the key from `path`, which nobody else may read.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        load(path, GATEWAY).map(Self)
    }

    /// The public half, which a term names.
    pub fn public(&self) -> PublicKey {
        public(&self.0)
    }

    /// The whole, signed text of `head`.
    pub fn sign_head(&self, head: &Head) -> Vec<u8> {
        head.signed(sign(&self.0, &head.body()))
    }

    /// The whole, signed text of `document`. Fails if the text breaks a bound, since nobody could read it.
    pub fn sign_document(&self, document: &Document) -> Result<Vec<u8>, IdentityError> {
        let text = document.signed(sign(&self.0, &document.body()));
        Document::parse(&text).map_err(IdentityError::Unsound)?;
        Ok(text)
    }
}

impl fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminKey(public {})", self.public().short())
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatewayKey(public {})", self.public().short())
    }
}

fn generate() -> Result<(Ed25519KeyPair, Vec<u8>), IdentityError> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| IdentityError::Random)?;
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| IdentityError::Random)?;
    Ok((pair, pkcs8.as_ref().to_vec()))
}

fn public(pair: &Ed25519KeyPair) -> PublicKey {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(pair.public_key().as_ref());
    PublicKey::from_bytes(bytes)
}

fn sign(pair: &Ed25519KeyPair, body: &[u8]) -> Signature {
    let mut bytes = [0; 64];
    bytes.copy_from_slice(pair.sign(body).as_ref());
    Signature::from_bytes(bytes)
}

fn key_text(comment: &str, pkcs8: &[u8]) -> Vec<u8> {
    let digits: String = pkcs8.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{comment}{digits}\n").into_bytes()
}

fn load(path: &Path, kind: &'static str) -> Result<Ed25519KeyPair, IdentityError> {
    let text = files::read_secret(path)?;
    let wrong = |why| IdentityError::NotAKey { path: path.to_owned(), kind, why };
    let pkcs8 = read_key_text(&text, kind).map_err(wrong)?;
    Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| wrong("its line is no Ed25519 key; restore the file from a copy"))
}

/// The PKCS#8 bytes in a key file, or what is wrong with it.
fn read_key_text(text: &[u8], kind: &str) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let named = text.strip_prefix("# ").and_then(|rest| rest.strip_prefix(kind));
    if !named.is_some_and(|rest| rest.starts_with([' ', '\n'])) {
        return Err("its first line does not say so; is it another file?");
    }
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err("it should have exactly one line beside its comments");
    };
    from_hex(line).ok_or("its line is not hex; restore the file from a copy")
}

fn from_hex(line: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = line
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) || digits.len() > 2 * MAX_PKCS8_BYTES {
        return None;
    }
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4) | pair[1]).collect())
}
