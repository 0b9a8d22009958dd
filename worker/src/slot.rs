//! One slot: lease, hold the attempt to its end, lease again.

use std::sync::Arc;
use std::time::Duration;

use sweep_core::lifecycle::Holder;
use sweep_store::{Leased, Now, Policy, RequestId, Store, StoreError, Wish};
use tokio_util::sync::CancellationToken;

use crate::hold;
use crate::random;
use crate::thread::TrainingThread;
use crate::worker::{Worker, WorkerError};

pub(crate) async fn run(
    worker: Arc<Worker>,
    index: u32,
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let holder = Holder { worker: worker.name.clone(), slot: index };
    let thread = TrainingThread::start(format!("slot-{index}"), worker.trainers.clone())?;
    let mut idle = Idle::new(&worker.options.policy);
    let mut request = RequestId(random::bits());
    while !stop.is_cancelled() {
        let wish = Wish {
            holder: holder.clone(),
            request,
            device: worker.options.device,
            only: worker.options.only.clone(),
        };
        let policy = Policy { poll: idle.step(), ..worker.options.policy.clone() };
        match worker.store.lease(Now::Server, &wish, &policy).await {
            Ok(Leased::Lease(lease)) => {
                idle.reset();
                // A new wish has a new id; the same id again would be answered with the lease just held.
                request = RequestId(random::bits());
                hold::hold(&worker, &thread, *lease, &stop).await?;
            }
            Ok(Leased::Nothing { drain: true, .. }) => break,
            Ok(Leased::Nothing { wait, .. }) => {
                idle.grow();
                pause(wait, &stop).await;
            }
            Err(error) if error.is_retryable() => {
                log_retry(&error);
                idle.grow();
                pause(idle.step(), &stop).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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

fn log_retry(error: &StoreError) {
    tracing::warn!(%error, "the store did not answer a lease; trying again");
}
