//! Tables for other programs: comma-separated, a header line, numbers unrounded, empty where a value does not exist.

use ::csv::Writer;
use sweep_core::lifecycle::StateName;

use crate::input::{Input, slots};
use crate::notes::device_word;
use crate::parts::{loss_name, parts};
use crate::phrases;
use crate::report::{AtLook, Interval, Report, RunEnd, Sensitivity};

/// One row per run with the settings of its configuration as columns.
pub fn runs(report: &Report) -> String {
    let settings: Vec<_> = report.candidates.iter().map(parts).collect();
    let mut names: Vec<String> = Vec::new();
    for part in settings.iter().flatten() {
        if !names.contains(&part.name) {
            names.push(part.name.clone());
        }
    }
    let fixed = [
        "run",
        "dataset",
        "configuration",
        "seed",
        "state",
        "end",
        "correct",
        "n_val",
        "accuracy",
        "epochs",
        "device",
        "error",
        "loss",
    ];
    let header: Vec<String> =
        fixed.iter().map(|n| (*n).to_owned()).chain(names.iter().cloned()).collect();
    let rows = report.runs.iter().map(|r| {
        let accuracy =
            r.correct.zip(r.n_val).map(|(correct, n)| f64::from(correct) / f64::from(n.max(1)));
        let mut row = vec![
            r.run.to_string(),
            r.dataset.clone(),
            r.label.clone(),
            r.seed.to_string(),
            state_word(r.state).to_owned(),
            r.end.map_or("", end_word).to_owned(),
            optional(r.correct),
            optional(r.n_val),
            optional(accuracy),
            r.epochs.to_string(),
            r.device.map_or("", device_word).to_owned(),
            r.error.clone().unwrap_or_default(),
            report.candidates.get(r.candidate).map(loss_name).unwrap_or_default(),
        ];
        let own = settings.get(r.candidate);
        row.extend(names.iter().map(|name| {
            match name.as_str() {
                // A candidate may leave it to the data set; a run never does.
                "training.image_size" => r.image_size.to_string(),
                _ => own
                    .and_then(|p| p.iter().find(|p| p.name == *name))
                    .map(|p| p.text())
                    .unwrap_or_default(),
            }
        }));
        row
    });
    write(&header, rows)
}

/// One row per epoch of every run with a result.
pub fn epochs(input: &Input<'_>) -> String {
    let header = [
        "run",
        "dataset",
        "configuration",
        "seed",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
        "lambda",
        "seconds",
    ]
    .map(str::to_owned);
    let slots = slots(input);
    let mut all: Vec<_> = input
        .plan
        .configurations
        .iter()
        .zip(&slots)
        .flat_map(|(planned, slots)| slots.iter().map(move |s| (planned, s)))
        .collect();
    all.sort_by_key(|(_, s)| s.run.ord);
    let rows = all.into_iter().flat_map(|(planned, slot)| {
        let dataset = input.plan.datasets.get(planned.dataset).map_or("", |d| d.name.as_str());
        let label =
            input.sweep.candidates().get(planned.candidate).map_or("", |c| c.label.as_str());
        let epochs = slot.result().map_or(&[][..], |r| r.epochs.as_slice());
        epochs.iter().map(move |e| {
            vec![
                slot.run.id.to_string(),
                dataset.to_owned(),
                label.to_owned(),
                slot.run.spec.seed.to_string(),
                e.epoch.to_string(),
                optional(e.train_loss),
                e.train_accuracy.to_string(),
                optional(e.val_loss),
                e.val_accuracy.to_string(),
                e.learning_rate.to_string(),
                optional(e.lambda),
                e.seconds.to_string(),
            ]
        })
    });
    write(&header, rows)
}

/// One row per configuration and data set.
pub fn summaries(report: &Report) -> String {
    let header = [
        "dataset",
        "configuration",
        "planned",
        "n",
        "failed",
        "cancelled",
        "pending",
        "diverged",
        "without_accuracy",
        "n_val",
        "mean",
        "sd",
        "on_these_low",
        "on_these_high",
        "beyond_low",
        "beyond_high",
        "bootstrap_low",
        "bootstrap_high",
        "bootstrap_under_covers",
        "min",
        "median",
        "max",
        "iqm",
        "balanced_accuracy",
        "part",
        "look",
        "look_confidence",
    ]
    .map(str::to_owned);
    let rows = report.datasets.iter().flat_map(|d| {
        let confirmed = d.confirmation.iter().flat_map(|c| &c.summaries);
        let all = d.summaries.iter().map(|s| (s, chosen_on(report)));
        all.chain(confirmed.map(|s| (s, CONFIRMATION))).map(|(s, part)| {
            let (e1, e2) = (ends(s.on_these), ends(s.beyond));
            let mut row = vec![d.name.clone(), s.label.clone()];
            row.extend(
                [s.planned, s.n, s.failed, s.cancelled, s.pending, s.diverged, s.without_accuracy]
                    .map(|n| n.to_string()),
            );
            row.push(s.n_val.to_string());
            row.extend([s.mean, s.sd, e1.0, e1.1, e2.0, e2.1].map(optional));
            let check = ends(s.bootstrap.map(|b| b.interval));
            row.extend([optional(check.0), optional(check.1)]);
            row.push(optional(s.bootstrap.map(|b| b.under_covers)));
            row.extend([s.min, s.median, s.max, s.iqm, s.balanced_accuracy].map(optional));
            row.push(part.to_owned());
            row.extend(look(s.look));
            row
        })
    });
    write(&header, rows)
}

