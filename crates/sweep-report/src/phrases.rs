//! Sentences that several renderers share, so that terminal, HTML and Markdown say the same words.

use crate::format;
use crate::report::{Comparison, DataSetReport, FamilyKind, Mark, Report, Summary, TestName};
use sweep_core::analysis::{Correction, Test};

/// The first line over a data set's comparisons: data set, images, reference, seeds, tests, correction.
pub(crate) fn dataset_line(report: &Report, dataset: &DataSetReport) -> String {
    let mut line = format!(
        "{}, {}",
        dataset.name,
        format::count(u64::from(dataset.n_val), "validation image", "validation images")
    );
    let Some(family) = &dataset.family else { return line };
    match (&family.kind, &family.baseline) {
        (FamilyKind::Baseline, Some(choice)) if choice.chosen_from > 1 => line.push_str(&format!(
            ", against {}, the best of {} {} configurations, chosen on the same seeds",
            choice.label,
            choice.chosen_from,
            report.sweep.baseline.as_deref().unwrap_or("baseline")
        )),
        (FamilyKind::Baseline, Some(choice)) => {
            line.push_str(&format!(", against {}", choice.label))
        }
        _ => line.push_str(", each against each"),
    }
    line.push_str(&format!(" ({})", method(report, dataset)));
    line
}

/// Seeds, tests and correction of a data set's comparisons.
pub(crate) fn method(report: &Report, dataset: &DataSetReport) -> String {
    let Some(family) = &dataset.family else { return String::new() };
    let most = family.comparisons.iter().map(|c| c.pairs.len()).max().unwrap_or(0);
    let least = family.comparisons.iter().map(|c| c.pairs.len()).min().unwrap_or(0);
    let seeds = if least == most { format!("{most}") } else { format!("{least}–{most}") };
    let seeds = format!("{seeds} paired {}", if most == 1 { "seed" } else { "seeds" });
    if !report.finished() {
        return format!(
            "{seeds}; {} of {} runs: estimates only, no test before all have ended",
            ended(report),
            report.progress.total
        );
    }
    format!(
        "{seeds}; {} on these images, crossed seeds × images beyond them; {} over {}",
        test_words(report.sweep.analysis.test),
        correction_name(report.sweep.analysis.correction),
        family.m
    )
}

pub(crate) fn ended(report: &Report) -> usize {
    report.progress.total - report.progress.pending
}

pub(crate) fn test_words(test: Test) -> &'static str {
    match test {
        Test::SignFlip => "exact sign-flip",
        Test::Wilcoxon => "exact Wilcoxon signed-rank",
        Test::PairedT => "paired t",
    }
}

pub(crate) fn test_name_words(test: TestName) -> &'static str {
    match test {
        TestName::SignFlip => test_words(Test::SignFlip),
        TestName::Wilcoxon => test_words(Test::Wilcoxon),
        TestName::PairedT => test_words(Test::PairedT),
        TestName::Crossed => "crossed seeds × images t",
    }
}

pub(crate) fn correction_name(correction: Correction) -> &'static str {
    match correction {
        Correction::Holm => "Holm",
        Correction::Bonferroni => "Bonferroni",
    }
}

/// The verdict with its marks in brackets; pairs that were dropped; a dash while runs are missing.
pub(crate) fn verdict_cell(c: &Comparison, _dataset: &DataSetReport) -> String {
    let mut notes: Vec<String> = Vec::new();
    if c.dropped > 0 {
        notes.push(format!("{} dropped", format::count(c.dropped as u64, "pair", "pairs")));
    }
    let Some(headline) = &c.headline else { return format::NONE.to_owned() };
    // A data warning holds for every row and is printed once below the table.
    notes.extend(
        headline
            .marks
            .iter()
            .filter(|m| **m != Mark::Data && !headline.text.contains(m.word()))
            .map(|m| m.word().to_owned()),
    );
    if notes.is_empty() {
        headline.text.clone()
    } else {
        format!("{} [{}]", headline.text, notes.join(", "))
    }
}

/// "not distinguishable from the best: …", with the size of the field and what choosing among it is worth by luck.
pub(crate) fn best_set_line(dataset: &DataSetReport) -> Option<String> {
    let best = dataset.best_set.as_ref()?;
    let mut line =
        format!("not distinguishable from the best on these images: {}", best.labels.join(", "));
    line.push_str(&format!(
        " ({} of {} excluded by one-sided {} at {}",
        best.excluded,
        best.k,
        test_name_words(best.test),
        level(best.level)
    ));
    if best.members.len() > 1 {
        line.push_str(&format!("; simplest: {}", best.simplest_label));
    }
    line.push(')');
    if !best.unrated.is_empty() {
        line.push_str(&format!("; not rated: {}", best.unrated.join(", ")));
    }
    Some(line)
}

fn level(level: f64) -> String {
    if level < 0.001 { format!("{level:.1e}") } else { format::short(level, 4) }
}

/// What keeps a configuration from having all its seeds: `2 failed, 1 diverged, CENSORED`.
pub(crate) fn state_words(s: &Summary) -> String {
    let mut words = Vec::new();
    let mut add = |n: usize, word: &str| {
        if n > 0 {
            words.push(format!("{n} {word}"));
        }
    };
    add(s.failed, "failed");
    add(s.cancelled, "cancelled");
    add(s.diverged, "diverged");
    add(s.without_accuracy, "without accuracy");
    add(s.pending, "to come");
    if s.censored {
        words.push("CENSORED".to_owned());
    }
    words.join(", ")
}

/// `40 runs, 52 s, 0 failed`, or how far it is.
pub(crate) fn progress_line(report: &Report) -> String {
    let p = &report.progress;
    let mut parts = if report.finished() {
        vec![format::count(p.total as u64, "run", "runs")]
    } else {
        vec![
            format!("{} of {} runs", ended(report), p.total),
            format!("{} being trained", p.leased),
        ]
    };
    if report.timing.seconds > 0.0 {
        parts.push(format!("{} of training", format::duration(report.timing.seconds)));
    }
    if p.diverged > 0 {
        parts.push(format!("{} diverged", p.diverged));
    }
    parts.push(format!("{} failed", p.failed));
    if p.cancelled > 0 {
        parts.push(format!("{} cancelled", p.cancelled));
    }
    parts.join(", ")
}
/// How an adaptive rule ended on a data set; `None` without one.
pub(crate) fn trace_line(report: &Report, dataset: &DataSetReport) -> Option<String> {
    let trace = report.adaptive.iter().find(|t| t.dataset == dataset.name)?;
    let dropped = trace.rows.iter().filter(|r| r.dropped.is_some()).count();
    Some(format!(
        "seeds by the declared rule ({}): {dropped} of {} dropped, {} saved; it stopped because {}",
        trace.rule,
        trace.rows.len(),
        format::count(u64::from(trace.runs_saved), "run", "runs"),
        trace.stopped_because
    ))
}

/// Mean ranks over data sets in one line; `None` where there are none, or too many to read.
pub(crate) fn ranks_line(report: &Report) -> Option<String> {
    const READABLE: usize = 12;
    let ranks = report.ranks.as_ref().filter(|r| r.rows.len() <= READABLE)?;
    let rows: Vec<String> = (ranks.rows.iter())
        .map(|r| format!("{} {}", r.label, format::short(r.mean_rank, 2)))
        .collect();
    Some(format!("{}: {}", ranks.wording, rows.join(", ")))
}
