//! The set of configurations that cannot be told from the best.
//!
//! A configuration leaves the set iff some other one beats it one-sided at α/(k−1). For the true
//! best, P(excluded) ≤ α by Bonferroni over its own k−1 comparisons; no correction over all pairs is
//! needed, and nothing is chosen by the data. Not an order of the configurations.

use crate::describe::Moments;
use crate::distribution::t_sf;
use crate::missing::{Known, Missing, same_length};
use crate::paired::differences;
use crate::signflip::signflip_exact;

/// The test behind the comparisons of a best set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BestSetTest {
    /// Exact one-sided sign-flip.
    SignFlip,
    /// One-sided paired t; pairs without variance never exclude.
    PairedT,
}

/// Which configurations stay.
#[derive(Clone, Debug, PartialEq)]
pub struct BestSet {
    /// True for each configuration not distinguishable from the best; never all false.
    pub in_set: Vec<bool>,
    /// `min(1, (k−1)·smallest one-sided p of any other against it)`: excluded iff ≤ α.
    pub p_excluded: Vec<f64>,
    /// The configuration with that smallest p, for the excluded ones.
    pub beaten_by: Vec<Option<usize>>,
}

/// The test the default rule takes: sign-flip when n ≥ log2((k−1)/α), so that it can exclude at
/// all, else t. The report names it.
pub fn best_set_test(n_seeds: usize, k: usize, alpha: f64) -> BestSetTest {
    let comparisons = k.saturating_sub(1).max(1) as f64;
    if n_seeds as f64 >= (comparisons / alpha).log2() {
        BestSetTest::SignFlip
    } else {
        BestSetTest::PairedT
    }
}

/// Best set of counts: one slice per configuration, entry s the same seed in all; more is better.
///
/// # Errors
/// [`Missing::NoData`] for no configuration or no seed, [`Missing::UnequalLengths`],
/// [`Missing::OutOfRange`] unless 0 < α < ½.
pub fn best_set<R: AsRef<[i64]>>(counts: &[R], alpha: f64, test: BestSetTest) -> Known<BestSet> {
    let first = counts.first().ok_or(Missing::NoData)?.as_ref().len();
    for row in counts {
        same_length(first, row.as_ref().len())?;
    }
    if first == 0 {
        return Err(Missing::NoData);
    }
    best_set_by(counts.len(), alpha, |i, j| p_beats(counts[i].as_ref(), counts[j].as_ref(), test))
}

/// One-sided p for "`b` is better than `a`" on paired counts.
///
/// # Errors
/// As the test: [`Missing::OneSeed`] and [`Missing::ZeroVariance`] for t.
pub fn p_beats(a: &[i64], b: &[i64], test: BestSetTest) -> Known<f64> {
    let diff = differences(a, b)?;
    match test {
        BestSetTest::SignFlip => Ok(signflip_exact(&diff)?.p_greater),
        BestSetTest::PairedT => {
            let real: Vec<f64> = diff.iter().map(|&d| d as f64).collect();
            let moments = Moments::of(&real)?;
            t_sf(moments.mean / moments.positive_se()?, moments.df())
        }
    }
}

/// Best set of `k` configurations from any one-sided test: `p(i, j)` is the p value for "j is better
/// than i" on the pairs both have. A pair without a p value never excludes.
///
/// # Errors
/// [`Missing::NoData`] for k = 0, [`Missing::OutOfRange`] unless 0 < α < ½ (below ½ the
/// configuration with the best mean is never excluded by a symmetric test).
pub fn best_set_by(k: usize, alpha: f64, p: impl Fn(usize, usize) -> Known<f64>) -> Known<BestSet> {
    if !(alpha > 0.0 && alpha < 0.5) {
        return Err(Missing::OutOfRange("`alpha` of a best set must be in 0..0.5"));
    }
    if k == 0 {
        return Err(Missing::NoData);
    }
    let mut set = BestSet { in_set: vec![], p_excluded: vec![], beaten_by: vec![] };
    for i in 0..k {
        let (smallest, by) = (0..k)
            .filter(|&j| j != i)
            .filter_map(|j| Some((p(i, j).ok()?, j)))
            .fold((1.0f64, None), |best, (p, j)| if p < best.0 { (p, Some(j)) } else { best });
        let excluded = by.is_some() && smallest <= alpha / (k - 1) as f64;
        set.in_set.push(!excluded);
        set.p_excluded.push(if by.is_some() { (smallest * (k - 1) as f64).min(1.0) } else { 1.0 });
        set.beaten_by.push(by.filter(|_| excluded));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_alone_is_the_best_set() {
        let set = best_set(&[[50i64, 51]], 0.05, BestSetTest::SignFlip).unwrap();
        assert_eq!((set.in_set, set.p_excluded), (vec![true], vec![1.0]));
        assert!(best_set::<[i64; 0]>(&[], 0.05, BestSetTest::SignFlip).is_err());
    }

    #[test]
    fn a_constant_lead_never_excludes_by_t_but_does_by_sign_flip() {
        let counts = [[50i64; 8], [52; 8]];
        assert_eq!(best_set(&counts, 0.05, BestSetTest::PairedT).unwrap().in_set, [true, true]);
        let set = best_set(&counts, 0.05, BestSetTest::SignFlip).unwrap();
        assert_eq!(set.in_set, [false, true]);
        assert_eq!(set.beaten_by, [Some(1), None]);
    }

    #[test]
    fn the_default_test_is_exact_from_the_seeds_it_needs() {
        // k = 12: 8 seeds, k = 200: 12 seeds
        assert_eq!(best_set_test(7, 12, 0.05), BestSetTest::PairedT);
        assert_eq!(best_set_test(8, 12, 0.05), BestSetTest::SignFlip);
        assert_eq!(best_set_test(11, 200, 0.05), BestSetTest::PairedT);
        assert_eq!(best_set_test(12, 200, 0.05), BestSetTest::SignFlip);
    }
}
