//! One run: everything known of it, its curves. And the slots that train runs, and how many are wanted.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use sweep_core::ids::RunId;
use sweep_core::result::EpochMetrics;
use sweep_core::run::RunSpec;
use sweep_store::{Command, Demand, Now, Reads, RunDetail, Store, WorkerStatus};

use super::app::App;
use super::extract::{Asked, Named};
use super::problem::{Kind, Problem, cut};
use super::schema;
use crate::find::find_run;

/// Everything known of a run: state, result, attempts with their errors and the ends of their logs
#[utoipa::path(get, path = "/api/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "An id, or a unique prefix of one")),
    responses((status = 200, description = "The run", body = schema::RunDetail)))]
pub(crate) async fn get(
    State(app): State<App>,
    Named(run): Named<String>,
) -> Result<Json<RunDetail>, Problem> {
    Ok(Json(detail(&app, &run).await?))
}

/// A run by its id or a prefix of it.
pub(crate) async fn detail(app: &App, run: &str) -> Result<RunDetail, Problem> {
    let unknown = || Problem::from(crate::FindError::UnknownRun(cut(run).to_owned()));
    if let Ok(id) = run.parse::<RunId>() {
        return app.store.run(&id).await?.ok_or_else(unknown);
    }
    // A prefix opens the documents of all sweeps.
    let (store, text) = (app.store.clone(), run.to_owned());
    let runtime = tokio::runtime::Handle::current();
    let id = app.heavy(move || runtime.block_on(find_run(&store, &text))).await??;
    app.store.run(&id).await?.ok_or_else(unknown)
}

/// Epochs of a run.
#[derive(Serialize)]
pub(crate) struct Curves {
    run: RunId,
    spec: RunSpec,
    /// Of the result, else of the attempt in hand.
    epochs: Vec<EpochMetrics>,
    ended: bool,
}

/// Loss and accuracy per epoch: of the result, else of the attempt in hand
#[utoipa::path(get, path = "/api/v1/runs/{run}/curves", tag = "runs",
    params(("run" = String, Path, description = "An id, or a unique prefix of one")),
    responses((status = 200, description = "Its epochs", body = schema::Curves)))]
pub(crate) async fn curves(
    State(app): State<App>,
    Named(run): Named<String>,
) -> Result<Json<Curves>, Problem> {
    let found = detail(&app, &run).await?;
    let ended = found.state.name().is_terminal();
    let epochs = match (found.result, found.progress) {
        (Some(result), _) => result.epochs,
        (None, Some(progress)) => progress.epochs,
        (None, None) => Vec::new(),
    };
    Ok(Json(Curves { run: found.id, spec: found.spec, epochs, ended }))
}

/// Slots.
#[derive(Serialize)]
pub(crate) struct Workers {
    workers: Vec<WorkerStatus>,
}

/// Slots heard of in the last hour
#[utoipa::path(get, path = "/api/v1/workers", tag = "workers",
    responses((status = 200, description = "The slots", body = schema::Workers)))]
pub(crate) async fn workers(State(app): State<App>) -> Result<Json<Workers>, Problem> {
    Ok(Json(Workers { workers: app.store.workers().await? }))
}

/// Give a worker no more runs and let it hand back what it holds, checkpointed
#[utoipa::path(post, path = "/api/v1/workers/{worker}/drain", tag = "workers",
    params(("worker" = String, Path, description = "Its name, without the slot")),
    responses((status = 200, description = "Its slots", body = schema::Workers)))]
pub(crate) async fn drain(
    State(app): State<App>,
    Named(worker): Named<String>,
) -> Result<Json<Workers>, Problem> {
    let own = |slots: Vec<WorkerStatus>| -> Vec<WorkerStatus> {
        slots.into_iter().filter(|slot| slot.holder.worker == worker).collect()
    };
    if own(app.store.workers().await?).is_empty() {
        let text = format!("no worker `{}` was heard of in the last hour", cut(&worker));
        return Err(Problem::new(Kind::UnknownWorker, text));
    }
    app.store.control(Now::Server, &Command::Drain(worker.clone())).await?;
    Ok(Json(Workers { workers: own(app.store.workers().await?) }))
}

/// Of which pool.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DemandQuery {
    pool: Option<String>,
}

/// What an autoscaler needs: `wanted` counts runs that could be leased now and those in training
#[utoipa::path(get, path = "/api/v1/demand", tag = "workers",
    params(("pool" = Option<String>, Query, description = "The pool of this coordinator; another is not found")),
    responses((status = 200, description = "The demand", body = schema::Demand)))]
pub(crate) async fn demand(
    State(app): State<App>,
    Asked(asked): Asked<DemandQuery>,
) -> Result<Json<Demand>, Problem> {
    match asked.pool {
        Some(pool) if pool != app.pool => {
            let text =
                format!("unknown pool `{}` (this coordinator has `{}`)", cut(&pool), app.pool);
            Err(Problem::new(Kind::UnknownPool, text))
        }
        // Never an old number nor 0: an autoscaler that hears nothing leaves everything as it is.
        _ => Ok(Json(app.store.demand().await?)),
    }
}
