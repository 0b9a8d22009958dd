//! `/sweeps/{sweep}`: one sweep, whole as served, then kept up to date by [`super::live`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, PreEscaped, html};
use sweep_report::Report;
use sweep_report::plot::{self, FigureKind};
use sweep_report::report::Curves;
use sweep_store::{Command, Now, Reads, Store, SweepStatus};

use super::board::Board;
use super::choice::{Choice, Order};
use super::frame::{Frame, Here, Page};
use super::list::steer;
use super::parts;
use super::session::Viewer;
use super::watch::{Part, Watched};
use super::words::{self, Standing};
use crate::find::find;
use crate::service::app::App;
use crate::service::extract::{Asked, Named};
use crate::service::problem::{Kind, Problem};

/// A small sweep is read in that time, so that its page is whole at once; a large one follows by patches.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Seconds after which a browser without script asks again for a page that is not whole.
const AGAIN: &str = "3";

/// The page.
pub(crate) async fn get(
    State(app): State<App>,
    viewer: Viewer,
    Named(sweep): Named<String>,
    Asked(asked): Asked<Vec<(String, String)>>,
) -> Result<Page, Problem> {
    let choice = Choice::read(asked)?;
    let found = find(&app.store, Some(&sweep)).await?;
    let watched = app.hub.look(&app, &found.id);
    let frame = Frame {
        live: watched.as_ref().map(|_| format!("/sweeps/{}/live", found.id)),
        ..Frame::still(&found.name, &viewer, Here::Sweeps)
    };
    if let Some(watched) = &watched {
        watched.ready(PATIENCE).await;
        if let Some(report) = watched.with(Board::known) {
            count_look(&app, watched, &report).await;
            // What all see is rendered already; the curves of a choice are read from their runs.
            let shown = |id: &str| if choice.is_own(id) { None } else { watched.shown(id) };
            let curves = if shown("curves").is_none() {
                let candidates = parts::curve_candidates(&report, &choice);
                watched.curves(&app, choice.dataset, &candidates).await
            } else {
                Arc::default()
            };
            let body = watched.with(|board| body(board, &report, &curves, &choice, &viewer, shown));
            if let Some(body) = body {
                return Ok(frame.page(body));
            }
        }
    }
    let (status, document) = app
        .store
        .sweep(&found.id)
        .await?
        .ok_or_else(|| Problem::from(crate::ViewError::Unknown(found.id.clone())))?;
    let why = match watched {
        Some(_) => "The results are being read; they appear here by themselves.",
        None => "Too many sweeps are being watched: this page shows counts alone. Reload it later.",
    };
    Ok(frame.page(html! {
        (head(&status, "", &viewer))
        p.lead { (why) }
        noscript { p { a href={ "/sweeps/" (status.id) } { "Reload this page" } " in " (AGAIN) " seconds." } }
        // The script reads the page again when the first patch comes.
        div id="whole" data-own {}
        (reproduce(&status, &document.file, &document.text))
    }))
}

/// Verdicts were shown: seeds added afterwards are marked in later reports. A running sweep shows none, so looking at it does not count.
async fn count_look(app: &App, watched: &Watched, report: &Report) {
    let has_verdicts = report.datasets.iter().any(|d| {
        d.family.as_ref().is_some_and(|f| f.comparisons.iter().any(|c| c.headline.is_some()))
    });
    if !has_verdicts || watched.counted_look.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Err(error) = app.store.control(Now::Server, &Command::Reported(watched.id.clone())).await
    {
        watched.counted_look.store(false, Ordering::Relaxed);
        tracing::warn!(%error, "could not record that verdicts were looked at");
    }
}

fn head(status: &SweepStatus, description: &str, viewer: &Viewer) -> Markup {
    html! {
        h1 { (status.name) }
        @if !description.is_empty() { p.lead { (description) } }
        p id="summary" aria-live="polite" { (parts::summary(status)) }
        div id="progress" { (parts::progress(status)) }
        div id="facts" { (parts::facts(status, words::now())) }
        @if viewer.may_steer() { div id="steer" data-own { (steer(status, viewer, &format!("/sweeps/{}", status.id))) } }
    }
}

