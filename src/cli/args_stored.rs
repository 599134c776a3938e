//! What can be typed about what is stored: export, scrub, backup, restore.

use std::path::PathBuf;

use clap::Args;

use crate::names::Address;
use crate::node::config::ByteSize;

/// `headwater export`.
#[derive(Args, Debug)]
#[command(after_help = "\
DIR becomes the generation as plain files, ready for a stock rsyncd or any
other server. It is built beside DIR (in .DIR.headwater, keep that) and takes
its place in one step, so whoever serves DIR shows a whole generation at every
moment. The next export into DIR writes only what is new and links the rest.
One that was cut is gone on with. Files belong to whoever runs the command.

Examples:
  headwater export /srv/gentoo --channel gentoo/full
  headwater export /srv/gentoo-41 --channel gentoo@41 --link-dest /srv/gentoo")]
pub(super) struct ExportArgs {
    /// A directory that is not there yet, is empty, or is an earlier export
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// REPOSITORY[/CHANNEL][@GENERATION]; without a generation the newest
    #[arg(long, short, value_name = "CHANNEL")]
    pub(super) channel: Address,
    /// Link files that are the same from this earlier export, too
    #[arg(long, value_name = "EXPORT")]
    pub(super) link_dest: Option<PathBuf>,
    /// Read files of earlier exports, also where size, time and mode are as they were written
    #[arg(long)]
    pub(super) checksum: bool,
    /// Leave out files that cannot be had, and name them, instead of refusing
    #[arg(long)]
    pub(super) allow_missing: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater scrub`.
#[derive(Args, Debug)]
#[command(after_help = "\
Everything is compared with its digests: contents, the lists of files of all
kept generations, and without --rate the structure of the database, too. What
is damaged is named by a path that shows it and set aside; the next import of
the same bytes mends it. The exit code is 3 if anything is damaged.

A node does the same in the background with `scrub.rate` in headwater.toml.

Example:
  headwater scrub --rate 20MiB")]
pub(super) struct ScrubArgs {
    /// Read at most so much a second, such as 20MiB
    #[arg(long, value_name = "SIZE")]
    pub(super) rate: Option<ByteSize>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater backup`.
#[derive(Args, Debug)]
#[command(after_help = "\
The whole data directory as it is at this moment, also while the node runs:
everything that is published, headwater.toml, topology.toml, and the gateway's
key. Who has the backup can publish in the gateway's name: keep it as safe as
the node itself. Large contents are links where DIR is on the same disk; the
next backup into DIR replaces it in one step, and on another disk links what
is in it already.

Example:
  headwater backup /backup/headwater")]
pub(super) struct BackupArgs {
    /// A directory that is not there yet, is empty, or is an earlier backup
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// Read large contents that are linked, too
    #[arg(long)]
    pub(super) checksum: bool,
    /// Leave out large contents that cannot be had, and name them, instead of refusing
    #[arg(long)]
    pub(super) allow_missing: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
The data directory (--dir) must be empty or not there; nothing is overwritten.
Every file is compared with its digest, heads with the gateway's key, and all
contents are read; damaged ones are set aside and named, and the exit code is 3.
Run by root, files are given to the owner of the directory.
Clients may have seen generations that the backup does not have: import the
tree afterwards, and they follow.

Example:
  headwater restore /backup/headwater --dir /var/lib/headwater")]
pub(super) struct RestoreArgs {
    /// What `headwater backup` has made
    #[arg(value_name = "DIR")]
    pub(super) backup: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
