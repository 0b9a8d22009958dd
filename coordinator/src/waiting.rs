//! Services and their store are started together, in any order.

use std::time::Duration;

use sweep_store::{Reads, StoreError};
use tokio_util::sync::CancellationToken;

/// Between two tries at a store that is not up yet.
const AGAIN: Duration = Duration::from_millis(500);

/// Waits until the store answers, and says so once in the log; whether it did before `stop`.
///
/// # Errors
/// What waiting cannot mend: a wrong password, a layout of another version.
pub async fn wait_for(store: &impl Reads, stop: &CancellationToken) -> Result<bool, StoreError> {
    let mut said = false;
    loop {
        let error = match store.demand().await {
            Ok(_) => return Ok(true),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error),
        };
        if !said {
            tracing::warn!("waiting for the store: {error}");
            said = true;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return Ok(false),
        }
    }
}
