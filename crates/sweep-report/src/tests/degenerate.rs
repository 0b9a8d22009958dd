//! Inputs with little or nothing in them: every renderer answers, none panics, nothing is made up.

use sweep_core::lifecycle::StateName;
use sweep_core::result::TrainingEnd;

use crate::report::Report;
use crate::terminal::{self, Style};
use crate::testing::{Study, study, study_on};

const TWO: &str = "  - softmax\n  - cosine\n";

/// All outputs; returns the report.
fn render(study: &Study) -> Report {
    let report = study.report();
    let files = crate::bundle(&study.input());
    let texts: Vec<String> =
        files.iter().map(|f| String::from_utf8(f.bytes.clone()).unwrap()).collect();
    for (file, text) in files.iter().zip(&texts) {
        assert!(
            !text.contains("NaN") && !text.contains("inf,") && !text.contains("Infinity"),
            "{}",
            file.path
        );
        if file.path == "report.json" {
            serde_json::from_str::<serde_json::Value>(text).unwrap();
        }
    }
    for width in [0, 40, 80, 200] {
        for colour in [false, true] {
            let style = Style { width, colour };
            let _ = (
                terminal::comparison(&report, style),
                terminal::summary(&report, style),
                terminal::status(&report, style),
            );
        }
    }
    report
}

#[test]
fn nothing_finished() {
    let report = render(&study(TWO, "3", "baseline: softmax\n", 60));
    assert_eq!((report.progress.total, report.progress.pending), (6, 6));
    let d = &report.datasets[0];
    assert!(d.best_set.is_none() && d.summaries.iter().all(|s| s.mean.is_none() && s.n == 0));
    assert!(
        d.family
            .as_ref()
            .unwrap()
            .comparisons
            .iter()
            .all(|c| c.headline.is_none() && c.estimate.is_none())
    );
}

#[test]
fn everything_failed() {
    let mut study = study(TWO, "2", "baseline: softmax\n", 60).all(|_, _| 50);
    for c in 0..2 {
        for s in 0..2 {
            study = study.failed(c, s);
        }
    }
    let report = render(&study);
    assert_eq!((report.failures.len(), report.progress.failed), (4, 4));
    let c = &report.datasets[0].family.as_ref().unwrap().comparisons[0];
    assert_eq!(c.headline.as_ref().unwrap().text, "untestable — no pair of seeds");
}

#[test]
fn everything_diverged_before_any_evaluation() {
    let mut study = study(TWO, "2", "baseline: softmax\n", 60).all(|_, _| 50);
    for record in &mut study.records {
        let result = record.result.as_mut().unwrap();
        result.end = TrainingEnd::Diverged { epoch: 1, step: 0 };
        result.validation = None;
        result.epochs.clear();
    }
    let report = render(&study);
    assert_eq!((report.progress.diverged, report.progress.failed), (4, 0));
    assert!(report.datasets[0].summaries.iter().all(|s| s.without_accuracy == 2 && s.censored));
}

#[test]
fn one_configuration_without_a_baseline() {
    let report = render(&study("  - softmax\n", "3", "", 60).all(|_, s| 50 + s as u32));
    assert!(report.datasets[0].family.is_none() && report.datasets[0].best_set.is_none());
}

#[test]
fn all_results_equal_and_perfect() {
    let report = render(&study(TWO, "10", "baseline: softmax\n", 60).all(|_, _| 60));
    let d = &report.datasets[0];
    assert_eq!(d.summaries[0].sd, Some(0.0));
    assert!(d.summaries[0].on_these.is_none(), "no interval of width 0");
    let beyond = d.summaries[0].beyond.unwrap();
    assert!(
        beyond.high == 1.0 && (0.93..0.95).contains(&beyond.low),
        "Wilson of 60 of 60: {beyond:?}"
    );
    assert_eq!(d.best_set.as_ref().unwrap().members, [0, 1]);
}

#[test]
fn several_data_sets_average_without_a_claim() {
    let study = study_on(&[("digits", 60), ("fruits", 66)], TWO, "6", "baseline: softmax\n")
        .all(|c, s| 50 + (c % 2) as u32 * 3 + (s % 3) as u32);
    let across = render(&study).across.unwrap();
    assert!(across.wording.contains("no claim about others"), "{}", across.wording);
    let expected = (3.0 / 60.0 + 3.0 / 66.0) / 2.0;
    approx::assert_abs_diff_eq!(across.rows[0].estimate, expected, epsilon = 1e-12);
}

#[test]
fn a_cancelled_run_ends_the_sweep_but_marks_it() {
    let report = render(
        &study(TWO, "8", "baseline: softmax\n", 60).all(|c, _| 40 + 10 * c as u32).in_state(
            0,
            7,
            StateName::Cancelled,
        ),
    );
    assert!(report.finished() && report.sweep.stopped_early);
}

#[test]
fn results_on_another_number_of_images_are_told() {
    let mut study = study(TWO, "2", "baseline: softmax\n", 60);
    study.plan.datasets[0].val = vec![20, 20];
    let mut study = study.all(|_, s| 30 + s as u32);
    study.plan.datasets[0].val = vec![30, 30];
    let report = render(&study);
    assert_eq!(report.datasets[0].n_val, 40);
    assert!(report.datasets[0].notes.iter().any(|n| n.text.contains("the data set has 60")));
}

#[test]
fn text_from_outside_cannot_leave_its_place() {
    let mut study = study(TWO, "2", "baseline: softmax\n", 60).all(|_, _| 50).failed(1, 1);
    study
        .records
        .iter_mut()
        .for_each(|r| r.error = r.error.take().map(|_| "<script>alert(1)</script>|x".to_owned()));
    study.meta.text.push_str("# </code><script>");
    let report = render(&study);
    let page = crate::html::page(&report);
    assert!(!page.contains("<script"), "no script of anybody's");
    assert!(!crate::plot::figures(&report).iter().any(|f| f.svg().contains("<script")));
}

#[test]
fn the_same_input_gives_the_same_bytes_in_any_order_of_records() {
    let make =
        || study(TWO, "5", "baseline: softmax\n", 60).all(|c, s| 50 + ((c * 3 + s * 5) % 7) as u32);
    let (one, mut other) = (make(), make());
    other.records.reverse();
    assert_eq!(crate::bundle(&one.input()), crate::bundle(&other.input()));
}

#[test]
fn reports_of_equal_results_differ_in_timing_alone() {
    let make =
        || study(TWO, "5", "baseline: softmax\n", 60).all(|c, s| 50 + ((c * 3 + s * 5) % 7) as u32);
    let (one, mut other) = (make(), make());
    for record in &mut other.records {
        record.attempts = 3;
        record.fence = Some(sweep_core::ids::Fence(9));
        let result = record.result.as_mut().unwrap();
        result.seconds *= 7.0;
        result.epochs.iter_mut().for_each(|e| e.seconds += 1.0);
    }
    let read = |s: &Study| {
        let mut value: serde_json::Value = serde_json::from_str(&s.report().json()).unwrap();
        let timing = value.as_object_mut().unwrap().remove("timing").unwrap();
        (value, timing)
    };
    let ((a, at), (b, bt)) = (read(&one), read(&other));
    assert_eq!(a, b);
    assert_ne!(at, bt);
}
