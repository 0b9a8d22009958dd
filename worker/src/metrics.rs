//! Every number a worker tells Prometheus. `docs/metrics.md` explains them; renaming one is an interface change.
//!
//! Labels are small closed sets, never ids or texts of errors.

use std::time::{Duration, Instant};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use sweep_core::run::RunSpec;
use sweep_core::training::Mode;

use crate::gpu::{Gpus, Reading};

/// Epochs and runs last from a second to half a day: 1 s, then 2.5 · 2^k.
fn run_buckets() -> Vec<f64> {
    let doubled = (0..15).map(|k| 2.5 * f64::from(1u32 << k));
    std::iter::once(1.0).chain(doubled).collect()
}

/// A call of a store takes from a tenth of a millisecond to its time-out.
fn call_buckets() -> Vec<f64> {
    (0..16).map(|k| 0.0001 * f64::from(1u32 << k)).collect()
}

/// What a slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// Waits for a run.
    Idle,
    /// Fetches what a run needs.
    Fetching,
    /// Trains.
    Training,
    /// Tells the store how an attempt ended.
    Finishing,
    /// Leases nothing more.
    Stopped,
}

impl SlotState {
    const ALL: [Self; 5] =
        [Self::Idle, Self::Fetching, Self::Training, Self::Finishing, Self::Stopped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Fetching => "fetching",
            Self::Training => "training",
            Self::Finishing => "finishing",
            Self::Stopped => "stopped",
        }
    }
}

/// The ends an attempt may have, as labels.
const OUTCOMES: [&str; 7] =
    ["succeeded", "retry", "failed", "yielded", "faulted", "cancelled", "stale"];
/// The store's calls that a worker makes, as labels.
pub(crate) const CALLS: [&str; 4] = ["lease", "beat", "finish", "sweep"];

/// Words to the store that a lost lease makes late, as labels.
const LATE: [&str; 2] = ["beat", "finish"];

/// One worker's numbers in a registry of its own.
pub(crate) struct Metrics {
    registry: Registry,
    slots: IntGaugeVec,
    attempts: IntCounterVec,
    runs: HistogramVec,
    queue_wait: Histogram,
    stale: IntCounterVec,
    /// Epochs trained.
    pub(crate) epochs: IntCounter,
    epoch_seconds: Histogram,
    /// Pictures trained on, counted as their batch begins.
    pub(crate) trained: IntCounter,
    evaluated: IntCounter,
    /// Beats that were not answered.
    pub(crate) beat_failures: IntCounter,
    /// Bytes of checkpoints made durable.
    pub(crate) checkpoint_bytes: IntCounter,
    /// Bytes of data sets and weights fetched.
    pub(crate) fetched_bytes: IntCounter,
    /// Bytes in the cache of data sets and weights.
    pub(crate) cache_bytes: IntGauge,
    /// How long the store took to answer.
    pub(crate) calls: HistogramVec,
    /// What the machine's GPUs say.
    pub(crate) gpus: Gpus,
}

impl Metrics {
    pub(crate) fn new(slots: u32) -> Self {
        let registry = Registry::new();
        let metrics = Self {
            slots: gauges("sweep_worker_slots", "Slots by what they do", "state"),
            attempts: counters(
                "sweep_worker_attempts_total",
                "Attempts by how they ended",
                "outcome",
            ),
            runs: HistogramVec::new(
                HistogramOpts::new(
                    "sweep_run_duration_seconds",
                    "Training time of runs whose result was accepted",
                )
                .buckets(run_buckets()),
                &["loss", "mode"],
            )
            .expect(VALID),
            queue_wait: Histogram::with_opts(
                HistogramOpts::new(
                    "sweep_queue_wait_seconds",
                    "From the submission of a run's sweep to the run's first lease",
                )
                .buckets(run_buckets()),
            )
            .expect(VALID),
            stale: counters(
                "sweep_stale_reports_total",
                "Beats and ends of attempts that the store refused because their lease was lost",
                "op",
            ),
            epochs: counter("sweep_worker_epochs_total", "Epochs trained"),
            epoch_seconds: Histogram::with_opts(
                HistogramOpts::new("sweep_worker_epoch_duration_seconds", "Time of an epoch")
                    .buckets(run_buckets()),
            )
            .expect(VALID),
            trained: IntCounter::with_opts(phase("train")).expect(VALID),
            evaluated: IntCounter::with_opts(phase("evaluate")).expect(VALID),
            beat_failures: counter(
                "sweep_worker_beat_failures_total",
                "Beats that the store did not answer",
            ),
            checkpoint_bytes: counter(
                "sweep_worker_checkpoint_bytes_total",
                "Bytes of checkpoints made durable",
            ),
            fetched_bytes: counter(
                "sweep_worker_fetched_bytes_total",
                "Bytes of data sets and weights fetched",
            ),
            cache_bytes: IntGauge::new(
                "sweep_worker_cache_bytes",
                "Bytes in the cache of data sets and weights",
            )
            .expect(VALID),
            calls: HistogramVec::new(
                HistogramOpts::new(
                    "sweep_store_request_duration_seconds",
                    "Time the store took to answer, by call",
                )
                .buckets(call_buckets()),
                &["op"],
            )
            .expect(VALID),
            gpus: Gpus::new(),
            registry,
        };
        metrics.register();
        for state in SlotState::ALL {
            metrics.slots.with_label_values(&[state.as_str()]).set(0);
        }
        metrics.slots.with_label_values(&[SlotState::Idle.as_str()]).set(i64::from(slots));
        for outcome in OUTCOMES {
            metrics.attempts.with_label_values(&[outcome]);
        }
        for word in LATE {
            metrics.stale.with_label_values(&[word]);
        }
        for call in CALLS {
            metrics.calls.with_label_values(&[call]);
        }
        metrics
    }

