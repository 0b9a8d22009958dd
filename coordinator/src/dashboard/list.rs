//! `/`: all sweeps, newest first, a page at a time, with search and filter.

use axum::extract::State;
use std::sync::Arc;

use maud::{Markup, html};
use serde::Deserialize;
use sweep_core::ids::Timestamp;
use sweep_report::format::{duration, percent};
use sweep_store::{Reads, SweepStatus};

use super::bests::Best;
use super::frame::{Frame, Here, Page, scroll};
use super::session::Viewer;
use super::words::{self, Standing};
use crate::service::app::App;
use crate::service::extract::Asked;
use crate::service::problem::{Problem, cut};

/// Sweeps of a page.
const PAGE: usize = 50;
/// Data sets of a sweep whose best is shown.
const DATASETS: usize = 2;
/// Seconds after which the list is read again.
const REFRESH: u32 = 5;

/// What to show.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Part of a name or the beginning of an id.
    #[serde(default)]
    q: String,
    /// [`Standing::key`], or nothing.
    #[serde(default)]
    state: String,
    /// From 1.
    page: Option<usize>,
}

/// The list.
pub(crate) async fn get(
    State(app): State<App>,
    viewer: Viewer,
    Asked(asked): Asked<ListQuery>,
) -> Result<Page, Problem> {
    let mut sweeps = app.store.sweeps().await?;
    let all = sweeps.len();
    sweeps.retain(|sweep| asked.fits(sweep));
    let frame = Frame { refresh: Some(REFRESH), ..Frame::still("Sweeps", &viewer, Here::Sweeps) };
    let shown = Shown::of(&app, sweeps, all, &asked);
    Ok(frame.page(body(&shown, &asked, &viewer, words::now())))
}

/// A page of the list.
struct Shown {
    sweeps: Vec<(SweepStatus, Option<Arc<Vec<Best>>>)>,
    /// Sweeps that fit.
    fit: usize,
    all: usize,
    page: usize,
    pages: usize,
}

impl Shown {
    fn of(app: &App, fit: Vec<SweepStatus>, all: usize, asked: &ListQuery) -> Self {
        let pages = fit.len().div_ceil(PAGE).max(1);
        let page = asked.page.unwrap_or(1).clamp(1, pages);
        let shown = &fit[(page - 1) * PAGE..fit.len().min(page * PAGE)];
        app.bests.refresh(app, shown);
        let with_best = |sweep: &SweepStatus| (sweep.clone(), app.bests.get(app, &sweep.id));
        Self { sweeps: shown.iter().map(with_best).collect(), fit: fit.len(), all, page, pages }
    }
}

impl ListQuery {
    fn fits(&self, sweep: &SweepStatus) -> bool {
        let text = self.q.trim().to_lowercase();
        (sweep.name.to_lowercase().contains(&text) || sweep.id.as_str().starts_with(&text))
            && (self.state.is_empty() || Standing::of(sweep).key() == self.state)
    }

    /// The address of another page of the same list.
    fn address(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("state", &self.state)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        let query = query.finish();
        if query.is_empty() { "/".to_owned() } else { format!("/?{query}") }
    }
}

fn body(shown: &Shown, asked: &ListQuery, viewer: &Viewer, now: Timestamp) -> Markup {
    let Shown { sweeps, fit, all, page, pages } = shown;
    let (page, pages) = (*page, *pages);
    let back = asked.address(page);
    html! {
        h1 { "Sweeps" }
        form.filter method="get" action="/" role="search" {
            label for="q" { "Name or id" }
            input id="q" name="q" type="search" value=(cut(&asked.q)) maxlength="200" data-key="/";
            label for="state" { "State" }
            select id="state" name="state" {
                option value="" { "all" }
                @for standing in Standing::ALL {
                    option value=(standing.key()) selected[asked.state == standing.key()] { (standing.word()) }
                }
            }
            button type="submit" { "Show" }
        }
        div id="sweeps" data-part {
            @if *all == 0 {
                p.lead { "Nothing was submitted yet. " code { "sweep submit FILE" } " sends a sweep here." }
            } @else if sweeps.is_empty() {
                p.lead { "None of " (all) " sweeps fits. " a href="/" { "Show all" } }
            } @else {
                (scroll("Sweeps", &table(sweeps, viewer, &back, now)))
                p.quiet {
                    (fit) " of " (all) " sweeps"
                    @if pages > 1 {
                        ", page " (page) " of " (pages)
                        @if page > 1 { " · " a rel="prev" href=(asked.address(page - 1)) { "newer" } }
                        @if page < pages { " · " a rel="next" href=(asked.address(page + 1)) { "older" } }
                    }
                }
            }
        }
    }
}

