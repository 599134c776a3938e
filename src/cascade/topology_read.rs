//! From the text of a topology to its values, section by section.
//!
//! Reading goes on after a mistake. So that one mistake does not cause others elsewhere, a section's name counts for the
//! references to it even if the rest of the section is wrong; a [`Topology`] comes out only if there was no mistake.
//! Deliberately absent: rules between sections; they are in `topology_check.rs`.

use std::time::Duration;

use toml_edit::ImDocument;

use super::mistake::Mistake;
use super::module_read::read_module;
use super::toml_read::{Place, Placed, Reading, Section, Words};
use super::topology::{Channel, Module, Node, Repository, RepositoryKind, Role, Topology, Verify};
use super::topology_check::check;
use crate::names::{ChannelName, FederationName, ModuleName, NodeName, RepositoryName};
use crate::tree::{MAX_COMPONENT_BYTES, MAX_TOPOLOGY_BYTES};

/// Longest pause between two transfers from an upstream: a year.
const MAX_INTERVAL: Duration = Duration::from_secs(366 * 86_400);

/// What Gentoo keeps in the root of a tree that is no part of it.
pub(super) const LEFT_OUT_OF_TREES: [&str; 5] =
    [".tmp-unverified-download-quarantine", "distfiles", "local", "lost+found", "packages"];

/// Where version control systems keep their own, anywhere in a tree.
const VERSION_CONTROL: [&str; 7] = ["CVS", "RCS", "SCCS", ".bzr", ".git", ".hg", ".svn"];

/// What a file system keeps in its root.
pub(super) const LEFT_OUT_OF_FILES: [&str; 1] = ["lost+found"];

/// What was read of a text, with the places that the checks need.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) repositories: Vec<Repository>,
    pub(super) channels: Vec<Channel>,
    pub(super) modules: Vec<Module>,
    pub(super) nodes: Vec<PlacedNode>,
    /// How many `[[node]]` sections there are, also those that could not be read.
    pub(super) node_sections: usize,
    pub(super) names: Names,
    pub(super) references: Vec<Placed<Reference>>,
}

/// A node, and where its sections say what.
pub(super) struct PlacedNode {
    pub(super) node: Node,
    pub(super) role: Place,
    pub(super) parents: Place,
}

/// Said wherever a topology asks for what would be taken for granted and is not done.
const NOT_VERIFIED: &str =
    "this version of headwater does not verify signatures; leave it out, or write verify = \"off\"";

/// Every name that a section gives itself.
#[derive(Default)]
pub(super) struct Names {
    pub(super) repositories: Vec<Placed<RepositoryName>>,
    pub(super) channels: Vec<Placed<ChannelName>>,
    pub(super) modules: Vec<Placed<ModuleName>>,
    pub(super) nodes: Vec<Placed<NodeName>>,
}

/// A name that should be one of [`Names`].
pub(super) enum Reference {
    Repository(RepositoryName),
    Channel(ChannelName),
    Node(NodeName),
}

impl Topology {
    /// Reads a topology. Fails with all mistakes at once, sorted by place, at most
    /// [`MAX_MISTAKES`](super::MAX_MISTAKES). Filter rules and forms of log lines are taken as they are: who serves by
    /// them reads with [`Topology::parse_with`].
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        Self::parse_with(text, Words::UNJUDGED)
    }

    /// The same, with `words` to judge what is written in languages that this floor does not know.
    pub fn parse_with(text: &str, words: Words) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading::new(text, words);
        let nowhere = Place { at: 0, key: String::new() };
        if text.len() > MAX_TOPOLOGY_BYTES {
            reading.mistake(&nowhere, format!("a topology has at most {MAX_TOPOLOGY_BYTES} bytes"));
            return Err(reading.finish());
        }
        let document = match ImDocument::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let why = error.message().replace('\n', ", ");
                reading.mistake(&Place { at, ..nowhere }, format!("this is no TOML: {why}"));
                return Err(reading.finish());
            }
        };
        let root = Section::root(document.as_table());
        let federation = read_root(&mut reading, &root);
        let draft = read_sections(&mut reading, &root);
        check(&mut reading, &draft);
        let mistakes = reading.finish();
        match federation {
            Some(federation) if mistakes.is_empty() => Ok(draft.into_topology(federation)),
            _ => Err(mistakes),
        }
    }
}

