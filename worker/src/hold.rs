//! One attempt, from its lease to its accepted end: files and checkpoint in, training, checkpoint out, finish; beats all the while.

use std::sync::Arc;
use std::time::Duration;

use sweep_core::lifecycle::CheckpointPointer;
use sweep_core::trainer::{Order as TrainOrder, Outcome as Training, TrainError};
use sweep_store::{Lease, Order, Outcome, Progress};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::checkpoints::{self, Checkpoints};
use crate::crash::Point;
use crate::finish::{Told, finish};
use crate::inputs::{Fetcher, Inputs, Shelf};
use crate::metrics::SlotState;
use crate::random;
use crate::thread::{Ended, TrainingThread};
use crate::worker::{Context, WorkerError};

/// Between two tries at a store that does not answer: short enough for a lease of 60 s to survive.
const RETRY: Duration = Duration::from_secs(2);

/// What one slot keeps from run to run.
pub(crate) struct Bench {
    pub(crate) thread: TrainingThread,
    pub(crate) inputs: Inputs,
}

/// What an attempt says about the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// A result was reached.
    Success,
    /// The worker was at fault.
    Fault,
    /// Neither.
    Other,
}

/// Trains the leased run and reports its end. An `Err` means that the whole worker must stop.
pub(crate) async fn hold(
    context: &Context,
    fetcher: &Fetcher,
    bench: &Bench,
    lease: Lease,
    stop: &CancellationToken,
) -> Result<Held, WorkerError> {
    let began = Instant::now();
    if let Some(wait) = lease.waited {
        context.metrics.waited(wait);
    }
    let batch = u64::from(lease.spec.configuration.training.batch_size);
    let attempt = Arc::new(Attempt::new(context.metrics.clone(), batch));
    let mut holder = Holder {
        context,
        lease: &lease,
        attempt: &attempt,
        checkpoints: Checkpoints::new(&lease),
        stopped: Stopped::No,
        slot: SlotState::Idle,
    };
    holder.enter(SlotState::Fetching);
    let end = holder.until_ended(work(context, fetcher, bench, &lease, &attempt), stop).await;
    holder.enter(SlotState::Finishing);
    let verdict = holder.verdict(end);
    holder.tell_untold(&verdict.outcome).await;
    let mut held = verdict.held;
    if let Some(outcome) = verdict.outcome {
        let told = finish(context, &lease, &outcome, &attempt.log_text(), stop).await?;
        holder.after(&outcome, told, began.elapsed());
        if told == Told::Nothing && held == Held::Success {
            held = Held::Other;
        }
    } else {
        context.metrics.attempt("stale");
    }
    bench.inputs.set(Shelf::default());
    holder.enter(SlotState::Idle);
    match held {
        Held::Success => context.status.success(),
        Held::Fault => context.status.fault(&verdict.error),
        Held::Other => {}
    }
    verdict.fatal.map_or(Ok(held), |error| Err(WorkerError::Process(error)))
}

/// How the work on an attempt ended.
enum Worked {
    /// The training thread answered.
    Trained(Ended),
    /// It yielded, and its checkpoint is durable, or could not be stored.
    Yielded(Option<CheckpointPointer>),
    /// The training never began: an error of the run.
    Input(String),
    /// The training never began: this worker is at fault.
    Fault(String),
}