/// The elements of the page by id, each in an element of its own.
fn body(
    board: &Board,
    report: &Report,
    curves: &[Curves],
    choice: &Choice,
    viewer: &Viewer,
    shown: impl Fn(&str) -> Option<Arc<str>>,
) -> Markup {
    let part = |id: &str, inner: &dyn Fn() -> Markup| {
        let known = shown(id).map(|markup| PreEscaped(markup.to_string()));
        html! { div id=(id) data-own[choice.is_own(id)] { (known.unwrap_or_else(inner)) } }
    };
    let adaptive = board.sweep.adaptive().is_some();
    html! {
        (head(&board.status, board.sweep.description(), viewer))
        nav aria-label="Contents" {
            ul.contents {
                @for (id, words) in [("leaderboard", "Leaderboard"), ("configurations", "Configurations"), ("heat-maps", "Heat maps"), ("curves-by-epoch", "Curves"),
                                     ("paired", "Differences"), ("settings", "Settings"), ("failed", "Failures"), ("downloads", "Downloads"), ("reproduce", "Reproduce")] {
                    li { a href={ "#" (id) } { (words) } }
                }
            }
        }
        (datasets(board, choice))
        section id="leaderboard" { h2 { "Leaderboard" } (part("board", &|| parts::leaderboard(board, report, choice))) }
        section id="configurations" {
            h2 { "Configurations" }
            form.filter method="get" action={ "/sweeps/" (board.id) "#configurations" } role="search" {
                (parts::kept(choice, &["q", "order", "page"]))
                label for="q" { "Part of a name" } input id="q" name="q" type="search" maxlength="200" value=(choice.filter) data-key="/" data-filter="configurations-table";
                label for="order" { "Order" }
                select id="order" name="order" {
                    option value="file" selected[choice.order == Order::File] { "of the file" }
                    option value="mean" selected[choice.order == Order::Mean] { "highest mean first" }
                }
                button type="submit" { "Show" }
            }
            (part("configs", &|| parts::configurations(board, choice)))
        }
        section id="intervals-section" { h2 { "Accuracies" } (part("intervals", &|| parts::rows_figure(report, choice, FigureKind::Intervals))) }
        section id="heat-maps" { h2 { "Heat maps" } (parts::heat_form(board, choice)) (part("heat", &|| parts::heat(report, choice))) }
        section id="curves-by-epoch" { h2 { "Curves" } (parts::curves_form(board, report, choice)) (part("curves", &|| parts::curves(curves, choice))) }
        section id="paired" { h2 { "Paired differences against the baseline" } (part("differences", &|| parts::rows_figure(report, choice, FigureKind::Differences))) }
        section id="settings" { h2 { "Settings and accuracy" } (part("parallel", &|| parts::parallel(report, choice))) }
        @if adaptive { section id="seeds" { h2 { "How the seeds were given out" } (part("trace", &|| parts::rows_figure(report, choice, FigureKind::Trace))) } }
        section id="failed" { h2 { "Failures" } (part("failures", &|| parts::failures(board))) }
        (downloads(board))
        (reproduce(&board.status, &board.meta.file, &board.meta.text))
    }
}

/// Which data set the figures are of.
fn datasets(board: &Board, choice: &Choice) -> Markup {
    html! {
        @if board.plan.datasets.len() > 1 {
            nav aria-label="Data set" {
                ul.contents {
                    @for (i, dataset) in board.plan.datasets.iter().enumerate() {
                        li { a href=(Choice { dataset: i, ..choice.clone() }.address(board.id.as_str(), "leaderboard")) aria-current=[(i == choice.dataset).then_some("true")] { (dataset.name) } }
                    }
                }
            }
        }
    }
}

fn downloads(board: &Board) -> Markup {
    let report = |format: &str| format!("/api/v1/sweeps/{}/report?format={format}", board.id);
    html! {
        section id="downloads" {
            h2 { "Downloads" }
            p.quiet { "The report is made anew from the results each time. Reading verdicts counts as a look at this sweep." }
            ul.contents {
                @for (format, file) in [("html", "report.html"), ("json", "report.json"), ("markdown", "report.md"), ("latex", "tables.tex"), ("runs_csv", "runs.csv"),
                                        ("epochs_csv", "epochs.csv"), ("summaries_csv", "summaries.csv"), ("comparisons_csv", "comparisons.csv")] {
                    li { a href=(report(format)) download={ (board.status.name) "-" (file) } { (file) } }
                }
                @for (i, dataset) in board.plan.datasets.iter().enumerate() {
                    @for (kind, words) in [("intervals", "accuracies"), ("differences", "differences"), ("heat", "heat map"), ("parallel", "settings")] {
                        li { a href={ "/sweeps/" (board.id) "/figure?kind=" (kind) "&data=" (i) } download={ (board.status.name) "-" (dataset.name) "-" (kind) ".svg" } { (dataset.name) " " (words) ".svg" } }
                    }
                }
            }
        }
    }
}

