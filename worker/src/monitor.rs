//! `/metrics`, `/healthz` and `/readyz` of a worker, on a port of their own and without a token: never show it to the outside.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::status::Status;

/// What others may see of a running worker. Cheap to clone.
#[derive(Clone)]
pub struct Monitor {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Arc<Status>,
}

impl Monitor {
    /// The page that Prometheus reads, version 0.0.4 of its text format.
    pub fn metrics(&self) -> String {
        self.metrics.page()
    }

    /// Whether the worker takes runs; else why not: it drains, or broke three times in a row.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn ready(&self) -> Result<(), String> {
        self.status.ready()
    }

    /// Answers on `listener` until `stop`. `/healthz` says that the runtime lives, whatever trainings and store do.
    ///
    /// # Errors
    /// When the system takes the socket away.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        #[cfg(feature = "nvml")]
        self.metrics.gpus.watch();
        let (metrics, ready) = (self.clone(), self);
        let pages = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async move || ready.ready_page()))
            .route("/metrics", get(async move || metrics.metrics_page()));
        axum::serve(listener, pages).with_graceful_shutdown(stop.cancelled_owned()).await
    }

    fn ready_page(&self) -> impl IntoResponse + use<> {
        match self.ready() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    }

    fn metrics_page(&self) -> impl IntoResponse + use<> {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], self.metrics())
    }
}
