//! The argument vector: byte strings, each ended by a zero byte, and an empty one at the end.
//!
//! The reader takes bytes as they arrive and stops exactly behind the vector, since what follows (a second vector,
//! or the binary setup) is read by somebody else. Invariant: whatever a peer sends, it holds at most [`MAX_BYTES`]
//! in at most [`MAX_COUNT`] arguments. Deliberately absent: the meaning of the arguments, and the deadline over
//! the text phase, which belongs to whoever has a clock.

/// Most arguments in one vector; stock has the same limit (protocol 2.7).
pub const MAX_COUNT: usize = 16_000;

/// Longest argument in bytes. Stock cuts at 5 KiB; a cut path would be another path, so a longer one is refused.
pub const MAX_LENGTH: usize = 5_120;

/// Most bytes in one vector: room for thousands of paths, and a bound on what a stranger can make us hold.
pub const MAX_BYTES: usize = 1 << 20;

/// Why an argument vector was refused. The session ends without an answer, as there is no way yet to send one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArgsError {
    /// More than [`MAX_COUNT`] arguments.
    #[error("argument vector of more than {MAX_COUNT} arguments")]
    TooMany,
    /// An argument of more than [`MAX_LENGTH`] bytes.
    #[error("argument of more than {MAX_LENGTH} bytes")]
    TooLong,
    /// More than [`MAX_BYTES`] bytes in all.
    #[error("argument vector of more than {MAX_BYTES} bytes")]
    TooBig,
}

/// Reads one vector (protocol 2.7, 2.8).
#[derive(Debug, Default)]
pub struct Args {
    whole: Vec<Vec<u8>>,
    /// The argument whose end has not come yet.
    partial: Vec<u8>,
    bytes: usize,
}

impl Args {
    /// A reader at the start of a vector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what belongs to the vector off the front of `input`. Gives the vector once, when it is complete;
    /// until then it takes everything.
    ///
    /// # Errors
    /// One of the limits was passed.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Vec<Vec<u8>>>, ArgsError> {
        loop {
            let end = input.iter().position(|&byte| byte == 0);
            let (piece, rest) = input.split_at(end.unwrap_or(input.len()));
            self.bytes = self.bytes.saturating_add(piece.len());
            if self.bytes > MAX_BYTES {
                return Err(ArgsError::TooBig);
            }
            if self.partial.len() + piece.len() > MAX_LENGTH {
                return Err(ArgsError::TooLong);
            }
            self.partial.extend_from_slice(piece);
            *input = rest.get(1..).unwrap_or_default();
            if end.is_none() {
                return Ok(None);
            }
            if self.partial.is_empty() {
                self.bytes = 0;
                return Ok(Some(std::mem::take(&mut self.whole)));
            }
            if self.whole.len() == MAX_COUNT {
                return Err(ArgsError::TooMany);
            }
            self.whole.push(std::mem::take(&mut self.partial));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_ends_at_the_empty_argument_however_it_is_cut() {
        let bytes = b"--server\0--sender\0-logDtpre.LsfxCIvu\0.\0mod/\0\0\x1exxh";
        for step in 1..bytes.len() {
            let mut args = Args::new();
            let mut taken = 0;
            let whole = loop {
                let piece = &bytes[taken..bytes.len().min(taken + step)];
                let mut input = piece;
                let found = args.read(&mut input).unwrap();
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
    fn two_vectors_in_one_read_are_two_vectors() {
        let mut input: &[u8] = b"-s\0\0rsync\0.\0m/\0\0";
        assert_eq!(Args::new().read(&mut input), Ok(Some(vec![b"-s".to_vec()])));
        let second = Args::new().read(&mut input).unwrap().unwrap();
        assert_eq!(second, [&b"rsync"[..], b".", b"m/"]);
        assert!(input.is_empty());
    }

    #[test]
    fn the_limits_hold_at_their_exact_values() {
        let rows: [(Vec<u8>, Result<usize, ArgsError>); 6] = [
            ([vec![b'x'; MAX_LENGTH], vec![0, 0]].concat(), Ok(1)),
            (vec![b'x'; MAX_LENGTH + 1], Err(ArgsError::TooLong)),
            ([b"x\0".repeat(MAX_COUNT), vec![0]].concat(), Ok(MAX_COUNT)),
            ([b"x\0".repeat(MAX_COUNT), b"y\0".to_vec()].concat(), Err(ArgsError::TooMany)),
            ([[vec![b'x'; 4_096], vec![0]].concat().repeat(256), vec![0]].concat(), Ok(256)),
            ([[vec![b'x'; 4_096], vec![0]].concat().repeat(256), b"y".to_vec()].concat(), Err(ArgsError::TooBig)),
        ];
        for (bytes, expected) in rows {
            let result = Args::new().read(&mut bytes.as_slice());
            assert_eq!(result.map(|whole| whole.unwrap().len()), expected);
        }
    }
}
