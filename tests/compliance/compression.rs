//! What clients would rather not have compressed, by suffix (`--skip-compress`): a stock daemon compresses it all the same,
//! with every codec, so a transfer takes as many bytes with such a list as without.
//!
//! Bytes on the wire are compared with those of the same server only: two programs compress differently.

use super::run::{Server, Stage};
use super::tree::PACKED_BYTES;

/// With both servers: with a list or without, a text that is named by it takes the same bytes, fewer than it has.
pub(crate) fn check(stage: &Stage, codec: &str) -> Result<(), String> {
    for server in [Server::Stock, Server::Headwater] {
        let received = |list: &str| {
            let options = ["-a", "--checksum-seed=1", &format!("--zc={codec}"), list];
            stage.received(server, &options, "odd/packed/words.gz")
        };
        let (without, with) = (received("--stats"), received("--skip-compress=gz/txt"));
        if with != without || with >= PACKED_BYTES {
            return Err(format!("{codec}, {server:?}: {without} bytes without a list and {with} with one"));
        }
    }
    Ok(())
}
