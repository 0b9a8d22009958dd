//! Counts of right images in, p values and their cost out: what `bench/stats/run` holds against other packages.
//!
//! Reads `{"n_val": 60, "counts": [[…seeds…], …configurations…], "ranks": [[…configurations…], …data sets…], "repeats": 5}` from
//! standard input; the first configuration is the reference. Writes one JSON object; seconds are wall time of one thread.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sweep_stats::bootstrap::{RESAMPLES, Statistic, bootstrap};
use sweep_stats::friedman::friedman;
use sweep_stats::paired::{differences, paired_t_counts};
use sweep_stats::signflip::signflip_exact;
use sweep_stats::wilcoxon::{Zeros, wilcoxon_signed_rank};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    n_val: u64,
    counts: Vec<Vec<i64>>,
    ranks: Vec<Vec<f64>>,
    repeats: usize,
}

#[derive(Serialize)]
struct Answer {
    sign_flip: Timed<Vec<Option<f64>>>,
    wilcoxon: Timed<Vec<Option<f64>>>,
    paired_t: Timed<Vec<Option<f64>>>,
    bootstrap: Timed<Vec<Option<(f64, f64)>>>,
    friedman: Timed<Option<f64>>,
}

#[derive(Serialize)]
struct Timed<T> {
    value: T,
    seconds: Vec<f64>,
}

/// `p` of each configuration against the first.
fn against(
    first: &[i64],
    rest: &[Vec<i64>],
    p: impl Fn(&[i64], &[i64]) -> Option<f64>,
) -> Vec<Option<f64>> {
    rest.iter().map(|b| p(first, b)).collect()
}

fn timed<T>(repeats: usize, work: impl Fn() -> T) -> Timed<T> {
    let mut seconds = Vec::new();
    for _ in 0..repeats.max(1) {
        let start = Instant::now();
        black_box(work());
        seconds.push(start.elapsed().as_secs_f64());
    }
    Timed { value: work(), seconds }
}

fn main() -> anyhow::Result<()> {
    let q: Question =
        serde_json::from_reader(std::io::stdin()).context("cannot read the counts")?;
    let (first, rest) = q.counts.split_first().context("no configuration")?;
    let answer = Answer {
        sign_flip: timed(q.repeats, || {
            against(first, rest, |a, b| Some(signflip_exact(&differences(a, b).ok()?).ok()?.p_two))
        }),
        wilcoxon: timed(q.repeats, || {
            against(first, rest, |a, b| {
                let d = differences(a, b).ok()?;
                Some(wilcoxon_signed_rank(&d, Zeros::Wilcox).ok()?.p_two)
            })
        }),
        paired_t: timed(q.repeats, || {
            against(first, rest, |a, b| Some(paired_t_counts(a, b, q.n_val, 0.95).ok()?.p_two))
        }),
        bootstrap: timed(q.repeats, || {
            let of = |counts: &Vec<i64>| {
                let b = bootstrap(counts, q.n_val, Statistic::Mean, 1, RESAMPLES, 0.95).ok()?;
                b.percentile.ok().map(|i| (i.low, i.high))
            };
            q.counts.iter().map(of).collect()
        }),
        friedman: timed(q.repeats, || friedman(&q.ranks, true).ok()?.p_chi2.ok()),
    };
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}
