//! Losses of one sample and their gradients, written out: from inner products, norms and bias to the same.
//!
//! One function per family, each the derivative of its namesake in [`crate::loss`], where the formulas and their sources stand. A
//! row has a handful of classes, so everything here is in double precision; only the products with thousands of features are not.

use std::f64::consts::PI;

use sweep_core::loss::{Loss, Sigma};

use crate::loss::Objective;

/// Smallest sin²θ, as in `loss/additive.rs`.
const SMALLEST_SQUARED_SINE: f64 = 1e-6;
/// Added to a squared norm before its root, as in [`crate::head`].
const NORM_EPSILON: f64 = 1e-12;
/// Added to the product of norms before dividing by it, as in `loss/angular.rs`.
const DIVISOR_EPSILON: f64 = 1e-9;

/// What a sample's loss is made of.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// a_j = W_j·x of each class: [C]
    pub(super) products: &'a [f64],
    /// [C]; empty where the head has none.
    pub(super) bias: &'a [f32],
    /// ‖W_j‖: [C]; empty where the loss does not ask for them.
    pub(super) weight_norms: &'a [f64],
    /// ‖x‖
    pub(super) feature_norm: f64,
    /// y
    pub(super) label: usize,
    /// a_y in double precision from the start, for arcface: near θ = 0 the sine of a rounded cosine has few digits.
    pub(super) exact_target: f64,
}

/// What [`evaluate`] finds: [C] each, overwritten.
#[derive(Debug)]
pub(super) struct Found {
    /// Plain logits.
    pub(super) logits: Vec<f64>,
    /// ∂L/∂a_j, which is ∂L/∂b_j as well where there is a bias.
    pub(super) products: Vec<f64>,
    /// ∂L/∂‖W_j‖; zero where the loss knows no norms.
    pub(super) norms: Vec<f64>,
    scratch: Vec<f64>,
}

/// The second head of cosine_xent with the sums of its gradients.
#[derive(Debug)]
pub(super) struct Second<'a> {
    /// [C, C], one row per class.
    pub(super) weight: &'a [f32],
    /// [C]
    pub(super) bias: &'a [f32],
    /// Gains ∂L/∂weight.
    pub(super) weight_gradient: &'a mut [f64],
    /// Gains ∂L/∂bias.
    pub(super) bias_gradient: &'a mut [f64],
}

impl Found {
    pub(super) fn new(classes: usize) -> Self {
        let zeros = vec![0.0; classes];
        Self {
            logits: zeros.clone(),
            products: zeros.clone(),
            norms: zeros.clone(),
            scratch: zeros,
        }
    }
}

/// Whether a loss asks for the norms of weights.
pub(super) fn knows_norms(loss: &Loss) -> bool {
    matches!(
        loss,
        Loss::LSoftmax { .. }
            | Loss::ASoftmax { .. }
            | Loss::AmSoftmax { .. }
            | Loss::Ldam { .. }
            | Loss::Arcface { .. }
    )
}

