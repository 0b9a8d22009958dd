//! The configurations that cannot be told from the best, their simplest member, and what choosing among them is worth by luck.

use sweep_core::sweep::Candidate;

use crate::numbers;
use crate::parts::{loss_name, loss_parts};
use crate::report::{AdaptiveTrace, BestSet};
use crate::sides::{Side, pair};

/// The best set of one data set; `None` with fewer than two configurations of two accuracies each.
pub(crate) fn best_set(sides: &[Side], candidates: &[Candidate], alpha: f64) -> Option<BestSet> {
    let (rated, unrated): (Vec<&Side>, Vec<&Side>) = sides.iter().partition(|s| s.seeds.len() >= 2);
    let k = rated.len();
    if k < 2 {
        return None;
    }
    let counts = |i: usize, j: usize| {
        let common = pair(rated[i], rated[j]);
        (common.a.row_sums().to_vec(), common.b.row_sums().to_vec())
    };
    let n = (1..k).map(|j| pair(rated[0], rated[j]).seeds.len()).max().unwrap_or(0);
    let (in_set, test, fallback) = numbers::best_set(k, n, alpha, counts)?;
    let members: Vec<usize> = rated
        .iter()
        .zip(&in_set)
        .filter(|(_, inside)| **inside)
        .map(|(s, _)| s.candidate)
        .collect();
    let label =
        |candidate: usize| candidates.get(candidate).map(|c| c.label.clone()).unwrap_or_default();
    let simplest = simplest(&members, candidates)?;
    Some(BestSet {
        labels: members.iter().map(|m| label(*m)).collect(),
        excluded: k - members.len(),
        members,
        simplest,
        simplest_label: label(simplest),
        k,
        test,
        fallback,
        n,
        level: alpha / (k - 1) as f64,
        unrated: unrated.iter().map(|s| s.label.clone()).collect(),
        winners_bonus: winners_bonus(&rated),
    })
}

/// The set under an adaptive rule: its survivors. They are not tested again, and what was dropped stays dropped.
pub(crate) fn survivors(set: BestSet, trace: &AdaptiveTrace, candidates: &[Candidate]) -> BestSet {
    let alive = trace.rows.iter().filter(|r| r.dropped.is_none());
    let members: Vec<usize> = alive.map(|r| r.candidate).collect();
    let Some(simplest) = simplest(&members, candidates) else { return set };
    let label =
        |candidate: usize| candidates.get(candidate).map(|c| c.label.clone()).unwrap_or_default();
    let k = trace.rows.len();
    BestSet {
        labels: members.iter().map(|m| label(*m)).collect(),
        excluded: k - members.len(),
        k,
        members,
        simplest,
        simplest_label: label(simplest),
        test: trace.rows.iter().find_map(|r| r.dropped).map_or(set.test, |d| d.test),
        fallback: false,
        ..set
    }
}

fn simplest(members: &[usize], candidates: &[Candidate]) -> Option<usize> {
    let simplicity = |i: &usize| candidates.get(*i).map_or(f64::INFINITY, simplicity);
    members.iter().copied().min_by(|a, b| simplicity(a).total_cmp(&simplicity(b)))
}

/// Smallest margin first, then fewest hyperparameters; the first in the file wins ties, because `min_by` keeps it.
fn simplicity(candidate: &Candidate) -> f64 {
    let parts = loss_parts(candidate);
    let margin = parts
        .iter()
        .find(|p| p.name == "margin" || p.name == "max_margin")
        .and_then(|p| p.number())
        .unwrap_or(0.0);
    // A multiplicative margin of 1 is no margin.
    let margin = if matches!(loss_name(candidate).as_str(), "l_softmax" | "a_softmax") {
        margin - 1.0
    } else {
        margin
    };
    let hyperparameters = parts.iter().filter(|p| !p.value.is_null()).count();
    margin * 1e3 + hyperparameters as f64
}

/// How far the best of k would lead by luck if all were equally good: from the mean crossed variance of a difference, which
/// holds both the luck of seeds and that of images.
fn winners_bonus(rated: &[&Side]) -> Option<f64> {
    let squares: Option<Vec<f64>> = rated[1..]
        .iter()
        .map(|other| {
            let common = pair(rated[0], other);
            numbers::crossed_se(&common.a, &common.b).map(|se| se * se)
        })
        .collect();
    let variance_of_difference = numbers::mean(&squares?)?;
    Some(numbers::best_of_k_normal(rated.len()) * (variance_of_difference / 2.0).sqrt())
}
