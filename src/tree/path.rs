//! Paths inside a tree: raw bytes, validated once, with the order that everything else stands on.
//!
//! A [`TreePath`] is `.` (the root) or components joined by `/`, none of them empty, `.` or `..`; so it can be joined to
//! a directory without leaving it. In tree order `/` comes before every other byte: a directory stands directly before
//! what it holds, and a subtree is one contiguous range. The root comes before everything.
//! Deliberately absent: `std::path::Path`, since a tree is not on a disk, and any normalisation.

use std::cmp::Ordering;
use std::fmt;

use super::error::PathError;
use super::escape::{Blank, put_escaped, shown};

/// Longest path, and longest symlink target, in bytes: what Linux takes (`PATH_MAX` less its NUL).
pub const MAX_PATH_BYTES: usize = 4095;

/// Longest component in bytes: what every common file system takes.
pub const MAX_COMPONENT_BYTES: usize = 255;

/// A validated path, borrowed.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct TreePath<'a>(&'a [u8]);

impl<'a> TreePath<'a> {
    /// The root of the tree, `.`.
    pub const ROOT: TreePath<'static> = TreePath(b".");

    /// Checks every rule.
    pub fn new(bytes: &'a [u8]) -> Result<Self, PathError> {
        if bytes == Self::ROOT.0 {
            return Ok(Self::ROOT);
        }
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong(shown(bytes)));
        }
        for component in bytes.split(|&byte| byte == b'/') {
            match component {
                b"" => return Err(PathError::EmptyComponent(shown(bytes))),
                b"." | b".." => return Err(PathError::Dots(shown(bytes))),
                name if name.len() > MAX_COMPONENT_BYTES => {
                    return Err(PathError::ComponentTooLong(shown(bytes)));
                }
                _ => {}
            }
        }
        Ok(Self(bytes))
    }

    /// A path that was checked before it was stored.
    pub(super) const fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The raw bytes; `.` for the root.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// True for `.`.
    pub fn is_root(self) -> bool {
        self == Self::ROOT
    }

    /// The last component; `.` for the root.
    pub fn name(self) -> &'a [u8] {
        match self.last_slash() {
            Some(at) => &self.0[at + 1..],
            None => self.0,
        }
    }

    /// The directory that holds it; `None` for the root.
    pub fn parent(self) -> Option<TreePath<'a>> {
        match self.last_slash() {
            Some(at) => Some(Self(&self.0[..at])),
            None => (!self.is_root()).then_some(Self::ROOT),
        }
    }

    /// Its components from the top down; none for the root.
    pub fn components(self) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let whole = if self.is_root() { None } else { Some(self.0) };
        whole.into_iter().flat_map(|bytes| bytes.split(|&byte| byte == b'/'))
    }

    /// True if it is `other` or lies below it; whole components count, so `ab` does not start with `a`.
    pub fn starts_with(self, other: TreePath<'_>) -> bool {
        other.is_root() || self.0.strip_prefix(other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    }

    fn last_slash(self) -> Option<usize> {
        self.0.iter().rposition(|&byte| byte == b'/')
    }
}

/// Puts `/` before every other byte.
fn rank(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}

impl Ord for TreePath<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0, other.0);
        if self.is_root() || other.is_root() {
            return other.is_root().cmp(&self.is_root());
        }
        match a.iter().zip(b).find(|(a, b)| a != b) {
            Some((&a, &b)) => rank(a).cmp(&rank(b)),
            None => a.len().cmp(&b.len()),
        }
    }
}

impl PartialOrd for TreePath<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As in a text: raw, with the escapes of a PATH.
impl fmt::Display for TreePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(self.0.len());
        put_escaped(&mut text, self.0, Blank::Plain);
        f.pad(&String::from_utf8_lossy(&text))
    }
}

impl fmt::Debug for TreePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// A validated path, owned.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TreePathBuf(Box<[u8]>);

impl TreePathBuf {
    /// The path, borrowed.
    pub fn as_path(&self) -> TreePath<'_> {
        TreePath(&self.0)
    }

    /// `below` (one or more components) inside of `directory`. Fails if the result breaks a rule.
    pub fn join(directory: &TreePath<'_>, below: &[u8]) -> Result<Self, PathError> {
        let joined = if directory.is_root() { below.to_vec() } else { [directory.0, b"/", below].concat() };
        let path = TreePath::new(&joined)?;
        Ok(path.into())
    }
}

impl From<TreePath<'_>> for TreePathBuf {
    fn from(path: TreePath<'_>) -> Self {
        Self(path.0.into())
    }
}

impl Ord for TreePathBuf {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_path().cmp(&other.as_path())
    }
}

impl PartialOrd for TreePathBuf {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePathBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

impl fmt::Debug for TreePathBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_path(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath<'_> {
        TreePath::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_path_cannot_leave_its_tree() {
        for bad in ["", "/", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a/./b"] {
            assert!(TreePath::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
        for good in [".", "a", "...", ".a", "a/b..", "a b/c", "-"] {
            assert_eq!(path(good).as_bytes(), good.as_bytes());
        }
        let deep = vec!["x".repeat(255); 16].join("/");
        assert_eq!(deep.len(), MAX_PATH_BYTES);
        assert!(TreePath::new(deep.as_bytes()).is_ok());
        assert_eq!(TreePath::new(format!("{deep}x").as_bytes()), Err(PathError::TooLong(shown(deep.as_bytes()))));
        assert!(matches!(TreePath::new(&[b'x'; 256]), Err(PathError::ComponentTooLong(_))));
    }

    #[test]
    fn the_slash_comes_before_every_other_byte() {
        let sorted = [".", "\x01", " ", "-", "a", "a/b", "a/b/c", "a/b!", "a\x01", "a ", "a-", "a.b", "ab"];
        for pair in sorted.windows(2) {
            assert!(path(pair[0]) < path(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn a_path_knows_its_parts() {
        let deep = path("a/b.c/d");
        assert_eq!((deep.name(), deep.parent()), (&b"d"[..], Some(path("a/b.c"))));
        assert_eq!((path("a").name(), path("a").parent()), (&b"a"[..], Some(TreePath::ROOT)));
        assert_eq!((TreePath::ROOT.name(), TreePath::ROOT.parent()), (&b"."[..], None));
        assert!(deep.starts_with(path("a/b.c")) && !deep.starts_with(path("a/b")) && deep.starts_with(TreePath::ROOT));
        assert_eq!(TreePathBuf::join(&path("a"), b"b/c").unwrap().as_path(), path("a/b/c"));
        assert_eq!(TreePathBuf::join(&TreePath::ROOT, b"b").unwrap().as_path(), path("b"));
        assert!(TreePathBuf::join(&path("a"), b"../b").is_err());
    }
}
