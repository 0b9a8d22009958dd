//! The primary test of one data set (E1): exact permutation of the summed differences under sign
//! flips over paired seeds.
//!
//! Null hypothesis: the two labels are exchangeable within a seed, so every difference is symmetric
//! about 0. Not a test over examples unless the differences are per-example sums. Ranks instead of
//! sums: see [`crate::wilcoxon`].

use crate::missing::{Known, Missing, all_finite};
use crate::rng::SplitMix64;
use crate::subset_sum::{attainable, symmetric_p};

/// Largest Σ|d| the exact test accepts; the table of the distribution has half as many entries.
pub const MAX_SUM: u64 = 1 << 24;

/// Non-zero pairs up to which a real-valued sign-flip test enumerates all 2^n patterns.
pub const MAX_ENUMERATED: usize = 20;

/// Random flips of a real-valued test with more pairs than [`MAX_ENUMERATED`].
pub const RANDOM_FLIPS: u64 = 99_999;

/// Result of a sign-flip test on differences B − A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignFlip {
    /// Pairs, zeros included.
    pub n: usize,
    /// Pairs with a difference.
    pub n_nonzero: usize,
    /// Two-sided p: P(|Σ ±d| ≥ |Σ d|).
    pub p_two: f64,
    /// One-sided p for "B is better": P(Σ ±d ≥ Σ d).
    pub p_greater: f64,
    /// One-sided p for "B is worse": P(Σ ±d ≤ Σ d).
    pub p_less: f64,
    /// Smallest two-sided p this many non-zero pairs can give, `min(1, 2^(1−n_nonzero))`.
    pub p_min: f64,
    /// False when the p values are Monte Carlo (real-valued differences only).
    pub exact: bool,
}

/// Exact sign-flip test of whole-number differences, one per seed, in examples.
///
/// All zero gives p = 1. Exact as a fraction up to 53 pairs; cost n·Σ|d|/2.
///
/// # Errors
/// [`Missing::NoData`] for no pairs, [`Missing::TooLarge`] when Σ|d| exceeds [`MAX_SUM`].
pub fn signflip_exact(diff: &[i64]) -> Known<SignFlip> {
    if diff.is_empty() {
        return Err(Missing::NoData);
    }
    let total = diff.iter().try_fold(0u64, |sum, d| sum.checked_add(d.unsigned_abs()));
    let total = total.filter(|&s| s <= MAX_SUM).ok_or(Missing::TooLarge("sum of |differences|"))?;
    let positive: u64 = diff.iter().filter(|&&d| d > 0).map(|d| d.unsigned_abs()).sum();
    let mut sizes = diff.iter().map(|d| d.unsigned_abs() as usize);
    let p = symmetric_p(&mut sizes, positive as usize, total as usize);
    let n_nonzero = diff.iter().filter(|&&d| d != 0).count();
    Ok(SignFlip {
        n: diff.len(),
        n_nonzero,
        p_two: p.two,
        p_greater: p.greater,
        p_less: p.less,
        p_min: attainable(n_nonzero),
        exact: true,
    })
}

/// Sign-flip test of real-valued differences: all patterns up to [`MAX_ENUMERATED`] non-zero pairs,
/// above that [`RANDOM_FLIPS`] random ones with p = (b + 1)/(B + 1).
///
/// Differences are rounded to 2⁻⁴⁵ of the largest one, so that ties are decided on integers. The
/// sign of pair j in replicate b is bit `j mod 64` of counter `b·⌈n/64⌉ + j/64` of `seed`, over the
/// non-zero pairs.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::NotFinite`].
pub fn signflip_real(diff: &[f64], seed: u64) -> Known<SignFlip> {
    if diff.is_empty() {
        return Err(Missing::NoData);
    }
    all_finite(diff)?;
    let largest = diff.iter().fold(0.0f64, |m, d| m.max(d.abs()));
    let grid: Vec<i64> = diff
        .iter()
        .map(|d| if largest > 0.0 { (d / largest * 2f64.powi(45)).round() as i64 } else { 0 })
        .filter(|&d| d != 0)
        .collect();
    let n_nonzero = grid.len();
    let (counts, patterns, exact) = if n_nonzero <= MAX_ENUMERATED {
        (enumerate(&grid), 1u64 << n_nonzero, true)
    } else {
        (sample(&grid, seed).plus_one(), RANDOM_FLIPS + 1, false)
    };
    let share = |count: u64| (count as f64 / patterns as f64).min(1.0);
    Ok(SignFlip {
        n: diff.len(),
        n_nonzero,
        p_two: share(counts.two),
        p_greater: share(counts.greater),
        p_less: share(counts.less),
        p_min: attainable(n_nonzero),
        exact,
    })
}

