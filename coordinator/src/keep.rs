//! The tick: expired leases, due retries, walks after a pause or cancel, due rounds of adaptive sweeps.

use std::time::Duration;

use sweep_store::{Now, Policy, Store};
use tokio_util::sync::CancellationToken;

use crate::rounds::Rounds;

/// How often the store is tended; leases last 60 s, so a second is early enough.
const EVERY: Duration = Duration::from_secs(1);

/// Ticks the store each second until `stop`. Any number of coordinators may do so at once.
pub async fn keep(store: &impl Store, policy: &Policy, stop: &CancellationToken) {
    let mut rounds = Rounds::default();
    while !stop.is_cancelled() {
        match store.tick(Now::Server, policy).await {
            Ok(ticked) if ticked.more => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a tick failed; trying again"),
        }
        if let Err(error) = rounds.advance(store).await {
            tracing::warn!(%error, "rounds could not be looked for; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
