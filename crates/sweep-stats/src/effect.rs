//! Effect sizes of B against A: how large a difference is, without asking whether it is one.
//!
//! Not for tests or intervals of the mean: see [`crate::paired`].

use crate::bootstrap::percentile_of;
use crate::describe::Moments;
use crate::interval::Interval;
use crate::missing::{Known, Missing, all_finite, check_conf, check_n_val, same_length};
use crate::paired::{differences, moments_of_differences};
use crate::rng::SplitMix64;
use crate::wilcoxon::{rank_biserial, rank_biserial_real};

/// Effect sizes of B against A; positive = B better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EffectSizes {
    /// Mean of B − A, in the unit of the values (a fraction for counts).
    pub mean_diff: f64,
    /// Median of the Walsh averages `(d_i + d_j)/2`, i ≤ j (Hodges, Lehmann 1963); same unit.
    pub hodges_lehmann: f64,
    /// Cliff's δ: P(b > a) − P(b < a) over all n² couples, −1 ..= 1.
    pub cliffs_delta: f64,
    /// A12 = (δ + 1)/2 (Vargha, Delaney 2000).
    pub a12: f64,
    /// Cohen's `d_z` = mean / sd of the differences.
    pub cohen_dz: Known<f64>,
    /// `d_av = mean / √((var_a + var_b)/2)`.
    pub cohen_dav: Known<f64>,
    /// `d_z` with Hedges' correction Γ(ν/2)/(Γ((ν−1)/2)·√(ν/2)), ν = n − 1; needs 3 pairs.
    pub hedges_gz: Known<f64>,
    /// (W₊ − W₋)/(W₊ + W₋), zeros dropped.
    pub rank_biserial: Known<f64>,
    /// Share of pairs with B above A, ties half.
    pub prob_b_gt_a_paired: f64,
}

/// Effect sizes on counts out of `n_val`, one per seed.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::UnequalLengths`]. Quantities that need a spread carry their own
/// reason.
pub fn effect_sizes_counts(a: &[i64], b: &[i64], n_val: u64) -> Known<EffectSizes> {
    let n_val = check_n_val(n_val)?;
    let diff = differences(a, b)?;
    let real = |x: &[i64]| x.iter().map(|&v| v as f64).collect::<Vec<f64>>();
    let (a, b, d) = (real(a), real(b), real(&diff));
    let sizes = sizes(&a, &b, &d, Moments::of(&d)?, rank_biserial(&diff))?;
    Ok(EffectSizes {
        mean_diff: sizes.mean_diff / n_val,
        hodges_lehmann: sizes.hodges_lehmann / n_val,
        ..sizes
    })
}

/// Effect sizes on real values, one per seed.
///
/// # Errors
/// As [`effect_sizes_counts`], and [`Missing::NotFinite`].
pub fn effect_sizes(a: &[f64], b: &[f64]) -> Known<EffectSizes> {
    let moments = moments_of_differences(a, b)?;
    let d: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    sizes(a, b, &d, moments, rank_biserial_real(&d))
}

fn sizes(
    a: &[f64],
    b: &[f64],
    d: &[f64],
    moments: Moments,
    rank_biserial: Known<f64>,
) -> Known<EffectSizes> {
    let cohen_dz = moments.positive_variance().map(|v| moments.mean / v.sqrt());
    let delta = cliffs_delta(a, b)?;
    Ok(EffectSizes {
        mean_diff: moments.mean,
        hodges_lehmann: hodges_lehmann(d)?,
        cliffs_delta: delta,
        a12: (delta + 1.0) / 2.0,
        cohen_dz,
        cohen_dav: cohen_dav(a, b, moments.mean),
        hedges_gz: cohen_dz.and_then(|dz| Ok(dz * hedges_correction(moments.n)?)),
        rank_biserial,
        prob_b_gt_a_paired: wins(a, b).iter().map(|&w| f64::from(w)).sum::<f64>()
            / (2.0 * d.len() as f64),
    })
}

/// Median of the Walsh averages `(d_i + d_j)/2`, i ≤ j.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::NotFinite`]; [`Missing::TooLarge`] above 10,000 values.
pub fn hodges_lehmann(diff: &[f64]) -> Known<f64> {
    all_finite(diff)?;
    if diff.len() > 10_000 {
        return Err(Missing::TooLarge("Walsh averages of more than 10000 differences"));
    }
    let mut walsh: Vec<f64> = (0..diff.len())
        .flat_map(|i| diff[i..].iter().map(move |&d| 0.5 * diff[i] + 0.5 * d))
        .collect();
    if walsh.is_empty() {
        return Err(Missing::NoData);
    }
    let middle = walsh.len() / 2;
    let odd = walsh.len() % 2 == 1;
    let (below, &mut upper, _) = walsh.select_nth_unstable_by(middle, f64::total_cmp);
    if odd {
        return Ok(upper);
    }
    let lower = below.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
    Ok(0.5 * lower + 0.5 * upper)
}

