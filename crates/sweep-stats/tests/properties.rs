//! Properties that hold for every input: symmetry, invariance, exactness by enumeration, and that
//! no function panics on the smallest and the most degenerate data.

use proptest::collection::vec;
use proptest::prelude::*;
use sweep_stats::adjust::{Correction, adjust, holm};
use sweep_stats::bayes::{
    bayes_hierarchical_grid, bayes_sign_dirichlet, bayes_signed_rank, sign_counts,
};
use sweep_stats::best_set::{BestSetTest, best_set};
use sweep_stats::bit_rows::BitRows;
use sweep_stats::bootstrap::{Statistic, bootstrap, replicates, summarize};
use sweep_stats::crossed::{
    crossed_difference, crossed_mean, pigeonhole, signflip_over_examples, signflip_over_seeds,
};
use sweep_stats::describe::{describe, describe_counts};
use sweep_stats::e_value::{Alternative, default_lambdas, e_value_signflip, e_value_t};
use sweep_stats::effect::{effect_sizes, effect_sizes_counts, prob_outperform};
use sweep_stats::equivalence::{bayes_t_rope, tost_counts, tost_paired_t, tost_signflip};
use sweep_stats::friedman::{friedman, nemenyi_cd, wilcoxon_holm};
use sweep_stats::group_seq::{Sides, Spending, equal_looks, spending_bounds};
use sweep_stats::mcnemar::mcnemar;
use sweep_stats::paired::{paired_t, paired_t_counts};
use sweep_stats::power::{
    Components, min_seeds_for_exact_test, power_crossed, power_paired_t, sd_upper_limit,
};
use sweep_stats::proportion::{clopper_pearson, jeffreys, wilson};
use sweep_stats::resplit::{bayes_correlated_t, nadeau_bengio_t};
use sweep_stats::signflip::{signflip_exact, signflip_real};
use sweep_stats::wilcoxon::{Zeros, wilcoxon_normal, wilcoxon_real, wilcoxon_signed_rank};

fn negated(d: &[i64]) -> Vec<i64> {
    d.iter().map(|d| -d).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-300)
}

/// Numbers of sign patterns (two-sided, greater, less) at least as extreme, by listing all 2^n.
fn enumerate(sizes: &[i64], observed: i64) -> (u64, u64, u64) {
    let total: i64 = sizes.iter().map(|s| s.abs()).sum();
    let mut counts = (0, 0, 0);
    for pattern in 0u64..1 << sizes.len() {
        let positive: i64 = sizes
            .iter()
            .enumerate()
            .filter(|(i, _)| pattern >> i & 1 == 1)
            .map(|(_, s)| s.abs())
            .sum();
        let sum = 2 * positive - total;
        counts.0 += u64::from(sum.abs() >= observed.abs());
        counts.1 += u64::from(sum >= observed);
        counts.2 += u64::from(sum <= observed);
    }
    counts
}

