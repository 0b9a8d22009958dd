//! Wilcoxon's signed-rank test, exact under ties (a sensitivity check beside the sign-flip test).
//!
//! scipy's `method="exact"` ignores ties; accuracies on 60 images are nearly always tied, so the
//! null distribution here is that of the midranks at hand. Summed differences instead of ranks: see
//! [`crate::signflip`].

use crate::distribution::norm_sf;
use crate::missing::{Known, Missing, all_finite};
use crate::subset_sum::{attainable, symmetric_p};

/// Largest number of whole-number pairs for which p values are exact.
pub const MAX_EXACT_COUNTS: usize = 200;

/// Largest number of real-valued pairs for which p values are exact.
pub const MAX_EXACT_REAL: usize = 50;

/// What happens to differences of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// Dropped before ranking (Wilcoxon 1945).
    Wilcox,
    /// Ranked with the others, then dropped (Pratt 1959).
    Pratt,
}

/// Result of a signed-rank test on differences B − A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignedRank {
    /// Pairs with a difference.
    pub n_nonzero: usize,
    /// Sum of the midranks of positive differences.
    pub w_plus: f64,
    /// Sum of the midranks of negative differences.
    pub w_minus: f64,
    /// Two-sided p.
    pub p_two: f64,
    /// One-sided p for "B is better".
    pub p_greater: f64,
    /// One-sided p for "B is worse".
    pub p_less: f64,
    /// Smallest two-sided p this many non-zero pairs can give.
    pub p_min: f64,
    /// False when the p values are the normal approximation with tie correction.
    pub exact: bool,
}

/// Signed-rank test of whole-number differences, one per seed; exact up to [`MAX_EXACT_COUNTS`]
/// pairs. All zero gives p = 1.
///
/// # Errors
/// [`Missing::NoData`] for no pairs.
pub fn wilcoxon_signed_rank(diff: &[i64], zeros: Zeros) -> Known<SignedRank> {
    test(&DoubledRanks::of_counts(diff, zeros)?, diff.len() <= MAX_EXACT_COUNTS)
}

/// Signed-rank test of real-valued differences; exact up to [`MAX_EXACT_REAL`] pairs. Ties are
/// equal floating-point numbers: round differences to a grid first where that matters.
///
/// # Errors
/// [`Missing::NoData`] for no pairs, [`Missing::NotFinite`].
pub fn wilcoxon_real(diff: &[f64], zeros: Zeros) -> Known<SignedRank> {
    test(&DoubledRanks::of_reals(diff, zeros)?, diff.len() <= MAX_EXACT_REAL)
}

/// Two-sided p of the normal approximation with tie correction, with or without continuity
/// correction; for comparison with other software only.
///
/// # Errors
/// [`Missing::NoData`]; [`Missing::AllZero`] when nothing is left to rank.
pub fn wilcoxon_normal(diff: &[i64], zeros: Zeros, continuity: bool) -> Known<f64> {
    let ranks = DoubledRanks::of_counts(diff, zeros)?;
    if ranks.nonzero.is_empty() {
        return Err(Missing::AllZero);
    }
    let correction = if continuity { 0.5 } else { 0.0 };
    let z = ((ranks.centered().abs() - correction) / ranks.sd()).max(0.0);
    Ok((2.0 * norm_sf(z)).clamp(f64::MIN_POSITIVE, 1.0))
}

/// Rank-biserial correlation (W₊ − W₋)/(W₊ + W₋), zeros dropped (Kerby 2014).
///
/// # Errors
/// [`Missing::NoData`], [`Missing::AllZero`].
pub fn rank_biserial(diff: &[i64]) -> Known<f64> {
    DoubledRanks::of_counts(diff, Zeros::Wilcox)?.biserial()
}

/// [`rank_biserial`] of real-valued differences.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::NotFinite`], [`Missing::AllZero`].
pub fn rank_biserial_real(diff: &[f64]) -> Known<f64> {
    DoubledRanks::of_reals(diff, Zeros::Wilcox)?.biserial()
}

/// Twice the midranks of the non-zero differences, whole numbers.
struct DoubledRanks {
    nonzero: Vec<usize>,
    positive: usize,
    total: usize,
}

impl DoubledRanks {
    fn of_counts(diff: &[i64], zeros: Zeros) -> Known<DoubledRanks> {
        let mut sized: Vec<(u64, bool)> = diff.iter().map(|d| (d.unsigned_abs(), *d > 0)).collect();
        sized.sort_unstable_by_key(|s| s.0);
        DoubledRanks::of(&sized, |s| *s == 0, zeros)
    }

    fn of_reals(diff: &[f64], zeros: Zeros) -> Known<DoubledRanks> {
        all_finite(diff)?;
        let mut sized: Vec<(f64, bool)> = diff.iter().map(|d| (d.abs(), *d > 0.0)).collect();
        sized.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        DoubledRanks::of(&sized, |s| *s == 0.0, zeros)
    }

