//! What can be said of a sweep at a glance, from counts alone: for a page that is shown while runs train, of sweeps of any size.
//!
//! A glance has means and intervals on these images, never a p value, a verdict or an interval beyond the images: those need every
//! image of every run, and are [`crate::analyse()`]'s.

use sweep_core::ids::SweepId;
use sweep_core::lifecycle::StateName;
use sweep_core::result::EpochMetrics;
use sweep_core::sweep::{Plan, Sweep};

use crate::numbers;
use crate::report::{
    Curves, DataSetReport, Progress, Report, SCHEMA, SeedValue, Summary, SweepHeader, Timing,
};
use crate::{SubmissionMeta, summarize};

/// A run in as little memory as it can be told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its seed.
    pub seed: u64,
    /// Its state.
    pub state: StateName,
    /// Validation images right, of a run with an accuracy.
    pub correct: Option<u32>,
    /// Whether the training diverged.
    pub diverged: bool,
}

/// One configuration of `plan` over its seeds, in the order of the seeds.
///
/// `n_val` is the number of images behind the counts. Under an adaptive rule there is no interval: the one that holds depends on the
/// looks, which a glance does not know.
pub fn summary(
    sweep: &Sweep,
    plan: &Plan,
    configuration: usize,
    n_val: u32,
    seen: &[Seen],
) -> Summary {
    let planned = &plan.configurations[configuration];
    let value =
        |s: &Seen| Some(SeedValue { seed: s.seed, correct: s.correct?, diverged: s.diverged });
    let values: Vec<SeedValue> = seen.iter().filter_map(value).collect();
    let counts: Vec<i64> = values.iter().map(|v| i64::from(v.correct)).collect();
    let d = numbers::describe(&counts, n_val, sweep.analysis().confidence);
    let count = |f: &dyn Fn(&Seen) -> bool| seen.iter().filter(|s| f(s)).count();
    let failed = count(&|s| s.state == StateName::Failed);
    let cancelled = count(&|s| s.state == StateName::Cancelled);
    let without_accuracy = count(&|s| s.state == StateName::Succeeded && s.correct.is_none());
    let label = sweep.candidates().get(planned.candidate).map(|c| c.label.clone());
    Summary {
        candidate: planned.candidate,
        label: label.unwrap_or_default(),
        configuration: planned.configuration.id(),
        planned: seen.len(),
        n: values.len(),
        failed,
        cancelled,
        pending: count(&|s| !s.state.is_terminal()),
        diverged: count(&|s| s.diverged),
        without_accuracy,
        censored: failed + cancelled + without_accuracy > 0,
        n_val,
        mean: d.as_ref().map(|d| d.mean),
        sd: d.as_ref().and_then(|d| d.sd),
        min: d.as_ref().map(|d| d.min),
        q1: d.as_ref().map(|d| d.q1),
        median: d.as_ref().map(|d| d.median),
        q3: d.as_ref().map(|d| d.q3),
        max: d.as_ref().map(|d| d.max),
        iqm: d.as_ref().map(|d| d.iqm),
        on_these: d.as_ref().and_then(|d| d.interval).filter(|_| sweep.adaptive().is_none()),
        look: None,
        beyond: None,
        beyond_method: None,
        bootstrap: None,
        balanced_accuracy: None,
        values,
    }
}

