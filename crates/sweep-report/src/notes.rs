//! What must be read beside the numbers: one sentence per reason, only where it holds.

use std::collections::BTreeSet;

use sweep_core::analysis::Test;
use sweep_core::result::DeviceKind;

use crate::format;
use crate::input::{Input, Slot};
use crate::looks::Looks;
use crate::numbers;
use crate::report::{DataSetReport, Family, Note, NoteKind, Progress};

fn note(kind: NoteKind, text: String) -> Note {
    Note { kind, text }
}

/// What holds for the whole report.
pub(crate) fn of_report(
    input: &Input<'_>,
    progress: &Progress,
    slots: &[Vec<Slot<'_>>],
    post_hoc: bool,
    stopped_early: bool,
) -> Vec<Note> {
    let mut out = Vec::new();
    if progress.pending > 0 {
        let ended = progress.total - progress.pending;
        out.push(note(
            NoteKind::Unfinished,
            format!("{ended} of {} runs have ended: estimates and intervals only, no p value and no verdict before all have", progress.total),
        ));
    }
    if progress.pending == 0 && !input.plan.is_complete(input.sweep) {
        let next = if stopped_early {
            "the looks of the adaptive rule did not end"
        } else {
            "the next look is still to come"
        };
        out.push(note(
            NoteKind::Unfinished,
            format!("{next}: estimates and intervals only, no p value and no verdict"),
        ));
    }
    if stopped_early {
        out.push(note(
            NoteKind::StoppedEarly,
            "stopped early: the planned runs did not all end, so no verdict is unqualified"
                .to_owned(),
        ));
    }
    if post_hoc {
        out.push(note(
            NoteKind::PostHoc,
            "post hoc: the analysis block was changed after the sweep was submitted".to_owned(),
        ));
    }
    for e in looked_extensions(input) {
        out.push(note(
            NoteKind::Extended,
            format!(
                "extended from {} to {} seeds after {}: adding seeds after looking raises the chance of a false verdict",
                e.from_seeds,
                e.to_seeds,
                format::count(u64::from(e.after_reports), "report", "reports")
            ),
        ));
    }
    let devices: BTreeSet<DeviceKind> = slots.iter().flatten().filter_map(Slot::device).collect();
    if devices.len() > 1 {
        let names: Vec<_> = devices.iter().map(|d| device_word(*d)).collect();
        out.push(note(
            NoteKind::MixedDevices,
            format!(
                "results come from several device kinds ({}): only seeds of one kind are paired",
                names.join(", ")
            ),
        ));
    }
    if devices.contains(&DeviceKind::Cuda) {
        out.push(note(NoteKind::MixedDevices, "results on CUDA are stable only up to the choice of kernels: the same seed is not exactly the same run".to_owned()));
    }
    if devices.contains(&DeviceKind::Fake) {
        out.push(note(
            NoteKind::Data,
            "results come from the fake trainer of tests: they say nothing about any loss"
                .to_owned(),
        ));
    }
    out.extend(input.plan.warnings.iter().map(|w| note(NoteKind::Plan, w.clone())));
    out
}

/// Extensions that came after a look.
pub(crate) fn looked_extensions<'a>(
    input: &Input<'a>,
) -> impl Iterator<Item = &'a crate::input::Extension> {
    input.meta.extensions.iter().filter(|e| e.after_reports > 0 && e.to_seeds > e.from_seeds)
}

pub(crate) fn device_word(device: DeviceKind) -> &'static str {
    match device {
        DeviceKind::Cpu => "cpu",
        DeviceKind::Cuda => "cuda",
        DeviceKind::Fake => "fake",
    }
}

/// What holds for one data set, once its numbers are known.
pub(crate) fn of_dataset(
    input: &Input<'_>,
    dataset: &DataSetReport,
    own: &[String],
    planned_n_val: u32,
    finished: bool,
    looks: Option<&Looks<'_>>,
) -> Vec<Note> {
    let mut out: Vec<Note> = own.iter().map(|w| note(NoteKind::Data, w.clone())).collect();
    let one_image = 1.0 / f64::from(dataset.n_val.max(1));
    if planned_n_val != dataset.n_val {
        out.push(note(
            NoteKind::Data,
            format!(
                "results hold {} validation images, the data set has {planned_n_val}",
                dataset.n_val
            ),
        ));
    }
    if !dataset.rope_by_default && dataset.rope < one_image {
        out.push(note(
            NoteKind::Rope,
            format!(
                "`rope` of {} pp is less than one image ({} pp)",
                format::short(dataset.rope * 100.0, 2),
                format::short(one_image * 100.0, 2)
            ),
        ));
    }
    out.extend(smallest_class(dataset));
    let lacking: usize =
        dataset.summaries.iter().map(|s| s.failed + s.cancelled + s.without_accuracy).sum();
    if lacking > 0 {
        out.push(note(
            NoteKind::Missing,
            format!(
                "{} ended without an accuracy; the pairs they belong to are left out",
                format::count(lacking as u64, "run", "runs")
            ),
        ));
    }
    let confirmed = dataset.confirmation.as_ref().and_then(|c| c.family.as_ref());
    if finished {
        out.extend(looks.into_iter().flat_map(|looks| after_looks(dataset, looks)));
        // After looks only confirmation seeds are tested.
        let tested = if looks.is_some() { confirmed } else { dataset.family.as_ref() };
        out.extend(tested.and_then(|family| few_seeds(input, family)));
        out.extend(beyond_reach(dataset));
        out.extend(selection(dataset));
    }
    out
}

