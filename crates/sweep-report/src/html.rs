//! The report as one HTML file: no script, nothing fetched, readable on a phone, in the dark and on paper.
//!
//! Verdicts first, then each data set with its figures and tables, then failures, method and how to reproduce. Words come from
//! `phrases`, figures from [`crate::plot`]; nothing is computed here.

mod across;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::beside::{self, comparison_label};
use crate::format::{self, NONE};
use crate::grid::{self, Grid, MOST_ROWS};
use crate::phrases;
use crate::plot::{self, Figure, FigureKind};
use crate::report::{Comparison, DataSetReport, Family, HeadlineKind, Report, Summary};

/// The page.
pub fn page(report: &Report) -> String {
    page_with(report, &plot::figures(report))
}

pub(crate) fn page_with(report: &Report, figures: &[Figure]) -> String {
    let title = format!("{} · sweep report", report.sweep.name);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(include_str!("report.css"))) (PreEscaped(plot::STYLE)) }
            }
            body {
                a.skip href="#verdicts" { "Skip to the verdicts" }
                header { (head(report)) }
                (contents(report))
                main {
                    (verdicts(report))
                    @for (index, dataset) in report.datasets.iter().enumerate() {
                        (dataset_section(report, dataset, figures.iter().filter(|f| f.dataset == Some(index))))
                    }
                    (across::section(report, figures))
                    (failures(report))
                    (method(report))
                    (reproduce(report))
                }
                footer { p { "Made by sweep " (report.sweep.version) ". Sweep id " code { (report.sweep.id) } "." } }
            }
        }
    }
    .into_string()
}

fn head(report: &Report) -> Markup {
    let p = &report.progress;
    html! {
        p.kicker { "sweep report" }
        h1 { (report.sweep.name) }
        @if !report.sweep.description.is_empty() { p.lead { (report.sweep.description) } }
        dl.facts {
            div { dt { "Data sets" } dd { (report.datasets.len()) } }
            div { dt { "Configurations" } dd { (report.candidates.len()) } }
            div { dt { "Seeds" } dd { (seeds(report)) } }
            div { dt { "Runs" } dd {
                @if report.finished() { (p.total) } @else { (phrases::ended(report)) " of " (p.total) }
            } }
            div { dt { "Failed" } dd { (p.failed) } }
            @if p.diverged > 0 { div { dt { "Diverged" } dd { (p.diverged) } } }
            @if report.timing.seconds > 0.0 { div { dt { "Training time" } dd { (format::duration(report.timing.seconds)) } } }
        }
        @if !report.notes.is_empty() {
            ul.notes { @for note in &report.notes { li { (capital(&note.text)) } } }
        }
    }
}

/// "10"; where looks gave them out, "5–30, 10 to confirm".
fn seeds(report: &Report) -> String {
    let rows = || report.adaptive.iter().flat_map(|t| &t.rows).map(|r| r.seeds);
    let (Some(least), Some(most)) = (rows().min(), rows().max()) else {
        return report.sweep.seeds.len().to_string();
    };
    let given = if least == most { most.to_string() } else { format!("{least}–{most}") };
    match report.adaptive.iter().map(|t| t.confirmation_seeds).max() {
        Some(n) if n > 0 => format!("{given}, {n} to confirm"),
        _ => given,
    }
}

fn contents(report: &Report) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                li { a href="#verdicts" { "Verdicts" } }
                @for d in &report.datasets { li { a href={ "#" (anchor(d)) } { (d.name) } } }
                @if report.across.is_some() || report.ranks.is_some() { li { a href="#across" { "Across data sets" } } }
                @if !report.failures.is_empty() { li { a href="#failures" { "Failures" } } }
                li { a href="#method" { "How to read this" } }
                li { a href="#reproduce" { "Reproduce" } }
            }
        }
    }
}

fn anchor(d: &DataSetReport) -> String {
    format!("data-{}", d.name)
}

