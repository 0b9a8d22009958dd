//! Verdicts the whole way from bits to words.

use crate::report::{Comparison, Report, VerdictKind};
use crate::testing::{bits, result, study};

fn comparisons(report: &Report) -> &[Comparison] {
    &report.datasets[0].family.as_ref().unwrap().comparisons
}

fn said(c: &Comparison) -> &str {
    &c.headline.as_ref().unwrap().text
}

#[test]
fn a_small_constant_difference_is_negligible_on_many_images() {
    let report = study("  - softmax\n  - cosine\n", "10", "baseline: softmax\n", 2000)
        .all(|c, _| 1800 + 5 * c as u32)
        .report();
    let c = &comparisons(&report)[0];
    assert_eq!(c.on_these.verdict.as_ref().unwrap().kind, VerdictKind::BetterButNegligible);
}

#[test]
fn equal_runs_are_equivalent_on_these_images() {
    let report = study("  - softmax\n  - cosine\n", "10", "baseline: softmax\n", 60)
        .all(|_, _| 50)
        .change(1, 0, |r| r.result = Some(result(bits(60, 10, 0), 3)))
        .report();
    let c = &comparisons(&report)[0];
    assert_eq!(c.on_these.verdict.as_ref().unwrap().kind, VerdictKind::Equivalent);
    assert!(said(c).starts_with("equivalent"), "{}", said(c));
}

#[test]
fn a_worse_configuration_is_called_worse() {
    let report = study("  - softmax\n  - cosine\n", "10", "baseline: softmax\n", 60)
        .all(|c, s| 50 - 12 * c as u32 + (s % 2) as u32)
        .report();
    assert_eq!(said(&comparisons(&report)[0]), "worse");
}

#[test]
fn the_family_counts_every_comparison_and_the_correction_follows() {
    let losses = "  - softmax\n  - cosine\n  - am_softmax: { margin: [0.1, 0.2], scale: 30 }\n";
    let report = study(losses, "10", "baseline: softmax\n", 60)
        .all(|c, s| 40 + 4 * c as u32 + (s % 2) as u32)
        .report();
    let all = comparisons(&report);
    assert_eq!((all.len(), all[0].on_these.m), (3, 3));
    for c in all {
        assert_eq!(c.on_these.p, Some(2f64.powi(-9)));
        assert_eq!(c.on_these.p_adjusted, Some(3.0 * 2f64.powi(-9)));
    }
    let pairs = study(losses, "10", "analysis: { compare: all_pairs }\n", 60)
        .all(|c, _| 40 + 4 * c as u32)
        .report();
    assert_eq!(comparisons(&pairs).len(), 6);
}

#[test]
fn the_best_set_excludes_what_is_beaten_and_names_its_simplest_member() {
    let losses = "  - softmax\n  - am_softmax: { margin: [0.1, 0.3], scale: 30 }\n";
    let report = study(losses, "10", "baseline: softmax\n", 60)
        .all(|c, s| if c == 0 { 35 } else { 50 } + ((c + s) % 2) as u32)
        .report();
    let best = report.datasets[0].best_set.as_ref().unwrap();
    assert_eq!(
        (best.members.as_slice(), best.excluded, best.k, best.simplest),
        ([1, 2].as_slice(), 1, 3, 1)
    );
}

#[test]
fn a_small_data_set_says_what_seeds_cannot_resolve() {
    // The two configurations miss different images, the same on every seed: all uncertainty is about images.
    let report =
        study("  - softmax\n  - cosine\n", "10", "baseline: softmax\n", 60).all(|_, _| 50).report();
    assert!(comparisons(&report)[0].beyond.floor.is_some());
    let mut study =
        study("  - softmax\n  - cosine\n", "10", "baseline: softmax\n", 60).all(|_, _| 50);
    for record in &mut study.records {
        let softmax =
            matches!(record.run.spec.configuration.loss, sweep_core::loss::Loss::Softmax { .. });
        let seed = record.run.spec.seed as usize;
        let right = |i: usize| if softmax { i >= 10 + seed % 2 } else { !(20..30).contains(&i) };
        record.result = Some(result((0..60).map(right).collect(), 3));
    }
    let report = study.report();
    let c = &comparisons(&report)[0];
    assert_eq!(c.beyond.verdict.as_ref().unwrap().kind, VerdictKind::CannotBeResolvedBySeeds);
    assert!(
        report.datasets[0]
            .notes
            .iter()
            .any(|n| n.text.contains("no number of seeds resolves 1.67 pp")),
        "{:?}",
        report.datasets[0].notes
    );
}
