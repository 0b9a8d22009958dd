//! The store's calls that a worker makes, each timed.

use std::sync::Arc;

use sweep_core::ids::{Fence, RunId, SweepId};
use sweep_core::sweep::Document;
use sweep_store::{
    AnyStore, Applied, Leased, Now, Order, Outcome, Policy, Progress, Reads, Store, StoreError,
    Wish,
};

use crate::metrics::Metrics;

/// See the module.
#[derive(Clone)]
pub(crate) struct Calls {
    store: AnyStore,
    metrics: Arc<Metrics>,
}

impl Calls {
    pub(crate) fn new(store: AnyStore, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    pub(crate) async fn lease(&self, wish: &Wish, policy: &Policy) -> Result<Leased, StoreError> {
        let _timer = self.timer("lease");
        self.store.lease(Now::Server, wish, policy).await
    }

    pub(crate) async fn beat(
        &self,
        run: &RunId,
        fence: Fence,
        progress: &Progress,
        policy: &Policy,
    ) -> Result<Order, StoreError> {
        let _timer = self.timer("beat");
        self.store.beat(Now::Server, run, fence, progress, policy).await
    }

    pub(crate) async fn finish(
        &self,
        run: &RunId,
        fence: Fence,
        outcome: &Outcome,
        log: &str,
        policy: &Policy,
    ) -> Result<Applied, StoreError> {
        let _timer = self.timer("finish");
        self.store.finish(Now::Server, run, fence, outcome, log, policy).await
    }

    pub(crate) async fn document(&self, sweep: &SweepId) -> Result<Option<Document>, StoreError> {
        let _timer = self.timer("sweep");
        Ok(self.store.sweep(sweep).await?.map(|(_, document)| document))
    }

    fn timer(&self, call: &'static str) -> prometheus::HistogramTimer {
        debug_assert!(crate::metrics::CALLS.contains(&call), "a closed set: {call}");
        self.metrics.calls.with_label_values(&[call]).start_timer()
    }
}
