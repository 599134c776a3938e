//! The border between protobuf and our own values: how a node is, and its channels.
//!
//! Outward is [`From`] and never fails; inward is [`TryFrom`], checks every bound and names the field that is wrong.

use std::net::SocketAddr;
use std::str::FromStr;

use super::bounds::{
    MOST_LINES, MOST_WARNINGS, ValueError, cut, list, outside, part, send, snapshot, text, texts, time, word,
};
use super::model::{
    ChannelStatus, Disk, Door, ListedChannel, Listener, ModuleLine, Newest, Role, StatusReport, Traffic,
};
use super::proto as wire;
use crate::names::Generation;

impl From<&StatusReport> for wire::StatusReply {
    fn from(report: &StatusReport) -> Self {
        wire::StatusReply {
            node: report.node.to_string(),
            federation: report.federation.to_string(),
            role: wire::Role::from(report.role).into(),
            version: cut(&report.version),
            started: report.started,
            now: report.now,
            channels: send(&report.channels, MOST_LINES, Into::into),
            modules: send(&report.modules, MOST_LINES, Into::into),
            listeners: send(&report.listeners, MOST_LINES, Into::into),
            traffic: Some(wire::Traffic {
                connections_now: report.traffic.connections_now,
                connections_total: report.traffic.connections_total,
                bytes_served: report.traffic.bytes_served,
                clients_refused: report.traffic.clients_refused,
            }),
            disk: Some(wire::Disk { free: report.disk.free, total: report.disk.total, data: report.disk.data }),
            kept: send(&report.kept, MOST_LINES, Into::into),
            scrub: report.scrub.map(Into::into),
            warnings: texts(&report.warnings),
        }
    }
}

impl TryFrom<wire::StatusReply> for StatusReport {
    type Error = ValueError;

    fn try_from(reply: wire::StatusReply) -> Result<Self, ValueError> {
        let traffic = part("traffic", reply.traffic)?;
        let disk = part("disk", reply.disk)?;
        Ok(StatusReport {
            node: word("node", &reply.node)?,
            federation: word("federation", &reply.federation)?,
            role: role(reply.role)?,
            version: text("version", reply.version)?,
            started: reply.started.map(|seconds| time("started", seconds)).transpose()?,
            now: time("now", reply.now)?,
            channels: list("channels", reply.channels, MOST_LINES, TryInto::try_into)?,
            modules: list("modules", reply.modules, MOST_LINES, TryInto::try_into)?,
            listeners: list("listeners", reply.listeners, MOST_LINES, TryInto::try_into)?,
            traffic: Traffic {
                connections_now: traffic.connections_now,
                connections_total: traffic.connections_total,
                bytes_served: traffic.bytes_served,
                clients_refused: traffic.clients_refused,
            },
            disk: Disk { free: disk.free, total: disk.total, data: disk.data },
            kept: list("kept generations", reply.kept, MOST_LINES, TryInto::try_into)?,
            scrub: reply.scrub.map(TryInto::try_into).transpose()?,
            warnings: list("warnings", reply.warnings, MOST_WARNINGS, |value| text("warning", value))?,
        })
    }
}

impl From<Role> for wire::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Gateway => wire::Role::Gateway,
            Role::Secondary => wire::Role::Secondary,
            Role::Tertiary => wire::Role::Tertiary,
        }
    }
}

fn role(value: i32) -> Result<Role, ValueError> {
    match wire::Role::try_from(value) {
        Ok(wire::Role::Gateway) => Ok(Role::Gateway),
        Ok(wire::Role::Secondary) => Ok(Role::Secondary),
        Ok(wire::Role::Tertiary) => Ok(Role::Tertiary),
        Ok(wire::Role::Unspecified) | Err(_) => Err(outside("role", value)),
    }
}

impl From<&ChannelStatus> for wire::ChannelStatus {
    fn from(status: &ChannelStatus) -> Self {
        let name = status.name.to_string();
        match &status.newest {
            None => wire::ChannelStatus { name, ..Default::default() },
            Some(newest) => wire::ChannelStatus {
                name,
                generation: newest.generation.get(),
                snapshot: newest.snapshot.as_bytes().to_vec().into(),
                entries: newest.entries,
                bytes: newest.bytes,
                published: newest.published,
            },
        }
    }
}

