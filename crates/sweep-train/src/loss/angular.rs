//! Multiplicative angular margins: l_softmax (Liu 2016) and a_softmax, also called SphereFace (Liu 2017).
//!
//! Cross entropy in which the target's logit ‖W_y‖‖x‖cosθ_y becomes (λ‖W_y‖‖x‖cosθ_y + ‖W_y‖‖x‖ψ_m(θ_y)) / (1+λ). a_softmax is the
//! same with ‖W_y‖ = 1. Limit cases: m = 1 and λ → ∞ are plain softmax without bias. No arc cosine anywhere: its gradient is
//! infinite at |cosθ| = 1.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::head::{Head, row_norms};

use super::cross_entropy::cross_entropy;
use super::targets::Targets;

/// Added to the product of norms before dividing by it.
const DIVISOR_EPSILON: f64 = 1e-9;

/// Loss [N, 1] and plain logits xWᵀ [N, C].
pub(super) fn l_softmax<B: Backend>(
    head: &Head<B>,
    x: Tensor<B, 2>,
    targets: &Targets<B>,
    margin: u32,
    lambda: f64,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let logits = head.linear(x.clone());
    let norms = || row_norms(x) * targets.pick(head.weight_norms());
    (with_margin(logits.clone(), norms, targets, margin, lambda), logits)
}

/// Loss [N, 1] and plain logits x(W/‖W‖)ᵀ [N, C].
pub(super) fn a_softmax<B: Backend>(
    head: &Head<B>,
    x: Tensor<B, 2>,
    targets: &Targets<B>,
    margin: u32,
    lambda: f64,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let logits = head.normweight(x.clone());
    let norms = || row_norms(x);
    (with_margin(logits.clone(), norms, targets, margin, lambda), logits)
}

/// `norms` gives the target's ‖W_y‖‖x‖: [N, 1].
fn with_margin<B: Backend>(
    logits: Tensor<B, 2>,
    norms: impl FnOnce() -> Tensor<B, 2>,
    targets: &Targets<B>,
    margin: u32,
    lambda: f64,
) -> Tensor<B, 2> {
    if margin == 1 {
        return cross_entropy(logits, targets.one_hot());
    }
    let norms = norms();
    let plain = targets.pick(logits.clone());
    let cos = plain.clone() / norms.clone().add_scalar(DIVISOR_EPSILON);
    let hard = (norms * psi(cos, margin)).mul_scalar(1.0 / (1.0 + lambda));
    let target = match lambda {
        0.0 => hard,
        _ => hard + plain.mul_scalar(lambda / (1.0 + lambda)),
    };
    cross_entropy(targets.replace(logits, target), targets.one_hot())
}

/// ψ_m(θ) = (−1)^k cos(mθ) − 2k for θ in [kπ/m, (k+1)π/m], as a function of c = cosθ: falls from 1 to 1 − 2m, never above c.
///
/// cos(mθ) is the Chebyshev polynomial T_m(c), and k counts the thresholds cos(jπ/m) that c does not exceed; so the gradient is
/// finite everywhere (m² at both ends).
///
/// # Shapes
/// `cos` [N, 1] → [N, 1]
///
/// # Panics
/// When `margin` is not in 1..=4.
pub fn psi<B: Backend>(cos: Tensor<B, 2>, margin: u32) -> Tensor<B, 2> {
    let chebyshev = match margin {
        1 => return cos,
        2 => cos.clone().square().mul_scalar(2.0).sub_scalar(1.0),
        3 => cos.clone() * cos.clone().square().mul_scalar(4.0).sub_scalar(3.0),
        4 => {
            let square = cos.clone().square();
            (square.clone() * square.sub_scalar(1.0)).mul_scalar(8.0).add_scalar(1.0)
        }
        _ => panic!("`margin` is {margin}, but must be in 1..=4"),
    };
    let segment = segment(cos.detach(), margin);
    let sign = segment.clone().remainder_scalar(2.0).mul_scalar(-2.0).add_scalar(1.0); // (−1)^k
    chebyshev * sign - segment.mul_scalar(2.0)
}

/// k, the number of j in 1..m with c ≤ cos(jπ/m): [N, 1]
fn segment<B: Backend>(cos: Tensor<B, 2>, margin: u32) -> Tensor<B, 2> {
    let thresholds: Vec<f32> = match margin {
        2 => vec![0.0],
        3 => vec![0.5, -0.5],
        _ => vec![std::f32::consts::FRAC_1_SQRT_2, 0.0, -std::f32::consts::FRAC_1_SQRT_2],
    };
    let count = thresholds.len();
    let thresholds = Tensor::<B, 2>::from_data(
        TensorData::new(thresholds, [1, count]),
        (&cos.device(), DType::F32),
    );
    cos.lower_equal(thresholds).float().cast(DType::F32).sum_dim(1)
}
