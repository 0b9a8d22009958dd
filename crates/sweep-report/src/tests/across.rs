//! What is added to the verdicts: ranks over data sets, variance bars, bootstrap checks, hatching.

use crate::plot::{FigureKind, figures};
use crate::report::Report;
use crate::testing::{Study, study, study_on};

const THREE: &str = "  - softmax\n  - cosine\n  - am_softmax: { margin: 0.2, scale: 10 }\n";

/// `n` data sets; on each the third configuration leads the second, which leads the first, by `step` images.
pub(super) fn on(n: usize, step: u32) -> Study {
    let names: Vec<String> = (0..n).map(|i| format!("d{i}")).collect();
    let sets: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 100)).collect();
    study_on(&sets, THREE, "8", "baseline: softmax\n").all(move |c, s| {
        // Distinct gaps, so that the signed ranks over data sets have no ties.
        70 + (c as u32 % 3) * (step + c as u32 / 3) + (s as u32 * 5 + c as u32) % 4
    })
}

fn captions(report: &Report, kind: FigureKind) -> Vec<String> {
    figures(report).into_iter().filter(|f| f.kind == kind).map(|f| f.caption).collect()
}

#[test]
fn three_data_sets_are_ranked_as_a_description() {
    let report = on(3, 6).report();
    let ranks = report.ranks.as_ref().unwrap();
    let means: Vec<f64> = ranks.rows.iter().map(|r| r.mean_rank).collect();
    assert_eq!((means, ranks.claim, ranks.pairs.len()), (vec![3.0, 2.0, 1.0], false, 0));
    assert!(ranks.wording.contains("no claim about others"), "{}", ranks.wording);
    let svg = figures(&report).iter().find(|f| f.kind == FigureKind::Ranks).unwrap().svg();
    assert!(svg.contains("N = 3: descriptive"));
    let page = crate::html::page(&report);
    assert!(page.contains("id=\"ranks-t\"") && !page.contains("better over data sets"));
}

#[test]
fn eight_data_sets_that_agree_carry_a_claim() {
    let report = on(8, 6).report();
    let ranks = report.ranks.as_ref().unwrap();
    assert!(ranks.claim && ranks.pairs.iter().all(|p| p.differs), "{ranks:?}");
    // Exact Wilcoxon of 8 data sets all one way: 2/2^8, times 3 by Holm.
    approx::assert_abs_diff_eq!(ranks.pairs[0].p, 2.0 / 256.0, epsilon = 1e-12);
    approx::assert_abs_diff_eq!(ranks.pairs[0].p_adjusted, 6.0 / 256.0, epsilon = 1e-12);
    assert_eq!((ranks.pairs[0].better, ranks.pairs[0].worse), (1, 0));
    let svg = figures(&report).iter().find(|f| f.kind == FigureKind::Ranks).unwrap().svg();
    assert!(!svg.contains("descriptive"));
    assert!(crate::html::page(&report).contains("better over data sets"));
}

/// What may be said over data sets stands in every format, and nothing more.
#[test]
fn averages_ranks_and_pairs_are_in_every_format() {
    for (n, claim) in [(3, false), (8, true)] {
        let report = on(n, 6).report();
        let style = crate::terminal::Style { width: 100, colour: false };
        for text in [
            crate::terminal::comparison(&report, style),
            crate::markdown::page(&report),
            crate::latex::tables(&report),
            crate::html::page(&report),
        ] {
            let text = text.to_lowercase();
            assert!(text.contains("averages over data sets"), "{text}");
            assert!(text.contains(&format!("mean ranks over {n} data sets")), "{text}");
            assert_eq!(text.contains("better over data sets"), claim, "{text}");
        }
        assert_eq!(crate::csv::across(&report).unwrap().lines().count(), 3);
        assert_eq!(crate::csv::ranks(&report).unwrap().lines().count(), 4);
        assert_eq!(crate::csv::rank_pairs(&report).is_some(), claim);
    }
}

#[test]
fn a_friedman_test_that_does_not_reject_leaves_no_pair_differing() {
    let report = on(6, 0).report();
    let ranks = report.ranks.as_ref().unwrap();
    assert!(ranks.claim && ranks.pairs.iter().all(|p| !p.differs), "{ranks:?}");
    assert!(ranks.wording.starts_with("no pair is resolved"), "{}", ranks.wording);
}

