//! The one door to `sweep-stats`: its answers in the report's types, `None` where a quantity does not exist.
//!
//! No formula lives here but the composition of two: TOST on a crossed standard error, and the luck of the best of k (see
//! [`best_of_k_normal`]).

use sweep_core::analysis::{Correction, Test};
use sweep_core::bits::Bits;
use sweep_stats::adjust;
use sweep_stats::best_set::{BestSetTest, best_set_by, best_set_test, p_beats};
use sweep_stats::bit_rows::BitRows;
use sweep_stats::bootstrap::{ENOUGH_SEEDS, RESAMPLES, Statistic, bootstrap};
use sweep_stats::crossed::{Crossed, crossed_difference, crossed_mean};
use sweep_stats::distribution::{norm_cdf, t_sf};
use sweep_stats::effect::effect_sizes_counts;
use sweep_stats::equivalence::tost_counts;
use sweep_stats::friedman::{Friedman, friedman, nemenyi_cd, wilcoxon_holm};
use sweep_stats::paired::{PairedT, differences, paired_t_counts};
use sweep_stats::power;
use sweep_stats::proportion::wilson;
use sweep_stats::quadrature::GaussLegendre;
use sweep_stats::quantile::quantile_sorted;
use sweep_stats::rng::derive_seed;
use sweep_stats::signflip::{SignFlip, signflip_exact};
use sweep_stats::wilcoxon::{SignedRank, Zeros, wilcoxon_signed_rank};

use crate::report::{
    BootstrapCheck, Components, Interval, MoreSeeds, RankPair, Sensitivity, TestName,
};
use crate::seeds::Planner;

/// Power asked of every "seeds needed".
pub(crate) const POWER: f64 = 0.8;

/// All bootstraps of a report start from it: the same results give the same bytes.
const BOOTSTRAP_SEED: u64 = 1;

/// Differences of accuracies over data sets are compared to 0.01 pp: means over seeds differ in the last bits of an f64.
const RANK_GRID: f64 = 1e-4;

/// Below this many pairs a standard deviation is a pilot's, and its upper limit is planned with.
const PILOT: u64 = 10;

impl From<sweep_stats::Interval> for Interval {
    fn from(i: sweep_stats::Interval) -> Self {
        Self { low: i.low, high: i.high }
    }
}

/// Counts of one configuration as shares.
pub(crate) struct Described {
    pub(crate) mean: f64,
    pub(crate) sd: Option<f64>,
    pub(crate) min: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
    pub(crate) max: f64,
    pub(crate) iqm: f64,
    pub(crate) interval: Option<Interval>,
}

pub(crate) fn describe(counts: &[i64], n_val: u32, confidence: f64) -> Option<Described> {
    let d = sweep_stats::describe::describe_counts(counts, u64::from(n_val), confidence).ok()?;
    Some(Described {
        mean: d.mean,
        sd: d.sd.ok(),
        min: d.min,
        q1: d.q1,
        median: d.median,
        q3: d.q3,
        max: d.max,
        iqm: d.iqm,
        interval: d.t_interval.ok().map(|i| i.clipped(0.0, 1.0).into()),
    })
}

/// Bootstrap interval of the mean over seeds; `label` names the numbers, so that each has random numbers of its own.
pub(crate) fn bootstrap_check(
    counts: &[i64],
    n_val: u32,
    label: &str,
    confidence: f64,
) -> Option<BootstrapCheck> {
    let b = bootstrap(
        counts,
        u64::from(n_val),
        Statistic::Mean,
        derive_seed(BOOTSTRAP_SEED, label),
        RESAMPLES,
        confidence,
    )
    .ok()?;
    let (interval, bca) = match (b.bca, b.percentile) {
        (Ok(bca), _) => (bca.interval, true),
        (Err(_), Ok(percentile)) => (percentile, false),
        (Err(_), Err(_)) => return None,
    };
    Some(BootstrapCheck {
        interval: interval.clipped(0.0, 1.0).into(),
        bca,
        resamples: b.resamples,
        under_covers: counts.len() < ENOUGH_SEEDS,
    })
}

/// Mean of any values; `None` of none.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    sweep_stats::describe::describe(values, 0.95).ok().map(|d| d.mean)
}

/// Type 7 quantiles of sorted values; `None` of none.
pub(crate) fn quantiles<const N: usize>(sorted: &[f64], at: [f64; N]) -> Option<[f64; N]> {
    let mut out = [0.0; N];
    for (slot, p) in out.iter_mut().zip(at) {
        *slot = quantile_sorted(sorted, p)?;
    }
    Some(out)
}