impl Draft {
    fn into_topology(self, federation: FederationName) -> Topology {
        let Self { repositories, channels, modules, nodes, .. } = self;
        let nodes = nodes.into_iter().map(|placed| placed.node).collect();
        Topology { federation, repositories, channels, modules, nodes }
    }

    pub(super) fn refer(&mut self, name: &Placed<ChannelName>) {
        self.references.push(Placed { value: Reference::Channel(name.value.clone()), place: name.place.clone() });
    }

    pub(super) fn refer_to_nodes(&mut self, names: &[Placed<NodeName>]) {
        self.references.extend(
            names.iter().map(|name| Placed { value: Reference::Node(name.value.clone()), place: name.place.clone() }),
        );
    }
}

fn read_root(reading: &mut Reading<'_>, root: &Section<'_>) -> Option<FederationName> {
    root.allow(reading, &["federation", "repository", "channel", "module", "node"], &[]);
    root.require(reading, "federation", "\"example\"");
    root.word(reading, "federation").map(|name| name.value)
}

fn read_sections(reading: &mut Reading<'_>, root: &Section<'_>) -> Draft {
    let mut draft = Draft::default();
    for section in reading.sections(root, "repository") {
        let repository = read_repository(reading, &section, &mut draft);
        draft.repositories.extend(repository);
    }
    for section in reading.sections(root, "channel") {
        let channel = read_channel(reading, &section, &mut draft);
        draft.channels.extend(channel);
    }
    for section in reading.sections(root, "module") {
        let module = read_module(reading, &section, &mut draft);
        draft.modules.extend(module);
    }
    for section in reading.sections(root, "node") {
        draft.node_sections += 1;
        let node = read_node(reading, &section, &mut draft);
        draft.nodes.extend(node);
    }
    draft
}

fn read_repository(reading: &mut Reading<'_>, section: &Section<'_>, draft: &mut Draft) -> Option<Repository> {
    let keys = ["name", "kind", "upstreams", "keys", "verify", "min_interval", "leave_out", "leave_out_anywhere"];
    section.allow(reading, &keys, &[]);
    section.require(reading, "name", "\"gentoo\"");
    section.require(reading, "kind", "\"tree\"");
    let name: Option<Placed<RepositoryName>> = section.word(reading, "name");
    draft.names.repositories.extend(name.clone());
    let kind = read_kind(reading, section);
    let upstreams = section.words(reading, "upstreams").unwrap_or_default();
    let keys = section.text(reading, "keys");
    if let Some(keys) = &keys {
        reading.mistake(&keys.place, NOT_VERIFIED);
    }
    let keys = keys.map(|keys| keys.value.to_owned());
    let choices = [("required", Verify::Required), ("report", Verify::Report), ("off", Verify::Off)];
    let verify = section.choice(reading, "verify", &choices);
    if let Some(verify) = verify.as_ref().filter(|verify| verify.value != Verify::Off) {
        // What is written must not be taken for done.
        reading.mistake(&verify.place, NOT_VERIFIED);
    }
    let min_interval = section.duration(reading, "min_interval", MAX_INTERVAL);
    let at_root = read_leave_out(reading, section, "leave_out");
    let anywhere = read_leave_out(reading, section, "leave_out_anywhere");
    let kind = kind?;
    let (root_default, anywhere_default): (&[&str], &[&str]) = match kind {
        RepositoryKind::Tree => (&LEFT_OUT_OF_TREES, &VERSION_CONTROL),
        RepositoryKind::Files => (&LEFT_OUT_OF_FILES, &[]),
    };
    let or_default = |names: Option<Vec<String>>, default: &[&str]| {
        names.unwrap_or_else(|| default.iter().map(|&name| name.to_owned()).collect())
    };
    Some(Repository {
        name: name?.value,
        kind,
        upstreams: upstreams.into_iter().map(|upstream| upstream.value).collect(),
        keys,
        verify: verify.map_or(Verify::Off, |verify| verify.value),
        min_interval,
        leave_out: or_default(at_root, root_default),
        leave_out_anywhere: or_default(anywhere, anywhere_default),
    })
}

