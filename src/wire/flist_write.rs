//! The encoder of file lists: entries in, bytes of the data stream out.
//!
//! Each entry is coded as its difference to the one before (protocol 8.2, 8.3), so entries in path order give short
//! lists; any order is legal. The writer holds one previous entry and the count, nothing else: memory does not grow.
//! Invariant: a later member of a hard-link group must be given with the attributes of its first one, since the
//! receiver takes them from there and goes on coding from them. Absent on purpose: frames, and sub-lists of
//! incremental recursion, which this daemon always declines.

use super::flist::{DirRole, Is, Link, ListFormat, Listed, NAME_MAX, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK, flag};
use super::numbers::{Min, put_i32, put_varint_u32, put_varlong};

/// Zeros for a sum that is not there: as long as the longest digest (protocol 8.3).
const NO_SUM: [u8; 20] = [0; 20];

/// Writes one file list.
#[derive(Clone, Debug)]
pub struct ListWriter {
    format: ListFormat,
    name: Vec<u8>,
    mode: u32,
    mtime: i64,
    atime: i64,
    uid: u32,
    gid: u32,
    count: u32,
}

impl ListWriter {
    /// A writer at the start of a list.
    #[must_use]
    pub fn new(format: ListFormat) -> Self {
        let name = Vec::with_capacity(NAME_MAX);
        Self { format, name, mode: 0, mtime: 0, atime: 0, uid: 0, gid: 0, count: 0 }
    }

    /// How many entries were written: the number of the group that a [`Link::First`] written next would start.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Appends one entry.
    pub fn push(&mut self, out: &mut Vec<u8>, entry: &Listed<'_>) {
        let shared = self.name.iter().zip(entry.name).take(255).take_while(|(a, b)| a == b).count();
        let (prefix, suffix) = entry.name.split_at(shared);
        let flags = self.flags(entry, prefix.len(), suffix.len());
        self.put_flags(out, flags, Is::of(entry.mode));
        if flags & flag::SAME_NAME != 0 {
            out.push(byte(prefix.len()));
        }
        if flags & flag::LONG_NAME != 0 {
            put_varint_u32(out, word(suffix.len()));
        } else {
            out.push(byte(suffix.len()));
        }
        out.extend_from_slice(suffix);
        if self.format.hard_links
            && let Link::Member(group) = entry.link
        {
            put_varint_u32(out, group);
        } else {
            self.put_attributes(out, entry, flags);
        }
        self.remember(entry, shared);
    }

    fn flags(&self, entry: &Listed<'_>, prefix: usize, suffix: usize) -> u32 {
        let first = self.count == 0;
        let set = |bit: u32, when: bool| if when { bit } else { 0 };
        let same_uid = entry.uid == self.uid && !first;
        let same_gid = entry.gid == self.gid && !first;
        let directory = match entry.role {
            DirRole::Argument => flag::TOP_DIR,
            DirRole::NoContent => flag::NO_CONTENT,
            DirRole::Implied => flag::TOP_DIR | flag::NO_CONTENT,
            DirRole::Found | DirRole::NotADirectory => 0,
        };
        let link = match entry.link {
            Link::First if self.format.hard_links => flag::HLINKED | flag::HLINK_FIRST,
            Link::Member(_) if self.format.hard_links => flag::HLINKED,
            _ => 0,
        };
        let same_atime = self.has_atime(entry) && entry.mtime == self.atime;
        directory
            | link
            | set(flag::SAME_MODE, entry.mode == self.mode)
            | set(flag::SAME_UID, same_uid || !self.format.owner)
            | set(flag::SAME_GID, same_gid || !self.format.group)
            | set(flag::SAME_NAME, prefix > 0)
            | set(flag::LONG_NAME, suffix > 255)
            | set(flag::SAME_TIME, entry.mtime == self.mtime)
            | set(flag::SAME_MAJOR, self.format.has_device(entry.mode))
            | set(flag::MOD_NSEC, self.format.since_31 && entry.nanos != 0)
            | set(flag::SAME_ATIME, same_atime)
    }

