//! One slot: lease, hold the attempt to its end, lease again.

use std::sync::Arc;
use std::time::Duration;

use sweep_core::lifecycle::Holder;
use sweep_core::run::DataKey;
use sweep_store::{Leased, Policy, RequestId, Wish};
use tokio_util::sync::CancellationToken;

use crate::hold::{self, Bench, Held};
use crate::inputs::{Fetcher, Inputs};
use crate::metrics::SlotState;
use crate::random;
use crate::thread::TrainingThread;
use crate::worker::{Worker, WorkerError};

/// Between two looks at whether a broken worker has mended, as the success of another slot may do.
const BROKEN: Duration = Duration::from_secs(1);
/// Data sets that a slot is thought to have in memory still, which is more than most machines have room for.
const REMEMBERED: usize = 3;

pub(crate) async fn run(
    worker: Arc<Worker>,
    fetcher: Arc<Fetcher>,
    index: u32,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let ended = leases(&worker, &fetcher, index, &stop).await;
    worker.context.metrics.slot(SlotState::Idle, SlotState::Stopped);
    ended
}

async fn leases(
    worker: &Worker,
    fetcher: &Fetcher,
    index: u32,
    stop: &CancellationToken,
) -> Result<(), WorkerError> {
    let context = &worker.context;
    let options = &context.options;
    let holder = Holder { worker: worker.name.clone(), slot: index };
    let inputs = Inputs::default();
    let trainers = worker.trainers.clone();
    let thread = TrainingThread::start(format!("slot-{index}"), trainers, inputs.clone())?;
    let bench = Bench { thread, inputs };
    let mut idle = Idle::new(&options.policy);
    let mut trained = Vec::new();
    let mut request = RequestId(random::bits());
    while !stop.is_cancelled() {
        if let Some(last) = context.status.broken() {
            if options.exit_when_idle.is_some() {
                // Whoever waits for the process's end must hear of it.
                return Err(WorkerError::Broken { faults: options.fault_limit, last });
            }
            pause(BROKEN, stop).await;
            continue;
        }
        let wish = Wish {
            holder: holder.clone(),
            request,
            device: options.device,
            only: options.only.clone(),
            holds: held(&trained, fetcher.held()),
        };
        let policy = Policy { poll: idle.step(), ..options.policy.clone() };
        match context.calls.lease(&wish, &policy).await {
            Ok(Leased::Lease(lease)) => {
                let _holding = context.status.holding();
                // A new wish has a new id; the same id again would be answered with the lease just held.
                request = RequestId(random::bits());
                tracing::debug!(run.id = %lease.run, slot = index, "leased");
                let data = lease.spec.data_key();
                trained.retain(|known| *known != data);
                trained.insert(0, data);
                trained.truncate(REMEMBERED);
                match hold::hold(context, fetcher, &bench, *lease, stop).await? {
                    Held::Fault => {
                        // Room for whatever broke to mend, and for other workers to take the run.
                        idle.grow();
                        pause(idle.step(), stop).await;
                    }
                    Held::Success | Held::Other => idle.reset(),
                }
            }
            Ok(Leased::Nothing { drain: true, .. }) => {
                context.status.drain();
                break;
            }
            Ok(Leased::Nothing { wait, .. }) => {
                let left = time_left(options.exit_when_idle, context.status.idle());
                if left == Some(Duration::ZERO) {
                    tracing::info!("nothing to do for long enough");
                    stop.cancel();
                    break;
                }
                idle.grow();
                pause(left.map_or(wait, |left| wait.min(left)), stop).await;
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(%error, "the store did not answer a lease; trying again");
                idle.grow();
                pause(idle.step(), stop).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What a wish names: what this slot trained on last, and then what any slot's run brought to the cache.
fn held(trained: &[DataKey], cached: Vec<DataKey>) -> Vec<DataKey> {
    let mut held = trained.to_vec();
    held.extend(cached.into_iter().filter(|key| !trained.contains(key)));
    held
}

/// How long a worker that has been idle for `idle` still waits; `None`: for ever, or as long as another slot works.
fn time_left(limit: Option<Duration>, idle: Option<Duration>) -> Option<Duration> {
    Some(limit?.saturating_sub(idle?))
}

/// Poll steps that double while there is nothing to do, so that an idle fleet costs little and a busy one reacts at once.
struct Idle {
    step: Duration,
    min: Duration,
    max: Duration,
}

impl Idle {
    fn new(policy: &Policy) -> Self {
        Self { step: policy.poll_min, min: policy.poll_min, max: policy.poll_max }
    }

    fn step(&self) -> Duration {
        self.step
    }

    fn grow(&mut self) {
        self.step = (self.step * 2).min(self.max);
    }

    fn reset(&mut self) {
        self.step = self.min;
    }
}

async fn pause(wait: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(wait.mul_f64(random::jitter())) => {}
        () = stop.cancelled() => {}
    }
}