/// Correctness of one configuration, one row per seed that has an accuracy.
pub(crate) fn bit_rows(rows: &[&Bits], n_val: u32) -> Option<BitRows> {
    let bytes: Vec<&[u8]> = rows.iter().map(|b| b.bytes()).collect();
    BitRows::from_bytes(&bytes, n_val as usize).ok()
}

/// E2 interval of a mean accuracy, and whether it is the crossed one (else Wilson on the images).
///
/// Wilson where seeds tell nothing about spread: one seed, or no image on which two seeds or two images differ.
pub(crate) fn mean_beyond(rows: &[&Bits], n_val: u32, confidence: f64) -> Option<(Interval, bool)> {
    let rows = bit_rows(rows, n_val)?;
    if let Ok(crossed) = crossed_mean(&rows, confidence)
        && let Ok(inference) = crossed.inference
    {
        return Some((inference.interval.clipped(0.0, 1.0).into(), true));
    }
    let correct = *rows.row_sums().first()?;
    // Several seeds without any spread at all have every image right, or every image wrong: one row stands for them.
    let interval = wilson(u64::try_from(correct).ok()?, u64::from(n_val), confidence).ok()?;
    Some((interval.into(), false))
}

/// Two configurations on their common seeds: counts and bits, row s the same seed on both sides.
pub(crate) struct Paired<'a> {
    pub(crate) a: &'a BitRows,
    pub(crate) b: &'a BitRows,
    pub(crate) n_val: u32,
}

/// What E1 knows before correction.
#[derive(Debug, Default)]
pub(crate) struct OnThese {
    pub(crate) interval: Option<Interval>,
    pub(crate) se: Option<f64>,
    pub(crate) df: Option<f64>,
    pub(crate) p: Option<f64>,
    pub(crate) p_min: Option<f64>,
    pub(crate) tost_p: Option<f64>,
}

/// What E2 knows before correction.
#[derive(Debug, Default)]
pub(crate) struct Beyond {
    pub(crate) interval: Option<Interval>,
    pub(crate) se: Option<f64>,
    pub(crate) df: Option<f64>,
    pub(crate) p: Option<f64>,
    pub(crate) tost_p: Option<f64>,
    pub(crate) components: Option<Components>,
}

impl Paired<'_> {
    fn counts(&self) -> (&[i64], &[i64]) {
        (self.a.row_sums(), self.b.row_sums())
    }

    fn differences(&self) -> Vec<i64> {
        let (a, b) = self.counts();
        differences(a, b).unwrap_or_default()
    }

    /// Everything tested over seeds, each thing once: with all pairs of 200 configurations the inverse t is what costs.
    pub(crate) fn over_seeds(&self, confidence: f64) -> OverSeeds {
        let (a, b) = self.counts();
        let diff = self.differences();
        let t = paired_t_counts(a, b, u64::from(self.n_val), confidence).ok();
        let (mean, sd) = match &t {
            Some(t) => (Some(t.mean_diff), Some(t.sd_diff)),
            // No t: one pair, or all differences equal.
            None => match describe(&diff, self.n_val, confidence) {
                Some(d) => (Some(d.mean), d.sd),
                None => (None, None),
            },
        };
        let enough = diff.len() >= 2;
        let flip = if enough { signflip_exact(&diff).ok() } else { None };
        OverSeeds { diff, t, flip, mean, sd }
    }

    pub(crate) fn on_these(&self, over: &OverSeeds, test: Test, rope: f64, alpha: f64) -> OnThese {
        let (a, b) = self.counts();
        let enough = over.diff.len() >= 2;
        let t = over.t.as_ref();
        let se = t.map(|t| t.sd_diff / (t.n as f64).sqrt());
        let (p, p_min) = match test {
            Test::SignFlip => over.flip.as_ref().map(|s| (Some(s.p_two), Some(s.p_min))),
            Test::Wilcoxon => over.wilcoxon().map(|w| (Some(w.p_two), Some(w.p_min))),
            Test::PairedT => t.map(|t| (Some(t.p_two), None)),
        }
        .unwrap_or((None, None));
        OnThese {
            interval: t.map(|t| t.interval.into()),
            se,
            df: t.map(|t| t.df),
            p,
            p_min,
            tost_p: match (t, se) {
                _ if !enough => None,
                (Some(t), Some(se)) => tost_from(t.mean_diff, se, t.df, rope),
                _ => tost_counts(a, b, u64::from(self.n_val), rope, alpha).ok().map(|t| t.p),
            },
        }
    }

    pub(crate) fn beyond(&self, confidence: f64, rope: f64) -> Beyond {
        let Ok(Crossed { mean, se, var_seed, var_example, var_resid, inference, .. }) =
            crossed_difference(self.a, self.b, confidence)
        else {
            return Beyond::default();
        };
        let inference = inference.ok();
        Beyond {
            interval: inference.as_ref().map(|i| i.interval.into()),
            se: inference.is_some().then_some(se),
            df: inference.as_ref().map(|i| i.df),
            p: inference.as_ref().map(|i| i.p_two),
            tost_p: inference.as_ref().and_then(|i| tost_from(mean, se, i.df, rope)),
            components: Some(Components {
                seed: var_seed,
                image: var_example,
                residual: var_resid,
            }),
        }
    }

    pub(crate) fn sensitivity(&self, over: &OverSeeds) -> Sensitivity {
        let (a, b) = self.counts();
        let enough = over.diff.len() >= 2;
        let effects = effect_sizes_counts(a, b, u64::from(self.n_val)).ok().filter(|_| enough);
        Sensitivity {
            sign_flip: over.flip.as_ref().map(|s| s.p_two),
            wilcoxon: over.wilcoxon().map(|w| w.p_two),
            paired_t: over.t.as_ref().map(|t| t.p_two),
            hodges_lehmann: effects.as_ref().map(|e| e.hodges_lehmann),
            a12: effects.as_ref().map(|e| e.a12),
            g_z: effects.as_ref().and_then(|e| e.hedges_gz.ok()),
            outperforms: effects.as_ref().map(|e| e.prob_b_gt_a_paired),
            fdr: None,
        }
    }
}

