//! The chain of signatures, checked: the admin's key vouches for a term, the term's key for heads and documents.
//!
//! Each function takes a text as it came and gives back a value only if form, federation, term and signature all hold;
//! what is checked is the text itself, byte for byte. Form comes before signature: parsing is strict and bounded, so a
//! text that parses is the one text of its value.
//! Deliberately absent: which term is the highest that was seen; who asks has to remember.

use ring::signature::{ED25519, UnparsedPublicKey};

use super::error::ChainError;
use crate::tree::{Document, FederationId, Head, PublicKey, Signature, Term, TextError};

/// The term that `text` says, if the admin whose public key is `admin` signed it.
pub fn verify_term(text: &[u8], admin: &PublicKey) -> Result<Term, ChainError> {
    const KIND: &str = "term";
    let (term, signature) = Term::parse(text).map_err(damaged(KIND))?;
    same_federation(KIND, term.federation, FederationId::of(admin))?;
    signed_by(KIND, &term.body(), &signature, admin)?;
    Ok(term)
}

/// The head that `text` says, if the gateway of `term` signed it in that term.
pub fn verify_head(text: &[u8], term: &Term) -> Result<Head, ChainError> {
    const KIND: &str = "head";
    let (head, signature) = Head::parse(text).map_err(damaged(KIND))?;
    same_federation(KIND, head.federation, term.federation)?;
    same_term(KIND, head.term, term)?;
    signed_by(KIND, &head.body(), &signature, &term.key)?;
    Ok(head)
}

/// The document that `text` says, if the gateway of `term` signed it in that term.
pub fn verify_document(text: &[u8], term: &Term) -> Result<Document, ChainError> {
    const KIND: &str = "document";
    let (document, signature) = Document::parse(text).map_err(damaged(KIND))?;
    same_federation(KIND, document.federation, term.federation)?;
    same_term(KIND, document.term, term)?;
    signed_by(KIND, &document.body(), &signature, &term.key)?;
    Ok(document)
}

fn damaged(kind: &'static str) -> impl Fn(TextError) -> ChainError {
    move |source| ChainError::Text { kind, source }
}

fn same_federation(kind: &'static str, found: FederationId, expected: FederationId) -> Result<(), ChainError> {
    if found == expected {
        return Ok(());
    }
    Err(ChainError::OtherFederation { kind, found: found.short(), expected: expected.short() })
}

fn same_term(kind: &'static str, found: u64, term: &Term) -> Result<(), ChainError> {
    let expected = term.number;
    if found == expected { Ok(()) } else { Err(ChainError::OtherTerm { kind, found, expected }) }
}

fn signed_by(kind: &'static str, body: &[u8], signature: &Signature, key: &PublicKey) -> Result<(), ChainError> {
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(body, signature.as_bytes())
        .map_err(|_| ChainError::Signature { kind, key: key.short() })
}
