//! What a gateway is: its key, the admin's public key that it pins, and the term that makes it gateway.
//!
//! It lies in `DATA/identity/`: `gateway.key`, `admin.pub`, `term-N` for each term that was seen, and `term`, the current
//! one. The directory is made under another name and renamed when all of it is durable, the admin key before it, so
//! there is never an identity whose admin key is lost, nor half an identity. Opening it checks that all parts fit.
//! Deliberately absent: the admin's secret key, which does not belong here.

use std::fs;
use std::path::Path;

use super::chain::verify_term;
use super::error::IdentityError;
use super::files;
use super::keys::{AdminKey, GatewayKey};
use crate::names::NodeName;
use crate::tree::{Document, FederationId, Head, PublicKey, Reason, Term, Word};

/// Where an identity lies in the data directory.
pub const DIRECTORY: &str = "identity";
const UNFINISHED: &str = ".identity.new";
const GATEWAY_KEY: &str = "gateway.key";
const ADMIN_PUBLIC: &str = "admin.pub";
const FIRST_TERM: &str = "term-1";
const TERM: &str = "term";

/// The data directory: its owner's, readable by the group.
const DATA_MODE: u32 = 0o750;

/// The directory of the keys: its owner's alone.
const IDENTITY_MODE: u32 = 0o700;

/// The comment in front of the admin's public key.
const ADMIN_COMMENT: &str = "# the public half of the headwater admin key that this node obeys (Ed25519, hex)\n";

/// The identity of a gateway, loaded.
pub struct Identity {
    gateway: GatewayKey,
    admin: PublicKey,
    term: Term,
    term_text: Vec<u8>,
}

impl Identity {
    /// Makes a new federation: an admin key at `admin_key`, and in the data directory `data` a gateway key and term 1
    /// for `node`, beginning at `now` (seconds since 1970). Nothing that exists is overwritten.
    pub fn create(data: &Path, admin_key: &Path, node: &NodeName, now: i64) -> Result<Self, IdentityError> {
        let (place, unfinished) = (data.join(DIRECTORY), data.join(UNFINISHED));
        files::refuse_existing(&place)?;
        files::refuse_existing(admin_key)?;
        remove_unfinished(&unfinished)?;
        files::make_directory(data, DATA_MODE)?;
        files::make_directory(&unfinished, IDENTITY_MODE)?;

        let admin = AdminKey::create(admin_key)?;
        let gateway = GatewayKey::create(&unfinished.join(GATEWAY_KEY))?;
        let term_text = admin.sign_term(&first_term(&admin.public(), &gateway.public(), node, now));
        let public = format!("{ADMIN_COMMENT}{}\n", admin.public());
        files::write_new(&unfinished.join(ADMIN_PUBLIC), public.as_bytes())?;
        files::write_new(&unfinished.join(FIRST_TERM), &term_text)?;
        files::write_new(&unfinished.join(TERM), &term_text)?;

        files::rename_new(&unfinished, &place)?;
        files::sync_directory(data)?;
        Self::open(data)
    }

    /// Loads the identity in the data directory `data` and checks that its parts fit together.
    pub fn open(data: &Path) -> Result<Self, IdentityError> {
        let place = data.join(DIRECTORY);
        let (key_path, term_path) = (place.join(GATEWAY_KEY), place.join(TERM));
        let admin = read_public(&place.join(ADMIN_PUBLIC))?;
        let gateway = GatewayKey::load(&key_path)?;
        let term_text = files::read(&term_path)?;
        let term = verify_term(&term_text, &admin)
            .map_err(|source| IdentityError::Term { path: term_path.clone(), source })?;
        if term.key != gateway.public() {
            return Err(IdentityError::OtherKey { key: key_path, term: term_path });
        }
        Ok(Self { gateway, admin, term, term_text })
    }

    /// The federation, which is named by its admin's public key.
    pub fn federation(&self) -> FederationId {
        self.term.federation
    }

    /// The admin's public key that this node obeys.
    pub fn admin(&self) -> &PublicKey {
        &self.admin
    }

    /// The current term.
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// The current term's signed text.
    pub fn term_text(&self) -> &[u8] {
        &self.term_text
    }

    /// The whole, signed text of `head`.
    pub fn sign_head(&self, head: Head) -> Vec<u8> {
        self.gateway.sign_head(&head)
    }

    /// The whole, signed text of `document`. Fails if it breaks a bound.
    pub fn sign_document(&self, document: &Document) -> Result<Vec<u8>, IdentityError> {
        self.gateway.sign_document(document)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?}, term {})", self.gateway, self.term.number)
    }
}