impl TryFrom<wire::ChannelStatus> for ChannelStatus {
    type Error = ValueError;

    fn try_from(status: wire::ChannelStatus) -> Result<Self, ValueError> {
        let name = word("channel", &status.name)?;
        let Some(generation) = Generation::new(status.generation) else {
            return Ok(ChannelStatus { name, newest: None });
        };
        let newest = Newest {
            generation,
            snapshot: snapshot("snapshot", &status.snapshot)?,
            entries: status.entries,
            bytes: status.bytes,
            published: time("published", status.published)?,
        };
        let newest = Some(newest);
        Ok(ChannelStatus { name, newest })
    }
}

impl From<&ModuleLine> for wire::Module {
    fn from(module: &ModuleLine) -> Self {
        wire::Module {
            name: module.name.to_string(),
            channel: module.channel.to_string(),
            comment: cut(&module.comment),
        }
    }
}

impl TryFrom<wire::Module> for ModuleLine {
    type Error = ValueError;

    fn try_from(module: wire::Module) -> Result<Self, ValueError> {
        Ok(ModuleLine {
            name: word("module", &module.name)?,
            channel: word("channel of a module", &module.channel)?,
            comment: text("comment of a module", module.comment)?,
        })
    }
}

impl From<&Listener> for wire::Listener {
    fn from(listener: &Listener) -> Self {
        let door = match listener.door {
            Door::Rsync => wire::Door::Rsync,
            Door::Control => wire::Door::Control,
            Door::Http => wire::Door::Http,
        };
        wire::Listener { door: door.into(), address: listener.address.to_string() }
    }
}

impl TryFrom<wire::Listener> for Listener {
    type Error = ValueError;

    fn try_from(listener: wire::Listener) -> Result<Self, ValueError> {
        let door = match wire::Door::try_from(listener.door) {
            Ok(wire::Door::Rsync) => Door::Rsync,
            Ok(wire::Door::Control) => Door::Control,
            Ok(wire::Door::Http) => Door::Http,
            Ok(wire::Door::Unspecified) | Err(_) => return Err(outside("door", listener.door)),
        };
        let address = text("address", listener.address)?;
        let address = SocketAddr::from_str(&address).map_err(|_| outside("address", address))?;
        Ok(Listener { door, address })
    }
}

impl From<&ListedChannel> for wire::Channel {
    fn from(channel: &ListedChannel) -> Self {
        wire::Channel {
            newest: Some((&channel.status).into()),
            generations_kept: channel.generations_kept,
            modules: send(&channel.modules, MOST_LINES, ToString::to_string),
            by_hand: send(&channel.by_hand, MOST_LINES, Into::into),
        }
    }
}

impl TryFrom<wire::Channel> for ListedChannel {
    type Error = ValueError;

    fn try_from(channel: wire::Channel) -> Result<Self, ValueError> {
        Ok(ListedChannel {
            status: part("newest generation of a channel", channel.newest)?.try_into()?,
            generations_kept: channel.generations_kept,
            modules: list("modules", channel.modules, MOST_LINES, |name| word("module", &name))?,
            by_hand: list("kept generations", channel.by_hand, MOST_LINES, TryInto::try_into)?,
        })
    }
}

/// The channels of a `ListChannels` answer.
pub(super) fn channels(reply: wire::ListChannelsReply) -> Result<Vec<ListedChannel>, ValueError> {
    list("channels", reply.channels, MOST_LINES, TryInto::try_into)
}

/// The `ListChannels` answer.
pub(super) fn channels_reply(channels: &[ListedChannel]) -> wire::ListChannelsReply {
    wire::ListChannelsReply { channels: send(channels, MOST_LINES, Into::into) }
}

#[cfg(test)]
mod tests {
    use super::super::model_work::{KeptByHand, KeptGeneration, LastScrub};
    use super::*;
    use crate::tree::SnapshotId;