/// Only what may be said, one line per comparison.
fn verdicts(report: &Report) -> Markup {
    html! {
        section id="verdicts" {
            h2 { "Verdicts" }
            @for d in &report.datasets {
                div.verdict-block {
                    h3 { a href={ "#" (anchor(d)) } { (d.name) } }
                    @match &d.family {
                        Some(family) => {
                            p.quiet { (sentence(&phrases::dataset_line(report, d))) }
                            (verdict_list(d, family))
                        }
                        None => { p.quiet { "Nothing is compared here: there is no baseline, or fewer than two configurations." } }
                    }
                    @if let Some(line) = phrases::best_set_line(d) { p.best { (capital(&line)) } }
                    @if let Some(line) = phrases::trace_line(report, d) { p.quiet { (capital(&line)) } }
                    @if let (Some(family), Some(line)) = (confirmed(d), phrases::confirmation_line(report, d)) {
                        p.quiet { (sentence(&line)) }
                        (verdict_list(d, family))
                    }
                    @for note in &d.notes { p.note { (capital(&note.text)) } }
                }
            }
        }
    }
}

fn verdict_list(d: &DataSetReport, family: &Family) -> Markup {
    html! {
        ul.verdicts {
            @for c in family.comparisons.iter().take(MOST_ROWS) {
                li {
                    (badge(c))
                    span.who { (breakable(&comparison_label(c, family))) }
                    span.diff { (difference(c)) }
                    span.what { (phrases::verdict_cell(c, d)) }
                }
            }
        }
        (left_out(family))
    }
}

/// Comparisons on confirmation seeds.
fn confirmed(d: &DataSetReport) -> Option<&Family> {
    d.confirmation.as_ref()?.family.as_ref()
}

fn left_out(family: &Family) -> Markup {
    let rest = grid::left_out(family.comparisons.len(), "comparisons.csv");
    html! { @if let Some(rest) = rest { p.quiet { (grid::left_out_words(rest)) "." } } }
}

fn difference(c: &Comparison) -> String {
    c.estimate.map_or_else(|| NONE.to_owned(), |e| format!("{} pp", format::points(e)))
}

/// A sign beside the colour: meaning never hangs on colour alone.
pub fn badge(c: &Comparison) -> Markup {
    let (class, sign, words) = match c.headline.as_ref().map(|h| h.kind) {
        Some(HeadlineKind::Better) => ("up", "▲", "better"),
        Some(HeadlineKind::BetterQualified) => ("up half", "△", "better, with a qualification"),
        Some(HeadlineKind::Worse) => ("down", "▼", "worse"),
        Some(HeadlineKind::WorseQualified) => ("down half", "▽", "worse, with a qualification"),
        Some(HeadlineKind::Equivalent) => ("same", "≈", "equivalent"),
        Some(HeadlineKind::Unresolved) => ("open", "?", "unresolved"),
        Some(HeadlineKind::Untestable) => ("open", "·", "untestable"),
        None => ("open", "…", "not all runs have ended"),
    };
    html! { span class={ "badge " (class) } role="img" aria-label=(words) title=(words) { (sign) } }
}

fn dataset_section<'a>(
    report: &Report,
    d: &DataSetReport,
    figures: impl Iterator<Item = &'a Figure>,
) -> Markup {
    let figures: Vec<&Figure> = figures.collect();
    let of = |kinds: &[FigureKind]| -> Vec<&Figure> {
        figures.iter().copied().filter(|f| kinds.contains(&f.kind)).collect()
    };
    html! {
        section id=(anchor(d)) {
            h2 { (d.title) }
            dl.facts {
                div { dt { "Training images" } dd { (d.n_train) } }
                div { dt { "Validation images" } dd { (d.n_val) } }
                div { dt { "Classes" } dd { (d.classes.len()) } }
                div { dt { "One image" } dd { (format::short(100.0 / f64::from(d.n_val.max(1)), 2)) " pp" } }
                div { dt { "Counts as equivalent" } dd { "±" (format::short(d.rope * 100.0, 2)) " pp" } }
            }
            @if let Some(family) = &d.family { (comparison_table(&phrases::dataset_line(report, d), d, family)) }
            @if let (Some(family), Some(line)) = (confirmed(d), phrases::confirmation_line(report, d)) {
                (comparison_table(&line, d, family))
            }
            @for f in of(&[FigureKind::Differences, FigureKind::Intervals, FigureKind::HeatMap, FigureKind::Parallel]) { (figure(f)) }
            (summary_table(report, d))
            @if let Some(confirmation) = &d.confirmation { (confirmation_table(report, d, &confirmation.summaries)) }
            @for f in of(&[FigureKind::Variance, FigureKind::Trace]) { (figure(f)) }
            @for f in of(&[FigureKind::Accuracy, FigureKind::Objective]) { (figure(f)) }
            @for (family, suffix) in d.family.iter().map(|f| (f, "")).chain(confirmed(d).map(|f| (f, "-confirmation"))) {
                (folded(&of_which("Other tests and effect sizes", suffix), beside::sensitivity(d, family, suffix)))
                (folded(&of_which("Where the uncertainty comes from: seeds, images, the rest", suffix), beside::variance(d, family, suffix)))
            }
            (folded("How the seeds were given out", report.adaptive.iter().find(|t| t.dataset == d.name).map(|t| beside::looks(report, t))))
        }
    }
}

