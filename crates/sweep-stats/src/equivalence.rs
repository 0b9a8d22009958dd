//! Equivalence: is the difference within a region of practical equivalence (ROPE)?
//!
//! Two one-sided tests, their sign-flip form for differences without variance, and the flat-prior t
//! posterior. A large p of a difference test never shows equivalence; a small p here does.

use crate::describe::Moments;
use crate::distribution::t_sf;
use crate::interval::Interval;
use crate::missing::{Known, Missing, check_alpha, check_n_val, check_rope};
use crate::paired::{differences, moments_of_differences};
use crate::signflip::signflip_exact;

/// How an equivalence p value was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TostMethod {
    /// Paired t.
    PairedT,
    /// One-sided sign-flips of d + r and r − d, because the differences have no variance.
    SignFlip,
}

/// Result of two one-sided tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tost {
    /// The larger of the two: equivalence is shown when it is at most α.
    pub p: f64,
    /// p of "mean difference ≤ −ROPE".
    pub p_lower: f64,
    /// p of "mean difference ≥ ROPE".
    pub p_upper: f64,
    /// Interval of the mean difference at level 1 − 2α; none without variance.
    pub interval: Known<Interval>,
    /// Which test it was.
    pub method: TostMethod,
}

/// Two one-sided paired t tests (Schuirmann 1987) on counts out of `n_val`; `rope` is the half-width
/// as a fraction. Without variance the sign-flip form [`tost_signflip`] is taken.
///
/// # Errors
/// [`Missing::OneSeed`], [`Missing::NoData`], [`Missing::UnequalLengths`], [`Missing::OutOfRange`].
pub fn tost_counts(a: &[i64], b: &[i64], n_val: u64, rope: f64, alpha: f64) -> Known<Tost> {
    check_rope(rope)?;
    check_alpha(alpha)?;
    let unit = check_n_val(n_val)?;
    let diff = differences(a, b)?;
    let real: Vec<f64> = diff.iter().map(|&d| d as f64).collect();
    let moments = Moments::of(&real)?;
    match moments.positive_variance() {
        Ok(_) => tost(&moments, rope * unit, alpha, 1.0 / unit),
        Err(Missing::ZeroVariance) => tost_signflip(&diff, n_val, rope),
        Err(other) => Err(other),
    }
}

/// Two one-sided paired t tests on real values, `rope` in their unit.
///
/// # Errors
/// As [`tost_counts`], and [`Missing::ZeroVariance`]: there is no whole-number form here.
pub fn tost_paired_t(a: &[f64], b: &[f64], rope: f64, alpha: f64) -> Known<Tost> {
    check_rope(rope)?;
    check_alpha(alpha)?;
    tost(&moments_of_differences(a, b)?, rope, alpha, 1.0)
}

fn tost(moments: &Moments, rope: f64, alpha: f64, unit: f64) -> Known<Tost> {
    let (se, df) = (moments.positive_se()?, moments.df());
    let positive = |p: f64| p.clamp(f64::MIN_POSITIVE, 1.0);
    let p_lower = positive(t_sf((moments.mean + rope) / se, df)?);
    let p_upper = positive(t_sf((rope - moments.mean) / se, df)?);
    let interval = if alpha < 0.5 {
        moments.t_interval(1.0 - 2.0 * alpha).map(|i| i.scaled(unit))
    } else {
        Err(Missing::OutOfRange("`alpha` must be below 0.5 for an interval of level 1 - 2·alpha"))
    };
    Ok(Tost { p: p_lower.max(p_upper), p_lower, p_upper, interval, method: TostMethod::PairedT })
}

/// Equivalence by exact one-sided sign-flips of d + r and r − d with `r = ⌊ROPE·n_val + 1e-9⌋`
/// examples; p = 2^−n when all differences are 0 and r ≥ 1, and 1 when r = 0.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::TooLarge`], [`Missing::OutOfRange`].
pub fn tost_signflip(diff: &[i64], n_val: u64, rope: f64) -> Known<Tost> {
    check_rope(rope)?;
    let margin = (rope * check_n_val(n_val)? + 1e-9).floor();
    if margin > 1e15 {
        return Err(Missing::TooLarge("ROPE in examples"));
    }
    let r = margin as i64;
    let shifted = |sign: i64| -> Known<f64> {
        let moved: Option<Vec<i64>> =
            diff.iter().map(|d| d.checked_mul(sign).and_then(|d| d.checked_add(r))).collect();
        Ok(signflip_exact(&moved.ok_or(Missing::TooLarge("differences"))?)?.p_greater)
    };
    let (p_lower, p_upper) = (shifted(1)?, shifted(-1)?);
    Ok(Tost {
        p: p_lower.max(p_upper),
        p_lower,
        p_upper,
        interval: Err(Missing::ZeroVariance),
        method: TostMethod::SignFlip,
    })
}