/// Everything that takes its time, done while the holder beats.
async fn work(
    context: &Context,
    fetcher: &Fetcher,
    bench: &Bench,
    lease: &Lease,
    attempt: &Arc<Attempt>,
) -> Worked {
    match fetcher.shelf(&lease.sweep, &lease.spec, attempt).await {
        Ok(shelf) => bench.inputs.set(shelf),
        Err(error) if error.is_fault() => return Worked::Fault(error.to_string()),
        Err(error) => return Worked::Input(error.to_string()),
    }
    let resume = match checkpoints::newest(&context.blobs, lease).await {
        Ok(resume) => resume,
        Err(error) => return Worked::Fault(format!("its checkpoint cannot be read: {error}")),
    };
    attempt.log(match &resume {
        Some(from) => format!(
            "attempt {}: resumed after epoch {}, batch {}",
            lease.attempt.0, from.epoch, from.batch
        ),
        None => format!("attempt {}: started", lease.attempt.0),
    });
    let dataset = bench.inputs.dataset(&lease.spec.configuration.dataset);
    attempt.begin_training(dataset.map_or(0, |dataset| dataset.val_count()));
    let ended = match bench.thread.train(lease.spec.clone(), resume, attempt.clone()) {
        Ok(training) => training.await,
        Err(gone) => return Worked::Fault(gone.to_string()),
    };
    match ended {
        Ok(Ended::Returned(Ok(Training::Yielded(checkpoint)))) => {
            Worked::Yielded(checkpoints::store(context, checkpoint, attempt).await)
        }
        Ok(ended) => Worked::Trained(ended),
        Err(_) => Worked::Trained(Ended::Panicked("the training thread ended".to_owned())),
    }
}

/// How an attempt ended for the holder.
enum End {
    Worked(Worked),
    /// Handed back before the training began, or at the drain deadline.
    Yielded,
    /// Given up on: no batch for too long.
    Stalled,
    /// Nobody wants it, and the training had not begun.
    Unwanted,
    /// The device is gone, another slot found.
    DeviceLost(String),
}

/// Why the training thread was told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    No,
    Yielding,
    Cancelled,
    Lost,
}

/// What the end of an attempt means.
struct Verdict {
    /// What to tell the store, if anything.
    outcome: Option<Outcome>,
    held: Held,
    /// The fault or error, for the status.
    error: String,
    /// Why the process must end, if it must.
    fatal: Option<String>,
}

struct Holder<'a> {
    context: &'a Context,
    lease: &'a Lease,
    attempt: &'a Arc<Attempt>,
    checkpoints: Checkpoints,
    stopped: Stopped,
    slot: SlotState,
}