/// A report of the sweep `id` that holds `summaries`, one per configuration of `plan`, and nothing that is compared. The runs of
/// `plan` are not looked at and need not be there.
pub fn report(
    id: &SweepId,
    sweep: &Sweep,
    plan: &Plan,
    meta: &SubmissionMeta,
    progress: Progress,
    summaries: &[Summary],
) -> Report {
    let digest = sweep.analysis().digest();
    let rope = sweep.analysis().rope;
    let datasets = plan.datasets.iter().enumerate().map(|(index, info)| {
        let own = plan.configurations.iter().zip(summaries).filter(|(p, _)| p.dataset == index);
        let rope_on = rope.unwrap_or_else(|| 0.01f64.max(1.0 / f64::from(info.val_count().max(1))));
        DataSetReport {
            name: info.name.clone(),
            title: info.title.clone(),
            classes: info.classes.clone(),
            n_train: info.train_count(),
            n_val: info.val_count(),
            val_per_class: info.val.clone(),
            content: info.content,
            split: info.split,
            rope: rope_on,
            rope_by_default: rope.is_none(),
            detect: sweep.analysis().detect.unwrap_or(rope_on),
            notes: Vec::new(),
            summaries: own.map(|(_, summary)| summary.clone()).collect(),
            family: None,
            best_set: None,
            confirmation: None,
            curves: Vec::new(),
        }
    });
    Report {
        schema: SCHEMA,
        sweep: SweepHeader {
            id: id.clone(),
            name: sweep.name().to_owned(),
            description: sweep.description().to_owned(),
            file: meta.file.clone(),
            text: meta.text.clone(),
            version: meta.version.clone(),
            analysis: sweep.analysis().clone(),
            analysis_digest: digest,
            analysis_at_submit: meta.analysis_at_submit,
            post_hoc: digest != meta.analysis_at_submit,
            stopped_early: meta.stopped_early,
            baseline: sweep.baseline().map(str::to_owned),
            seeds: sweep.seeds().to_vec(),
        },
        progress,
        notes: Vec::new(),
        candidates: sweep.candidates().to_vec(),
        datasets: datasets.collect(),
        across: None,
        ranks: None,
        adaptive: Vec::new(),
        failures: Vec::new(),
        runs: Vec::new(),
        timing: Timing::default(),
    }
}

/// Epoch curves of one configuration over the epochs of some of its runs; `None` without any epoch.
pub fn curves(candidate: usize, label: &str, runs: &[&[EpochMetrics]]) -> Option<Curves> {
    summarize::curves_of(candidate, label, runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::study;

    #[test]
    fn a_glance_has_the_means_and_intervals_of_the_report() {
        let losses = "  - softmax\n  - am_softmax: { margin: [0.1, 0.2], scale: 10 }\n";
        let study = study(losses, "5", "baseline: softmax\n", 60)
            .all(|c, s| 40 + ((c * 7 + s * 3) % 9) as u32);
        let full = study.report();
        let input = study.input();
        let by_configuration = input.plan.by_configuration();
        let summaries: Vec<Summary> = (0..by_configuration.len())
            .map(|configuration| {
                let seen: Vec<Seen> = by_configuration[configuration]
                    .iter()
                    .map(|run| {
                        let record = input.records.iter().find(|r| r.run.id == run.id).unwrap();
                        let validation = record.result.as_ref().and_then(|r| r.validation.as_ref());
                        let correct = validation.map(|v| v.correct.count_ones() as u32);
                        Seen { seed: run.spec.seed, state: record.state, correct, diverged: false }
                    })
                    .collect();
                summary(input.sweep, input.plan, configuration, 60, &seen)
            })
            .collect();
        for (glance, own) in summaries.iter().zip(&full.datasets[0].summaries) {
            assert_eq!((glance.mean, glance.on_these, glance.n), (own.mean, own.on_these, own.n));
            assert_eq!((&glance.label, &glance.configuration), (&own.label, &own.configuration));
            assert_eq!(glance.values, own.values);
        }
        let id = input.sweep.id(input.plan);
        let at_a_glance =
            report(&id, input.sweep, input.plan, input.meta, full.progress, &summaries);
        assert_eq!(at_a_glance.sweep.id, full.sweep.id);
        assert!(at_a_glance.datasets[0].family.is_none());
        assert_eq!(crate::plot::heat_maps(&at_a_glance, 0, &Default::default(), 9).len(), 1);
        assert!(crate::plot::parallel(&at_a_glance, 0).is_some());
    }
}
