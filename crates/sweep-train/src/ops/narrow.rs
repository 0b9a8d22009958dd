//! Activations in fewer bits than f32, for backends whose own operations know f32 alone.
//!
//! Products of `bfloat16` numbers are exact in f32 and summed there, and statistics of batch norm are taken in f32: what is narrow is
//! what lies in memory between two operations. On f32 tensors everything here is the operation itself.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, FloatDType, Tensor, TensorMetadata};

use super::{FusedBackend, NormGradients, NormInput, NormOutput, NormState};

/// `x` in f32.
pub(super) fn wide<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    to::<B>(x, DType::F32)
}

/// `x` in `dtype`, untouched where it is that already.
pub(super) fn to<B: Backend>(x: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    if x.dtype() == dtype { x } else { B::float_cast(x, FloatDType::from(dtype)) }
}

/// [`to`] for tensors, recorded on an autodiff backend.
pub(super) fn cast<B: Backend, const D: usize>(x: Tensor<B, D>, dtype: DType) -> Tensor<B, D> {
    if x.dtype() == dtype { x } else { x.cast(FloatDType::from(dtype)) }
}

fn wide_input<B: FusedBackend>(input: NormInput<B>) -> NormInput<B> {
    NormInput { x: wide::<B>(input.x), residual: input.residual.map(wide::<B>), ..input }
}

/// [`FusedBackend::norm_train`], its output in the numbers of its input.
pub(super) fn norm_train<B: FusedBackend>(input: NormInput<B>) -> NormOutput<B> {
    let dtype = input.x.dtype();
    let output = B::norm_train(wide_input(input));
    NormOutput { y: to::<B>(output.y, dtype), ..output }
}

/// [`FusedBackend::norm_train_backward`], gradients of activations in the numbers of the activations.
pub(super) fn norm_train_backward<B: FusedBackend>(
    input: NormInput<B>,
    y: FloatTensor<B>,
    state: NormState<B>,
    grad: FloatTensor<B>,
) -> NormGradients<B> {
    let dtype = input.x.dtype();
    let gradients = B::norm_train_backward(wide_input(input), wide::<B>(y), state, wide::<B>(grad));
    NormGradients {
        x: to::<B>(gradients.x, dtype),
        residual: gradients.residual.map(|residual| to::<B>(residual, dtype)),
        ..gradients
    }
}

/// [`FusedBackend::affine`], its output in the numbers of its input.
pub(super) fn affine<B: FusedBackend>(
    x: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    residual: Option<FloatTensor<B>>,
    relu: bool,
) -> FloatTensor<B> {
    let dtype = x.dtype();
    let y = B::affine(wide::<B>(x), scale, shift, residual.map(wide::<B>), relu);
    to::<B>(y, dtype)
}
