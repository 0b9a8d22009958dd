//! The operations on the CPU (burn's `flex` backend), as loops over `f32` slices and calls to one matrix product.
//!
//! Results are the same bits for any number of threads: work is cut into parts by shape alone, each part sums in a fixed order, and
//! partial sums are added in the order of the parts. Tiny tensors stay on the calling thread. Tensors in fewer bits are widened
//! first and what comes out is narrowed again, which rounds as hardware does that multiplies narrow numbers and sums in f32.

mod conv;
mod gemm;
mod norm;
mod parts;
mod pool;
mod slice;

use burn::backend::Flex;
use burn::tensor::ops::FloatTensor;

use super::narrow::{to, wide};
use super::{FusedBackend, NormGradients, NormInput, NormOutput, NormState, Window};

type Float = FloatTensor<Flex>;

impl FusedBackend for Flex {
    /// The packed file is in memory already; for pictures of 8×8 the making would still be seen.
    const KEPT_VIEWS: usize = 1 << 20;

    fn conv(x: Float, weight: Float, window: Window) -> Float {
        let dtype = x.dtype();
        to::<Self>(conv::forward(wide::<Self>(x), wide::<Self>(weight), window), dtype)
    }

    fn conv_backward_x(x: Float, weight: Float, grad: Float, window: Window) -> Float {
        let dtype = x.dtype();
        let (x, weight, grad) = (wide::<Self>(x), wide::<Self>(weight), wide::<Self>(grad));
        to::<Self>(conv::backward_x(x, weight, grad, window), dtype)
    }

    fn conv_backward_weight(x: Float, weight: Float, grad: Float, window: Window) -> Float {
        let dtype = weight.dtype();
        let (x, weight, grad) = (wide::<Self>(x), wide::<Self>(weight), wide::<Self>(grad));
        to::<Self>(conv::backward_weight(x, weight, grad, window), dtype)
    }

    fn norm_train(input: NormInput<Self>) -> NormOutput<Self> {
        norm::train(input)
    }

    fn norm_train_backward(
        input: NormInput<Self>,
        y: Float,
        state: NormState<Self>,
        grad: Float,
    ) -> NormGradients<Self> {
        norm::backward(input, y, state, grad)
    }

    fn affine(x: Float, scale: Float, shift: Float, residual: Option<Float>, relu: bool) -> Float {
        norm::affine(x, scale, shift, residual, relu)
    }

    fn max_pool(x: Float, window: Window) -> Float {
        let dtype = x.dtype();
        to::<Self>(pool::max(wide::<Self>(x), window), dtype)
    }

    fn max_pool_backward(x: Float, y: Float, grad: Float, window: Window) -> Float {
        let dtype = x.dtype();
        let (x, y, grad) = (wide::<Self>(x), wide::<Self>(y), wide::<Self>(grad));
        to::<Self>(pool::max_backward(x, y, grad, window), dtype)
    }

    fn avg_pool(x: Float) -> Float {
        pool::avg(x)
    }

    fn avg_pool_backward(x: Float, grad: Float) -> Float {
        pool::avg_backward(x, grad)
    }
}
