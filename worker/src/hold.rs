//! One attempt, from its lease to its accepted end: checkpoint in, training, beats, checkpoint out, finish.

use std::sync::Arc;
use std::time::Duration;

use sweep_core::ids::{Fence, RunId};
use sweep_core::lifecycle::CheckpointPointer;
use sweep_core::trainer::{Checkpoint, Order as TrainOrder, Outcome as Training, TrainError};
use sweep_store::blobs::Blobs;
use sweep_store::{Applied, Lease, Now, Order, Outcome, Progress, Store};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::random;
use crate::thread::{Ended, TrainingThread};
use crate::worker::{Worker, WorkerError};

/// A finish is repeated this long before the slot gives up on it; then the lease expires and the run is trained again.
const FINISH_FOR: Duration = Duration::from_secs(30 * 60);
/// Without a batch for this long, and for ten median epochs, a training hangs. Beats come from another thread and would go on for ever.
const STALL: Duration = Duration::from_secs(600);
/// Between two tries at a store that does not answer: short enough for a lease of 60 s to survive.
const RETRY: Duration = Duration::from_secs(2);

/// Why the worker told the training thread to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    No,
    Cancelled,
    Lost,
}

/// Trains the leased run and reports its end. An `Err` means that the whole worker must stop.
pub(crate) async fn hold(
    worker: &Worker,
    thread: &TrainingThread,
    lease: Lease,
    stop: &CancellationToken,
) -> Result<(), WorkerError> {
    let attempt = Arc::new(Attempt::new());
    let resume = checkpoint(&worker.blobs, &lease).await;
    attempt.log(match &resume {
        Some(from) => format!(
            "attempt {}: resumed after epoch {}, batch {}",
            lease.attempt.0, from.epoch, from.batch
        ),
        None => format!("attempt {}: started", lease.attempt.0),
    });
    let training = thread
        .train(lease.spec.clone(), resume, attempt.clone())
        .map_err(|gone| WorkerError::Process(gone.to_string()))?;
    let mut held = Held {
        worker,
        lease: &lease,
        attempt: &attempt,
        stopped: Stopped::No,
        pointer: None,
        epoch_seconds: Vec::new(),
    };
    let (outcome, fatal) = match held.until_ended(training, stop).await {
        Some(ended) => held.outcome(ended).await,
        None => {
            let error = format!("stalled: no batch for {} s", attempt.quiet().as_secs());
            (Some(held.error(error.clone())), Some(error))
        }
    };
    if let Some(outcome) = outcome {
        finish(worker, &lease.run, lease.fence, &outcome, &attempt.log_text()).await?;
    }
    fatal.map_or(Ok(()), |error| Err(WorkerError::Process(error)))
}

struct Held<'a> {
    worker: &'a Worker,
    lease: &'a Lease,
    attempt: &'a Attempt,
    stopped: Stopped,
    /// Stored but not yet told to the store.
    pointer: Option<CheckpointPointer>,
    epoch_seconds: Vec<f64>,
}

