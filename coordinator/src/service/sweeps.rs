//! Sweeps: the list, one of them, its runs, and what a person commands.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use sweep_core::ids::SweepId;
use sweep_core::lifecycle::StateName;
use sweep_core::sweep::Document;
use sweep_store::{Command, Now, PageCursor, Reads, RunPage, Store, SweepStatus};

use super::app::App;
use super::extract::{self, Asked, Named};
use super::problem::{Kind, Problem, cut};
use super::schema;
use crate::find::find;

/// Entries of a page when the query does not say.
const PAGE: u32 = 100;
/// Entries of a page at most.
const PAGE_MAX: u32 = 1000;
/// Bytes of a body that changes a sweep's place in line.
const CHANGE_MAX: u64 = 4096;

/// The number of entries asked for.
fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    let limit = asked.unwrap_or(PAGE);
    if (1..=PAGE_MAX).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(Kind::Query, format!("`limit` is {limit}, but must be in 1..={PAGE_MAX}")))
}

/// A page of sweeps.
#[derive(Serialize)]
pub(crate) struct SweepsPage {
    sweeps: Vec<SweepStatus>,
    next: Option<PageCursor>,
}

/// Where to begin and how much to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    cursor: Option<String>,
    limit: Option<u32>,
}

/// All sweeps, newest first
#[utoipa::path(get, path = "/api/v1/sweeps", tag = "sweeps",
    params(("cursor" = Option<String>, Query, description = "`next` of the page before"),
           ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default")),
    responses((status = 200, description = "A page of sweeps", body = schema::Sweeps)))]
pub(crate) async fn list(
    State(app): State<App>,
    Asked(asked): Asked<PageQuery>,
) -> Result<Json<SweepsPage>, Problem> {
    let limit = limit(asked.limit)? as usize;
    let mut sweeps = app.store.sweeps().await?;
    sweeps.sort_by(|a, b| (b.created, &a.id).cmp(&(a.created, &b.id)));
    if let Some(cursor) = &asked.cursor {
        let wrong = || {
            Problem::new(Kind::Query, format!("`{}` is not a cursor of this listing", cut(cursor)))
        };
        let (created, id) = cursor.split_once('-').ok_or_else(wrong)?;
        let created: i64 = created.parse().map_err(|_| wrong())?;
        let id: SweepId = id.parse().map_err(|_| wrong())?;
        sweeps.retain(|sweep| (-sweep.created.0, &sweep.id) > (-created, &id));
    }
    let more = sweeps.len() > limit;
    sweeps.truncate(limit);
    let place = |sweep: &SweepStatus| PageCursor(format!("{}-{}", sweep.created.0, sweep.id));
    let next = sweeps.last().filter(|_| more).map(place);
    Ok(Json(SweepsPage { sweeps, next }))
}

/// A sweep with what rebuilds it.
#[derive(Serialize)]
pub(crate) struct SweepDetail {
    #[serde(flatten)]
    status: SweepStatus,
    document: Document,
}

/// One sweep with its file
#[utoipa::path(get, path = "/api/v1/sweeps/{sweep}", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)")),
    responses((status = 200, description = "The sweep", body = schema::SweepDetail)))]
pub(crate) async fn get(
    State(app): State<App>,
    Named(sweep): Named<String>,
) -> Result<Json<SweepDetail>, Problem> {
    let found = find(&app.store, Some(&sweep)).await?;
    let (status, document) = app.store.sweep(&found.id).await?.ok_or_else(|| gone(&found.id))?;
    Ok(Json(SweepDetail { status, document }))
}

fn gone(id: &SweepId) -> Problem {
    Problem::new(Kind::UnknownSweep, format!("unknown sweep {id}"))
}

/// Which runs, and whether with results.
#[derive(Default)]
struct RunsQuery {
    states: Vec<StateName>,
    results: bool,
    cursor: Option<PageCursor>,
    limit: Option<u32>,
}

