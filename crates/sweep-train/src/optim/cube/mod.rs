//! [`StepBackend`] for CUDA: one kernel per parameter, where f32 and asked for.

mod kernels;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, Tensor, TensorPrimitive};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::server::Handle;
use sweep_core::training::Optimizer;

use self::kernels::{Adam, Sgd};
use super::StepBackend;
use super::rule::{self, Moments};
use crate::device;
use crate::device::gpu::{Gpu, GpuRuntime};

type Float = CubeTensor<GpuRuntime>;

impl StepBackend for Gpu {
    fn stepped(
        rule: &Optimizer,
        step: u64,
        learning_rate: f64,
        parameter: Tensor<Self, 1>,
        gradient: Tensor<Self, 1>,
        moments: Option<Moments<Self>>,
    ) -> (Tensor<Self, 1>, Moments<Self>) {
        let f32s = parameter.dtype() == DType::F32 && gradient.dtype() == DType::F32;
        if !(device::own_kernels() && f32s) {
            return rule::updated(rule, step, learning_rate, parameter, gradient, moments);
        }
        let [n] = parameter.dims();
        let (parameter, gradient) = (float(parameter), float(gradient));
        let client = parameter.client.clone();
        let tensor = |handle: Handle| tensor(&parameter, n, handle);
        let before = moments.map(|m| (float(m.first).handle, m.second.map(|v| float(v).handle)));
        match *rule {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                let rule = Sgd {
                    learning_rate: learning_rate as f32,
                    momentum: momentum as f32,
                    weight_decay: weight_decay as f32,
                    nesterov,
                };
                // Without momentum a buffer is the gradient, whatever was before.
                let buffer = before.as_ref().map(|(first, _)| first).filter(|_| momentum != 0.0);
                let (next, first) =
                    kernels::sgd(&client, n, rule, &parameter.handle, &gradient.handle, buffer);
                (tensor(next), Moments { first: tensor(first), second: None })
            }
            Optimizer::Adam { .. } | Optimizer::Adamw { .. } => {
                let moments =
                    before.as_ref().and_then(|(first, second)| Some((first, second.as_ref()?)));
                let rule = adam(rule, step, learning_rate);
                let (next, first, second) =
                    kernels::adam(&client, n, rule, &parameter.handle, &gradient.handle, moments);
                (tensor(next), Moments { first: tensor(first), second: Some(tensor(second)) })
            }
        }
    }
}

/// The numbers of `rule` at step `step`; those of SGD do not come here.
fn adam(rule: &Optimizer, step: u64, learning_rate: f64) -> Adam {
    let (beta1, beta2, epsilon, weight_decay, shrink) = match *rule {
        Optimizer::Adam { beta1, beta2, epsilon, weight_decay, .. } => {
            (beta1, beta2, epsilon, weight_decay, 1.0)
        }
        Optimizer::Adamw { beta1, beta2, epsilon, weight_decay, .. } => {
            (beta1, beta2, epsilon, 0.0, 1.0 - learning_rate * weight_decay)
        }
        Optimizer::Sgd { .. } => unreachable!("SGD has a kernel of its own"),
    };
    let rule::BiasCorrection { rate, root } =
        rule::BiasCorrection::at(step, learning_rate, beta1, beta2);
    Adam {
        rate: rate as f32,
        beta1: beta1 as f32,
        beta2: beta2 as f32,
        epsilon: epsilon as f32,
        correction: root as f32,
        weight_decay: weight_decay as f32,
        shrink: shrink as f32,
    }
}

fn float(tensor: Tensor<Gpu, 1>) -> Float {
    let primitive: FloatTensor<Gpu> = tensor.into_primitive().tensor();
    into_contiguous(primitive)
}

fn tensor(like: &Float, n: usize, handle: Handle) -> Tensor<Gpu, 1> {
    let (client, device) = (like.client.clone(), like.device.clone());
    let made = CubeTensor::new_contiguous(client, device, [n].into(), handle, like.dtype);
    Tensor::from_primitive(TensorPrimitive::Float(made))
}