impl Held<'_> {
    /// Beats until the training ended; `None` when it hangs.
    async fn until_ended(
        &mut self,
        mut training: tokio::sync::oneshot::Receiver<Ended>,
        stop: &CancellationToken,
    ) -> Option<Ended> {
        let options = &self.worker.options;
        let mut last_beat = Instant::now();
        let mut next_beat = last_beat + options.policy.beat.mul_f64(random::jitter());
        let mut next_checkpoint = Instant::now() + options.checkpoint_every;
        let mut yielding = false;
        loop {
            tokio::select! {
                ended = &mut training => {
                    return Some(ended.unwrap_or_else(|_| Ended::Panicked("the training thread ended".to_owned())));
                }
                () = stop.cancelled(), if !yielding => {
                    yielding = true;
                    self.attempt.order(TrainOrder::Yield);
                }
                () = self.attempt.rung() => next_beat = next_beat.min(last_beat + options.epoch_beat),
                () = sleep_until(next_checkpoint) => {
                    next_checkpoint = Instant::now() + options.checkpoint_every;
                    self.attempt.order(TrainOrder::Checkpoint);
                }
                () = sleep_until(next_beat) => {
                    last_beat = Instant::now();
                    let answered = self.beat().await;
                    next_beat = last_beat + if answered { options.policy.beat.mul_f64(random::jitter()) } else { RETRY };
                    if self.attempt.quiet() > self.stall_limit() {
                        self.attempt.order(TrainOrder::Stop);
                        return None;
                    }
                }
            }
        }
    }

    /// One beat; whether the store answered. A worker that cannot reach the store keeps training: the fence makes that safe.
    async fn beat(&mut self) -> bool {
        let news = self.attempt.take_news();
        self.epoch_seconds.extend(news.epochs.iter().map(|e| e.seconds));
        if let Some(checkpoint) = news.checkpoint {
            self.pointer = store_checkpoint(&self.worker.blobs, checkpoint, self.attempt)
                .await
                .or(self.pointer.take());
        }
        let progress =
            Progress { epochs: news.epochs, step: self.attempt.steps(), checkpoint: self.pointer };
        let (run, fence) = (&self.lease.run, self.lease.fence);
        match self
            .worker
            .store
            .beat(Now::Server, run, fence, &progress, &self.worker.options.policy)
            .await
        {
            Ok(order) => {
                self.pointer = None;
                match order {
                    Order::Continue => {}
                    Order::Yield => self.attempt.order(TrainOrder::Yield),
                    Order::Cancel => self.stop(Stopped::Cancelled),
                    Order::Lost => self.stop(Stopped::Lost),
                }
                true
            }
            Err(error) => {
                tracing::warn!(run.id = %run, %error, "a beat was not answered; training goes on");
                self.attempt.return_epochs(progress.epochs);
                false
            }
        }
    }

    fn stop(&mut self, why: Stopped) {
        self.stopped = why;
        self.attempt.order(TrainOrder::Stop);
    }

    /// What to tell the store, if anything, and why the process must end, if it must.
    async fn outcome(&mut self, ended: Ended) -> (Option<Outcome>, Option<String>) {
        if self.stopped == Stopped::Lost {
            tracing::warn!(run.id = %self.lease.run, "the lease was lost; the attempt is dropped");
            return (None, None);
        }
        let outcome = match ended {
            Ended::Returned(Ok(Training::Finished(result))) => Outcome::Succeeded(Box::new(result)),
            Ended::Returned(Ok(Training::Yielded(checkpoint))) => {
                let stored = store_checkpoint(&self.worker.blobs, checkpoint, self.attempt).await;
                Outcome::Yielded { checkpoint: stored.or(self.pointer.take()) }
            }
            Ended::Returned(Ok(Training::Stopped)) => Outcome::Cancelled,
            Ended::Returned(Err(TrainError::Input(error))) => {
                self.attempt.log(format!("error: {error}"));
                Outcome::Failed { error }
            }
            Ended::Returned(Err(TrainError::Transient(error))) => self.error(error),
            Ended::Returned(Err(TrainError::Device(error))) => {
                self.attempt.log(format!("device lost: {error}"));
                return (Some(Outcome::Faulted { error: error.clone() }), Some(error));
            }
            Ended::Panicked(message) => self.error(format!("panic: {message}")),
        };
        (Some(outcome), None)
    }

    /// An error that may go away: tried again until the limit.
    fn error(&self, error: String) -> Outcome {
        self.attempt.log(format!("error: {error}"));
        let policy = &self.worker.options.policy;
        let errors = self.lease.errors + 1;
        if errors >= policy.error_limit {
            Outcome::Failed { error }
        } else {
            Outcome::Retry { due_in: policy.retry_delay(errors, random::jitter()), error }
        }
    }

    fn stall_limit(&self) -> Duration {
        let mut seconds = self.epoch_seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied().unwrap_or(0.0);
        STALL.max(Duration::try_from_secs_f64(10.0 * median).unwrap_or(STALL))
    }
}

/// The newest stored checkpoint that can be read. A missing or damaged one is normal: the one before, else the start.
async fn checkpoint(blobs: &Blobs, lease: &Lease) -> Option<Checkpoint> {
    for pointer in [&lease.checkpoint, &lease.previous].into_iter().flatten() {
        match blobs.get(&pointer.digest, pointer.bytes).await {
            Ok(bytes) => {
                let (epoch, batch) = (pointer.epoch, pointer.batch);
                return Some(Checkpoint { epoch, batch, bytes: bytes.into() });
            }
            Err(error) => {
                tracing::warn!(run.id = %lease.run, %error, "a checkpoint cannot be used");
            }
        }
    }
    None
}

/// Makes a checkpoint durable; only then may its pointer be told. `None` leaves the store with the one before.
async fn store_checkpoint(
    blobs: &Blobs,
    checkpoint: Checkpoint,
    attempt: &Attempt,
) -> Option<CheckpointPointer> {
    let Checkpoint { epoch, batch, bytes } = checkpoint;
    let size = bytes.len() as u64;
    match blobs.put(bytes).await {
        Ok(digest) => Some(CheckpointPointer { digest, epoch, batch, bytes: size }),
        Err(error) => {
            attempt.log(format!("a checkpoint could not be stored: {error}"));
            tracing::warn!(%error, "a checkpoint could not be stored");
            None
        }
    }
}

/// Sends the end of an attempt until it is answered. Sending it twice is harmless: the store knows the fence.
async fn finish(
    worker: &Worker,
    run: &RunId,
    fence: Fence,
    outcome: &Outcome,
    log: &str,
) -> Result<(), WorkerError> {
    let give_up = Instant::now() + FINISH_FOR;
    loop {
        match worker
            .store
            .finish(Now::Server, run, fence, outcome, log, &worker.options.policy)
            .await
        {
            Ok(Applied::Applied | Applied::Already) => return Ok(()),
            Ok(Applied::Stale) => {
                tracing::warn!(run.id = %run, "the end of a lost attempt was refused");
                return Ok(());
            }
            Err(error) if error.is_retryable() && Instant::now() < give_up => {
                tracing::warn!(run.id = %run, %error, "the end of an attempt was not answered; trying again");
                tokio::time::sleep(RETRY.mul_f64(random::jitter())).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
