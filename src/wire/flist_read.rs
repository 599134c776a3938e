//! The decoder of file lists in the single-list form: bytes of the data stream in, entries out.
//!
//! What it hands out has passed the checks of protocol 8.11 that need nothing but the list itself: names are relative
//! and clean, types known, times and lengths in range. Whether a name was asked for, its parent is listed, or a filter
//! hides it, is for the receiver to judge. Invariant: an item is taken as a whole or not at all, so the bytes may
//! arrive cut anywhere; memory is bounded by [`MAX_ENTRIES`] names of hard-link groups.
//! Absent on purpose: incremental recursion (never offered) and the sorting of what was read.

use std::collections::HashMap;

use thiserror::Error;

use super::flist::{
    DirRole, Is, Link, ListFormat, Listed, NAME_MAX, TYPE_BLOCK, TYPE_CHARACTER, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE,
    TYPE_MASK, TYPE_SOCKET, TYPE_SYMLINK, flag,
};
use super::numbers::{Cursor, Min, NumberError, Short};

/// Most entries in one list: the bound of a snapshot, far above any tree that is served over rsync.
pub const MAX_ENTRIES: u32 = 8_000_000;

/// Most names of users or of groups: every id of a large site, and a bound on what a daemon can make us read.
const MAX_NAMES: u32 = 1 << 20;

/// Why a file list cannot be read. All of them are violations by the peer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// A number that cannot be read.
    #[error("file list entry {entry}: {source}")]
    Number {
        /// The entry, counted from 0 as sent.
        entry: u32,
        /// What is wrong with the number.
        source: NumberError,
    },
    /// A field whose value is out of range.
    #[error("file list entry {entry}: {field} out of range")]
    Field {
        /// The entry, counted from 0 as sent.
        entry: u32,
        /// Which field.
        field: &'static str,
    },
    /// A name that may not be in a list.
    #[error("file list entry {entry}: unsafe or malformed name \"{name}\"")]
    Name {
        /// The entry, counted from 0 as sent.
        entry: u32,
        /// The name, escaped.
        name: String,
    },
    /// More than [`MAX_ENTRIES`] entries, or more names of ids than any site has.
    #[error("file list of more than {MAX_ENTRIES} entries, or with too many names of users and groups")]
    TooLong,
}