/// The loss of a sample; plain logits and gradients go to `found`, and for cosine_xent to `second`.
pub(super) fn evaluate(
    objective: &Objective,
    lambda: f64,
    row: &Row<'_>,
    second: Option<&mut Second<'_>>,
    found: &mut Found,
) -> f64 {
    let Found { logits, products: gradient, norms, scratch } = found;
    let y = row.label;
    norms.fill(0.0);
    for (j, logit) in logits.iter_mut().enumerate() {
        *logit = row.products[j] + row.bias.get(j).map_or(0.0, |b| f64::from(*b));
    }
    match *objective.loss() {
        Loss::L1Sigma { sigma } => sigma_distance(logits, y, sigma, false, gradient),
        Loss::L2Sigma { sigma } => sigma_distance(logits, y, sigma, true, gradient),
        Loss::Hinge { margin, power } => hinge(logits, y, margin, power, gradient),
        Loss::HingeCs { margin, power } => crammer_singer(logits, y, margin, power, gradient),
        Loss::HingeWw { margin, power } => weston_watkins(logits, y, margin, power, gradient),
        Loss::Bce {} => bce(logits, y, gradient),
        Loss::Softmax { label_smoothing } => cross_entropy(logits, y, label_smoothing, gradient),
        Loss::Focal { gamma, alpha } => focal(logits, y, gamma, alpha, gradient),
        Loss::LSoftmax { margin, .. } => {
            let norm = row.weight_norms[y] * row.feature_norm;
            let (loss, by_norm) = angular(logits, y, margin, lambda, norm, scratch, gradient);
            norms[y] = by_norm * row.feature_norm;
            loss
        }
        Loss::ASoftmax { margin, .. } => {
            for (logit, norm) in logits.iter_mut().zip(row.weight_norms) {
                *logit /= norm;
            }
            let norm = row.feature_norm;
            let (loss, _) = angular(logits, y, margin, lambda, norm, scratch, gradient);
            through_norms(row.weight_norms, 1.0, logits, gradient, norms);
            loss
        }
        Loss::AmSoftmax { scale, margin } => {
            cosines(row, logits);
            let handicap = |_| margin;
            let loss = additive(logits, y, scale, handicap, scratch, gradient);
            through_norms(row.weight_norms, row.feature_norm, logits, gradient, norms);
            loss
        }
        Loss::Ldam { scale, .. } => {
            cosines(row, logits);
            let handicap = |class: usize| objective.class_margins()[class];
            let loss = additive(logits, y, scale, handicap, scratch, gradient);
            through_norms(row.weight_norms, row.feature_norm, logits, gradient, norms);
            loss
        }
        Loss::Arcface { scale, margin } => {
            cosines(row, logits);
            let exact = row.exact_target / (row.weight_norms[y] * row.feature_norm);
            let loss = arcface(logits, y, scale, margin, exact, scratch, gradient);
            through_norms(row.weight_norms, row.feature_norm, logits, gradient, norms);
            loss
        }
        Loss::Cosine {} => cosine(logits, y, gradient),
        Loss::CosineXent { cross_entropy_weight } => {
            let second = second.expect("a head for cosine_xent has a second part");
            cosine_xent(logits, y, cross_entropy_weight, second, scratch, gradient)
        }
    }
}

/// 1 for the label, else 0.
fn one_hot(j: usize, y: usize) -> f64 {
    f64::from(u8::from(j == y))
}

/// 1 for the label, else −1.
fn sign(j: usize, y: usize) -> f64 {
    if j == y { 1.0 } else { -1.0 }
}

/// Softmax of `logits`; gives ln Σ e^z.
fn softmax(logits: &[f64], p: &mut [f64]) -> f64 {
    // Not `max`: NaN must pass.
    let largest = logits.iter().copied().fold(logits[0], |m, z| if z <= m { m } else { z });
    let mut sum = 0.0;
    for (p, z) in p.iter_mut().zip(logits) {
        *p = libm::exp(z - largest);
        sum += *p;
    }
    p.iter_mut().for_each(|p| *p /= sum);
    largest + libm::log(sum)
}

/// Σ_{j≠y} p_j: 1 − p_y without a difference.
fn wrong_share(p: &[f64], y: usize) -> f64 {
    p.iter().enumerate().filter(|(j, _)| *j != y).map(|(_, p)| p).sum()
}

/// 1/(1 + e^−v).
fn sigmoid(v: f64) -> f64 {
    if v >= 0.0 {
        1.0 / (1.0 + libm::exp(-v))
    } else {
        let e = libm::exp(v);
        e / (1.0 + e)
    }
}

/// base^γ; small whole exponents by multiplication.
fn power(base: f64, gamma: f64) -> f64 {
    match gamma {
        0.0 => 1.0,
        1.0 => base,
        2.0 => base * base,
        _ => libm::pow(base, gamma),
    }
}

