//! Source files of the sample: real, small `.tar.gz` archives.
//!
//! An archive's bytes follow from the seed and its name alone, so versions that share a file agree
//! about it. It unpacks to a directory with a README, which is enough for the default phases of
//! EAPI 8: packages of the sample can really be built and installed.

use std::io::Write as _;

use flate2::{Compression, GzBuilder};

use super::dice::Dice;
use super::recipe::BASE;
use super::words;

/// Mean size of the text inside; the archive has a bit less than half of it.
const MEAN: u32 = 1_800;

/// The archive called `name`, which unpacks to the directory `top`.
pub(super) fn archive(seed: u64, name: &str, top: &str) -> Vec<u8> {
    let mut dice = Dice::new(seed, name, 0);
    let mut text = format!("{name}\n\nMade for tests; there is nothing in it.\n\n");
    let bytes = dice.size(MEAN);
    words::lines(&mut text, &mut dice, "", bytes);
    let mut tar = Vec::with_capacity(text.len() + 4 * 512);
    put_member(&mut tar, &format!("{top}/"), b'5', &[]);
    put_member(&mut tar, &format!("{top}/README"), b'0', text.as_bytes());
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar, Compression::fast())
}

/// Compresses without a time or a name, so that the same bytes give the same bytes.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let room = Vec::with_capacity(bytes.len() / 2 + 64);
    let mut encoder = GzBuilder::new().mtime(0).write(room, level);
    // Writing to a Vec cannot fail, so neither can the encoder.
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// One member in the ustar format, padded to whole blocks.
fn put_member(tar: &mut Vec<u8>, name: &str, kind: u8, bytes: &[u8]) {
    let mut header = [0; 512];
    let mode: &[u8] = if kind == b'5' { b"0000755" } else { b"0000644" };
    let fields: [(usize, &[u8]); 9] = [
        (0, name.as_bytes()),
        (100, mode),
        (108, b"0000000"),
        (116, b"0000000"),
        (124, &octal(bytes.len() as u64)),
        (136, &octal(BASE.unsigned_abs())),
        (148, b"        "),
        (156, &[kind]),
        (257, b"ustar\x0000"),
    ];
    for (at, field) in fields {
        for (to, from) in header[at..].iter_mut().zip(field) {
            *to = *from;
        }
    }
    let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
    for (to, from) in header[148..].iter_mut().zip(&octal(sum)[5..]) {
        *to = *from;
    }
    header[154] = 0;
    tar.extend_from_slice(&header);
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// Eleven octal digits.
fn octal(n: u64) -> [u8; 11] {
    let mut digits = [b'0'; 11];
    let mut left = n;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(left % 8).unwrap_or(0);
        left /= 8;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn an_archive_unpacks_and_its_header_adds_up() {
        let packed = archive(1, "hello-1.0.tar.gz", "hello-1.0");
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut tar).unwrap();
        assert_eq!(tar.len() % 512, 0);
        let header = &tar[512..1024];
        assert!(header.starts_with(b"hello-1.0/README\0"));
        let written = std::str::from_utf8(&header[148..154]).unwrap();
        let sum: u64 = header
            .iter()
            .enumerate()
            .map(|(n, &byte)| u64::from(if (148..156).contains(&n) { b' ' } else { byte }))
            .sum();
        assert_eq!(u64::from_str_radix(written, 8).unwrap(), sum);
        assert!(tar[1024..].starts_with(b"hello-1.0.tar.gz\n"));
    }

    #[test]
    fn the_name_decides_the_bytes() {
        assert_eq!(archive(1, "a.tar.gz", "a"), archive(1, "a.tar.gz", "a"));
        assert_ne!(archive(1, "a.tar.gz", "a"), archive(1, "b.tar.gz", "a"));
        assert_ne!(archive(1, "a.tar.gz", "a"), archive(2, "a.tar.gz", "a"));
    }
}
