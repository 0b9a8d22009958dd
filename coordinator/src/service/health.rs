//! Probes and metrics.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use sweep_store::Store;

use super::app::App;
use super::problem::{Kind, Problem};

/// How long the store may take to show that it is there.
const READY: Duration = Duration::from_secs(2);

/// Whether the process answers; the store is not asked
#[utoipa::path(get, path = "/healthz", tag = "service",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the store is reachable and the coordinator is not stopping
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, description = "It is", body = String, content_type = "text/plain")))]
pub(crate) async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.stop.is_cancelled() {
        return Err(Problem::new(Kind::Busy, "the coordinator is stopping"));
    }
    match tokio::time::timeout(READY, app.store.event_cursor()).await {
        Ok(Ok(_)) if app.feed.has_begun() => Ok("ready\n"),
        Ok(Ok(_)) => Err(Problem::new(Kind::Store, "the store's events have not been read yet")),
        Ok(Err(error)) => {
            // Anybody may ask: where the store is stays in the log.
            tracing::warn!(%error, "the store does not answer");
            Err(Problem::new(Kind::Store, "the store does not answer"))
        }
        Err(_) => Err(Problem::new(
            Kind::Store,
            format!("the store did not answer within {} s", READY.as_secs()),
        )),
    }
}

/// Metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "service",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let text = app.metrics.text().map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}
