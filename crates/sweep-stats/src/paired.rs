//! The paired t test and interval over seeds (E1), and the differences it works on.
//!
//! Sign convention everywhere: difference = B − A, positive = B better. The primary test is
//! [`crate::signflip`]; effect sizes without a test are in [`crate::effect`].

use crate::describe::Moments;
use crate::distribution::t_p_values;
use crate::interval::Interval;
use crate::missing::{Known, Missing, all_finite, check_conf, check_n_val, same_length};

/// Result of a paired t test, in the unit of the values (fractions for counts).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedT {
    /// Pairs.
    pub n: usize,
    /// Mean of B − A.
    pub mean_diff: f64,
    /// Standard deviation of B − A, divisor n − 1, positive.
    pub sd_diff: f64,
    /// `mean_diff / (sd_diff/√n)`.
    pub t: f64,
    /// n − 1.
    pub df: f64,
    /// Two-sided p.
    pub p_two: f64,
    /// One-sided p for "B is better".
    pub p_greater: f64,
    /// One-sided p for "B is worse".
    pub p_less: f64,
    /// Interval of the mean difference at the level asked for.
    pub interval: Interval,
}

/// `b[s] − a[s]` per pair, in examples.
///
/// # Errors
/// [`Missing::UnequalLengths`]; [`Missing::TooLarge`] on overflow.
pub fn differences(a: &[i64], b: &[i64]) -> Known<Vec<i64>> {
    same_length(a.len(), b.len())?;
    a.iter()
        .zip(b)
        .map(|(a, b)| b.checked_sub(*a).ok_or(Missing::TooLarge("difference of counts")))
        .collect()
}

/// Paired t test on counts out of `n_val`; results are fractions.
///
/// # Errors
/// [`Missing::OneSeed`], [`Missing::ZeroVariance`] when all differences are equal (there is then no
/// p and no interval, not p = 0), [`Missing::UnequalLengths`], [`Missing::NoData`].
pub fn paired_t_counts(a: &[i64], b: &[i64], n_val: u64, conf: f64) -> Known<PairedT> {
    let n_val = check_n_val(n_val)?;
    let diff: Vec<f64> = differences(a, b)?.iter().map(|&d| d as f64).collect();
    let test = from_moments(Moments::of(&diff)?, conf)?;
    Ok(PairedT {
        mean_diff: test.mean_diff / n_val,
        sd_diff: test.sd_diff / n_val,
        interval: test.interval.scaled(1.0 / n_val),
        ..test
    })
}

/// Paired t test on real values (metrics without counts). Differences that are equal up to
/// rounding have no variance.
///
/// # Errors
/// As [`paired_t_counts`], and [`Missing::NotFinite`].
pub fn paired_t(a: &[f64], b: &[f64], conf: f64) -> Known<PairedT> {
    from_moments(moments_of_differences(a, b)?, conf)
}

pub(crate) fn moments_of_differences(a: &[f64], b: &[f64]) -> Known<Moments> {
    same_length(a.len(), b.len())?;
    all_finite(a)?;
    all_finite(b)?;
    let scale = a.iter().chain(b).fold(0.0f64, |m, v| m.max(v.abs()));
    let diff: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    Moments::with_scale(&diff, scale)
}

pub(crate) fn from_moments(moments: Moments, conf: f64) -> Known<PairedT> {
    check_conf(conf)?;
    let se = moments.positive_se()?;
    let (t, df) = (moments.mean / se, moments.df());
    let p = t_p_values(t, df)?;
    Ok(PairedT {
        n: moments.n,
        mean_diff: moments.mean,
        sd_diff: moments.sd()?,
        t,
        df,
        p_two: p.two,
        p_greater: p.greater,
        p_less: p.less,
        interval: moments.t_interval(conf)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_differences_have_no_p_value() {
        assert_eq!(paired_t_counts(&[50, 51], &[52, 53], 60, 0.95), Err(Missing::ZeroVariance));
        // 0.3 − 0.2 and 0.2 − 0.1 differ by rounding only
        assert_eq!(paired_t(&[0.2, 0.1], &[0.3, 0.2], 0.95), Err(Missing::ZeroVariance));
    }

    #[test]
    fn one_pair_none_and_unequal_lengths_are_told_apart() {
        assert_eq!(paired_t_counts(&[50], &[52], 60, 0.95), Err(Missing::OneSeed));
        assert_eq!(paired_t_counts(&[], &[], 60, 0.95), Err(Missing::NoData));
        assert_eq!(
            paired_t_counts(&[1], &[1, 2], 60, 0.95),
            Err(Missing::UnequalLengths { left: 1, right: 2 })
        );
        assert!(differences(&[i64::MIN], &[i64::MAX]).is_err());
    }

    #[test]
    fn the_one_sided_p_values_follow_the_sign() {
        let up = paired_t_counts(&[50, 50, 50], &[52, 53, 55], 60, 0.95).unwrap();
        assert!(up.p_greater < 0.05 && up.p_less > 0.95);
        assert!((up.p_two - 2.0 * up.p_greater).abs() < 1e-15);
    }
}