fn of_which(words: &str, suffix: &str) -> String {
    if suffix.is_empty() { words.to_owned() } else { format!("{words}, on confirmation seeds") }
}

fn figure(f: &Figure) -> Markup {
    html! {
        figure id={ "figure-" (f.name) } {
            (scroll(&f.title, html! { (PreEscaped(f.inline())) }))
            figcaption { strong { (sentence(&f.title)) } " " (f.caption) }
        }
    }
}

fn comparison_table(line: &str, d: &DataSetReport, family: &Family) -> Markup {
    scroll(
        &format!("{}: comparisons", d.name),
        html! {
            table {
                caption { span { (sentence(line)) } }
                thead {
                    tr {
                        th scope="col" rowspan="2" { "Configuration" }
                        th scope="col" rowspan="2" .number { "Difference" }
                        th scope="colgroup" colspan="2" { "On these images (E1)" }
                        th scope="colgroup" colspan="2" { "On images like these (E2)" }
                        th scope="col" rowspan="2" .number { "Pairs" }
                        th scope="col" rowspan="2" { "Verdict" }
                    }
                    tr { th scope="col" { "interval, pp" } th scope="col" .number { "p, adjusted" } th scope="col" { "interval, pp" } th scope="col" .number { "p, adjusted" } }
                }
                tbody {
                    @for c in family.comparisons.iter().take(MOST_ROWS) {
                        tr {
                            th scope="row" { (breakable(&comparison_label(c, family))) }
                            td.number { (difference(c)) }
                            td { (format::points_interval(c.on_these.interval)) }
                            td.number { (p(c.on_these.p_adjusted)) }
                            td { (format::points_interval(c.beyond.interval)) }
                            td.number { (p(c.beyond.p_adjusted)) }
                            td.number { (c.pairs.len()) }
                            td.verdict { (badge(c)) " " (phrases::verdict_cell(c, d)) }
                        }
                    }
                }
            }
            (left_out(family))
        },
    )
}

fn summary_table(report: &Report, d: &DataSetReport) -> Markup {
    let conf = format::short(report.sweep.analysis.confidence * 100.0, 1);
    let intervals = if report.adaptive.is_empty() {
        format!("{conf} % intervals")
    } else {
        format!("on these images {}, on images like these {conf} %", phrases::t_interval(report))
    };
    let caption = format!(
        "Validation accuracy in percent, in the order of the sweep file; {intervals}. ● marks the best set."
    );
    accuracies(&caption, d, &d.summaries)
}

fn confirmation_table(report: &Report, d: &DataSetReport, summaries: &[Summary]) -> Markup {
    let conf = format::short(report.sweep.analysis.confidence * 100.0, 1);
    let caption = format!(
        "Validation accuracy in percent over confirmation seeds, never used for choosing; {conf} % intervals."
    );
    accuracies(&caption, d, summaries)
}