/// Cliff's δ of `b` against `a` over all couples (not only pairs); lengths may differ.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::NotFinite`].
pub fn cliffs_delta(a: &[f64], b: &[f64]) -> Known<f64> {
    all_finite(a)?;
    all_finite(b)?;
    if a.is_empty() || b.is_empty() {
        return Err(Missing::NoData);
    }
    let net: i64 =
        b.iter().map(|y| a.iter().map(|x| i64::from(y > x) - i64::from(y < x)).sum::<i64>()).sum();
    Ok(net as f64 / (a.len() as f64 * b.len() as f64))
}

fn cohen_dav(a: &[f64], b: &[f64], mean: f64) -> Known<f64> {
    let (sd_a, sd_b) = (Moments::of(a)?.sd()?, Moments::of(b)?.sd()?);
    let pooled = ((sd_a * sd_a + sd_b * sd_b) / 2.0).sqrt();
    if pooled > 0.0 { Ok(mean / pooled) } else { Err(Missing::ZeroVariance) }
}

fn hedges_correction(n: usize) -> Known<f64> {
    if n < 3 {
        return Err(Missing::TooFewSeeds { have: n, need: 3 });
    }
    let nu = (n - 1) as f64;
    Ok((libm::lgamma(nu / 2.0) - libm::lgamma((nu - 1.0) / 2.0)).exp() / (nu / 2.0).sqrt())
}

/// 2 for a pair that B wins, 1 for a tie, 0 for a loss.
fn wins<T: PartialOrd>(a: &[T], b: &[T]) -> Vec<u32> {
    a.iter().zip(b).map(|(a, b)| 2 * u32::from(b > a) + u32::from(b == a)).collect()
}

/// P(B > A) with its percentile bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbOutperform {
    /// Share of pairs with B above A, ties half.
    pub p_b_over_a: f64,
    /// Percentile bootstrap over pairs; none when every pair says the same.
    pub percentile: Known<Interval>,
}

/// Probability that B outperforms A on one seed, ties half (Bouthillier et al. 2021 mark .75).
/// Replicate b, draw j resamples pair `index(b·n + j)` of `seed`.
///
/// # Errors
/// [`Missing::NoData`], [`Missing::UnequalLengths`]; `resamples` must be at least 1.
pub fn prob_outperform<T: PartialOrd>(
    a: &[T],
    b: &[T],
    seed: u64,
    resamples: u64,
    conf: f64,
) -> Known<ProbOutperform> {
    check_conf(conf)?;
    same_length(a.len(), b.len())?;
    let wins = wins(a, b);
    let n = wins.len() as u64;
    if n == 0 || resamples == 0 {
        return Err(Missing::NoData);
    }
    let rng = SplitMix64::new(seed);
    let share = |sum: u64| sum as f64 / (2.0 * n as f64);
    let percentile = if wins.iter().all(|w| *w == wins[0]) {
        Err(if n == 1 { Missing::OneSeed } else { Missing::ZeroVariance })
    } else {
        let mut sums: Vec<i64> = (0..resamples)
            .map(|r| (0..n).map(|j| i64::from(wins[rng.index(r * n + j, n) as usize])).sum())
            .collect();
        sums.sort_unstable();
        percentile_of(&sums, 2.0 * n as f64, conf)
    };
    Ok(ProbOutperform { p_b_over_a: share(wins.iter().map(|&w| u64::from(w)).sum()), percentile })
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn a_constant_difference_has_a_size_but_no_standardized_one() {
        let e = effect_sizes_counts(&[50, 51, 52], &[51, 52, 53], 60).unwrap();
        assert_relative_eq!(e.mean_diff, 1.0 / 60.0);
        assert_relative_eq!(e.hodges_lehmann, 1.0 / 60.0);
        assert_eq!(e.cohen_dz, Err(Missing::ZeroVariance));
        assert_eq!(e.rank_biserial, Ok(1.0));
        assert!(e.cohen_dav.is_ok());
    }

    #[test]
    fn hedges_correction_needs_three_pairs_and_tends_to_one() {
        assert!(hedges_correction(2).is_err());
        // Γ(1)/(Γ(½)·√1) = 1/√π for three pairs
        assert_relative_eq!(
            hedges_correction(3).unwrap(),
            1.0 / std::f64::consts::PI.sqrt(),
            max_relative = 1e-14
        );
        assert_relative_eq!(hedges_correction(100_000).unwrap(), 1.0, epsilon = 1e-4);
    }

    #[test]
    fn identical_slices_have_no_effect() {
        let e = effect_sizes(&[0.5, 0.7], &[0.5, 0.7]).unwrap();
        assert_eq!((e.cliffs_delta, e.a12, e.prob_b_gt_a_paired), (0.0, 0.5, 0.5));
        assert_eq!(e.rank_biserial, Err(Missing::AllZero));
        assert!(effect_sizes(&[], &[]).is_err());
    }

    #[test]
    fn a_certain_winner_has_no_bootstrap_interval() {
        let p = prob_outperform(&[1, 2], &[3, 4], 1, 100, 0.95).unwrap();
        assert_eq!(p.p_b_over_a, 1.0);
        assert_eq!(p.percentile, Err(Missing::ZeroVariance));
    }
}
