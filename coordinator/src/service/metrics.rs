//! Everything Prometheus sees of a coordinator; `docs/metrics.md` lists it, written by `documented`. One registry per service, none global.
//!
//! Gauges describe the store as it was at the last snapshot (`snapshot`), read every 5 s and not at a scrape; once it is older than a
//! minute they are absent, never 0. Counters follow the store's events (`counting`) and miss what happens while no coordinator runs.
//! `admitted` bounds the sweeps that have series of their own, `configurations` reads their runs, `timed` measures the store.

mod admitted;
mod configurations;
mod counting;
#[cfg(test)]
mod documented;
mod snapshot;
mod timed;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub(crate) use counting::count;
pub(crate) use snapshot::watch;
pub(crate) use timed::Timed;

use admitted::Admitted;
use snapshot::{Gauges, Snapshot};

/// Seconds of an answer or of a word with the store.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Metrics that cannot be made: two of one name, a wrong name. A fault of ours.
pub(crate) type Broken = prometheus::Error;

/// The metrics of one service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Parts>);

pub(crate) struct Parts {
    registry: Registry,
    http: HistogramVec,
    store: HistogramVec,
    started: IntCounterVec,
    finished: IntCounterVec,
    requeues: IntCounterVec,
    expirations: IntCounter,
    /// What the gauges show.
    shown: Arc<Mutex<Shown>>,
    begun: Instant,
}

/// What the gauges show.
#[derive(Default)]
pub(crate) struct Shown {
    snapshot: Option<Snapshot>,
    admitted: Admitted,
    subscribers: usize,
}

impl Metrics {
    /// Metrics at their beginning.
    ///
    /// # Errors
    /// Never, as a test shows.
    pub(crate) fn new() -> Result<Self, Broken> {
        let registry = Registry::new();
        let shown = Arc::<Mutex<Shown>>::default();
        let seconds = |name, help, labels: &[&str]| {
            HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)
        };
        let counter =
            |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let parts = Parts {
            http: seconds(
                "sweep_http_request_duration_seconds",
                "Time until the head of an answer, by route template and status class",
                &["route", "method", "status"],
            )?,
            store: seconds(
                "sweep_store_request_duration_seconds",
                "Time of a word with the store, by operation",
                &["op"],
            )?,
            started: counter("sweep_runs_started_total", "Leases taken", &["sweep"])?,
            finished: counter(
                "sweep_runs_finished_total",
                "Runs ended, by how",
                &["sweep", "state"],
            )?,
            requeues: counter(
                "sweep_run_requeues_total",
                "Attempts after which the run stands in line again or waits, by reason",
                &["sweep", "reason"],
            )?,
            expirations: IntCounter::new(
                "sweep_lease_expirations_total",
                "Leases that were reaped because their worker fell silent",
            )?,
            shown: shown.clone(),
            begun: Instant::now(),
            registry,
        };
        let build = IntGaugeVec::new(
            Opts::new("sweep_build_info", "Always 1; the version is in the labels"),
            &["component", "version", "revision"],
        )?;
        let revision = option_env!("SWEEP_REVISION").unwrap_or("unknown");
        build.with_label_values(&["coordinator", env!("CARGO_PKG_VERSION"), revision]).set(1);
        parts.registry.register(Box::new(build))?;
        parts.registry.register(Box::new(parts.http.clone()))?;
        parts.registry.register(Box::new(parts.store.clone()))?;
        parts.registry.register(Box::new(parts.started.clone()))?;
        parts.registry.register(Box::new(parts.finished.clone()))?;
        parts.registry.register(Box::new(parts.requeues.clone()))?;
        parts.registry.register(Box::new(parts.expirations.clone()))?;
        parts.registry.register(Box::new(Gauges::new(shown)?))?;
        #[cfg(target_os = "linux")]
        parts
            .registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self(Arc::new(parts)))
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// When a metric cannot be written. A fault of ours.
    pub(crate) fn text(&self) -> Result<String, Broken> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }

    /// Notes an answer.
    pub(crate) fn answered(&self, route: &str, method: &str, status: u16, seconds: f64) {
        let class =
            ["1xx", "2xx", "3xx", "4xx", "5xx"][usize::from((status / 100).clamp(1, 5)) - 1];
        self.0.http.with_label_values(&[route, method, class]).observe(seconds);
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_metrics_can_be_made_and_written() {
        let metrics = Metrics::new().unwrap();
        metrics.answered("/healthz", "GET", 200, 0.002);
        let text = metrics.text().unwrap();
        assert!(text.contains("sweep_build_info{component=\"coordinator\""), "{text}");
        assert!(text.contains("sweep_http_request_duration_seconds_count{method=\"GET\",route=\"/healthz\",status=\"2xx\"} 1"));
        // Nothing is known of the store yet.
        assert!(!text.contains("sweep_runs_wanted") && !text.contains("sweep_slots"));
    }
}
