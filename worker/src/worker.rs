//! Slots, and how they stop.

use std::sync::Arc;
use std::time::Duration;

use sweep_core::ids::SweepId;
use sweep_core::result::DeviceKind;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Policy, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::thread::TrainerFactory;
use crate::{random, slot};

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
}

impl Default for Options {
    /// One slot; a checkpoint every 300 s costs little beside 100–300 MB of state.
    fn default() -> Self {
        Self {
            slots: 1,
            device: DeviceKind::Cpu,
            policy: Policy::default(),
            checkpoint_every: Duration::from_secs(300),
            epoch_beat: Duration::from_secs(5),
            only: None,
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
    /// The system refused a thread.
    #[error("cannot start a training thread")]
    Thread(#[from] std::io::Error),
    /// A slot's task panicked: a fault of this program.
    #[error("a slot ended unexpectedly: {0}")]
    Slot(String),
}

/// A worker, ready to [`run`](Self::run).
pub struct Worker {
    pub(crate) store: AnyStore,
    pub(crate) blobs: Blobs,
    pub(crate) trainers: TrainerFactory,
    pub(crate) options: Options,
    pub(crate) name: String,
}

impl Worker {
    /// A worker on this store and these checkpoints.
    pub fn new(store: AnyStore, blobs: Blobs, trainers: TrainerFactory, options: Options) -> Self {
        let name = format!("{}-{:08x}", std::process::id(), random::bits() as u32);
        Self { store, blobs, trainers, options, name }
    }

    /// Leases and trains until `stop`; then every slot checkpoints at its next batch and hands its run back at no cost.
    ///
    /// # Errors
    /// [`WorkerError`] when a slot cannot go on; the others are stopped in the same orderly way first.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let stop = stop.child_token();
        let worker = Arc::new(self);
        let mut slots = JoinSet::new();
        for index in 0..worker.options.slots {
            slots.spawn(slot::run(worker.clone(), index, stop.clone()));
        }
        let mut first_error = None;
        while let Some(ended) = slots.join_next().await {
            let result = ended.unwrap_or_else(|panic| Err(WorkerError::Slot(panic.to_string())));
            if let Err(error) = result {
                stop.cancel();
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}
