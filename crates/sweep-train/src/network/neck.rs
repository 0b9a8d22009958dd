//! The optional neck between backbone and head: a linear map without bias and a batch norm, and no ReLU, so that angles between features
//! may exceed 90°.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{BatchNorm, Init, Linear};
use crate::ops::FusedBackend;

/// What a neck is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeckConfig {
    /// Features after the neck, at least 1.
    pub dim: usize,
    /// Whether a batch norm follows the linear map.
    pub batch_norm: bool,
}

/// Linear without bias, then batch norm.
#[derive(Module, Debug)]
pub struct Neck<B: Backend> {
    linear: Linear<B>,
    bn: Option<BatchNorm<B>>,
}

impl<B: Backend> Neck<B> {
    /// A neck from `inputs` features.
    pub fn new(init: &Init<'_, B>, inputs: usize, config: NeckConfig) -> Self {
        let linear = Linear::torch_default(&init.part("linear"), [inputs, config.dim], false);
        let bn = config.batch_norm.then(|| BatchNorm::new(&init.part("bn"), config.dim));
        Self { linear, bn }
    }
}

impl<B: FusedBackend> Neck<B> {
    /// # Shapes
    /// [N, inputs] → [N, dim]
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = self.linear.forward(x);
        match &self.bn {
            Some(bn) => rows(y, |y| bn.forward(y, None, false)),
            None => y,
        }
    }

    /// As [`forward`](Self::forward), with the batch's own statistics.
    pub fn forward_train(&mut self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = self.linear.forward(x);
        match &mut self.bn {
            Some(bn) => rows(y, |y| bn.forward_train(y, None, false)),
            None => y,
        }
    }
}

/// `layer` on samples of one pixel.
fn rows<B: Backend>(
    x: Tensor<B, 2>,
    layer: impl FnOnce(Tensor<B, 4>) -> Tensor<B, 4>,
) -> Tensor<B, 2> {
    let [samples, dim] = x.dims();
    layer(x.reshape([samples, 1, 1, dim])).reshape([samples, dim])
}
