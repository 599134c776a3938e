//! Chance that repeats itself: numbers that depend on a seed and a purpose, and on nothing else.
//!
//! A splitmix64 stream for each purpose, so that a draw added in one place does not shift all
//! the others, and any part of the sample can be made alone and in any order. Whole numbers only:
//! floating point would not be the same everywhere. Not for secrets.

/// One stream of numbers.
pub(super) struct Dice {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sizes of real files are skewed: per cent of the mean, by decile. Their own mean is 100.
const DECILES: [u32; 10] = [22, 30, 40, 50, 62, 76, 95, 125, 180, 320];

impl Dice {
    /// The stream of `seed` for the `n`th thing of some purpose.
    pub(super) fn new(seed: u64, purpose: &str, n: u64) -> Self {
        let mut state = mix(seed ^ GOLDEN);
        for byte in purpose.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self { state: mix(state ^ mix(n.wrapping_add(GOLDEN))) }
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number from 0 to `n` - 1; 0 for `n` = 0.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        let product = (self.bits() >> 32) * u64::from(n);
        u32::try_from(product >> 32).unwrap_or(0)
    }

    /// A number from `low` to `high`, both possible.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a thousand cases.
    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these; there must be one.
    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let n = u32::try_from(of.len()).unwrap_or(u32::MAX);
        of[self.below(n) as usize]
    }

    /// A size that is skewed as those of real files are, with this mean.
    pub(super) fn size(&mut self, mean: u32) -> usize {
        let percent = self.pick(&DECILES);
        let least = mean * percent / 125;
        self.between(least, least + mean * percent / 250) as usize
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_number() {
        let first = |seed, purpose, n| Dice::new(seed, purpose, n).bits();
        let all = [first(1, "a", 1), first(2, "a", 1), first(1, "b", 1), first(1, "a", 2)];
        let distinct: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(first(1, "a", 1), all[0]);
    }

    #[test]
    fn draws_stay_in_their_bounds_and_reach_them() {
        let mut dice = Dice::new(7, "bounds", 0);
        let drawn: std::collections::BTreeSet<_> = (0..1000).map(|_| dice.between(3, 6)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn sizes_have_the_mean_that_was_asked_for() {
        let mut dice = Dice::new(7, "sizes", 0);
        let sum: usize = (0..20_000).map(|_| dice.size(1000)).sum();
        let mean = sum / 20_000;
        assert!((970..=1030).contains(&mean), "{mean}");
    }
}