impl RunsQuery {
    /// Several states may be asked for by several `state`, too.
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (key, value) in pairs {
            let wrong = |allowed: &str| {
                let text = format!("`{key}` is `{}`, but must be {allowed}", cut(&value));
                Problem::new(Kind::Query, text)
            };
            match key.as_str() {
                "state" => query.states.extend(states(&value)?),
                "results" => {
                    query.results = value.parse().map_err(|_| wrong("true or false"))?;
                }
                "cursor" => query.cursor = Some(PageCursor(value)),
                "limit" => {
                    query.limit = Some(value.parse().map_err(|_| wrong("a number"))?);
                }
                _ => {
                    let text = format!(
                        "unknown key `{}` (known: state, results, cursor, limit)",
                        cut(&key)
                    );
                    return Err(Problem::new(Kind::Query, text));
                }
            }
        }
        Ok(query)
    }
}

/// The runs of a sweep, in its order
#[utoipa::path(get, path = "/api/v1/sweeps/{sweep}/runs", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)"),
           ("state" = Option<String>, Query, description = "Only runs in these states, joined by commas: queued, leased, delayed, succeeded, failed, cancelled"),
           ("results" = Option<bool>, Query, description = "With results (about 2 KB a run); without by default"),
           ("cursor" = Option<String>, Query, description = "`next` of the page before"),
           ("limit" = Option<u32>, Query, description = "1 to 1000, 100 by default")),
    responses((status = 200, description = "A page of runs", body = schema::RunPage)))]
pub(crate) async fn runs(
    State(app): State<App>,
    Named(sweep): Named<String>,
    Asked(asked): Asked<Vec<(String, String)>>,
) -> Result<Json<RunPage>, Problem> {
    let RunsQuery { states, results, cursor, limit: asked } = RunsQuery::read(asked)?;
    let limit = limit(asked)?;
    let found = find(&app.store, Some(&sweep)).await?;
    let page = app.store.runs(&found.id, &states, results, cursor.as_ref(), limit);
    Ok(Json(page.await?))
}

fn states(text: &str) -> Result<Vec<StateName>, Problem> {
    let state = |name: &str| {
        let known = StateName::ALL.into_iter().find(|state| state.as_str() == name);
        known.ok_or_else(|| {
            let all = StateName::ALL.map(StateName::as_str).join(", ");
            Problem::new(Kind::Query, format!("unknown state `{}` (known: {all})", cut(name)))
        })
    };
    text.split(',').map(state).collect()
}

/// Carries a command out and shows what the sweep is like then.
async fn command(
    app: &App,
    sweep: &str,
    commands: impl FnOnce(SweepId) -> Vec<Command>,
) -> Result<Json<SweepStatus>, Problem> {
    let found = find(&app.store, Some(sweep)).await?;
    for command in commands(found.id.clone()) {
        app.store.control(Now::Server, &command).await?;
    }
    let (status, _) = app.store.sweep(&found.id).await?.ok_or_else(|| gone(&found.id))?;
    Ok(Json(status))
}

/// How to pause.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseQuery {
    #[serde(default)]
    now: bool,
}

/// Lease no more of its runs; those in training run on, or are handed back with `now`
#[utoipa::path(post, path = "/api/v1/sweeps/{sweep}/pause", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)"),
           ("now" = Option<bool>, Query, description = "Hand back what is in training, checkpointed")),
    responses((status = 200, description = "The sweep as it is then", body = schema::SweepStatus)))]
pub(crate) async fn pause(
    State(app): State<App>,
    Named(sweep): Named<String>,
    Asked(asked): Asked<PauseQuery>,
) -> Result<Json<SweepStatus>, Problem> {
    let how = if asked.now { Command::PauseNow } else { Command::Pause };
    command(&app, &sweep, |id| vec![how(id)]).await
}

/// Go on after a pause
#[utoipa::path(post, path = "/api/v1/sweeps/{sweep}/resume", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)")),
    responses((status = 200, description = "The sweep as it is then", body = schema::SweepStatus)))]
pub(crate) async fn resume(
    State(app): State<App>,
    Named(sweep): Named<String>,
) -> Result<Json<SweepStatus>, Problem> {
    command(&app, &sweep, |id| vec![Command::Resume(id)]).await
}