/// The file as submitted, and how to get the same runs again.
fn reproduce(status: &SweepStatus, file: &str, text: &str) -> Markup {
    let name =
        std::path::Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy());
    html! {
        section id="reproduce" {
            h2 { "Reproduce" }
            p { "Same file, same data, same program: the same runs, bit for bit on a CPU; runs that are known are not trained again." }
            pre { code { "sweep run " (shell(&name)) } }
            p.quiet { "Sweep id " code { (status.id) } ", version " (env!("CARGO_PKG_VERSION")) "." }
            details { summary { (file) ", as submitted" } pre { code { (text) } } }
        }
    }
}

/// The file name as a shell takes it.
fn shell(file: &str) -> String {
    let plain = !file.is_empty()
        && file.chars().all(|c| c.is_ascii_alphanumeric() || "._-/+@%:,".contains(c));
    if plain { file.to_owned() } else { format!("'{}'", file.replace('\'', "'\\''")) }
}

/// A figure as a file.
pub(crate) async fn figure(
    State(app): State<App>,
    Named(sweep): Named<String>,
    Asked(mut asked): Asked<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let kind = asked.iter().position(|(key, _)| key == "kind").map(|at| asked.remove(at).1);
    let choice = Choice::read(asked)?;
    let found = find(&app.store, Some(&sweep)).await?;
    let busy = || Problem::new(Kind::Busy, "the results are being read; try again");
    let watched = app.hub.look(&app, &found.id).ok_or_else(busy)?;
    watched.ready(10 * PATIENCE).await;
    let report = watched.with(Board::known).ok_or_else(busy)?;
    let none = || {
        Problem::new(
            Kind::Route,
            "there is no such figure of this sweep (kinds: intervals, differences, heat, parallel, trace)",
        )
    };
    if choice.dataset >= report.datasets.len() {
        return Err(none());
    }
    count_look(&app, &watched, &report).await;
    let figure = match kind.as_deref() {
        Some("intervals") => plot::figure(&report, choice.dataset, FigureKind::Intervals),
        Some("differences") => plot::figure(&report, choice.dataset, FigureKind::Differences),
        Some("trace") => plot::figure(&report, choice.dataset, FigureKind::Trace),
        Some("heat") => plot::heat_maps(&report, choice.dataset, &choice.heat, 1).pop(),
        Some("parallel") => plot::parallel(&report, choice.dataset),
        _ => None,
    };
    let mut response = figure.ok_or_else(none)?.svg().into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    // It holds its own styles and no scripts; texts of users are escaped in it, and this stands behind that.
    let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    Ok(response)
}

/// What the stream sends: elements by id, those of `changed` configurations, and the figures where `heavy`.
pub(crate) async fn parts(
    app: &App,
    watched: &Arc<Watched>,
    changed: &BTreeSet<u32>,
    heavy: bool,
) -> Vec<(String, Part)> {
    let choice = Choice::of_all();
    let known = watched.with(Board::known);
    let Some(report) = known else { return Vec::new() };
    let curves = if heavy {
        let candidates = parts::curve_candidates(&report, &choice);
        Some(watched.curves(app, choice.dataset, &candidates).await)
    } else {
        None
    };
    let made = watched.with(|board| {
        let mut all: Vec<(String, Part)> = Vec::new();
        let mut add = |id: &str, markup: Markup| {
            all.push((id.to_owned(), Part::Markup(markup.into_string().into())))
        };
        add("summary", parts::summary(&board.status));
        add("progress", parts::progress(&board.status));
        add("board", parts::leaderboard(board, &report, &choice));
        add("failures", parts::failures(board));
        for c in parts::rows(board, &choice).shown {
            if changed.contains(&(c as u32)) {
                add(&format!("c{c}"), parts::row(board, c));
            }
        }
        if heavy {
            add("intervals", parts::rows_figure(&report, &choice, FigureKind::Intervals));
            add("differences", parts::rows_figure(&report, &choice, FigureKind::Differences));
            add("heat", parts::heat(&report, &choice));
            add("parallel", parts::parallel(&report, &choice));
            add("trace", parts::rows_figure(&report, &choice, FigureKind::Trace));
            if let Some(curves) = &curves {
                add("curves", parts::curves(curves, &choice));
            }
        }
        let standing = Standing::of(&board.status).key();
        let token = format!("{standing} {}", board.status.counts.failed > 0);
        all.push(("steer".to_owned(), Part::Own(token)));
        all.push(("configs".to_owned(), Part::Own(board.changes().to_string())));
        // A page that was sent before the sweep was read.
        all.push(("whole".to_owned(), Part::Own(String::new())));
        all
    });
    made.unwrap_or_default()
}
