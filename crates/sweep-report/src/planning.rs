//! What the seeds and validation images of a plan can resolve, before anything is trained.
//!
//! Formulas are those of `docs/statistics.md`, "Power"; numbers come from `sweep-stats`. The standard deviation of a paired
//! difference is that of earlier results on the same split where there are some, else an assumption that is named.

use std::collections::BTreeMap;

use serde::Serialize;
use sweep_core::analysis::Compare;
use sweep_core::ids::ConfigurationId;
use sweep_core::record::RunRecord;
use sweep_core::sweep::{Plan, Sweep};
use sweep_stats::power::{crossed_floor, min_seeds_for_exact_test, power_paired_t, sd_upper_limit};

use crate::numbers::POWER;
use crate::seeds::Planner;

/// Assumed standard deviation of a paired difference over seeds where nothing is known: 1.5 points, the middle of what small
/// fine-tuned networks show.
const ASSUMED_SD: f64 = 0.015;

/// Assumed variances of a difference over images where nothing is known: losses that often, and that rarely, disagree.
const ASSUMED_IMAGE_VARIANCES: [f64; 2] = [0.015, 0.03];

/// Below this many pairs an estimated standard deviation is raised to its upper limit at [`SD_LIMIT`].
const FEW_PAIRS: u64 = 10;

/// Level of the upper limit of an estimated standard deviation.
const SD_LIMIT: f64 = 0.8;

/// What one data set of a plan can resolve. Shares are in 0..1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Resolution {
    /// Name of the data set.
    pub dataset: String,
    /// Validation images.
    pub n_val: u32,
    /// Paired seeds, at most (of an adaptive sweep: at its cap).
    pub seeds: u64,
    /// Comparisons in the family.
    pub comparisons: u64,
    /// Smallest two-sided p of the exact test, before correction: 2^(1−n).
    pub smallest_p: f64,
    /// Seeds at which the exact test can reach α/m; `None` beyond any sensible number.
    pub seeds_for_exact: Option<u32>,
    /// Standard deviation of a paired difference that was used.
    pub sd: f64,
    /// Where it comes from.
    pub sd_source: SdSource,
    /// Smallest difference with 80 % power on these images at α/m; `None` when there are too few seeds.
    pub detectable: Option<f64>,
    /// The difference of interest.
    pub detect: f64,
    /// Seeds for 80 % power at the difference of interest; more than 1000 is `None`.
    pub seeds_for_detect: Option<u64>,
    /// Smallest difference any number of seeds could resolve beyond these images, for few and for many disagreements.
    pub floors: [Option<f64>; 2],
}

/// Where a standard deviation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SdSource {
    /// Nothing is known yet: 1.5 points.
    Assumed,
    /// Earlier results on the same split.
    Earlier {
        /// Paired differences it was estimated from.
        pairs: u64,
        /// As estimated; [`Resolution::sd`] is its upper 80 % limit below 10 pairs.
        estimate: f64,
    },
}

/// What each data set of the plan can resolve, given what is known already (`records` of this or other sweeps; results on other
/// splits are passed over).
pub fn resolutions(sweep: &Sweep, plan: &Plan, records: &[RunRecord]) -> Vec<Resolution> {
    let per_set = sweep.candidates().len() as u64;
    let comparisons = match sweep.analysis().compare {
        Compare::Baseline => per_set.saturating_sub(1),
        Compare::AllPairs => per_set * per_set.saturating_sub(1) / 2,
    }
    .max(1);
    let seeds = sweep
        .adaptive()
        .map_or(sweep.seeds().len() as u64, |adaptive| u64::from(adaptive.max_seeds));
    let alpha = sweep.analysis().alpha;
    let level = alpha / comparisons as f64;
    plan.datasets
        .iter()
        .enumerate()
        .map(|(index, set)| {
            let reference = plan.configurations.iter().find(|p| p.dataset == index);
            let split = reference.map(|p| &p.configuration.dataset.split);
            let own: Vec<_> = records
                .iter()
                .filter(|r| Some(&r.run.spec.configuration.dataset.split) == split)
                .collect();
            let (sd, sd_source) = standard_deviation(&own);
            let n_val = set.val_count();
            let rope = sweep.analysis().rope_on(n_val);
            let detect = sweep.analysis().detect.unwrap_or(rope);
            let seeds_for_detect = Planner::new(level).seeds(detect / sd);
            Resolution {
                dataset: set.name.clone(),
                n_val,
                seeds,
                comparisons,
                smallest_p: 2f64.powi(1 - i32::try_from(seeds).unwrap_or(i32::MAX)).min(1.0),
                seeds_for_exact: min_seeds_for_exact_test(alpha, comparisons).ok(),
                sd,
                sd_source,
                detectable: detectable(sd, seeds, level),
                detect,
                seeds_for_detect: Some(seeds_for_detect).filter(|n| *n <= crate::seeds::MOST),
                floors: ASSUMED_IMAGE_VARIANCES
                    .map(|variance| crossed_floor(variance, u64::from(n_val), level, POWER).ok()),
            }
        })
        .collect()
}

