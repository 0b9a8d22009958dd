//! The operating characteristics that justify the defaults, simulated again: coverage, error and
//! power of the procedures on synthetic runs.
//!
//! Each simulation runs twice: with a quarter of the replicates among the tests, and whole with
//! `cargo test -p sweep-stats --release --test operating_characteristics -- --ignored --nocapture` (`just simulate`),
//! which prints every value beside its reference. A value passes within 4 standard errors of the difference of two
//! simulations (this one and the reference), a mean count within 0.5.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::simulation::{Cells, Draws, Size};
use sweep_stats::adjust::holm;
use sweep_stats::best_set::{BestSetTest, best_set};
use sweep_stats::bit_rows::BitRows;
use sweep_stats::bootstrap::{Statistic, bootstrap};
use sweep_stats::crossed::crossed_difference;
use sweep_stats::describe::describe_counts;
use sweep_stats::distribution::t_isf;
use sweep_stats::e_value::{Alternative, default_lambdas, e_value_signflip, e_value_t};
use sweep_stats::group_seq::{Sides, Spending, equal_looks, spending_bounds};
use sweep_stats::mcnemar::mcnemar;
use sweep_stats::paired::{differences, paired_t_counts};
use sweep_stats::race::{Elimination, Race};

/// A quarter of the replicates.
const SHORT: Size = Size { of: 4 };

