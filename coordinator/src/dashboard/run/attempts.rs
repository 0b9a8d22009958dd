//! Who trained the run, when, under which fence, how it ended; the last checkpoint; the ends of the logs.

use maud::{Markup, html};
use sweep_core::lifecycle::Phase;
use sweep_core::result::DeviceKind;
use sweep_store::{AttemptEnding, AttemptRecord, RunDetail};

use super::took;
use crate::dashboard::frame::scroll;
use crate::dashboard::words;

/// A device kind for people.
pub(crate) fn device(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Cpu => "CPU",
        DeviceKind::Cuda => "CUDA",
        DeviceKind::Fake => "none (fake)",
    }
}

fn ending(ending: Option<AttemptEnding>) -> &'static str {
    match ending {
        None => "in training",
        Some(AttemptEnding::Succeeded) => "with a result",
        Some(AttemptEnding::Retry) => "with an error; tried again",
        Some(AttemptEnding::Failed) => "with an error; the run failed",
        Some(AttemptEnding::Yielded) => "handed back on purpose",
        Some(AttemptEnding::Faulted) => "the worker broke",
        Some(AttemptEnding::Cancelled) => "nobody wanted the run any more",
        Some(AttemptEnding::Lost) => "the worker vanished: its lease ran out",
    }
}

/// All attempts, newest first.
pub(super) fn show(run: &RunDetail) -> Markup {
    let tally = &run.state.tally;
    html! {
        @match &run.state.phase {
            Phase::Leased { holder, since, expires, .. } => p {
                "In training on " strong { (holder) } " since " (words::time(*since)) "; its lease runs out "
                @if expires.0 > words::now().0 { "in " (took((expires.0 - words::now().0) as f64 / 1000.0)) " unless it is heard again." } @else { "now." }
            },
            Phase::Delayed { due } => p { "Waits for another try at " (words::time(*due)) "." },
            _ => {}
        }
        dl.facts {
            div { dt { "Attempts" } dd { (tally.attempts) } }
            div { dt { "Errors" } dd { (tally.errors) } }
            div { dt { "Workers lost" } dd { (tally.losses) } }
            div { dt { "Handed back" } dd { (tally.yields) } }
            @if let Some(fence) = tally.fence { div { dt { "Last fence" } dd { (fence) } } }
            @if let Some(checkpoint) = &run.state.checkpoint {
                div { dt { "Checkpoint" } dd {
                    "epoch " (checkpoint.epoch) ", batch " (checkpoint.batch) " · " (format!("{:.1}", checkpoint.bytes as f64 / 1024.0)) " KiB"
                } }
            }
        }
        @if run.attempts.is_empty() { p.quiet { "Nobody has begun it." } } @else { (table(&run.attempts)) }
        @for attempt in run.attempts.iter().rev().filter(|a| !a.log.is_empty() || a.error.is_some()) { (texts(attempt)) }
    }
}

fn table(attempts: &[AttemptRecord]) -> Markup {
    scroll(
        "Attempts",
        &html! {
            table {
                thead { tr {
                    th scope="col" .number { "Attempt" } th scope="col" { "Worker" } th scope="col" { "Device" } th scope="col" .number { "Fence" }
                    th scope="col" { "Began" } th scope="col" .number { "Took" } th scope="col" { "Ended" }
                } }
                tbody { @for attempt in attempts.iter().rev() { tr {
                    th scope="row" .number { (attempt.attempt.0) }
                    td { (attempt.holder) }
                    td { (device(attempt.device)) }
                    td.number { (attempt.fence) }
                    td { (words::time(attempt.started)) }
                    td.number { @if let Some(ended) = attempt.ended { (took((ended.0 - attempt.started.0).max(0) as f64 / 1000.0)) } @else { "—" } }
                    td { (ending(attempt.ending)) }
                } } }
            }
        },
    )
}

fn texts(attempt: &AttemptRecord) -> Markup {
    html! {
        details {
            summary { "Attempt " (attempt.attempt.0) ": " @if attempt.error.is_some() { "error and log" } @else { "end of its log" } }
            @if let Some(error) = &attempt.error { pre tabindex="0" { (error) } }
            @if !attempt.log.is_empty() { pre tabindex="0" { (attempt.log) } }
        }
    }
}
