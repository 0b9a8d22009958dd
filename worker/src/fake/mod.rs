//! A trainer that trains nothing: it drives queue, leases, beats, results and reports in seconds, in tests and benchmarks.
//!
//! Its result is a pure function of configuration and seed, built up batch by batch and carried in its checkpoints, so that a
//! killed and resumed fake sweep must end like an unbroken one: a batch that is skipped or done twice shows in the result.
//! Faults are asked for by seed ([`FakeBehaviour`]).

mod behaviour;
mod trainer;

pub use behaviour::{FakeBehaviour, UnknownTrainer};
pub use trainer::FakeTrainer;
