//! The seam between orchestration and training: synchronous, without tokio, store or clock.
//!
//! Two real implementations: burn (`sweep-train`) and the fake trainer of the worker, which drives the whole path in seconds.

use crate::result::{EpochMetrics, RunResult};
use crate::run::RunSpec;

/// Trains one run at a time on the slot's own thread.
pub trait Trainer {
    /// Trains `run` from `resume`, or from the start; tells `observer` of each batch and epoch and obeys its orders.
    ///
    /// The result is a function of `run` alone: resumed or not, alone or after other runs, bit for bit on CPU. A checkpoint of
    /// another run or format means "start over", never an error.
    ///
    /// # Errors
    /// [`TrainError`] when no result can be had; a diverged training is a result. May panic on faults of the tensor library:
    /// the caller catches.
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError>;
}

/// What a training thread tells, and whom it obeys. Implementations answer at once: nothing here may block.
pub trait Observer {
    /// Between two batches: `epoch` from 1, `batch` done of `batches` in it. Epoch 0: batches of images whose features a frozen
    /// backbone computes before the first epoch.
    fn batch(&mut self, epoch: u32, batch: u32, batches: u32) -> Order;

    /// An epoch ended.
    fn epoch(&mut self, metrics: &EpochMetrics);

    /// The checkpoint that [`Order::Checkpoint`] asked for; training goes on.
    fn checkpoint(&mut self, checkpoint: Checkpoint);

    /// A line for the attempt's log, of which the end is kept.
    fn log(&mut self, _line: String) {}
}

/// What an observer wants after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Continue,
    /// Hand over a checkpoint, then go on.
    Checkpoint,
    /// Hand back a checkpoint as [`Outcome::Yielded`] and stop.
    Yield,
    /// Stop at once; nothing is wanted.
    Stop,
}

/// How a training that did not err ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Completed or diverged.
    Finished(RunResult),
    /// [`Order::Yield`] obeyed.
    Yielded(Checkpoint),
    /// [`Order::Stop`] obeyed.
    Stopped,
}

/// Everything needed to go on as if never stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Epochs completed.
    pub epoch: u32,
    /// Batches completed in the epoch in hand.
    pub batch: u32,
    /// Opaque content; names its run and format inside.
    pub bytes: Vec<u8>,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// Repeats by nature: data that does not fit the run, an impossible shape. Not retried.
    #[error("{0}")]
    Input(String),
    /// May go away: out of memory, an I/O fault. Retried.
    #[error("{0}")]
    Transient(String),
    /// The device is lost; the whole process must go.
    #[error("device lost: {0}")]
    Device(String),
}