    fn register(&self) {
        let build = gauges_of(
            "sweep_build_info",
            "1, with what runs as labels",
            &["component", "version", "revision"],
        );
        let revision = option_env!("SWEEP_REVISION").unwrap_or("unknown");
        build.with_label_values(&["worker", env!("CARGO_PKG_VERSION"), revision]).set(1);
        let collectors: [Box<dyn prometheus::core::Collector>; 17] = [
            Box::new(build),
            Box::new(self.slots.clone()),
            Box::new(self.attempts.clone()),
            Box::new(self.runs.clone()),
            Box::new(self.queue_wait.clone()),
            Box::new(self.stale.clone()),
            Box::new(self.gpus.clone()),
            Box::new(self.epochs.clone()),
            Box::new(self.epoch_seconds.clone()),
            Box::new(self.trained.clone()),
            Box::new(self.evaluated.clone()),
            Box::new(self.beat_failures.clone()),
            Box::new(self.checkpoint_bytes.clone()),
            Box::new(self.fetched_bytes.clone()),
            Box::new(self.cache_bytes.clone()),
            Box::new(self.calls.clone()),
            Box::new(prometheus::process_collector::ProcessCollector::for_self()),
        ];
        for collector in collectors {
            self.registry.register(collector).expect("names differ");
        }
    }

    /// A slot that was in `from` is in `to`.
    pub(crate) fn slot(&self, from: SlotState, to: SlotState) {
        self.slots.with_label_values(&[from.as_str()]).dec();
        self.slots.with_label_values(&[to.as_str()]).inc();
    }

    /// An attempt ended so.
    pub(crate) fn attempt(&self, outcome: &'static str) {
        debug_assert!(OUTCOMES.contains(&outcome), "a closed set: {outcome}");
        self.attempts.with_label_values(&[outcome]).inc();
    }

    /// A run was leased for the first time, so long after its sweep was submitted.
    pub(crate) fn waited(&self, wait: Duration) {
        self.queue_wait.observe(wait.as_secs_f64());
    }

    /// The store refused a word (`beat`, `finish`), for the lease was lost.
    pub(crate) fn late(&self, word: &'static str) {
        debug_assert!(LATE.contains(&word), "a closed set: {word}");
        self.stale.with_label_values(&[word]).inc();
    }

    /// The result of a run was accepted.
    pub(crate) fn run(&self, run: &RunSpec, took: Duration) {
        let mode = match run.configuration.training.mode {
            Mode::Full => "full",
            Mode::Head => "head",
        };
        self.took(run.configuration.loss.name(), mode, took);
    }

    fn took(&self, loss: &str, mode: &str, took: Duration) {
        self.runs.with_label_values(&[loss, mode]).observe(took.as_secs_f64());
    }

    /// An epoch ended, after which so many pictures were evaluated.
    pub(crate) fn epoch(&self, seconds: f64, evaluated: u32) {
        self.epochs.inc();
        self.epoch_seconds.observe(seconds);
        self.evaluated.inc_by(u64::from(evaluated));
    }

    /// The page that Prometheus reads.
    pub(crate) fn page(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// A page on which every metric of a worker has a series, those of GPUs included: what `docs/metrics.md` is written from.
pub fn every_metric() -> String {
    let metrics = Metrics::new(1);
    metrics.took("softmax", "full", Duration::from_secs(1));
    let reading = Reading { gpu: 0, busy: Some(0.5), memory: Some((1, 2)), celsius: Some(40) };
    metrics.gpus.take_in(Instant::now(), vec![reading]);
    metrics.page()
}

/// Why making a metric cannot fail.
const VALID: &str = "names and labels are valid";

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect(VALID)
}

fn counters(name: &str, help: &str, label: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect(VALID)
}

fn gauges(name: &str, help: &str, label: &str) -> IntGaugeVec {
    gauges_of(name, help, &[label])
}

fn gauges_of(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID)
}

fn phase(phase: &str) -> Opts {
    Opts::new(
        "sweep_worker_images_total",
        "Pictures trained on and evaluated; images/s is its rate",
    )
    .const_label("phase", phase)
}
