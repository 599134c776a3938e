//! What can be typed: commands, options and the help texts.
//!
//! The short help fits on a screen and shows what to type first; `--help` adds what is rarely asked: the exit codes and the
//! environment. Values that are names are checked here, so a command starts with types that are right.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::args_channel::{ChannelCommand, SweepArgs};
use super::args_stored::{BackupArgs, ExportArgs, RestoreArgs, ScrubArgs};
use crate::names::{FederationName, NodeName, RepositoryName};
use crate::node::config::Addresses;

/// Where a node keeps its data, unless told otherwise.
pub(super) const DEFAULT_DIR: &str = "/var/lib/headwater";

const EXAMPLES: &str = "\
Examples:
  headwater demo                      a sample tree, published and served
  headwater init                      a federation of one node, in --dir
  headwater run                       serve
  headwater import /var/db/repos/gentoo --repository gentoo
                                      publish a directory as the next generation
  headwater status --watch            watch it
  rsync -a rsync://localhost/gentoo-portage/ tree/
                                      what any client may now do

`headwater help COMMAND` explains a command, `headwater --help` the exit codes.";

const EXIT_CODES: &str = "\
Exit codes:
  0  done; also when there was nothing to do
  1  refused: a name, a configuration or an order that cannot be obeyed
  2  the command line cannot be read
  3  this machine failed: disk, memory, permissions, a damaged store
  4  the running node, or another one, did not answer as agreed
  5  an upstream failed
  6  a client failed, in `demo --check`

Environment:
  HEADWATER_DIR        stands for --dir
  HEADWATER_...        a key of headwater.toml with _ for the dot, such as
                       HEADWATER_LISTEN_RSYNC for listen.rsync

For packagers: `headwater completions SHELL` and `headwater man DIR`.
For developers: `headwater sample` writes a made-up ebuild repository.";

/// The whole command line.
#[derive(Parser, Debug)]
#[command(
    name = "headwater",
    version,
    about = "headwater feeds a Gentoo fleet through one door: immutable snapshots of the tree, for stock rsync clients.",
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    max_term_width = 110,
    disable_help_subcommand = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(super) struct Arguments {
    /// The node's data directory [default: /var/lib/headwater]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,

    /// Log more, to standard error; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands, in the order in which one meets them.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Publish and serve a sample tree, and print what to paste
    Demo(DemoArgs),
    /// Make a federation of one node: keys and two commented files
    Init(InitArgs),
    /// Serve, until SIGTERM or Ctrl-C
    Run(RunArgs),
    /// Publish a directory as the next generation of a repository
    Import(ImportArgs),
    /// Show, compare, keep and roll back the generations of a channel
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Free what no kept generation needs
    Sweep(SweepArgs),
    /// Write a generation as plain files, for another server
    Export(ExportArgs),
    /// Read everything that is stored again, and name what is damaged
    Scrub(ScrubArgs),
    /// Copy the whole data directory, also while the node runs
    Backup(BackupArgs),
    /// Make a data directory from a backup
    Restore(RestoreArgs),
    /// Show how the node is
    Status(StatusArgs),
    /// Have the running node take in a changed configuration
    Reload(ReloadArgs),
    /// Check a configuration, or take over the one of rsyncd
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what a shell needs to complete commands
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write the man pages
    #[command(hide = true)]
    Man(ManArgs),
    /// Write a made-up ebuild repository
    #[command(hide = true)]
    Sample(SampleArgs),
}

/// `headwater demo`.
#[derive(Args, Debug)]
#[command(after_help = "\
Everything is made from nothing: no network, no root, no tree of yours. The
demo listens on a free port of 127.0.0.1 and stays up until Ctrl-C; without
--dir its directory goes away with it.

Examples:
  headwater demo
  headwater demo --check              run stock clients against it, and exit")]
pub(super) struct DemoArgs {
    /// Run stock clients against it and exit
    #[arg(long)]
    pub(super) check: bool,
    /// How many packages the sample tree has
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(super) packages: u32,
}

/// `headwater init`.
#[derive(Args, Debug)]
#[command(after_help = "\
The admin key says which node is the gateway. Nothing but a change of gateway
needs it, so keep it away from the node: on a stick in a drawer, for instance.

