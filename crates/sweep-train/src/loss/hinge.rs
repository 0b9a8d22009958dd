//! Hinge losses: margins between logits, without probabilities. All are 0 exactly where every margin is met.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::targets::Targets;

/// Stands for −∞ in f32 logits: below any logit of a training that has not diverged.
const MASKED: f32 = -1e9;

/// Σ_j max(0, Δ − t_j z_j)^q, with labels t = ±1.
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn one_against_all<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    margin: f64,
    power: u32,
) -> Tensor<B, 2> {
    let violations = (logits * targets.signs()).neg().add_scalar(margin);
    raised(positive_part(violations), power).sum_dim(1)
}

/// max(0, Δ + max_{j≠y} z_j − z_y)^q (Crammer & Singer 2001).
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn crammer_singer<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    margin: f64,
    power: u32,
) -> Tensor<B, 2> {
    let target = targets.pick(logits.clone());
    let strongest_rival = logits.mask_fill(targets.mask(), MASKED).max_dim(1);
    raised(positive_part((strongest_rival - target).add_scalar(margin)), power)
}

/// Σ_{j≠y} max(0, Δ + z_j − z_y)^q (Weston & Watkins 1999); never below [`crammer_singer`].
///
/// # Shapes
/// `logits` [N, C] → [N, 1]
pub(super) fn weston_watkins<B: Backend>(
    logits: Tensor<B, 2>,
    targets: &Targets<B>,
    margin: f64,
    power: u32,
) -> Tensor<B, 2> {
    let target = targets.pick(logits.clone());
    let violations = (logits - target).add_scalar(margin) * targets.others();
    raised(positive_part(violations), power).sum_dim(1)
}

/// max(0, v), with gradient 0 at 0.
///
/// By mask, not by `relu` or `clamp_min`: on the CPU backend those turn NaN into 0, which would hide a diverged training.
fn positive_part<B: Backend>(v: Tensor<B, 2>) -> Tensor<B, 2> {
    let met = v.clone().lower_equal_elem(0.0);
    v.mask_fill(met, 0.0)
}

fn raised<B: Backend>(base: Tensor<B, 2>, power: u32) -> Tensor<B, 2> {
    (1..power).fold(base.clone(), |product, _| product * base.clone())
}