/// What [`ListReader::next`] hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListItem<'a> {
    /// An entry. Its index is only known after sorting (protocol 8.6).
    Entry(Listed<'a>),
    /// The name of a user.
    User(u32, &'a [u8]),
    /// The name of a group.
    Group(u32, &'a [u8]),
    /// The end of everything, with the I/O error bits of the list.
    End {
        /// Bits of protocol 5.2.
        io_error: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Entries,
    Users,
    UserZero,
    Groups,
    GroupZero,
    End,
}

/// What an entry leaves behind for the next one, and what the first member of a group leaves for the later ones.
#[derive(Clone, Debug, Default)]
struct Attributes {
    mode: u32,
    size: u64,
    mtime: i64,
    nanos: u32,
    atime: i64,
    uid: u32,
    gid: u32,
    target: Vec<u8>,
    checksum: Vec<u8>,
}

/// Reads one file list.
#[derive(Debug)]
pub struct ListReader {
    format: ListFormat,
    part: Part,
    name: Vec<u8>,
    last: Attributes,
    groups: HashMap<u32, Attributes>,
    count: u32,
    names: u32,
    io_error: u32,
}

/// Inside the reader an entry may end early or be wrong.
enum Stop {
    More,
    Wrong(ListError),
}

impl ListReader {
    /// A reader at the start of a list.
    #[must_use]
    pub fn new(format: ListFormat) -> Self {
        Self {
            format,
            part: Part::Entries,
            name: Vec::new(),
            last: Attributes::default(),
            groups: HashMap::new(),
            count: 0,
            names: 0,
            io_error: 0,
        }
    }

    /// The next item, or `None` if `from` ends before it is whole; then come back with what was not consumed and more.
    ///
    /// # Errors
    /// The list breaks a rule; see [`ListError`]. It cannot be read on.
    pub fn next<'s, 'b: 's>(&'s mut self, from: &mut Cursor<'b>) -> Result<Option<ListItem<'s>>, ListError> {
        let mut ahead = from.clone();
        loop {
            let step = match self.part {
                Part::Entries => match self.flags(&mut ahead) {
                    Ok(Some(flags)) => {
                        return match self.entry(&mut ahead, flags) {
                            Ok(link) => {
                                *from = ahead;
                                Ok(Some(ListItem::Entry(self.listed(flags, link))))
                            }
                            Err(Stop::More) => Ok(None),
                            Err(Stop::Wrong(error)) => Err(error),
                        };
                    }
                    Ok(None) => Ok(None),
                    Err(stop) => Err(stop),
                },
                Part::Users | Part::Groups => self.id_name(&mut ahead),
                Part::UserZero | Part::GroupZero => self.text(&mut ahead).map(|name| Some((0, name))),
                Part::End => {
                    *from = ahead;
                    return Ok(Some(ListItem::End { io_error: self.io_error }));
                }
            };
            let (part, found) = match step {
                Ok(found) => (self.part, found),
                Err(Stop::More) => return Ok(None),
                Err(Stop::Wrong(error)) => return Err(error),
            };
            if found.is_none() || matches!(part, Part::UserZero | Part::GroupZero) {
                self.part = self.after(part);
            }
            *from = ahead.clone();
            match (part, found) {
                (Part::Users | Part::UserZero, Some((id, name))) => return Ok(Some(ListItem::User(id, name))),
                (_, Some((id, name))) => return Ok(Some(ListItem::Group(id, name))),
                (_, None) => {}
            }
        }
    }

    fn after(&self, part: Part) -> Part {
        let names = |wanted: bool| wanted && self.format.id_names;
        match part {
            Part::Entries if names(self.format.owner) => Part::Users,
            Part::Users if self.format.id0_names => Part::UserZero,
            Part::Entries | Part::Users | Part::UserZero if names(self.format.group) => Part::Groups,
            Part::Groups if self.format.id0_names => Part::GroupZero,
            _ => Part::End,
        }
    }

    /// The flags of the next entry, or `None` at the end of the entries, with the error word taken as well.
    fn flags(&mut self, from: &mut Cursor<'_>) -> Result<Option<u32>, Stop> {
        let mut flags;
        let mut end = false;
        if self.format.varint_flags {
            flags = self.word(from.varint())?;
            end = flags == 0;
        } else {
            flags = u32::from(self.number(from.u8())?);
            if flags & flag::EXTENDED != 0 {
                flags |= u32::from(self.number(from.u8())?) << 8;
                end = flags == flag::END_WITH_ERROR && self.format.safe_end;
            } else if flags == 0 {
                return Ok(None);
            }
        }
        if end {
            // The known bits of protocol 5.2; others are ignored, as for the message.
            self.io_error = self.word(from.varint())? & 7;
            return Ok(None);
        }
        if flags & !flag::KNOWN != 0 || flags & (flag::USER_NAME | flag::GROUP_NAME) != 0 {
            return Err(self.wrong("flags"));
        }
        if self.count >= MAX_ENTRIES {
            return Err(Stop::Wrong(ListError::TooLong));
        }
        Ok(Some(flags))
    }

    /// Reads an entry behind its flags into the state; the state is untouched unless all of it was there.
    fn entry(&mut self, from: &mut Cursor<'_>, flags: u32) -> Result<Link, Stop> {
        let prefix = if flags & flag::SAME_NAME != 0 { usize::from(self.number(from.u8())?) } else { 0 };
        let length = if flags & flag::LONG_NAME != 0 {
            usize::try_from(self.word(from.varint())?).unwrap_or(usize::MAX)
        } else {
            usize::from(self.number(from.u8())?)
        };
        if prefix > self.name.len() {
            return Err(self.wrong("shared part of the name"));
        }
        if length > NAME_MAX - prefix.min(NAME_MAX) {
            return Err(self.wrong("length of the name"));
        }
        let suffix = self.number(from.take(length))?;
        let link = self.link(from, flags)?;
        let attributes = match link {
            Link::Member(group) => self.groups.get(&group).cloned().ok_or_else(|| self.wrong("hard-link group"))?,
            Link::First | Link::None => self.attributes(from, flags)?,
        };
        self.check_name(prefix, suffix, attributes.mode)?;
        self.name.truncate(prefix);
        self.name.extend_from_slice(suffix);
        if link == Link::First {
            self.groups.insert(self.count, attributes.clone());
        }
        self.last = attributes;
        self.count += 1;
        Ok(link)
    }

    fn link(&self, from: &mut Cursor<'_>, flags: u32) -> Result<Link, Stop> {
        if !self.format.hard_links || flags & flag::HLINKED == 0 {
            return Ok(Link::None);
        }
        if flags & flag::HLINK_FIRST != 0 {
            return Ok(Link::First);
        }
        Ok(Link::Member(self.word(from.varint())?))
    }

    fn attributes(&self, from: &mut Cursor<'_>, flags: u32) -> Result<Attributes, Stop> {
        let absent = |bit: u32| flags & bit == 0;
        let (last, format) = (&self.last, &self.format);
        let mut new = Attributes { target: Vec::new(), checksum: Vec::new(), ..last.clone() };
        new.size = u64::try_from(self.number(from.varlong(Min::Three))?).map_err(|_| self.wrong("size"))?;
        if absent(flag::SAME_TIME) {
            new.mtime = self.number(from.varlong(Min::Four))?;
        }
        new.nanos = if absent(flag::MOD_NSEC) { 0 } else { self.word(from.varint())? };
        if new.nanos > 999_999_999 {
            return Err(self.wrong("nanoseconds"));
        }
        if absent(flag::SAME_MODE) {
            new.mode = self.number(from.u32())?;
        }
        let is = Is::of(new.mode);
        if format.atimes && is == Is::Other && absent(flag::SAME_ATIME) {
            new.atime = self.number(from.varlong(Min::Four))?;
        }
        if format.owner && absent(flag::SAME_UID) {
            new.uid = self.word(from.varint())?;
        }
        if format.group && absent(flag::SAME_GID) {
            new.gid = self.word(from.varint())?;
        }
        if format.has_device(new.mode) {
            if absent(flag::SAME_MAJOR) {
                self.number(from.varint())?;
            }
            self.number(from.varint())?;
        }
        match new.mode & TYPE_MASK {
            TYPE_SYMLINK if format.links => {
                let length = usize::try_from(self.word(from.varint())?).unwrap_or(usize::MAX);
                if length == 0 || length > NAME_MAX {
                    return Err(self.wrong("length of the link target"));
                }
                new.target = self.number(from.take(length))?.to_vec();
                if new.target.contains(&0) {
                    return Err(self.wrong("link target"));
                }
            }
            TYPE_FILE => {
                let length = format.checksum.map_or(0, super::sums::SumKind::length);
                new.checksum = self.number(from.take(length))?.to_vec();
            }
            TYPE_DIRECTORY | TYPE_SYMLINK | TYPE_CHARACTER | TYPE_BLOCK | TYPE_FIFO | TYPE_SOCKET => {}
            _ => return Err(self.wrong("mode")),
        }
        Ok(new)
    }

    /// Protocol 8.11: relative, clean, and `.` only for a directory.
    fn check_name(&self, prefix: usize, suffix: &[u8], mode: u32) -> Result<(), Stop> {
        let name = [self.name.get(..prefix).unwrap_or_default(), suffix].concat();
        let clean = match &name[..] {
            b"." => Is::of(mode) == Is::Directory,
            name => {
                !name.contains(&0) && name.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."))
            }
        };
        if clean {
            return Ok(());
        }
        Err(Stop::Wrong(ListError::Name { entry: self.count, name: name.escape_ascii().to_string() }))
    }

    fn listed(&self, flags: u32, link: Link) -> Listed<'_> {
        let last = &self.last;
        let role = match (Is::of(last.mode), flags & flag::TOP_DIR != 0, flags & flag::NO_CONTENT != 0) {
            (Is::Other, ..) => DirRole::NotADirectory,
            (_, true, false) => DirRole::Argument,
            (_, false, false) => DirRole::Found,
            (_, false, true) => DirRole::NoContent,
            (_, true, true) => DirRole::Implied,
        };
        Listed {
            name: &self.name,
            mode: last.mode,
            size: last.size,
            mtime: last.mtime,
            nanos: last.nanos,
            uid: last.uid,
            gid: last.gid,
            target: &last.target,
            checksum: &last.checksum,
            role,
            link,
        }
    }

    /// One id and name, or `None` at the end of the list.
    fn id_name<'s>(&mut self, from: &mut Cursor<'s>) -> Result<Option<(u32, &'s [u8])>, Stop> {
        let mut ahead = from.clone();
        let id = self.word(ahead.varint())?;
        let name = if id == 0 { None } else { Some((id, self.text(&mut ahead)?)) };
        self.names += 1;
        if self.names > MAX_NAMES {
            return Err(Stop::Wrong(ListError::TooLong));
        }
        *from = ahead;
        Ok(name)
    }

    fn text<'s>(&self, from: &mut Cursor<'s>) -> Result<&'s [u8], Stop> {
        let length = usize::from(self.number(from.u8())?);
        self.number(from.take(length))
    }

    fn number<T>(&self, read: Result<T, Short>) -> Result<T, Stop> {
        read.map_err(|short| match short {
            Short::More => Stop::More,
            Short::Bad(source) => Stop::Wrong(ListError::Number { entry: self.count, source }),
        })
    }

    fn word(&self, read: Result<i32, Short>) -> Result<u32, Stop> {
        self.number(read).map(i32::cast_unsigned)
    }

    fn wrong(&self, field: &'static str) -> Stop {
        Stop::Wrong(ListError::Field { entry: self.count, field })
    }
}
