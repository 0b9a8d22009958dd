//! Slots, and how they stop.

use std::sync::Arc;
use std::time::Duration;

use sweep_core::ids::SweepId;
use sweep_core::result::DeviceKind;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Policy, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, CacheOptions};
use crate::calls::Calls;
use crate::crash::Crash;
use crate::inputs::Fetcher;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::status::Status;
use crate::thread::TrainerFactory;
use crate::{random, slot};

/// Characters of a worker's name before what tells its processes apart.
const NAME_MAX: usize = 48;

/// What a worker is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Training threads, ≥ 1.
    pub slots: u32,
    /// Recorded with leases; results name their own.
    pub device: DeviceKind,
    /// Leases, retries and polls.
    pub policy: Policy,
    /// Training time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Epochs that ended travel at once, but not more often than this.
    pub epoch_beat: Duration,
    /// Lease only runs of this sweep.
    pub only: Option<SweepId>,
    /// What people call it; the machine's name by default. Something that differs between processes is added.
    pub name: Option<String>,
    /// Where the files that runs need are kept; `None`: nothing is fetched, the trainers have everything.
    pub cache: Option<CacheOptions>,
    /// End when no slot has held a run for this long.
    pub exit_when_idle: Option<Duration>,
    /// After a stop, trainings get this long to reach their next batch and store a checkpoint; then they are handed back with
    /// the last one stored.
    pub drain: Duration,
    /// Without a batch for this long, and for ten median epochs, a training hangs. Beats come from another thread and would go on
    /// for ever.
    pub stall: Duration,
    /// So many faults in a row without a success, and no more runs are taken: one broken machine must not eat the queue.
    pub fault_limit: u32,
}

impl Default for Options {
    /// One slot; a checkpoint every 300 s costs little beside 100–300 MB of state; a drain that ends within the 120 s a
    /// cluster gives.
    fn default() -> Self {
        Self {
            slots: 1,
            device: DeviceKind::Cpu,
            policy: Policy::default(),
            checkpoint_every: Duration::from_secs(300),
            epoch_beat: Duration::from_secs(5),
            only: None,
            name: None,
            cache: None,
            exit_when_idle: None,
            drain: Duration::from_secs(90),
            stall: Duration::from_secs(600),
            fault_limit: 3,
        }
    }
}

/// Why a worker ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The store refused for a reason that retrying cannot mend.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The device is lost or a training hangs; only a new process can go on.
    #[error("{0}; start the worker again")]
    Process(String),
    /// This machine broke one attempt after the other.
    #[error("{faults} faults in a row, the last: {last}")]
    Broken {
        /// How many.
        faults: u32,
        /// The last one.
        last: String,
    },
    /// The system refused a thread.
    #[error("cannot start a training thread")]
    Thread(#[from] std::io::Error),
    /// The folder of fetched files cannot be used.
    #[error("cannot use {}", dir.display())]
    Cache {
        /// Which.
        dir: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A slot's task panicked: a fault of this program.
    #[error("a slot ended unexpectedly: {0}")]
    Slot(String),
}

/// What all parts of a worker share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) calls: Calls,
    pub(crate) blobs: Blobs,
    pub(crate) options: Arc<Options>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Arc<Status>,
    pub(crate) crash: Crash,
}

/// A worker, ready to [`run`](Self::run).
pub struct Worker {
    pub(crate) context: Context,
    pub(crate) trainers: TrainerFactory,
    pub(crate) name: String,
}

impl Worker {
    /// A worker on this store and these blobs.
    pub fn new(store: AnyStore, blobs: Blobs, trainers: TrainerFactory, options: Options) -> Self {
        let metrics = Arc::new(Metrics::new(options.slots));
        let name = name(options.name.as_deref());
        let context = Context {
            calls: Calls::new(store, metrics.clone()),
            blobs,
            metrics,
            status: Arc::new(Status::new(options.fault_limit)),
            options: Arc::new(options),
            crash: Crash::default(),
        };
        Self { context, trainers, name }
    }

    /// What the store calls it, and `drain` with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Metrics and readiness, to be served beside [`Self::run`].
    pub fn monitor(&self) -> Monitor {
        Monitor { metrics: self.context.metrics.clone(), status: self.context.status.clone() }
    }

    /// Leases and trains until `stop`; then every slot checkpoints at its next batch and hands its run back at no cost.
    ///
    /// Ends by itself when the store drains it, or when idle for as long as its options say.
    ///
    /// # Errors
    /// [`WorkerError`] when a slot cannot go on; the others are stopped in the same orderly way first.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let stop = stop.child_token();
        let context = self.context.clone();
        let cache =
            match &context.options.cache {
                None => None,
                Some(options) => {
                    let opened = Cache::open(options, context.metrics.clone());
                    Some(opened.map_err(|source| WorkerError::Cache {
                        dir: options.dir.clone(),
                        source,
                    })?)
                }
            };
        let fetcher = Arc::new(Fetcher::new(context.calls.clone(), context.blobs.clone(), cache));
        let worker = Arc::new(self);
        let mut slots = JoinSet::new();
        for index in 0..context.options.slots {
            slots.spawn(slot::run(worker.clone(), fetcher.clone(), index, stop.clone()));
        }
        let mut first_error = None;
        loop {
            let ended = tokio::select! {
                ended = slots.join_next() => ended,
                () = stop.cancelled(), if context.status.ready().is_ok() => {
                    context.status.drain();
                    continue;
                }
            };
            let Some(ended) = ended else { break };
            let result = ended.unwrap_or_else(|panic| Err(WorkerError::Slot(panic.to_string())));
            if let Err(error) = result {
                stop.cancel();
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// The machine's name, or the one given, and something that no other process has.
fn name(given: Option<&str>) -> String {
    let host = gethostname::gethostname();
    let host = host.to_string_lossy();
    let name: String = given
        .unwrap_or(&host)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .take(NAME_MAX)
        .collect();
    let name = if name.is_empty() { "worker" } else { &name };
    format!("{name}-{:08x}", random::bits() as u32)
}