    /// A flags word of 0 would end the list, so a bit without a meaning goes in (protocol 8.2).
    fn put_flags(&self, out: &mut Vec<u8>, flags: u32, is: Is) {
        if self.format.varint_flags {
            put_varint_u32(out, if flags == 0 { flag::EXTENDED } else { flags });
            return;
        }
        let flags = if flags == 0 && is == Is::Other { flag::TOP_DIR } else { flags };
        let [low, high, ..] = flags.to_le_bytes();
        if high == 0 && low != 0 {
            out.push(low);
        } else {
            out.extend_from_slice(&[low | 0x04, high]);
        }
    }

    fn put_attributes(&self, out: &mut Vec<u8>, entry: &Listed<'_>, flags: u32) {
        let absent = |bit: u32| flags & bit == 0;
        put_varlong(out, i64::try_from(entry.size).unwrap_or(i64::MAX), Min::Three);
        if absent(flag::SAME_TIME) {
            put_varlong(out, entry.mtime, Min::Four);
        }
        if !absent(flag::MOD_NSEC) {
            put_varint_u32(out, entry.nanos);
        }
        if absent(flag::SAME_MODE) {
            put_i32(out, entry.mode.cast_signed());
        }
        if self.has_atime(entry) && absent(flag::SAME_ATIME) {
            put_varlong(out, entry.mtime, Min::Four);
        }
        if absent(flag::SAME_UID) {
            put_varint_u32(out, entry.uid);
        }
        if absent(flag::SAME_GID) {
            put_varint_u32(out, entry.gid);
        }
        if self.format.has_device(entry.mode) {
            put_varint_u32(out, 0);
        }
        match entry.mode & TYPE_MASK {
            TYPE_SYMLINK if self.format.links => {
                put_varint_u32(out, word(entry.target.len()));
                out.extend_from_slice(entry.target);
            }
            TYPE_FILE => {
                if let Some(kind) = self.format.checksum {
                    let none = NO_SUM.get(..kind.length()).unwrap_or(&NO_SUM);
                    out.extend_from_slice(if entry.checksum.len() == none.len() { entry.checksum } else { none });
                }
            }
            _ => {}
        }
    }

    fn has_atime(&self, entry: &Listed<'_>) -> bool {
        self.format.atimes && Is::of(entry.mode) == Is::Other
    }

    fn remember(&mut self, entry: &Listed<'_>, shared: usize) {
        self.name.truncate(shared);
        self.name.extend_from_slice(entry.name.get(shared..).unwrap_or_default());
        self.mode = entry.mode;
        self.mtime = entry.mtime;
        if self.has_atime(entry) {
            self.atime = entry.mtime;
        }
        self.uid = entry.uid;
        self.gid = entry.gid;
        self.count += 1;
    }

    /// Appends the end of the list and, if the format has them, the names of ids (protocol 8.5). `io_error` are the
    /// bits of 5.2; where the end cannot carry them ([`ListFormat::end_carries_errors`]) a message must follow.
    /// Names are cut to 255 bytes; the one of id 0 may stand anywhere among them.
    pub fn finish(self, out: &mut Vec<u8>, io_error: u32, users: &[(u32, &[u8])], groups: &[(u32, &[u8])]) {
        let io_error = if self.format.ignore_errors { 0 } else { io_error };
        if self.format.varint_flags {
            out.push(0);
            put_varint_u32(out, io_error);
        } else if io_error != 0 && self.format.safe_end {
            let [low, high, ..] = flag::END_WITH_ERROR.to_le_bytes();
            out.extend_from_slice(&[low, high]);
            put_varint_u32(out, io_error);
        } else {
            out.push(0);
        }
        if self.format.id_names && self.format.owner {
            self.put_names(out, users);
        }
        if self.format.id_names && self.format.group {
            self.put_names(out, groups);
        }
    }

    fn put_names(&self, out: &mut Vec<u8>, names: &[(u32, &[u8])]) {
        let put = |out: &mut Vec<u8>, name: &[u8]| {
            let name = name.get(..255).unwrap_or(name);
            out.push(byte(name.len()));
            out.extend_from_slice(name);
        };
        for (id, name) in names.iter().filter(|(id, _)| *id != 0) {
            put_varint_u32(out, *id);
            put(out, name);
        }
        put_varint_u32(out, 0);
        if self.format.id0_names {
            put(out, names.iter().find(|(id, _)| *id == 0).map_or(b"", |(_, name)| name));
        }
    }
}

/// A length that its caller has bounded to one byte.
fn byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// A length of a name or target, which is far below 2^32.
fn word(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
