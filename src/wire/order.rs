//! The order of a file list: both ends sort by it, and an entry's place in it is the index that requests name.
//!
//! Within a directory everything that is not a directory comes first, then the directories, each directly followed by
//! what it holds; a directory counts as its name with a slash behind it, so `foo-bar` stands before `foo`.
//! Invariant: [`compare`] is a total order, and equal only for equal names of the same kind, so sorting must be stable
//! for duplicates to keep their places. Absent on purpose: the sort itself, which belongs to who owns the entries.

use std::cmp::Ordering;

use super::flist::Is;

/// Compares two entries by name and kind (protocol 8.6). Costs one pass over the common prefix.
#[must_use]
pub fn compare(a: (&[u8], Is), b: (&[u8], Is)) -> Ordering {
    let ((a, a_is), (b, b_is)) = (a, b);
    let common = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    // The components before this one are the same and not the last, so they are directories on both sides.
    let start = a.iter().take(common).rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (a, b) = (Component::at(a, start, a_is), Component::at(b, start, b_is));
    match (a.item, b.item) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (true, true) => a.text.cmp(b.text),
        (false, false) => match a.text.len().min(b.text.len()) {
            short if a.text.get(..short) == b.text.get(..short) => {
                let next = |text: &[u8]| text.get(short).copied();
                match (next(a.text), next(b.text)) {
                    // The same directory: what ends here is the directory itself.
                    (None, None) => b.last.cmp(&a.last),
                    (a, b) => a.unwrap_or(b'/').cmp(&b.unwrap_or(b'/')),
                }
            }
            _ => a.text.cmp(b.text),
        },
    }
}

/// One component of a name, as the order sees it.
struct Component<'a> {
    text: &'a [u8],
    /// Not a directory, or the dot entry: sorts before every directory.
    item: bool,
    /// Nothing of the name follows.
    last: bool,
}

impl<'a> Component<'a> {
    fn at(name: &'a [u8], start: usize, is: Is) -> Self {
        if name == b"." && is == Is::Directory {
            return Self { text: b"", item: true, last: true };
        }
        let rest = name.get(start..).unwrap_or_default();
        match rest.iter().position(|&byte| byte == b'/') {
            Some(slash) => Self { text: rest.get(..slash).unwrap_or_default(), item: false, last: false },
            None => Self { text: rest, item: is == Is::Other, last: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule as protocol 8.6 words it, component by component.
    fn slowly(a: (&[u8], Is), b: (&[u8], Is)) -> Ordering {
        fn key((name, is): (&[u8], Is)) -> Vec<(bool, Vec<u8>)> {
            if name == b"." && is == Is::Directory {
                return vec![(false, Vec::new())];
            }
            let count = name.split(|&byte| byte == b'/').count();
            let components = name.split(|&byte| byte == b'/').enumerate();
            let mut key = Vec::new();
            for (at, text) in components {
                let path = at + 1 < count || is == Is::Directory;
                key.push((path, [text, if path { b"/" } else { b"" }].concat()));
            }
            key
        }
        key(a).cmp(&key(b))
    }

    #[test]
    fn the_table_of_the_protocol_is_in_order() {
        let table: [(&[u8], Is); 12] = [
            (b".", Is::Directory),
            (b".hid", Is::Other),
            (b"foo", Is::Other),
            (b"foo-bar", Is::Other),
            (b"zero", Is::Other),
            (b"empty", Is::Directory),
            (b"foo-dir", Is::Directory),
            (b"foo-dir/q", Is::Other),
            (b"foo.d", Is::Directory),
            (b"foo.d/y", Is::Other),
            (b"sub", Is::Directory),
            (b"sub/one.c", Is::Other),
        ];
        for (i, &a) in table.iter().enumerate() {
            for (j, &b) in table.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn the_fast_order_is_the_worded_one_for_every_short_name() {
        let texts: [&[u8]; 7] = [b"a", b"a-", b"a0", b"b", b"-", b"ab", b"\xff"];
        let mut names: Vec<Vec<u8>> = texts.iter().map(|text| text.to_vec()).collect();
        for a in texts {
            for b in texts {
                names.push([a, b"/", b].concat());
                names.push([a, b"/", b, b"/x"].concat());
            }
        }
        let mut all: Vec<(&[u8], Is)> = vec![(b".", Is::Directory)];
        for name in &names {
            all.extend([(&name[..], Is::Directory), (&name[..], Is::Other)]);
        }
        for &a in &all {
            for &b in &all {
                assert_eq!(compare(a, b), slowly(a, b), "{:?} {:?}", a, b);
            }
        }
    }
}