/// Give up its unfinished runs that no other sweep wants; results stay
#[utoipa::path(post, path = "/api/v1/sweeps/{sweep}/cancel", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)")),
    responses((status = 200, description = "The sweep as it is then", body = schema::SweepStatus)))]
pub(crate) async fn cancel(
    State(app): State<App>,
    Named(sweep): Named<String>,
) -> Result<Json<SweepStatus>, Problem> {
    command(&app, &sweep, |id| vec![Command::Cancel(id)]).await
}

/// Queue its failed runs again
#[utoipa::path(post, path = "/api/v1/sweeps/{sweep}/retry", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)")),
    responses((status = 200, description = "The sweep as it is then", body = schema::SweepStatus)))]
pub(crate) async fn retry(
    State(app): State<App>,
    Named(sweep): Named<String>,
) -> Result<Json<SweepStatus>, Problem> {
    command(&app, &sweep, |id| vec![Command::Retry(id)]).await
}

/// Count a look at its report: seeds added afterwards are marked in later reports
#[utoipa::path(post, path = "/api/v1/sweeps/{sweep}/reported", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)")),
    responses((status = 200, description = "The sweep as it is then", body = schema::SweepStatus)))]
pub(crate) async fn reported(
    State(app): State<App>,
    Named(sweep): Named<String>,
) -> Result<Json<SweepStatus>, Problem> {
    command(&app, &sweep, |id| vec![Command::Reported(id)]).await
}

/// A sweep's place in line; what is not named stays.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    weight: Option<f64>,
    band: Option<u8>,
    /// Absent: as it is; null: none.
    #[serde(default, deserialize_with = "given")]
    cap: Option<Option<u32>>,
}

fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Change its place in line
#[utoipa::path(patch, path = "/api/v1/sweeps/{sweep}", tag = "sweeps",
    params(("sweep" = String, Path, description = "An id, a unique prefix of one, or a name (the newest of it)")),
    request_body = schema::Change,
    responses((status = 200, description = "The sweep as it is then", body = schema::SweepStatus)))]
pub(crate) async fn change(
    State(app): State<App>,
    Named(sweep): Named<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SweepStatus>, Problem> {
    let change: Change = extract::json(&headers, body, CHANGE_MAX).await?;
    // Checked before the first command, so that a wrong value changes nothing.
    check(change.weight, change.band, change.cap.flatten())?;
    command(&app, &sweep, |id| {
        let weight = change.weight.map(|weight| Command::Weight(id.clone(), weight));
        let band = change.band.map(|band| Command::Band(id.clone(), band));
        let cap = change.cap.map(|cap| Command::Cap(id.clone(), cap));
        [weight, band, cap].into_iter().flatten().collect()
    })
    .await
}

/// Refuses a place in line that no store takes.
pub(crate) fn check(
    weight: Option<f64>,
    band: Option<u8>,
    cap: Option<u32>,
) -> Result<(), Problem> {
    use sweep_store::StoreError;
    if let Some(weight) = weight.filter(|weight| !(weight.is_finite() && *weight > 0.0)) {
        return Err(StoreError::Weight { weight }.into());
    }
    if let Some(band) = band.filter(|band| *band > 7) {
        return Err(StoreError::Band { band }.into());
    }
    if cap == Some(0) { Err(StoreError::Cap.into()) } else { Ok(()) }
}

/// States of these runs, in their order; null where unknown
#[utoipa::path(post, path = "/api/v1/states", tag = "runs",
    request_body(content = Vec<String>, description = "Run ids"),
    responses((status = 200, description = "A state or null for each", body = Vec<Option<schema::StateName>>)))]
pub(crate) async fn run_states(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Vec<Option<StateName>>>), Problem> {
    /// Ids asked for at once: each is a field of one command.
    const CHUNK: usize = 1000;
    let ids: Vec<sweep_core::ids::RunId> = extract::json(&headers, body, app.max_body).await?;
    let mut states = Vec::with_capacity(ids.len());
    for ids in ids.chunks(CHUNK) {
        states.extend(app.store.states(ids).await?);
    }
    Ok((StatusCode::OK, Json(states)))
}
