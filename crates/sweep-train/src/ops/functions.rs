//! The operations as networks call them: tensors in, tensors out, on any [`FusedBackend`], differentiable on an autodiff one.

use burn::tensor::{DType, Tensor, TensorPrimitive};

use super::composed::primitive::{float, tensor};
use super::{FusedBackend, NormInput, NormOutput, Window, narrow};

/// What follows a batch norm in the same pass over memory.
#[derive(Debug, Clone)]
pub struct ResidualAndActivation<B: FusedBackend> {
    /// Added after the normalisation and before the ReLU [N, H, W, C].
    pub residual: Option<Tensor<B, 4>>,
    /// Whether max(0, ·) follows.
    pub relu: bool,
}

/// The running statistics of a batch norm, `[C]` each.
#[derive(Debug, Clone)]
pub struct RunningStatistics<B: FusedBackend> {
    /// Running mean.
    pub mean: Tensor<B, 1>,
    /// Running variance, unbiased (÷ (n − 1)) as in PyTorch.
    pub variance: Tensor<B, 1>,
}

/// The result of a training batch norm.
#[derive(Debug, Clone)]
pub struct BatchNormed<B: FusedBackend> {
    /// Output [N, H, W, C].
    pub y: Tensor<B, 4>,
    /// The running statistics after this batch.
    pub running: RunningStatistics<B>,
}

/// Convolution without bias, in the numbers of `x`.
///
/// # Shapes
/// `x` [N, H, W, I], `weight` [O, k, k, I] → [N, H', W', O]
pub fn conv2d<B: FusedBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    window: Window,
) -> Tensor<B, 4> {
    let weight = narrow::cast(weight, x.dtype());
    tensor(B::conv(float(x), float(weight), window))
}

/// Batch norm in training: the batch's own biased statistics normalise, and the running ones move by `momentum` towards the batch's
/// mean and unbiased variance.
///
/// # Shapes
/// `x` [N, H, W, C]; `weight`, `bias` `[C]`
pub fn batch_norm_train<B: FusedBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 1>,
    bias: Tensor<B, 1>,
    then: ResidualAndActivation<B>,
    running: RunningStatistics<B>,
    epsilon: f64,
    momentum: f64,
) -> BatchNormed<B> {
    let [n, h, w, _] = x.dims();
    let count = (n * h * w) as f64;
    let NormOutput { y, variance, state } = B::norm_train(NormInput {
        x: float(x),
        weight: float(weight),
        bias: float(bias),
        residual: then.residual.map(float),
        relu: then.relu,
        epsilon,
    });
    // A batch of one value has no unbiased variance; PyTorch refuses it, we keep the biased one (0).
    let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
    let mean: Tensor<B, 1> = Tensor::from_primitive(TensorPrimitive::Float(state.mean));
    let variance: Tensor<B, 1> = tensor(variance);
    let running = RunningStatistics {
        mean: running.mean.mul_scalar(1.0 - momentum) + mean.mul_scalar(momentum),
        variance: running.variance.mul_scalar(1.0 - momentum)
            + variance.mul_scalar(momentum * unbiased),
    };
    BatchNormed { y: tensor(y), running }
}

/// Batch norm in evaluation: the running statistics normalise.
///
/// # Shapes
/// `x` [N, H, W, C]; `weight`, `bias` `[C]` → [N, H, W, C]
pub fn batch_norm_eval<B: FusedBackend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 1>,
    bias: Tensor<B, 1>,
    then: ResidualAndActivation<B>,
    running: RunningStatistics<B>,
    epsilon: f64,
) -> Tensor<B, 4> {
    let scale = weight / running.variance.add_scalar(epsilon).sqrt();
    let shift = bias - running.mean * scale.clone();
    let (scale, shift) = (float(scale), float(shift));
    tensor(narrow::affine::<B>(float(x), scale, shift, then.residual.map(float), then.relu))
}

/// Maximum over each window; padding never wins.
///
/// # Shapes
/// [N, H, W, C] → [N, H', W', C]
pub fn max_pool2d<B: FusedBackend>(x: Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
    tensor(B::max_pool(float(x), window))
}

/// Mean over the pixels of each sample, in f32.
///
/// # Shapes
/// [N, H, W, C] → [N, C]
pub fn global_avg_pool<B: FusedBackend>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    tensor(B::avg_pool(float(in_f32(x))))
}

/// `x` in f32.
pub fn in_f32<B: FusedBackend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    narrow::cast(x, DType::F32)
}