#[expect(
    clippy::expect_used,
    reason = "the rule for node names is narrower than that for words; the reason is a constant"
)]
fn first_term(admin: &PublicKey, key: &PublicKey, node: &NodeName, now: i64) -> Term {
    Term {
        federation: FederationId::of(admin),
        number: 1,
        previous: None,
        node: Word::new(node.as_str()).expect("a node's name is a word"),
        key: *key,
        ca: None,
        time: now,
        reason: Reason::new("first gateway").expect("a line of text"),
    }
}

/// What an `init` that was cut short has left: nobody can have used it.
fn remove_unfinished(path: &Path) -> Result<(), IdentityError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(super::error::file("remove", path)(error)),
        _ => Ok(()),
    }
}

fn read_public(path: &Path) -> Result<PublicKey, IdentityError> {
    let bytes = files::read(path)?;
    let key = bytes.split(|&byte| byte == b'\n').find(|line| !line.starts_with(b"#")).unwrap_or_default();
    PublicKey::from_hex(key).map_err(|source| IdentityError::Public { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::identity::{ChainError, verify_document, verify_head};
    use crate::tree::{SnapshotId, TextError};

    fn node() -> NodeName {
        "gw".parse().unwrap()
    }

    /// A data directory with an identity, its admin key beside it.
    fn made() -> (tempfile::TempDir, PathBuf, Identity) {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let identity = Identity::create(&data, &home.path().join("admin.key"), &node(), 1_783_123_201).unwrap();
        (home, data, identity)
    }

    fn head(identity: &Identity) -> Head {
        Head {
            federation: identity.federation(),
            channel: Word::new("gentoo/full").unwrap(),
            generation: 1,
            snapshot: SnapshotId::from_bytes([1; 64]),
            term: 1,
            time: 5,
        }
    }

    #[test]
    fn what_was_made_is_opened_again() {
        let (home, data, identity) = made();
        let again = Identity::open(&data).unwrap();
        assert_eq!(again.term(), identity.term());
        assert_eq!(again.term().node.as_str(), "gw");
        assert_eq!(again.federation(), FederationId::of(again.admin()));
        assert_eq!(AdminKey::load(&home.path().join("admin.key")).unwrap().public(), *again.admin());
        assert_eq!(fs::read(data.join("identity/term-1")).unwrap(), again.term_text());
        for name in ["gateway.key", "admin.pub", "term-1", "term"] {
            let mode = fs::metadata(data.join("identity").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
        assert_eq!(fs::metadata(data.join("identity")).unwrap().permissions().mode() & 0o7777, 0o700);
        let names: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["identity"]);
    }

    #[test]
    fn nothing_is_overwritten() {
        let (home, data, identity) = made();
        let (key, other) = (home.path().join("admin.key"), home.path().join("other"));
        let before = fs::read(&key).unwrap();
        let check = |data: &Path, key: &Path| {
            assert!(matches!(Identity::create(data, key, &node(), 9), Err(IdentityError::Exists(_))));
        };
        check(&data, &home.path().join("new.key"));
        check(&other, &key);
        assert!(!home.path().join("new.key").exists() && !other.exists());
        assert_eq!(fs::read(&key).unwrap(), before);
        assert_eq!(Identity::open(&data).unwrap().term(), identity.term());
        let raced = files::write_new(&key, b"x").unwrap_err();
        assert!(matches!(raced, IdentityError::Exists(_)));
        fs::write(home.path().join("from"), b"x").unwrap();
        assert!(matches!(files::rename_new(&home.path().join("from"), &key), Err(IdentityError::Exists(_))));
    }

    #[test]
    fn an_init_that_was_cut_short_can_be_made_again() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        fs::create_dir_all(data.join(UNFINISHED)).unwrap();
        fs::write(data.join(UNFINISHED).join(GATEWAY_KEY), b"half").unwrap();
        assert!(Identity::create(&data, &home.path().join("admin.key"), &node(), 1).is_ok());
    }

    #[test]
    fn a_secret_that_others_may_read_is_not_used() {
        let (home, data, _) = made();
        for (path, mode) in [(data.join("identity/gateway.key"), 0o640), (home.path().join("admin.key"), 0o604)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error =
                if mode == 0o640 { Identity::open(&data).unwrap_err() } else { AdminKey::load(&path).unwrap_err() };
            let text = error.to_string();
            assert!(text.ends_with(&format!("run `chmod 600 {}`", path.display())), "{text}");
            assert!(text.contains(&format!("mode {mode:o}")), "{text}");
        }
    }

    #[test]
    fn a_key_of_the_other_kind_or_a_damaged_one_is_refused() {
        let (home, data, _) = made();
        let (admin, gateway) = (home.path().join("admin.key"), data.join("identity/gateway.key"));
        assert!(matches!(AdminKey::load(&gateway), Err(IdentityError::NotAKey { .. })));
        assert!(matches!(GatewayKey::load(&admin), Err(IdentityError::NotAKey { .. })));
        let good = fs::read_to_string(&gateway).unwrap();
        let spoiled = [good.replace("0420", "0421"), format!("{good}00\n"), good.replace(". ", ".\n"), String::new()];
        for text in spoiled.into_iter().chain([good[..good.len() - 3].to_owned(), "x".repeat(70_000)]) {
            fs::write(&gateway, &text).unwrap();
            assert!(GatewayKey::load(&gateway).is_err(), "{text}");
        }
        fs::write(&gateway, good).unwrap();
        assert!(GatewayKey::load(&gateway).is_ok());
    }

    #[test]
    fn parts_that_do_not_fit_together_are_not_opened() {
        let (_first, one, _) = made();
        let (_second, two, _) = made();
        let take = |name: &str| fs::copy(two.join("identity").join(name), one.join("identity").join(name)).unwrap();
        take("term");
        assert!(matches!(Identity::open(&one), Err(IdentityError::Term { .. })));
        take("admin.pub");
        assert!(matches!(Identity::open(&one), Err(IdentityError::OtherKey { .. })));
        take("gateway.key");
        assert!(Identity::open(&one).is_ok());
        fs::remove_file(one.join("identity/term")).unwrap();
        assert!(matches!(Identity::open(&one), Err(IdentityError::Missing(_))));
        fs::write(one.join("identity/admin.pub"), "# x\nabc\n").unwrap();
        assert!(matches!(Identity::open(&one), Err(IdentityError::Public { .. })));
    }

    #[test]
    fn the_chain_holds_from_the_admin_to_a_head() {
        let (_home, _data, identity) = made();
        let head = head(&identity);
        let text = identity.sign_head(head.clone());
        assert_eq!(verify_term(identity.term_text(), identity.admin()).as_ref(), Ok(identity.term()));
        assert_eq!(verify_head(&text, identity.term()), Ok(head));
        for at in 0..text.len() {
            let mut other = text.clone();
            other[at] ^= 1;
            assert!(verify_head(&other, identity.term()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_key_term_or_federation_breaks_the_chain() {
        let (_home, _data, identity) = made();
        let (_other_home, _other_data, other) = made();
        let (good, term) = (head(&identity), identity.term());
        let check = |text: Vec<u8>, expected: fn(&ChainError) -> bool| {
            let error = verify_head(&text, term).unwrap_err();
            assert!(expected(&error), "{error}");
        };
        check(other.sign_head(good.clone()), |error| matches!(error, ChainError::Signature { .. }));
        check(other.sign_head(head(&other)), |error| matches!(error, ChainError::OtherFederation { .. }));
        check(identity.sign_head(Head { term: 2, ..good.clone() }), |error| {
            matches!(error, ChainError::OtherTerm { .. })
        });
        check(identity.term_text().to_vec(), |error| matches!(error, ChainError::Text { .. }));
        let foreign = verify_term(identity.term_text(), other.admin());
        assert!(matches!(foreign, Err(ChainError::OtherFederation { .. })));
        let claimed = Term { key: other.term().key, ..term.clone() };
        let signature = crate::tree::Signature::from_bytes([0; 64]);
        let forged = verify_term(&claimed.signed(signature), identity.admin());
        assert!(matches!(forged, Err(ChainError::Signature { .. })));
    }

    #[test]
    fn a_document_that_could_not_be_read_is_not_signed() {
        let (_home, _data, identity) = made();
        let document = Document {
            federation: identity.federation(),
            version: 1,
            term: 1,
            topology: b"federation = \"x\"\n".to_vec(),
            members: Default::default(),
            files: Default::default(),
        };
        let text = identity.sign_document(&document).unwrap();
        assert_eq!(verify_document(&text, identity.term()), Ok(document.clone()));
        let error = identity.sign_document(&Document { version: 0, ..document }).unwrap_err();
        assert!(matches!(error, IdentityError::Unsound(TextError { line: 3, .. })), "{error}");
    }

    #[test]
    fn no_secret_shows_in_debug() {
        let (home, data, identity) = made();
        let admin = AdminKey::load(&home.path().join("admin.key")).unwrap();
        let shown = format!("{identity:?} {admin:?}");
        for path in [data.join("identity/gateway.key"), home.path().join("admin.key")] {
            let text = fs::read_to_string(path).unwrap();
            let secret = text.lines().last().unwrap();
            // The seed stands in bytes 16 to 48 of the PKCS#8.
            assert!(!shown.contains(&secret[32..44]), "{shown}");
        }
        assert!(shown.contains(&identity.term().key.short()));
    }
}