/// Posterior probabilities that sum to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopePosterior {
    /// P(difference < −ROPE): A is better.
    pub p_a_better: f64,
    /// P(difference inside ±ROPE).
    pub p_rope: f64,
    /// P(difference > ROPE): B is better.
    pub p_b_better: f64,
}

/// Flat-prior t posterior of the mean difference B − A of counts out of `n_val`, with correlation
/// `rho` between the values (0 for seeds that are independent given the split).
///
/// # Errors
/// [`Missing::OneSeed`], [`Missing::ZeroVariance`], [`Missing::NoData`],
/// [`Missing::UnequalLengths`], [`Missing::OutOfRange`] unless 0 ≤ `rho` < 1.
pub fn bayes_t_rope(a: &[i64], b: &[i64], n_val: u64, rope: f64, rho: f64) -> Known<RopePosterior> {
    let unit = check_n_val(n_val)?;
    let diff: Vec<f64> = differences(a, b)?.iter().map(|&d| d as f64).collect();
    t_posterior(&Moments::of(&diff)?, rope * unit, rho)
}

/// t posterior with location the mean, ν = J − 1 and scale² = v·(1/J + ρ/(1−ρ)).
pub(crate) fn t_posterior(moments: &Moments, rope: f64, rho: f64) -> Known<RopePosterior> {
    check_rope(rope)?;
    if !(0.0..1.0).contains(&rho) {
        return Err(Missing::OutOfRange("`rho` must be in 0..1, 0 included"));
    }
    let variance = moments.positive_variance()?;
    let scale = (variance * (1.0 / moments.n as f64 + rho / (1.0 - rho))).sqrt();
    let p_a_better = t_sf((moments.mean + rope) / scale, moments.df())?;
    let p_b_better = t_sf((rope - moments.mean) / scale, moments.df())?;
    Ok(RopePosterior { p_a_better, p_rope: (1.0 - p_a_better - p_b_better).max(0.0), p_b_better })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn identical_runs_are_equivalent_by_sign_flip() {
        let counts = [54i64; 6];
        let t = tost_counts(&counts, &counts, 60, 1.0 / 60.0, 0.05).unwrap();
        assert_eq!((t.p, t.method), (2f64.powi(-6), TostMethod::SignFlip));
        assert_eq!(t.interval, Err(Missing::ZeroVariance));
    }

    #[test]
    fn a_rope_of_less_than_one_example_shows_nothing_without_variance() {
        assert_eq!(tost_counts(&[54; 6], &[54; 6], 60, 0.01, 0.05).unwrap().p, 1.0);
        // a constant difference at the margin is not inside it
        assert_eq!(tost_counts(&[54; 6], &[55; 6], 60, 1.0 / 60.0, 0.05).unwrap().p, 1.0);
    }

    #[test]
    fn posterior_probabilities_sum_to_one() {
        let p = bayes_t_rope(&[50, 51, 52], &[52, 51, 55], 60, 0.02, 0.1).unwrap();
        assert_relative_eq!(p.p_a_better + p.p_rope + p.p_b_better, 1.0, epsilon = 1e-14);
        assert!(bayes_t_rope(&[50], &[52], 60, 0.02, 0.0).is_err());
        assert!(bayes_t_rope(&[50, 51], &[52, 51], 60, 0.02, 1.0).is_err());
    }

    #[test]
    fn one_seed_shows_no_equivalence() {
        assert_eq!(tost_counts(&[50], &[50], 60, 0.1, 0.05), Err(Missing::OneSeed));
        assert!(tost_counts(&[50, 51], &[50, 50], 60, -0.1, 0.05).is_err());
        assert!(tost_counts(&[50, 51], &[50, 50], 60, 0.1, 0.6).unwrap().interval.is_err());
    }
}
