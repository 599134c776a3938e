//! What a list will hold, and what the client is told with it; both within bounds.
//!
//! A line is 16 bytes: a name is never copied, it is the path of an entry without its first bytes, or with other
//! bytes in their place. Arguments may overlap and list an entry again, so the number of lines is not the tree's:
//! it has a bound of its own, and so have the texts. Deliberately absent: which entries are chosen.

use super::listing::NoList;
use crate::tree::{Entry, Snapshot};
use crate::wire::flist::DirRole;
use crate::wire::mux::Tag;

/// Lines beside twice the snapshot's own: enough for arguments that overlap here and there, too few to fill the memory.
const MORE_LINES: usize = 100_000;

/// Bytes that stand before paths in names, all together.
const MOST_PREFIX_BYTES: usize = 32 << 20;

/// Bytes of messages to the client. What there is to say beyond it is counted and not said.
const MOST_MESSAGE_BYTES: usize = 16 << 20;

/// No entry: the line names what is missing.
pub(crate) const NOTHING: u32 = u32::MAX;

/// One line of the file list to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Selected {
    /// Index in the snapshot of what is listed, or [`NOTHING`].
    pub(crate) entry: u32,
    /// Index of the entry whose path makes the name.
    named: u32,
    /// What stands before the rest of the path: an index into the selection's prefixes.
    prefix: u32,
    /// How many bytes of the path are not part of the name.
    cut: u16,
    pub(crate) role: DirRole,
}

/// How names of entries follow from their paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Names {
    pub(crate) cut: u16,
    prefix: u32,
}

impl Names {
    /// Whether names are ends of paths, so that nothing stands before them.
    pub(crate) fn are_ends(self) -> bool {
        self.prefix == 0
    }
}

/// A selection and what the client is told about it.
pub(crate) struct Selection {
    pub(crate) selected: Vec<Selected>,
    prefixes: Vec<Vec<u8>>,
    prefix_bytes: usize,
    pub(crate) messages: Vec<(Tag, Vec<u8>)>,
    message_bytes: usize,
    /// Messages that found no room.
    unsaid: u64,
    pub(crate) io_error: u32,
    most_lines: usize,
}

impl Selection {
    /// Nothing yet, out of a snapshot of so many entries.
    pub(crate) fn new(entries: usize) -> Selection {
        Selection {
            selected: Vec::new(),
            prefixes: vec![Vec::new()],
            prefix_bytes: 0,
            messages: Vec::new(),
            message_bytes: 0,
            unsaid: 0,
            io_error: 0,
            most_lines: entries.saturating_mul(2).saturating_add(MORE_LINES),
        }
    }

    /// Adds `entry`, called as `names` has it of its own path.
    pub(crate) fn push(&mut self, entry: usize, names: Names, role: DirRole) {
        self.push_as(entry, entry, names, role);
    }

    /// Adds `entry`, called as `names` has it of the path of `named`: a symlink that leads to it.
    pub(crate) fn push_as(&mut self, entry: usize, named: usize, names: Names, role: DirRole) {
        // A snapshot holds at most 8,000,000 entries.
        let index = |index: usize| u32::try_from(index).unwrap_or(NOTHING);
        let Names { cut, prefix } = names;
        self.selected.push(Selected { entry: index(entry), named: index(named), prefix, cut, role });
    }

    /// Adds the name of something that is missing.
    pub(crate) fn push_missing(&mut self, name: &[u8]) -> Result<(), NoList> {
        let Names { cut, prefix } = self.instead(name, 0)?;
        let role = DirRole::NotADirectory;
        self.selected.push(Selected { entry: NOTHING, named: NOTHING, prefix, cut, role });
        Ok(())
    }

    /// An error once there are more lines than an honest choice of arguments has. Each directory adds what it holds
    /// before this is asked.
    pub(crate) fn bounded(&self) -> Result<(), NoList> {
        if self.selected.len() > self.most_lines {
            return Err(NoList::selection("the arguments name the same files again and again: name each place once"));
        }
        Ok(())
    }

