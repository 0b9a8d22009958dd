//! Input → [`Report`]: the order of the work, nothing else. Every step is in the module named for it.

use sweep_core::lifecycle::StateName;
use sweep_core::result::{RunResult, TrainingEnd};

use crate::best::{best_set, survivors};
use crate::compare::{self, Terms};
use crate::input::{Input, Slot, slots};
use crate::notes;
use crate::numbers;
use crate::parts::loss_name;
use crate::ranks::ranks;
use crate::report::{
    Across, AcrossRow, AdaptiveTrace, BaselineChoice, DataSetReport, Failure, Family, FamilyKind,
    Mark, Progress, Report, RunEnd, RunRow, RunTiming, SCHEMA, Summary, SweepHeader, Timing,
};
use crate::sides::Side;
use crate::summarize;

/// ROPE half-width where the sweep file gives none: one point, but at least one image.
const DEFAULT_ROPE: f64 = 0.01;

/// The report of a sweep from what is known of its runs.
///
/// Pure and total: the same input gives an equal report, and no input panics. Every interval and p value comes from
/// `sweep-stats`; while planned runs have not ended there is no p value and no verdict.
pub fn analyse(input: &Input<'_>) -> Report {
    analyse_with(input, &[])
}

/// [`analyse`] of a sweep whose seeds an adaptive rule gave out: the traces are shown beside the results.
pub fn analyse_with(input: &Input<'_>, traces: &[AdaptiveTrace]) -> Report {
    let analysis = input.sweep.analysis();
    let analysis_digest = analysis.digest();
    let slots = slots(input);
    let progress = progress(&slots);
    let finished = progress.pending == 0 && input.plan.is_complete(input.sweep);
    let post_hoc = analysis_digest != input.meta.analysis_at_submit;
    let stopped_early = input.meta.stopped_early || progress.cancelled > 0;
    let mut marks = Vec::new();
    if stopped_early {
        marks.push(Mark::StoppedEarly);
    }
    if post_hoc {
        marks.push(Mark::PostHoc);
    }
    if notes::looked_extensions(input).next().is_some() {
        marks.push(Mark::Extended);
    }
    let mut datasets: Vec<DataSetReport> = (0..input.plan.datasets.len())
        .map(|index| dataset(input, index, &slots, finished, &marks))
        .collect();
    for d in &mut datasets {
        if let Some(trace) = traces.iter().find(|t| t.dataset == d.name) {
            let set = d.best_set.take();
            d.best_set = set.map(|set| survivors(set, trace, input.sweep.candidates()));
        }
    }
    Report {
        schema: SCHEMA,
        sweep: SweepHeader {
            id: input.sweep.id(input.plan),
            name: input.sweep.name().to_owned(),
            description: input.sweep.description().to_owned(),
            file: input.meta.file.clone(),
            text: input.meta.text.clone(),
            version: input.meta.version.clone(),
            analysis: analysis.clone(),
            analysis_digest,
            analysis_at_submit: input.meta.analysis_at_submit,
            post_hoc,
            stopped_early,
            baseline: input.sweep.baseline().map(str::to_owned),
            seeds: input.plan.seeds(),
        },
        notes: notes::of_report(input, &progress, &slots, post_hoc, stopped_early),
        candidates: candidates(input),
        across: across(&datasets),
        ranks: if finished { ranks(&datasets, analysis.alpha) } else { None },
        adaptive: traces.to_vec(),
        datasets,
        failures: failures(input, &slots),
        runs: run_rows(input, &slots),
        timing: timing(&slots),
        progress,
    }
}

/// The candidates with the image size their data sets give them, where all give the same.
fn candidates(input: &Input<'_>) -> Vec<sweep_core::sweep::Candidate> {
    let mut out = input.sweep.candidates().to_vec();
    for (index, candidate) in out.iter_mut().enumerate() {
        let own = input.plan.configurations.iter().filter(|p| p.candidate == index);
        let mut sizes = own.map(|p| p.configuration.training.image_size);
        if let Some(first) = sizes.next()
            && sizes.all(|s| s == first)
        {
            candidate.training.image_size = first;
        }
    }
    out
}

