//! What a report must not fall into (`docs/statistics.md`, "Pitfalls"), one test each or more.

use sweep_core::ids::Digest;
use sweep_core::lifecycle::StateName;
use sweep_core::result::{DeviceKind, TrainingEnd};

use crate::input::Extension;
use crate::report::{Comparison, HeadlineKind, Mark, NoteKind, Report};
use crate::terminal::{self, Style};
use crate::testing::{Study, study};

const TWO: &str = "  - softmax\n  - cosine\n";

/// Cosine better by 9 or 10 of 60 images on every seed.
fn clear(seeds: &str) -> Study {
    study(TWO, seeds, "baseline: softmax\n", 60)
        .all(|c, s| 40 + 9 * c as u32 + (c * (s % 2)) as u32)
}

fn only(report: &Report) -> &Comparison {
    &report.datasets[0].family.as_ref().unwrap().comparisons[0]
}

fn kind(report: &Report) -> HeadlineKind {
    only(report).headline.as_ref().unwrap().kind
}

fn has(report: &Report, kind: NoteKind, words: &str) -> bool {
    report
        .notes
        .iter()
        .chain(&report.datasets[0].notes)
        .any(|n| n.kind == kind && n.text.contains(words))
}

#[test]
fn a_clear_difference_is_better_so_that_the_tests_below_take_something_away() {
    assert_eq!(kind(&clear("10").report()), HeadlineKind::Better);
}

#[test]
fn p1_counts_stand_beside_percentages() {
    let report = clear("10").report();
    let page = crate::html::page(&report);
    assert!(page.contains("40 of 60") && page.contains("49–50 of 60"));
    assert!(page.contains("1.67"), "the size of one image");
    assert_eq!(only(&report).pairs[0].images, 9);
}

#[test]
fn p2_one_seed_has_dashes_and_never_zero() {
    let report = clear("1").report();
    let d = &report.datasets[0];
    assert_eq!((d.summaries[0].sd, d.summaries[0].on_these), (None, None));
    assert!(d.summaries[0].beyond.is_some(), "Wilson on the images of one model");
    assert_eq!(d.summaries[0].beyond_method, Some(crate::report::BeyondMethod::Wilson));
    let c = only(&report);
    assert_eq!((c.on_these.p, c.beyond.p, c.on_these.interval), (None, None, None));
    assert_eq!(c.headline.as_ref().unwrap().text, "untestable — one pair of seeds");
    assert!(terminal::comparison(&report, Style::default()).contains("—"));
    assert!(has(&report, NoteKind::Selection, "single runs"));
}

#[test]
fn p2_few_seeds_print_the_smallest_p_the_test_can_reach() {
    let report = clear("5").report();
    assert_eq!(only(&report).on_these.p_min, Some(0.0625));
    assert_eq!(kind(&report), HeadlineKind::Untestable);
    assert!(has(
        &report,
        NoteKind::Resolution,
        "smallest p an exact paired test can give is 0.062"
    ));
}

#[test]
fn p3_equal_differences_have_no_t_no_p_of_zero_and_no_interval_of_width_zero() {
    let report = study(TWO, "10", "baseline: softmax\n", 60).all(|c, _| 40 + 9 * c as u32).report();
    let c = only(&report);
    assert_eq!(c.sd, Some(0.0));
    assert!(c.on_these.interval.is_none());
    assert_eq!(c.sensitivity.as_ref().unwrap().paired_t, None);
    assert_eq!(c.on_these.p, Some(2f64.powi(-9)), "the exact test still speaks");
}

#[test]
fn p4_seeds_never_count_as_images() {
    let report = clear("10").report();
    assert_eq!(report.datasets[0].n_val, 60);
    assert!(report.json().to_lowercase().contains("crossed"));
    assert!(!report.json().to_lowercase().contains("mcnemar"));
}

#[test]
fn p5_the_metric_is_that_of_the_last_model_whatever_an_epoch_before_reached() {
    let study =
        clear("10").change(0, 0, |r| r.result.as_mut().unwrap().epochs[0].val_accuracy = 1.0);
    assert_eq!(study.report().datasets[0].summaries[0].values[0].correct, 40);
}

