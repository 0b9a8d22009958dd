//! [`FusedBackend`] for CUDA: batch norm in training by the kernels of [`kernels`], the rest composed.
//!
//! `SWEEP_CUDA_FUSED=1` chooses the kernels ([`device::own_kernels`]). Not here: strided 1×1 gradients, which [`super::composed`] takes as
//! slice and dense product on every backend.

mod kernels;

use burn::tensor::DType;
use burn::tensor::ops::FloatTensor;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::server::Handle;

use self::kernels::{Back, Sizes, Then};
use super::composed::primitive;
use super::{FusedBackend, NormGradients, NormInput, NormOutput, NormState};
use crate::device;
use crate::device::gpu::{Gpu, GpuRuntime};

type Float = CubeTensor<GpuRuntime>;

impl FusedBackend for Gpu {
    fn norm_train(input: NormInput<Self>) -> NormOutput<Self> {
        if !(device::own_kernels() && fits(&input)) {
            return primitive::norm_train(input);
        }
        let x = into_contiguous(input.x);
        let (sizes, channels) = sizes(&x);
        let residual = input.residual.map(|residual| into_contiguous(residual).handle);
        let then = Then { residual, relu: input.relu };
        let (weight, bias) = (into_contiguous(input.weight), into_contiguous(input.bias));
        let (y, statistics) = kernels::forward(
            &x.client,
            sizes,
            x.handle.clone(),
            weight.handle,
            bias.handle,
            then,
            input.epsilon as f32,
        );
        let per_channel = |handle| like(&x, [channels], handle);
        NormOutput {
            y: like(&x, shape(&x), y),
            variance: per_channel(statistics.variance),
            state: NormState {
                mean: per_channel(statistics.mean),
                inv_std: per_channel(statistics.inv_std),
            },
        }
    }

    fn norm_train_backward(
        input: NormInput<Self>,
        y: FloatTensor<Self>,
        state: NormState<Self>,
        grad: FloatTensor<Self>,
    ) -> NormGradients<Self> {
        if !(device::own_kernels() && fits(&input) && grad.dtype == DType::F32) {
            return primitive::norm_train_backward(input, y, state, grad);
        }
        let x = into_contiguous(input.x);
        let (sizes, channels) = sizes(&x);
        let back = Back {
            x: x.handle.clone(),
            y: into_contiguous(y).handle,
            grad: into_contiguous(grad).handle,
            weight: into_contiguous(input.weight).handle,
            mean: into_contiguous(state.mean).handle,
            inv_std: into_contiguous(state.inv_std).handle,
            relu: input.relu,
            residual: input.residual.is_some(),
        };
        let gradients = kernels::backward(&x.client, sizes, back);
        NormGradients {
            x: like(&x, shape(&x), gradients.x),
            weight: like(&x, [channels], gradients.weight),
            bias: like(&x, [channels], gradients.bias),
            residual: gradients.residual.map(|residual| like(&x, shape(&x), residual)),
        }
    }
}

/// The kernels know f32 alone, and positions of 32 bits.
fn fits(input: &NormInput<Gpu>) -> bool {
    input.x.dtype == DType::F32 && input.x.meta.num_elements() < u32::MAX as usize
}

fn shape(x: &Float) -> [usize; 4] {
    x.meta.shape().dims()
}

fn sizes(x: &Float) -> (Sizes, usize) {
    let [n, h, w, channels] = shape(x);
    (Sizes { rows: n * h * w, channels }, channels)
}

fn like<const D: usize>(x: &Float, shape: [usize; D], handle: Handle) -> Float {
    CubeTensor::new_contiguous(x.client.clone(), x.device.clone(), shape.into(), handle, x.dtype)
}
