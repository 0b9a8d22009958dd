//! Additive margins on cosines: am_softmax, also called CosFace (Wang 2018, twice), ldam (Cao 2019) and arcface (Deng 2019).
//!
//! Cross entropy of s·cosθ_j with a handicap for the target. The scale s is fixed, never learned. With m = 0 all three are the
//! cross entropy of s·cosθ_j; ldam with equal counts is am_softmax with m = m_max.

use std::f64::consts::PI;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::head::{Angles, Head};

use super::cross_entropy::cross_entropy;
use super::targets::Targets;

/// Smallest sin²θ in f32: keeps the gradient of the root finite at θ = 0 and π.
const SMALLEST_SQUARED_SINE: f64 = 1e-6;

/// m of each class.
#[derive(Debug, Clone, Copy)]
pub(super) enum Margins<'a> {
    /// One for all.
    Same(f64),
    /// Each class its own: [C].
    PerClass(&'a [f64]),
}

/// m_j = m_max·(n_min/n_j)^¼: rarer classes get larger margins.
pub(super) fn ldam_margins(max_margin: f64, class_counts: &[u32]) -> Vec<f64> {
    let counts = class_counts.iter().map(|n| f64::from((*n).max(1)));
    let fewest = counts.clone().fold(f64::INFINITY, f64::min);
    counts.map(|n| max_margin * (fewest / n).powf(0.25)).collect()
}

/// Cross entropy of s(cosθ_j − m_j·o_j).
///
/// # Shapes
/// `cosines` [N, C] → [N, 1]
pub(super) fn additive_margin<B: Backend>(
    cosines: Tensor<B, 2>,
    targets: &Targets<B>,
    scale: f64,
    margins: Margins<'_>,
) -> Tensor<B, 2> {
    let scaled = cosines.mul_scalar(scale);
    let logits = match margins {
        Margins::Same(0.0) => scaled,
        Margins::Same(margin) => scaled - targets.one_hot().mul_scalar(scale * margin),
        Margins::PerClass(margins) => {
            let handicaps: Vec<f32> =
                margins.iter().map(|margin| (scale * margin) as f32).collect();
            let handicaps = TensorData::new(handicaps, [1, margins.len()]);
            let handicaps = Tensor::from_data(handicaps, (&scaled.device(), DType::F32));
            scaled - targets.one_hot() * handicaps
        }
    };
    cross_entropy(logits, targets.one_hot())
}

/// Cross entropy of s·cosθ_j with the target's cosine replaced by [`arcface_target`]: loss [N, 1] and cosines [N, C].
pub(super) fn arcface<B: Backend>(
    head: &Head<B>,
    x: Tensor<B, 2>,
    targets: &Targets<B>,
    scale: f64,
    margin: f64,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let angles = head.angles(x.clone());
    let cosines = angles.cosines.clone();
    let logits = match margin {
        0.0 => angles.cosines,
        _ => {
            let sines = squared_sines(head, x, targets, &angles);
            let target = arcface_target(targets.pick(cosines.clone()), sines, margin);
            targets.replace(angles.cosines, target)
        }
    };
    (cross_entropy(logits.mul_scalar(scale), targets.one_hot()), cosines)
}

/// cos(θ+m) = c·cos m − sinθ·sin m while θ + m < π, beyond that c − m·sin m, for c = cosθ; m in radians.
///
/// Beyond π the cosine would rise again; the second branch keeps the target falling (with a downward jump). The gradient is that
/// with respect to `cos`, by d sinθ/dc = −c/sinθ; none flows into `squared_sine`.
///
/// # Shapes
/// `cos`, `squared_sine` (1 − c²) [N, 1] → [N, 1]
pub fn arcface_target<B: Backend>(
    cos: Tensor<B, 2>,
    squared_sine: Tensor<B, 2>,
    margin: f64,
) -> Tensor<B, 2> {
    let value = cos.clone().detach();
    let beyond = value.clone().lower_equal_elem((PI - margin).cos());
    let sine = squared_sine.detach().clamp_min(SMALLEST_SQUARED_SINE).sqrt();
    let slope = value.clone() / sine.clone();
    let sine = sine - (cos.clone() - value) * slope; // adds 0, and the gradient
    let rotated = cos.clone().mul_scalar(margin.cos()) - sine.mul_scalar(margin.sin());
    rotated.mask_where(beyond, cos.sub_scalar(margin * margin.sin()))
}

/// sin²θ_y from the chord between the unit vectors: 1 − cosθ = |x/‖x‖ − W_y/‖W_y‖|²/2. Not tracked. [N, 1]
///
/// 1 − c² from an f32 cosine is off by 1e-7, at 1° that is 4e-4 of the sine's square, and s = 30 makes it visible in the loss.
fn squared_sines<B: Backend>(
    head: &Head<B>,
    x: Tensor<B, 2>,
    targets: &Targets<B>,
    angles: &Angles<B>,
) -> Tensor<B, 2> {
    let directions = head.weight.val().detach() / angles.weight_norms.clone().detach().transpose(); // [C, D]
    let features = x.detach() / angles.feature_norms.clone().detach();
    let chords = features - directions.select(0, targets.labels());
    let versine = chords.square().sum_dim(1).mul_scalar(0.5); // 1 − cosθ
    versine.clone() * versine.neg().add_scalar(2.0)
}

#[cfg(test)]
mod tests {
    use super::ldam_margins;

    #[test]
    fn the_rarest_class_has_the_largest_margin() {
        let margins = ldam_margins(0.5, &[16, 1, 81]);
        approx::assert_abs_diff_eq!(margins[..], [0.25, 0.5, 0.5 / 3.0], epsilon = 1e-15);
    }

    #[test]
    fn equal_counts_mean_equal_margins() {
        assert_eq!(ldam_margins(0.3, &[70, 70, 70]), [0.3; 3]);
    }
}
