//! How many configurations of the sweeps shown have ended with all their seeds: what only the runs themselves say.
//!
//! Reading all runs of a sweep takes the store a while, so it is done again only when its counts have changed, and never for more
//! than a small share of the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sweep_core::ids::{ConfigurationId, SweepId};
use sweep_store::{Reads, StoreError, SweepStatus};

use super::Metrics;
use crate::service::app::App;

/// After a reading the same sweep rests so many times as long as the reading took: at most 2 % of the time is spent on it.
const REST: u32 = 50;
/// Between two looks at the store so much time goes to readings; sweeps left over are read after the next one.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Runs read at a time.
const PAGE: u32 = 500;

/// Configurations of one sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Configurations {
    pub(super) all: u32,
    /// Those of which every run has ended.
    pub(super) complete: u32,
}

/// What was read of each sweep, and when it may be read again.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<SweepId, Look>);

#[derive(Debug)]
struct Look {
    /// Runs, and runs that had ended, when it was read.
    of: (u32, u32),
    again: Instant,
}

impl Looks {
    /// Reads what has changed of the sweeps shown.
    pub(super) async fn update(&mut self, app: &App) -> Result<(), StoreError> {
        let begun = Instant::now();
        let shown = app.metrics.sweeps_shown();
        self.0.retain(|sweep, _| shown.iter().any(|status| status.id == *sweep));
        for status in &shown {
            // While runs arrive, a configuration may seem complete that is not.
            if status.sealed && self.is_due(status, Instant::now()) && begun.elapsed() < AT_ONCE {
                let begun = Instant::now();
                let counted = count(&app.store, &status.id).await?;
                let look = Look { of: of(status), again: Instant::now() + REST * begun.elapsed() };
                self.0.insert(status.id.clone(), look);
                app.metrics.counted(&status.id, counted);
            }
        }
        Ok(())
    }

    fn is_due(&self, status: &SweepStatus, now: Instant) -> bool {
        self.0.get(&status.id).is_none_or(|look| look.of != of(status) && now >= look.again)
    }
}

fn of(status: &SweepStatus) -> (u32, u32) {
    (status.counts.total(), status.counts.total() - status.counts.unfinished())
}

async fn count(store: &impl Reads, sweep: &SweepId) -> Result<Configurations, StoreError> {
    let mut ended: HashMap<ConfigurationId, bool> = HashMap::new();
    let mut after = None;
    loop {
        let page = store.runs(sweep, &[], false, after.as_ref(), PAGE).await?;
        for record in page.runs {
            let all = ended.entry(record.run.spec.configuration.id()).or_insert(true);
            *all &= record.state.is_terminal();
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let complete = ended.values().filter(|all| **all).count();
    Ok(Configurations { all: ended.len() as u32, complete: complete as u32 })
}

impl Metrics {
    /// The sweeps with series of their own, as of the last look.
    fn sweeps_shown(&self) -> Vec<SweepStatus> {
        let shown = self.shown();
        let sweeps = shown.snapshot.iter().flat_map(|snapshot| &snapshot.sweeps);
        sweeps.filter(|sweep| shown.admitted.get(&sweep.id).is_some()).cloned().collect()
    }

    fn counted(&self, sweep: &SweepId, configurations: Configurations) {
        self.shown().admitted.counted(sweep, configurations);
    }
}

#[cfg(test)]
mod tests {
    use super::super::admitted::tests::sweep;
    use super::*;

    #[test]
    fn a_sweep_is_read_again_when_its_counts_changed_and_it_has_rested() {
        let (mut looks, mut status, now) = (Looks::default(), sweep(1, 3), Instant::now());
        assert!(looks.is_due(&status, now));
        let rest = Duration::from_secs(10);
        looks.0.insert(status.id.clone(), Look { of: of(&status), again: now + rest });
        assert!(!looks.is_due(&status, now + rest), "nothing has changed");
        (status.counts.queued, status.counts.failed) = (2, 1);
        assert!(!looks.is_due(&status, now), "it rests");
        assert!(looks.is_due(&status, now + rest));
    }
}