fn accuracies(caption: &str, d: &DataSetReport, summaries: &[Summary]) -> Markup {
    let in_best =
        |s: &Summary| d.best_set.as_ref().is_some_and(|b| b.members.contains(&s.candidate));
    scroll(
        &format!("{}: accuracies", d.name),
        html! {
            table {
                caption { span { (caption) } }
                thead { tr {
                    th scope="col" { "Configuration" } th scope="col" .number { "Seeds" } th scope="col" .number { "Mean" }
                    th scope="col" { "On these images" } th scope="col" { "On images like these" }
                    th scope="col" .number { "sd" } th scope="col" .number { "Median" } th scope="col" .number { "Balanced" }
                    th scope="col" { "Bootstrap check" } th scope="col" .number { "Images right" } th scope="col" { "Runs" }
                } }
                tbody {
                    @for s in summaries {
                        tr {
                            th scope="row" { @if in_best(s) { span.mark role="img" aria-label="in the best set" title="in the best set" { "●" } " " } (breakable(&s.label)) }
                            td.number { (s.n) "/" (s.planned) }
                            td.number { (format::percent_or_dash(s.mean)) }
                            td { (format::percent_interval(s.on_these)) }
                            td { (format::percent_interval(s.beyond)) @if s.beyond_method == Some(crate::report::BeyondMethod::Wilson) { " (Wilson)" } }
                            td.number { (format::percent_or_dash(s.sd)) }
                            td.number { (format::percent_or_dash(s.median)) }
                            td.number { (format::percent_or_dash(s.balanced_accuracy)) }
                            td { (bootstrap(s)) }
                            td.number { (images_right(s)) }
                            td.states { (phrases::state_words(s)) }
                        }
                    }
                }
            }
        },
    )
}

/// The bootstrap interval; greyed where it is known to be too narrow.
fn bootstrap(s: &Summary) -> Markup {
    html! {
        @match s.bootstrap {
            Some(b) if b.under_covers => span.grey { (format::percent_interval(Some(b.interval))) br; "under-covers" },
            Some(b) => { (format::percent_interval(Some(b.interval))) @if !b.bca { " (percentile)" } },
            None => (NONE),
        }
    }
}

/// Counts beside percentages: the range over seeds, out of the images.
fn images_right(s: &Summary) -> String {
    let counts = || s.values.iter().map(|v| v.correct);
    match (counts().min(), counts().max()) {
        (Some(low), Some(high)) if low == high => format!("{low} of {}", s.n_val),
        (Some(low), Some(high)) => format!("{low}–{high} of {}", s.n_val),
        _ => NONE.to_owned(),
    }
}

/// A table of the renderers' common kind.
fn grid_table(grid: &Grid) -> Markup {
    scroll(
        &grid.title,
        html! {
            table {
                caption { span { strong { (sentence(&grid.title)) } " " (sentence(&grid.caption)) } }
                thead { tr {
                    @for c in &grid.columns { th scope="col" .number[c.number] { (capital_word(c.title)) } }
                } }
                tbody {
                    @for row in &grid.rows {
                        tr {
                            @for (i, (cell, column)) in row.iter().zip(&grid.columns).enumerate() {
                                @if i == 0 { th scope="row" { (breakable(cell)) } }
                                @else { td .number[column.number] { (cell) } }
                            }
                        }
                    }
                }
            }
            @if let Some(left_out) = grid.left_out { p.quiet { (grid::left_out_words(left_out)) "." } }
        },
    )
}

/// A table behind a heading to open.
fn folded(words: &str, table: Option<Grid>) -> Markup {
    html! { @if let Some(grid) = table { details { summary { (words) } (grid_table(&grid)) } } }
}

/// What is wider than a phone scrolls by itself, also from the keyboard.
fn scroll(name: &str, inner: Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(name) { (inner) } }
}

/// A label that may be broken where its settings are, not within a word.
pub fn breakable(label: &str) -> Markup {
    let parts: Vec<&str> = label.split_inclusive(['(', ',', '/']).collect();
    html! { @for (i, part) in parts.iter().enumerate() { @if i > 0 { wbr; } (part) } }
}

/// A heading of a column: a capital unless it starts with a symbol.
fn capital_word(text: &str) -> String {
    let symbol = text.chars().nth(1).is_none_or(|c| c == ',' || c == ' ');
    if symbol { text.to_owned() } else { phrases::capital(text) }
}