/// Each simulation as two tests: `short`, and `whole` where somebody asks for it.
macro_rules! simulations {
    ($($name:ident),+ $(,)?) => {
        mod short {
            $(#[test] fn $name() { super::$name(super::SHORT); })+
        }
        mod whole {
            $(#[test] #[ignore = "simulation; run in release"] fn $name() { super::$name(super::Size::FULL); })+
        }
    };
}

simulations!(
    coverage_of_intervals_over_seeds,
    only_the_crossed_analysis_keeps_its_level_over_examples,
    the_best_set_keeps_the_best,
    looking_without_a_plan_is_the_only_rule_that_errs,
    adaptive_seeding_saves_runs_and_keeps_the_best,
    evidence_at_any_time_keeps_the_best,
    the_error_of_one_elimination_is_as_asked,
);

/// 6.1: coverage of a nominal 95 % interval for a mean over seeds, t / percentile / `BCa`.
fn coverage_of_intervals_over_seeds(size: Size) {
    let table = [
        (3, [0.967, 0.906, 0.876], [0.964, 0.851, 0.830]),
        (5, [0.955, 0.876, 0.883], [0.957, 0.847, 0.854]),
        (10, [0.955, 0.916, 0.912], [0.944, 0.912, 0.906]),
        (20, [0.966, 0.950, 0.950], [0.958, 0.934, 0.936]),
        (30, [0.950, 0.948, 0.944], [0.942, 0.936, 0.932]),
    ];
    let mut cells = Cells::new(size);
    let mut draws = Draws::new(61);
    for (n, small, large) in table {
        let full = if n < 20 { 1000 } else { 500 };
        let replicates = size.replicates(full);
        // clipping at 60 moves the mean of 54 by less than 1e-4, which the slack below covers
        for (n_val, truth, want) in [(60u64, 54.0, small), (226, 221.0, large)] {
            let mut covered = [0u64; 3];
            for replicate in 0..replicates {
                let counts: Vec<i64> = (0..n)
                    .map(|_| match n_val {
                        60 => draws.rounded(54.0, 1.5).clamp(0, 60),
                        _ => 226 - draws.poisson(5.0).min(226),
                    })
                    .collect();
                let truth = truth / n_val as f64;
                let t = describe_counts(&counts, n_val, 0.95).unwrap().t_interval;
                let b = bootstrap(&counts, n_val, Statistic::Mean, replicate, 600, 0.95).unwrap();
                let bca = b.bca.map(|b| b.interval).or(b.percentile);
                for (slot, interval) in covered.iter_mut().zip([t, b.percentile, bca]) {
                    *slot += u64::from(
                        interval.is_ok_and(|i| i.low - 1e-6 <= truth && truth <= i.high + 1e-6),
                    );
                }
            }
            for (i, name) in ["t", "percentile", "BCa"].iter().enumerate() {
                let rate = covered[i] as f64 / replicates as f64;
                cells.rate(format!("{name}, n = {n}, {n_val}"), rate, want[i], full);
            }
        }
    }
    cells.finish();
}

/// Seeds × examples of two losses: correct iff ease + interaction + seed + noise > 0.
fn latent_pair(draws: &mut Draws, seeds: usize, examples: usize, shift: f64) -> [BitRows; 2] {
    let ease: Vec<f64> = (0..examples).map(|_| 3.2 + 2.2 * draws.normal()).collect();
    [0.0, shift].map(|shift| {
        let easier: Vec<f64> = ease.iter().map(|e| e + shift + 0.9 * draws.normal()).collect();
        let rows: Vec<Vec<bool>> = (0..seeds)
            .map(|_| {
                let seed = 0.25 * draws.normal();
                easier.iter().map(|e| e + seed + 0.7 * draws.logistic() > 0.0).collect()
            })
            .collect();
        BitRows::from_bools(&rows).unwrap()
    })
}

/// 6.2: rejection at 5 % when the losses do not differ in the population of examples.
fn only_the_crossed_analysis_keeps_its_level_over_examples(size: Size) {
    let table = [
        (5, 60, [0.101, 0.128, 0.035, 0.060, 0.029], None),
        (10, 60, [0.221, 0.250, 0.028, 0.070, 0.051], Some([0.69, 0.88])),
        (30, 60, [0.385, 0.410, 0.039, 0.053, 0.044], Some([0.85, 0.99])),
        (10, 226, [0.133, 0.301, 0.129, 0.095, 0.045], Some([0.995, 0.998])),
        (30, 226, [0.319, 0.475, 0.159, 0.089, 0.067], Some([1.0, 1.0])),
    ];
    let names =
        ["seeds-only t", "pooled McNemar", "one-seed McNemar", "examples-only t", "crossed"];
    let mut cells = Cells::new(size);
    let mut draws = Draws::new(62);
    for (seeds, examples, want, power) in table {
        let mut rejected = [0u64; 5];
        let replicates = size.replicates(1500);
        for _ in 0..replicates {
            let [a, b] = latent_pair(&mut draws, seeds, examples, 0.0);
            let pooled = (0..seeds).fold((0, 0), |(x, y), s| {
                let (only_a, only_b) = a.discordant(s, &b, s).unwrap();
                (x + only_a, y + only_b)
            });
            let (only_a, only_b) = a.discordant(0, &b, 0).unwrap();
            let t = |x: &[i64], y: &[i64]| {
                paired_t_counts(x, y, 1, 0.95).is_ok_and(|t| t.p_two <= 0.05)
            };
            let tests = [
                t(a.row_sums(), b.row_sums()),
                mcnemar(pooled.0, pooled.1).p_exact <= 0.05,
                mcnemar(only_a, only_b).p_exact <= 0.05,
                t(a.column_sums(), b.column_sums()),
                crossed_rejects(&a, &b),
            ];
            rejected.iter_mut().zip(tests).for_each(|(r, t)| *r += u64::from(t));
        }
        for (i, name) in names.iter().enumerate() {
            let rate = rejected[i] as f64 / replicates as f64;
            cells.rate(format!("{name}, {seeds} x {examples}"), rate, want[i], 1500);
        }
        let Some(power) = power else { continue };
        let mut rejected = [0u64; 2];
        let replicates = size.replicates(800);
        for _ in 0..replicates {
            let [a, b] = latent_pair(&mut draws, seeds, examples, 1.0);
            rejected[0] += u64::from(crossed_rejects(&a, &b));
            let t = paired_t_counts(a.row_sums(), b.row_sums(), 1, 0.95);
            rejected[1] += u64::from(t.is_ok_and(|t| t.p_two <= 0.05));
        }
        for (i, name) in ["crossed", "seeds-only"].iter().enumerate() {
            let rate = rejected[i] as f64 / replicates as f64;
            cells.rate(format!("power {name}, {seeds} x {examples}"), rate, power[i], 800);
        }
    }
    cells.finish();
}

fn crossed_rejects(a: &BitRows, b: &BitRows) -> bool {
    crossed_difference(a, b, 0.95).unwrap().inference.is_ok_and(|i| i.p_two <= 0.05)
}

/// 6.3: best set of 10 configurations by t: P(true best kept), set size.
fn the_best_set_keeps_the_best(size: Size) {
    // n, then for: unadjusted against the sample best / Holm against it / best_set
    type Row = (usize, [f64; 3], [f64; 3]);
    let equal: [Row; 3] = [
        (5, [0.872, 0.975, 0.940], [9.0, 9.8, 9.5]),
        (10, [0.880, 0.988, 0.960], [8.8, 9.8, 9.6]),
        (30, [0.865, 0.982, 0.962], [8.7, 9.8, 9.6]),
    ];
    let linear: [Row; 3] = [
        (5, [0.987, 0.995, 0.995], [5.2, 8.0, 6.6]),
        (10, [0.992, 0.995, 0.998], [3.3, 4.4, 4.3]),
        (30, [0.998, 1.0, 1.0], [2.1, 2.3, 2.6]),
    ];
    let mut cells = Cells::new(size);
    let mut draws = Draws::new(63);
    for (name, span, rows) in [("equal", 0.0, equal), ("0 to 3 sd", 3.0, linear)] {
        for (n, kept_want, size_want) in rows {
            let (mut kept, mut left) = ([0u64; 3], [const { Vec::new() }; 3]);
            let replicates = size.replicates(600);
            for _ in 0..replicates {
                let seeds: Vec<f64> = (0..n).map(|_| draws.normal()).collect();
                let counts: Vec<Vec<i64>> = (0..10)
                    .map(|i| {
                        let mean = span * f64::from(i) / 9.0;
                        let value = |s: &f64, z: f64| (1.5 * (s + mean + z)).round() as i64;
                        seeds.iter().map(|s| value(s, draws.normal())).collect()
                    })
                    .collect();
                let sample_best = (0..10).max_by_key(|&i| counts[i].iter().sum::<i64>()).unwrap();
                let others: Vec<usize> = (0..10).filter(|&i| i != sample_best).collect();
                let raw: Vec<f64> = others
                    .iter()
                    .map(|&i| {
                        paired_t_counts(&counts[i], &counts[sample_best], 1, 0.95)
                            .map_or(1.0, |t| t.p_two)
                    })
                    .collect();
                let inside = |p: &[f64]| {
                    let mut set = [true; 10];
                    others.iter().zip(p).for_each(|(&i, p)| set[i] = *p > 0.05);
                    set.to_vec()
                };
                let ours = best_set(&counts, 0.05, BestSetTest::PairedT).unwrap().in_set;
                for (m, set) in
                    [inside(&raw), inside(&holm(&raw).unwrap()), ours].iter().enumerate()
                {
                    kept[m] += u64::from(set[9]);
                    left[m].push(set.iter().filter(|s| **s).count() as f64);
                }
            }
            for (m, method) in ["unadjusted", "Holm", "best_set"].iter().enumerate() {
                let label = format!("{method}, {name}, n = {n}");
                let rate = kept[m] as f64 / replicates as f64;
                cells.rate(label.clone(), rate, kept_want[m], 600);
                cells.count(label, &left[m], size_want[m], 600);
            }
        }
    }
    cells.finish();
}

/// Critical t at each look, from nominal p values of one tail.
fn critical(looks: &[usize], one_tail: &[f64]) -> Vec<(usize, f64)> {
    looks.iter().zip(one_tail).map(|(&n, &p)| (n, t_isf(p, n as f64 - 1.0).unwrap())).collect()
}

/// t of the first `n` differences; none without variance.
fn t_of(d: &[i64], n: usize) -> Option<f64> {
    let (n_real, sum) = (n as f64, d[..n].iter().sum::<i64>() as f64);
    let squares = d[..n].iter().map(|d| d * d).sum::<i64>() as f64;
    let scatter = n_real * squares - sum * sum;
    (scatter > 0.0).then(|| sum / (scatter / (n_real - 1.0)).sqrt())
}

/// 6.4: one pair, cap 30 seeds: rejection rate and mean number of seeds.
fn looking_without_a_plan_is_the_only_rule_that_errs(size: Size) {
    let table: [(f64, [f64; 7], [f64; 5]); 6] = [
        (0.0, [0.051, 0.046, 0.233, 0.054, 0.051, 0.021, 0.023], [25.8, 29.7, 29.3, 29.7, 29.6]),
        (0.5, [0.730, 0.275, 0.837, 0.718, 0.623, 0.394, 0.390], [15.9, 25.2, 23.2, 25.4, 25.2]),
        (0.75, [0.974, 0.541, 0.984, 0.970, 0.938, 0.814, 0.804], [10.3, 20.5, 16.9, 19.0, 18.9]),
        (1.0, [0.999, 0.779, 0.999, 0.999, 0.998, 0.980, 0.979], [7.6, 17.1, 12.6, 13.7, 13.5]),
        (1.5, [1.0, 0.985, 1.0, 1.0, 1.0, 1.0, 1.0], [5.6, 13.8, 8.7, 8.7, 8.4]),
        (2.0, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [5.1, 11.9, 7.1, 7.0, 6.8]),
    ];
    let looks = [5, 10, 15, 20, 25, 30];
    let group = |spending| {
        let bounds = spending_bounds(&equal_looks(6), 0.05, spending, Sides::Two).unwrap();
        let one_tail: Vec<f64> = bounds.nominal_p.iter().map(|p| p / 2.0).collect();
        critical(&looks, &one_tail)
    };
    let every: Vec<usize> = (5..=30).collect();
    let rules = [
        critical(&[30], &[0.025]),
        critical(&[10], &[0.025]),
        critical(&every, &[0.025; 26]),
        group(Spending::ObrienFleming),
        group(Spending::Pocock),
    ];
    let names = ["fixed 30", "fixed 10", "peek", "OBF", "Pocock", "e t", "e sign-flip"];
    let mut cells = Cells::new(size);
    let mut draws = Draws::new(64);
    for (effect, rates, means) in table {
        let (mut rejected, mut seeds) = ([0u64; 7], [const { Vec::new() }; 7]);
        let replicates = size.replicates(4000);
        for _ in 0..replicates {
            let d: Vec<i64> = (0..30).map(|_| draws.rounded(1.5 * effect, 1.5)).collect();
            let stop = |rule: &Vec<(usize, f64)>| {
                rule.iter().find(|(n, c)| t_of(&d, *n).is_some_and(|t| t.abs() >= *c)).map(|r| r.0)
            };
            let e_sign = e_value_signflip(&d, &default_lambdas(), Alternative::TwoSided).unwrap();
            let stops: Vec<Option<usize>> = rules
                .iter()
                .map(stop)
                .chain([e_value_t(&d, 1.0).unwrap().rejects_at(0.05), e_sign.rejects_at(0.05)])
                .collect();
            for (i, stop) in stops.iter().enumerate() {
                rejected[i] += u64::from(stop.is_some());
                seeds[i].push(stop.unwrap_or(30) as f64);
            }
        }
        for (i, name) in names.iter().enumerate() {
            let label = format!("{name}, effect {effect}");
            let rate = rejected[i] as f64 / replicates as f64;
            cells.rate(label.clone(), rate, rates[i], 4000);
            if i >= 2 {
                cells.count(label, &seeds[i], means[i - 2], 4000);
            }
        }
    }
    cells.finish();
}

/// The adaptive rule on one sweep: survivors, and runs done. `rope` in examples.
fn run_race(counts: &[Vec<i64>], race: &Race, rope: f64) -> (Vec<usize>, usize) {
    let mut alive: Vec<usize> = (0..counts.len()).collect();
    let mut runs = 0;
    for (look, n) in [5, 10, 15, 20, 25, 30].into_iter().enumerate() {
        runs += 5 * alive.len();
        let diff = |i: usize, j: usize| differences(&counts[i][..n], &counts[j][..n]).unwrap();
        let decision = race.decide(look, &alive, rope, diff);
        alive = decision.left;
        if alive.len() == 1 || decision.equivalent {
            break;
        }
    }
    (alive, runs)
}

/// 6.5: many configurations: P(best kept), set size, share of runs saved.
fn adaptive_seeding_saves_runs_and_keeps_the_best(size: Size) {
    use Elimination::{PairedT, SignFlip};
    use Spending::{ObrienFleming, Pocock};
    let linear = |k: usize, top: f64| -> Vec<f64> {
        (0..k).map(|i| top * i as f64 / (k - 1) as f64).collect()
    };
    let one_up =
        |by: f64| -> Vec<f64> { (0..12).map(|i| if i == 11 { by } else { 0.0 }).collect() };
    // 4 equal best, 8 worse by 2 … 6
    let four: Vec<f64> =
        (0..12).map(|i| if i < 8 { -6.0 + 4.0 * f64::from(i) / 7.0 } else { 0.0 }).collect();
    // columns: Pocock t, OBF t, Pocock sign-flip; (kept, size, saved)
    type Triple = (f64, f64, f64);
    let table: [(&str, Vec<f64>, [Triple; 3]); 6] = [
        ("one winner", one_up(4.5), [(1.0, 1.0, 0.75), (1.0, 1.0, 0.55), (1.0, 1.0, 0.66)]),
        ("linear", linear(12, 5.0), [(1.0, 2.8, 0.60), (1.0, 2.8, 0.43), (1.0, 2.9, 0.51)]),
        ("four best", four, [(0.980, 4.0, 0.68), (0.998, 4.0, 0.53), (0.995, 4.0, 0.59)]),
        (
            "all equal",
            vec![0.0; 12],
            [(0.973, 11.6, 0.35), (0.988, 11.9, 0.33), (0.990, 11.9, 0.34)],
        ),
        ("one +1", one_up(1.0), [(1.0, 6.4, 0.26), (1.0, 5.7, 0.20), (1.0, 6.9, 0.20)]),
        ("36 linear", linear(36, 8.0), [(1.0, 5.0, 0.65), (1.0, 4.9, 0.46), (1.0, 5.5, 0.42)]),
    ];
    let rules = [(Pocock, PairedT), (ObrienFleming, PairedT), (Pocock, SignFlip)];
    let mut cells = Cells::new(size);
    let mut draws = Draws::new(65);
    for (name, means, want) in table {
        let k = means.len();
        for ((spending, test), want) in rules.into_iter().zip(want) {
            let full = if k == 36 && test == SignFlip { 100 } else { 400 };
            let replicates = size.replicates(full);
            let race = Race::with_looks(&[5, 10, 15, 20, 25, 30], k, 0.05, spending, test).unwrap();
            let mut kept = 0u64;
            let (mut left, mut saved) = (Vec::new(), Vec::new());
            for _ in 0..replicates {
                let seeds: Vec<f64> = (0..30).map(|_| draws.normal()).collect();
                let counts: Vec<Vec<i64>> = means
                    .iter()
                    .map(|mean| {
                        seeds.iter().map(|s| draws.rounded(mean + s, 1.5 / 2f64.sqrt())).collect()
                    })
                    .collect();
                let (alive, runs) = run_race(&counts, &race, 2.0);
                kept += u64::from(alive.contains(&(k - 1)));
                left.push(alive.len() as f64);
                saved.push(1.0 - runs as f64 / (30 * k) as f64);
            }
            let label = format!("{name}, {spending:?}, sign-flip {}", test == SignFlip);
            cells.rate(format!("{label}, kept"), kept as f64 / replicates as f64, want.0, full);
            cells.count(format!("{label}, left"), &left, want.1, full);
            cells.mean(format!("{label}, saved"), &saved, want.2, 0.005, full);
        }
    }
    cells.finish();
}

/// The same by e-processes: the best is lost with probability α at most, and a clear winner is found.
fn evidence_at_any_time_keeps_the_best(size: Size) {
    let (k, replicates) = (12, size.replicates(400));
    let race = Race::anytime(k, 0.05).unwrap();
    let mut draws = Draws::new(67);
    for (name, top) in [("all equal", 0.0), ("one winner", 4.5)] {
        let (mut kept, mut left, mut runs_done) = (0u64, 0usize, 0usize);
        for _ in 0..replicates {
            let seeds: Vec<f64> = (0..30).map(|_| draws.normal()).collect();
            let counts: Vec<Vec<i64>> = (0..k)
                .map(|i| if i == k - 1 { top } else { 0.0 })
                .map(|mean| {
                    seeds.iter().map(|s| draws.rounded(mean + s, 1.5 / 2f64.sqrt())).collect()
                })
                .collect();
            let (alive, runs) = run_race(&counts, &race, 2.0);
            kept += u64::from(alive.contains(&(k - 1)));
            left += alive.len();
            runs_done += runs;
        }
        let lost = 1.0 - kept as f64 / replicates as f64;
        let noise = 4.0 * (0.05 * 0.95 / replicates as f64).sqrt();
        assert!(lost <= 0.05 + noise, "{name}: the best was lost at a rate of {lost}");
        let left = left as f64 / replicates as f64;
        let saved = 1.0 - runs_done as f64 / (30 * k as u64 * replicates) as f64;
        println!(
            "at any time, {name}: lost {lost:.3}, {left:.2} left, {:.0} % of the runs saved",
            100.0 * saved
        );
        assert!(top == 0.0 || left < 1.05, "{name}: {left} were left");
        // less than looks planned ahead, which save 75 % where one is clearly ahead, but most of it
        assert!(top == 0.0 || saved > 0.5, "{name}: only {saved} of the runs were saved");
    }
}

/// 6.6: error of one comparison times m under the adaptive rule, asked .05.
fn the_error_of_one_elimination_is_as_asked(size: Size) {
    let table = [
        (1.0, true, [0.052, 0.043, 0.040]),
        (1.0, false, [0.053, 0.050, 0.066]),
        (3.0, true, [0.054, 0.050, 0.054]),
    ];
    let looks = [5, 10, 15, 20, 25, 30];
    let full = 200_000u64;
    let replicates = size.replicates(full);
    let mut cells = Cells::new(size);
    let mut draws = Draws::new(66);
    for (sd, guarded, want) in table {
        let comparisons = [1.0, 11.0, 35.0];
        let rules = comparisons.map(|m| {
            let bounds = spending_bounds(&equal_looks(6), 0.05 / m, Spending::Pocock, Sides::One);
            critical(&looks, &bounds.unwrap().nominal_p)
        });
        let mut errors = [0u64; 3];
        for _ in 0..replicates {
            let d: Vec<i64> = (0..30).map(|_| draws.rounded(0.0, sd)).collect();
            for (error, rule) in errors.iter_mut().zip(&rules) {
                let crossed = |&(n, bound): &(usize, f64)| match t_of(&d, n) {
                    Some(t) => t >= bound,
                    None => !guarded && d[0] > 0,
                };
                *error += u64::from(rule.iter().any(crossed));
            }
        }
        for i in 0..3 {
            let rate = errors[i] as f64 / replicates as f64;
            let want = want[i] / comparisons[i];
            // the table is rounded to .0005 of the product with m
            let label = format!("sd {sd}, guarded {guarded}, m = {}", comparisons[i]);
            let inverse = 1.0 / replicates as f64 + 1.0 / full as f64;
            let noise = 4.0 * (want * (1.0 - want) * inverse).sqrt();
            cells.within(label, rate, want, noise + 0.0005 / comparisons[i]);
        }
    }
    cells.finish();
}
