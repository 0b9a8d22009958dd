//! Telling the store how an attempt ended, until it answers.

use std::time::Duration;

use sweep_store::{Applied, Lease, Outcome, StoreError};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::crash::Point;
use crate::random;
use crate::worker::{Context, WorkerError};

/// A finish is repeated this long before the slot gives up on it; then the lease expires and the run is trained again.
const FINISH_FOR: Duration = Duration::from_secs(30 * 60);
/// A worker that must go repeats it this long after it was told: what is left between the drain's end and being killed.
const LAST_WORDS: Duration = Duration::from_secs(8);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(2);

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It counts.
    Applied,
    /// The lease no longer stood.
    Stale,
    /// The store is away, and the worker must go: the lease will expire.
    Nothing,
}

/// Sends the end of an attempt until it is answered. Sending it twice is harmless: the store knows the fence.
pub(crate) async fn finish(
    context: &Context,
    lease: &Lease,
    outcome: &Outcome,
    log: &str,
    stop: &CancellationToken,
) -> Result<Told, WorkerError> {
    let mut give_up = Instant::now() + FINISH_FOR;
    let mut stopping = false;
    let mut refused = None;
    loop {
        let outcome = refused.as_ref().unwrap_or(outcome);
        context.crash.reached(Point::BeforeFinish).await;
        let policy = &context.options.policy;
        let call = context.calls.finish(&lease.run, lease.fence, outcome, log, policy);
        let answer = tokio::select! {
            answer = call => Some(answer),
            () = sleep_until(give_up) => None,
            () = stop.cancelled(), if !stopping => {
                // A store that is away must not keep a worker that has to go.
                stopping = true;
                give_up = give_up.min(Instant::now() + LAST_WORDS);
                continue;
            }
        };
        context.crash.reached(Point::FinishSent).await;
        match answer {
            Some(Ok(applied)) => {
                context.crash.reached(Point::ReplyRead).await;
                if applied == Applied::Stale {
                    tracing::warn!(run.id = %lease.run, "the end of a lost attempt was refused");
                    return Ok(Told::Stale);
                }
                return Ok(Told::Applied);
            }
            None => {
                tracing::warn!(run.id = %lease.run, "the store is away; the lease will expire");
                return Ok(Told::Nothing);
            }
            Some(Err(error)) if error.is_retryable() => {
                tracing::warn!(run.id = %lease.run, %error, "the end of an attempt was not answered; trying again");
                let pause = RETRY.min(context.options.policy.beat).mul_f64(random::jitter());
                sleep_until((Instant::now() + pause).min(give_up)).await;
            }
            // The result itself is refused: that is the run's end, not the worker's.
            Some(Err(error @ StoreError::ResultTooLarge { .. })) if refused.is_none() => {
                refused = Some(Outcome::Failed { error: error.to_string() });
            }
            Some(Err(error)) => return Err(error.into()),
        }
    }
}
