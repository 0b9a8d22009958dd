//! One optimizer step of one parameter as one kernel of cubecl: every number is read once and written once.
//!
//! The same formulas in the same order as [`rule`](super::super::rule), where each is an operation of its own: five to twelve launches and as many
//! passes over memory for each of the 161 parameters of a ResNet-50. Rates are arguments, not part of a kernel: a schedule compiles nothing.
//!
//! Nothing here knows burn, and all of it is generic over cubecl's runtimes: `bench/kernels` includes this very file to test it
//! without a GPU.

use cubecl::prelude::*;
use cubecl::server::Handle;

/// Units of a cube.
const FLAT: u32 = 256;

/// Numbers of torch's SGD.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sgd {
    pub(crate) learning_rate: f32,
    pub(crate) momentum: f32,
    /// Added to the gradient, times the parameter.
    pub(crate) weight_decay: f32,
    pub(crate) nesterov: bool,
}

/// Numbers of torch's Adam and `AdamW` at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adam {
    /// The learning rate over 1 − β₁ᵗ.
    pub(crate) rate: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) epsilon: f32,
    /// √(1 − β₂ᵗ).
    pub(crate) correction: f32,
    /// Added to the gradient, times the parameter (Adam).
    pub(crate) weight_decay: f32,
    /// What the parameter is multiplied with first (`AdamW`: 1 − learning rate · decay; else 1).
    pub(crate) shrink: f32,
}

/// Parameter and momentum buffer after a step; `momentum` is `None` at the first. All arrays: `n` contiguous f32.
pub(crate) fn sgd<R: Runtime>(
    client: &ComputeClient<R>,
    n: usize,
    rule: Sgd,
    parameter: &Handle,
    gradient: &Handle,
    momentum: Option<&Handle>,
) -> (Handle, Handle) {
    let (next, buffer) = (floats(client, n), floats(client, n));
    // SAFETY: every array has `n` numbers, and the kernel checks its position against it.
    #[allow(unsafe_code, reason = "a kernel that checks its positions itself")]
    unsafe {
        sgd_step::launch_unchecked::<R>(
            client,
            count(n),
            CubeDim::new_1d(FLAT),
            array(parameter, n),
            array(gradient, n),
            // An array that is not read at the first step.
            array(momentum.unwrap_or(gradient), n),
            array(&next, n),
            array(&buffer, n),
            n,
            rule.learning_rate,
            rule.momentum,
            rule.weight_decay,
            momentum.is_some(),
            rule.nesterov,
        );
    }
    (next, buffer)
}

/// Parameter and both moments after a step; `moments` is `None` at the first. All arrays: `n` contiguous f32.
pub(crate) fn adam<R: Runtime>(
    client: &ComputeClient<R>,
    n: usize,
    rule: Adam,
    parameter: &Handle,
    gradient: &Handle,
    moments: Option<(&Handle, &Handle)>,
) -> (Handle, Handle, Handle) {
    let (next, first, second) = (floats(client, n), floats(client, n), floats(client, n));
    let before = moments.unwrap_or((gradient, gradient));
    // SAFETY: every array has `n` numbers, and the kernel checks its position against it.
    #[allow(unsafe_code, reason = "a kernel that checks its positions itself")]
    unsafe {
        adam_step::launch_unchecked::<R>(
            client,
            count(n),
            CubeDim::new_1d(FLAT),
            array(parameter, n),
            array(gradient, n),
            array(before.0, n),
            array(before.1, n),
            array(&next, n),
            array(&first, n),
            array(&second, n),
            n,
            rule.rate,
            rule.beta1,
            rule.beta2,
            rule.epsilon,
            rule.correction,
            rule.weight_decay,
            rule.shrink,
            moments.is_some(),
        );
    }
    (next, first, second)
}

fn floats<R: Runtime>(client: &ComputeClient<R>, count: usize) -> Handle {
    client.empty(count * size_of::<f32>())
}

#[allow(unsafe_code, reason = "the length is the caller's, who made the array")]
fn array<R: Runtime>(handle: &Handle, length: usize) -> ArrayArg<R> {
    unsafe { ArrayArg::from_raw_parts(handle.clone(), length) }
}

/// One unit per number; a row of cubes is no longer than every runtime allows.
fn count(n: usize) -> CubeCount {
    const LONGEST: usize = 65_535;
    let cubes = n.div_ceil(FLAT as usize);
    let rows = cubes.div_ceil(LONGEST).max(1);
    CubeCount::Static(cubes.div_ceil(rows) as u32, rows as u32, 1)
}

#[cube(launch_unchecked)]
fn sgd_step(
    parameter: &Array<f32>,
    gradient: &Array<f32>,
    momentum_before: &Array<f32>,
    next: &mut Array<f32>,
    buffer: &mut Array<f32>,
    n: usize,
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
    #[comptime] started: bool,
    #[comptime] nesterov: bool,
) {
    let at = ABSOLUTE_POS;
    if at < n {
        let p = parameter[at];
        let g = gradient[at] + p * weight_decay;
        let mut b = g;
        if comptime!(started) {
            b = momentum_before[at] * momentum + g;
        }
        buffer[at] = b;
        let mut direction = b;
        if comptime!(nesterov) {
            direction = g + b * momentum;
        }
        next[at] = p - direction * learning_rate;
    }
}

#[cube(launch_unchecked)]
fn adam_step(
    parameter: &Array<f32>,
    gradient: &Array<f32>,
    first_before: &Array<f32>,
    second_before: &Array<f32>,
    next: &mut Array<f32>,
    first: &mut Array<f32>,
    second: &mut Array<f32>,
    n: usize,
    rate: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    correction: f32,
    weight_decay: f32,
    shrink: f32,
    #[comptime] started: bool,
) {
    let at = ABSOLUTE_POS;
    if at < n {
        let p = parameter[at] * shrink;
        let g = gradient[at] + p * weight_decay;
        let squared = g * g * (1.0f32 - beta2);
        let mut m = g * (1.0f32 - beta1);
        let mut v = squared;
        if comptime!(started) {
            let before = first_before[at];
            m = before + (g - before) * (1.0f32 - beta1);
            v = second_before[at] * beta2 + squared;
        }
        first[at] = m;
        second[at] = v;
        next[at] = p - m / (f32::sqrt(v) / correction + epsilon) * rate;
    }
}