Example:
  headwater init --node gw --federation alps --admin-key /media/stick/admin.key")]
pub(super) struct InitArgs {
    /// The name of this node
    #[arg(long, value_name = "NAME", default_value = "gw")]
    pub(super) node: NodeName,
    /// The name of the federation, for people
    #[arg(long, value_name = "NAME", default_value = "home")]
    pub(super) federation: FederationName,
    /// Where the admin key is written; the file must not exist
    #[arg(long, value_name = "FILE", default_value = "headwater-admin.key")]
    pub(super) admin_key: PathBuf,
    /// Where rsync clients are served, written to headwater.toml [default there: port 873 of every address]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen_rsync: Option<Addresses>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater run`.
#[derive(Args, Debug)]
#[command(after_help = "\
What is not given here comes from the environment, then from headwater.toml,
then from the defaults. SIGTERM and Ctrl-C end the node when its clients are
done, or after `drain`; a second one ends it at once. SIGHUP, or `headwater
reload`, takes a changed headwater.toml and topology.toml in.

Example:
  headwater run --listen-rsync 127.0.0.1:1873 --listen-rsync '[::1]:1873'")]
pub(super) struct RunArgs {
    /// Serve rsync clients there: IP[:PORT], or off; can be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen_rsync: Vec<String>,
    /// Let other nodes in there: off in this version
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub(super) listen_control: Vec<String>,
    /// Serve HTTP clients there: off in this version
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    pub(super) listen_http: Vec<String>,
    /// How log lines look: text or json
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<String>,
    /// What is logged, such as info or info,headwater::serve=debug
    #[arg(long, value_name = "FILTER")]
    pub(super) log_filter: Option<String>,
}

/// `headwater import`.
#[derive(Args, Debug)]
#[command(after_help = "\
The first import publishes generation 1; a later one publishes the next
generation if anything changed. Files whose size and time did not change are
not read again. Clients that are connected finish with the generation that
they began with.

Example:
  headwater import /var/db/repos/gentoo --repository gentoo")]
pub(super) struct ImportArgs {
    /// The directory to publish
    #[arg(value_name = "DIR")]
    pub(super) source: PathBuf,
    /// The repository that it is an edition of, as the topology names it
    #[arg(long, short, value_name = "NAME")]
    pub(super) repository: RepositoryName,
    /// Read every file, also where size and time did not change
    #[arg(long)]
    pub(super) checksum: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Where no node runs, the status comes from the data directory itself.

Examples:
  headwater status
  headwater status --watch            again every two seconds, until Ctrl-C
  headwater status --json             for scripts; with --watch a line each time")]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Show it again every two seconds
    #[arg(long, short)]
    pub(super) watch: bool,
}

/// `headwater reload`.
#[derive(Args, Debug)]
pub(super) struct ReloadArgs {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater config`.
#[derive(Subcommand, Debug)]
pub(super) enum ConfigCommand {
    /// Read all that a start reads, and name every mistake at once
    Check(ConfigCheckArgs),
    /// Translate an rsyncd.conf, and say of each setting what becomes of it
    FromRsyncd(FromRsyncdArgs),
}

/// `headwater config check`.
#[derive(Args, Debug)]
#[command(after_help = "\
headwater.toml, the environment, topology.toml, the file of passwords, the
message of the day, filters, keys and store are read; nothing is started or
written, and a node may run meanwhile. The exit code is 1 if anything is wrong.

Examples:
  headwater config check
  headwater config check --topology new.toml
                                      before it is put into the data directory,
                                      or where there is none")]
pub(super) struct ConfigCheckArgs {
    /// Check this topology instead of the one in the data directory
    #[arg(long, value_name = "FILE")]
    pub(super) topology: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater config from-rsyncd`.
#[derive(Args, Debug)]
#[command(after_help = "\
Prints a topology that serves what rsyncd served. The lines for headwater.toml
and what is said of each setting stand in front of it as comments; with
--topology-out the topology goes into a file, and the rest is printed.
Nobody gets in whom rsyncd would have turned away: where a rule cannot be
carried over, the module is closed, and the report says so.
What &include and &merge name is read, too; a path without a slash in front,
from beside the file that names it.

Example:
  headwater config from-rsyncd /etc/rsyncd.conf --topology-out new.toml
  headwater config check --topology new.toml")]
pub(super) struct FromRsyncdArgs {
    /// The configuration of rsyncd
    #[arg(value_name = "FILE", default_value = "/etc/rsyncd.conf")]
    pub(super) source: PathBuf,
    /// Write the topology to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub(super) topology_out: Option<PathBuf>,
    /// The name of this node
    #[arg(long, value_name = "NAME", default_value = "gw")]
    pub(super) node: NodeName,
    /// The name of the federation, for people
    #[arg(long, value_name = "NAME", default_value = "home")]
    pub(super) federation: FederationName,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `headwater completions`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  headwater completions bash >/usr/share/bash-completion/completions/headwater")]
pub(super) struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

/// `headwater man`.
#[derive(Args, Debug)]
#[command(after_help = "\
Writes headwater.1, and a page for each command, over older ones.

Example:
  headwater man /usr/share/man/man1")]
pub(super) struct ManArgs {
    /// Where; it is made if it does not exist
    #[arg(value_name = "DIR")]
    pub(super) target: PathBuf,
}

/// `headwater sample`.
#[derive(Args, Debug)]
#[command(after_help = "\
The same numbers always give the same bytes. A higher revision is the same
tree some days later.

Example:
  headwater sample /tmp/sample --packages 1000 --seed 7 --revision 1")]
pub(super) struct SampleArgs {
    /// Where DIR/gentoo and DIR/distfiles are written; an older sample there becomes the new one
    #[arg(value_name = "DIR")]
    pub(super) target: PathBuf,
    /// So many packages
    #[arg(long, value_name = "N", default_value_t = 300, conflicts_with = "files")]
    pub(super) packages: u32,
    /// So many files instead
    #[arg(long, value_name = "N")]
    pub(super) files: Option<u32>,
    /// Which sample
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(super) seed: u64,
    /// How many days after its first
    #[arg(long, value_name = "R", default_value_t = 0)]
    pub(super) revision: u32,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_short_help_fits_on_a_screen_and_hides_the_sample() {
        let help = Arguments::command().render_help().to_string();
        assert!(help.lines().count() <= 40, "{help}");
        assert!(!help.contains("sample  "), "{help}");
        let long = Arguments::command().render_long_help().to_string();
        assert!(long.contains("Exit codes:"), "{long}");
    }