fn sigma_distance(z: &[f64], y: usize, sigma: Sigma, squared: bool, gradient: &mut [f64]) -> f64 {
    match sigma {
        Sigma::Softmax => {
            softmax(z, gradient);
            let wrong = wrong_share(gradient, y);
            let others = || gradient.iter().enumerate().filter(|(j, _)| *j != y);
            let squares: f64 = others().map(|(_, p)| p * p).sum();
            for (j, p) in gradient.iter_mut().enumerate() {
                let other = 1.0 - one_hot(j, y);
                let by_wrong = *p * (other - wrong);
                *p = if squared {
                    2.0 * (wrong * by_wrong + *p * (other * *p - squares))
                } else {
                    2.0 * by_wrong
                };
            }
            if squared { wrong * wrong + squares } else { 2.0 * wrong }
        }
        Sigma::Sigmoid => {
            let mut loss = 0.0;
            for (j, (z, gradient)) in z.iter().zip(gradient).enumerate() {
                let t = sign(j, y);
                let q = sigmoid(-t * z);
                let slope = -t * q * (1.0 - q);
                loss += if squared { q * q } else { q };
                *gradient = if squared { 2.0 * q * slope } else { slope };
            }
            loss
        }
    }
}

/// max(0, v)^q and its derivative, 0 at 0. NaN passes.
fn violation(v: f64, power: u32) -> (f64, f64) {
    if v <= 0.0 {
        return (0.0, 0.0);
    }
    let below = (1..power).fold(1.0, |product, _| product * v);
    (below * v, f64::from(power) * below)
}

fn hinge(z: &[f64], y: usize, margin: f64, power: u32, gradient: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for (j, (z, gradient)) in z.iter().zip(gradient).enumerate() {
        let t = sign(j, y);
        let (value, slope) = violation(margin - t * z, power);
        loss += value;
        *gradient = -t * slope;
    }
    loss
}

fn crammer_singer(z: &[f64], y: usize, margin: f64, power: u32, gradient: &mut [f64]) -> f64 {
    let mut rival: Option<usize> = None;
    for j in (0..z.len()).filter(|j| *j != y) {
        // NaN must win, or a diverged run would look well.
        if rival.is_none_or(|best| z[j] > z[best] || z[j].is_nan()) {
            rival = Some(j);
        }
    }
    gradient.fill(0.0);
    let Some(rival) = rival else { return 0.0 };
    let (value, slope) = violation(margin + z[rival] - z[y], power);
    gradient[rival] = slope;
    gradient[y] = -slope;
    value
}

fn weston_watkins(z: &[f64], y: usize, margin: f64, power: u32, gradient: &mut [f64]) -> f64 {
    let (mut loss, mut by_target) = (0.0, 0.0);
    for (j, gradient) in gradient.iter_mut().enumerate().filter(|(j, _)| *j != y) {
        let (value, slope) = violation(margin + z[j] - z[y], power);
        loss += value;
        by_target -= slope;
        *gradient = slope;
    }
    gradient[y] = by_target;
    loss
}

fn bce(z: &[f64], y: usize, gradient: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for (j, (z, gradient)) in z.iter().zip(gradient).enumerate() {
        let v = -sign(j, y) * z;
        let positive = if v <= 0.0 { 0.0 } else { v };
        loss += positive + libm::log1p(libm::exp(-v.abs()));
        *gradient = -sign(j, y) * sigmoid(v);
    }
    loss
}

/// Against (1−ε)·o + ε/C.
fn cross_entropy(z: &[f64], y: usize, epsilon: f64, gradient: &mut [f64]) -> f64 {
    let mut loss = softmax(z, gradient);
    let even = epsilon / z.len() as f64;
    for (j, (z, gradient)) in z.iter().zip(gradient).enumerate() {
        let q = (1.0 - epsilon) * one_hot(j, y) + even;
        // The label's share is never 0, and 0·∞ would be NaN.
        if q != 0.0 {
            loss -= q * z;
        }
        *gradient -= q;
    }
    loss
}