fn table(
    sweeps: &[(SweepStatus, Option<Arc<Vec<Best>>>)],
    viewer: &Viewer,
    back: &str,
    now: Timestamp,
) -> Markup {
    html! {
        table data-sortable {
            thead { tr {
                th scope="col" { "Sweep" } th scope="col" { "State" } th scope="col" { "Progress" }
                th scope="col" .number { "Rate" } th scope="col" .number { "Left" } th scope="col" { "Best so far" }
                th scope="col" .number { "Age" }
                @if viewer.may_steer() { th scope="col" data-still { "Steer" } }
            } }
            tbody {
                @for (sweep, bests) in sweeps { (row(sweep, bests.as_deref().map_or(&[], Vec::as_slice), viewer, back, now)) }
            }
        }
    }
}

fn row(sweep: &SweepStatus, bests: &[Best], viewer: &Viewer, back: &str, now: Timestamp) -> Markup {
    let counts = &sweep.counts;
    let (total, ended) = (counts.total(), counts.total() - counts.unfinished());
    let pace = words::pace(sweep);
    html! {
        tr {
            th scope="row" { a href={ "/sweeps/" (sweep.id) } { (sweep.name) } }
            td { (Standing::of(sweep).badge()) }
            td data-v=(f64::from(ended) / f64::from(total.max(1))) {
                (words::bar(ended.into(), total.into(), &format!("{ended} of {total} runs ended")))
                " " (ended) "/" (total)
                @if counts.failed > 0 { span.down { " · " (counts.failed) " failed" } }
            }
            td.number { @if let Some((rate, _)) = pace { (words::rate(rate)) } @else { "—" } }
            td.number data-v=[pace.map(|(_, left)| left)] { @if let Some((_, left)) = pace { (duration(left)) } @else { "—" } }
            td data-v=[bests.first().map(|best| best.mean)] { (best_of(bests)) }
            td.number data-v=(now.0 - sweep.created.0) title=(words::utc(sweep.created)) { (words::age(sweep.created, now)) }
            @if viewer.may_steer() { td { (steer(sweep, viewer, back)) } }
        }
    }
}

/// The highest mean of the first data sets; no claim that it is the best.
fn best_of(bests: &[Best]) -> Markup {
    html! {
        @if bests.is_empty() { "—" }
        @for (i, best) in bests.iter().take(DATASETS).enumerate() {
            @if i > 0 { br; }
            (percent(best.mean)) @if let Some(interval) = best.interval { " ±" (percent(interval.half_width())) } " % (n=" (best.n) ") "
            span.quiet { (best.label) @if bests.len() > 1 { " on " (best.dataset) } }
        }
        @if bests.len() > DATASETS { br; span.quiet { "and " (bests.len() - DATASETS) " more data sets" } }
    }
}

/// The buttons that make sense now.
pub(crate) fn steer(sweep: &SweepStatus, viewer: &Viewer, back: &str) -> Markup {
    let form = |action: &str, words: &str| {
        html! {
            form method="post" action={ "/sweeps/" (sweep.id) "/" (action) } {
                (viewer.field())
                input type="hidden" name="back" value=(back);
                button type="submit" aria-label={ (words) " " (sweep.name) } { (words) }
            }
        }
    };
    let standing = Standing::of(sweep);
    html! {
        div.steer {
            @match standing {
                Standing::Running | Standing::Waiting => (form("pause", "Pause")),
                Standing::Paused => (form("resume", "Resume")),
                Standing::Cancelled | Standing::Done | Standing::Failed => {}
            }
            @if sweep.counts.failed > 0 && standing != Standing::Cancelled { (form("retry", "Retry failed")) }
            @if matches!(standing, Standing::Running | Standing::Waiting | Standing::Paused) {
                // Two steps without a script: what is given up cannot be taken back by a slip.
                details.sure {
                    summary aria-label={ "Cancel " (sweep.name) " …" } { "Cancel…" }
                    (form("cancel", "Yes, give up its unfinished runs"))
                }
            }
        }
    }
}