#[test]
fn p6_the_bonus_of_choosing_stands_beside_the_best() {
    let report =
        study("  - am_softmax: { margin: [0.0, 0.1, 0.2, 0.3], scale: [10, 30] }\n", "10", "", 60)
            .all(|c, s| 50 + ((c * 5 + s * 7) % 6) as u32)
            .report();
    assert!(has(&report, NoteKind::Selection, "choosing the best of 8"));
    assert!(report.datasets[0].best_set.as_ref().unwrap().winners_bonus.unwrap() > 0.0);
}

#[test]
fn p6_a_baseline_chosen_from_several_says_so() {
    let report = study(
        "  - am_softmax: { margin: [0.0, 0.2], scale: 30 }\n  - cosine\n",
        "8",
        "baseline: am_softmax\n",
        60,
    )
    .all(|c, s| 45 + 3 * c as u32 + (s % 3) as u32)
    .report();
    let family = report.datasets[0].family.as_ref().unwrap();
    let choice = family.baseline.as_ref().unwrap();
    assert_eq!((choice.candidate, choice.chosen_from, family.m), (1, 2, 2));
    let text = terminal::comparison(&report, Style { width: 400, colour: false });
    assert!(
        text.contains("the best of 2 am_softmax configurations, chosen on the same seeds"),
        "{text}"
    );
}

#[test]
fn p7_only_common_seeds_are_compared_and_dropped_pairs_are_counted() {
    let report = clear("10").failed(0, 3).failed(1, 5).report();
    let c = only(&report);
    assert_eq!((c.pairs.len(), c.dropped), (8, 2));
    assert!(!c.headline.as_ref().unwrap().marks.contains(&Mark::Censored), "both sides lack one");
}

#[test]
fn p7_unequal_losses_of_runs_are_censored_and_take_the_unqualified_better_away() {
    let report = clear("10").failed(0, 3).report();
    assert!(only(&report).headline.as_ref().unwrap().marks.contains(&Mark::Censored));
    assert_eq!(kind(&report), HeadlineKind::BetterQualified);
    assert!(terminal::comparison(&report, Style::default()).contains("censored"));
    assert!(terminal::summary(&report, Style::default()).contains("1 failed, CENSORED"));
}

#[test]
fn p7_a_diverged_run_keeps_its_accuracy_and_one_without_counts_as_missing() {
    let diverged = |r: &mut sweep_core::record::RunRecord| {
        r.result.as_mut().unwrap().end = TrainingEnd::Diverged { epoch: 2, step: 7 }
    };
    let report = clear("10").change(0, 0, diverged).report();
    assert_eq!((only(&report).pairs.len(), report.datasets[0].summaries[0].diverged), (10, 1));
    let report = clear("10")
        .change(0, 0, |r| {
            diverged(r);
            r.result.as_mut().unwrap().validation = None;
        })
        .report();
    assert_eq!((only(&report).pairs.len(), only(&report).dropped), (9, 1));
    assert!(only(&report).headline.as_ref().unwrap().marks.contains(&Mark::Censored));
}

#[test]
fn p7_a_changed_analysis_is_post_hoc() {
    let mut study = clear("10");
    study.meta.analysis_at_submit = Digest::of(b"another block");
    let report = study.report();
    assert!(report.sweep.post_hoc && has(&report, NoteKind::PostHoc, "post hoc"));
    assert_eq!(kind(&report), HeadlineKind::BetterQualified);
}

#[test]
fn p8_seeds_added_after_a_look_are_told_and_take_the_unqualified_better_away() {
    let mut study = clear("10");
    study.meta.extensions = vec![Extension { from_seeds: 5, to_seeds: 10, after_reports: 1 }];
    let report = study.report();
    assert!(has(&report, NoteKind::Extended, "extended from 5 to 10 seeds after 1 report"));
    assert_eq!(kind(&report), HeadlineKind::BetterQualified);
    study.meta.extensions[0].after_reports = 0;
    assert_eq!(kind(&study.report()), HeadlineKind::Better);
}

