//! What a person changes: forms of pages, answered by the page again.

use axum::extract::State;
use axum::response::Response;
use sweep_core::ids::SweepId;
use sweep_store::{Command, Now, Store};

use super::session::{Posted, own_path, see_other};
use crate::find::find;
use crate::service::app::App;
use crate::service::extract::Named;
use crate::service::problem::Problem;

/// Lease no more of its runs; with `now` those in training are handed back.
pub(crate) async fn pause(
    State(app): State<App>,
    Named(sweep): Named<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    let how = if posted.form.get("now").is_some() { Command::PauseNow } else { Command::Pause };
    command(&app, &sweep, &posted, how).await
}

/// Go on after a pause.
pub(crate) async fn resume(
    State(app): State<App>,
    Named(sweep): Named<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    command(&app, &sweep, &posted, Command::Resume).await
}

/// Give up its unfinished runs.
pub(crate) async fn cancel(
    State(app): State<App>,
    Named(sweep): Named<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    command(&app, &sweep, &posted, Command::Cancel).await
}

/// Queue its failed runs again.
pub(crate) async fn retry(
    State(app): State<App>,
    Named(sweep): Named<String>,
    posted: Posted,
) -> Result<Response, Problem> {
    command(&app, &sweep, &posted, Command::Retry).await
}

/// Carries a command out and leads back to where the form was (`back`), or to the sweep.
async fn command(
    app: &App,
    sweep: &str,
    posted: &Posted,
    command: impl FnOnce(SweepId) -> Command,
) -> Result<Response, Problem> {
    let found = find(&app.store, Some(sweep)).await?;
    app.store.control(Now::Server, &command(found.id.clone())).await?;
    let own = format!("/sweeps/{}", found.id);
    Ok(see_other(posted.form.get("back").map_or(own.as_str(), |back| own_path(Some(back)))))
}