fn smallest_class(dataset: &DataSetReport) -> Option<Note> {
    const FEW: u32 = 20;
    let (name, count) = dataset
        .classes
        .iter()
        .zip(&dataset.val_per_class)
        .filter(|(_, n)| **n > 0)
        .min_by_key(|(_, n)| **n)?;
    (*count < FEW).then(|| {
        note(
            NoteKind::Granularity,
            format!(
                "class `{name}` has {}: one image moves its accuracy by {} pp",
                format::count(u64::from(*count), "validation image", "validation images"),
                format::short(100.0 / f64::from(*count), 1)
            ),
        )
    })
}

/// What looks at the results leave to say.
fn after_looks(dataset: &DataSetReport, looks: &Looks<'_>) -> Vec<Note> {
    let mut say = Vec::new();
    if let Some(family) = &dataset.family {
        let intervals = if looks.adaptive.anytime {
            "a rule that looks at any time has no t interval on these images either".to_owned()
        } else {
            format!(
                "the interval on these images is that of the look that ended the comparison: it holds over all looks of one comparison, not over the {} comparisons together",
                family.m
            )
        };
        say.push(format!(
            "seeds were given out by looks at the results, so no p value of a fixed number of seeds holds, and none is shown; {intervals}"
        ));
    }
    say.push(match &dataset.confirmation {
        Some(_) => "the means of survivors are too high by the luck of having survived; confirmation seeds take the part of seeds out of the winner's bonus, the part of these images stays until others are used".to_owned(),
        None => "no confirmation seeds: the means of survivors are too high by the luck of having survived, and no verdict is unqualified".to_owned(),
    });
    say.into_iter().map(|text| note(NoteKind::Looks, text)).collect()
}

fn few_seeds(input: &Input<'_>, family: &Family) -> Option<Note> {
    const FEW: usize = 5;
    let pairs = family.comparisons.iter().map(|c| c.pairs.len()).max()?;
    if pairs > FEW || input.sweep.analysis().test == Test::PairedT {
        return None;
    }
    let needed = numbers::seeds_for_test(input.sweep.analysis().alpha, family.m)?;
    if pairs < 2 {
        return Some(note(
            NoteKind::Resolution,
            "one seed: intervals over seeds and all comparisons are \"—\"".to_owned(),
        ));
    }
    let smallest = 0.5f64.powi(pairs as i32 - 1);
    Some(note(
        NoteKind::Resolution,
        format!(
            "{} seeds: the smallest p an exact paired test can give is {}; {needed} seeds are needed for {}",
            pairs,
            format::p_value(smallest),
            format::count(family.m as u64, "comparison", "comparisons")
        ),
    ))
}

/// The first thing to know about a small data set: which differences no number of seeds resolves on it.
fn beyond_reach(dataset: &DataSetReport) -> Option<Note> {
    let family = dataset.family.as_ref()?;
    let mut floors: Vec<f64> = family.comparisons.iter().filter_map(|c| c.beyond.floor).collect();
    floors.sort_by(f64::total_cmp);
    let [median] = numbers::quantiles(&floors, [0.5])?;
    (median > dataset.detect).then(|| {
        note(
            NoteKind::Resolution,
            format!(
                "on {} images no number of seeds resolves {} pp beyond these images: the floor is about {} pp (median over {}, 80 % power)",
                dataset.n_val,
                format::short(dataset.detect * 100.0, 2),
                format::percent(median),
                format::count(floors.len() as u64, "comparison", "comparisons")
            ),
        )
    })
}

fn selection(dataset: &DataSetReport) -> Option<Note> {
    if let Some(best) = &dataset.best_set {
        let bonus = best.winners_bonus.filter(|b| *b >= 0.0005)?;
        return Some(note(
            NoteKind::Selection,
            format!(
                "choosing the best of {}: were all equally good, the best would still lead by about {} pp",
                best.k,
                format::points(bonus)
            ),
        ));
    }
    let rated: Vec<f64> = dataset.summaries.iter().filter_map(|s| s.mean).collect();
    let one_seed = dataset.summaries.iter().all(|s| s.n <= 1);
    let bonus = numbers::best_of_k_binomial(rated.len(), numbers::mean(&rated)?, dataset.n_val)?;
    (one_seed && rated.len() > 1).then(|| {
        note(
            NoteKind::Selection,
            format!(
                "choosing the best of {} single runs: were all equally good, the best would still lead by about {} pp",
                rated.len(),
                format::points(bonus)
            ),
        )
    })
}