#[test]
fn p9_before_all_runs_have_ended_there_is_no_p_and_no_verdict_anywhere() {
    let study = clear("10").in_state(1, 9, StateName::Leased);
    let report = study.report();
    assert!(has(&report, NoteKind::Unfinished, "19 of 20 runs"));
    let d = &report.datasets[0];
    let c = only(&report);
    assert!(
        c.estimate.is_some() && c.on_these.interval.is_some() && d.summaries[1].on_these.is_some()
    );
    assert_eq!(
        (c.on_these.p, c.on_these.p_adjusted, c.on_these.tost_p, c.beyond.p, c.beyond.p_adjusted),
        (None, None, None, None, None)
    );
    assert!(
        c.headline.is_none()
            && c.on_these.verdict.is_none()
            && c.sensitivity.is_none()
            && d.best_set.is_none()
    );
    let text = terminal::comparison(&report, Style::default());
    assert!(
        text.contains("19 of 20 runs") && !text.contains(" p 0") && !text.contains("better"),
        "{text}"
    );
}

#[test]
fn p9_a_sweep_stopped_early_stays_marked() {
    let mut study = clear("10");
    study.meta.stopped_early = true;
    let report = study.report();
    assert!(has(&report, NoteKind::StoppedEarly, "stopped early"));
    assert_eq!(kind(&report), HeadlineKind::BetterQualified);
}

#[test]
fn p10_results_of_two_device_kinds_are_never_paired() {
    let report =
        clear("10").change(0, 0, |r| r.result.as_mut().unwrap().device = DeviceKind::Cuda).report();
    let c = only(&report);
    assert_eq!((c.pairs.len(), c.mixed_devices), (9, 1));
    assert!(c.headline.as_ref().unwrap().marks.contains(&Mark::MixedDevices));
    assert!(has(&report, NoteKind::MixedDevices, "cpu, cuda"));
}

#[test]
fn p11_small_classes_name_what_one_image_moves() {
    let mut study = clear("6");
    study.plan.datasets[0].val = vec![5, 55];
    let report = study.report();
    assert!(has(
        &report,
        NoteKind::Granularity,
        "class `even` has 5 validation images: one image moves its accuracy by 20 pp"
    ));
    assert!(report.datasets[0].summaries[0].balanced_accuracy.is_some());
}

#[test]
fn p12_a_grid_shows_the_neighbours_of_every_cell() {
    let report = study("  - am_softmax: { margin: [0.0, 0.2], scale: [10, 30] }\n", "6", "", 60)
        .all(|c, s| 50 + (c + s % 2) as u32)
        .report();
    let figures = crate::plot::figures(&report);
    let grid = figures.iter().find(|f| f.kind == crate::plot::FigureKind::HeatMap).unwrap();
    let svg = grid.svg();
    assert_eq!(svg.matches("(n=6)").count(), 4);
    assert!(
        svg.contains("scale 10")
            && svg.contains("margin 0.2")
            && grid.caption.contains("Neighbouring")
    );
}

#[test]
fn p13_no_axis_carries_the_objectives_of_two_losses() {
    let report = clear("6").report();
    let figures = crate::plot::figures(&report);
    let objective = figures.iter().find(|f| f.kind == crate::plot::FigureKind::Objective).unwrap();
    assert_eq!(objective.svg().matches("class=\"val\" d=").count(), 2, "one panel each");
    assert!(objective.caption.contains("own axis"));
}

#[test]
fn p14_a_leak_stands_beside_the_verdicts() {
    let mut study = clear("10");
    study.plan.datasets[0].warnings =
        vec!["6 of 60 validation images (10 %) are also in train".to_owned()];
    let report = study.report();
    assert!(only(&report).headline.as_ref().unwrap().marks.contains(&Mark::Data));
    let page = crate::html::page(&report);
    let (verdicts, rest) = page.split_once("id=\"data-digits\"").unwrap();
    assert!(verdicts.contains("also in train"), "{}", rest.len());
    assert!(terminal::comparison(&report, Style::default()).contains("also in train"));
}
