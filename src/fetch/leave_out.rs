//! Names that an import leaves out although they are there.
//!
//! An ebuild repository on a gateway that was one machine's tree before has things in it that are not part of it:
//! distfiles and packages of old defaults, Portage's quarantine, the clone's own `.git`. They are left out by plain
//! names, at the root or anywhere, and listed in the report.
//! Deliberately absent: patterns. What needs a pattern should not be in the directory.

use crate::tree::TreePath;

/// What the root of an ebuild repository may hold that is not part of it.
const TREE_ROOT: [&str; 5] = ["distfiles", "local", "lost+found", "packages", ".tmp-unverified-download-quarantine"];

/// Where version control systems keep their own.
const VERSION_CONTROL: [&str; 7] = ["CVS", "RCS", "SCCS", ".bzr", ".git", ".hg", ".svn"];

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

    /// The default for an ebuild repository.
    pub fn of_tree() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { at_root: owned(&TREE_ROOT), directories: owned(&VERSION_CONTROL) }
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
    fn a_tree_leaves_out_what_is_not_part_of_it() {
        let rules = LeaveOut::of_tree();
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
