//! Where weights start: torchvision's and torch's schemes, drawn from the run's own stream by parameter name.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::rng::KeyedRng;

/// The place of a layer in a network while it is built: a stream of random numbers and the device to build on.
///
/// The stream of a parameter depends on the seed and its name ("layer1.0.conv1.weight") alone, so the same seed gives the same weights
/// whatever else is built, before or at the same time.
#[derive(Debug, Clone)]
pub struct Init<'a, B: Backend> {
    /// `None`: zeros.
    rng: Option<&'a KeyedRng>,
    name: String,
    device: &'a B::Device,
}

impl<'a, B: Backend> Init<'a, B> {
    /// The root of a network whose weights are drawn from `rng`.
    pub fn new(rng: &'a KeyedRng, device: &'a B::Device) -> Self {
        Self { rng: Some(rng), name: String::new(), device }
    }

    /// The root of a network whose weights will be read from elsewhere: zeros, which cost no drawing.
    pub fn blank(device: &'a B::Device) -> Self {
        Self { rng: None, name: String::new(), device }
    }

    /// The part of the network called `name`.
    #[must_use]
    pub fn part(&self, name: impl std::fmt::Display) -> Self {
        let name =
            if self.name.is_empty() { name.to_string() } else { format!("{}.{name}", self.name) };
        Self { name, ..self.clone() }
    }

    /// The same value everywhere.
    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Tensor<B, D> {
        Tensor::full(shape, value, self.device)
    }

    /// Kaiming's normal scheme for a convolution before a ReLU, deviation √(2 / fan-out): torchvision's choice for residual networks.
    ///
    /// # Shapes
    /// `[outputs, k, k, inputs]`; numbers are drawn in torch's order `[outputs, inputs, k, k]`
    pub fn kaiming_normal_fan_out(&self, shape: [usize; 4]) -> Tensor<B, 4> {
        let deviation = (2.0 / (shape[0] * shape[1] * shape[2]) as f64).sqrt();
        self.kernels(shape, 2, |rng| deviation * rng.normal())
    }

    /// torch's default for a convolution: uniform within ±1/√fan-in.
    ///
    /// # Shapes
    /// `[outputs, k, k, inputs]`; numbers are drawn in torch's order `[outputs, inputs, k, k]`
    pub fn uniform_fan_in(&self, shape: [usize; 4]) -> Tensor<B, 4> {
        let bound = 1.0 / ((shape[1] * shape[2] * shape[3]) as f64).sqrt();
        self.kernels(shape, 1, |rng| rng.uniform_in(-bound, bound))
    }

    /// torch's default for the weight and bias of a linear layer: uniform within ±1/√`inputs`.
    pub fn uniform<const D: usize>(&self, shape: [usize; D], inputs: usize) -> Tensor<B, D> {
        let bound = 1.0 / (inputs as f64).sqrt();
        let Some(mut rng) = self.stream() else { return self.constant(shape, 0.0) };
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| rng.uniform_in(-bound, bound) as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }

    fn stream(&self) -> Option<KeyedRng> {
        self.rng.map(|rng| rng.named(&self.name))
    }

    /// Convolution weights by `draw`, which takes `draws` numbers from the stream for each. An output's weights are a part of the
    /// stream of their own, so outputs are drawn side by side: a ResNet-50 has 23 million weights, and each takes two roots and a
    /// logarithm.
    fn kernels(
        &self,
        shape: [usize; 4],
        draws: u64,
        draw: impl Fn(&mut KeyedRng) -> f64 + Sync,
    ) -> Tensor<B, 4> {
        let Some(rng) = self.stream() else { return self.constant(shape, 0.0) };
        let [outputs, height, width, inputs] = shape;
        let (pixels, kernel) = (height * width, height * width * inputs);
        let mut values = vec![0f32; outputs * kernel];
        values.par_chunks_exact_mut(kernel.max(1)).enumerate().for_each(|(output, values)| {
            let mut rng = rng.skipping((output * kernel) as u64 * draws);
            for input in 0..inputs {
                for pixel in 0..pixels {
                    values[pixel * inputs + input] = draw(&mut rng) as f32;
                }
            }
        });
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}