/// One row per comparison.
pub fn comparisons(report: &Report) -> String {
    let header = [
        "dataset",
        "reference",
        "configuration",
        "pairs",
        "dropped",
        "difference",
        "on_these_low",
        "on_these_high",
        "on_these_p",
        "on_these_p_adjusted",
        "on_these_p_min",
        "on_these_verdict",
        "beyond_low",
        "beyond_high",
        "beyond_p",
        "beyond_p_adjusted",
        "beyond_verdict",
        "m",
        "tost_p_adjusted",
        "headline",
        "marks",
        "part",
        "look",
        "look_confidence",
        "sign_flip_p",
        "wilcoxon_p",
        "paired_t_p",
        "fdr",
        "hodges_lehmann",
        "a12",
        "pairs_won",
        "g",
        "beyond_tost_p_adjusted",
        "on_these_se",
        "beyond_se",
        "var_seed",
        "var_image",
        "var_residual",
        "floor",
    ]
    .map(str::to_owned);
    let rows = report.datasets.iter().flat_map(|d| {
        let confirmed = d.confirmation.iter().filter_map(|c| c.family.as_ref());
        let all = d.family.iter().map(|f| (f, chosen_on(report)));
        let all = all.chain(confirmed.map(|f| (f, CONFIRMATION)));
        all.flat_map(|(f, part)| f.comparisons.iter().map(move |c| (c, part))).map(|(c, part)| {
            let (e1, e2) = (ends(c.on_these.interval), ends(c.beyond.interval));
            let marks: Vec<_> =
                c.headline.iter().flat_map(|h| &h.marks).map(|m| m.word()).collect();
            let mut row = vec![
                d.name.clone(),
                c.a_label.clone(),
                c.b_label.clone(),
                c.pairs.len().to_string(),
                c.dropped.to_string(),
                optional(c.estimate),
                optional(e1.0),
                optional(e1.1),
                optional(c.on_these.p),
                optional(c.on_these.p_adjusted),
                optional(c.on_these.p_min),
                c.on_these.verdict.as_ref().map(|v| v.text.clone()).unwrap_or_default(),
                optional(e2.0),
                optional(e2.1),
                optional(c.beyond.p),
                optional(c.beyond.p_adjusted),
                c.beyond.verdict.as_ref().map(|v| v.text.clone()).unwrap_or_default(),
                c.on_these.m.to_string(),
                optional(c.on_these.tost_p_adjusted),
                c.headline.as_ref().map(|h| h.text.clone()).unwrap_or_default(),
                marks.join("; "),
                part.to_owned(),
            ];
            row.extend(look(c.look));
            let other = c.sensitivity.as_ref();
            let of = |f: fn(&Sensitivity) -> Option<f64>| other.and_then(f);
            row.extend([
                optional(of(|s| s.sign_flip)),
                optional(of(|s| s.wilcoxon)),
                optional(of(|s| s.paired_t)),
                optional(of(|s| s.fdr)),
                optional(of(|s| s.hodges_lehmann)),
                optional(of(|s| s.a12)),
                optional(of(|s| s.outperforms)),
                optional(of(|s| s.g_z)),
                optional(c.beyond.tost_p_adjusted),
                optional(c.on_these.se),
                optional(c.beyond.se),
                optional(c.beyond.components.map(|k| k.seed)),
                optional(c.beyond.components.map(|k| k.image)),
                optional(c.beyond.components.map(|k| k.residual)),
                optional(c.beyond.floor),
            ]);
            row
        })
    });
    write(&header, rows)
}