/// Pooled over every configuration paired with the one that has most results; a perfect agreement tells nothing and is passed over.
fn standard_deviation(records: &[&RunRecord]) -> (f64, SdSource) {
    let mut accuracy: BTreeMap<ConfigurationId, BTreeMap<u64, f64>> = BTreeMap::new();
    for record in records {
        let validation = record.result.as_ref().and_then(|result| result.validation.as_ref());
        if let Some(validation) = validation {
            let spec = &record.run.spec;
            accuracy
                .entry(spec.configuration.id())
                .or_default()
                .insert(spec.seed, validation.accuracy());
        }
    }
    let assumed = (ASSUMED_SD, SdSource::Assumed);
    let Some((reference, of_reference)) = accuracy.iter().max_by_key(|(_, seeds)| seeds.len())
    else {
        return assumed;
    };
    let (mut squares, mut freedom, mut pairs) = (0.0, 0u64, 0u64);
    for of_other in accuracy.iter().filter(|(id, _)| *id != reference).map(|(_, seeds)| seeds) {
        let differences: Vec<f64> =
            of_reference.iter().filter_map(|(seed, a)| of_other.get(seed).map(|b| b - a)).collect();
        if differences.len() < 3 {
            continue;
        }
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        squares += differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>();
        freedom += differences.len() as u64 - 1;
        pairs += differences.len() as u64;
    }
    let estimate = (squares / freedom.max(1) as f64).sqrt();
    if estimate <= 0.0 {
        return assumed;
    }
    let sd = if pairs < FEW_PAIRS {
        sd_upper_limit(estimate, pairs, SD_LIMIT).unwrap_or(estimate)
    } else {
        estimate
    };
    (sd, SdSource::Earlier { pairs, estimate })
}

/// By bisection: the power grows with the difference.
fn detectable(sd: f64, seeds: u64, level: f64) -> Option<f64> {
    let enough = |delta: f64| power_paired_t(delta, sd, seeds, level).is_ok_and(|p| p >= POWER);
    let (mut low, mut high) = (0.0, 1.0);
    if !enough(high) {
        return None;
    }
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if enough(middle) { high = middle } else { low = middle }
    }
    Some(high)
}

/// The resolutions as lines for people.
pub fn text(resolutions: &[Resolution], alpha: f64) -> String {
    resolutions.iter().map(|resolution| one(resolution, alpha)).collect()
}

fn one(r: &Resolution, alpha: f64) -> String {
    let pp = |share: f64| format!("{:.1} pp", 100.0 * share);
    let plural = if r.comparisons == 1 { "comparison" } else { "comparisons" };
    let source = match r.sd_source {
        SdSource::Assumed => "assumed".to_owned(),
        SdSource::Earlier { pairs, estimate } if pairs < FEW_PAIRS => {
            format!("upper 80 % limit of {} over {pairs} earlier pairs", pp(estimate))
        }
        SdSource::Earlier { pairs, .. } => format!("of {pairs} earlier pairs"),
    };
    let mut text = format!(
        "{}: {} seeds, {} {plural} at {alpha}; smallest exact p {}",
        r.dataset,
        r.seeds,
        r.comparisons,
        crate::format::p_value(r.smallest_p)
    );
    match r.seeds_for_exact {
        Some(needed) if u64::from(needed) > r.seeds => {
            text.push_str(&format!(
                " — too few seeds for any exact verdict, {needed} are needed\n"
            ));
        }
        _ => text.push('\n'),
    }
    text.push_str(&format!(
        "  on these images, at a standard deviation of {} ({source}): ",
        pp(r.sd)
    ));
    text.push_str(&match r.detectable {
        Some(share) => format!("{} can be seen with 80 % power", pp(share)),
        None => "nothing can be seen".to_owned(),
    });
    text.push_str(&match r.seeds_for_detect {
        Some(seeds) => format!("; {} needs {seeds} seeds\n", pp(r.detect)),
        None => format!("; {} needs more than {} seeds\n", pp(r.detect), crate::seeds::MOST),
    });
    if let [Some(low), Some(high)] = r.floors {
        text.push_str(&format!(
            "  beyond these {} images no number of seeds resolves less than {}–{}\n",
            r.n_val,
            pp(low),
            pp(high)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detectable_difference_is_the_inverse_of_the_power_table() {
        // docs/statistics.md, "Power": 20 seeds see 1 pp at a standard deviation of 1.5 pp, 19 do not.
        let at = |seeds| detectable(0.015, seeds, 0.05).unwrap();
        assert!(at(20) <= 0.01 && at(19) > 0.01, "{} {}", at(20), at(19));
        assert_eq!(detectable(0.015, 1, 0.05), None);
    }

    #[test]
    fn without_results_the_standard_deviation_is_assumed() {
        assert_eq!(standard_deviation(&[]), (ASSUMED_SD, SdSource::Assumed));
    }
}
