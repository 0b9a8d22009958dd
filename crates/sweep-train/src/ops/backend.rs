//! The primitives a backend may do faster than burn's composed operations; defaults are the composed ones.

use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;

use super::Window;
use super::composed;

/// What training batch norm reads. Shapes: `x`, `residual` [N, H, W, C]; the rest `[C]`.
#[derive(Debug, Clone)]
pub struct NormInput<B: Backend> {
    /// Input, channels last.
    pub x: FloatTensor<B>,
    /// γ, the scale.
    pub weight: FloatTensor<B>,
    /// β, the shift.
    pub bias: FloatTensor<B>,
    /// Added after the normalisation and before the ReLU.
    pub residual: Option<FloatTensor<B>>,
    /// Whether max(0, ·) follows.
    pub relu: bool,
    /// Added to the variance before the root.
    pub epsilon: f64,
}

/// What a training batch norm leaves for its backward pass. Shapes: `[C]`.
#[derive(Debug, Clone)]
pub struct NormState<B: Backend> {
    /// Mean over samples and pixels.
    pub mean: FloatTensor<B>,
    /// 1 / √(biased variance + ε).
    pub inv_std: FloatTensor<B>,
}

/// The result of a training batch norm.
#[derive(Debug, Clone)]
pub struct NormOutput<B: Backend> {
    /// Output [N, H, W, C].
    pub y: FloatTensor<B>,
    /// Biased variance over samples and pixels `[C]`; the caller makes it unbiased for the running statistics.
    pub variance: FloatTensor<B>,
    /// Kept for the backward pass.
    pub state: NormState<B>,
}

/// Gradients of a training batch norm.
#[derive(Debug, Clone)]
pub struct NormGradients<B: Backend> {
    /// Of the input [N, H, W, C].
    pub x: FloatTensor<B>,
    /// Of γ `[C]`.
    pub weight: FloatTensor<B>,
    /// Of β `[C]`.
    pub bias: FloatTensor<B>,
    /// Of the residual [N, H, W, C], where there was one.
    pub residual: Option<FloatTensor<B>>,
}

/// A backend with the operations of a residual network, activations channels-last.
///
/// Every method has a composed default, so `impl FusedBackend for MyBackend {}` is a correct (if slow) backend. On [`Autodiff`]
/// (burn's decorator) the forward methods record their own backward step, built from the `_backward` methods of the inner backend.
///
/// [`Autodiff`]: burn::backend::Autodiff
pub trait FusedBackend: Backend {
    /// Most bytes of views of validation images that a slot keeps on its device per data set: sending them takes longer than keeping them
    /// where the device has a memory of its own. All of Weather's at 224² (136 MB) fit.
    const KEPT_VIEWS: usize = 256 << 20;

    /// Convolution without bias.
    ///
    /// # Shapes
    /// `x` [N, H, W, I], `weight` [O, k, k, I] → [N, H', W', O]
    fn conv(x: FloatTensor<Self>, weight: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        composed::primitive::conv::<Self>(x, weight, window)
    }

    /// Gradient of [`conv`](Self::conv) with respect to `x`, which is given for its shape.
    fn conv_backward_x(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        composed::primitive::conv_backward_x::<Self>(x, weight, grad, window)
    }

    /// Gradient of [`conv`](Self::conv) with respect to `weight`, which is given for its shape.
    fn conv_backward_weight(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        composed::primitive::conv_backward_weight::<Self>(x, weight, grad, window)
    }

    /// Batch norm with the batch's own statistics, then the residual, then the ReLU.
    fn norm_train(input: NormInput<Self>) -> NormOutput<Self> {
        composed::primitive::norm_train(input)
    }

    /// Gradients of [`norm_train`](Self::norm_train); `input` and `y` are those of the forward pass.
    fn norm_train_backward(
        input: NormInput<Self>,
        y: FloatTensor<Self>,
        state: NormState<Self>,
        grad: FloatTensor<Self>,
    ) -> NormGradients<Self> {
        composed::primitive::norm_train_backward(input, y, state, grad)
    }

    /// Batch norm with given statistics, as one affine map: `x · scale + shift`, then the residual, then the ReLU.
    ///
    /// # Shapes
    /// `x`, `residual` [N, H, W, C]; `scale`, `shift` `[C]`
    fn affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: Option<FloatTensor<Self>>,
        relu: bool,
    ) -> FloatTensor<Self> {
        composed::primitive::affine::<Self>(x, scale, shift, residual, relu)
    }

    /// Maximum over each window; padding never wins.
    ///
    /// # Shapes
    /// [N, H, W, C] → [N, H', W', C]
    fn max_pool(x: FloatTensor<Self>, window: Window) -> FloatTensor<Self> {
        composed::primitive::max_pool::<Self>(x, window)
    }

    /// Gradient of [`max_pool`](Self::max_pool): each output's gradient goes to the first maximum of its window. `x` and `y` are
    /// input and output of the forward pass.
    fn max_pool_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        window: Window,
    ) -> FloatTensor<Self> {
        let _ = y; // only implementations that search the maximum again need it
        composed::primitive::max_pool_backward::<Self>(x, grad, window)
    }

    /// Mean over the pixels of each sample.
    ///
    /// # Shapes
    /// [N, H, W, C] → [N, C]
    fn avg_pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::primitive::avg_pool::<Self>(x)
    }

    /// Gradient of [`avg_pool`](Self::avg_pool); `x` is given for its shape.
    fn avg_pool_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::primitive::avg_pool_backward::<Self>(x, grad)
    }
}
