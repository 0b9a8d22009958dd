//! Gradients of a module as flat tensors in module order, their global norm, and torch's `clip_grad_norm_`.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::backend::AutodiffBackend;

/// One entry per float tensor of a module, in module order; `None` where autodiff left nothing (running statistics).
#[derive(Clone, Debug)]
pub struct ParameterGradients<B: Backend>(pub Vec<Option<Tensor<B, 1>>>);

impl<B: Backend> ParameterGradients<B> {
    /// Takes the gradients of `module` out of what `backward` returned.
    pub fn of<AB, M>(module: &M, gradients: &mut AB::Gradients) -> Self
    where
        AB: AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<AB>,
    {
        let mut collector = Collector::<AB> { gradients, found: Vec::new() };
        module.visit(&mut collector);
        Self(collector.found)
    }

    /// The squared norm of each gradient.
    ///
    /// # Shapes
    /// `[number of gradients]`, or `None` for a module without any.
    pub fn squared_norms(&self) -> Option<Tensor<B, 1>> {
        let squares: Vec<_> =
            self.0.iter().flatten().map(|g| g.clone().mul(g.clone()).sum()).collect();
        (!squares.is_empty()).then(|| Tensor::cat(squares, 0))
    }

    /// The gradients times `factor`, untouched when it is 1.
    pub fn scaled(self, factor: f64) -> Self {
        if factor == 1.0 {
            return self;
        }
        Self(self.0.into_iter().map(|g| g.map(|g| g.mul_scalar(factor))).collect())
    }
}

/// The global norm from squared norms by parameter, summed in f64. Infinite where a square overflows f32.
pub fn global_norm(squared_norms: &[f32]) -> f64 {
    squared_norms.iter().map(|&n| f64::from(n)).sum::<f64>().sqrt()
}

/// The factor of torch's `clip_grad_norm_`: min(1, largest / (norm + 1e-6)).
pub fn clip_factor(norm: f64, largest: f64) -> f64 {
    (largest / (norm + 1e-6)).min(1.0)
}

struct Collector<'a, AB: AutodiffBackend> {
    gradients: &'a mut AB::Gradients,
    found: Vec<Option<Tensor<AB::InnerBackend, 1>>>,
}

impl<AB: AutodiffBackend> ModuleVisitor<AB> for Collector<'_, AB> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<AB, D>>) {
        let gradient = param.val().grad_remove(self.gradients);
        self.found.push(gradient.map(|g| g.reshape([-1])));
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use burn::backend::Flex;

    use super::*;

    fn gradients() -> ParameterGradients<Flex> {
        let device = Default::default();
        let of = |values: &[f32]| Some(Tensor::<Flex, 1>::from_floats(values, &device));
        ParameterGradients(vec![of(&[3.0, 4.0]), None, of(&[12.0])])
    }

    fn norm(gradients: &ParameterGradients<Flex>) -> f64 {
        global_norm(&gradients.squared_norms().unwrap().into_data().to_vec::<f32>().unwrap())
    }

    #[test]
    fn the_global_norm_is_over_all_parameters() {
        assert_relative_eq!(norm(&gradients()), 13.0);
    }

    #[test]
    fn clipping_leaves_a_gradient_of_the_largest_norm() {
        let clipped = gradients().scaled(clip_factor(13.0, 6.5));
        assert_relative_eq!(norm(&clipped), 6.5, max_relative = 1e-6);
        let first: Vec<f32> = clipped.0[0].clone().unwrap().into_data().to_vec().unwrap();
        assert_relative_eq!(first[0], 1.5, max_relative = 1e-6);
    }

    #[test]
    fn a_small_gradient_is_not_touched() {
        assert_eq!(clip_factor(0.5, 10.0), 1.0);
        assert_eq!(clip_factor(0.0, 10.0), 1.0);
    }

    #[test]
    fn a_gradient_that_is_not_finite_has_no_finite_norm() {
        let device = Default::default();
        for bad in [f32::NAN, f32::INFINITY] {
            let gradients =
                ParameterGradients(vec![Some(Tensor::<Flex, 1>::from_floats([1.0, bad], &device))]);
            assert!(!norm(&gradients).is_finite());
        }
    }
}
