//! Byte strings as a client sends them in a row: each ended by a zero byte, and an empty one at the end.
//!
//! Argument vectors have this form (protocol 2.7), and so have the names of `--files-from` (protocol 7). The reader
//! takes bytes as they arrive and stops exactly behind the row, since what follows is read by somebody else.
//! Invariant: whatever a peer sends, at most [`Bound::bytes`] in at most [`Bound::count`] strings are held, and no more
//! once it was [closed](Args::close); what comes beyond is read and dropped, so that the end is still found and the
//! client can be told.
//! Deliberately absent: the meaning of the strings, and any deadline, which belongs to whoever has a clock.

/// What a string takes beside its bytes, about: its place in the row and in an allocator.
pub const STRING_OVERHEAD: usize = 40;

/// Longest string in bytes. Stock cuts arguments at 5 KiB; a cut path would be another path, so nothing is cut here.
pub const MAX_LENGTH: usize = 5_120;

/// How much of one kind of thing a client may send.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bound {
    /// How many.
    pub count: usize,
    /// Bytes of all together.
    pub bytes: usize,
}

/// How a row of strings passed its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArgsError {
    /// More strings than this.
    #[error("more than {0} of them")]
    TooMany(usize),
    /// A string of more than [`MAX_LENGTH`] bytes.
    #[error("one of more than {MAX_LENGTH} bytes")]
    TooLong,
    /// More bytes in all than this.
    #[error("more than {0} bytes in all")]
    TooBig(usize),
    /// More than whoever reads has room for at the moment.
    #[error("there is no room for them now -- try again later")]
    NoRoom,
}

/// Reads one row.
#[derive(Debug)]
pub struct Args {
    bound: Bound,
    whole: Vec<Vec<u8>>,
    /// The string whose end has not come yet.
    partial: Vec<u8>,
    /// How long that string is, dropped bytes included.
    length: usize,
    count: usize,
    bytes: usize,
    passed: Option<ArgsError>,
}

impl Args {
    /// A reader at the start of a row.
    #[must_use]
    pub fn new(bound: Bound) -> Self {
        Self { bound, whole: Vec::new(), partial: Vec::new(), length: 0, count: 0, bytes: 0, passed: None }
    }

    /// Takes what belongs to the row off the front of `input`. Gives the row once, when it is complete; until then it
    /// takes everything. Once [`Args::passed`] says something, strings are missing from the row.
    pub fn read(&mut self, input: &mut &[u8]) -> Option<Vec<Vec<u8>>> {
        loop {
            let end = input.iter().position(|&byte| byte == 0);
            let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
            *input = rest.get(1..).unwrap_or_default();
            self.length = self.length.saturating_add(piece.len());
            self.take(piece);
            end?;
            if self.length == 0 {
                return Some(std::mem::take(&mut self.whole));
            }
            self.length = 0;
            if self.passed.is_none() {
                self.count += 1;
                self.whole.push(std::mem::take(&mut self.partial));
            }
        }
    }

    /// Which bound was passed first, if any was.
    #[must_use]
    pub fn passed(&self) -> Option<ArgsError> {
        self.passed
    }

    /// Bytes of memory that the strings take, about; also once they were given.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes + self.count * STRING_OVERHEAD
    }

    /// Says that there is no room for more: what comes now is dropped.
    pub fn close(&mut self) {
        if self.passed.is_none() {
            (self.passed, self.partial) = (Some(ArgsError::NoRoom), Vec::new());
        }
    }

    fn take(&mut self, piece: &[u8]) {
        if self.passed.is_some() || piece.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(piece.len());
        let (too_big, too_long) = (self.bytes.saturating_sub(self.bound.bytes), self.length.saturating_sub(MAX_LENGTH));
        // What was passed first, however the bytes are cut: a string too many at its first byte, of the other two the one
        // that is passed by more.
        self.passed = match self.bound {
            Bound { count, .. } if self.whole.len() >= count => Some(ArgsError::TooMany(count)),
            Bound { bytes, .. } if too_big > 0 && too_big >= too_long => Some(ArgsError::TooBig(bytes)),
            _ if too_long > 0 => Some(ArgsError::TooLong),
            _ => None,
        };
        match self.passed {
            Some(_) => self.partial = Vec::new(),
            None => self.partial.extend_from_slice(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Bound = Bound { count: 16_000, bytes: 1 << 20 };

    #[test]
    fn a_row_ends_at_the_empty_string_however_it_is_cut() {
        let bytes = b"--server\0--sender\0-logDtpre.LsfxCIvu\0.\0mod/\0\0\x1exxh";
        for step in 1..bytes.len() {
            let mut args = Args::new(BOUND);
            let mut taken = 0;
            let whole = loop {
                let piece = &bytes[taken..bytes.len().min(taken + step)];
                let mut input = piece;
                let found = args.read(&mut input);
                taken += piece.len() - input.len();
                if let Some(whole) = found {
                    break whole;
                }
                assert!(input.is_empty());
            };
            let expected: [&[u8]; 5] = [b"--server", b"--sender", b"-logDtpre.LsfxCIvu", b".", b"mod/"];
            assert_eq!(whole, expected, "step {step}");
            assert_eq!(&bytes[taken..], b"\x1exxh", "step {step}");
        }
    }

    #[test]
    fn two_rows_in_one_read_are_two_rows() {
        let mut input: &[u8] = b"-s\0\0rsync\0.\0m/\0\0";
        assert_eq!(Args::new(BOUND).read(&mut input), Some(vec![b"-s".to_vec()]));
        let second = Args::new(BOUND).read(&mut input).unwrap();
        assert_eq!(second, [&b"rsync"[..], b".", b"m/"]);
        assert!(input.is_empty());
    }

    #[test]
    fn the_limits_hold_at_their_exact_values_and_the_end_is_found_all_the_same() {
        let long = [vec![b'x'; 4_096], vec![0]].concat().repeat(256);
        let rows: [(Vec<u8>, usize, Option<ArgsError>); 9] = [
            ([vec![b'x'; MAX_LENGTH], vec![0, 0]].concat(), 1, None),
            ([vec![b'x'; MAX_LENGTH + 1], vec![0, 0]].concat(), 0, Some(ArgsError::TooLong)),
            ([b"x\0".repeat(BOUND.count), vec![0]].concat(), BOUND.count, None),
            ([b"x\0".repeat(BOUND.count), b"y\0\0".to_vec()].concat(), BOUND.count, Some(ArgsError::TooMany(16_000))),
            ([&long[..], b"\0"].concat(), 256, None),
            ([&long[..], b"y\0z\0\0"].concat(), 256, Some(ArgsError::TooBig(1 << 20))),
            // Two bounds in one string.
            (
                [b"x\0".repeat(BOUND.count), long.clone(), vec![0]].concat(),
                BOUND.count,
                Some(ArgsError::TooMany(16_000)),
            ),
            ([&long[4_097..], &[b'x'; 9_000], b"\0\0"].concat(), 255, Some(ArgsError::TooBig(1 << 20))),
            ([&long[2 * 4_097..], &[b'x'; 9_000], b"\0\0"].concat(), 254, Some(ArgsError::TooLong)),
        ];
        for (bytes, count, passed) in rows {
            for step in [1, 777, bytes.len()] {
                let mut args = Args::new(BOUND);
                let whole = bytes.chunks(step).find_map(|mut piece| args.read(&mut piece)).unwrap();
                assert_eq!((whole.len(), args.passed()), (count, passed));
                assert!(args.partial.is_empty());
            }
        }
    }
}
