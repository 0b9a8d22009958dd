//! Layers with parameters: convolution, batch norm, linear. Names of the fields are torch's, so that a path of field names is the key
//! of a torch state dict.

use burn::module::{Module, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Init;
use crate::ops::{self, FusedBackend, ResidualAndActivation, RunningStatistics, Window};

/// Added to the variance before the root (torch's default).
const EPSILON: f64 = 1e-5;
/// How far the running statistics move towards a batch's (torch's default).
const MOMENTUM: f64 = 0.1;

/// A convolution without bias on channels-last images.
#[derive(Module, Debug)]
pub struct Conv2d<B: Backend> {
    /// `[outputs, k, k, inputs]`; torch's order is `[outputs, inputs, k, k]`, see [`state`](super::state).
    pub weight: Param<Tensor<B, 4>>,
    stride: usize,
    padding: usize,
}

impl<B: Backend> Conv2d<B> {
    /// A convolution with the given weight `[outputs, k, k, inputs]`.
    pub fn new(weight: Tensor<B, 4>, stride: usize, padding: usize) -> Self {
        Self { weight: Param::from_tensor(weight), stride, padding }
    }

    /// Kaiming's normal scheme, as torchvision's residual networks.
    pub fn kaiming(init: &Init<'_, B>, [inputs, outputs]: [usize; 2], window: Window) -> Self {
        let shape = [outputs, window.kernel, window.kernel, inputs];
        Self::new(init.part("weight").kaiming_normal_fan_out(shape), window.stride, window.padding)
    }

    /// torch's default scheme.
    pub fn torch_default(
        init: &Init<'_, B>,
        [inputs, outputs]: [usize; 2],
        window: Window,
    ) -> Self {
        let shape = [outputs, window.kernel, window.kernel, inputs];
        Self::new(init.part("weight").uniform_fan_in(shape), window.stride, window.padding)
    }
}

impl<B: FusedBackend> Conv2d<B> {
    /// # Shapes
    /// [N, H, W, inputs] → [N, H', W', outputs]
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let weight = self.weight.val();
        let window = Window::new(weight.dims()[1], self.stride, self.padding);
        ops::conv2d(x, weight, window)
    }
}

/// Batch norm over samples and pixels, with what may follow it in one pass: a residual and a ReLU.
#[derive(Module, Debug)]
pub struct BatchNorm<B: Backend> {
    /// γ `[C]`.
    pub weight: Param<Tensor<B, 1>>,
    /// β `[C]`.
    pub bias: Param<Tensor<B, 1>>,
    /// Running mean `[C]`: part of the saved state, never of the gradient.
    pub running_mean: Param<Tensor<B, 1>>,
    /// Running variance, unbiased as in torch `[C]`: part of the saved state, never of the gradient.
    pub running_var: Param<Tensor<B, 1>>,
}

impl<B: Backend> BatchNorm<B> {
    /// γ = 1, β = 0, running mean 0 and variance 1.
    pub fn new(init: &Init<'_, B>, channels: usize) -> Self {
        let constant = |value| init.constant([channels], value);
        let statistic = |value| Param::initialized(ParamId::new(), constant(value)).no_grad();
        Self {
            weight: Param::from_tensor(constant(1.0)),
            bias: Param::from_tensor(constant(0.0)),
            running_mean: statistic(0.0),
            running_var: statistic(1.0),
        }
    }
}

impl<B: FusedBackend> BatchNorm<B> {
    /// With the running statistics.
    ///
    /// # Shapes
    /// [N, H, W, C] → the same
    pub fn forward(
        &self,
        x: Tensor<B, 4>,
        residual: Option<Tensor<B, 4>>,
        relu: bool,
    ) -> Tensor<B, 4> {
        let then = ResidualAndActivation { residual, relu };
        ops::batch_norm_eval(x, self.weight.val(), self.bias.val(), then, self.running(), EPSILON)
    }

    /// With the batch's own statistics; moves the running ones.
    ///
    /// # Shapes
    /// [N, H, W, C] → the same
    pub fn forward_train(
        &mut self,
        x: Tensor<B, 4>,
        residual: Option<Tensor<B, 4>>,
        relu: bool,
    ) -> Tensor<B, 4> {
        let then = ResidualAndActivation { residual, relu };
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let normed =
            ops::batch_norm_train(x, weight, bias, then, self.running(), EPSILON, MOMENTUM);
        self.running_mean = Param::initialized(self.running_mean.id, normed.running.mean.detach());
        self.running_var =
            Param::initialized(self.running_var.id, normed.running.variance.detach());
        normed.y
    }

    fn running(&self) -> RunningStatistics<B> {
        RunningStatistics { mean: self.running_mean.val(), variance: self.running_var.val() }
    }
}

/// A linear layer x·Wᵀ (+ b).
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[outputs, inputs]`, as in torch.
    pub weight: Param<Tensor<B, 2>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<B, 1>>>,
}

impl<B: Backend> Linear<B> {
    /// torch's default scheme.
    pub fn torch_default(init: &Init<'_, B>, [inputs, outputs]: [usize; 2], bias: bool) -> Self {
        Self {
            weight: Param::from_tensor(init.part("weight").uniform([outputs, inputs], inputs)),
            bias: bias.then(|| Param::from_tensor(init.part("bias").uniform([outputs], inputs))),
        }
    }
}

impl<B: FusedBackend> Linear<B> {
    /// # Shapes
    /// [N, inputs] → [N, outputs]
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let weight = self.weight.val();
        let ([samples, _], [outputs, inputs]) = (x.dims(), weight.dims());
        let weight = weight.reshape([outputs, 1, 1, inputs]);
        let y = ops::conv2d(x.reshape([samples, 1, 1, inputs]), weight, Window::new(1, 1, 0));
        let y = y.reshape([samples, outputs]);
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        }
    }
}
