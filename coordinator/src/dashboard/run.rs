//! `/runs/{run}`: one run: what it was told, how it went, what it got wrong, who trained it.

mod attempts;
mod classes;
mod mistakes;
mod settings;

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use sweep_core::dataset::DataSetInfo;
use sweep_core::result::{EpochMetrics, TrainingEnd};
use sweep_report::format::{duration, percent, short};
use sweep_report::plot::of_run;
use sweep_store::{Reads, RunDetail, SweepStatus};

pub(crate) use self::attempts::device;
pub(crate) use self::settings::{label, sweep_of};
use super::frame::{Frame, Here, Page};
use super::pictures::{Absent, Opened};
use super::session::Viewer;
use super::words;
use crate::service::app::App;
use crate::service::extract::{Asked, Named};
use crate::service::problem::Problem;
use crate::service::runs;

/// Seconds after which a page of a run that has not ended is read again.
const REFRESH: u32 = 2;
/// Sweeps of a run that are named.
const SWEEPS: usize = 20;

/// What to show of the wrong images.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunQuery {
    /// Only images of this class, from 0.
    truth: Option<u32>,
    /// Only images taken for this class, from 0.
    taken: Option<u32>,
    /// Page of the wrong images, from 1.
    page: Option<usize>,
}

/// A run and what stands around it.
struct Seen {
    run: RunDetail,
    sweeps: Vec<SweepStatus>,
    label: String,
    /// Its data set as submitted, unless every sweep of it is gone.
    info: Option<DataSetInfo>,
    pictures: Option<Result<Arc<Opened>, Absent>>,
}

/// The page.
pub(crate) async fn get(
    State(app): State<App>,
    viewer: Viewer,
    Named(run): Named<String>,
    Asked(asked): Asked<RunQuery>,
) -> Result<Page, Problem> {
    let seen = Seen::read(&app, runs::detail(&app, &run).await?).await?;
    let ended = seen.run.state.name().is_terminal();
    let title = format!("{} · seed {}", seen.label, seen.run.spec.seed);
    let refresh = (!ended).then_some(REFRESH);
    let frame = Frame { refresh, ..Frame::still(&title, &viewer, Here::Sweeps) };
    Ok(frame.page(body(&seen, &asked, &title)))
}

impl Seen {
    async fn read(app: &App, run: RunDetail) -> Result<Self, Problem> {
        let of = &run.spec.configuration.dataset;
        let (mut sweeps, mut info, mut file) = (Vec::new(), None, None);
        for sweep in run.sweeps.iter().take(SWEEPS) {
            let Some((status, document)) = app.store.sweep(sweep).await? else { continue };
            if info.is_none() {
                file = sweep_of(&document);
                let mut sets = document.datasets.into_iter();
                info = sets.find(|set| (set.content, set.split) == (of.content, of.split));
            }
            sweeps.push(status);
        }
        let has_wrong = run.result.as_ref().and_then(|result| result.validation.as_ref());
        let has_wrong = has_wrong.is_some_and(|validation| validation.wrong().next().is_some());
        let pictures = if has_wrong { Some(app.pictures.of(app, &run).await) } else { None };
        let label = label(&run.spec, file.as_ref());
        Ok(Self { run, sweeps, label, info, pictures })
    }

    fn epochs(&self) -> &[EpochMetrics] {
        let of_result = self.run.result.as_ref().map(|result| result.epochs.as_slice());
        let so_far = self.run.progress.as_ref().map(|progress| progress.epochs.as_slice());
        of_result.or(so_far).unwrap_or_default()
    }
}

fn body(seen: &Seen, asked: &RunQuery, title: &str) -> Markup {
    let run = &seen.run;
    let validation = run.result.as_ref().and_then(|result| result.validation.as_ref());
    html! {
        nav aria-label="Where this is" {
            p.quiet {
                @for (i, sweep) in seen.sweeps.iter().enumerate() {
                    @if i > 0 { ", " }
                    a href={ "/sweeps/" (sweep.id) } { (sweep.name) }
                }
                @if run.sweeps.len() > seen.sweeps.len() { " and " (run.sweeps.len() - seen.sweeps.len()) " more sweeps" }
                " › run " code { (run.id) }
            }
        }
        h1 { (title) }
        div id="head" data-part { (head(seen)) }
        section aria-labelledby="curves-h" {
            h2 id="curves-h" { "Curves" }
            div id="curves" data-part { (curves(seen.epochs())) }
        }
        @if let (Some(validation), Some(info)) = (validation, &seen.info) {
            section id="classes" aria-labelledby="classes-h" {
                h2 id="classes-h" { "What it takes for what" }
                (classes::show(run, validation, info))
            }
            section id="mistakes" aria-labelledby="mistakes-h" {
                h2 id="mistakes-h" { "Wrong validation images" }
                (mistakes::show(seen, validation, info, asked))
            }
        }
        section aria-labelledby="settings-h" {
            h2 id="settings-h" { "Settings" }
            (settings::table(&run.spec, seen.info.as_ref()))
        }
        section aria-labelledby="attempts-h" {
            h2 id="attempts-h" { "Attempts" }
            div id="attempts" data-part { (attempts::show(run)) }
        }
    }
}

