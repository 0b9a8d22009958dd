//! Head mode: features of a frozen backbone, computed once, and heads trained on them in milliseconds.
//!
//! A head on fixed features is a few thousand numbers. Autodiff and one tensor operation after the other would cost more than the
//! arithmetic, so this module writes the gradients of all losses out by hand; the formulas are those of [`crate::loss`] and both
//! are held to the same golden values. Everything here runs on the host, on one thread, in one fixed order: a run's result does not
//! depend on what runs beside it. Why there is no batched training of several heads: `docs/decisions/`.
//!
//! Reading order: [`features`] (what is trained on, and its cache), `linear` (parameters, step, evaluation), `row` (losses and
//! gradients of one sample), `kernels` (the two products), `update` (optimizers).

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]

pub mod cache;
pub mod features;
mod kernels;
mod linear;
mod row;
mod update;

pub use features::Features;
pub use linear::{HeadNumbers, LinearHead};