/// One row per configuration and data set of an adaptive sweep: the seeds it was given and the look that dropped it; `None` for
/// a sweep without looks.
pub fn adaptive(report: &Report) -> Option<String> {
    let header = [
        "dataset",
        "configuration",
        "seeds",
        "dropped_at_look",
        "common_seeds",
        "beaten_by",
        "test",
        "p_or_inverse_e",
        "level",
        "looks_ended_at",
        "because",
        "confirmation_seeds",
    ]
    .map(str::to_owned);
    let label = |candidate: usize| report.candidates.get(candidate).map(|c| c.label.clone());
    let rows = report.adaptive.iter().flat_map(|trace| {
        trace.rows.iter().map(move |row| {
            let d = row.dropped;
            vec![
                trace.dataset.clone(),
                row.label.clone(),
                row.seeds.to_string(),
                optional(d.map(|d| d.look)),
                optional(d.map(|d| d.seeds)),
                d.and_then(|d| label(d.beaten_by)).unwrap_or_default(),
                d.map(|d| phrases::test_name_words(d.test).to_owned()).unwrap_or_default(),
                optional(d.map(|d| d.p)),
                optional(d.and_then(|d| d.level)),
                optional(trace.stopped.as_ref().map(|s| s.look)),
                trace.stopped.as_ref().map(|s| s.because.clone()).unwrap_or_default(),
                if d.is_none() { trace.confirmation_seeds.to_string() } else { String::new() },
            ]
        })
    });
    (!report.adaptive.is_empty()).then(|| write(&header, rows))
}

/// Differences from the baseline averaged over the data sets; `None` where there is no such average.
pub fn across(report: &Report) -> Option<String> {
    let across = report.across.as_ref()?;
    let header = ["configuration", "data_sets", "difference", "se"].map(str::to_owned);
    let rows = across.rows.iter().map(|row| {
        vec![row.label.clone(), across.n.to_string(), row.estimate.to_string(), optional(row.se)]
    });
    Some(write(&header, rows))
}

/// Mean ranks over the data sets; `None` where there are none. `claim` is false below 6 data sets.
pub fn ranks(report: &Report) -> Option<String> {
    let ranks = report.ranks.as_ref()?;
    let header = [
        "configuration",
        "data_sets",
        "mean_rank",
        "claim",
        "friedman_p",
        "iman_davenport_p",
        "exact_p",
        "nemenyi_critical_difference",
    ]
    .map(str::to_owned);
    let rows = ranks.rows.iter().map(|row| {
        vec![
            row.label.clone(),
            ranks.n.to_string(),
            row.mean_rank.to_string(),
            ranks.claim.to_string(),
            optional(ranks.p_chi2),
            optional(ranks.p_iman_davenport),
            optional(ranks.p_exact),
            optional(ranks.critical_difference),
        ]
    });
    Some(write(&header, rows))
}

/// Tests of each pair over the data sets; `None` below 6 of them, where no such test can be had.
pub fn rank_pairs(report: &Report) -> Option<String> {
    let ranks = report.ranks.as_ref().filter(|r| r.claim)?;
    let header =
        ["better_mean_rank", "worse", "p", "p_adjusted", "m", "differs"].map(str::to_owned);
    let label = |candidate: usize| {
        report.candidates.get(candidate).map(|c| c.label.clone()).unwrap_or_default()
    };
    let rows = ranks.pairs.iter().map(|pair| {
        vec![
            label(pair.better),
            label(pair.worse),
            pair.p.to_string(),
            pair.p_adjusted.to_string(),
            ranks.pairs.len().to_string(),
            pair.differs.to_string(),
        ]
    });
    Some(write(&header, rows))
}

pub(crate) fn state_word(state: StateName) -> &'static str {
    match state {
        StateName::Queued => "queued",
        StateName::Leased => "leased",
        StateName::Delayed => "delayed",
        StateName::Succeeded => "succeeded",
        StateName::Failed => "failed",
        StateName::Cancelled => "cancelled",
    }
}

/// Seeds that never chose.
const CONFIRMATION: &str = "confirmation";

/// What the seeds of a row are: planned, or given out by looks.
fn chosen_on(report: &Report) -> &'static str {
    if report.adaptive.is_empty() { "planned" } else { "looks" }
}

/// Number of the look and level of its interval.
fn look(at: Option<AtLook>) -> [String; 2] {
    [optional(at.map(|at| at.look)), optional(at.and_then(|at| at.confidence))]
}

fn end_word(end: RunEnd) -> &'static str {
    match end {
        RunEnd::Completed => "completed",
        RunEnd::Diverged => "diverged",
    }
}

fn ends(interval: Option<Interval>) -> (Option<f64>, Option<f64>) {
    (interval.map(|i| i.low), interval.map(|i| i.high))
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn write(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    let why = "every row has as many fields as the header, and memory takes what is written";
    writer.write_record(header).expect(why);
    for row in rows {
        writer.write_record(row).expect(why);
    }
    String::from_utf8(writer.into_inner().expect(why)).expect("fields are text")
}
