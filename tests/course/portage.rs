//! A Gentoo machine that is thrown away: real Portage in a directory of its own.
//!
//! `PORTAGE_OVERRIDE_EPREFIX` makes that directory a Gentoo prefix: configuration, package database and tree lie in it, and
//! nothing outside of it is written. It needs the shared files of an installed Portage, which a virtual environment has.
//! Its rsync is a script that notes each run and then runs the stock one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::rig::{Place, Said, search_path, variable};

/// The machine.
pub(crate) struct Machine<'p> {
    place: &'p Place,
    root: PathBuf,
    venv: PathBuf,
    user: String,
    group: String,
}

impl<'p> Machine<'p> {
    /// A machine in the directory `machine` of `place`, that syncs from `url`. Without Portage the test ends here.
    pub(crate) fn new(place: &'p Place, url: &str) -> Self {
        let venv = venv();
        let root = place.at("machine");
        let name =
            |option: &str| Said::of("id", place.command("id").arg(option).output()).expect(0).out.trim().to_owned();
        let machine = Self { place, venv, user: name("-un"), group: name("-gn"), root };
        machine.furnish(url);
        machine
    }

    fn furnish(&self, url: &str) {
        let at = |path: &str| self.root.join(path);
        let directories =
            ["bin", "share", "lib", "etc/portage/repos.conf", "etc/portage/binrepos.conf", "home", "tmp", "distfiles"];
        let state =
            ["var/db/pkg", "var/lib/portage", "var/cache/edb", "var/log", "var/tmp/portage", "packages", "tree"];
        for path in directories.iter().chain(&state) {
            fs::create_dir_all(at(path)).unwrap();
        }
        for shared in ["share/portage", "lib/portage"] {
            symlink(self.venv.join(shared), at(shared)).unwrap();
        }
        // It leads into the tree, which is not there before the first sync.
        symlink(at("tree/profiles/default/linux/amd64"), at("etc/portage/make.profile")).unwrap();
        let written = |text: &str| {
            let named = text.replace("ROOT", self.root.to_str().unwrap()).replace("URL", url);
            named.replace("USER", &self.user).replace("GROUP", &self.group)
        };
        fs::write(at("etc/portage/repos.conf/gentoo.conf"), written(REPOS_CONF)).unwrap();
        fs::write(at("etc/portage/make.conf"), written(MAKE_CONF)).unwrap();
        let search = search_path();
        let script = written(RSYNC).replace("PATHS", search.to_str().unwrap());
        fs::write(at("bin/rsync"), script).unwrap();
        fs::set_permissions(at("bin/rsync"), Permissions::from_mode(0o755)).unwrap();
    }

    /// What a program of Portage's says on this machine.
    pub(crate) fn says(&self, line: &str) -> Said {
        let mut words = line.split_whitespace();
        let mut command = self.place.command(self.venv.join("bin").join(words.next().unwrap()));
        let own = [self.root.join("bin"), self.venv.join("bin")];
        let search = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&search_path()))).unwrap();
        command.args(words).current_dir(self.root.join("home")).env("PATH", search);
        command.env("HOME", self.root.join("home")).env("TMPDIR", self.root.join("tmp"));
        command.env("LC_ALL", "C.UTF-8").env("TERM", "dumb").env("NOCOLOR", "true");
        command.env("PORTAGE_OVERRIDE_EPREFIX", &self.root);
        command.env("PORTAGE_USERNAME", &self.user).env("PORTAGE_GRPNAME", &self.group);
        Said::of(line, command.output())
    }

    /// Syncs, and says with how many runs of rsync: one that looks, and three more where the tree is new.
    pub(crate) fn sync(&self) -> (Said, usize) {
        let log = self.root.join("rsync.log");
        fs::write(&log, "").unwrap();
        let said = self.says("emerge --sync");
        (said, fs::read_to_string(log).unwrap().lines().count())
    }

    /// Its tree.
    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }
}

/// Where Portage is installed.
fn venv() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
    let venv = variable("HEADWATER_TEST_VENV").map_or(own, PathBuf::from);
    let there = venv.join("share/portage").is_dir() && venv.join("bin/gemato").is_file();
    assert!(there, "there is no Portage in {}: run tests/run once, which installs it there", venv.display());
    venv
}

const REPOS_CONF: &str = "\
[DEFAULT]
main-repo = gentoo

[gentoo]
location = ROOT/tree
sync-type = rsync
sync-uri = URL
auto-sync = yes
sync-rsync-verify-metamanifest = no
sync-webrsync-verify-signature = no
";

/// The sandboxes are Gentoo's, and not there elsewhere.
const MAKE_CONF: &str = r#"
DISTDIR="ROOT/distfiles"
PKGDIR="ROOT/packages"
PORTAGE_TMPDIR="ROOT/var/tmp"
PORTAGE_LOGDIR="ROOT/var/log"
GENTOO_MIRRORS=""
FEATURES="-sandbox -usersandbox -userpriv -userfetch -usersync -network-sandbox -ipc-sandbox -pid-sandbox -mount-sandbox"
FEATURES="${FEATURES} -news -binpkg-request-signature -merge-sync -preserve-libs"
PORTAGE_USERNAME="USER"
PORTAGE_GRPNAME="GROUP"
PORTAGE_ELOG_SYSTEM=""
EMERGE_DEFAULT_OPTS=""
"#;

const RSYNC: &str = r#"#!/bin/sh
printf '%s\n' "$*" >> 'ROOT/rsync.log'
PATH='PATHS' exec rsync "$@"
"#;