impl Holder<'_> {
    /// Beats until the work ended or is given up.
    async fn until_ended(
        &mut self,
        work: impl Future<Output = Worked>,
        stop: &CancellationToken,
    ) -> End {
        let mut work = std::pin::pin!(work);
        let options = &self.context.options;
        let mut last_beat = Instant::now();
        let mut next_beat = last_beat + options.policy.beat.mul_f64(random::jitter());
        let mut next_checkpoint = Instant::now() + options.checkpoint_every;
        let mut drain_until = None;
        loop {
            if self.attempt.is_training() {
                self.enter(SlotState::Training);
            } else {
                // Nothing is lost by leaving before the training began.
                match self.stopped {
                    Stopped::No => {}
                    Stopped::Yielding => return End::Yielded,
                    Stopped::Cancelled | Stopped::Lost => return End::Unwanted,
                }
            }
            self.checkpoints.store(self.context, self.attempt);
            let deadline = drain_until.unwrap_or(next_beat);
            tokio::select! {
                worked = &mut work => return End::Worked(worked),
                () = stop.cancelled(), if drain_until.is_none() => {
                    drain_until = Some(Instant::now() + options.drain);
                    self.stop(Stopped::Yielding);
                }
                () = sleep_until(deadline), if drain_until.is_some() => return End::Yielded,
                why = self.context.status.device_lost() => return End::DeviceLost(why),
                () = self.attempt.rung() => next_beat = next_beat.min(last_beat + options.epoch_beat),
                () = self.checkpoints.stored() => next_beat = next_beat.min(Instant::now()),
                () = sleep_until(next_checkpoint) => {
                    next_checkpoint = Instant::now() + options.checkpoint_every;
                    self.attempt.order(TrainOrder::Checkpoint);
                }
                () = sleep_until(next_beat) => {
                    last_beat = Instant::now();
                    let answered = self.stopped == Stopped::Lost || self.beat().await;
                    let pause = if answered { options.policy.beat } else { RETRY.min(options.policy.beat) };
                    next_beat = last_beat + pause.mul_f64(random::jitter());
                    if self.attempt.is_training() && self.attempt.quiet() > self.stall_limit() {
                        self.attempt.order(TrainOrder::Stop);
                        return End::Stalled;
                    }
                }
            }
        }
    }

    /// One beat; whether the store answered. A worker that cannot reach the store keeps training: the fence makes that safe.
    async fn beat(&mut self) -> bool {
        let epochs = self.attempt.take_epochs();
        let checkpoint = self.checkpoints.untold;
        let progress = Progress { epochs, step: self.attempt.steps(), checkpoint };
        let policy = &self.context.options.policy;
        if checkpoint.is_some() {
            self.context.crash.reached(Point::BeforePointer).await;
        }
        let call = self.context.calls.beat(&self.lease.run, self.lease.fence, &progress, policy);
        // Dropped when it takes too long: whether it counted does not matter, and the next one brings the same news.
        let answer = timeout(policy.beat.max(RETRY), call).await;
        if checkpoint.is_some() {
            self.context.crash.reached(Point::PointerSent).await;
        }
        let why = match answer {
            Ok(Ok(order)) => {
                if let (Some(pointer), false) = (checkpoint, order == Order::Lost) {
                    self.checkpoints.told(pointer, &self.context.blobs);
                }
                match order {
                    Order::Continue => {}
                    Order::Yield => self.stop(Stopped::Yielding),
                    Order::Cancel => self.stop(Stopped::Cancelled),
                    Order::Lost => {
                        self.context.metrics.late("beat");
                        self.stop(Stopped::Lost);
                    }
                }
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        tracing::warn!(run.id = %self.lease.run, why, "a beat was not answered; training goes on");
        self.context.metrics.beat_failures.inc();
        self.attempt.return_epochs(progress.epochs);
        false
    }

    fn stop(&mut self, why: Stopped) {
        if self.stopped == Stopped::No || why != Stopped::Yielding {
            self.stopped = why;
        }
        let order = if why == Stopped::Yielding { TrainOrder::Yield } else { TrainOrder::Stop };
        self.attempt.order(order);
    }

    fn enter(&mut self, state: SlotState) {
        if self.slot != state {
            self.context.metrics.slot(self.slot, state);
            self.slot = state;
        }
    }

    /// What to tell the store, and what it says about this worker.
    fn verdict(&mut self, end: End) -> Verdict {
        let checkpoint = self.checkpoints.untold;
        if self.stopped == Stopped::Lost {
            tracing::warn!(run.id = %self.lease.run, "the lease was lost; the attempt is dropped");
            return Verdict::of(None, Held::Other);
        }
        match end {
            End::Yielded => Verdict::of(Some(Outcome::Yielded { checkpoint }), Held::Other),
            End::Unwanted => Verdict::of(Some(Outcome::Cancelled), Held::Other),
            End::DeviceLost(why) => self.fault(format!("device lost: {why}")),
            End::Stalled => {
                let error = format!("stalled: no batch for {} s", self.attempt.quiet().as_secs());
                Verdict { fatal: Some(error.clone()), ..self.error(error) }
            }
            End::Worked(Worked::Yielded(stored)) => {
                let checkpoint = stored.or(checkpoint);
                Verdict::of(Some(Outcome::Yielded { checkpoint }), Held::Other)
            }
            End::Worked(Worked::Input(error)) => self.error(error),
            End::Worked(Worked::Fault(error)) => self.fault(error),
            End::Worked(Worked::Trained(ended)) => self.trained(ended),
        }
    }

    fn trained(&mut self, ended: Ended) -> Verdict {
        match ended {
            Ended::Returned(Ok(Training::Finished(result))) => {
                Verdict::of(Some(Outcome::Succeeded(Box::new(result))), Held::Success)
            }
            Ended::Returned(Ok(Training::Yielded(_))) => {
                let checkpoint = self.checkpoints.untold;
                Verdict::of(Some(Outcome::Yielded { checkpoint }), Held::Other)
            }
            Ended::Returned(Ok(Training::Stopped)) => {
                Verdict::of(Some(Outcome::Cancelled), Held::Other)
            }
            Ended::Returned(Err(TrainError::Input(error))) => {
                self.attempt.log(format!("error: {error}"));
                Verdict::of(Some(Outcome::Failed { error }), Held::Other)
            }
            Ended::Returned(Err(TrainError::Transient(error))) => self.error(error),
            Ended::Returned(Err(TrainError::Device(error))) => {
                self.context.status.lose_device(&error);
                let error = format!("device lost: {error}");
                Verdict { fatal: Some(error.clone()), ..self.fault(error) }
            }
            Ended::Panicked(message) => self.error(format!("panic: {message}")),
        }
    }

    /// An error that may go away: tried again until the limit.
    fn error(&self, error: String) -> Verdict {
        self.attempt.log(format!("error: {error}"));
        let policy = &self.context.options.policy;
        let errors = self.lease.errors + 1;
        let outcome = if errors >= policy.error_limit {
            Outcome::Failed { error }
        } else {
            Outcome::Retry { due_in: policy.retry_delay(errors, random::jitter()), error }
        };
        Verdict::of(Some(outcome), Held::Other)
    }

    /// The worker is at fault: another one may have the run at once.
    fn fault(&self, error: String) -> Verdict {
        self.attempt.log(format!("this worker is at fault: {error}"));
        tracing::error!(run.id = %self.lease.run, error, "this worker cannot train");
        let outcome = Some(Outcome::Faulted { error: error.clone() });
        Verdict { outcome, held: Held::Fault, error, fatal: None }
    }

    /// A checkpoint that is durable but not told serves the next attempt; only a yield tells it by itself.
    async fn tell_untold(&mut self, outcome: &Option<Outcome>) {
        let goes_on = matches!(outcome, Some(Outcome::Retry { .. } | Outcome::Faulted { .. }));
        if goes_on && self.checkpoints.untold.is_some() {
            self.beat().await;
        }
    }

    /// Counts the end that the store was told, and frees what nobody needs after it.
    fn after(&mut self, outcome: &Outcome, told: Told, took: Duration) {
        let metrics = &self.context.metrics;
        metrics.attempt(if told == Told::Stale { "stale" } else { label(outcome) });
        if told == Told::Stale {
            metrics.late("finish");
        }
        if told != Told::Applied {
            return;
        }
        match outcome {
            Outcome::Succeeded(result) => {
                // A trainer that keeps time counts earlier attempts too.
                let trained = Duration::try_from_secs_f64(result.seconds).unwrap_or_default();
                let took = if trained.is_zero() { took } else { trained };
                metrics.run(&self.lease.spec, took);
                self.checkpoints.free_all(&self.context.blobs);
            }
            Outcome::Failed { .. } => self.checkpoints.free_all(&self.context.blobs),
            Outcome::Yielded { checkpoint: Some(pointer) } => {
                self.checkpoints.told(*pointer, &self.context.blobs);
            }
            _ => {}
        }
    }

    fn stall_limit(&self) -> Duration {
        let stall = self.context.options.stall;
        let ten = 10.0 * self.attempt.median_epoch();
        stall.max(Duration::try_from_secs_f64(ten).unwrap_or(stall))
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.enter(SlotState::Idle);
    }
}

impl Verdict {
    fn of(outcome: Option<Outcome>, held: Held) -> Self {
        Self { outcome, held, error: String::new(), fatal: None }
    }
}

fn label(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Retry { .. } => "retry",
        Outcome::Failed { .. } => "failed",
        Outcome::Yielded { .. } => "yielded",
        Outcome::Faulted { .. } => "faulted",
        Outcome::Cancelled => "cancelled",
    }
}
