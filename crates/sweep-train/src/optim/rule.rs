//! The update of one flat parameter: torch's SGD, Adam and `AdamW`, checked against torch's numbers below.

use burn::prelude::*;
use sweep_core::training::Optimizer;

/// What an optimizer remembers of one parameter, flat, of the parameter's length.
#[derive(Clone, Debug)]
pub struct Moments<B: Backend> {
    /// SGD's momentum buffer; Adam's mean of gradients.
    pub first: Tensor<B, 1>,
    /// Adam's mean of squared gradients; `None` for SGD.
    pub second: Option<Tensor<B, 1>>,
}

/// Parameter and moments after step number `step` (from 1).
///
/// # Shapes
/// All tensors: `[n]`.
pub fn updated<B: Backend>(
    rule: &Optimizer,
    step: u64,
    learning_rate: f64,
    parameter: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    moments: Option<Moments<B>>,
) -> (Tensor<B, 1>, Moments<B>) {
    match *rule {
        Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
            let gradient = decayed(gradient, &parameter, weight_decay);
            // torch starts the buffer at the first gradient, which is what a buffer of zeros gives.
            let first = match moments {
                Some(old) if momentum != 0.0 => {
                    old.first.mul_scalar(momentum).add(gradient.clone())
                }
                _ => gradient.clone(),
            };
            let direction = if nesterov {
                gradient.add(first.clone().mul_scalar(momentum))
            } else {
                first.clone()
            };
            (parameter.sub(direction.mul_scalar(learning_rate)), Moments { first, second: None })
        }
        Optimizer::Adam { beta1, beta2, epsilon, weight_decay, .. } => {
            let gradient = decayed(gradient, &parameter, weight_decay);
            adam(Betas { beta1, beta2, epsilon }, step, learning_rate, parameter, gradient, moments)
        }
        Optimizer::Adamw { beta1, beta2, epsilon, weight_decay, .. } => {
            let parameter = parameter.mul_scalar(1.0 - learning_rate * weight_decay);
            adam(Betas { beta1, beta2, epsilon }, step, learning_rate, parameter, gradient, moments)
        }
    }
}

fn decayed<B: Backend>(
    gradient: Tensor<B, 1>,
    parameter: &Tensor<B, 1>,
    weight_decay: f64,
) -> Tensor<B, 1> {
    if weight_decay == 0.0 {
        gradient
    } else {
        gradient.add(parameter.clone().mul_scalar(weight_decay))
    }
}

/// What Adam's moments, which start at 0, are corrected by.
pub(super) struct BiasCorrection {
    /// The learning rate over 1 − β₁ᵗ.
    pub(super) rate: f64,
    /// √(1 − β₂ᵗ).
    pub(super) root: f64,
}

impl BiasCorrection {
    /// At step number `step` (from 1).
    pub(super) fn at(step: u64, learning_rate: f64, beta1: f64, beta2: f64) -> Self {
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        let rate = learning_rate / (1.0 - beta1.powi(exponent));
        Self { rate, root: (1.0 - beta2.powi(exponent)).sqrt() }
    }
}

struct Betas {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

fn adam<B: Backend>(
    betas: Betas,
    step: u64,
    learning_rate: f64,
    parameter: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    moments: Option<Moments<B>>,
) -> (Tensor<B, 1>, Moments<B>) {
    let Betas { beta1, beta2, epsilon } = betas;
    let squared = gradient.clone().mul(gradient.clone()).mul_scalar(1.0 - beta2);
    let (first, second) = match moments {
        Some(Moments { first, second: Some(second) }) => {
            let first = first.clone().add(gradient.sub(first).mul_scalar(1.0 - beta1));
            (first, second.mul_scalar(beta2).add(squared))
        }
        _ => (gradient.mul_scalar(1.0 - beta1), squared),
    };
    let BiasCorrection { rate, root } = BiasCorrection::at(step, learning_rate, beta1, beta2);
    let denominator = second.clone().sqrt().div_scalar(root).add_scalar(epsilon);
    let parameter = parameter.sub(first.clone().div(denominator).mul_scalar(rate));
    (parameter, Moments { first, second: Some(second) })
}

#[cfg(test)]
mod tests {
    use approx::assert_abs_diff_eq;
    use burn::backend::Flex;

    use super::*;

    const GRADIENTS: [[f32; 3]; 4] =
        [[0.5, -1.0, 0.25], [-0.3, 0.8, 2.0], [1.5, -0.1, -0.75], [0.05, 0.4, -0.6]];

    /// Three numbers from (1, −2, ½) after the four gradients.
    fn after_four_steps(rule: Optimizer) -> Vec<f32> {
        let device = Default::default();
        let mut parameter = Tensor::<Flex, 1>::from_floats([1.0, -2.0, 0.5], &device);
        let mut moments = None;
        for (step, gradient) in (1..).zip(GRADIENTS) {
            let gradient = Tensor::from_floats(gradient, &device);
            let (next, kept) =
                updated(&rule, step, rule.learning_rate(), parameter, gradient, moments);
            (parameter, moments) = (next, Some(kept));
        }
        parameter.into_data().to_vec().unwrap()
    }

    fn assert_close(got: &[f32], expected: [f64; 3]) {
        for (&got, expected) in got.iter().zip(expected) {
            assert_abs_diff_eq!(f64::from(got), expected, epsilon = 1e-6);
        }
    }

    // Expected numbers: torch 2.15 (torch.optim.SGD, Adam, AdamW) in float64.

    #[test]
    fn sgd_without_momentum_follows_the_gradient() {
        let rule = Optimizer::Sgd {
            learning_rate: 0.1,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        };
        assert_close(&after_four_steps(rule), [0.825, -2.01, 0.41]);
    }

    #[test]
    fn sgd_with_momentum_and_weight_decay_is_torchs() {
        let rule = Optimizer::Sgd {
            learning_rate: 0.1,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-4,
        };
        assert_close(
            &after_four_steps(rule),
            [0.6189219589366688, -1.8930256179233376, 0.07434432893083429],
        );
    }

    #[test]
    fn nesterovs_momentum_is_torchs() {
        let rule = Optimizer::Sgd {
            learning_rate: 0.1,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 5e-4,
        };
        assert_close(
            &after_four_steps(rule),
            [0.4818705363920679, -1.913358430127086, 0.026883893009321425],
        );
    }

    #[test]
    fn adam_is_torchs() {
        let rule = Optimizer::Adam {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
        };
        assert_close(
            &after_four_steps(rule),
            [0.9726654812346506, -1.9820429299774673, 0.4758265919855862],
        );
    }

    #[test]
    fn adamw_is_torchs() {
        let rule = Optimizer::Adamw {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.1,
        };
        assert_close(
            &after_four_steps(rule),
            [0.972145815702599, -1.9815075000747622, 0.47474281167694155],
        );
    }
}
