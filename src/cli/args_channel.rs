//! What can be typed after `headwater channel`, and the sweep: generations are listed, compared, kept and freed.
//!
//! An order that changes something names its generation, so that what is meant cannot change while one types.

use clap::{Args, Subcommand};

use crate::names::{Address, ChannelName, KeepName, NameError};

/// `headwater channel`.
#[derive(Subcommand, Debug)]
pub(super) enum ChannelCommand {
    /// List the channels and what they serve now
    List(ChannelListArgs),
    /// List the generations of a channel that are kept, newest first
    Log(ChannelLogArgs),
    /// Show what changed between two generations
    Diff(ChannelDiffArgs),
    /// Publish the content of an older generation again
    Rollback(ChannelRollbackArgs),
    /// Keep a generation, whatever its number and age
    Keep(ChannelKeepArgs),
    /// Leave a kept generation to its number and age again
    Release(ChannelReleaseArgs),
    /// Free all that a channel keeps which is not in the topology any more
    Forget(ChannelForgetArgs),
}

/// `headwater channel list`.
#[derive(Args, Debug)]
pub(super) struct ChannelListArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater channel log`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  headwater channel log
  headwater channel log gentoo/full -n 5")]
pub(super) struct ChannelLogArgs {
    /// REPOSITORY[/CHANNEL][@GENERATION]; may be left out where there is one channel
    #[arg(value_name = "CHANNEL")]
    pub(super) address: Option<Address>,
    /// At most so many generations
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) most: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// An address with its generation.
fn numbered(text: &str) -> Result<Address, String> {
    let address: Address = text.parse().map_err(|error: NameError| error.to_string())?;
    match address.generation {
        Some(_) => Ok(address),
        None => Err(format!("name the generation, as in {address}@7; `headwater channel log` lists them")),
    }
}

/// `headwater channel diff`.
#[derive(Args, Debug)]
#[command(after_help = "\
A tree's changes are shown by package: + an ebuild that came, - one that went,
~ one that is different; then all other files, counted by directory. An
address without @GENERATION means the newest.

Examples:
  headwater channel diff gentoo@41 gentoo@42
  headwater channel diff gentoo@41 gentoo     from 41 to what is served now")]
pub(super) struct ChannelDiffArgs {
    /// The generation to start from: REPOSITORY[/CHANNEL][@GENERATION]
    #[arg(value_name = "OLD")]
    pub(super) old: Address,
    /// The generation to come to
    #[arg(value_name = "NEW")]
    pub(super) new: Address,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater channel rollback`.
#[derive(Args, Debug)]
#[command(after_help = "\
Clients never go back, so the old content becomes a new generation, and a
tree's metadata/timestamp.chk is made anew: every client follows at its next
sync, also those that have the generation that is taken back.

Example:
  headwater channel rollback gentoo@41")]
pub(super) struct ChannelRollbackArgs {
    /// Whose content is wanted: REPOSITORY[/CHANNEL]@GENERATION
    #[arg(value_name = "GENERATION", value_parser = numbered)]
    pub(super) address: Address,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater channel keep`.
#[derive(Args, Debug)]
#[command(after_help = "\
`keep.generations`, `keep.hours` and `keep.most` decide which generations stay;
one that is kept by hand stays beside those until it is released.

Example:
  headwater channel keep gentoo@41 --as before-python-3.13")]
pub(super) struct ChannelKeepArgs {
    /// Which one: REPOSITORY[/CHANNEL]@GENERATION
    #[arg(value_name = "GENERATION", value_parser = numbered)]
    pub(super) address: Address,
    /// A name that says what for
    #[arg(long = "as", value_name = "NAME")]
    pub(super) name: Option<KeepName>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater channel release`.
#[derive(Args, Debug)]
#[command(after_help = "\
Nothing is freed at once: the sweep after the next publication sees whether
the generation is still among those that stay. `headwater sweep` does it now.

Example:
  headwater channel release gentoo@41")]
pub(super) struct ChannelReleaseArgs {
    /// Which one: REPOSITORY[/CHANNEL]@GENERATION
    #[arg(value_name = "GENERATION", value_parser = numbered)]
    pub(super) address: Address,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater channel forget`.
#[derive(Args, Debug)]
#[command(after_help = "\
A channel that is taken out of topology.toml is not served any more, and keeps
what it had: put back, it is served again. This gives it up, with all its
generations, also those that are kept by hand. `headwater status` names such
channels.

Examples:
  headwater channel forget old/full --dry-run
  headwater channel forget old/full")]
pub(super) struct ChannelForgetArgs {
    /// Which one: REPOSITORY/CHANNEL
    #[arg(value_name = "CHANNEL")]
    pub(super) channel: ChannelName,
    /// Only say what would be freed
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater sweep`.
#[derive(Args, Debug)]
#[command(after_help = "\
A sweep follows every publication by itself. By hand it is of use after a
release, or when `keep.generations` was lowered. What a client or a command
reads at this moment stays until the next one.

Examples:
  headwater sweep --dry-run
  headwater sweep")]
pub(super) struct SweepArgs {
    /// Only say what would be freed
    #[arg(long, short = 'n')]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
