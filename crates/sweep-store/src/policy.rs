//! The numbers of leases, retries and polls. Stores hold transitions only; every number comes from the caller.

use std::time::Duration;

use sweep_core::lifecycle::LossPolicy;

/// What a caller may set. The defaults suit 1 to 10 000 slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How long a lease stands without a beat: four chances of [`Self::beat`].
    pub ttl: Duration,
    /// How often a holder beats, ± jitter.
    pub beat: Duration,
    /// What vanished workers cost a run.
    pub losses: LossPolicy,
    /// The error that ends a run as failed, counted from 1. Applied by the worker, which knows the errors from its lease.
    pub error_limit: u32,
    /// Delay after the first error, before jitter; doubles with each one.
    pub retry_step: Duration,
    /// No retry waits longer.
    pub retry_max: Duration,
    /// The caller's present poll step: how long an idle holder sleeps when nothing is due earlier.
    pub poll: Duration,
    /// Poll steps grow from this …
    pub poll_min: Duration,
    /// … to this.
    pub poll_max: Duration,
    /// What an attempt is thought to cost before any attempt of its sweep has ended.
    pub first_estimate: Duration,
    /// Expired leases that one `lease` may reap.
    pub lease_expired: u32,
    /// Due runs that one `lease` may put in line.
    pub lease_due: u32,
    /// Expired leases that one `tick` may reap.
    pub tick_expired: u32,
    /// Due runs that one `tick` may put in line.
    pub tick_due: u32,
    /// Members that one `tick` may visit after a pause, resume, cancel or retry.
    pub walk: u32,
    /// How far into a line is looked for a run on pictures that a slot holds, at most 512; 1 or 0: not at all.
    ///
    /// More than the candidates of a sweep, or the next data set is never in sight.
    pub affinity_window: u32,
    /// How often the first run of a line may be passed over for such a run; 0: never.
    pub affinity_skips: u32,
    /// Events kept for late readers.
    pub events_kept: u32,
    /// A worker unheard for this long is forgotten.
    pub worker_kept: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(60),
            beat: Duration::from_secs(15),
            losses: LossPolicy::default(),
            error_limit: 3,
            retry_step: Duration::from_secs(10),
            retry_max: Duration::from_secs(600),
            poll: Duration::from_secs(10),
            poll_min: Duration::from_millis(500),
            poll_max: Duration::from_secs(10),
            first_estimate: Duration::from_secs(60),
            lease_expired: 8,
            lease_due: 32,
            tick_expired: 256,
            tick_due: 1024,
            walk: 1000,
            affinity_window: 64,
            affinity_skips: 4,
            events_kept: 100_000,
            worker_kept: Duration::from_secs(3600),
        }
    }
}

/// No line is looked into further, whatever a policy says: a lease must stay short.
const WINDOW_MAX: u32 = 512;

impl Policy {
    /// [`Self::affinity_window`] within its bound.
    pub(crate) fn window(&self) -> u32 {
        self.affinity_window.min(WINDOW_MAX)
    }

    /// Delay before the next try after the `errors`-th error (from 1): `min(retry_max, retry_step · 2^(n−1)) · u`.
    ///
    /// `u` is the caller's jitter and is pulled into [0.5, 1].
    pub fn retry_delay(&self, errors: u32, u: f64) -> Duration {
        let doublings = errors.saturating_sub(1).min(20);
        self.retry_step
            .saturating_mul(1 << doublings)
            .min(self.retry_max)
            .mul_f64(u.clamp(0.5, 1.0))
    }

    /// The longest delay any run can have: a due time beyond it means that the clock was set back.
    pub fn longest_delay(&self) -> Duration {
        let doublings = self.losses.limit.saturating_sub(3).min(20);
        self.retry_max.max(self.losses.step.saturating_mul(1 << doublings))
    }
}

/// Whole milliseconds, the unit of stored times.
pub(crate) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_wait_twice_as_long_each_time_up_to_a_bound() {
        let policy = Policy::default();
        let seconds: Vec<_> = (1..=8).map(|n| policy.retry_delay(n, 1.0).as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(policy.retry_delay(1, 0.0), Duration::from_secs(5));
        assert_eq!(policy.retry_delay(u32::MAX, 7.0), Duration::from_secs(600));
    }

    #[test]
    fn the_longest_delay_covers_the_last_loss_before_the_limit() {
        let policy = Policy { retry_max: Duration::from_secs(1), ..Policy::default() };
        // Losses 2, 3 and 4 wait 30, 60 and 120 s; the fifth ends the run.
        assert_eq!(policy.longest_delay(), Duration::from_secs(120));
    }
}
