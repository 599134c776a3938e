//! Names that an import leaves out although they are there.
//!
//! An ebuild repository on a gateway that was one machine's tree before has things in it that are not part of it:
//! distfiles and packages of old defaults, Portage's quarantine, the clone's own `.git`. They are left out by plain
//! names, at the root or anywhere. Which names, the topology says.
//! Deliberately absent: patterns. What needs a pattern should not be in the directory.

use crate::tree::TreePath;

/// The names that are left out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LeaveOut {
    /// Anything of these names directly in the source.
    pub at_root: Vec<Vec<u8>>,
    /// Directories of these names anywhere.
    pub directories: Vec<Vec<u8>>,
}

impl LeaveOut {
    /// Takes everything.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// True if `name` in `directory` is left out.
    pub(super) fn covers(&self, directory: TreePath<'_>, name: &[u8], is: Is) -> bool {
        let named = |names: &[Vec<u8>]| names.iter().any(|known| known == name);
        (directory.is_root() && named(&self.at_root)) || (is == Is::Directory && named(&self.directories))
    }
}

/// What a name stands for, as far as rules care.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Is {
    Directory,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_left_out_in_the_root_or_as_directories_anywhere() {
        let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let rules = LeaveOut { at_root: names(&["distfiles"]), directories: names(&["CVS", ".git"]) };
        let check = |directory: &str, name: &str, is, expected| {
            let directory = TreePath::new(directory.as_bytes()).unwrap();
            assert_eq!(rules.covers(directory, name.as_bytes(), is), expected, "{directory} {name}");
        };
        check(".", "distfiles", Is::Directory, true);
        check(".", "distfiles", Is::Other, true);
        check("a", "distfiles", Is::Directory, false);
        check(".", ".git", Is::Directory, true);
        check("a/b", "CVS", Is::Directory, true);
        check(".", ".git", Is::Other, false);
        check(".", ".gitignore", Is::Other, false);
        check(".", "profiles", Is::Directory, false);
    }
}
