//! Cosine loss (Barz & Denzler 2020): the angle between an embedding of dimension C and the label's one-hot vector.
//!
//! Independent of the embedding's length, so its gradient falls with it: needs large learning rates.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::head::{Head, row_norms, unit_rows};

use super::cross_entropy::cross_entropy;
use super::targets::Targets;

/// 1 − e_y/‖e‖, in [0, 2].
///
/// # Shapes
/// `embedding` [N, C] → [N, 1]
pub(super) fn cosine<B: Backend>(embedding: Tensor<B, 2>, targets: &Targets<B>) -> Tensor<B, 2> {
    let cos = targets.pick(embedding.clone()) / row_norms(embedding);
    cos.neg().add_scalar(1.0)
}

/// Cosine loss plus λ times the cross entropy of a second head on e/‖e‖: loss [N, 1] and plain logits of the second head [N, C].
pub(super) fn with_cross_entropy<B: Backend>(
    head: &Head<B>,
    x: Tensor<B, 2>,
    targets: &Targets<B>,
    weight: f64,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let unit = unit_rows(head.linear(x));
    let cos = targets.pick(unit.clone());
    let logits = head.second(unit);
    let cross_entropy = cross_entropy(logits.clone(), targets.one_hot());
    (cross_entropy.mul_scalar(weight) - cos.sub_scalar(1.0), logits)
}
