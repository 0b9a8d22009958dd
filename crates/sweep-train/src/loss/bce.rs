//! Binary cross entropy, one against all.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::backend::Backend;

use super::targets::Targets;

/// Σ_j softplus(−t_j z_j) = −Σ_j ln σ(t_j z_j), ≥ 0, with labels t = ±1.
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn one_against_all<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
) -> Tensor<B, 2> {
    log_sigmoid(logits * targets.signs()).sum_dim(1).neg()
}