fn failures(report: &Report) -> Markup {
    html! {
        @if !report.failures.is_empty() {
            section id="failures" {
                h2 { "Failures" }
                p { "These runs have no result. Their pairs are left out, and a comparison that lost more runs on one side than on the other is marked censored." }
                (scroll("Failed runs", html! {
                    table {
                        thead { tr { th scope="col" { "Run" } th scope="col" { "Data set" } th scope="col" { "Configuration" } th scope="col" .number { "Seed" } th scope="col" { "Message" } } }
                        tbody {
                            @for f in &report.failures {
                                tr {
                                    td { code { (f.run) } }
                                    td { (f.dataset) }
                                    td { (breakable(&f.label)) }
                                    td.number { (f.seed) }
                                    td.message { (f.error.as_deref().unwrap_or("no message")) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

fn method(report: &Report) -> Markup {
    let a = &report.sweep.analysis;
    let conf = format::short(a.confidence * 100.0, 1);
    html! {
        section id="method" {
            h2 { "How to read this" }
            dl.words {
                dt { "On these images (E1)" }
                dd { "The mean over training randomness with the split and its images fixed. Seeds are paired: the same seed gives every loss the same starting weights, batch order and augmentation. Test: " (phrases::test_words(a.test)) "; interval: paired t, " (conf) " %." }
                dt { "On images like these (E2)" }
                dd { "Over seeds and over the population the images come from. All seeds meet the same images, so seeds × images are crossed: a two-way t, " (conf) " %. An unqualified “better” needs both." }
                dt { "p" }
                dd { "Two-sided, corrected by " (phrases::correction_name(a.correction)) " over the comparisons of a data set, each estimand by itself; level " (format::short(a.alpha, 4)) "." }
                dt { "better, worse" }
                dd { "The p value is at most the level and the interval excludes 0. “Negligible”: the whole interval counts as equivalent. “Size unresolved”: the estimate is smaller than what counts as equivalent, the interval reaches further." }
                dt { "equivalent" }
                dd { "Two one-sided tests place the difference within the band that counts as equivalent. A large p alone never shows that." }
                dt { "unresolved" }
                dd { "None of these. The numbers of seeds are for 80 % power; from fewer than 10 pairs they are planned with the upper 80 % limit of the standard deviation." }
                dt { "cannot be resolved by seeds" }
                dd { "The part of the uncertainty that comes from the images alone is larger than the difference asked for: only more images help." }
                @if !report.adaptive.is_empty() {
                    dt { "stopped at look …" }
                    dd { "Seeds were given out by a declared rule that looked at the results. Of these comparisons there is no p value; the interval on these images is that of the look that ended the comparison and holds over all its looks, but not over all comparisons at once. “Dropped”: the rule itself decided. Only comparisons on confirmation seeds, which never chose, may be unqualified." }
                }
                dt { "not distinguishable from the best" }
                dd { "A configuration leaves this set only when another beats it one-sided at the level divided by the number of its rivals. The true best stays in with the sweep's confidence." }
            }
        }
    }
}

fn reproduce(report: &Report) -> Markup {
    let s = &report.sweep;
    html! {
        section id="reproduce" {
            h2 { "Reproduce" }
            p { "Same file, same data, same program: the same runs, bit for bit on a CPU. Runs that are known are not trained again." }
            pre { code { "sweep run " (shell(&s.file)) } }
            dl.words {
                dt { "Sweep" } dd { code { (s.id) } }
                dt { "Analysis" } dd { code { (s.analysis_digest) } @if s.post_hoc { " (at submission: " code { (s.analysis_at_submit) } ")" } }
                @for d in &report.datasets {
                    dt { (d.name) }
                    dd { "content " code { (d.content) } br; "split " code { (d.split) } }
                }
            }
            p.quiet { "Beside this page: report.json (every count, interval, p value and digest), runs.csv, epochs.csv, summaries.csv, comparisons.csv" @if !report.adaptive.is_empty() { ", adaptive.csv" } @if report.across.is_some() { ", across.csv" } @if report.ranks.is_some() { ", ranks.csv" } ", tables.tex, report.md, figures/." }
            @if !s.text.is_empty() {
                details open { summary { (s.file) } pre { code { (s.text) } } }
            }
        }
    }
}

/// The file name as a shell takes it.
fn shell(file: &str) -> String {
    let plain = !file.is_empty()
        && file.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+@%:,".contains(c));
    if plain { file.to_owned() } else { format!("'{}'", file.replace('\'', "'\\''")) }
}

fn p(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), format::p_value)
}

/// A fragment with a full stop; it may start with a name, which keeps its case.
fn sentence(text: &str) -> String {
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{text}{stop}")
}

/// A fragment that starts with an ordinary word, as a sentence.
fn capital(text: &str) -> String {
    sentence(&phrases::capital(text))
}