    fn kept() -> KeptGeneration {
        KeptGeneration {
            channel: "gentoo/full".parse().unwrap(),
            generation: Generation::FIRST,
            by_hand: KeptByHand { name: Some("before".parse().unwrap()), since: 9 },
        }
    }

    fn newest() -> Newest {
        Newest {
            generation: Generation::FIRST,
            snapshot: SnapshotId::from_bytes([7; 64]),
            entries: 5,
            bytes: 6,
            published: 1_783_123_201,
        }
    }

    fn report() -> StatusReport {
        StatusReport {
            node: "gw".parse().unwrap(),
            federation: "example".parse().unwrap(),
            role: Role::Tertiary,
            version: "0.1.0".into(),
            started: Some(1),
            now: 2,
            channels: vec![
                ChannelStatus { name: "gentoo/full".parse().unwrap(), newest: Some(newest()) },
                ChannelStatus { name: "gentoo/new".parse().unwrap(), newest: None },
            ],
            modules: vec![ModuleLine {
                name: "gentoo-portage".parse().unwrap(),
                channel: "gentoo/full".parse().unwrap(),
                comment: "a tree".into(),
            }],
            listeners: vec![Listener { door: Door::Http, address: "[::1]:8080".parse().unwrap() }],
            traffic: Traffic { connections_now: 1, connections_total: 2, bytes_served: 3, clients_refused: 4 },
            disk: Disk { free: 1, total: 2, data: 3 },
            kept: vec![kept()],
            scrub: Some(LastScrub { ended: 1, contents: 2, bytes: 3, bad: 4 }),
            warnings: vec!["w".into()],
        }
    }

    #[test]
    fn a_status_survives_the_way_there_and_back() {
        let sent = report();
        let received = StatusReport::try_from(wire::StatusReply::from(&sent)).unwrap();
        assert_eq!(received, sent);
    }

    #[test]
    fn a_list_of_channels_survives_the_way_there_and_back() {
        let sent = [ListedChannel {
            status: ChannelStatus { name: "gentoo/full".parse().unwrap(), newest: Some(newest()) },
            generations_kept: 3,
            modules: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            by_hand: vec![kept()],
        }];
        assert_eq!(channels(channels_reply(&sent)).unwrap(), sent);
    }

    #[test]
    fn what_is_out_of_bounds_is_cut_where_it_is_sent() {
        let sent = StatusReport { warnings: vec!["é".repeat(2_000); 1_000], ..report() };
        let received = StatusReport::try_from(wire::StatusReply::from(&sent)).unwrap();
        assert_eq!(received.warnings.len(), MOST_WARNINGS);
        assert_eq!(received.warnings[0], "é".repeat(1_000));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_where_it_arrives() {
        let check = |damage: fn(&mut wire::StatusReply), expected: &str| {
            let mut reply = wire::StatusReply::from(&report());
            damage(&mut reply);
            assert_eq!(StatusReport::try_from(reply).unwrap_err().to_string(), expected);
        };
        check(|reply| reply.node = "../gw".into(), "node");
        check(|reply| reply.role = 0, "role is 0, which it cannot be");
        check(|reply| reply.role = 9, "role is 9, which it cannot be");
        check(|reply| reply.now = -1, "now is -1, which it cannot be");
        check(|reply| reply.started = Some(i64::MAX), "started is 9223372036854775807, which it cannot be");
        check(|reply| reply.version = "1".repeat(2_001), "version is 2001 bytes long, at most 2000 are taken");
        check(|reply| reply.disk = None, "disk is missing");
        check(|reply| reply.traffic = None, "traffic is missing");
        check(|reply| reply.channels[0].name = "gentoo".into(), "channel");
        check(|reply| reply.channels[0].snapshot.truncate(63), "snapshot is 63 bytes long, which it cannot be");
        check(
            |reply| reply.modules = vec![reply.modules[0].clone(); 1_025],
            "modules holds 1025 values, at most 1024 are taken",
        );
        check(|reply| reply.listeners[0].address = "here".into(), "address is here, which it cannot be");
        check(|reply| reply.listeners[0].door = 0, "door is 0, which it cannot be");
        check(|reply| reply.warnings = vec![String::new(); 101], "warnings holds 101 values, at most 100 are taken");
    }
}
