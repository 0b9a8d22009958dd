//! Sentences that several renderers share, so that terminal, HTML and Markdown say the same words.

use crate::format;
use crate::report::{
    AdaptiveTrace, AtLook, Comparison, DataSetReport, Family, FamilyKind, LookDecision, Mark,
    Report, Summary, TestName,
};
use sweep_core::analysis::{Correction, Test};

/// The first line over a data set's comparisons: data set, images, reference, seeds, tests, correction.
pub fn dataset_line(report: &Report, dataset: &DataSetReport) -> String {
    let line = format!(
        "{}, {}",
        dataset.name,
        format::count(u64::from(dataset.n_val), "validation image", "validation images")
    );
    match &dataset.family {
        Some(family) => format!("{line}, {}", family_words(report, family)),
        None => line,
    }
}

/// The first line over the comparisons on confirmation seeds; `None` without any.
pub(crate) fn confirmation_line(report: &Report, dataset: &DataSetReport) -> Option<String> {
    let family = dataset.confirmation.as_ref()?.family.as_ref()?;
    Some(format!(
        "{}, confirmation of what is left, {}",
        dataset.name,
        family_words(report, family)
    ))
}

fn family_words(report: &Report, family: &Family) -> String {
    let chosen_on = if family.kind == FamilyKind::Confirmation { "other" } else { "the same" };
    let against = match &family.baseline {
        Some(choice) if choice.chosen_from > 1 => format!(
            "against {}, the best of {} {} configurations, chosen on {chosen_on} seeds",
            choice.label,
            choice.chosen_from,
            report.sweep.baseline.as_deref().unwrap_or("baseline")
        ),
        Some(choice) => format!("against {}", choice.label),
        None => "each against each".to_owned(),
    };
    format!("{against} ({})", method(report, family))
}

/// Seeds, tests and correction of comparisons.
pub(crate) fn method(report: &Report, family: &Family) -> String {
    let confirms = family.kind == FamilyKind::Confirmation;
    let most = family.comparisons.iter().map(|c| c.pairs.len()).max().unwrap_or(0);
    let least = family.comparisons.iter().map(|c| c.pairs.len()).min().unwrap_or(0);
    let seeds = if least == most { format!("{most}") } else { format!("{least}–{most}") };
    let seeds = format!(
        "{seeds} paired {}{}",
        if confirms { "confirmation " } else { "" },
        if most == 1 { "seed" } else { "seeds" }
    );
    if !report.finished() {
        return format!(
            "{seeds}; {} of {} runs: estimates only, no test before all {}",
            ended(report),
            report.progress.total,
            if report.adaptive.is_empty() { "have ended" } else { "and the last look have ended" }
        );
    }
    if !report.adaptive.is_empty() && !confirms {
        return format!(
            "{seeds}, given out by looks at the results and so without p values; on these images {}, beyond them crossed seeds × images without a verdict",
            t_interval(report)
        );
    }
    format!(
        "{seeds}; {} on these images, crossed seeds × images beyond them; {} over {}",
        test_words(report.sweep.analysis.test),
        correction_name(report.sweep.analysis.correction),
        family.m
    )
}

/// "95 % t interval"; where looks gave out the seeds, that of the look.
pub(crate) fn t_interval(report: &Report) -> String {
    let conf = format::short(report.sweep.analysis.confidence * 100.0, 1);
    let mut looks =
        report.datasets.iter().flat_map(|d| &d.summaries).filter_map(|s| s.look.as_ref());
    if report.adaptive.is_empty() {
        format!("{conf} % t interval")
    } else if looks.any(|look| look.confidence.is_none()) {
        "t interval (none holds where the rule looks at any time)".to_owned()
    } else if report.finished() {
        "t interval of the look that ended the seeds".to_owned()
    } else {
        format!("{conf} % t interval, or that of the look that ended the seeds,")
    }
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
        TestName::EProcess => "sign-flip e-process",
    }
}

pub(crate) fn correction_name(correction: Correction) -> &'static str {
    match correction {
        Correction::Holm => "Holm",
        Correction::Bonferroni => "Bonferroni",
    }
}

/// The verdict with its marks in brackets; pairs that were dropped; a dash while runs are missing.
pub fn verdict_cell(c: &Comparison, _dataset: &DataSetReport) -> String {
    verdict_words(c)
}

/// See [`verdict_cell`].
pub fn verdict_words(c: &Comparison) -> String {
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
pub fn best_set_line(dataset: &DataSetReport) -> Option<String> {
    let best = dataset.best_set.as_ref()?;
    let mut line =
        format!("not distinguishable from the best on these images: {}", best.labels.join(", "));
    line.push_str(&format!(
        " ({} of {} {} by one-sided {} at {}{}",
        best.excluded,
        best.k,
        if best.by_looks { "dropped" } else { "excluded" },
        test_name_words(best.test),
        level(best.level),
        if best.by_looks { " over all looks" } else { "" }
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
    if let Some(AtLook { look, decision: Some(LookDecision::Dropped), .. }) = s.look {
        words.push(format!("dropped at look {look}"));
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

/// `p 0.012`, or `1/e 0.012` where the evidence is an e-process.
pub(crate) fn evidence(test: TestName, p: f64) -> String {
    let name = if test == TestName::EProcess { "1/e" } else { "p" };
    format!("{name} {}", format::p_value(p))
}

/// "15 runs fewer than with 30 seeds for everybody".
pub(crate) fn runs_saved(trace: &AdaptiveTrace) -> String {
    format!(
        "{} fewer than with {} for everybody",
        format::count(u64::from(trace.runs_saved), "run", "runs"),
        format::count(u64::from(trace.looks.last().copied().unwrap_or(0)), "seed", "seeds")
    )
}

/// A fragment that starts with an ordinary word, as the start of a sentence.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", chars.as_str())
}

/// "stopped at look 3: one configuration is left", or that a look is still to come.
pub(crate) fn looks_ended(report: &Report, trace: &AdaptiveTrace) -> String {
    match &trace.stopped {
        Some(ended) => format!("stopped at look {}: {}", ended.look, ended.because),
        None if report.sweep.stopped_early => "ended by a person before its last look".to_owned(),
        None => "the next look is still to come".to_owned(),
    }
}

/// How an adaptive rule ended on a data set; `None` without one.
pub fn trace_line(report: &Report, dataset: &DataSetReport) -> Option<String> {
    let trace = report.adaptive.iter().find(|t| t.dataset == dataset.name)?;
    let dropped = trace.rows.iter().filter(|r| r.dropped.is_some()).count();
    Some(format!(
        "seeds by the declared rule ({}): {dropped} of {} dropped, {} saved; {}",
        trace.rule,
        trace.rows.len(),
        format::count(u64::from(trace.runs_saved), "run", "runs"),
        looks_ended(report, trace)
    ))
}
