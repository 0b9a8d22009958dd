//! The worker: leases runs, trains them on one OS thread per slot, beats while they train, reports under the fence.
//!
//! Reading order: [`Worker`] (slots, stopping), `slot` (the lease loop), `hold` (one attempt from lease to finish), `attempt`
//! (what the training thread shares with it), `thread` (where training runs), [`fake`] (a trainer that trains nothing).

mod attempt;
pub mod fake;
mod hold;
mod random;
mod slot;
mod thread;
mod worker;

pub use thread::TrainerFactory;
pub use worker::{Options, Worker, WorkerError};
