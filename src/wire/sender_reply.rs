//! One reply: the request's head sent back, the file as tokens, and the sum of the whole file.
//!
//! Where the agreed sum is the stored one (xxh128), nothing is hashed: a bit that flipped on our disk is caught by the
//! client. Any other sum is computed over the data that is sent, and xxh128 with it; if that is not the stored one,
//! the client gets a sum that is certainly wrong, so it keeps what it has and asks again (protocol 9.4).
//! In append mode what the client has is left out (protocol 9.9): by the driver, where no sum that is computed covers it,
//! and else here. A sum of the sent bytes alone is then held against nothing, as in a stock sender.
//! Invariant: a reply that was begun is ended, with a right or a wrong sum, whatever happens to the file meanwhile.
//! Absent on purpose: which request is next, and what is said between two replies.

use super::delta::{Matcher, Placement};
use super::greeting::Protocol;
use super::numbers::NdxWriter;
use super::options::{Append, Flag, Options};
use super::sender_output::{Output, PIECE};
use super::sender_request::{BASIS_DESTINATION, BASIS_PARTIAL, Request};
use super::setup::{Agreed, Compat};
use super::sums::{Digest, SeedOrder, SumKind, SumSet, WholeSum};
use super::tokens::{Codec, TokenError, TokenWriter};

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client got the file and the sum that belongs to it.
    Sent,
    /// The data is not what its stored sum says, and the client was told so by a wrong sum. Set the content aside.
    Mismatch,
}

/// What all replies of a session have in common.
#[derive(Debug)]
pub(super) struct Replies {
    agreed: Agreed,
    /// Also with append mode, which writes into the file.
    inplace: bool,
    append: Append,
    level: Option<i32>,
    protocol: Protocol,
    /// Made for the first reply: a client that needs nothing costs no compressor.
    tokens: Option<TokenWriter>,
    open: Option<Reply>,
}

#[derive(Debug)]
struct Reply {
    /// Whether the client told of blocks that it has.
    has_basis: bool,
    /// `None` where the client has no basis.
    matcher: Option<Matcher>,
    sums: Option<Computed>,
    /// So many of the next bytes are not sent.
    skip: u64,
}

/// The sums of the data that was sent, where they are not taken as stored.
#[derive(Debug)]
struct Computed {
    agreed: WholeSum,
    of: SumOf,
    /// `None` where not all of the file is fed.
    stored: Option<WholeSum>,
}

/// What the agreed sum covers (protocol 9.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SumOf {
    File,
    /// `--append` takes what the client has as right.
    SentBytes,
}

impl Replies {
    pub(super) fn new(options: &Options, agreed: Agreed, protocol: Protocol) -> Self {
        let append = options.append;
        let inplace = options.has(Flag::Inplace) || append != Append::No;
        Self { agreed, inplace, append, level: options.compress.level, protocol, tokens: None, open: None }
    }

    /// Whether a reply was begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the bytes of the open reply go out as they are and nobody here needs to see them: no basis to search, no
    /// compressor, and a sum that is stored.
    pub(super) fn is_plain(&self) -> bool {
        self.agreed.codec == Codec::None
            && self.open.as_ref().is_some_and(|reply| !reply.has_basis && reply.skip == 0 && reply.sums.is_none())
    }

    /// Sends the head and gets ready for the file's data.
    pub(super) fn begin(&mut self, request: Request, ndx: &mut NdxWriter, output: &mut Output) {
        let has_basis = request.has_basis();
        let Request { record, sums: blocks, prefix, .. } = request;
        let out = output.file_data();
        record.put(ndx, out);
        blocks.head().echoed(self.agreed.block_sum).put(out);
        let of = if prefix > 0 && self.append == Append::Yes { SumOf::SentBytes } else { SumOf::File };
        let whole_sum = self.agreed.whole_sum;
        let sums = (whole_sum != SumKind::Xxh128 || of == SumOf::SentBytes).then(|| Computed {
            agreed: WholeSum::new(whole_sum),
            of,
            stored: Some(WholeSum::new(SumKind::Xxh128)),
        });
        let matcher = if prefix > 0 { None } else { self.matcher(blocks, record.basis) };
        let (codec, level, protocol) = (self.agreed.codec, self.level, self.protocol);
        self.tokens.get_or_insert_with(|| TokenWriter::new(codec, level, protocol)).start_file();
        self.open = Some(Reply { has_basis: has_basis || prefix > 0, matcher, sums, skip: prefix });
    }