/// Differences over the common seeds and the tests several parts of a comparison share.
pub(crate) struct OverSeeds {
    /// Images right in b minus images right in a, per seed.
    pub(crate) diff: Vec<i64>,
    /// Mean difference as a share.
    pub(crate) mean: Option<f64>,
    /// Standard deviation of the differences as a share.
    pub(crate) sd: Option<f64>,
    t: Option<PairedT>,
    flip: Option<SignFlip>,
}

impl OverSeeds {
    fn wilcoxon(&self) -> Option<SignedRank> {
        (self.diff.len() >= 2)
            .then(|| wilcoxon_signed_rank(&self.diff, Zeros::Wilcox).ok())
            .flatten()
    }
}

/// Two one-sided t tests of a mean with this standard error and degrees of freedom against ±`rope`.
fn tost_from(mean: f64, se: f64, df: f64, rope: f64) -> Option<f64> {
    let lower = t_sf((mean + rope) / se, df).ok()?;
    let upper = t_sf((rope - mean) / se, df).ok()?;
    Some(lower.max(upper))
}

/// Adjusted p values in order; a comparison without one counts in the family as 1 and keeps none.
pub(crate) fn corrected(p: &[Option<f64>], correction: Correction) -> Vec<Option<f64>> {
    let correction = match correction {
        Correction::Holm => adjust::Correction::Holm,
        Correction::Bonferroni => adjust::Correction::Bonferroni,
    };
    adjusted(p, correction)
}

/// Benjamini–Hochberg, for screening.
pub(crate) fn false_discovery(p: &[Option<f64>]) -> Vec<Option<f64>> {
    adjusted(p, adjust::Correction::BenjaminiHochberg)
}

fn adjusted(p: &[Option<f64>], correction: adjust::Correction) -> Vec<Option<f64>> {
    let raw: Vec<f64> = p.iter().map(|p| p.unwrap_or(1.0)).collect();
    match adjust::adjust(&raw, correction) {
        Ok(adjusted) => {
            adjusted.into_iter().zip(p).map(|(adjusted, raw)| raw.map(|_| adjusted)).collect()
        }
        Err(_) => vec![None; p.len()],
    }
}

/// Pairs from which on the exact test can reach α over m comparisons.
pub(crate) fn seeds_for_test(alpha: f64, m: usize) -> Option<u64> {
    power::min_seeds_for_exact_test(alpha, m.max(1) as u64).ok().map(u64::from)
}