    #[test]
    fn what_we_wrote_ourselves_fits_into_eighty_columns() {
        let command = Arguments::command();
        let texts = command.get_subcommands().filter_map(|command| command.get_after_help());
        for text in texts.chain(command.get_after_long_help()) {
            let text = text.to_string();
            let wide = text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None);
        }
    }

    #[test]
    fn names_are_checked_while_they_are_read() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(parse("headwater import /tree --repository gentoo --dir /d"), Ok(()));
        assert_eq!(parse("headwater --dir /d channel log gentoo/full@3 -n 5"), Ok(()));
        assert_eq!(parse("headwater channel diff gentoo@3 gentoo"), Ok(()));
        assert_eq!(parse("headwater channel keep gentoo/full@3 --as before-python-3.13"), Ok(()));
        assert_eq!(parse("headwater sweep -n --json"), Ok(()));
        assert_eq!(parse("headwater config check --topology t.toml --json"), Ok(()));
        assert_eq!(parse("headwater config from-rsyncd rsyncd.conf --topology-out t.toml --node a --json"), Ok(()));
        assert_eq!(parse("headwater completions zsh"), Ok(()));
        assert_eq!(parse("headwater sample /tmp/s --files 100 --seed 4 --revision 2"), Ok(()));
        for (line, part) in [
            ("headwater import /tree --repository a/b", "no repository name"),
            ("headwater init --node a@b", "no node name"),
            ("headwater init --listen-rsync here", "no address"),
            ("headwater channel log gentoo@0", "no generation"),
            ("headwater channel rollback gentoo/full", "name the generation, as in gentoo/full@7"),
            ("headwater channel release gentoo", "name the generation"),
            ("headwater channel keep gentoo@3 --as a/b", "no kept generation's name"),
            ("headwater channel diff gentoo@3", "<NEW>"),
            ("headwater sample /tmp/s --files 1 --packages 1", "cannot be used with"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
