//! What is checked at a module's name, in the order in which rsyncd does it (protocol 2.6).
//!
//! The module, the host, a place, the password, the generation; the first failure decides and is the whole answer. The
//! place is held while the client types its password. What a client is told is rsyncd's text and gives nothing
//! away; the cause goes into our log. A generation is only looked for once the client may have the module.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::listener::Shared;
use super::older::Wanted;
use super::published::{Current, ListingVisibility, Module, Slot};
use super::secrets::Auth;
use super::view::shown;
use crate::names::Generation;
use crate::wire::sender::Login;

/// What stands between a module's name and the number of a generation.
const GENERATION_MARK: char = '@';

/// A client that was turned away: what it was told, and why, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The module as it was asked for.
    pub(crate) module: String,
    /// The whole line, `@ERROR` included.
    pub(crate) line: String,
    /// What only we know.
    pub(crate) cause: String,
}

/// A client that may have the module, but for the password.
pub(crate) struct Entry {
    pub(crate) module: Arc<Module>,
    /// The module as it was asked for; paths of the client begin with it.
    pub(crate) name: String,
    /// Who logged in; empty: nobody had to.
    pub(crate) user: Vec<u8>,
    generation: Option<Generation>,
    /// Held until the connection ends.
    _slot: Slot,
}

impl Entry {
    /// What the client has to prove, if anything.
    pub(crate) fn auth(&self) -> Option<&Auth> {
        self.module.auth.as_ref()
    }

    /// The module's timeout in seconds.
    pub(crate) fn timeout(&self) -> Option<u32> {
        self.module.timeout.map(|timeout: Duration| timeout.as_secs()).and_then(|seconds| u32::try_from(seconds).ok())
    }

    fn refused(&self, line: String, cause: impl fmt::Display) -> Refused {
        Refused { module: self.name.clone(), line, cause: cause.to_string() }
    }
}

/// Module, host and place.
pub(crate) async fn knock(shared: &Shared, address: IpAddr, name: &[u8]) -> Result<Entry, Refused> {
    let published = shared.published.borrow().clone();
    let asked = shown(name);
    let refused = |line: String, cause: &str| Refused { module: asked.clone(), line, cause: cause.to_owned() };
    let unknown = |cause| refused(format!("@ERROR: Unknown module '{asked}'"), cause);
    let (plain, generation) = match asked.split_once(GENERATION_MARK) {
        None => (asked.as_str(), None),
        Some((plain, number)) => match number.parse::<Generation>() {
            Ok(generation) => (plain, Some(generation)),
            Err(_) => return Err(unknown("what follows the @ is no generation")),
        },
    };
    let module = published.module(plain.as_bytes()).ok_or_else(|| unknown("there is no such module"))?.clone();
    let patience = published.limits.handshake;
    // From here on only the module counts: a client that waits for a name server keeps nothing else.
    drop(published);
    // Name servers that take longer than a client may take let nobody in.
    let admitted = timeout(patience, module.hosts.admit(address, &shared.names)).await;
    if !admitted.unwrap_or(false) {
        return Err(match module.visibility {
            ListingVisibility::Listed => refused(
                format!("@ERROR: access denied to {asked} from {address} ({address})"),
                "hosts_allow, hosts_deny",
            ),
            ListingVisibility::Hidden => unknown("hosts_allow, hosts_deny; the module is not listed"),
        });
    }
    let limit = module.max_connections;
    let slot = module.slots.take(limit).ok_or_else(|| {
        let line = format!("@ERROR: max connections ({}) reached -- try again later", limit.unwrap_or_default());
        refused(line, "max_connections of the module")
    })?;
    Ok(Entry { module, name: asked, user: Vec::new(), generation, _slot: slot })
}

/// The password.
pub(crate) fn login(entry: &mut Entry, login: &Login) -> Result<(), Refused> {
    // A module that asks nothing makes no challenge.
    let Some(auth) = entry.auth() else { return Ok(()) };
    let checked = auth.check(&login.user, |password| login.proves(password));
    entry.user.clone_from(&login.user);
    checked.map_err(|denial| {
        let cause = format!("{denial}; user {:?}, {}", shown(&login.user), login.digest().name());
        entry.refused(format!("@ERROR: auth failed on module {}", entry.name), cause)
    })
}

/// What the client is served: the newest generation, or the one that it named.
pub(crate) async fn current(shared: &Shared, entry: &Entry) -> Result<Arc<Current>, Refused> {
    let unknown = |cause: String| entry.refused(format!("@ERROR: Unknown module '{}'", entry.name), cause);
    let newest = match (&entry.module.current, entry.generation) {
        (Some(newest), None) => return Ok(newest.clone()),
        (Some(newest), Some(generation)) if newest.generation == generation => return Ok(newest.clone()),
        (Some(newest), Some(_)) => newest.clone(),
        (None, None) => {
            let line = format!("@ERROR: nothing is published in module {} yet -- try again later", entry.name);
            return Err(entry.refused(line, "the channel has no generation yet"));
        }
        (None, Some(_)) => return Err(unknown("the channel has no generation yet".to_owned())),
    };
    let generation = entry.generation.unwrap_or(newest.generation);
    let patience = shared.published.borrow().limits.handshake;
    shared.older.get(Wanted { newest, generation }, patience).await.map_err(|error| match error.is_for_now() {
        true => entry.refused(format!("@ERROR: {error} -- try again later"), &error),
        false => unknown(error.to_string()),
    })
}