    /// `sized`: size and "is positive", ascending by size. A tie group at positions i..j has twice
    /// the rank i + 1 + j.
    fn of<T: PartialEq>(
        sized: &[(T, bool)],
        is_zero: impl Fn(&T) -> bool,
        zeros: Zeros,
    ) -> Known<DoubledRanks> {
        if sized.is_empty() {
            return Err(Missing::NoData);
        }
        let n_zero = sized.iter().take_while(|s| is_zero(&s.0)).count();
        let nonzero_sized = &sized[n_zero..];
        let offset = match zeros {
            Zeros::Wilcox => 0,
            Zeros::Pratt => 2 * n_zero,
        };
        let mut ranks = DoubledRanks {
            nonzero: Vec::with_capacity(nonzero_sized.len()),
            positive: 0,
            total: 0,
        };
        let mut i = 0;
        while i < nonzero_sized.len() {
            let group = nonzero_sized[i..].iter().take_while(|s| s.0 == nonzero_sized[i].0);
            let positive = group.clone().filter(|s| s.1).count();
            let j = i + group.count();
            let rank = offset + i + 1 + j;
            ranks.nonzero.extend(std::iter::repeat_n(rank, j - i));
            ranks.positive += positive * rank;
            ranks.total += (j - i) * rank;
            i = j;
        }
        Ok(ranks)
    }

    /// (W₊ − W₋)/(W₊ + W₋).
    fn biserial(&self) -> Known<f64> {
        if self.nonzero.is_empty() {
            return Err(Missing::AllZero);
        }
        let (plus, minus) = (self.positive as f64, (self.total - self.positive) as f64);
        Ok((plus - minus) / (plus + minus))
    }

    /// W₊ minus its mean under the null.
    fn centered(&self) -> f64 {
        (self.positive as f64 - 0.5 * self.total as f64) / 2.0
    }

    /// Standard deviation of W₊ under the null, √(Σ rank²)/2; holds under ties.
    fn sd(&self) -> f64 {
        let squares: f64 = self.nonzero.iter().map(|&r| (r as f64) * (r as f64)).sum();
        squares.sqrt() / 4.0
    }
}

fn test(ranks: &DoubledRanks, exact: bool) -> Known<SignedRank> {
    let n_nonzero = ranks.nonzero.len();
    let (p_two, p_greater, p_less) = if exact || n_nonzero == 0 {
        let p = symmetric_p(&mut ranks.nonzero.iter().copied(), ranks.positive, ranks.total);
        (p.two, p.greater, p.less)
    } else {
        let z = ranks.centered() / ranks.sd();
        let positive = |p: f64| p.clamp(f64::MIN_POSITIVE, 1.0);
        (positive(2.0 * norm_sf(z.abs())), positive(norm_sf(z)), positive(norm_sf(-z)))
    };
    Ok(SignedRank {
        n_nonzero,
        w_plus: ranks.positive as f64 / 2.0,
        w_minus: (ranks.total - ranks.positive) as f64 / 2.0,
        p_two,
        p_greater,
        p_less,
        p_min: attainable(n_nonzero),
        exact: exact || n_nonzero == 0,
    })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn twelve_tied_differences_have_the_p_scipy_misses() {
        let d = [1, 1, 1, 0, 0, -1, 2, 1, 0, 1, 2, -1];
        let test = wilcoxon_signed_rank(&d, Zeros::Wilcox).unwrap();
        assert_relative_eq!(test.p_two, 0.11328125);
    }

    #[test]
    fn no_difference_is_no_evidence() {
        for zeros in [Zeros::Wilcox, Zeros::Pratt] {
            let test = wilcoxon_signed_rank(&[0, 0], zeros).unwrap();
            assert_eq!((test.p_two, test.n_nonzero), (1.0, 0));
        }
        assert_eq!(wilcoxon_normal(&[0, 0], Zeros::Wilcox, false), Err(Missing::AllZero));
        assert_eq!(rank_biserial(&[0]), Err(Missing::AllZero));
        assert_eq!(wilcoxon_real(&[], Zeros::Pratt), Err(Missing::NoData));
    }

    #[test]
    fn real_values_rank_like_the_counts_they_stand_for() {
        let d = [3i64, -1, 4, -1, 5, -9, 2, 6];
        let real: Vec<f64> = d.iter().map(|&x| x as f64).collect();
        assert_eq!(
            wilcoxon_signed_rank(&d, Zeros::Pratt).unwrap(),
            wilcoxon_real(&real, Zeros::Pratt).unwrap()
        );
    }

    #[test]
    fn the_normal_approximation_takes_over_smoothly() {
        let d: Vec<i64> = (0..201).map(|i| (i * 37) % 101 - 44).collect();
        let normal = wilcoxon_signed_rank(&d, Zeros::Wilcox).unwrap();
        let exact = wilcoxon_signed_rank(&d[..200], Zeros::Wilcox).unwrap();
        assert!(!normal.exact && exact.exact);
        let approximate = wilcoxon_normal(&d[..200], Zeros::Wilcox, false).unwrap();
        assert_relative_eq!(exact.p_two, approximate, max_relative = 0.05);
    }
}
