//! Distances between one-hot labels and probabilities (Janocha & Czarnecki 2017).
//!
//! With softmax L1 = 2(1−p_y) and L2 = (1−p_y)² + Σ_{j≠y} p_j², both in [0, 2]. 1 − p_y is summed up from the other probabilities,
//! never a difference. The gradient of L1 vanishes for confidently wrong samples, hence slow starts.

use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::backend::Backend;

use sweep_core::loss::Sigma;

use super::targets::Targets;

/// Σ_j |o_j − σ(z)_j|.
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn l1<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    sigma: Sigma,
) -> Tensor<B, 2> {
    match sigma {
        Sigma::Softmax => wrong_probabilities(logits, targets).sum_dim(1).mul_scalar(2.0),
        Sigma::Sigmoid => sigmoid_distances(logits, targets).sum_dim(1),
    }
}

/// Σ_j (o_j − σ(z)_j)².
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn l2<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    sigma: Sigma,
) -> Tensor<B, 2> {
    match sigma {
        Sigma::Softmax => {
            let wrong = wrong_probabilities(logits, targets);
            wrong.clone().sum_dim(1).square() + wrong.square().sum_dim(1)
        }
        Sigma::Sigmoid => sigmoid_distances(logits, targets).square().sum_dim(1),
    }
}

/// p_j where j ≠ y, 0 at the target: [N, C]
fn wrong_probabilities<B: Backend>(logits: Tensor<B, 2>, targets: &Targets<B>) -> Tensor<B, 2> {
    softmax(logits, 1) * targets.others()
}

/// |o_j − σ(z_j)| = σ(−t_j z_j): [N, C]
fn sigmoid_distances<B: Backend>(logits: Tensor<B, 2>, targets: &Targets<B>) -> Tensor<B, 2> {
    sigmoid(logits * targets.signs().neg())
}
