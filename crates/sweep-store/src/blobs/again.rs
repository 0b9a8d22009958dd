//! How often and how long a coordinator is asked again.

use std::time::Duration;

use super::error::BlobError;

/// Numbers of one caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Tries without progress, the first included.
    pub(super) tries: u32,
    /// Pause after the first; doubles with each one.
    pub(super) first: Duration,
    /// No pause is longer, unless the coordinator asks for it.
    pub(super) longest: Duration,
    /// No answer and no byte for this long is a failure.
    pub(super) quiet: Duration,
}

/// A coordinator that restarts is back within this half a minute; a longer outage is the lease loop's to bear.
pub(super) const PATIENCE: Patience = Patience {
    tries: 8,
    first: Duration::from_millis(250),
    longest: Duration::from_secs(8),
    quiet: Duration::from_secs(30),
};

/// A coordinator may ask to be left alone for at most this long.
const AFTER_MAX: Duration = Duration::from_secs(60);

/// Counts the tries of one call.
pub(super) struct Tries {
    patience: Patience,
    failed: u32,
}

impl Tries {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, failed: 0 }
    }

    /// Progress was made: failures so far do not count.
    pub(super) fn restart(&mut self) {
        self.failed = 0;
    }

    /// Waits after `error` if another try makes sense, else returns it.
    pub(super) async fn after(&mut self, error: BlobError) -> Result<(), BlobError> {
        self.failed += 1;
        if !error.is_retryable() || self.failed >= self.patience.tries {
            return Err(error);
        }
        let pause = self.patience.first.saturating_mul(1 << (self.failed - 1).min(16));
        let mut pause = pause.min(self.patience.longest).mul_f64(0.5 + 0.5 * jitter());
        if let BlobError::Status { after: Some(after), .. } = &error {
            pause = pause.max((*after).min(AFTER_MAX));
        }
        tracing::debug!(%error, ?pause, "trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// In [0, 1), different in each process and call: the hasher of a map is seeded by the system.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}
