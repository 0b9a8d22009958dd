//! `/workers`: who trains what, how fast, when it was heard last; and the button that sends a worker home.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use futures_util::{StreamExt, stream};
use maud::{Markup, html};
use serde::Deserialize;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{SweepId, Timestamp};
use sweep_core::lifecycle::Phase;
use sweep_core::sweep::Sweep;
use sweep_report::format::{percent, short};
use sweep_store::{AttemptEnding, Command, Now, Reads, RunDetail, Store, WorkerStatus};

use super::frame::{Frame, Here, Page, scroll};
use super::run::{device, label, speed, sweep_of, took};
use super::session::{Posted, Viewer, see_other};
use super::words;
use crate::service::app::App;
use crate::service::extract::{Asked, Named};
use crate::service::problem::{Kind, Problem, cut};

/// Seconds after which the page is read again.
const REFRESH: u32 = 3;
/// Slots of a page.
const PAGE: usize = 50;
/// Runs read at a time.
const AT_ONCE: usize = 8;
/// A slot that was not heard for so long has missed its beats, milliseconds.
const SILENT: i64 = 60_000;

/// Which page.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkersQuery {
    /// From 1.
    page: Option<usize>,
}

/// What a slot is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Training,
    Idle,
    Draining,
    Silent,
}

impl Doing {
    fn of(slot: &WorkerStatus, now: Timestamp) -> Self {
        if now.0 - slot.seen.0 > SILENT {
            Self::Silent
        } else if slot.drain {
            Self::Draining
        } else if slot.run.is_some() {
            Self::Training
        } else {
            Self::Idle
        }
    }

    fn badge(self) -> Markup {
        let (class, sign, words) = match self {
            Self::Training => ("running", "▶", "training"),
            Self::Idle => ("waiting", "·", "idle"),
            Self::Draining => ("paused", "‖", "draining"),
            Self::Silent => ("failed", "!", "silent"),
        };
        html! { span class={ "state s-" (class) } { span aria-hidden="true" { (sign) } " " (words) } }
    }
}

/// A slot with the run it holds.
struct Seen {
    slot: WorkerStatus,
    run: Option<RunDetail>,
    label: String,
    info: Option<DataSetInfo>,
}

/// The page.
pub(crate) async fn get(
    State(app): State<App>,
    viewer: Viewer,
    Asked(asked): Asked<WorkersQuery>,
) -> Result<Page, Problem> {
    let mut slots = app.store.workers().await?;
    slots.sort_by(|a, b| a.holder.cmp(&b.holder));
    let now = words::now();
    let count = |doing: Doing| slots.iter().filter(|slot| Doing::of(slot, now) == doing).count();
    let totals = [Doing::Training, Doing::Idle, Doing::Draining, Doing::Silent]
        .map(|doing| (doing, count(doing)));
    let (all, pages) = (slots.len(), slots.len().div_ceil(PAGE).max(1));
    let page = asked.page.unwrap_or(1).clamp(1, pages);
    let shown: Vec<WorkerStatus> = slots.into_iter().skip((page - 1) * PAGE).take(PAGE).collect();
    let seen = read(&app, shown).await?;
    let frame = Frame { refresh: Some(REFRESH), ..Frame::still("Workers", &viewer, Here::Workers) };
    Ok(frame.page(html! {
        h1 { "Workers" }
        div id="workers" data-part {
            @if all == 0 {
                p.lead { "No worker was heard of in the last hour. " code { "sweep worker --store URL" } " starts one." }
            } @else {
                dl.facts {
                    @for (doing, slots) in totals { div { dt { (doing.badge()) } dd { (slots) @if slots == 1 { " slot" } @else { " slots" } } } }
                }
                (table(&seen, &viewer, now))
                p.quiet {
                    (all) " slots heard of in the last hour"
                    @if pages > 1 {
                        ", page " (page) " of " (pages)
                        @if page > 1 { " · " a rel="prev" href={ "/workers?page=" (page - 1) } { "before" } }
                        @if page < pages { " · " a rel="next" href={ "/workers?page=" (page + 1) } { "next" } }
                    }
                    ". A slot is silent when it was not heard for a minute; its lease then runs out and its run is given to another."
                }
            }
        }
    }))
}

/// The runs in hand, and their data sets.
async fn read(app: &App, slots: Vec<WorkerStatus>) -> Result<Vec<Seen>, Problem> {
    let reading = stream::iter(slots).map(async |slot| {
        let run = match &slot.run {
            Some(run) => app.store.run(run).await?,
            None => None,
        };
        Ok::<_, Problem>(Seen { slot, run, label: String::new(), info: None })
    });
    let mut seen: Vec<Seen> = Vec::new();
    let mut reading = std::pin::pin!(reading.buffered(AT_ONCE));
    while let Some(one) = reading.next().await {
        seen.push(one?);
    }
    let mut sets: HashMap<SweepId, (Vec<DataSetInfo>, Option<Sweep>)> = HashMap::new();
    for one in &mut seen {
        let Some(run) = &one.run else { continue };
        if !sets.contains_key(&run.home) {
            let document = app.store.sweep(&run.home).await?.map(|(_, document)| document);
            let known = document.map(|document| (sweep_of(&document), document.datasets));
            let (file, infos) = known.unwrap_or_default();
            sets.insert(run.home.clone(), (infos, file));
        }
        let home = sets.get(&run.home);
        one.label = label(&run.spec, home.and_then(|(_, file)| file.as_ref()));
        let of = &run.spec.configuration.dataset;
        let mut own = home.into_iter().flat_map(|(infos, _)| infos);
        one.info = own.find(|set| (set.content, set.split) == (of.content, of.split)).cloned();
    }
    Ok(seen)
}

