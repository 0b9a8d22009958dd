//! Where sweeps, runs and leases live: one trait, `SQLite` and Redis behind it.
//!
//! Reading order: [`words`] (what is said to a store and what it answers), [`policy`] (the numbers a caller sets), [`read`]
//! (what readers see), [`store`] (the traits and [`AnyStore`], picked by URL), [`sqlite`], [`mod@redis`],
//! [`durability`] (what a power loss may cost), [`blobs`] (files in a directory, a bucket, behind a coordinator).
//! The life cycle itself is pure and lives in [`sweep_core::lifecycle`]. Not here: HTTP, training, reports.

pub mod blobs;
pub mod durability;
pub mod error;
mod limits;
pub mod policy;
pub mod read;
pub mod redis;
pub mod sqlite;
pub mod store;
pub mod words;

pub use durability::Warning;
pub use error::{Refusal, StoreError};
pub use policy::Policy;
pub use read::{
    AttemptEnding, AttemptRecord, Counts, Demand, Event, EventCursor, EventKind, Events,
    PageCursor, RunDetail, RunPage, RunProgress, SweepStatus, WorkerStatus,
};
pub use store::{AnyStore, Reads, Store};
pub use sweep_core::lifecycle::{CheckpointPointer, Holder, LossPolicy};
pub use words::{
    Applied, Command, HOLDS_MAX, Lease, Leased, NewSweep, Now, Order, Outcome, Progress, RequestId,
    Submission, Submitted, SweepState, Ticked, Wish,
};
