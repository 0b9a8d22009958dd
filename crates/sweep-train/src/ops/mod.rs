//! The tensor operations a network is made of, with their own forward and backward passes.
//!
//! Activations are kept channels-last, `[samples, height, width, channels]` (NHWC), from the stem to the pooled features: a 1×1
//! convolution is then one matrix product, a k×k one copies whole pixels, and batch norm reads memory in order. burn's composed batch
//! norm and its generic gradient of 1×1 convolutions make CPU training about 20 times slower; that is why these operations exist.
//!
//! Not here: parameters and layers (`network`), losses (`loss`), plain matrix algebra (burn).
//!
//! Reading order: [`FusedBackend`] (the primitives), [`composed`] (the same in burn's own operations: default of any backend and the
//! oracle of the tests), `flex` (CPU), `cube` (CUDA), `narrow` (activations in fewer bits), `autodiff` (gradients), `functions` (what
//! networks call).

mod autodiff;
mod backend;
pub mod composed;
#[cfg(feature = "gpu")]
mod cube;
mod flex;
mod functions;
mod geometry;
mod narrow;

pub use backend::{FusedBackend, NormGradients, NormInput, NormOutput, NormState};
pub use functions::{
    BatchNormed, ResidualAndActivation, RunningStatistics, batch_norm_eval, batch_norm_train,
    conv2d, global_avg_pool, in_f32, max_pool2d,
};
pub use geometry::Window;