fn progress(slots: &[Vec<Slot<'_>>]) -> Progress {
    let mut p = Progress::default();
    for slot in slots.iter().flatten() {
        p.total += 1;
        p.diverged += usize::from(slot.diverged());
        p.pending += usize::from(slot.pending());
        match slot.state() {
            StateName::Succeeded => p.succeeded += 1,
            StateName::Failed => p.failed += 1,
            StateName::Cancelled => p.cancelled += 1,
            StateName::Leased => p.leased += 1,
            StateName::Queued | StateName::Delayed => {}
        }
    }
    p
}

fn dataset(
    input: &Input<'_>,
    index: usize,
    slots: &[Vec<Slot<'_>>],
    finished: bool,
    marks: &[Mark],
) -> DataSetReport {
    let info = &input.plan.datasets[index];
    let analysis = input.sweep.analysis();
    let candidates = input.sweep.candidates();
    let of_this: Vec<(usize, &[Slot<'_>])> = (input.plan.configurations.iter().zip(slots))
        .filter(|(planned, _)| planned.dataset == index)
        .map(|(planned, slots)| (planned.candidate, slots.as_slice()))
        .collect();
    let n_val = images(&of_this, info.val_count());
    // Seeds that confirm must not choose; and a result over another number of images is no result on this data set.
    let confirms = |seed| input.sweep.adaptive().is_some_and(|adaptive| adaptive.confirms(seed));
    let of_this: Vec<(usize, Vec<Slot<'_>>)> = of_this
        .into_iter()
        .map(|(candidate, slots)| {
            let fits =
                |s: &Slot<'_>| s.validation().is_none_or(|v| v.correct.len() == n_val as usize);
            let chosen_on = slots.iter().filter(|s| !confirms(s.run.spec.seed) && fits(s));
            (candidate, chosen_on.copied().collect())
        })
        .collect();
    let label = |candidate: usize| candidates.get(candidate).map_or("", |c| c.label.as_str());
    let configurations = input.plan.configurations.iter().filter(|p| p.dataset == index);
    let summaries: Vec<Summary> = (of_this.iter().zip(configurations))
        .map(|((candidate, slots), planned)| {
            let subject = summarize::Subject {
                dataset: &info.name,
                finished,
                candidate: *candidate,
                label: label(*candidate),
                configuration: planned.configuration.id(),
                n_val,
            };
            summarize::summary(subject, slots, analysis)
        })
        .collect();
    let curves =
        of_this.iter().filter_map(|(c, slots)| summarize::curves(*c, label(*c), slots)).collect();
    let sides: Vec<Side> =
        of_this.iter().filter_map(|(c, slots)| Side::new(*c, label(*c), slots, n_val)).collect();
    let one_image = 1.0 / f64::from(n_val.max(1));
    let rope = analysis.rope.unwrap_or_else(|| one_image.max(DEFAULT_ROPE));
    let mut marks = marks.to_vec();
    if !info.warnings.is_empty() {
        marks.push(Mark::Data);
    }
    let terms =
        Terms { analysis, n_val, rope, detect: analysis.detect.unwrap_or(rope), finished, marks };
    let family = match analysis.compare {
        sweep_core::analysis::Compare::AllPairs => Some(compare::all_pairs(&sides, &terms)),
        sweep_core::analysis::Compare::Baseline => {
            baseline(input, &summaries).map(|choice| compare::against(&sides, choice, &terms))
        }
    };
    let mut report = DataSetReport {
        name: info.name.clone(),
        title: info.title.clone(),
        classes: info.classes.clone(),
        n_train: info.train_count(),
        n_val,
        val_per_class: info.val.clone(),
        content: info.content,
        split: info.split,
        rope,
        rope_by_default: analysis.rope.is_none(),
        detect: terms.detect,
        notes: Vec::new(),
        best_set: if finished { best_set(&sides, candidates, analysis.alpha) } else { None },
        summaries,
        family: family.filter(|f| !f.comparisons.is_empty()),
        curves,
    };
    report.notes = notes::of_dataset(input, &report, &info.warnings, info.val_count(), finished);
    report
}

/// Images behind the counts: what the results hold where they agree, else what the data set has.
fn images(slots: &[(usize, &[Slot<'_>])], planned: u32) -> u32 {
    let mut lengths = slots
        .iter()
        .flat_map(|(_, slots)| slots.iter())
        .filter_map(|s| s.validation().map(|v| v.correct.len()));
    match lengths.next() {
        Some(first) if first > 0 && lengths.all(|n| n == first) => {
            u32::try_from(first).unwrap_or(planned)
        }
        _ => planned,
    }
}

/// The baseline's configuration with the best mean; the first in the file where several share it or none has one.
fn baseline(input: &Input<'_>, summaries: &[Summary]) -> Option<BaselineChoice> {
    let name = input.sweep.baseline()?;
    let candidates = input.sweep.candidates();
    let of_baseline: Vec<&Summary> = summaries
        .iter()
        .filter(|s| candidates.get(s.candidate).is_some_and(|c| loss_name(c) == name))
        .collect();
    let mut best = *of_baseline.first()?;
    for s in &of_baseline {
        if s.mean.unwrap_or(-1.0) > best.mean.unwrap_or(-1.0) {
            best = s;
        }
    }
    Some(BaselineChoice {
        candidate: best.candidate,
        label: best.label.clone(),
        chosen_from: of_baseline.len(),
    })
}

/// Equal-weight means of the paired differences over data sets: a description, never a claim about other data sets.
fn across(datasets: &[DataSetReport]) -> Option<Across> {
    let families: Option<Vec<&Family>> = datasets
        .iter()
        .map(|d| d.family.as_ref().filter(|f| f.kind == FamilyKind::Baseline))
        .collect();
    let families = families.filter(|f| f.len() >= 2)?;
    let n = families.len();
    let rows: Vec<AcrossRow> = families[0]
        .comparisons
        .iter()
        .filter_map(|first| {
            let rows: Option<Vec<_>> =
                families.iter().map(|f| f.comparisons.iter().find(|c| c.b == first.b)).collect();
            let rows = rows?;
            let estimates: Option<Vec<f64>> = rows.iter().map(|c| c.estimate).collect();
            let squares: Option<Vec<f64>> =
                rows.iter().map(|c| c.beyond.se.map(|se| se * se)).collect();
            Some(AcrossRow {
                candidate: first.b,
                label: first.b_label.clone(),
                estimate: numbers::mean(&estimates?)?,
                se: squares.map(|s| s.iter().sum::<f64>().sqrt() / n as f64),
            })
        })
        .collect();
    let wording = format!(
        "difference from the baseline averaged over these {n} data sets with equal weight: a description of them{}",
        if n < 6 {
            "; fewer than 6 data sets carry no claim about others"
        } else {
            ", no claim about others"
        }
    );
    (!rows.is_empty()).then_some(Across { wording, n, rows })
}

/// Dataset name, candidate index and label of each slot, in the order of the sweep's runs.
fn in_run_order<'s, 'a>(
    input: &Input<'a>,
    slots: &'s [Vec<Slot<'a>>],
) -> Vec<(&'a str, usize, &'a str, &'s Slot<'a>)> {
    let mut all: Vec<_> = (input.plan.configurations.iter().zip(slots))
        .flat_map(|(planned, slots)| {
            let dataset = input.plan.datasets.get(planned.dataset).map_or("", |d| d.name.as_str());
            let label =
                input.sweep.candidates().get(planned.candidate).map_or("", |c| c.label.as_str());
            slots.iter().map(move |s| (dataset, planned.candidate, label, s))
        })
        .collect();
    all.sort_by_key(|(_, _, _, slot)| slot.run.ord);
    all
}

fn failures(input: &Input<'_>, slots: &[Vec<Slot<'_>>]) -> Vec<Failure> {
    in_run_order(input, slots)
        .into_iter()
        .filter(|(_, _, _, s)| s.state() == StateName::Failed)
        .map(|(dataset, _, label, s)| Failure {
            run: s.run.id.clone(),
            dataset: dataset.to_owned(),
            label: label.to_owned(),
            seed: s.run.spec.seed,
            state: s.state(),
            error: s.record.and_then(|r| r.error.clone()),
        })
        .collect()
}

fn run_rows(input: &Input<'_>, slots: &[Vec<Slot<'_>>]) -> Vec<RunRow> {
    in_run_order(input, slots)
        .into_iter()
        .map(|(dataset, candidate, label, s)| {
            let result: Option<&RunResult> = s.result();
            let validation = s.validation();
            RunRow {
                run: s.run.id.clone(),
                ord: s.run.ord,
                dataset: dataset.to_owned(),
                candidate,
                label: label.to_owned(),
                seed: s.run.spec.seed,
                image_size: s.run.spec.configuration.training.image_size,
                state: s.state(),
                end: result.map(|r| match r.end {
                    TrainingEnd::Completed => RunEnd::Completed,
                    TrainingEnd::Diverged { .. } => RunEnd::Diverged,
                }),
                diverged_in_epoch: result.and_then(|r| match r.end {
                    TrainingEnd::Completed => None,
                    TrainingEnd::Diverged { epoch, .. } => Some(epoch),
                }),
                epochs: result.map_or(0, |r| r.epochs.len()),
                correct: validation.map(|v| v.correct.count_ones() as u32),
                n_val: validation.map(|v| v.correct.len() as u32),
                bits: validation.map(|v| sweep_core::ids::Digest::of(v.correct.bytes())),
                device: s.device(),
                // An error of an attempt that was made good later is history, not part of the result.
                error: s.record.filter(|r| r.result.is_none()).and_then(|r| r.error.clone()),
            }
        })
        .collect()
}

fn timing(slots: &[Vec<Slot<'_>>]) -> Timing {
    let mut all: Vec<&Slot<'_>> = slots.iter().flatten().collect();
    all.sort_by_key(|s| s.run.ord);
    let runs: Vec<RunTiming> = all
        .iter()
        .map(|s| RunTiming {
            run: s.run.id.clone(),
            seconds: s.result().map(|r| r.seconds),
            attempts: s.record.map_or(0, |r| r.attempts),
        })
        .collect();
    Timing { seconds: runs.iter().filter_map(|r| r.seconds).sum(), runs }
}