#[test]
fn a_configuration_without_an_accuracy_somewhere_is_not_ranked() {
    let mut study = on(3, 6);
    for s in 0..8 {
        study = study.failed(4, s);
    }
    let ranks = study.report().ranks.unwrap();
    assert_eq!((ranks.rows.len(), ranks.left_out), (2, vec!["cosine".to_owned()]));
}

#[test]
fn bootstrap_checks_are_greyed_below_twenty_seeds() {
    let of = |seeds: &str| {
        study(THREE, seeds, "baseline: softmax\n", 60)
            .all(|c, s| 50 + c as u32 + (s as u32 * 7) % 5)
            .report()
    };
    let (few, many) = (of("8"), of("20"));
    let check = |r: &Report| r.datasets[0].summaries[0].bootstrap.unwrap();
    assert!(check(&few).under_covers && !check(&many).under_covers);
    let t = many.datasets[0].summaries[0].on_these.unwrap();
    approx::assert_abs_diff_eq!(check(&many).interval.low, t.low, epsilon = 0.003);
    approx::assert_abs_diff_eq!(check(&many).interval.high, t.high, epsilon = 0.003);
    let page = crate::html::page(&few);
    assert!(page.contains("under-covers"));
    assert!(!crate::html::page(&many).contains("under-covers"));
}

#[test]
fn a_live_report_has_no_bootstrap_and_no_ranks() {
    let study = on(3, 6).in_state(0, 0, sweep_core::lifecycle::StateName::Queued);
    let report = study.report();
    assert!(report.ranks.is_none());
    assert!(report.datasets.iter().flat_map(|d| &d.summaries).all(|s| s.bootstrap.is_none()));
}

#[test]
fn more_seeds_buy_less_and_less_and_never_pass_the_floor() {
    let report = on(1, 9).report();
    let beyond = &report.datasets[0].family.as_ref().unwrap().comparisons[0].beyond;
    let (steps, floor) = (&beyond.more_seeds, beyond.floor.unwrap());
    assert_eq!(steps.iter().map(|s| s.seeds).collect::<Vec<_>>(), [8, 16, 32]);
    assert!(steps.windows(2).all(|w| w[0].detectable >= w[1].detectable));
    assert!(steps[2].detectable >= floor && floor > 0.0);
    // (σ²_s + σ²_e/N)/S + σ²_i/N, by the planning formula the other way round.
    let c = beyond.components.unwrap();
    // A hair above, so that rounding up does not add a seed.
    let delta = steps[1].detectable * (1.0 + 1e-9);
    let (seeds, images) = crate::numbers::needs_beyond(delta, c, 100, 0.05, 2);
    assert_eq!((seeds, images), (Some(16), None));
    let caption = captions(&report, FigureKind::Variance).remove(0);
    assert!(caption.contains("n = 8 pairs") && caption.contains("floor"), "{caption}");
}

#[test]
fn a_pilot_prints_the_seeds_by_both_standard_deviations() {
    let report = study(THREE, "8", "baseline: softmax\n", 60)
        .all(|c, s| 50 + c as u32 / 2 + (s as u32 * (c as u32 + 3)) % 5)
        .report();
    let c = &report.datasets[0].family.as_ref().unwrap().comparisons[1];
    let v = c.on_these.verdict.as_ref().unwrap();
    let (cautious, seen) =
        (v.needs.seeds_for_detect.unwrap(), v.needs.seeds_for_detect_by_sd.unwrap());
    assert!(cautious > seen, "{v:?}");
    assert!(
        v.text.contains(&format!("about {cautious} seeds ({seen} by the sd seen)")),
        "{}",
        v.text
    );
}

#[test]
fn unresolved_cells_are_hatched_and_others_are_not() {
    let grid = "  - softmax\n  - am_softmax: { margin: [0.1, 0.2], scale: [10] }\n";
    let report = |gap: u32| {
        study(grid, "10", "baseline: softmax\n", 60)
            .all(move |c, s| 40 + u32::from(c > 0) * gap + (s as u32 * (2 * c as u32 + 3)) % 5)
            .report()
    };
    let svg = |r: &Report| figures(r).iter().find(|f| f.kind == FigureKind::HeatMap).unwrap().svg();
    assert!(svg(&report(0)).contains("class=\"hatch-"));
    assert!(!svg(&report(10)).contains("class=\"hatch-"));
}
