//! Optimizer steps on plain numbers: the formulas of [`crate::optim::rule`], term for term.

use sweep_core::training::Optimizer;

use super::kernels::exact_product;

/// A parameter with its gradient and what the optimizer remembers of it.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) values: Vec<f32>,
    pub(super) gradient: Vec<f32>,
    /// SGD's momentum buffer; Adam's mean of gradients. Zero before the first step.
    pub(super) first: Vec<f32>,
    /// Adam's mean of squared gradients; empty for SGD.
    pub(super) second: Vec<f32>,
}

impl Parameter {
    pub(super) fn new(values: Vec<f32>, rule: &Optimizer) -> Self {
        let zeros = vec![0.0; values.len()];
        let second = match rule {
            Optimizer::Sgd { .. } => Vec::new(),
            Optimizer::Adam { .. } | Optimizer::Adamw { .. } => zeros.clone(),
        };
        Self { gradient: zeros.clone(), first: zeros, second, values }
    }

    /// Σ of squared gradients.
    pub(super) fn squared_norm(&self) -> f64 {
        exact_product(&self.gradient, &self.gradient)
    }

    /// Step number `step` (from 1) along the gradient times `factor`.
    pub(super) fn step(&mut self, rule: &Optimizer, step: u64, learning_rate: f64, factor: f64) {
        let rate = learning_rate as f32;
        let factor = factor as f32;
        match *rule {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                let (momentum, decay) = (momentum as f32, weight_decay as f32);
                let terms = self.values.iter_mut().zip(&mut self.first).zip(&self.gradient);
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for ((value, first), gradient) in terms {
                            let gradient = gradient * factor + *value * decay;
                            *first = *first * momentum + gradient;
                            let direction =
                                if nesterov { gradient + *first * momentum } else { *first };
                            *value -= direction * rate;
                        }
                    },
                );
            }
            Optimizer::Adam { beta1, beta2, epsilon, weight_decay, .. } => {
                let decay = weight_decay as f32;
                for (gradient, value) in self.gradient.iter_mut().zip(&self.values) {
                    *gradient = *gradient * factor + *value * decay;
                }
                self.adam([beta1, beta2, epsilon], step, learning_rate);
            }
            Optimizer::Adamw { beta1, beta2, epsilon, weight_decay, .. } => {
                let keep = (1.0 - learning_rate * weight_decay) as f32;
                for (gradient, value) in self.gradient.iter_mut().zip(&mut self.values) {
                    *gradient *= factor;
                    *value *= keep;
                }
                self.adam([beta1, beta2, epsilon], step, learning_rate);
            }
        }
    }

    fn adam(&mut self, [beta1, beta2, epsilon]: [f64; 3], step: u64, learning_rate: f64) {
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        let rate = (learning_rate / (1.0 - beta1.powi(exponent))) as f32;
        let correction = (1.0 - beta2.powi(exponent)).sqrt() as f32;
        let (new1, keep2, new2) = ((1.0 - beta1) as f32, beta2 as f32, (1.0 - beta2) as f32);
        let epsilon = epsilon as f32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        let terms = self.values.iter_mut().zip(moments).zip(&self.gradient);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for ((value, (first, second)), gradient) in terms {
                    *first += (gradient - *first) * new1;
                    *second = *second * keep2 + gradient * gradient * new2;
                    *value -= *first / (second.sqrt() / correction + epsilon) * rate;
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Tensor;

    use super::*;
    use crate::optim::rule::updated;

    #[test]
    fn every_rule_is_that_of_the_whole_network() {
        let (learning_rate, weight_decay) = (0.1, 5e-3);
        let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
        let rules = [
            Optimizer::Sgd { learning_rate, momentum: 0.0, nesterov: false, weight_decay },
            Optimizer::Sgd { learning_rate, momentum: 0.9, nesterov: false, weight_decay: 0.0 },
            Optimizer::Sgd { learning_rate, momentum: 0.9, nesterov: true, weight_decay },
            Optimizer::Adam { learning_rate, beta1, beta2, epsilon, weight_decay },
            Optimizer::Adamw { learning_rate, beta1, beta2, epsilon, weight_decay },
        ];
        for rule in rules {
            let start = [1.0f32, -2.0, 0.5];
            let mut ours = Parameter::new(start.to_vec(), &rule);
            let device = Default::default();
            let (mut theirs, mut moments) = (Tensor::<Flex, 1>::from_floats(start, &device), None);
            for (step, rate) in (1..).zip([0.1, 0.05, 0.02, 0.1]) {
                let gradient = [0.5 * step as f32, -1.0, 0.25 - step as f32];
                ours.gradient = gradient.iter().map(|g| 2.0 * g).collect();
                ours.step(&rule, step, rate, 0.5);
                let gradient = Tensor::from_floats(gradient, &device);
                let (next, kept) = updated(&rule, step, rate, theirs, gradient, moments);
                (theirs, moments) = (next, Some(kept));
            }
            let theirs: Vec<f32> = theirs.into_data().to_vec().expect("f32");
            for (ours, theirs) in ours.values.iter().zip(theirs) {
                approx::assert_relative_eq!(*ours, theirs, max_relative = 1e-6);
            }
        }
    }
}
