//! A store whose every word is measured.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use sweep_core::ids::{Digest, Fence, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_core::sweep::Document;
use sweep_store::{
    AnyStore, Applied, Command, Demand, EventCursor, Events, Leased, NewSweep, Now, Order, Outcome,
    PageCursor, Policy, Progress, Reads, RunDetail, RunPage, RunProgress, Store, StoreError,
    Submitted, SweepStatus, Ticked, Wish, WorkerStatus,
};

use super::Metrics;

/// A store and where its times go. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Timed {
    store: AnyStore,
    metrics: Metrics,
}

impl Timed {
    pub(crate) fn new(store: AnyStore, metrics: Metrics) -> Self {
        Self { store, metrics }
    }

    async fn time<T>(&self, op: &str, word: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let answer = word.await;
        self.metrics.0.store.with_label_values(&[op]).observe(begun.elapsed().as_secs_f64());
        answer
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

macro_rules! timed {
    ($trait:ident: $(fn $name:ident(&self $(, $arg:ident: $type:ty)*) -> $reply:ty;)*) => {
        impl $trait for Timed {
            $(async fn $name(&self $(, $arg: $type)*) -> Result<$reply, StoreError> {
                self.time(stringify!($name), self.store.$name($($arg),*)).await
            })*
        }
    };
}

timed! { Reads:
    fn sweeps(&self) -> Vec<SweepStatus>;
    fn sweep(&self, sweep: &SweepId) -> Option<(SweepStatus, Document)>;
    fn runs(&self, sweep: &SweepId, states: &[StateName], with_results: bool, after: Option<&PageCursor>, limit: u32) -> RunPage;
    fn results(&self, sweep: &SweepId) -> Vec<RunRecord>;
    fn run(&self, run: &RunId) -> Option<RunDetail>;
    fn states(&self, runs: &[RunId]) -> Vec<Option<StateName>>;
    fn demand(&self) -> Demand;
    fn workers(&self) -> Vec<WorkerStatus>;
}

timed! { Store:
    fn submit(&self, now: Now, sweep: &NewSweep, runs: &[Run], last: bool) -> Submitted;
    fn lease(&self, now: Now, wish: &Wish, policy: &Policy) -> Leased;
    fn beat(&self, now: Now, run: &RunId, fence: Fence, progress: &Progress, policy: &Policy) -> Order;
    fn finish(&self, now: Now, run: &RunId, fence: Fence, outcome: &Outcome, log: &str, policy: &Policy) -> Applied;
    fn control(&self, now: Now, command: &Command) -> ();
    fn tick(&self, now: Now, policy: &Policy) -> Ticked;
    fn live(&self, run: &RunId) -> RunProgress;
    fn checkpoints(&self) -> BTreeSet<Digest>;
    fn event_cursor(&self) -> EventCursor;
    fn events(&self, after: &EventCursor, wait: Duration) -> Events;
    fn violations(&self) -> Vec<String>;
}