/// Seeds for a paired t test of `delta`; for exact tests at least the `exact` many they need to reach the level.
pub(crate) fn seeds_on_these(
    planner: &Planner,
    delta: f64,
    sd: Option<f64>,
    pairs: usize,
    exact: Option<u64>,
) -> Option<SeedsOnThese> {
    let sd = sd.filter(|sd| *sd > 0.0 && delta > 0.0)?;
    let seeds = |sd: f64| planner.seeds(delta / sd).max(exact.unwrap_or(0));
    if pairs as u64 >= PILOT {
        return Some(SeedsOnThese { seeds: seeds(sd), by_sd: None });
    }
    let upper = power::sd_upper_limit(sd, pairs as u64, POWER).ok()?;
    Some(SeedsOnThese { seeds: seeds(upper), by_sd: Some(seeds(sd)) })
}

/// Seeds to plan with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeedsOnThese {
    /// By the standard deviation, or, for a pilot, by its upper limit.
    pub(crate) seeds: u64,
    /// For a pilot: by the standard deviation as it is.
    pub(crate) by_sd: Option<u64>,
}

/// Seeds, or else images, for `delta` beyond these images at α/m.
pub(crate) fn needs_beyond(
    delta: f64,
    components: Components,
    n_val: u32,
    alpha: f64,
    m: usize,
) -> (Option<u64>, Option<u64>) {
    if delta <= 0.0 {
        return (None, None);
    }
    match power::power_crossed(
        delta,
        for_power(components),
        u64::from(n_val),
        alpha / m.max(1) as f64,
        POWER,
    ) {
        Ok(p) => (p.n_seeds, p.examples_needed.map(|x| x.ceil() as u64)),
        Err(_) => (None, None),
    }
}

/// Smallest difference that any number of seeds could resolve on these images at α/m.
pub(crate) fn floor(components: Components, n_val: u32, alpha: f64, m: usize) -> Option<f64> {
    power::crossed_floor(components.image, u64::from(n_val), alpha / m.max(1) as f64, POWER).ok()
}

/// Differences that can be resolved beyond these images with the seeds at hand, twice and four times as many.
pub(crate) fn more_seeds(
    c: Components,
    n_val: u32,
    pairs: usize,
    alpha: f64,
    m: usize,
) -> Vec<MoreSeeds> {
    let n = f64::from(n_val.max(1));
    // The floor of a variance of 1 on one image is the sum of both quantiles, by which every standard error is multiplied.
    let Ok(z) = power::crossed_floor(1.0, 1, alpha / m.max(1) as f64, POWER) else {
        return Vec::new();
    };
    let detectable = |seeds: u64| {
        let per_seed = c.seed.max(0.0) + c.residual.max(0.0) / n;
        z * (per_seed / seeds as f64 + c.image.max(0.0) / n).sqrt()
    };
    let of = |seeds: u64| MoreSeeds { seeds, detectable: detectable(seeds) };
    if pairs < 2 { Vec::new() } else { [1, 2, 4].map(|k| of(k * pairs as u64)).to_vec() }
}

/// Friedman's test and Nemenyi's critical difference; one row per data set.
pub(crate) fn ranks(score: &[Vec<f64>], alpha: f64) -> Option<(Friedman, Option<f64>)> {
    let test = friedman(score, true).ok()?;
    let cd = nemenyi_cd(test.k, test.n_sets, alpha).ok().map(|c| c.cd);
    Some((test, cd))
}

/// Wilcoxon tests with Holm over data sets: column indices in the order of the mean ranks.
pub(crate) fn rank_pairs(score: &[Vec<f64>], mean_ranks: &[f64]) -> Vec<RankPair> {
    let Ok(w) = wilcoxon_holm(score, RANK_GRID) else { return Vec::new() };
    (w.pairs.iter().zip(w.p.iter().zip(&w.p_holm)))
        .map(|(&(i, j), (&p, &p_adjusted))| {
            let (better, worse) = if mean_ranks[j] < mean_ranks[i] { (j, i) } else { (i, j) };
            RankPair { better, worse, p, p_adjusted, differs: false }
        })
        .collect()
}

fn for_power(c: Components) -> power::Components {
    power::Components { var_seed: c.seed, var_example: c.image, var_resid: c.residual }
}

