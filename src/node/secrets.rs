//! The file of passwords: read, but only if nobody else can.
//!
//! What is looked at is the file that was opened, not its name, so nothing can be put in its place meanwhile; a link counts as
//! the work of who made it. A file that others can read, or could have written, is refused as rsyncd refuses it, with the
//! command that mends it. Messages hold lines' numbers, never what they say.
//! Deliberately absent: what a line is; see `serve::Secrets`.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::geteuid;

use crate::serve::Secrets;

/// Users by the ten thousand.
const MAX_BYTES: u64 = 4 << 20;

/// The rights of others to read and to write.
const OTHERS: u32 = 0o006;

/// The right of the group to read.
const GROUP_READS: u32 = 0o040;

/// Something that is wrong with a file of passwords.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretsFlaw {
    /// The line, from 1; `None`: the file as a whole.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl SecretsFlaw {
    fn whole(text: String) -> Vec<Self> {
        vec![Self { line: None, text }]
    }
}

impl fmt::Display for SecretsFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Reads it, as the node does that this process is.
///
/// # Errors
/// Everything that is wrong with it.
pub(super) fn read(path: &Path) -> Result<Arc<Secrets>, Vec<SecretsFlaw>> {
    read_for(geteuid().as_raw(), path)
}

/// Who runs the node of a data directory: as far as root can tell, who has the directory.
pub(super) fn user_of(dir: &Path) -> u32 {
    match fs::metadata(dir) {
        Ok(found) if geteuid().is_root() => found.uid(),
        _ => geteuid().as_raw(),
    }
}

/// Reads it, and finds what a node of this user would find: root looks after nodes that are not root's.
///
/// # Errors
/// As [`read`].
pub(super) fn read_for(user: u32, path: &Path) -> Result<Arc<Secrets>, Vec<SecretsFlaw>> {
    let text = text_of(user, path).map_err(SecretsFlaw::whole)?;
    let flaws = |mistakes: Vec<crate::serve::SecretsMistake>| {
        mistakes.into_iter().map(|flaw| SecretsFlaw { line: Some(flaw.line), text: flaw.what.to_owned() }).collect()
    };
    Secrets::parse(&text).map(Arc::new).map_err(flaws)
}

fn text_of(user: u32, path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    let named = fs::symlink_metadata(path).map_err(unreadable)?;
    if named.is_symlink() && !is_trusted(user, named.uid()) {
        return Err(format!("it is a link that user {} made: name the file itself", named.uid()));
    }
    // A FIFO would have us wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = open(path, flags, Mode::empty()).map_err(|errno| unreadable(errno.into()))?;
    let file = File::from(file);
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if !is_trusted(user, found.uid()) {
        return Err(format!(
            "it belongs to user {}, who could change it: run `chown {user} {}`",
            found.uid(),
            path.display()
        ));
    }
    let mode = found.permissions().mode() & 0o7777;
    // Whether the node's user is of the group is not known here.
    if found.uid() != user && user != 0 && mode & GROUP_READS == 0 {
        return Err(format!("user {user}, who runs the node, cannot read it: run `chown {user} {}`", path.display()));
    }
    if mode & OTHERS != 0 {
        return Err(format!("others may use it (mode {mode:o}): run `chmod 600 {}`", path.display()));
    }
    if found.len() > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes: is it another file?"));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Who runs the node, and who could become that user anyway.
fn is_trusted(user: u32, owner: u32) -> bool {
    owner == 0 || owner == user
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn with(text: &str, mode: u32, check: impl FnOnce(Result<Arc<Secrets>, Vec<String>>)) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secrets");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        check(read(&path).map_err(|flaws| flaws.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn a_file_that_only_its_owner_and_group_may_read_is_taken() {
        for mode in [0o600, 0o640, 0o400, 0o660] {
            with("# ours\nalice:secret\n", mode, |read| {
                assert_eq!(read.unwrap().password_of(b"alice"), Some(&b"secret"[..]), "{mode:o}");
            });
        }
    }

    #[test]
    fn a_file_that_others_may_use_is_refused_with_the_command_that_mends_it() {
        for mode in [0o644, 0o604, 0o602] {
            with("alice:secret\n", mode, |read| {
                let why = read.unwrap_err();
                assert!(why[0].contains(&format!("mode {mode:o}")) && why[0].contains("`chmod 600 /"), "{why:?}");
            });
        }
    }

    #[test]
    fn every_line_that_is_wrong_is_numbered_and_not_repeated() {
        with("alice:secret\nhunter2\n:x\n", 0o600, |read| {
            let why = read.unwrap_err();
            assert!(why[0].starts_with("line 2: ") && why[1].starts_with("line 3: "), "{why:?}");
            assert!(!why.concat().contains("hunter2"), "{why:?}");
        });
    }

    #[test]
    fn what_is_no_file_of_ours_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let why = |path: &Path| read(path).unwrap_err().remove(0).text;
        assert!(why(&place.path().join("nosuch")).contains("cannot be read"), "{}", why(&place.path().join("nosuch")));
        assert_eq!(why(place.path()), "it is no regular file");
        let link = place.path().join("link");
        let file = place.path().join("file");
        fs::write(&file, "alice:secret\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&file, &link).unwrap();
        assert!(read(&link).is_ok(), "our own link");
        if geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(12_345), None).unwrap();
            assert!(why(&link).contains("a link that user 12345 made"), "{}", why(&link));
            std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
            assert!(why(&file).contains("belongs to user 12345"), "{}", why(&file));
        }
    }

    #[test]
    fn what_a_node_of_another_user_would_find_is_found() {
        if !geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "alice:secret\n").unwrap();
        let check = |owner: u32, mode: u32, expected: Option<&str>| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            std::os::unix::fs::chown(&file, Some(owner), None).unwrap();
            let found = read_for(12_345, &file).err().map(|mut flaws| flaws.remove(0).text);
            let fits = found.as_deref().zip(expected).is_some_and(|(found, expected)| found.contains(expected));
            assert!(fits || (found.is_none() && expected.is_none()), "{owner} {mode:o}: {found:?}");
        };
        check(12_345, 0o600, None);
        check(0, 0o640, None);
        check(0, 0o600, Some("user 12345, who runs the node, cannot read it: run `chown 12345 /"));
        check(12_346, 0o600, Some("it belongs to user 12346, who could change it: run `chown 12345 /"));
        check(12_345, 0o644, Some("others may use it"));
    }
}
