//! The worker: leases runs, trains them on one OS thread per slot, beats while they train, reports under the fence.
//!
//! Reading order: [`Worker`] (slots, stopping), `slot` (the lease loop), `hold` (one attempt from lease to finish) with
//! `checkpoints` and `finish`, `attempt` (what the training thread shares with it), `thread` (where training runs), `inputs` and
//! `cache` (files that runs need), `status`, `metrics` and `monitor` (what others see), [`fake`] (a trainer that trains nothing).

mod attempt;
mod cache;
mod calls;
mod checkpoints;
mod crash;
pub mod fake;
mod finish;
mod gpu;
mod hold;
mod inputs;
mod metrics;
mod monitor;
mod random;
mod slot;
mod status;
#[cfg(test)]
mod tests;
mod thread;
mod worker;

pub use cache::CacheOptions;
pub use inputs::Inputs;
pub use metrics::every_metric;
pub use monitor::Monitor;
pub use thread::TrainerFactory;
pub use worker::{Options, Worker, WorkerError};