fn table(seen: &[Seen], viewer: &Viewer, now: Timestamp) -> Markup {
    scroll(
        "Workers",
        &html! {
            table data-sortable {
                thead { tr {
                    th scope="col" { "Worker and slot" } th scope="col" { "State" } th scope="col" { "Device" } th scope="col" { "Trains" }
                    th scope="col" .number { "Epoch" } th scope="col" .number { "Validation, %" } th scope="col" .number { "Images/s" } th scope="col" .number { "Heard" }
                    th scope="col" .number title="Times that the lease of the run in hand ran out before" { "Lost before" }
                    @if viewer.may_administer() { th scope="col" data-still { "Steer" } }
                } }
                tbody { @for (at, one) in seen.iter().enumerate() { (row(one, at, seen, viewer, now)) } }
            }
        },
    )
}

fn row(one: &Seen, at: usize, seen: &[Seen], viewer: &Viewer, now: Timestamp) -> Markup {
    let slot = &one.slot;
    // A slot that has just ended a run still names it.
    let run = one.run.as_ref().filter(|run| match &run.state.phase {
        Phase::Leased { holder, .. } => *holder == slot.holder,
        _ => false,
    });
    let epochs =
        run.and_then(|run| run.progress.as_ref()).map(|p| p.epochs.as_slice()).unwrap_or_default();
    let images = one.info.as_ref().and_then(|info| speed(epochs, info));
    let lost = run
        .map(|run| run.attempts.iter().filter(|a| a.ending == Some(AttemptEnding::Lost)).count());
    // One button for a worker: at its first slot here.
    let is_first = at == 0 || seen[at - 1].slot.holder.worker != slot.holder.worker;
    html! {
        tr {
            th scope="row" { (slot.holder) }
            td { (Doing::of(slot, now).badge()) }
            td { (device(slot.device)) }
            td {
                @if let Some(run) = run {
                    a href={ "/runs/" (run.id) } { (run.spec.configuration.dataset.name) " · " (one.label) " · seed " (run.spec.seed) }
                } @else { "—" }
            }
            td.number { @if let Some(run) = run { (epochs.len()) " of " (run.spec.configuration.training.epochs) } @else { "—" } }
            td.number { @if let Some(last) = epochs.last() { (percent(last.val_accuracy)) } @else { "—" } }
            td.number { @if let Some(images) = images { (short(images, 0)) } @else { "—" } }
            td.number data-v=(now.0 - slot.seen.0) { (took((now.0 - slot.seen.0).max(0) as f64 / 1000.0)) " ago" }
            td.number { @if let Some(lost) = lost { (lost) } @else { "—" } }
            @if viewer.may_administer() { td { @if is_first && !slot.drain { (drain_form(slot, viewer)) } } }
        }
    }
}

fn drain_form(slot: &WorkerStatus, viewer: &Viewer) -> Markup {
    let worker = &slot.holder.worker;
    let name: String = url::form_urlencoded::byte_serialize(worker.as_bytes()).collect();
    html! {
        details.sure {
            summary aria-label={ "Drain " (worker) " …" } { "Drain…" }
            form method="post" action={ "/workers/" (name.replace('+', "%20")) "/drain" } {
                (viewer.field())
                button type="submit" aria-label={ "Yes, drain " (worker) } { "Yes: no more runs, hand back what it holds" }
            }
        }
    }
}

/// No more runs for a worker; what it holds is handed back, checkpointed.
pub(crate) async fn drain(
    State(app): State<App>,
    Named(worker): Named<String>,
    _: Posted,
) -> Result<Response, Problem> {
    if !app.store.workers().await?.iter().any(|slot| slot.holder.worker == worker) {
        let text = format!("no worker `{}` was heard of in the last hour", cut(&worker));
        return Err(Problem::new(Kind::UnknownWorker, text));
    }
    app.store.control(Now::Server, &Command::Drain(worker)).await?;
    Ok(see_other("/workers"))
}

#[cfg(test)]
mod tests {
    use sweep_core::lifecycle::Holder;
    use sweep_core::result::DeviceKind;

    use super::*;

    #[test]
    fn a_slot_that_was_not_heard_is_silent_whatever_it_held() {
        let slot = |seen: i64, drain: bool, busy: bool| WorkerStatus {
            holder: Holder { worker: "w".to_owned(), slot: 0 },
            device: DeviceKind::Cpu,
            seen: Timestamp(seen),
            run: busy.then(|| "a".repeat(20).parse().unwrap()),
            drain,
        };
        let now = Timestamp(100_000);
        assert_eq!(Doing::of(&slot(30_000, true, true), now), Doing::Silent);
        assert_eq!(Doing::of(&slot(90_000, true, true), now), Doing::Draining);
        assert_eq!(Doing::of(&slot(90_000, false, true), now), Doing::Training);
        assert_eq!(Doing::of(&slot(90_000, false, false), now), Doing::Idle);
    }
}