fn focal(z: &[f64], y: usize, gamma: f64, alpha: f64, gradient: &mut [f64]) -> f64 {
    let log_sum = softmax(z, gradient);
    let wrong = wrong_share(gradient, y);
    let cross_entropy = log_sum - z[y];
    let weight = power(wrong, gamma);
    let slope = if gamma == 0.0 { 0.0 } else { gamma * power(wrong, gamma - 1.0) };
    for (j, p) in gradient.iter_mut().enumerate() {
        let by_wrong = *p * (1.0 - one_hot(j, y) - wrong);
        *p = alpha * (slope * cross_entropy * by_wrong + weight * (*p - one_hot(j, y)));
    }
    alpha * weight * cross_entropy
}

/// ψ_m(θ) and its derivative by c = cosθ.
fn psi(c: f64, margin: u32) -> (f64, f64) {
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let (chebyshev, slope, thresholds): (f64, f64, &[f64]) = match margin {
        2 => (2.0 * c * c - 1.0, 4.0 * c, &[0.0]),
        3 => ((4.0 * c * c - 3.0) * c, 12.0 * c * c - 3.0, &[0.5, -0.5]),
        4 => {
            let square = c * c;
            (8.0 * square * (square - 1.0) + 1.0, (32.0 * square - 16.0) * c, &[half, 0.0, -half])
        }
        _ => (c, 1.0, &[]),
    };
    let segment = thresholds.iter().filter(|threshold| c <= **threshold).count();
    let sign = if segment % 2 == 0 { 1.0 } else { -1.0 };
    (sign * chebyshev - 2.0 * segment as f64, sign * slope)
}

/// Cross entropy with the target's logit f replaced by (λf + N·ψ(f/N))/(1+λ); gives the loss and its derivative by N = `norm`.
fn angular(
    z: &[f64],
    y: usize,
    margin: u32,
    lambda: f64,
    norm: f64,
    scratch: &mut [f64],
    gradient: &mut [f64],
) -> (f64, f64) {
    if margin == 1 {
        return (cross_entropy(z, y, 0.0, gradient), 0.0);
    }
    let (plain, divisor) = (z[y], norm + DIVISOR_EPSILON);
    let c = plain / divisor;
    let (value, slope) = psi(c, margin);
    let share = 1.0 / (1.0 + lambda);
    let hard = norm * value * share;
    scratch.copy_from_slice(z);
    scratch[y] = if lambda == 0.0 { hard } else { hard + plain * lambda * share };
    let loss = cross_entropy(scratch, y, 0.0, gradient);
    let by_target = gradient[y];
    gradient[y] = by_target * (lambda + norm / divisor * slope) * share;
    (loss, by_target * (value - norm / divisor * slope * c) * share)
}

/// Turns products into cosines.
fn cosines(row: &Row<'_>, logits: &mut [f64]) {
    for (logit, norm) in logits.iter_mut().zip(row.weight_norms) {
        *logit /= norm * row.feature_norm;
    }
}

/// From the gradient by z_j = a_j/(‖W_j‖·`norm`) to those by a_j and ‖W_j‖.
fn through_norms(
    weight_norms: &[f64],
    norm: f64,
    z: &[f64],
    gradient: &mut [f64],
    norms: &mut [f64],
) {
    for (j, weight_norm) in weight_norms.iter().enumerate() {
        norms[j] = -gradient[j] * z[j] / weight_norm;
        gradient[j] /= weight_norm * norm;
    }
}