fn read_kind(reading: &mut Reading<'_>, section: &Section<'_>) -> Option<RepositoryKind> {
    let choices = [("tree", Some(RepositoryKind::Tree)), ("files", Some(RepositoryKind::Files)), ("distfiles", None)];
    let Placed { value, place } = section.choice(reading, "kind", &choices)?;
    if value.is_none() {
        reading.mistake(&place, "distfiles are not in this version of headwater; use tree or files");
    }
    value
}

fn read_leave_out(reading: &mut Reading<'_>, section: &Section<'_>, key: &'static str) -> Option<Vec<String>> {
    let names = section.texts(reading, key)?;
    let mut left_out = Vec::with_capacity(names.len());
    for Placed { value, place } in names {
        let component = value.len() <= MAX_COMPONENT_BYTES
            && !value.is_empty()
            && !value.contains('/')
            && !matches!(value, "." | "..");
        if !component {
            reading.mistake(&place, format!("{value:?} is no name; write it without a slash"));
        }
        left_out.push(value.to_owned());
    }
    Some(left_out)
}

fn read_channel(reading: &mut Reading<'_>, section: &Section<'_>, draft: &mut Draft) -> Option<Channel> {
    section.allow(reading, &["name"], &[]);
    section.require(reading, "name", "\"gentoo/full\"");
    let Placed { value, place }: Placed<ChannelName> = section.word(reading, "name")?;
    let reference = Reference::Repository(value.repository().clone());
    draft.references.push(Placed { value: reference, place: place.clone() });
    draft.names.channels.push(Placed { value: value.clone(), place });
    Some(Channel { name: value })
}

fn read_node(reading: &mut Reading<'_>, section: &Section<'_>, draft: &mut Draft) -> Option<PlacedNode> {
    section.allow(reading, &["name", "site", "role", "parents", "control", "rsync", "carries"], &[]);
    section.require(reading, "name", "\"gw\"");
    section.require(reading, "site", "\"berlin\"");
    section.require(reading, "role", "\"gateway\"");
    let name: Option<Placed<NodeName>> = section.word(reading, "name");
    draft.names.nodes.extend(name.clone());
    let site = section.word(reading, "site");
    let roles = [Role::Gateway, Role::Secondary, Role::Tertiary].map(|role| (role.as_str(), role));
    let role = section.choice(reading, "role", &roles);
    let parents: Vec<Placed<NodeName>> = section.words(reading, "parents").unwrap_or_default();
    draft.refer_to_nodes(&parents);
    let control = section.word(reading, "control").map(|endpoint| endpoint.value);
    let rsync = section.word(reading, "rsync").map(|endpoint| endpoint.value);
    let carries = match section.words::<ChannelName>(reading, "carries") {
        Some(channels) => {
            channels.iter().for_each(|channel| draft.refer(channel));
            channels.into_iter().map(|channel| channel.value).collect()
        }
        None => draft.channels.iter().map(|channel| channel.name.clone()).collect(),
    };
    let (role, site) = (role?, site?.value);
    let parents_place = parents.first().map_or_else(|| role.place.clone(), |parent| parent.place.clone());
    let node = Node {
        name: name?.value,
        site,
        role: role.value,
        parents: parents.into_iter().map(|parent| parent.value).collect(),
        control,
        rsync,
        carries,
    };
    Some(PlacedNode { node, role: role.place, parents: parents_place })
}
