//! A small network for tiny images such as the 8×8 digits: conv 16 – BN – ReLU – pool – conv 32 – BN – ReLU – pool – linear 32.
//!
//! It needs its batch norms: without them several losses do not train at all.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{BatchNorm, Conv2d, Init, Linear};
use crate::ops::{self, FusedBackend, Window};

const CONV: Window = Window::new(3, 1, 1);
const POOL: Window = Window::new(2, 2, 0);
const CHANNELS: [usize; 2] = [16, 32];

/// Two convolutions and a linear layer without ReLU (features may be negative).
#[derive(Module, Debug)]
pub struct SmallCnn<B: Backend> {
    conv1: Conv2d<B>,
    bn1: BatchNorm<B>,
    conv2: Conv2d<B>,
    bn2: BatchNorm<B>,
    linear: Linear<B>,
}

impl<B: Backend> SmallCnn<B> {
    /// Features per image.
    pub const FEATURES: usize = 32;

    /// A network for images of `channels` × `side` × `side` with torch's default initialisation; `side` must be at least 4.
    pub fn new(init: &Init<'_, B>, channels: usize, side: usize) -> Self {
        let pooled = POOL.output(POOL.output(side));
        Self {
            conv1: Conv2d::torch_default(&init.part("conv1"), [channels, CHANNELS[0]], CONV),
            bn1: BatchNorm::new(&init.part("bn1"), CHANNELS[0]),
            conv2: Conv2d::torch_default(&init.part("conv2"), CHANNELS, CONV),
            bn2: BatchNorm::new(&init.part("bn2"), CHANNELS[1]),
            linear: Linear::torch_default(
                &init.part("linear"),
                [CHANNELS[1] * pooled * pooled, Self::FEATURES],
                true,
            ),
        }
    }
}

impl<B: FusedBackend> SmallCnn<B> {
    /// Features in evaluation.
    ///
    /// # Shapes
    /// [N, H, W, channels] → [N, 32]
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = ops::max_pool2d(self.bn1.forward(self.conv1.forward(x), None, true), POOL);
        let x = ops::max_pool2d(self.bn2.forward(self.conv2.forward(x), None, true), POOL);
        self.linear.forward(ops::in_f32(x).flatten(1, 3))
    }

    /// Features in training; moves the running statistics.
    pub fn forward_train(&mut self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let x = ops::max_pool2d(self.bn1.forward_train(self.conv1.forward(x), None, true), POOL);
        let x = ops::max_pool2d(self.bn2.forward_train(self.conv2.forward(x), None, true), POOL);
        self.linear.forward(ops::in_f32(x).flatten(1, 3))
    }
}
