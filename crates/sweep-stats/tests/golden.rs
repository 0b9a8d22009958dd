//! Walks every case of the golden file: values made with scipy, numpy, statsmodels,
//! scikit-posthocs, baycomp and mpmath (versions in its `meta`), nearly all of them asserted there
//! by a second route. A procedure or an output key this test does not know is a failure.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

mod common;

use common::golden::{Case, Checker, walk};
use serde_json::Value;
use sweep_stats::adjust::{benjamini_hochberg, benjamini_yekutieli, bonferroni, holm};
use sweep_stats::bayes::{
    DEFAULT_PRIOR, ThreeWay, bayes_hierarchical_grid, bayes_sign_dirichlet, bayes_signed_rank,
};
use sweep_stats::best_set::{BestSetTest, best_set};
use sweep_stats::bit_rows::BitRows;
use sweep_stats::bootstrap::{Statistic, bootstrap};
use sweep_stats::crossed::{
    crossed_difference, pigeonhole, signflip_over_examples, signflip_over_seeds,
};
use sweep_stats::describe::describe_counts;
use sweep_stats::distribution::{beta_ppf, chi2_sf, f_sf, norm_cdf, norm_ppf, t_ppf, t_sf};
use sweep_stats::e_value::{Alternative, e_value_signflip, e_value_t};
use sweep_stats::effect::{effect_sizes_counts, prob_outperform};
use sweep_stats::equivalence::{bayes_t_rope, tost_counts};
use sweep_stats::friedman::{friedman, nemenyi_cd, wilcoxon_holm};
use sweep_stats::group_seq::{
    Sides, Spending, equal_looks, obrien_fleming, pocock, spending_bounds,
};
use sweep_stats::mcnemar::mcnemar;
use sweep_stats::nct::nct_cdf;
use sweep_stats::paired::paired_t_counts;
use sweep_stats::power::{Components, min_seeds_for_exact_test, power_crossed, seeds_for_paired_t};
use sweep_stats::proportion::{clopper_pearson, jeffreys, wilson};
use sweep_stats::resplit::{bayes_correlated_t, dietterich_5x2cv, nadeau_bengio_t};
use sweep_stats::rng::{SplitMix64, derive_seed};
use sweep_stats::signflip::signflip_exact;
use sweep_stats::tukey::studentized_range_sf;
use sweep_stats::wilcoxon::{Zeros, wilcoxon_normal, wilcoxon_signed_rank};

