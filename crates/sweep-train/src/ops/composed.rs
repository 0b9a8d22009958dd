//! The operations of [`FusedBackend`](super::FusedBackend) built from burn's own.
//!
//! They are the default of every backend and the oracle that the fused ones are tested against (on an autodiff backend burn
//! differentiates them itself). Clear before fast: not for the CPU's training path.

use burn::tensor::backend::Backend;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, s};

use super::Window;

/// Convolution without bias, differentiable on any autodiff backend.
///
/// # Shapes
/// `x` [N, H, W, I], `weight` [O, k, k, I] → [N, H', W', O]
pub fn conv<B: Backend>(x: Tensor<B, 4>, weight: Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
    if window.kernel == 1 && window.padding == 0 {
        let x = subsample(x, window.stride);
        let [n, h, w, inputs] = x.dims();
        let outputs = weight.dims()[0];
        let weight = weight.reshape([outputs, inputs]).swap_dims(0, 1);
        return x.reshape([n * h * w, inputs]).matmul(weight).reshape([n, h, w, outputs]);
    }
    let y = burn::tensor::module::conv2d(to_nchw(x), to_nchw(weight), None, conv_options(window));
    to_nhwc(y)
}

/// Batch norm with the batch's own statistics, then the residual, then the ReLU. Returns the output, the mean `[C]` and the biased
/// variance `[C]`.
///
/// # Shapes
/// `x`, `residual` [N, H, W, C]; `weight`, `bias` `[C]`
pub fn norm_train<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 1>,
    bias: Tensor<B, 1>,
    residual: Option<Tensor<B, 4>>,
    relu: bool,
    epsilon: f64,
) -> (Tensor<B, 4>, Tensor<B, 1>, Tensor<B, 1>) {
    let shape = x.dims();
    let channels = shape[3];
    let rows = x.reshape([shape[0] * shape[1] * shape[2], channels]);
    let mean = rows.clone().mean_dim(0);
    let centred = rows - mean.clone();
    let variance = centred.clone().powf_scalar(2.0).mean_dim(0);
    let normed = centred / variance.clone().add_scalar(epsilon).sqrt();
    let y = normed * weight.unsqueeze() + bias.unsqueeze();
    let y = finish(y.reshape(shape), residual, relu);
    (y, mean.reshape([channels]), variance.reshape([channels]))
}

/// `x · scale + shift`, then the residual, then the ReLU.
///
/// # Shapes
/// `x`, `residual` [N, H, W, C]; `scale`, `shift` `[C]`
pub fn affine<B: Backend>(
    x: Tensor<B, 4>,
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    residual: Option<Tensor<B, 4>>,
    relu: bool,
) -> Tensor<B, 4> {
    finish(x * scale.unsqueeze() + shift.unsqueeze(), residual, relu)
}

/// Maximum over each window; padding never wins.
///
/// # Shapes
/// [N, H, W, C] → [N, H', W', C]
pub fn max_pool<B: Backend>(x: Tensor<B, 4>, window: Window) -> Tensor<B, 4> {
    let Window { kernel, stride, padding } = window;
    let y = burn::tensor::module::max_pool2d(
        to_nchw(x),
        [kernel; 2],
        [stride; 2],
        [padding; 2],
        [1, 1],
        false,
    );
    to_nhwc(y)
}

/// Mean over the pixels of each sample.
///
/// # Shapes
/// [N, H, W, C] → [N, C]
pub fn avg_pool<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 2> {
    let [n, h, w, c] = x.dims();
    x.reshape([n, h * w, c]).mean_dim(1).reshape([n, c])
}

fn finish<B: Backend>(y: Tensor<B, 4>, residual: Option<Tensor<B, 4>>, relu: bool) -> Tensor<B, 4> {
    let y = match residual {
        Some(residual) => y + residual,
        None => y,
    };
    if relu { burn::tensor::activation::relu(y) } else { y }
}

fn to_nchw<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    x.permute([0, 3, 1, 2])
}