#[derive(Default)]
struct Counts {
    two: u64,
    greater: u64,
    less: u64,
}

impl Counts {
    fn note(&mut self, sum: i128, observed: i128, slack: i128) {
        self.two += u64::from(sum.abs() >= observed.abs() - slack);
        self.greater += u64::from(sum >= observed - slack);
        self.less += u64::from(sum <= observed + slack);
    }

    fn plus_one(self) -> Counts {
        Counts { two: self.two + 1, greater: self.greater + 1, less: self.less + 1 }
    }
}

/// Every sign pattern in Gray-code order: one addition each.
fn enumerate(grid: &[i64]) -> Counts {
    let observed: i128 = grid.iter().map(|&d| i128::from(d)).sum();
    let slack = grid.len() as i128; // each value was rounded by at most half a unit
    let mut signs = vec![1i128; grid.len()];
    let mut sum = observed;
    let mut counts = Counts::default();
    counts.note(sum, observed, slack);
    for step in 1u64..1 << grid.len() {
        let j = step.trailing_zeros() as usize;
        sum -= 2 * signs[j] * i128::from(grid[j]);
        signs[j] = -signs[j];
        counts.note(sum, observed, slack);
    }
    counts
}

fn sample(grid: &[i64], seed: u64) -> Counts {
    let observed: i128 = grid.iter().map(|&d| i128::from(d)).sum();
    let slack = grid.len() as i128;
    let rng = SplitMix64::new(seed);
    let words = grid.len().div_ceil(64) as u64;
    let mut counts = Counts::default();
    for replicate in 0..RANDOM_FLIPS {
        let mut sum = 0i128;
        for (w, chunk) in (0..words).zip(grid.chunks(64)) {
            let mut bits = rng.out(replicate.wrapping_mul(words).wrapping_add(w));
            for &d in chunk {
                sum += i128::from(if bits & 1 == 1 { d } else { -d });
                bits >>= 1;
            }
        }
        counts.note(sum, observed, slack);
    }
    counts
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn five_seeds_in_one_direction_reach_the_smallest_p() {
        let test = signflip_exact(&[1, 1, 2, 1, 2]).unwrap();
        assert_eq!(test.p_two, 0.0625);
        assert_eq!(test.p_two, test.p_min);
    }

    #[test]
    fn all_zero_is_no_evidence_and_no_pairs_is_no_test() {
        assert_eq!(signflip_exact(&[0; 6]).unwrap().p_two, 1.0);
        assert_eq!(signflip_exact(&[]), Err(Missing::NoData));
        assert!(signflip_exact(&[i64::MIN, i64::MIN]).is_err());
    }

    #[test]
    fn thousands_of_seeds_stay_in_range() {
        let test = signflip_exact(&[1; 3000]).unwrap();
        assert!(test.p_two > 0.0 && test.p_two < 1e-300);
        assert_eq!(signflip_exact(&[1; 3000]).unwrap().p_less, 1.0);
    }

    #[test]
    fn the_real_valued_test_agrees_with_the_exact_one_on_whole_numbers() {
        let d = [1i64, -2, 3, 0, 4, 5, -6, 7, 8];
        let real: Vec<f64> = d.iter().map(|&x| x as f64 / 60.0).collect();
        let (a, b) = (signflip_exact(&d).unwrap(), signflip_real(&real, 1).unwrap());
        assert_relative_eq!(a.p_two, b.p_two, max_relative = 1e-14);
        assert_relative_eq!(a.p_less, b.p_less, max_relative = 1e-14);
        assert!(b.exact);
    }

    #[test]
    fn above_twenty_pairs_random_flips_come_close_to_the_exact_p() {
        let d: Vec<i64> = (0..30).map(|i| (i * 7) % 11 - 4).collect();
        let real: Vec<f64> = d.iter().map(|&x| x as f64 / 226.0).collect();
        let (a, b) = (signflip_exact(&d).unwrap(), signflip_real(&real, 9).unwrap());
        assert!(!b.exact);
        // four standard errors of 99,999 flips
        assert!((a.p_two - b.p_two).abs() < 4.0 * (0.25f64 / 99_999.0).sqrt());
    }
}
