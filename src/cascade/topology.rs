//! The topology as values: what is mirrored, under which names it is served, and by whom.
//!
//! All fields are plain and complete: what the text leaves out has its default, what it names exists. A topology is made
//! from a text only, since the text (comments and all) is what an admin keeps and what the federation signs.
//! Deliberately absent: writing TOML, and anything that only one node knows (listen addresses, limits).

use std::time::Duration;

use crate::names::{ChannelName, FederationName, ModuleName, NodeName, RepositoryName, SiteName};
use crate::tree::TreePathBuf;

use super::module_values::{AuthUser, FilterRule, HostPattern, LoginDigest, Ownership};
use super::values::{Endpoint, Upstream};

/// Who, where, what. See [`Topology::parse`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    /// A name for people; the identity is the admin key.
    pub federation: FederationName,
    /// What is mirrored, in the order of the text, as all lists here.
    pub repositories: Vec<Repository>,
    /// The streams of snapshots.
    pub channels: Vec<Channel>,
    /// What rsync clients see.
    pub modules: Vec<Module>,
    /// The nodes; exactly one is the gateway.
    pub nodes: Vec<Node>,
}

impl Topology {
    /// The repository of this name.
    pub fn repository(&self, name: &RepositoryName) -> Option<&Repository> {
        self.repositories.iter().find(|repository| &repository.name == name)
    }

    /// The channels of a repository.
    pub fn channels_of(&self, repository: &RepositoryName) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |channel| channel.name.repository() == repository)
    }

    /// The node of this name.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| &node.name == name)
    }

    /// The one node that publishes.
    pub fn gateway(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.role == Role::Gateway)
    }

    /// The modules that a node serves: those that name it, or all nodes, and whose channel it carries.
    pub fn modules_on(&self, node: &Node) -> impl Iterator<Item = &Module> {
        self.modules.iter().filter(move |module| {
            let named = match &module.nodes {
                Nodes::All => true,
                Nodes::Only(names) => names.contains(&node.name),
            };
            named && node.carries.contains(&module.channel)
        })
    }
}

/// A thing that is mirrored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repository {
    /// Its name.
    pub name: RepositoryName,
    /// What kind of thing it is.
    pub kind: RepositoryKind,
    /// Where the gateway takes it from, in order of preference. May be empty: then it is only imported.
    pub upstreams: Vec<Upstream>,
    /// The file with the OpenPGP keys that may sign it, as written.
    pub keys: Option<String>,
    /// How strict its Manifests are taken; off if not written, and this version refuses anything else.
    pub verify: Verify,
    /// The least time between two transfers from a public upstream; none if not written.
    pub min_interval: Option<Duration>,
    /// Names in its root that an import leaves out. If not written: what Gentoo keeps there that is no part of the
    /// tree (`distfiles`, `local`, `lost+found`, `packages`, Portage's quarantine), and for files `lost+found`.
    pub leave_out: Vec<String>,
    /// Names of directories that an import leaves out wherever they are. If not written: those of version control
    /// systems in a tree, and none in files.
    pub leave_out_anywhere: Vec<String>,
}

/// What a repository is.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum RepositoryKind {
    /// An ebuild repository.
    Tree,
    /// Any other directory.
    Files,
}

/// What happens with a snapshot whose signature or digests do not hold.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Verify {
    /// It is not published.
    Required,
    /// It is published, and the report says what is wrong.
    Report,
    /// Nobody looks.
    Off,
}

/// A stream of snapshots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// Its name; the repository in it exists.
    pub name: ChannelName,
}

/// A name under which rsync clients see a channel, or a directory of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Module {
    /// Its name.
    pub name: ModuleName,
    /// What it shows; exists.
    pub channel: ChannelName,
    /// The directory inside the channel that is the module's root.
    pub path: TreePathBuf,
    /// What the module list says of it; one line, may be empty.
    pub comment: String,
    /// Whether the module list shows it.
    pub list: bool,
    /// Who may use it. A host name stands here only if `lookup = true` was written.
    pub hosts_allow: Vec<HostPattern>,
    /// Who may not.
    pub hosts_deny: Vec<HostPattern>,
    /// Who has to log in, in order: the first that matches decides. Empty: nobody has to.
    pub auth_users: Vec<AuthUser>,
    /// The weakest digest that a login is taken with; none for any that the protocol has.
    pub auth_digest: Option<LoginDigest>,
    /// What the module hides, in the order in which it is asked.
    pub filters: Vec<FilterRule>,
    /// Whose its entries are said to be.
    pub ownership: Ownership,
    /// Most connections at once; none for no limit of its own.
    pub max_connections: Option<u32>,
    /// Bytes a second that one connection gets at most.
    pub bwlimit: Option<u64>,
    /// Bytes a second that all its connections get together at most.
    pub bwlimit_total: Option<u64>,
    /// Ends a silent connection; none if the client decides.
    pub timeout: Option<Duration>,
    /// A text for whoever chose this module; may have several lines, may be empty.
    pub motd: String,
    /// Whether its transfers go into the node's transfer log, if there is one.
    pub transfer_log: bool,
    /// The form of its lines there; none for the node's own.
    pub log_format: Option<String>,
    /// Which nodes serve it.
    pub nodes: Nodes,
}

/// A choice of nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Nodes {
    /// `["*"]`, or not written.
    All,
    /// These; they exist.
    Only(Vec<NodeName>),
}

/// One headwater process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// Where it is, in words of people.
    pub site: SiteName,
    /// What it does.
    pub role: Role,
    /// Whom it fetches from, in order of preference; they exist. Empty for the gateway only.
    pub parents: Vec<NodeName>,
    /// How other nodes reach its control port.
    pub control: Option<Endpoint>,
    /// How clients and other nodes reach its rsync port.
    pub rsync: Option<Endpoint>,
    /// The channels that it keeps; they exist. If not written: all.
    pub carries: Vec<ChannelName>,
}

/// What a node does.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Talks to upstreams and publishes.
    Gateway,
    /// Fetches from the gateway.
    Secondary,
    /// Fetches from a secondary, or from another tertiary.
    Tertiary,
}

impl Role {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Secondary => "secondary",
            Self::Tertiary => "tertiary",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
