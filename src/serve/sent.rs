//! From files that were sent to lines of the transfer log.
//!
//! What a line tells of a file stands in the snapshot, what it tells of the client in its connection; here both come
//! together, and only where a log is kept. Names are those inside the module, as rsyncd logs them.

use std::net::SocketAddr;

use super::admission::Entry;
use super::module_log::TransferLine;
use super::sending::{Job, Sent};
use crate::tree::Kind;

/// What a connection is served, and to whom.
pub(crate) struct Served {
    pub(crate) entry: Entry,
    /// Whether clients check files by the sums that are stored.
    pub(crate) stored_sums: bool,
    /// Whether they take over times.
    pub(crate) keeps_times: bool,
}

/// The lines of what one batch has sent.
pub(crate) fn transfer_lines(
    connection: u64,
    client: SocketAddr,
    job: &Job,
    served: &Served,
    sent: Vec<Sent>,
) -> impl Iterator<Item = TransferLine> {
    let Served { entry: visit, stored_sums, keeps_times } = served;
    sent.into_iter().filter_map(move |sent| {
        let entry = job.current.located.snapshot().entry(sent.entry)?;
        let Kind::File { mode, size, .. } = entry.kind else { return None };
        let module = &visit.module;
        Some(TransferLine {
            connection,
            client,
            user: visit.user.clone(),
            module: visit.name.clone(),
            root: module.path.clone(),
            path: inside(&module.path, entry.path.as_bytes()).to_vec(),
            size,
            wire_bytes: sent.wire_bytes,
            sum_bytes: sent.basis.sum_bytes,
            mode: mode.bits(),
            mtime: entry.mtime.seconds(),
            uid: module.ownership.uid,
            gid: module.ownership.gid,
            checksum: stored_sums.then_some(sent.xxh128),
            item_flags: sent.basis.item_flags,
            keeps_times: *keeps_times,
            format: module.log_format.clone(),
        })
    })
}

/// A path below `root`, without it.
fn inside<'a>(root: &[u8], path: &'a [u8]) -> &'a [u8] {
    match root {
        b"" => path,
        root => path.get(root.len() + 1..).unwrap_or_default(),
    }
}
