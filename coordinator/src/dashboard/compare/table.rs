//! The comparison as tables: each configuration over its seeds, and its paired difference from the reference.

use maud::{Markup, html};
use sweep_report::format::{p_label, percent, percent_interval, points, points_interval, short};
use sweep_report::report::{Comparison, HeadlineKind};
use sweep_report::verdict_words;

use super::chosen::Done;
use crate::dashboard::frame::scroll;

/// Both tables, and what must be read with them.
pub(super) fn show(done: &Done) -> Markup {
    let confidence = short(done.analysis.confidence * 100.0, 1);
    let reference = done.sides.family.baseline.as_ref().map_or("", |b| b.label.as_str());
    let pending: usize = done.sides.summaries.iter().map(|s| s.pending).sum();
    html! {
        p {
            (done.info.title) ", " (done.info.val_count()) " validation images. Differences from " strong { (reference) }
            ", paired by seed and image; " (confidence) " % intervals, rules of " (done.rules_of) ". "
            "Picked after results were there: every verdict is post hoc."
        }
        @if pending > 0 { p.notes { "Interim: " (pending) " runs have not ended. There is no verdict before they have." } }
        @if !done.notes.is_empty() || !done.info.warnings.is_empty() {
            ul.notes { @for note in done.notes.iter().chain(&done.info.warnings) { li { (note) } } }
        }
        (scroll("Paired differences", &html! {
            table data-sortable id="differences" {
                caption { "Difference in percentage points. On these images: seeds vary. On images like these: seeds and images vary." }
                thead { tr {
                    th scope="col" { "Configuration" } th scope="col" .number { "Shared seeds" } th scope="col" .number { "Difference" }
                    th scope="col" .number { "On these images" } th scope="col" .number { "p, adjusted" }
                    th scope="col" .number { "On images like these" } th scope="col" .number { "p, adjusted" } th scope="col" { "Verdict" }
                } }
                tbody { @for c in &done.sides.family.comparisons { (row(c)) } }
            }
        }))
        (scroll("Each over its seeds", &html! {
            table data-sortable {
                thead { tr {
                    th scope="col" { "Configuration" } th scope="col" .number { "Seeds" } th scope="col" .number { "Mean, %" } th scope="col" .number { "On these images" }
                    th scope="col" .number { "On images like these" } th scope="col" .number { "SD, pp" } th scope="col" .number { "Failed" } th scope="col" .number { "Diverged" }
                } }
                tbody { @for s in &done.sides.summaries { tr {
                    th scope="row" { (s.label) }
                    td.number { (s.n) " of " (s.planned) }
                    td.number { (s.mean.map_or_else(|| "—".to_owned(), percent)) }
                    td.number { (percent_interval(s.on_these)) }
                    td.number { (percent_interval(s.beyond)) }
                    td.number { (s.sd.map_or_else(|| "—".to_owned(), percent)) }
                    td.number { (s.failed) }
                    td.number { (s.diverged) }
                } } }
            }
        }))
    }
}

fn row(c: &Comparison) -> Markup {
    let (class, sign) = match c.headline.as_ref().map(|h| h.kind) {
        Some(HeadlineKind::Better) => ("up", "▲"),
        Some(HeadlineKind::BetterQualified) => ("up", "△"),
        Some(HeadlineKind::Worse) => ("down", "▼"),
        Some(HeadlineKind::WorseQualified) => ("down", "▽"),
        Some(HeadlineKind::Equivalent) => ("same", "≈"),
        Some(HeadlineKind::Unresolved) => ("open", "?"),
        Some(HeadlineKind::Untestable) => ("open", "·"),
        None => ("quiet", "…"),
    };
    html! {
        tr {
            th scope="row" { (c.b_label) }
            td.number { (c.pairs.len()) }
            td.number { (c.estimate.map_or_else(|| "—".to_owned(), points)) }
            td.number { (points_interval(c.on_these.interval)) }
            td.number { (p_label(c.on_these.p_adjusted)) }
            td.number { (points_interval(c.beyond.interval)) }
            td.number { (p_label(c.beyond.p_adjusted)) }
            td.message { span class={ "badge " (class) } aria-hidden="true" { (sign) } " " (verdict_words(c)) }
        }
    }
}