proptest! {
    #[test]
    fn exact_sign_flip_equals_enumeration_as_a_rational(d in vec(-6i64..=6, 1..=14)) {
        let test = signflip_exact(&d).unwrap();
        let (two, greater, less) = enumerate(&d, d.iter().sum());
        // 2^−14 and its multiples are exact in floating point, so this is equality of fractions
        let patterns = (1u64 << d.len()) as f64;
        prop_assert_eq!(test.p_two, two as f64 / patterns);
        prop_assert_eq!(test.p_greater, greater as f64 / patterns);
        prop_assert_eq!(test.p_less, less as f64 / patterns);
    }

    #[test]
    fn exact_signed_rank_equals_enumeration(d in vec(-5i64..=5, 1..=12), pratt in any::<bool>()) {
        let zeros = if pratt { Zeros::Pratt } else { Zeros::Wilcox };
        let test = wilcoxon_signed_rank(&d, zeros).unwrap();
        // doubled midranks straight from the definition
        let ranked: Vec<i64> = d.iter().copied().filter(|d| pratt || *d != 0).collect();
        let rank = |x: i64| -> i64 {
            let below = ranked.iter().filter(|y| y.abs() < x.abs()).count() as i64;
            let tied = ranked.iter().filter(|y| y.abs() == x.abs()).count() as i64;
            2 * below + tied + 1
        };
        let signed: Vec<i64> =
            d.iter().filter(|d| **d != 0).map(|&x| rank(x) * x.signum()).collect();
        let (two, greater, less) = enumerate(&signed, signed.iter().sum());
        let patterns = (1u64 << signed.len()) as f64;
        prop_assert_eq!(test.p_two, two as f64 / patterns);
        prop_assert_eq!(test.p_greater, greater as f64 / patterns);
        prop_assert_eq!(test.p_less, less as f64 / patterns);
    }

    #[test]
    fn swapping_the_sides_mirrors_every_test(d in vec(-9i64..=9, 1..40)) {
        let (x, y) = (signflip_exact(&d).unwrap(), signflip_exact(&negated(&d)).unwrap());
        prop_assert_eq!(x.p_two, y.p_two);
        prop_assert_eq!(x.p_greater, y.p_less);
        for zeros in [Zeros::Wilcox, Zeros::Pratt] {
            let x = wilcoxon_signed_rank(&d, zeros).unwrap();
            let y = wilcoxon_signed_rank(&negated(&d), zeros).unwrap();
            prop_assert_eq!(x.p_two, y.p_two);
            prop_assert_eq!(x.p_greater, y.p_less);
        }
        let zero = vec![0; d.len()];
        if let Ok(x) = paired_t_counts(&zero, &d, 60, 0.95) {
            let y = paired_t_counts(&d, &zero, 60, 0.95).unwrap();
            prop_assert_eq!(x.p_two, y.p_two);
            prop_assert_eq!(x.interval.low, -y.interval.high);
        }
    }

    #[test]
    fn the_order_of_seeds_and_a_constant_on_both_sides_change_nothing(
        pairs in vec((0i64..=60, 0i64..=60), 1..30),
        shift in -40i64..=40,
        rotation in 0usize..30,
    ) {
        let (a, b): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
        let mut moved = pairs.clone();
        moved.rotate_left(rotation % pairs.len());
        let (c, d): (Vec<i64>, Vec<i64>) =
            moved.iter().map(|(x, y)| (x + shift, y + shift)).unzip();
        let diff = |x: &[i64], y: &[i64]| -> Vec<i64> {
            x.iter().zip(y).map(|(x, y)| y - x).collect()
        };
        let (one, two) = (diff(&a, &b), diff(&c, &d));
        prop_assert_eq!(signflip_exact(&one), signflip_exact(&two));
        prop_assert_eq!(
            wilcoxon_signed_rank(&one, Zeros::Pratt),
            wilcoxon_signed_rank(&two, Zeros::Pratt)
        );
        match (paired_t_counts(&a, &b, 60, 0.95), paired_t_counts(&c, &d, 60, 0.95)) {
            (Ok(x), Ok(y)) => {
                prop_assert!(close(x.p_two, y.p_two) || (x.t.abs() < 1e-9 && y.t.abs() < 1e-9));
            }
            (x, y) => prop_assert_eq!(x.err(), y.err()),
        }
        let (x, y) =
            (tost_counts(&a, &b, 60, 0.02, 0.05), tost_counts(&c, &d, 60, 0.02, 0.05));
        prop_assert_eq!(x.is_ok(), y.is_ok());
    }

    #[test]
    fn every_p_value_is_a_probability_and_not_zero(
        a in vec(0i64..=60, 0..40),
        b in vec(0i64..=60, 0..40),
    ) {
        let n = a.len().min(b.len());
        let (a, b) = (&a[..n], &b[..n]);
        let d: Vec<i64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
        let mut p = vec![];
        if let Ok(t) = signflip_exact(&d) {
            p.extend([t.p_two, t.p_greater, t.p_less, t.p_min]);
            prop_assert!(t.p_two >= t.p_min);
        }
        if let Ok(t) = wilcoxon_signed_rank(&d, Zeros::Wilcox) {
            p.extend([t.p_two, t.p_greater, t.p_less]);
        }
        if let Ok(t) = paired_t_counts(a, b, 60, 0.95) {
            p.extend([t.p_two, t.p_greater, t.p_less]);
        }
        if let Ok(t) = tost_counts(a, b, 60, 0.02, 0.05) {
            p.extend([t.p, t.p_lower, t.p_upper]);
        }
        prop_assert!(p.iter().all(|p| *p > 0.0 && *p <= 1.0), "{:?}", p);
    }

    #[test]
    fn adjusted_p_values_are_at_least_raw_and_keep_the_order(p in vec(0.0f64..=1.0, 0..30)) {
        for correction in [
            Correction::Holm,
            Correction::BenjaminiHochberg,
            Correction::BenjaminiYekutieli,
            Correction::Bonferroni,
        ] {
            let adjusted = adjust(&p, correction).unwrap();
            for i in 0..p.len() {
                prop_assert!(adjusted[i] >= p[i] && adjusted[i] <= 1.0);
                for j in 0..p.len() {
                    prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
                }
            }
        }
        let bonferroni = adjust(&p, Correction::Bonferroni).unwrap();
        prop_assert!(holm(&p).unwrap().iter().zip(bonferroni).all(|(h, b)| *h <= b));
    }

    #[test]
    fn a12_is_mirrored(a in vec(0i64..=60, 1..20), b in vec(0i64..=60, 1..20)) {
        let n = a.len().min(b.len());
        let x = effect_sizes_counts(&a[..n], &b[..n], 60).unwrap();
        let y = effect_sizes_counts(&b[..n], &a[..n], 60).unwrap();
        prop_assert!((x.a12 - (1.0 - y.a12)).abs() < 1e-15);
        prop_assert!((x.hodges_lehmann + y.hodges_lehmann).abs() < 1e-15);
    }

    #[test]
    fn e_values_have_mean_one_over_all_sign_patterns(sizes in vec(0i64..=5, 1..=8)) {
        for alternative in [Alternative::TwoSided, Alternative::Greater] {
            let total: f64 = (0u64..1 << sizes.len())
                .map(|pattern| {
                    let d: Vec<i64> = sizes
                        .iter()
                        .enumerate()
                        .map(|(i, s)| if pattern >> i & 1 == 1 { -s } else { *s })
                        .collect();
                    let path = e_value_signflip(&d, &default_lambdas(), alternative).unwrap();
                    path.e().last().copied().unwrap_or(1.0)
                })
                .sum();
            prop_assert!((total / (1u64 << sizes.len()) as f64 - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_best_set_is_never_empty_and_holds_the_largest_mean(
        rows in (1usize..8, 1usize..12)
            .prop_flat_map(|(k, n)| vec(vec(40i64..=60, n), k)),
        alpha in 0.001f64..0.499,
    ) {
        let sums: Vec<i64> = rows.iter().map(|r| r.iter().sum()).collect();
        let best = (0..rows.len()).max_by_key(|&i| sums[i]).unwrap();
        for test in [BestSetTest::SignFlip, BestSetTest::PairedT] {
            let set = best_set(&rows, alpha, test).unwrap();
            prop_assert!(set.in_set[best]);
            for i in 0..rows.len() {
                prop_assert_eq!(set.in_set[i], set.beaten_by[i].is_none());
            }
        }
    }

    #[test]
    fn intervals_contain_the_estimate(
        counts in vec(0i64..=60, 2..30),
        n in 1u64..400,
        share in 0.0f64..=1.0,
        conf in 0.5f64..0.999,
    ) {
        let d = describe_counts(&counts, 60, conf).unwrap();
        if let Ok(interval) = d.t_interval {
            prop_assert!(interval.contains(d.mean) && interval.width() > 0.0);
        }
        let k = (share * n as f64).round() as u64;
        let p = k as f64 / n as f64;
        prop_assert!(wilson(k, n, conf).unwrap().contains(p));
        prop_assert!(clopper_pearson(k, n, conf).unwrap().contains(p));
        prop_assert!(jeffreys(k, n, conf).is_ok());
    }

    #[test]
    fn real_values_agree_with_the_counts_they_stand_for(
        pairs in vec((40i64..=60, 40i64..=60), 1..12),
    ) {
        let (a, b): (Vec<i64>, Vec<i64>) = pairs.iter().copied().unzip();
        let real = |x: &[i64]| -> Vec<f64> { x.iter().map(|&v| v as f64 / 60.0).collect() };
        match (paired_t_counts(&a, &b, 60, 0.9), paired_t(&real(&a), &real(&b), 0.9)) {
            (Ok(x), Ok(y)) => prop_assert!((x.p_two - y.p_two).abs() < 1e-9),
            (x, y) => prop_assert_eq!(x.err(), y.err()),
        }
        let diff: Vec<i64> = pairs.iter().map(|(a, b)| b - a).collect();
        let (x, y) =
            (signflip_exact(&diff).unwrap(), signflip_real(&real(&diff), 1).unwrap());
        prop_assert!((x.p_two - y.p_two).abs() < 1e-12);
    }

    #[test]
    fn no_function_panics_on_any_small_input(
        a in vec(-3i64..=3, 0..6),
        b in vec(-3i64..=3, 0..6),
        n_val in 0u64..3,
        x in -1.5f64..1.5,
    ) {
        run_everything(&a, &b, n_val, x);
    }
}

/// Calls every function on counts and on the same numbers as reals, valid or not.
fn run_everything(a: &[i64], b: &[i64], n_val: u64, x: f64) {
    let real = |v: &[i64]| -> Vec<f64> { v.iter().map(|&v| v as f64 * x).collect() };
    let (ra, rb) = (real(a), real(b));
    let _ = describe(&ra, x);
    let _ = describe_counts(a, n_val, x.abs());
    let _ = signflip_exact(a);
    let _ = signflip_real(&ra, 3);
    for zeros in [Zeros::Wilcox, Zeros::Pratt] {
        let _ = wilcoxon_signed_rank(a, zeros);
        let _ = wilcoxon_real(&ra, zeros);
        let _ = wilcoxon_normal(a, zeros, true);
    }
    let _ = paired_t_counts(a, b, n_val, 0.95);
    let _ = paired_t(&ra, &rb, x);
    let _ = effect_sizes_counts(a, b, n_val);
    let _ = effect_sizes(&ra, &rb);
    let _ = prob_outperform(a, b, 1, 20, 0.95);
    let _ = holm(&ra);
    let _ = tost_counts(a, b, n_val, x, 0.05);
    let _ = tost_paired_t(&ra, &rb, x, 0.05);
    let _ = tost_signflip(a, n_val, x);
    let _ = bayes_t_rope(a, b, n_val, 0.1, x);
    for test in [BestSetTest::SignFlip, BestSetTest::PairedT] {
        let _ = best_set(&[a, b], x, test);
    }
    for statistic in [Statistic::Mean, Statistic::Iqm, Statistic::Median] {
        let _ = bootstrap(a, n_val, statistic, 1, 30, 0.95);
    }
    let count = |v: i64| v.unsigned_abs();
    let (k, n) = (a.first().map_or(0, |v| count(*v)), b.first().map_or(0, |v| count(*v)));
    let _ = (wilson(k, n, 0.95), clopper_pearson(k, n, 0.95), jeffreys(k, n, x), mcnemar(k, n));
    let bits = |v: &[i64]| BitRows::from_bools(&[v.iter().map(|v| *v > 0).collect::<Vec<_>>(); 1]);
    let (Ok(ba), Ok(bb)) = (bits(a), bits(b)) else { panic!("one row always has a shape") };
    let _ = (crossed_mean(&ba, 0.95), crossed_difference(&ba, &bb, 0.95));
    let _ = (signflip_over_seeds(&ba, &bb), signflip_over_examples(&ba, &bb));
    let _ = pigeonhole(&ba, &bb, 1, 10, 0.95);
    let _ = (e_value_signflip(a, &[1.0], Alternative::Greater), e_value_t(a, x));
    let _ = (nadeau_bengio_t(&ra, x), bayes_correlated_t(&ra, x, 0.1));
    let _ = (friedman(&[&ra, &rb], true), wilcoxon_holm(&[&ra, &rb], x));
    let _ = nemenyi_cd(a.len(), b.len(), x);
    let _ = bayes_sign_dirichlet([x, k as f64, n as f64]);
    let _ = sign_counts(&ra, x, x);
    let _ = bayes_signed_rank(&ra, &rb, 0.1, x, 20, 1);
    let _ = bayes_hierarchical_grid(&ra, &rb, x, 0.1, 9);
    let _ = power_paired_t(x, x.abs(), n, 0.05);
    let _ = (min_seeds_for_exact_test(x, n), sd_upper_limit(x, n, x));
    let components = Components { var_seed: x, var_example: -x, var_resid: x };
    let _ = power_crossed(x, components, n, 0.05, 0.8);
    let _ = spending_bounds(&equal_looks(a.len()), x, Spending::Pocock, Sides::One);
}

#[test]
fn no_function_panics_on_the_degenerate_cases() {
    let long = [7i64; 40];
    for data in
        [&[][..], &[0], &[5], &[0; 6], &[3; 6], &[i64::MAX; 3], &[i64::MIN, i64::MAX], &long]
    {
        for other in [&[][..], &[1], &[0; 6], &[3; 6], &[i64::MIN; 3], &[i64::MAX, 0], &long] {
            for x in [0.0, 0.05, 1.0, -1.0, f64::NAN, f64::INFINITY, 1e300, 1e-300] {
                run_everything(data, other, 60, x);
            }
        }
    }
}

#[test]
fn bootstrap_replicates_are_the_same_on_one_and_on_eight_threads() {
    let counts = [217, 215, 216, 220, 220, 215, 224, 216, 216, 218, 220, 210, 223];
    for statistic in [Statistic::Mean, Statistic::Iqm, Statistic::Median] {
        let whole = bootstrap(&counts, 226, statistic, 11, 4000, 0.95).unwrap();
        let pieces: Vec<i64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|t| {
                    scope.spawn(move || {
                        replicates(&counts, statistic, 11, t * 500..(t + 1) * 500).unwrap()
                    })
                })
                .collect();
            workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
        });
        assert_eq!(summarize(&counts, 226, statistic, pieces, 0.95).unwrap(), whole);
    }
}
