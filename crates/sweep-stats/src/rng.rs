//! Random numbers as part of the specification: a counter, so that no result moves with a crate
//! version, the number of threads or the order of work.
//!
//! Not for cryptography, and not for training: seeds of runs are chosen elsewhere.

use crate::distribution::norm_ppf;

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// `SplitMix64` (Steele, Lea, Flood 2014) used as a counter: any draw can be had in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitMix64 {
    seed: u64,
}

impl SplitMix64 {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64 { seed }
    }

    /// Draw number `i`: `mix(seed + (i + 1)·γ)`, all wrapping.
    #[inline]
    pub fn out(&self, i: u64) -> u64 {
        mix(self.seed.wrapping_add(i.wrapping_add(1).wrapping_mul(GAMMA)))
    }

    /// Draws number `i`, `i + 1`, … without end, each one addition away from the last.
    #[inline]
    pub(crate) fn from(&self, i: u64) -> impl Iterator<Item = u64> {
        let mut state = self.seed.wrapping_add(i.wrapping_mul(GAMMA));
        std::iter::repeat_with(move || {
            state = state.wrapping_add(GAMMA);
            mix(state)
        })
    }

    /// Draw number `i` as an index below `n`: the high half of the 128-bit product `out·n`; 0 for
    /// n = 0.
    #[inline]
    pub fn index(&self, i: u64, n: u64) -> u64 {
        below(self.out(i), n)
    }

    /// Draw number `i` as a number strictly between 0 and 1: the middle of one of 2⁵³ cells.
    #[inline]
    pub fn uniform(&self, i: u64) -> f64 {
        ((self.out(i) >> 11) as f64 + 0.5) * 2f64.powi(-53)
    }

    /// Draw number `i` as a standard normal, by Φ⁻¹.
    pub fn normal(&self, i: u64) -> f64 {
        // `uniform` can round to 1 in its last cell only; the clamp keeps Φ⁻¹ finite there
        norm_ppf(self.uniform(i).min(1.0 - f64::EPSILON)).unwrap_or(0.0)
    }
}

/// A draw as an index below `n`.
#[inline]
pub(crate) fn below(draw: u64, n: u64) -> u64 {
    ((u128::from(draw) * u128::from(n)) >> 64) as u64
}

#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a, 64 bits, over UTF-8.
pub fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The seed of one statistic: `mix(user_seed xor fnv1a64(label))` with the label
/// `dataset/configuration/metric/statistic`.
pub fn derive_seed(user_seed: u64, label: &str) -> u64 {
    mix(user_seed ^ fnv1a64(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_matches_its_published_vectors() {
        // Fowler, Noll, Vo: test vectors of FNV-1a 64
        assert_eq!(fnv1a64(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a64("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_run_of_draws_is_what_single_draws_are() {
        let rng = SplitMix64::new(9);
        let run: Vec<u64> = rng.from(40).take(5).collect();
        assert_eq!(run, [40, 41, 42, 43, 44].map(|i| rng.out(i)));
        assert_eq!(rng.from(u64::MAX).nth(1), Some(rng.out(0)));
    }

    #[test]
    fn uniform_draws_stay_strictly_inside() {
        let rng = SplitMix64::new(7);
        let draws: Vec<f64> = (0..10_000).map(|i| rng.uniform(i)).collect();
        assert!(draws.iter().all(|&u| u > 0.0 && u < 1.0));
        let mean = draws.iter().sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 4.0 * (1.0f64 / 12.0 / 1e4).sqrt());
        assert_eq!(rng.index(3, 0), 0);
    }
}
