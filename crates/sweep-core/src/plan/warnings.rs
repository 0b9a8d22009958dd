//! What a careful reader should know before running. Sources: `docs/losses.md` §3 and `docs/statistics.md` §4.7.

use std::f64::consts::TAU;

use crate::analysis::{Analysis, Compare, Test};
use crate::dataset::DataSetInfo;
use crate::loss::Loss;
use crate::model::{Backbone, Model, Weights};
use crate::sweep::{Candidate, Sweep};
use crate::training::Mode;

/// Probability of the right class a scale must be able to reach (`CosFace`, eq. 6).
const REACH: f64 = 0.9;
/// Below this many validation images of a class one image moves its accuracy by more than 5 points.
const SMALL_CLASS: u32 = 20;
/// Warnings of one kind shown per data set.
const MAX_ALIKE: usize = 12;

/// All warnings, each once.
pub(super) fn warnings(sweep: &Sweep, datasets: &[DataSetInfo]) -> Vec<String> {
    let mut out = Vec::new();
    seeds(sweep, &mut out);
    tuning_points(sweep.candidates(), &mut out);
    random_features(sweep.candidates(), &mut out);
    for info in datasets {
        out.extend(info.warnings.iter().map(|warning| format!("{}: {warning}", info.name)));
        images(info, sweep.analysis(), &mut out);
        let margins: Vec<String> = sweep
            .candidates()
            .iter()
            .filter_map(|candidate| margin_and_scale(info, candidate))
            .collect();
        let margins = distinct(margins);
        out.extend(margins.iter().take(MAX_ALIKE).cloned());
        if margins.len() > MAX_ALIKE {
            out.push(format!(
                "{}: {} more configurations have such a margin or scale",
                info.name,
                margins.len() - MAX_ALIKE
            ));
        }
    }
    distinct(out)
}

fn distinct(mut warnings: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    warnings
}

/// Tests in one family: the baseline's representative against each other configuration, or all pairs.
fn family(sweep: &Sweep) -> u64 {
    let all = sweep.candidates().len() as u64;
    match (sweep.analysis().compare, sweep.baseline()) {
        (Compare::Baseline, Some(name)) => {
            sweep.candidates().iter().filter(|c| c.loss.name() != name).count() as u64
        }
        _ => all * all.saturating_sub(1) / 2,
    }
}

/// Smallest n with 2^(1−n) ≤ level: fewer paired seeds cannot reach it whatever they show.
fn seeds_needed(level: f64) -> usize {
    (1..=1000).find(|n| 0.5_f64.powi(n - 1) <= level).unwrap_or(1000) as usize
}

fn seeds(sweep: &Sweep, out: &mut Vec<String>) {
    let n = sweep.adaptive().map_or(sweep.seeds().len(), |a| a.max_seeds as usize);
    let (m, alpha) = (family(sweep), sweep.analysis().alpha);
    if n == 1 {
        out.push("one seed: intervals over seeds and all comparisons will be \"—\"".to_owned());
        return;
    }
    if m == 0 {
        return;
    }
    let smallest = 0.5_f64.powi(i32::try_from(n - 1).unwrap_or(i32::MAX));
    let exact = sweep.analysis().test != Test::PairedT;
    if exact && smallest > alpha / m as f64 {
        let (one, all) = (seeds_needed(alpha), seeds_needed(alpha / m as f64));
        let needed = if m == 1 {
            format!("{one} are needed")
        } else {
            format!("{one} are needed for one comparison, {all} for {m}")
        };
        out.push(format!("{n} seeds: exact paired tests cannot reach {alpha} (smallest p {smallest}, {m} comparisons); {needed}"));
    }
    let others = sweep.candidates().len().saturating_sub(1) as f64;
    // The looks of an adaptive sweep decide who is left; there is no best set to test.
    if sweep.adaptive().is_none() && others >= 1.0 && (n as f64) < (others / alpha).log2() {
        let text = format!(
            "{n} seeds: fewer than log2({others}/{alpha}) = {:.1}, so the best set falls back to a t test",
            (others / alpha).log2()
        );
        out.push(text);
    }
}

