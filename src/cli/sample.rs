//! `headwater sample`: a made-up ebuild repository of any size, for tests and benches.

use std::num::NonZeroUsize;

use super::args::SampleArgs;
use super::output::{count, print, size};
use crate::node::sample_out::{Recipe, Size, write_sample};

/// Writes it, and says how large it is.
pub(super) fn sample(args: &SampleArgs) -> anyhow::Result<()> {
    let size_wanted = args.files.map_or(Size::Packages(args.packages), Size::Files);
    let recipe = Recipe { seed: args.seed, size: size_wanted, revision: args.revision };
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let written = write_sample(&recipe, &args.target, threads)?;
    print(&format!("Wrote {} files, {}, to {}.\n", count(written.files), size(written.bytes), args.target.display()))
}
