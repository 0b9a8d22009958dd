//! The coordinator: submits sweeps, keeps the store moving, reads a sweep back for tables and reports.
//!
//! It holds no state: everything is in the store, so it may be killed at any moment and started again. Reading order:
//! [`submit()`], [`keep()`], [`rounds`] (which runs an adaptive sweep adds), [`find()`] (a sweep by what a person types), [`View`] (a sweep read back), [`written`] (reports on
//! disk), [`wait_for`] (a store that is not up yet), [`service`] (all of it over HTTP).

mod dashboard;
mod find;
mod keep;
pub mod rounds;
pub mod service;
mod submit;
mod view;
mod waiting;
pub mod written;

pub use find::{FindError, find, find_run};
pub use keep::keep;
pub use submit::{SubmitError, Terms, submit, submit_on};
pub use view::{View, ViewError};
pub use waiting::wait_for;
