//! Makes a federation of one node: keys, term 1, an empty store, and the two files that people edit.
//!
//! Nothing that exists is overwritten: a directory that holds a node, or a key file that is there, is
//! refused before anything is written.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::config::{Addresses, FILE};
use super::config_text::{TOPOLOGY_FILE, headwater_toml, topology_toml};
use super::error::{NodeError, file};
use super::whose::give_away;
use crate::identity::{DIRECTORY, Identity};
use crate::names::{FederationName, NodeName};
use crate::store::{Access, Store};
use crate::tree::FederationId;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct InitOrder {
    /// The data directory.
    pub dir: PathBuf,
    /// The node's name.
    pub node: NodeName,
    /// The federation's name, for people.
    pub federation: FederationName,
    /// Where the admin key is written.
    pub admin_key: PathBuf,
    /// Where rsync clients are served; `None`: the default.
    pub listen_rsync: Option<Addresses>,
    /// Seconds since 1970.
    pub now: i64,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct InitReport {
    /// The federation's identity.
    pub federation: FederationId,
    /// What the operator should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Said where a data directory was begun and not finished.
const CUT_SHORT: &str = "it exists, and is not overwritten; if an earlier init was cut short (there is no headwater.toml), \
    remove the data directory and the admin key, with which nothing was published, and try again";

/// Makes it.
pub fn init(order: &InitOrder) -> Result<InitReport, NodeError> {
    let config = order.dir.join(FILE);
    let topology = order.dir.join(TOPOLOGY_FILE);
    for path in [&config, &topology, &order.admin_key] {
        if path.exists() {
            let cut = !config.exists() && order.dir.exists();
            let text = if cut { CUT_SHORT } else { "it exists, and is not overwritten" };
            let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, text);
            return Err(NodeError::File { attempt: "make", path: path.clone(), source });
        }
    }
    let mut directory = fs::DirBuilder::new();
    directory.recursive(true).mode(0o750).create(&order.dir).map_err(file("make", &order.dir))?;
    let store = Store::open(&order.dir, Access::Create)?;
    let identity = Identity::create(&order.dir, &order.admin_key, &order.node, order.now)?;
    write_new(&topology, &topology_toml(&order.federation, &order.node))?;
    for made in [order.dir.join(DIRECTORY), topology] {
        give_away(&made, &order.dir)?;
    }
    // Last: a directory without it is no node, so an init that was cut can be told from a whole one.
    write_new(&config, &headwater_toml(&order.node, order.listen_rsync.as_ref()))?;
    give_away(&config, &order.dir)?;
    drop(store);
    Ok(InitReport { federation: identity.federation(), warnings: warnings(order) })
}

fn warnings(order: &InitOrder) -> Vec<String> {
    let absolute = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let inside = absolute(&order.admin_key).starts_with(absolute(&order.dir));
    let text = "the admin key lies inside the data directory: who can read one can read both. Move it away.";
    if inside { vec![text.to_owned()] } else { Vec::new() }
}

fn write_new(path: &Path, text: &str) -> Result<(), NodeError> {
    let mut options = fs::OpenOptions::new();
    let mut open = options.write(true).create_new(true).mode(0o644).open(path).map_err(file("make", path))?;
    open.write_all(text.as_bytes()).and_then(|()| open.sync_all()).map_err(file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(dir: &Path, key: &Path) -> InitOrder {
        InitOrder {
            dir: dir.to_owned(),
            node: "gw".parse().expect("a name"),
            federation: "home".parse().expect("a name"),
            admin_key: key.to_owned(),
            listen_rsync: None,
            now: 1_783_123_201,
        }
    }

    #[test]
    fn a_node_is_made_once_and_never_overwritten() {
        let place = tempfile::tempdir().expect("a directory");
        let (dir, key) = (place.path().join("d"), place.path().join("admin.key"));
        let report = init(&order(&dir, &key)).expect("an empty directory becomes a node");
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        let before = fs::read(&key).expect("a key");
        let again = init(&order(&dir, &place.path().join("other.key"))).expect_err("there is a node");
        assert!(again.to_string().contains(FILE), "{again}");
        let other = place.path().join("e");
        let taken = init(&order(&other, &key)).expect_err("there is a key");
        assert!(taken.to_string().contains("admin.key") && !other.exists(), "{taken}");
        assert_eq!(fs::read(&key).expect("a key"), before);
    }

    #[test]
    fn a_key_inside_the_data_directory_is_warned_about() {
        let place = tempfile::tempdir().expect("a directory");
        let dir = place.path().join("d");
        fs::create_dir(&dir).expect("a directory");
        let report = init(&order(&dir, &dir.join("admin.key"))).expect("a node");
        assert_eq!(report.warnings.len(), 1);
    }
}
