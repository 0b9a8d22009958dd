//! Configurations over data sets: Friedman always as a description, Wilcoxon with Holm and a claim from 6 data sets on.
//!
//! One rank per configuration and data set, from its mean over seeds. Blocks of (data set, seed) would be a test on these data
//! sets, not over data sets, and are not made.

use crate::format;
use crate::numbers;
use crate::report::{DataSetReport, RankRow, Ranks};

/// Data sets from which on a signed-rank test over them can reach 0.05: 2^(1−6) = 0.031.
pub(crate) const ENOUGH: usize = 6;

/// Configurations beyond which mean ranks over a handful of data sets say nothing any more.
const MOST: usize = 60;

/// Ranks over the data sets; `None` where nothing can be ranked.
pub(crate) fn ranks(datasets: &[DataSetReport], alpha: f64) -> Option<Ranks> {
    let n = datasets.len();
    let first = datasets.first().filter(|_| n >= 2)?;
    let mean = |d: &DataSetReport, candidate: usize| {
        d.summaries.iter().find(|s| s.candidate == candidate).and_then(|s| s.mean)
    };
    let (ranked, left_out): (Vec<_>, Vec<_>) = first
        .summaries
        .iter()
        .map(|s| (s.candidate, s.label.as_str()))
        .partition(|(candidate, _)| datasets.iter().all(|d| mean(d, *candidate).is_some()));
    if !(2..=MOST).contains(&ranked.len()) {
        return None;
    }
    let score: Vec<Vec<f64>> = datasets
        .iter()
        .map(|d| ranked.iter().filter_map(|(candidate, _)| mean(d, *candidate)).collect())
        .collect();
    let (test, critical_difference) = numbers::ranks(&score, alpha)?;
    let claim = n >= ENOUGH;
    let omnibus = test.p_exact.or(test.p_f).or(test.p_chi2).ok();
    let mut pairs = if claim { numbers::rank_pairs(&score, &test.avg_ranks) } else { Vec::new() };
    for pair in &mut pairs {
        pair.differs = omnibus.is_some_and(|p| p <= alpha) && pair.p_adjusted <= alpha;
        (pair.better, pair.worse) = (ranked[pair.better].0, ranked[pair.worse].0);
    }
    let differing = pairs.iter().filter(|p| p.differs).count();
    Some(Ranks {
        n,
        claim,
        wording: wording(n, differing, pairs.len()),
        rows: (ranked.iter().zip(&test.avg_ranks))
            .map(|((candidate, label), rank)| RankRow {
                candidate: *candidate,
                label: (*label).to_owned(),
                mean_rank: *rank,
            })
            .collect(),
        left_out: left_out.into_iter().map(|(_, label)| label.to_owned()).collect(),
        chi2: test.chi2.ok(),
        p_chi2: test.p_chi2.ok(),
        p_iman_davenport: test.p_f.ok(),
        p_exact: test.p_exact.ok(),
        critical_difference,
        pairs,
    })
}

fn wording(n: usize, differing: usize, pairs: usize) -> String {
    if n < ENOUGH {
        return format!(
            "mean ranks over {n} data sets: a description; fewer than {ENOUGH} data sets carry no claim about others"
        );
    }
    let found = match differing {
        0 => "no pair is resolved over data sets".to_owned(),
        _ => format!(
            "{differing} of {} over data sets",
            format::count(pairs as u64, "pair differs", "pairs differ")
        ),
    };
    format!(
        "{found}: Friedman's test, then exact Wilcoxon tests over {n} data sets with Holm; it speaks of data sets like these"
    )
}