    /// Names that end paths: those of the first `cut` bytes are left out.
    pub(crate) fn ends(cut: usize) -> Names {
        Names { cut: u16::try_from(cut).unwrap_or(u16::MAX), prefix: 0 }
    }

    /// Names in which `name` stands for the first `cut` bytes of the path.
    pub(crate) fn instead(&mut self, name: &[u8], cut: usize) -> Result<Names, NoList> {
        self.prefix_bytes = self.prefix_bytes.saturating_add(name.len());
        let prefix = u32::try_from(self.prefixes.len()).ok().filter(|_| self.prefix_bytes <= MOST_PREFIX_BYTES);
        let prefix = prefix.ok_or_else(|| NoList::selection("the path arguments are too many and too long"))?;
        self.prefixes.push(name.to_vec());
        Ok(Names { cut: u16::try_from(cut).unwrap_or(u16::MAX), prefix })
    }

    /// Says something to the client, as long as there is room.
    pub(crate) fn say(&mut self, tag: Tag, text: String) {
        self.message_bytes = self.message_bytes.saturating_add(text.len());
        if self.message_bytes > MOST_MESSAGE_BYTES {
            self.unsaid += 1;
            return;
        }
        self.messages.push((tag, text.into_bytes()));
    }

    /// Says how much was not said.
    pub(crate) fn finish(mut self) -> Selection {
        if self.unsaid > 0 {
            let text = format!("rsync: [sender] and {} further problems of this kind\n", self.unsaid);
            self.messages.push((Tag::ErrorXfer, text.into_bytes()));
        }
        self
    }

    /// The listed name; `buffer` is used where it must be put together.
    pub(crate) fn name<'a>(&'a self, one: &Selected, snapshot: &'a Snapshot, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        let named = usize::try_from(one.named).ok().and_then(|index| snapshot.entry(index));
        self.name_by(Names { cut: one.cut, prefix: one.prefix }, named.as_ref().map_or(b"".as_slice(), path_of), buffer)
    }

    /// The name that `names` gives to what has this path (empty: the root's).
    pub(crate) fn name_by<'a>(&'a self, names: Names, path: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
        let rest = path.get(usize::from(names.cut)..).unwrap_or_default();
        let prefix = usize::try_from(names.prefix).ok().and_then(|prefix| self.prefixes.get(prefix));
        let prefix = prefix.map_or(b"".as_slice(), Vec::as_slice);
        match (prefix, rest) {
            ([], []) => b".",
            ([], rest) => rest,
            (prefix, []) => prefix,
            (prefix, rest) => {
                buffer.clear();
                buffer.extend_from_slice(prefix);
                if rest.first() != Some(&b'/') {
                    buffer.push(b'/');
                }
                buffer.extend_from_slice(rest);
                buffer
            }
        }
    }
}

/// An entry's path, as it begins the paths of what it holds: nothing for the root.
pub(crate) fn path_of<'a>(entry: &Entry<'a>) -> &'a [u8] {
    if entry.path.is_root() { b"" } else { entry.path.as_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_names_and_messages_have_bounds() {
        let mut selection = Selection::new(10);
        for _ in 0..MORE_LINES + 20 {
            selection.push(0, Selection::ends(0), DirRole::Found);
        }
        assert!(selection.bounded().is_ok());
        selection.push(0, Selection::ends(0), DirRole::Found);
        assert!(selection.bounded().is_err());

        let name = vec![b'x'; 4_000];
        let taken = (0..).take_while(|_| selection.instead(&name, 0).is_ok()).count();
        assert_eq!(taken, MOST_PREFIX_BYTES / name.len());

        let text = "x".repeat(1 << 20);
        (0..20).for_each(|_| selection.say(Tag::Info, text.clone()));
        let said = selection.finish().messages;
        assert_eq!(said.len(), 17);
        assert!(String::from_utf8_lossy(&said[16].1).contains("and 4 further problems"));
    }
}
