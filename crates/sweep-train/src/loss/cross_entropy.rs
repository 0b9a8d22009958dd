//! Cross entropy of softmax and its relatives: label smoothing (Szegedy 2016) and focal loss (Lin 2017). Every margin loss ends
//! here too.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::targets::Targets;

/// ln Σ_j e^{z_j} − Σ_j q_j z_j for a distribution q: the cross entropy of softmax(z) against q, in [entropy of q, ∞).
///
/// Both terms are taken after subtracting the row's largest logit, which cancels; so nothing overflows.
///
/// # Shapes
/// `logits`, `q` [N, C] → [N, 1]
pub(super) fn cross_entropy<B: Backend>(logits: Tensor<B, 2>, q: Tensor<B, 2>) -> Tensor<B, 2> {
    let shifted = shifted(logits);
    let log_sum = shifted.clone().exp().sum_dim(1).log();
    log_sum - (shifted * q).sum_dim(1)
}

/// Cross entropy against q = (1−ε)·o + ε/C; ε = 0 is plain softmax.
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn smoothed<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    epsilon: f64,
) -> Tensor<B, 2> {
    let classes = logits.dims()[1] as f64;
    let q = match epsilon {
        0.0 => targets.one_hot(),
        _ => targets.one_hot().mul_scalar(1.0 - epsilon).add_scalar(epsilon / classes),
    };
    cross_entropy(logits, q)
}

/// −α(1−p_y)^γ ln p_y, ≥ 0; γ = 0, α = 1 is softmax.
///
/// 1 − p_y is the sum of the other probabilities, never a difference, which would lose every digit of a well classified sample.
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn focal<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    gamma: f64,
    alpha: f64,
) -> Tensor<B, 2> {
    if gamma == 0.0 {
        return cross_entropy(logits, targets.one_hot()).mul_scalar(alpha);
    }
    let shifted = shifted(logits);
    let exponentials = shifted.clone().exp();
    let sum = exponentials.clone().sum_dim(1);
    let wrong = (exponentials * targets.others()).sum_dim(1) / sum.clone(); // 1 − p_y
    let cross_entropy = sum.log() - targets.pick(shifted);
    power(wrong, gamma) * cross_entropy.mul_scalar(alpha)
}

/// base^γ for base ≥ 0 and γ ≥ 1; small whole exponents by multiplication, which is exact and cheap.
fn power<B: Backend>(base: Tensor<B, 2>, gamma: f64) -> Tensor<B, 2> {
    match gamma {
        1.0 => base,
        2.0 => base.square(),
        _ => base.powf_scalar(gamma),
    }
}

/// Logits minus the largest of their row; the shift takes no part in the gradient, since it changes no softmax.
fn shifted<B: Backend>(logits: Tensor<B, 2>) -> Tensor<B, 2> {
    let largest = logits.clone().detach().max_dim(1);
    logits - largest
}