    /// Protocol 9.8. Block sums of kind `none` say nothing, so they are not searched for.
    fn matcher(&self, sums: SumSet, basis: u8) -> Option<Matcher> {
        let Agreed { block_sum, seed, compat, .. } = self.agreed;
        if sums.head().count() == 0 || block_sum == SumKind::None {
            return None;
        }
        let order = if compat.has(Compat::SeedFix) { SeedOrder::Before } else { SeedOrder::After };
        let overwritten = (self.inplace && basis == BASIS_DESTINATION)
            || (compat.has(Compat::InplacePartialDir) && basis == BASIS_PARTIAL);
        let placement = if overwritten { Placement::InPlace } else { Placement::Free };
        Some(Matcher::new(sums, block_sum, seed, order, placement))
    }

    /// How many of the file's first bytes need not be fed, and are not expected from now on: they are not sent, and no sum
    /// that is computed here covers them.
    pub(super) fn leave_out(&mut self) -> u64 {
        let Some(reply) = self.open.as_mut().filter(|reply| reply.skip > 0) else { return 0 };
        match &mut reply.sums {
            None => {}
            Some(Computed { of: SumOf::File, .. }) => return 0,
            Some(sums) => sums.stored = None,
        }
        std::mem::take(&mut reply.skip)
    }

    /// Sends the next bytes of the file.
    pub(super) fn feed(&mut self, data: &[u8], output: &mut Output) {
        let (Some(reply), Some(tokens)) = (&mut self.open, &mut self.tokens) else { return };
        let skipped = usize::try_from(reply.skip).unwrap_or(usize::MAX).min(data.len());
        reply.skip -= u64::try_from(skipped).unwrap_or_default();
        let sent = data.get(skipped..).unwrap_or_default();
        if let Some(sums) = &mut reply.sums {
            sums.agreed.update(if sums.of == SumOf::File { data } else { sent });
            if let Some(stored) = &mut sums.stored {
                stored.update(data);
            }
        }
        for piece in sent.chunks(PIECE) {
            let out = output.file_data();
            match &mut reply.matcher {
                None => tokens.literal(piece, out),
                Some(matcher) => matcher.feed(piece, &mut |token| tokens.token(token, out)),
            }
        }
    }

    /// Ends the reply. `stored` is the file's stored xxh128; without it the sum is a wrong one.
    pub(super) fn finish(&mut self, stored: Option<&[u8; 16]>, output: &mut Output) -> Result<Outcome, TokenError> {
        let (Some(mut reply), Some(tokens)) = (self.open.take(), &mut self.tokens) else { return Ok(Outcome::Sent) };
        let out = output.file_data();
        if let Some(matcher) = &mut reply.matcher {
            matcher.finish(&mut |token| tokens.token(token, out));
        }
        tokens.end_file(out)?;
        let (sum, outcome) = reply.sum(stored);
        out.extend_from_slice(sum.as_bytes());
        Ok(outcome)
    }
}

impl Reply {
    fn sum(self, stored: Option<&[u8; 16]>) -> (Digest, Outcome) {
        match (self.sums, stored) {
            (None, Some(stored)) => (Digest::new(stored), Outcome::Sent),
            (None, None) => (Digest::new(&[0; 16]), Outcome::Mismatch),
            (Some(sums), stored) => {
                let found = sums.stored.map(WholeSum::finish);
                let agreed = sums.agreed.finish();
                match stored {
                    Some(stored) if found.is_none_or(|found| found.as_bytes() == stored) => (agreed, Outcome::Sent),
                    _ => (agreed.wrong(), Outcome::Mismatch),
                }
            }
        }
    }
}