fn to_nhwc<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    x.permute([0, 2, 3, 1])
}

fn subsample<B: Backend>(x: Tensor<B, 4>, stride: usize) -> Tensor<B, 4> {
    if stride == 1 {
        return x;
    }
    let step = stride as isize;
    x.slice(s![.., ..;step, ..;step, ..])
}

fn conv_options(window: Window) -> ConvOptions<2> {
    ConvOptions::new([window.stride; 2], [window.padding; 2], [1, 1], 1)
}

/// The defaults of [`FusedBackend`](super::FusedBackend), over primitives.
pub(super) mod primitive {
    use burn::tensor::ops::FloatTensor;
    use burn::tensor::{Tensor, TensorPrimitive, s};

    use super::{conv_options, subsample, to_nchw, to_nhwc};
    use crate::ops::{FusedBackend, NormGradients, NormInput, NormOutput, NormState, Window};

    pub(crate) fn tensor<B: FusedBackend, const D: usize>(
        primitive: FloatTensor<B>,
    ) -> Tensor<B, D> {
        Tensor::from_primitive(TensorPrimitive::Float(primitive))
    }

    pub(crate) fn float<B: FusedBackend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
        tensor.into_primitive().tensor()
    }

    pub(crate) fn conv<B: FusedBackend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        window: Window,
    ) -> FloatTensor<B> {
        float(super::conv::<B>(tensor(x), tensor(weight), window))
    }

    pub(crate) fn conv_backward_x<B: FusedBackend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        grad: FloatTensor<B>,
        window: Window,
    ) -> FloatTensor<B> {
        let x: Tensor<B, 4> = tensor(x);
        let weight: Tensor<B, 4> = tensor(weight);
        let grad: Tensor<B, 4> = tensor(grad);
        if window.kernel == 1 && window.padding == 0 {
            let [n, h, w, outputs] = grad.dims();
            let inputs = weight.dims()[3];
            let dense =
                grad.reshape([n * h * w, outputs]).matmul(weight.reshape([outputs, inputs]));
            let dense = dense.reshape([n, h, w, inputs]);
            if window.stride == 1 {
                return float(dense);
            }
            let step = window.stride as isize;
            return float(x.zeros_like().slice_assign(s![.., ..;step, ..;step, ..], dense));
        }
        let grad_x = B::conv2d_x_backward(
            float(to_nchw(x)),
            float(to_nchw(weight)),
            float(to_nchw(grad)),
            conv_options(window),
        );
        float(to_nhwc(tensor::<B, 4>(grad_x)))
    }

    pub(crate) fn conv_backward_weight<B: FusedBackend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        grad: FloatTensor<B>,
        window: Window,
    ) -> FloatTensor<B> {
        let x: Tensor<B, 4> = tensor(x);
        let weight: Tensor<B, 4> = tensor(weight);
        let grad: Tensor<B, 4> = tensor(grad);
        if window.kernel == 1 && window.padding == 0 {
            let x = subsample(x, window.stride);
            let [n, h, w, outputs] = grad.dims();
            let inputs = x.dims()[3];
            let grad = grad.reshape([n * h * w, outputs]).swap_dims(0, 1);
            return float(
                grad.matmul(x.reshape([n * h * w, inputs])).reshape([outputs, 1, 1, inputs]),
            );
        }
        let grad_weight = B::conv2d_weight_backward(
            float(to_nchw(x)),
            float(to_nchw(weight)),
            float(to_nchw(grad)),
            conv_options(window),
        );
        float(to_nhwc(tensor::<B, 4>(grad_weight)))
    }

    pub(crate) fn norm_train<B: FusedBackend>(input: NormInput<B>) -> NormOutput<B> {
        let (y, mean, variance) = super::norm_train::<B>(
            tensor(input.x),
            tensor(input.weight),
            tensor(input.bias),
            input.residual.map(tensor),
            input.relu,
            input.epsilon,
        );
        let inv_std = variance.clone().add_scalar(input.epsilon).sqrt().recip();
        let state = NormState { mean: float(mean), inv_std: float(inv_std) };
        NormOutput { y: float(y), variance: float(variance), state }
    }

    pub(crate) fn norm_train_backward<B: FusedBackend>(
        input: NormInput<B>,
        y: FloatTensor<B>,
        state: NormState<B>,
        grad: FloatTensor<B>,
    ) -> NormGradients<B> {
        let grad: Tensor<B, 4> = tensor(grad);
        let shape = grad.dims();
        let channels = shape[3];
        let rows = [shape[0] * shape[1] * shape[2], channels];
        let grad = match input.relu {
            true => grad.mask_fill(tensor::<B, 4>(y).lower_equal_elem(0.0), 0.0),
            false => grad,
        };
        let residual = input.residual.map(|_| float(grad.clone()));
        let grad = grad.reshape(rows);
        let inv_std: Tensor<B, 2> = tensor::<B, 1>(state.inv_std).unsqueeze();
        let mean: Tensor<B, 2> = tensor::<B, 1>(state.mean).unsqueeze();
        let normed = (tensor::<B, 4>(input.x).reshape(rows) - mean) * inv_std.clone();
        let sum_grad = grad.clone().sum_dim(0);
        let sum_grad_normed = (grad.clone() * normed.clone()).sum_dim(0);
        let count = rows[0] as f64;
        let centred = grad - sum_grad.clone() / count - normed * (sum_grad_normed.clone() / count);
        let weight: Tensor<B, 2> = tensor::<B, 1>(input.weight).unsqueeze();
        NormGradients {
            x: float((centred * (weight * inv_std)).reshape(shape)),
            weight: float(sum_grad_normed.reshape([channels])),
            bias: float(sum_grad.reshape([channels])),
            residual,
        }
    }

    pub(crate) fn affine<B: FusedBackend>(
        x: FloatTensor<B>,
        scale: FloatTensor<B>,
        shift: FloatTensor<B>,
        residual: Option<FloatTensor<B>>,
        relu: bool,
    ) -> FloatTensor<B> {
        float(super::affine::<B>(
            tensor(x),
            tensor(scale),
            tensor(shift),
            residual.map(tensor),
            relu,
        ))
    }

    pub(crate) fn max_pool<B: FusedBackend>(x: FloatTensor<B>, window: Window) -> FloatTensor<B> {
        float(super::max_pool::<B>(tensor(x), window))
    }

    pub(crate) fn max_pool_backward<B: FusedBackend>(
        x: FloatTensor<B>,
        grad: FloatTensor<B>,
        window: Window,
    ) -> FloatTensor<B> {
        let Window { kernel, stride, padding } = window;
        let x = float(to_nchw(tensor::<B, 4>(x)));
        let grad = float(to_nchw(tensor::<B, 4>(grad)));
        let (kernel, stride, padding) = ([kernel; 2], [stride; 2], [padding; 2]);
        let pooled = B::max_pool2d_with_indices(x.clone(), kernel, stride, padding, [1, 1], false);
        let grad_x = B::max_pool2d_with_indices_backward(
            x,
            kernel,
            stride,
            padding,
            [1, 1],
            false,
            grad,
            pooled.indices,
        );
        float(to_nhwc(tensor::<B, 4>(grad_x.x_grad)))
    }

    pub(crate) fn avg_pool<B: FusedBackend>(x: FloatTensor<B>) -> FloatTensor<B> {
        float(super::avg_pool::<B>(tensor(x)))
    }

    pub(crate) fn avg_pool_backward<B: FusedBackend>(
        x: FloatTensor<B>,
        grad: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let [n, h, w, c] = tensor::<B, 4>(x).dims();
        let grad: Tensor<B, 2> = tensor(grad);
        let spread = grad.div_scalar((h * w) as f64).reshape([n, 1, 1, c]).expand([n, h, w, c]);
        float(spread)
    }
}