/// Which of k configurations cannot be told from the best, by which test, and whether that is the fallback.
///
/// `pairs(i, j)` gives the counts of both on their common seeds; `n` is the number of seeds the choice of test rests on.
pub(crate) fn best_set(
    k: usize,
    n: usize,
    alpha: f64,
    pairs: impl Fn(usize, usize) -> (Vec<i64>, Vec<i64>),
) -> Option<(Vec<bool>, TestName, bool)> {
    let test = best_set_test(n, k, alpha);
    let set = match test {
        // One exact distribution answers for both directions of a pair.
        BestSetTest::SignFlip => {
            let mut p: Vec<Option<f64>> = vec![None; k * k];
            for i in 0..k {
                for j in i + 1..k {
                    let (a, b) = pairs(i, j);
                    if let Ok(flip) = differences(&a, &b).and_then(|d| signflip_exact(&d)) {
                        p[i * k + j] = Some(flip.p_greater);
                        p[j * k + i] = Some(flip.p_less);
                    }
                }
            }
            best_set_by(k, alpha, |i, j| p[i * k + j].ok_or(sweep_stats::Missing::NoData))
        }
        BestSetTest::PairedT => best_set_by(k, alpha, |i, j| {
            let (a, b) = pairs(i, j);
            p_beats(&a, &b, test)
        }),
    };
    let name = if test == BestSetTest::SignFlip { TestName::SignFlip } else { TestName::PairedT };
    Some((set.ok()?.in_set, name, test == BestSetTest::PairedT))
}

/// Standard error of a difference over seeds and images.
pub(crate) fn crossed_se(a: &BitRows, b: &BitRows) -> Option<f64> {
    crossed_difference(a, b, 0.95).ok().map(|c| c.se)
}

/// Expected largest of k independent standard normals: what the best of k equally good configurations gains by luck, in
/// standard errors of one. E = ∫ (1 − Φ(x)^k) − Φ(−x)… over the half lines, by parts from ∫ x dΦ(x)^k.
pub(crate) fn best_of_k_normal(k: usize) -> f64 {
    let nodes = GaussLegendre::new(200);
    let power = k.max(1) as f64;
    let above = nodes.integrate(0.0, 9.0, |x| 1.0 - norm_cdf(x).powf(power));
    let below = nodes.integrate(-9.0, 0.0, |x| norm_cdf(x).powf(power));
    above - below
}

/// Expected share by which the best of k models, each right with `accuracy` on `n_val` images of its own luck, beats `accuracy`.
pub(crate) fn best_of_k_binomial(k: usize, accuracy: f64, n_val: u32) -> Option<f64> {
    if n_val == 0 || !(0.0..=1.0).contains(&accuracy) || accuracy == 0.0 || accuracy == 1.0 {
        return None;
    }
    let n = f64::from(n_val);
    // P(X ≤ x) as the upper tail of a sum of logs would lose digits; the recursion on logs does not underflow.
    let mut log_pmf = n * (1.0 - accuracy).ln();
    let (mut cdf, mut expected) = (0.0, 0.0);
    for x in 0..n_val {
        cdf = f64::min(cdf + log_pmf.exp(), 1.0);
        expected += 1.0 - cdf.powf(k as f64);
        log_pmf += ((n - f64::from(x)) / (f64::from(x) + 1.0) * accuracy / (1.0 - accuracy)).ln();
    }
    Some(expected / n - accuracy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn the_luck_of_the_best_matches_known_normal_order_statistics() {
        // Expected maxima of 2, 3 and 20 standard normals (Harter 1961): 1/√π, 3/(2√π), 1.86748.
        assert_abs_diff_eq!(best_of_k_normal(1), 0.0, epsilon = 1e-9);
        assert_abs_diff_eq!(best_of_k_normal(2), 0.564_189_583_5, epsilon = 1e-8);
        assert_abs_diff_eq!(best_of_k_normal(3), 0.846_284_375_3, epsilon = 1e-8);
        assert_abs_diff_eq!(best_of_k_normal(20), 1.867_475, epsilon = 1e-5);
    }

    #[test]
    fn the_winners_curse_matches_the_simulated_table() {
        // docs/statistics.md, pitfall 6, in percentage points.
        for (n_val, accuracy, k, points) in [
            (60, 0.9, 3, 3.2),
            (60, 0.9, 20, 6.5),
            (60, 0.9, 200, 8.7),
            (226, 0.973, 3, 0.9),
            (226, 0.973, 20, 1.8),
            (226, 0.973, 200, 2.4),
        ] {
            let got = best_of_k_binomial(k, accuracy, n_val).unwrap() * 100.0;
            assert_abs_diff_eq!(got, points, epsilon = 0.1);
        }
    }

    #[test]
    fn a_comparison_without_p_still_counts_in_its_family() {
        let adjusted = corrected(&[Some(0.01), None, Some(0.02)], Correction::Holm);
        assert_abs_diff_eq!(adjusted[0].unwrap(), 0.03, epsilon = 1e-12);
        assert_eq!(adjusted[1], None);
        assert_abs_diff_eq!(adjusted[2].unwrap(), 0.04, epsilon = 1e-12);
    }
}