fn head(seen: &Seen) -> Markup {
    let run = &seen.run;
    let training = &run.spec.configuration.training;
    let last = seen.epochs().last();
    let diverged = run.result.as_ref().and_then(|result| match result.end {
        TrainingEnd::Diverged { epoch, step } => Some((epoch, step)),
        TrainingEnd::Completed => None,
    });
    let state = run.state.name();
    html! {
        p { (state_badge(state)) }
        @if let Some((epoch, step)) = diverged {
            p.notes { "Diverged: a loss or gradient was not finite in epoch " (epoch) ", step " (step) ". That is an answer, not a fault." }
        }
        @if let Some(error) = last_error(run) {
            p.wrong { "The last error" } pre tabindex="0" { (error) }
        }
        dl.facts {
            div { dt { "Data set" } dd { (run.spec.configuration.dataset.name) } }
            div { dt { "Seed" } dd { (run.spec.seed) } }
            div { dt { "Epochs" } dd { (seen.epochs().len()) " of " (training.epochs) } }
            @if let Some(last) = last {
                div { dt { "Validation accuracy" } dd { (percent(last.val_accuracy)) " %" } }
                div { dt { "Training accuracy" } dd { (percent(last.train_accuracy)) " %" } }
            }
            @if let Some(result) = &run.result {
                div { dt { "Device" } dd { (attempts::device(result.device)) } }
                div { dt { "Training took" } dd { (took(result.seconds)) } }
            }
            @if let (None, Some(progress)) = (&run.result, &run.progress) {
                div { dt { "Optimizer steps" } dd { (progress.step) } }
                @if let Some(speed) = seen.info.as_ref().and_then(|info| speed(&progress.epochs, info)) {
                    div { dt { "Images per second" } dd { (short(speed, 0)) } }
                }
            }
        }
    }
}

/// What went wrong last, while nothing came of the run.
fn last_error(run: &RunDetail) -> Option<&str> {
    let of_attempts = run.attempts.iter().rev().find_map(|attempt| attempt.error.as_deref());
    run.error.as_deref().or(of_attempts).filter(|_| run.result.is_none())
}

/// A run's state with a sign, in the colours of a sweep's.
pub(crate) fn state_badge(state: sweep_core::lifecycle::StateName) -> Markup {
    use sweep_core::lifecycle::StateName::{Cancelled, Delayed, Failed, Leased, Queued, Succeeded};
    let class = match state {
        Queued | Delayed => "waiting",
        Leased => "running",
        Succeeded => "done",
        Failed => "failed",
        Cancelled => "cancelled",
    };
    html! { span class={ "state s-" (class) } { span aria-hidden="true" { (words::letter(state)) } " " (state) } }
}

/// `0.4 s` below ten seconds, else as reports say it.
pub(crate) fn took(seconds: f64) -> String {
    if seconds < 10.0 { format!("{} s", short(seconds, 1)) } else { duration(seconds) }
}

/// Training images per second in the last epoch, evaluation included.
pub(crate) fn speed(epochs: &[EpochMetrics], info: &DataSetInfo) -> Option<f64> {
    let seconds = epochs.last()?.seconds;
    (seconds > 0.0).then(|| f64::from(info.train_count()) / seconds)
}

fn curves(epochs: &[EpochMetrics]) -> Markup {
    let figures = of_run(epochs);
    html! {
        @if figures.is_empty() {
            p.quiet { "No epoch has ended yet." }
        } @else {
            div.two {
                @for figure in &figures {
                    figure { (PreEscaped(figure.inline())) figcaption { strong { (figure.title) "." } " " (figure.caption) } }
                }
            }
            details { summary { "As a table" } (epoch_table(epochs)) }
        }
    }
}

fn epoch_table(epochs: &[EpochMetrics]) -> Markup {
    let number = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |v| format!("{v:.4}"));
    let has_lambda = epochs.iter().any(|e| e.lambda.is_some());
    super::frame::scroll(
        "Epochs",
        &html! {
            table {
                thead { tr {
                    th scope="col" .number { "Epoch" } th scope="col" .number { "Training objective" } th scope="col" .number { "Training accuracy, %" }
                    th scope="col" .number { "Validation objective" } th scope="col" .number { "Validation accuracy, %" } th scope="col" .number { "Learning rate" }
                    @if has_lambda { th scope="col" .number { "λ" } }
                    th scope="col" .number { "Seconds" }
                } }
                tbody { @for e in epochs { tr {
                    th scope="row" .number { (e.epoch) } td.number { (number(e.train_loss)) } td.number { (percent(e.train_accuracy)) }
                    td.number { (number(e.val_loss)) } td.number { (percent(e.val_accuracy)) } td.number { (format!("{:.3e}", e.learning_rate)) }
                    @if has_lambda { td.number { (e.lambda.map_or_else(|| "—".to_owned(), |l| short(l, 4))) } }
                    td.number { (short(e.seconds, 2)) }
                } } }
            }
        },
    )
}