fn tuning_points(candidates: &[Candidate], out: &mut Vec<String>) {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for candidate in candidates {
        let name = candidate.loss.name();
        match counts.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    if counts.iter().any(|(_, count)| *count != counts[0].1) {
        let list: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let text = "losses have unequal numbers of configurations, and the larger grid has the larger winner's bonus";
        out.push(format!("{text}: {}", list.join(", ")));
    }
}

fn random_features(candidates: &[Candidate], out: &mut Vec<String>) {
    let frozen =
        |c: &&Candidate| c.training.mode == Mode::Head && c.model.weights == Weights::Random;
    if candidates.iter().any(|c| frozen(&c)) {
        out.push("`mode: head` with `weights: null`: the frozen backbone was never trained; accuracies speak of random features".to_owned());
    }
}

fn images(info: &DataSetInfo, analysis: &Analysis, out: &mut Vec<String>) {
    let one = 1.0 / f64::from(info.val_count());
    for (key, share) in [("rope", analysis.rope), ("detect", analysis.detect)] {
        if let Some(share) = share.filter(|share| *share < one) {
            let text = format!(
                "`{key}` {share} is less than one of {} validation images ({:.2} pp)",
                info.val_count(),
                100.0 * one
            );
            out.push(format!("{}: {text}", info.name));
        }
    }
    let smallest = info.val.iter().zip(&info.classes).min_by_key(|(count, _)| **count);
    if let Some((count, class)) = smallest.filter(|(count, _)| **count < SMALL_CLASS) {
        let moves = match count {
            0 => "its accuracy will be \"—\"".to_owned(),
            _ => format!("one image moves its accuracy by {:.1} pp", 100.0 / f64::from(*count)),
        };
        out.push(format!("{}: class `{class}` has {count} validation images; {moves}", info.name));
    }
}

/// Number of features the head sees.
fn features(model: &Model) -> u32 {
    match (model.neck, model.backbone) {
        (Some(neck), _) => neck.dim,
        (None, Backbone::SmallCnn) => 32,
        (None, Backbone::Resnet18 | Backbone::Resnet34) => 512,
        (None, Backbone::Resnet50) => 2048,
    }
}

/// Largest gap between the target's cosine and the others' that all classes can have at once (`CosFace`, eq. 7); for more than D + 1
/// classes in D > 2 dimensions an upper bound.
fn reachable_gap(classes: usize, dimensions: u32) -> f64 {
    let c = classes as f64;
    match dimensions {
        1 if classes > 2 => 0.0,
        2 if classes > 3 => 1.0 - (TAU / c).cos(),
        _ => c / (c - 1.0),
    }
}

/// Smallest scale whose softmax reaches probability `reach` when the target's logit is `gap` times the scale above the others.
fn smallest_scale(classes: usize, gap: f64, reach: f64) -> f64 {
    ((classes - 1) as f64 * reach / (1.0 - reach)).ln() / gap
}

fn margin_and_scale(info: &DataSetInfo, candidate: &Candidate) -> Option<String> {
    let (margin, scale, angle) = match candidate.loss {
        Loss::AmSoftmax { margin, scale } => (margin, scale, false),
        Loss::Ldam { max_margin, scale } => (max_margin, scale, false),
        Loss::Arcface { margin, scale } => (margin, scale, true),
        _ => return None,
    };
    let classes = info.class_count();
    let dimensions = features(&candidate.model);
    let gap = reachable_gap(classes, dimensions);
    // ArcFace takes the margin off the angle: with the target at 0° its cosine falls from 1 to cos m.
    let left = if angle { gap - (1.0 - margin.cos()) } else { gap - margin };
    let (name, label) = (&info.name, candidate.loss.canonical());
    if left <= 0.0 {
        let text = format!(
            "{label}: the margin cannot be met: {classes} classes in {dimensions} dimensions are at most {gap:.3} apart"
        );
        return Some(format!("{name}: {text}"));
    }
    let smallest = smallest_scale(classes, left, REACH);
    if scale < smallest {
        let text = format!(
            "{label}: scale {scale} is too small for a probability of {REACH} with {classes} classes; at least {smallest:.1} is needed"
        );
        return Some(format!("{name}: {text}"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_needed_are_those_of_the_exact_test() {
        assert_eq!((seeds_needed(0.05), seeds_needed(0.05 / 10.0)), (6, 9));
    }

    #[test]
    fn smallest_scales_are_those_of_the_table_in_losses_md() {
        for (classes, wanted) in
            [(3, [3.5, 4.6, 5.3]), (4, [4.3, 5.8, 6.8]), (10, [6.1, 8.9, 11.1])]
        {
            for (margin, wanted) in [0.0, 0.35, 0.5].into_iter().zip(wanted) {
                let scale = smallest_scale(classes, reachable_gap(classes, 512) - margin, 0.99);
                assert!(
                    (scale - wanted).abs() < 0.051,
                    "{classes} classes, margin {margin}: {scale}"
                );
            }
        }
    }

    #[test]
    fn reachable_gaps_are_those_of_cosface() {
        assert!((reachable_gap(3, 32) - 1.5).abs() < 1e-12);
        assert!((reachable_gap(8, 2) - 0.292_893).abs() < 1e-6);
    }
}
