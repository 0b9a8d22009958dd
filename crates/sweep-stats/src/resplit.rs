//! E3: tests over re-splits of one data set, where training parts overlap and values correlate.
//!
//! For analysis only; no scheme that re-splits is offered by default.

use crate::describe::Moments;
use crate::distribution::{f_sf, t_two_sided};
use crate::equivalence::t_posterior;
use crate::missing::{Known, Missing, all_finite};

/// Result of the corrected resampled t test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NadeauBengio {
    /// Mean over its corrected standard error.
    pub t: f64,
    /// J − 1.
    pub df: f64,
    /// Two-sided p.
    pub p_two: f64,
    /// Two-sided p without the correction; for comparison only.
    pub p_two_uncorrected: f64,
}

/// Corrected resampled t test (Nadeau, Bengio 2003): `se² = v·(1/J + n_test/n_train)`, J − 1 degrees
/// of freedom.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::OneSeed`] (one split), [`Missing::ZeroVariance`],
/// [`Missing::NotFinite`], [`Missing::OutOfRange`] for a negative ratio.
pub fn nadeau_bengio_t(diff: &[f64], n_test_over_n_train: f64) -> Known<NadeauBengio> {
    if !(n_test_over_n_train >= 0.0 && n_test_over_n_train.is_finite()) {
        return Err(Missing::OutOfRange("`n_test_over_n_train` must be finite and at least 0"));
    }
    let moments = Moments::of(diff)?;
    let variance = moments.positive_variance()?;
    let splits = 1.0 / moments.n as f64;
    let t = moments.mean / (variance * (splits + n_test_over_n_train)).sqrt();
    let plain = moments.mean / (variance * splits).sqrt();
    Ok(NadeauBengio {
        t,
        df: moments.df(),
        p_two: t_two_sided(t, moments.df())?,
        p_two_uncorrected: t_two_sided(plain, moments.df())?,
    })
}

/// Posterior of a mean difference under correlated values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrelatedT {
    /// P(mean < −ROPE).
    pub p_left: f64,
    /// P(mean inside ±ROPE).
    pub p_rope: f64,
    /// P(mean > ROPE).
    pub p_right: f64,
}

/// Bayesian correlated t test (Corani, Benavoli 2015): se² = v·(1/J + ρ/(1−ρ)). By default
/// `ρ = n_test/n`.
///
/// # Errors
/// As [`nadeau_bengio_t`]; 0 ≤ `rho` < 1, `rope` ≥ 0.
pub fn bayes_correlated_t(diff: &[f64], rho: f64, rope: f64) -> Known<CorrelatedT> {
    let p = t_posterior(&Moments::of(diff)?, rope, rho)?;
    Ok(CorrelatedT { p_left: p.p_a_better, p_rope: p.p_rope, p_right: p.p_b_better })
}

/// Results of the 5×2 cross-validation tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiveByTwo {
    /// Dietterich's t: first difference over the pooled deviation, 5 degrees of freedom.
    pub t: f64,
    /// Two-sided p of `t`.
    pub p_t: f64,
    /// Alpaydın's F: Σ d²/(2 Σ s²), (10, 5) degrees of freedom.
    pub f: f64,
    /// Upper tail of `f`.
    pub p_f: f64,
}

/// 5×2 cross-validation tests (Dietterich 1998; Alpaydın 1999): two differences from each of five
/// repetitions.
///
/// # Errors
/// [`Missing::ZeroVariance`] when both folds agree in every repetition, [`Missing::NotFinite`].
pub fn dietterich_5x2cv(diff: &[[f64; 2]; 5]) -> Known<FiveByTwo> {
    all_finite(diff.as_flattened())?;
    // s² of two values is half their squared gap
    let spread: f64 = diff.iter().map(|[a, b]| 0.5 * (a - b) * (a - b)).sum();
    let squares: f64 = diff.as_flattened().iter().map(|d| d * d).sum();
    let rounding = 8.0 * f64::EPSILON;
    if spread <= squares * rounding * rounding {
        return Err(Missing::ZeroVariance);
    }
    let t = diff[0][0] / (spread / 5.0).sqrt();
    let f = squares / (2.0 * spread);
    if !t.is_finite() || !f.is_finite() {
        return Err(Missing::TooLarge("squares of the differences"));
    }
    Ok(FiveByTwo { t, p_t: t_two_sided(t, 5.0)?, f, p_f: f_sf(f, 10.0, 5.0)? })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn without_overlap_the_correction_vanishes() {
        let test = nadeau_bengio_t(&[0.01, 0.03, -0.01], 0.0).unwrap();
        assert_relative_eq!(test.p_two, test.p_two_uncorrected);
    }

    #[test]
    fn without_variation_there_is_no_test() {
        assert_eq!(nadeau_bengio_t(&[0.1; 4], 0.2), Err(Missing::ZeroVariance));
        assert_eq!(nadeau_bengio_t(&[0.1], 0.2), Err(Missing::OneSeed));
        assert_eq!(nadeau_bengio_t(&[], 0.2), Err(Missing::NoData));
        assert_eq!(dietterich_5x2cv(&[[0.1, 0.1]; 5]), Err(Missing::ZeroVariance));
        assert!(bayes_correlated_t(&[0.1, 0.2], 1.0, 0.01).is_err());
    }
}