/// Cross entropy of s(cosθ_j − m_j·o_j), and its gradient by the cosines.
fn additive(
    cosines: &[f64],
    y: usize,
    scale: f64,
    margin: impl Fn(usize) -> f64,
    scratch: &mut [f64],
    gradient: &mut [f64],
) -> f64 {
    for (logit, cosine) in scratch.iter_mut().zip(cosines) {
        *logit = scale * cosine;
    }
    scratch[y] -= scale * margin(y);
    let loss = cross_entropy(scratch, y, 0.0, gradient);
    gradient.iter_mut().for_each(|g| *g *= scale);
    loss
}

/// Cross entropy of s·cosθ_j with the target's cosine turned by the margin; `exact` is the target's cosine.
fn arcface(
    cosines: &[f64],
    y: usize,
    scale: f64,
    margin: f64,
    exact: f64,
    scratch: &mut [f64],
    gradient: &mut [f64],
) -> f64 {
    for (logit, cosine) in scratch.iter_mut().zip(cosines) {
        *logit = scale * cosine;
    }
    let mut slope = 1.0;
    if margin != 0.0 {
        let c = exact;
        let target = if c <= libm::cos(PI - margin) {
            c - margin * libm::sin(margin)
        } else {
            let squared = (1.0 - c) * (1.0 + c);
            let sine = if squared <= SMALLEST_SQUARED_SINE {
                SMALLEST_SQUARED_SINE.sqrt()
            } else {
                squared.sqrt()
            };
            slope = libm::cos(margin) + c / sine * libm::sin(margin);
            c * libm::cos(margin) - sine * libm::sin(margin)
        };
        scratch[y] = scale * target;
    }
    let loss = cross_entropy(scratch, y, 0.0, gradient);
    gradient.iter_mut().for_each(|g| *g *= scale);
    gradient[y] *= slope;
    loss
}

fn norm(e: &[f64]) -> f64 {
    (e.iter().map(|v| v * v).sum::<f64>() + NORM_EPSILON).sqrt()
}

fn cosine(e: &[f64], y: usize, gradient: &mut [f64]) -> f64 {
    let norm = norm(e);
    let cos = e[y] / norm;
    for (j, (e, gradient)) in e.iter().zip(gradient).enumerate() {
        *gradient = (cos * e / norm - one_hot(j, y)) / norm;
    }
    1.0 - cos
}

/// `embedding` becomes the second head's logits.
fn cosine_xent(
    embedding: &mut [f64],
    y: usize,
    weight: f64,
    second: &mut Second<'_>,
    unit: &mut [f64],
    gradient: &mut [f64],
) -> f64 {
    let classes = embedding.len();
    let norm = norm(embedding);
    for (u, e) in unit.iter_mut().zip(&*embedding) {
        *u = e / norm;
    }
    let cos = unit[y];
    let rows = second.weight.chunks_exact(classes);
    for ((logit, row), bias) in embedding.iter_mut().zip(rows).zip(second.bias) {
        let product: f64 = row.iter().zip(&*unit).map(|(w, u)| f64::from(*w) * u).sum();
        *logit = product + f64::from(*bias);
    }
    let cross_entropy = cross_entropy(embedding, y, 0.0, gradient);
    for (j, g) in gradient.iter().enumerate() {
        let g = weight * g;
        second.bias_gradient[j] += g;
        for (sum, u) in second.weight_gradient[j * classes..].iter_mut().zip(&*unit) {
            *sum += g * u;
        }
    }
    // ∂L/∂u, then through the normalisation. `unit` is at hand in e/‖e‖ still.
    let by_unit: Vec<f64> = (0..classes)
        .map(|k| {
            let back: f64 =
                (0..classes).map(|j| gradient[j] * f64::from(second.weight[j * classes + k])).sum();
            weight * back - one_hot(k, y)
        })
        .collect();
    let along: f64 = by_unit.iter().zip(&*unit).map(|(g, u)| g * u).sum();
    for ((gradient, by_unit), u) in gradient.iter_mut().zip(by_unit).zip(&*unit) {
        *gradient = (by_unit - u * along) / norm;
    }
    weight * cross_entropy + 1.0 - cos
}
