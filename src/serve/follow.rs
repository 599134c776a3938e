//! Which symlinks are listed as what they point to: `-L`, `-k` and `--copy-unsafe-links`.
//!
//! Pure text and flags; whether something is behind a link, and that it lies inside the module, is for the resolver to
//! say. Deliberately absent: `--safe-links`, which acts on the client only (protocol 2.12).

use crate::wire::options::{Flag, ListOptions};

/// The symlinks that the client's options follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Follow {
    /// `-L`
    all: bool,
    /// `-k`
    to_directories: bool,
    /// `--copy-unsafe-links`
    unsafe_ones: bool,
}

/// What becomes of one symlink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// It is listed as a symlink.
    Keep,
    /// It is what it points to, and a mistake if that is nothing.
    Through,
    /// It is what it points to if that is a directory.
    ToDirectory,
}

impl Follow {
    pub(super) fn of(options: ListOptions) -> Follow {
        Follow {
            all: options.has(Flag::CopyLinks),
            to_directories: options.has(Flag::CopyDirlinks),
            unsafe_ones: options.has(Flag::CopyUnsafeLinks),
        }
    }

    /// Whether any symlink is followed at all.
    pub(super) fn any(self) -> bool {
        self.all || self.to_directories || self.unsafe_ones
    }

    /// What becomes of the symlink that is listed as `name`.
    pub(super) fn way(self, name: &[u8], target: &[u8]) -> Way {
        if self.all || self.unsafe_ones && leaves(name, target) {
            Way::Through
        } else if self.to_directories {
            Way::ToDirectory
        } else {
            Way::Keep
        }
    }
}

/// Whether a symlink called `name` points out of the transfer, as far as its text says.
fn leaves(name: &[u8], target: &[u8]) -> bool {
    if matches!(target, [] | [b'/', ..]) {
        return true;
    }
    let mut depth = name.iter().filter(|byte| **byte == b'/').count();
    let mut climbs = true;
    for component in target.split(|byte| *byte == b'/') {
        match component {
            b"" => {}
            // Going up after anything else may mean another place than the text says.
            b".." if !climbs || depth == 0 => return true,
            b".." => depth -= 1,
            _ => climbs = false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_unsafe_if_it_leads_above_the_transfer() {
        for (name, target, expected) in [
            ("l", "/etc/passwd", true),
            ("l", "file", false),
            ("l", "./file", false),
            ("l", "..", true),
            ("l", "../file", true),
            ("d/l", "../file", false),
            ("d/l", "..", false),
            ("d/l", "../../file", true),
            ("d/e/l", "../.././file", false),
            ("d/l", "./../file", true),
            ("l", "d/../file", true),
            ("d/l", "e/../file", true),
            ("d/l", ".././/file", false),
        ] {
            assert_eq!(leaves(name.as_bytes(), target.as_bytes()), expected, "{name} -> {target}");
        }
    }
}
