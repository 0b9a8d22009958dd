//! The run life cycle. See `docs/run-states.md`.

use serde::{Deserialize, Serialize};

/// The name of a run's state, for tables, counters and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Waits in line.
    Queued,
    /// A worker trains it.
    Leased,
    /// Waits for a later try.
    Delayed,
    /// Has a result (diverged included).
    Succeeded,
    /// Has none and will not be tried again by itself.
    Failed,
    /// No sweep wants it.
    Cancelled,
}
