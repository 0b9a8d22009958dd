//! Optimizers and gradient clipping in torch's formulas, with a state that can be written down and read back bit for bit.
//!
//! [`rule`] holds the formulas for one parameter (`cube` the same as kernels for CUDA), [`gradients`] collects and clips what autodiff
//! left, [`Optimizer`] applies a rule to every parameter of a module. Weight decay applies to every parameter, biases and batch-norm affines included, as
//! in torch when one parameter group is given. Learning rates come in per step: the schedule is
//! [`sweep_core::training::Schedule::factor`]. Not here: when to step ([`crate::trainer`]).

#[cfg(feature = "gpu")]
mod cube;
pub mod gradients;
pub mod rule;

use burn::backend::Flex;
use burn::module::{AutodiffModule, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::backend::AutodiffBackend;

use self::gradients::ParameterGradients;
use self::rule::Moments;

/// A backend that may do a parameter's step faster than operation by operation, which is the default.
pub trait StepBackend: Backend {
    /// As [`rule::updated`].
    fn stepped(
        rule: &sweep_core::training::Optimizer,
        step: u64,
        learning_rate: f64,
        parameter: Tensor<Self, 1>,
        gradient: Tensor<Self, 1>,
        moments: Option<Moments<Self>>,
    ) -> (Tensor<Self, 1>, Moments<Self>) {
        rule::updated(rule, step, learning_rate, parameter, gradient, moments)
    }
}

impl StepBackend for Flex {}

/// An optimizer with its state: one entry per parameter that has a gradient, in module order, flat.
#[derive(Clone, Debug)]
pub struct Optimizer<B: Backend> {
    rule: sweep_core::training::Optimizer,
    steps: u64,
    moments: Vec<Option<Moments<B>>>,
}

impl<B: StepBackend> Optimizer<B> {
    /// An optimizer that has not stepped.
    pub fn new(rule: sweep_core::training::Optimizer) -> Self {
        Self { rule, steps: 0, moments: Vec::new() }
    }

    /// An optimizer as [`Optimizer::steps`] and [`Optimizer::moments`] left it.
    pub fn restored(
        rule: sweep_core::training::Optimizer,
        steps: u64,
        moments: Vec<Option<Moments<B>>>,
    ) -> Self {
        Self { rule, steps, moments }
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Moments by parameter, in module order; `None` for tensors without a gradient (running statistics).
    pub fn moments(&self) -> &[Option<Moments<B>>] {
        &self.moments
    }

    /// One step of every parameter of `module` with `gradients` of the same module, at the rate `learning_rate` (> 0).
    pub fn step<AB, M>(
        &mut self,
        module: M,
        gradients: ParameterGradients<B>,
        learning_rate: f64,
    ) -> M
    where
        AB: AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<AB>,
    {
        self.steps += 1;
        self.moments.resize_with(gradients.0.len().max(self.moments.len()), || None);
        let mut stepper = Stepper::<B> {
            rule: &self.rule,
            step: self.steps,
            learning_rate,
            gradients: gradients.0.into_iter(),
            moments: self.moments.iter_mut(),
        };
        module.map(&mut stepper)
    }
}

/// Walks a module in the order in which [`ParameterGradients::of`] did.
struct Stepper<'a, B: Backend> {
    rule: &'a sweep_core::training::Optimizer,
    step: u64,
    learning_rate: f64,
    gradients: std::vec::IntoIter<Option<Tensor<B, 1>>>,
    moments: std::slice::IterMut<'a, Option<Moments<B>>>,
}

impl<B: StepBackend, AB: AutodiffBackend<InnerBackend = B>> ModuleMapper<AB> for Stepper<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<AB, D>>) -> Param<Tensor<AB, D>> {
        let (Some(gradient), Some(moments)) = (self.gradients.next(), self.moments.next()) else {
            return param;
        };
        let Some(gradient) = gradient else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let flat = tensor.inner().reshape([-1]);
        let (flat, next) =
            B::stepped(self.rule, self.step, self.learning_rate, flat, gradient, moments.take());
        *moments = Some(next);
        Param::from_mapped_value(id, Tensor::from_inner(flat.reshape(shape)).require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Autodiff;

    use super::*;

    type Ad = Autodiff<Flex>;

    #[derive(Module, Debug)]
    struct Affine<B: Backend> {
        scale: Param<Tensor<B, 2>>,
        shift: Param<Tensor<B, 1>>,
        untrained: Param<Tensor<B, 1>>,
    }

    fn module() -> Affine<Ad> {
        let device = Default::default();
        Affine {
            scale: Param::from_tensor(Tensor::from_floats([[1.0, 2.0], [3.0, 4.0]], &device)),
            shift: Param::from_tensor(Tensor::from_floats([0.5, -0.5], &device)),
            untrained: Param::from_tensor(Tensor::from_floats([7.0], &device))
                .set_require_grad(false),
        }
    }

    fn stepped(module: Affine<Ad>, optimizer: &mut Optimizer<Flex>) -> Affine<Ad> {
        let x = Tensor::<Ad, 2>::from_floats([[1.0, -1.0]], &Default::default());
        let y = x.matmul(module.scale.val()) + module.shift.val().unsqueeze();
        let mut gradients = y.powf_scalar(2.0).sum().backward();
        let gradients = ParameterGradients::of(&module, &mut gradients);
        optimizer.step(module, gradients, 0.1)
    }

    fn values(module: &Affine<Ad>) -> Vec<f32> {
        let all = [module.scale.val().reshape([4]), module.shift.val(), module.untrained.val()];
        all.into_iter().flat_map(|t| t.into_data().to_vec::<f32>().unwrap()).collect()
    }

    const SGD: sweep_core::training::Optimizer = sweep_core::training::Optimizer::Sgd {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    };

    #[test]
    fn every_parameter_moves_and_running_statistics_stay() {
        let after = stepped(module(), &mut Optimizer::new(SGD));
        // y = (−1.5, −2.5); dy² = 2y: scale rows (−3, −5) and (3, 5), shift (−3, −5).
        assert_eq!(values(&after), [1.3, 2.5, 2.7, 3.5, 0.8, 0.0, 7.0]);
    }

    #[test]
    fn a_restored_optimizer_goes_on_bit_for_bit() {
        let mut unbroken = Optimizer::new(SGD);
        let once = stepped(module(), &mut unbroken);
        let mut restored = Optimizer::restored(SGD, unbroken.steps(), unbroken.moments().to_vec());
        let (a, b) = (stepped(once.clone(), &mut unbroken), stepped(once, &mut restored));
        assert_eq!(values(&a), values(&b));
    }
}