#[test]
fn every_golden_value_is_met() {
    let file: Value =
        serde_json::from_str(include_str!("fixtures/stats_golden.json")).expect("golden file");
    let failures = walk(&file, dispatch);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The same procedures at their edges: one seed, all ties, no variance, far tails, 500 seeds, boundaries of tables. Made by
/// `bench/stats/edges` with scipy, statsmodels, numpy and exact fractions.
#[test]
fn every_value_at_an_edge_is_met() {
    let file: Value =
        serde_json::from_str(include_str!("fixtures/stats_edges.json")).expect("edge cases");
    let failures = walk(&file, dispatch);
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn an_unknown_procedure_or_key_or_a_wrong_value_fails() {
    let file = |procedure: &str, key: &str, value: f64| {
        serde_json::json!({"procedures": {procedure: [{
            "input": {"b": 0, "c": 6}, "output": {key: value}, "tol": 1e-10
        }]}})
    };
    assert!(walk(&file("mcnemar", "p_exact", 0.03125), dispatch).is_empty());
    assert_eq!(walk(&file("mcnemar", "p_exact", 0.03126), dispatch).len(), 1);
    assert_eq!(walk(&file("mcnemar", "p_fisher", 0.03125), dispatch).len(), 1);
    assert_eq!(walk(&file("mcnemar_2", "p_exact", 0.03125), dispatch).len(), 1);
}

/// Computes one case and hands every quantity it knows to the checker; false when the procedure is
/// not known.
fn dispatch(procedure: &str, case: &Case, out: &mut Checker) -> bool {
    match procedure {
        "rng_splitmix64" => check_splitmix(case, out),
        "rng_derive_seed" => {
            let user_seed = case.int("user_seed") as u64;
            out.text("seed_as_string", &derive_seed(user_seed, case.text("label")).to_string());
        }
        "describe" => check_describe(case, out),
        "proportion_ci" => check_proportion(case, out),
        "bootstrap" => check_bootstrap(case, out),
        "signflip_exact" => check_signflip(case, out),
        "wilcoxon_signed_rank" => check_wilcoxon(case, out),
        "paired_t" => check_paired_t(case, out),
        "effect_sizes" => check_effect(case, out),
        "p_adjust" => {
            let p = case.reals("p");
            out.reals("holm", &holm(&p).unwrap());
            out.reals("bh", &benjamini_hochberg(&p).unwrap());
            out.reals("by", &benjamini_yekutieli(&p).unwrap());
            out.reals("bonferroni", &bonferroni(&p).unwrap());
        }
        "mcnemar" => {
            let test = mcnemar(case.int("b") as u64, case.int("c") as u64);
            out.real("p_exact", test.p_exact);
            out.real("p_mid", test.p_mid);
            out.known("chi2", test.chi2);
            out.known("p_chi2", test.p_chi2);
        }
        "crossed_seeds_examples" => check_crossed(case, out),
        "best_set" => check_best_set(case, out),
        "tost_paired_t" => {
            let (a, b) = (case.ints("a"), case.ints("b"));
            let t = tost_counts(&a, &b, case.n_val(), case.real("rope"), case.or("alpha", 0.05));
            let t = t.unwrap();
            out.real("p_tost", t.p);
            out.real("p_lower", t.p_lower);
            out.real("p_upper", t.p_upper);
            out.interval("ci90", t.interval);
        }
        "bayes_t_rope" => {
            let (a, b) = (case.ints("a"), case.ints("b"));
            let p = bayes_t_rope(&a, &b, case.n_val(), case.real("rope"), case.real("rho"));
            let p = p.unwrap();
            out.real("p_a_better", p.p_a_better);
            out.real("p_rope", p.p_rope);
            out.real("p_b_better", p.p_b_better);
        }
        "nadeau_bengio_t" => {
            let t = nadeau_bengio_t(&case.reals("diff"), case.real("n_test_over_n_train")).unwrap();
            out.real("t", t.t);
            out.real("df", t.df);
            out.real("p_two", t.p_two);
            out.real("p_two_uncorrected", t.p_two_uncorrected);
        }
        "bayes_correlated_t" => {
            let p = bayes_correlated_t(&case.reals("diff"), case.real("rho"), case.real("rope"));
            let p = p.unwrap();
            out.real("p_left", p.p_left);
            out.real("p_rope", p.p_rope);
            out.real("p_right", p.p_right);
        }
        "dietterich_5x2cv" => {
            let rows = case.real_rows("diff");
            let diff: [[f64; 2]; 5] = std::array::from_fn(|i| [rows[i][0], rows[i][1]]);
            let t = dietterich_5x2cv(&diff).unwrap();
            out.real("t", t.t);
            out.real("p_t", t.p_t);
            out.real("f", t.f);
            out.real("p_f", t.p_f);
        }
        "friedman_nemenyi" => check_friedman(case, out),
        "wilcoxon_holm_across_sets" => {
            let t = wilcoxon_holm(&case.real_rows("score"), case.real("rounded_to")).unwrap();
            let pairs: Vec<Vec<f64>> =
                t.pairs.iter().map(|&(i, j)| vec![i as f64, j as f64]).collect();
            out.real_rows("pairs", &pairs);
            out.reals("p", &t.p);
            out.reals("p_holm", &t.p_holm);
            out.real("p_min_attainable_raw", t.p_min);
        }
        "nemenyi_cd" => {
            let (k, n_sets) = (case.int("k") as usize, case.int("n_sets") as usize);
            let cd = nemenyi_cd(k, n_sets, case.real("alpha")).unwrap();
            out.real("q_alpha", cd.q_alpha);
            out.real("cd", cd.cd);
            out.real("max_rank_gap", cd.max_rank_gap as f64);
        }
        "bayes_sign_dirichlet" => {
            let alpha = case.reals("alpha_left_rope_right");
            let p = bayes_sign_dirichlet([alpha[0], alpha[1], alpha[2]]).unwrap();
            out.reals("p_largest", &p);
        }
        "bayes_signed_rank" => {
            let p = bayes_signed_rank(
                &case.reals("a"),
                &case.reals("b"),
                case.real("rope"),
                // "prior": 1 of the file is a call of baycomp with its default weight, which is ½
                DEFAULT_PRIOR * case.real("prior"),
                case.int("nsamples") as u64,
                20_240_601,
            );
            out.three_way("", p.unwrap());
        }
        "bayes_hierarchical_grid" => check_hierarchical(case, out),
        "power_paired_t" => {
            let n = seeds_for_paired_t(
                case.real("delta"),
                case.real("sd_diff"),
                case.real("alpha"),
                case.real("power"),
            );
            let n = n.unwrap();
            out.real("n_seeds", n.n_seeds as f64);
            out.real("power_at_n", n.power_at_n);
            out.known("power_at_n_minus_1", n.power_at_n_minus_1);
        }
        "power_crossed" => check_power_crossed(case, out),
        "min_seeds_for_exact_test" => {
            let n = min_seeds_for_exact_test(case.real("alpha"), case.int("comparisons") as u64);
            out.real("n", f64::from(n.unwrap()));
        }
        "e_value_t" => {
            out.reals("path", &e_value_t(&case.ints("diff_counts"), case.real("g")).unwrap().e());
        }
        "e_value_signflip" => {
            let (d, lambdas) = (case.ints("diff_counts"), case.reals("lambda"));
            let path = e_value_signflip(&d, &lambdas, Alternative::TwoSided).unwrap();
            out.reals("path", &path.e());
        }
        "group_sequential_bounds" => check_group_sequential(case, out),
        "distribution" => check_distribution(case, out),
        "prob_outperform" => {
            let (a, b) = (case.ints("a"), case.ints("b"));
            let resamples = case.int("B") as u64;
            let p = prob_outperform(&a, &b, case.seed(), resamples, case.or("conf", 0.95));
            let p = p.unwrap();
            out.real("p_b_over_a", p.p_b_over_a);
            out.interval("percentile", p.percentile);
        }
        _ => return false,
    }
    true
}

fn check_splitmix(case: &Case, out: &mut Checker) {
    let rng = SplitMix64::new(case.int("seed") as u64);
    let count = case.int("count") as u64;
    let draws: Vec<String> = (0..count).map(|i| rng.out(i).to_string()).collect();
    out.texts("u64_as_string", &draws);
    let indices: Vec<f64> = (0..count).map(|i| rng.index(i, 60) as f64).collect();
    out.reals("index_n60", &indices);
}

fn check_describe(case: &Case, out: &mut Checker) {
    let d = describe_counts(&case.ints("correct"), case.n_val(), case.real("conf")).unwrap();
    out.real("n", d.n as f64);
    out.real("mean", d.mean);
    out.known("sd", d.sd);
    out.known("se", d.se);
    out.real("min", d.min);
    out.real("q1", d.q1);
    out.real("median", d.median);
    out.real("q3", d.q3);
    out.real("iqr", d.iqr);
    out.real("max", d.max);
    out.real("iqm", d.iqm);
    out.known("t_lo", d.t_interval.map(|i| i.low));
    out.known("t_hi", d.t_interval.map(|i| i.high));
}

fn check_proportion(case: &Case, out: &mut Checker) {
    let (k, n, conf) = (case.int("k") as u64, case.int("n") as u64, case.real("conf"));
    out.real("p", k as f64 / n as f64);
    out.interval("wilson", wilson(k, n, conf));
    out.interval("clopper_pearson", clopper_pearson(k, n, conf));
    out.interval("jeffreys", jeffreys(k, n, conf));
}

fn check_bootstrap(case: &Case, out: &mut Checker) {
    let statistic = match case.text("stat") {
        "mean" => Statistic::Mean,
        "iqm" => Statistic::Iqm,
        "median" => Statistic::Median,
        other => panic!("unknown statistic {other}"),
    };
    let seed = derive_seed(case.int("user_seed") as u64, case.text("label"));
    assert_eq!(seed, case.seed(), "the seed of a bootstrap follows from its label");
    let (counts, resamples) = (case.ints("correct"), case.int("B") as u64);
    let b = bootstrap(&counts, case.n_val(), statistic, seed, resamples, case.real("conf"));
    let b = b.unwrap();
    out.real("theta", b.estimate);
    out.real("boot_sum", b.replicate_sum);
    out.interval("percentile", b.percentile);
    out.real("n_resamples", b.resamples as f64);
    out.interval("bca", b.bca.map(|bca| bca.interval));
    out.known("bca_z0", b.bca.map(|bca| bca.z0));
    out.known("bca_a", b.bca.map(|bca| bca.acceleration));
}

fn check_signflip(case: &Case, out: &mut Checker) {
    let d = case.ints("diff_counts");
    let test = signflip_exact(&d).unwrap();
    out.real("sum", d.iter().sum::<i64>() as f64);
    out.real("p_two", test.p_two);
    out.real("p_greater", test.p_greater);
    out.real("p_less", test.p_less);
    out.fraction("p_two_fraction", test.p_two);
    out.real("p_min_attainable", test.p_min);
}

fn check_wilcoxon(case: &Case, out: &mut Checker) {
    let d = case.ints("diff_counts");
    for (name, zeros) in [("wilcox", Zeros::Wilcox), ("pratt", Zeros::Pratt)] {
        let test = wilcoxon_signed_rank(&d, zeros).unwrap();
        out.real(&format!("{name}.n"), test.n_nonzero as f64);
        out.real(&format!("{name}.w_plus"), test.w_plus);
        out.real(&format!("{name}.w_minus"), test.w_minus);
        out.real(&format!("{name}.p_two"), test.p_two);
        out.real(&format!("{name}.p_greater"), test.p_greater);
        out.real(&format!("{name}.p_less"), test.p_less);
    }
    let normal = |continuity| wilcoxon_normal(&d, Zeros::Wilcox, continuity);
    out.known("asymptotic_p_two_wilcox_nocorr", normal(false));
    out.known("asymptotic_p_two_wilcox_corr", normal(true));
}

fn check_paired_t(case: &Case, out: &mut Checker) {
    let (a, b) = (case.ints("a"), case.ints("b"));
    let t = paired_t_counts(&a, &b, case.n_val(), case.or("conf", 0.95));
    out.known("mean_diff", t.map(|t| t.mean_diff));
    out.known("sd_diff", t.map(|t| t.sd_diff));
    out.known("t", t.map(|t| t.t));
    out.known("df", t.map(|t| t.df));
    out.known("p_two", t.map(|t| t.p_two));
    out.interval("ci", t.map(|t| t.interval));
}

fn check_effect(case: &Case, out: &mut Checker) {
    let e = effect_sizes_counts(&case.ints("a"), &case.ints("b"), case.n_val()).unwrap();
    out.real("cliffs_delta", e.cliffs_delta);
    out.real("a12", e.a12);
    out.known("cohen_dz", e.cohen_dz);
    out.known("cohen_dav", e.cohen_dav);
    out.known("hedges_gz", e.hedges_gz);
    out.known("rank_biserial", e.rank_biserial);
    out.real("hodges_lehmann", e.hodges_lehmann);
    out.real("prob_b_gt_a_paired", e.prob_b_gt_a_paired);
}

fn check_crossed(case: &Case, out: &mut Checker) {
    let rows = |key: &str| {
        let bits: Vec<Vec<bool>> =
            case.texts(key).iter().map(|row| row.bytes().map(|b| b == b'1').collect()).collect();
        BitRows::from_bools(&bits).unwrap()
    };
    let (a, b) = (rows("correct_a"), rows("correct_b"));
    let conf = case.or("conf", 0.95);
    let c = crossed_difference(&a, &b, conf).unwrap();
    out.real("mean", c.mean);
    out.real("ms_seed", c.ms_seed);
    out.real("ms_example", c.ms_example);
    out.real("ms_resid", c.ms_resid);
    out.real("var_seed", c.var_seed);
    out.real("var_example", c.var_example);
    out.real("var_resid", c.var_resid);
    out.real("se", c.se);
    out.real("se_seeds_only", c.se_seeds_only);
    out.real("se_examples_only", c.se_examples_only);
    out.real("se_floor_infinite_seeds", c.se_floor);
    out.known("df", c.inference.map(|i| i.df));
    out.known("t", c.inference.map(|i| i.t));
    out.known("p_two", c.inference.map(|i| i.p_two));
    out.interval("ci", c.inference.map(|i| i.interval));
    out.real("signflip_over_seeds", signflip_over_seeds(&a, &b).unwrap().p_two);
    out.real("signflip_over_examples", signflip_over_examples(&a, &b).unwrap().p_two);
    let p = pigeonhole(&a, &b, case.seed(), case.int("B") as u64, conf).unwrap();
    out.interval("pigeonhole_percentile", p.percentile);
    out.known("pigeonhole_sd", p.sd);
}

fn check_best_set(case: &Case, out: &mut Checker) {
    let (counts, alpha) = (case.int_rows("correct"), case.real("alpha"));
    for (name, test) in [("signflip", BestSetTest::SignFlip), ("t", BestSetTest::PairedT)] {
        let set = best_set(&counts, alpha, test).unwrap();
        out.bools(&format!("in_set_{name}"), &set.in_set);
        out.reals(&format!("p_excl_{name}"), &set.p_excluded);
    }
}

fn check_friedman(case: &Case, out: &mut Checker) {
    let f = friedman(&case.real_rows("score"), case.bool("higher_is_better")).unwrap();
    out.reals("avg_ranks", &f.avg_ranks);
    out.known("chi2", f.chi2);
    out.real("df", f.df as f64);
    out.known("p_chi2", f.p_chi2);
    out.known("kendall_w", f.kendall_w);
    out.known("iman_davenport_f", f.iman_davenport_f);
    out.real("df1", f.df1 as f64);
    out.real("df2", f.df2 as f64);
    out.known("p_f", f.p_f);
    out.real_rows("nemenyi_p", &f.nemenyi_p);
    out.real("cd_05", nemenyi_cd(f.k, f.n_sets, 0.05).unwrap().cd);
    out.known("p_exact", f.p_exact);
}

fn check_hierarchical(case: &Case, out: &mut Checker) {
    let h = bayes_hierarchical_grid(
        &case.reals("effect"),
        &case.reals("se"),
        case.real("tau_half_normal_scale"),
        case.real("rope"),
        case.int("grid") as usize,
    );
    let h = h.unwrap();
    out.real("mu_mean", h.mu_mean);
    out.real("mu_sd", h.mu_sd);
    out.real("tau_mean", h.tau_mean);
    out.three_way("average_effect.", h.average_effect);
    out.three_way("next_data_set.", h.next_data_set);
}

fn check_power_crossed(case: &Case, out: &mut Checker) {
    let components = Components {
        var_seed: case.real("var_seed"),
        var_example: case.real("var_example"),
        var_resid: case.real("var_resid"),
    };
    let n_val = case.n_val();
    let plan = power_crossed(
        case.real("delta"),
        components,
        n_val,
        case.real("alpha"),
        case.real("power"),
    );
    let plan = plan.unwrap();
    out.option("n_seeds", plan.n_seeds.map(|n| n as f64));
    out.option("n_val_needed_at_infinite_seeds", plan.examples_needed);
    out.real("detectable_at_infinite_seeds", plan.floor);
}

fn check_group_sequential(case: &Case, out: &mut Checker) {
    let (looks, alpha) = (case.int("looks") as usize, case.real("alpha_two_sided"));
    let spending =
        |s: Spending| spending_bounds(&equal_looks(looks), alpha, s, Sides::Two).unwrap();
    let (obf, poc) = (spending(Spending::ObrienFleming), spending(Spending::Pocock));
    out.real("pocock", pocock(looks, alpha, Sides::Two).unwrap().z[0]);
    out.reals("obrien_fleming", &obrien_fleming(looks, alpha, Sides::Two).unwrap().z);
    out.reals("lan_demets_obf", &obf.z);
    out.reals("lan_demets_pocock", &poc.z);
    out.reals("spent_obf", &obf.spent);
    out.reals("spent_pocock", &poc.spent);
}

fn check_distribution(case: &Case, out: &mut Checker) {
    let args = case.reals("args");
    let value = match case.text("fn") {
        "norm_ppf" => norm_ppf(args[0]),
        "norm_cdf" => Ok(norm_cdf(args[0])),
        "t_sf" => t_sf(args[0], args[1]),
        "t_ppf" => t_ppf(args[0], args[1]),
        "f_sf" => f_sf(args[0], args[1], args[2]),
        "chi2_sf" => chi2_sf(args[0], args[1]),
        "beta_ppf" => beta_ppf(args[0], args[1], args[2]),
        "nct_cdf" => nct_cdf(args[0], args[1], args[2]),
        "studentized_range_sf_inf" => studentized_range_sf(args[0], args[1] as usize),
        other => panic!("unknown distribution function {other}"),
    };
    out.known("value", value);
}

impl Checker<'_> {
    fn three_way(&mut self, prefix: &str, p: ThreeWay) {
        self.real(&format!("{prefix}p_a"), p.p_a);
        self.real(&format!("{prefix}p_rope"), p.p_rope);
        self.real(&format!("{prefix}p_b"), p.p_b);
    }
}
