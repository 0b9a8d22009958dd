//! Losses, heads, networks and the epoch loop, on burn.
//!
//! Reading order: [`trainer`] (one run from its spec to its result: start with `trainer/training.rs`), then what a step is made
//! of: [`feed`] (pictures to batches) and [`views`] (on a device of its own), [`network`] (batches to features) on [`ops`] (its operations, fused), [`head`] (features to
//! plain logits), [`loss`] (what training minimises), [`optim`] (gradients to steps). The same for a head alone, on features computed
//! once: [`frozen`]. Beside them: [`rng`] (keyed random numbers),
//! [`checkpoint`] (a training written down), [`weights`] (pretrained weights from a file), [`device`] (CPU or CUDA).
//!
//! Everything is generic over burn's backend, and the type parameter stays inside: callers see
//! [`trainer::BurnTrainer`] behind [`sweep_core::trainer::Trainer`]. Not here: which runs there are, leases, stores, clocks on
//! the wall, tokio.

pub mod checkpoint;
pub mod device;
pub mod feed;
pub mod frozen;
pub mod head;
pub mod loss;
pub mod network;
pub mod ops;
pub mod optim;
pub mod rng;
mod shared;
pub mod trainer;
pub mod views;
pub mod weights;
