//! The speed acceptance of the statistics page: 200 configurations × 30 seeds on one thread.
//!
//! Run in release: `cargo test -p sweep-stats --release --test speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use sweep_stats::bit_rows::BitRows;
use sweep_stats::bootstrap::{RESAMPLES, Statistic, bootstrap};
use sweep_stats::crossed::crossed_difference;
use sweep_stats::rng::SplitMix64;
use sweep_stats::signflip::signflip_exact;
use sweep_stats::wilcoxon::{Zeros, wilcoxon_signed_rank};

const CONFIGURATIONS: usize = 200;
const SEEDS: usize = 30;
const EXAMPLES: usize = 226;

#[test]
#[ignore = "timing; run in release"]
fn all_pairs_of_two_hundred_configurations_take_well_under_a_second_per_test() {
    let rng = SplitMix64::new(1);
    let rows: Vec<BitRows> = (0..CONFIGURATIONS)
        .map(|c| {
            let bits: Vec<Vec<bool>> = (0..SEEDS)
                .map(|s| {
                    (0..EXAMPLES)
                        .map(|i| rng.uniform(((c * SEEDS + s) * EXAMPLES + i) as u64) < 0.95)
                        .collect()
                })
                .collect();
            BitRows::from_bools(&bits).unwrap()
        })
        .collect();
    let pairs: Vec<(usize, usize)> =
        (0..CONFIGURATIONS).flat_map(|i| (i + 1..CONFIGURATIONS).map(move |j| (i, j))).collect();
    assert_eq!(pairs.len(), 19_900);
    let diffs: Vec<Vec<i64>> = pairs
        .iter()
        .map(|&(i, j)| {
            let (a, b) = (rows[i].row_sums(), rows[j].row_sums());
            a.iter().zip(b).map(|(a, b)| b - a).collect()
        })
        .collect();

    let signflip = seconds(|| diffs.iter().for_each(|d| keep(signflip_exact(d))));
    let wilcoxon = seconds(|| {
        diffs.iter().for_each(|d| keep(wilcoxon_signed_rank(d, Zeros::Pratt)));
    });
    let crossed = seconds(|| {
        for &(i, j) in &pairs {
            keep(crossed_difference(&rows[i], &rows[j], 0.95));
        }
    });
    let bootstraps = |statistic| {
        seconds(|| {
            for r in &rows {
                keep(bootstrap(r.row_sums(), 226, statistic, 7, RESAMPLES, 0.95));
            }
        })
    };
    let (mean, iqm) = (bootstraps(Statistic::Mean), bootstraps(Statistic::Iqm));
    println!(
        "seconds: sign-flip {signflip:.3}, Wilcoxon {wilcoxon:.3}, crossed {crossed:.3}, \
         bootstrap mean {mean:.3}, IQM {iqm:.3}"
    );
    assert!(signflip + wilcoxon < 1.0);
}

/// Keeps the optimizer from dropping work whose result nobody reads.
fn keep<T>(value: T) {
    let _ = black_box(value);
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}
