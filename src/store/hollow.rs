//! A file that is written from its start to its end, without a block for what is nothing but zeros.
//!
//! Images of disks are mostly zeros, and a copy that wrote them out would fill a disk that the original fits into many
//! times. What is read back is the same: a hole is zeros. Whoever is done must say so, since a hole at the end has a length
//! only then.
//! Deliberately absent: looking for holes in what is read. Zeros are found in memory sooner than holes by the kernel.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// So many zeros in a row become a hole: a block of the larger file systems.
const HOLE: usize = 64 << 10;
static ZEROS: [u8; HOLE] = [0; HOLE];

/// A file that is being written.
#[derive(Debug)]
pub struct Hollow {
    file: File,
    ends_in_a_hole: bool,
}

impl Hollow {
    /// Goes on with a file that is empty.
    pub fn new(file: File) -> Self {
        Self { file, ends_in_a_hole: false }
    }

    /// Appends `bytes`. Give it some multiple of 64 KiB at once: what is shorter is written out.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for block in bytes.chunks(HOLE) {
            let is_long = block.len() == HOLE || self.ends_in_a_hole;
            self.ends_in_a_hole = is_long && ZEROS.starts_with(block);
            match self.ends_in_a_hole {
                true => {
                    self.file.seek(SeekFrom::Current(i64::try_from(block.len()).unwrap_or(i64::MAX)))?;
                }
                false => self.file.write_all(block)?,
            }
        }
        Ok(())
    }

    /// Gives the file its length; all that is left to do with it is up to the caller.
    pub fn finish(&mut self) -> io::Result<&File> {
        if self.ends_in_a_hole {
            let length = self.file.stream_position()?;
            self.file.set_len(length)?;
        }
        Ok(&self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_take_no_room_and_are_read_back() {
        let check = |pieces: &[&[u8]], most_room: u64| {
            let place = tempfile::NamedTempFile::new().unwrap();
            let mut hollow = Hollow::new(place.reopen().unwrap());
            pieces.iter().for_each(|piece| hollow.write(piece).unwrap());
            let file = hollow.finish().unwrap();
            file.sync_all().unwrap();
            assert_eq!(std::fs::read(place.path()).unwrap(), pieces.concat());
            let room = file.metadata().unwrap().blocks() * 512;
            assert!(room <= most_room, "{room} bytes on the disk, not {most_room}");
        };
        let (zeros, ones) = (vec![0; 1 << 20], vec![1; 100]);
        let one = [&zeros[..], &ones, &zeros].concat();
        check(&[], 0);
        check(&[&zeros], 0);
        check(&[&zeros, &zeros[..7]], 0);
        check(&[&zeros, &ones], HOLE as u64);
        check(&[&ones, &zeros, &zeros, &ones], 2 * HOLE as u64);
        check(&[&one, &one], 8 * HOLE as u64);
        check(&[&zeros[..7], &zeros[..100_000]], 2 * HOLE as u64);
    }
}
