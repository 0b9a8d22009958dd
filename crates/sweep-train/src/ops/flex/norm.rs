//! Batch norm (+ residual) (+ ReLU) over rows of channels: two passes forward, two passes back.
//!
//! Statistics: differences from the first row are summed in f32 over short runs of rows and then in f64, so one pass suffices even
//! where the mean is large against the deviation; parts are added in order.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::parts;
use super::slice::{Dense, tensor};
use crate::ops::{NormGradients, NormInput, NormOutput, NormState};

/// Channels summed side by side in registers.
const LANES: usize = 16;
/// Rows summed in f32 before the sum is added to the f64 total.
const RUN: usize = 32;

/// Two sums per channel.
struct Sums {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Sums {
    fn zero(channels: usize) -> Self {
        Self { first: vec![0.0; channels], second: vec![0.0; channels] }
    }

    /// The sums of all parts, added in their order.
    fn total(parts: Vec<Self>, channels: usize) -> Self {
        let mut total = Self::zero(channels);
        for part in parts {
            for channel in 0..channels {
                total.first[channel] += part.first[channel];
                total.second[channel] += part.second[channel];
            }
        }
        total
    }

    /// Adds, for the `L` channels from `channel`, the two values that `pair(row, lane)` gives for every row.
    #[inline(always)]
    fn add<const L: usize>(
        &mut self,
        channel: usize,
        rows: usize,
        mut pair: impl FnMut(usize) -> ([f32; L], [f32; L]),
    ) {
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + RUN);
            let (mut first, mut second) = ([0f32; L], [0f32; L]);
            for row in start..end {
                let (a, b) = pair(row);
                for lane in 0..L {
                    first[lane] += a[lane];
                    second[lane] += b[lane];
                }
            }
            for lane in 0..L {
                self.first[channel + lane] += f64::from(first[lane]);
                self.second[channel + lane] += f64::from(second[lane]);
            }
            start = end;
        }
    }
}

/// `L` neighbouring values.
#[inline(always)]
fn lanes<const L: usize>(values: &[f32], at: usize) -> [f32; L] {
    let mut lanes = [0.0; L];
    lanes.copy_from_slice(&values[at..at + L]);
    lanes
}

/// Calls `$body` for blocks of `LANES` channels, then for single ones; `$L` is the block's size.
macro_rules! for_channel_blocks {
    ($channels:expr, |$channel:ident, $L:ident| $body:block) => {{
        let whole = $channels / LANES * LANES;
        for $channel in (0..whole).step_by(LANES) {
            const $L: usize = LANES;
            $body
        }
        for $channel in whole..$channels {
            const $L: usize = 1;
            $body
        }
    }};
}

/// Sums of (x − pivot) and (x − pivot)² over the rows of `x`.
fn moments(x: &[f32], pivot: &[f32]) -> Sums {
    let channels = pivot.len();
    let rows = x.len() / channels;
    let mut sums = Sums::zero(channels);
    parts::wide(
        #[inline(always)]
        || {
            for_channel_blocks!(channels, |channel, L| {
                let pivot = lanes::<L>(pivot, channel);
                sums.add::<L>(
                    channel,
                    rows,
                    #[inline(always)]
                    |row| {
                        let mut values = lanes::<L>(x, row * channels + channel);
                        let mut squares = [0.0; L];
                        for lane in 0..L {
                            values[lane] -= pivot[lane];
                            squares[lane] = values[lane] * values[lane];
                        }
                        (values, squares)
                    },
                );
            });
        },
    );
    sums
}

#[inline(always)]
fn relu(value: f32) -> f32 {
    // Not `max`: NaN must pass, so that a diverged network does not look healthy.
    if value <= 0.0 { 0.0 } else { value }
}

/// The gradient before a ReLU whose output was `y`.
#[inline(always)]
fn through_relu(grad: f32, y: f32) -> f32 {
    if y <= 0.0 { 0.0 } else { grad }
}

/// x · scale + shift (+ residual), then the ReLU.
fn apply(
    x: &[f32],
    residual: Option<&[f32]>,
    scale: &[f32],
    shift: &[f32],
    rectify: bool,
) -> Vec<f32> {
    let channels = scale.len();
    let mut y = vec![0.0; x.len()];
    let size = parts::rows_per_part(channels) * channels;
    parts::for_each_chunk(&mut y, size, |part, y| {
        let start = part * size;
        let x = &x[start..start + y.len()];
        parts::wide(
            #[inline(always)]
            || match residual {
                Some(residual) => {
                    let residual = &residual[start..start + y.len()];
                    let rows = y.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
                    for ((y, x), residual) in rows.zip(residual.chunks_exact(channels)) {
                        let affine = x
                            .iter()
                            .zip(scale)
                            .zip(shift)
                            .map(|((x, scale), shift)| x * scale + shift);
                        for ((y, value), residual) in y.iter_mut().zip(affine).zip(residual) {
                            *y = if rectify { relu(value + residual) } else { value + residual };
                        }
                    }
                }
                None => {
                    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                        let affine = x
                            .iter()
                            .zip(scale)
                            .zip(shift)
                            .map(|((x, scale), shift)| x * scale + shift);
                        for (y, value) in y.iter_mut().zip(affine) {
                            *y = if rectify { relu(value) } else { value };
                        }
                    }
                }
            },
        );
    });
    y
}

pub(super) fn affine(
    x: FlexTensor,
    scale: FlexTensor,
    shift: FlexTensor,
    residual: Option<FlexTensor>,
    rectify: bool,
) -> FlexTensor {
    let (x, scale, shift) = (Dense::new(x), Dense::new(scale), Dense::new(shift));
    let residual = residual.map(Dense::new);
    let y = apply(
        x.values(),
        residual.as_ref().map(Dense::values),
        scale.values(),
        shift.values(),
        rectify,
    );
    tensor(y, x.dims4())
}

/// scale = γ/σ and shift = β − mean·γ/σ, so that the normalised value is x · scale + shift.
fn scale_and_shift(
    weight: &[f32],
    bias: &[f32],
    mean: &[f32],
    inv_std: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let scale: Vec<f32> =
        weight.iter().zip(inv_std).map(|(weight, inv_std)| weight * inv_std).collect();
    let shift = bias
        .iter()
        .zip(mean)
        .zip(&scale)
        .map(|((bias, mean), scale)| bias - mean * scale)
        .collect();
    (scale, shift)
}

pub(super) fn train(input: NormInput<Flex>) -> NormOutput<Flex> {
    let (x, weight, bias) = (Dense::new(input.x), Dense::new(input.weight), Dense::new(input.bias));
    let residual = input.residual.map(Dense::new);
    let dims = x.dims4();
    let channels = dims[3];
    let values = x.values();
    let rows = values.len() / channels;
    let pivot = &values[..channels];
    let size = parts::rows_per_part(channels) * channels;
    let sums = parts::map(values.len().div_ceil(size), |part| {
        moments(&values[part * size..values.len().min((part + 1) * size)], pivot)
    });
    let sums = Sums::total(sums, channels);
    let (mut mean, mut variance, mut inv_std) =
        (Vec::with_capacity(channels), Vec::with_capacity(channels), Vec::with_capacity(channels));
    for (channel, pivot) in pivot.iter().enumerate() {
        let offset = sums.first[channel] / rows as f64;
        let biased = (sums.second[channel] / rows as f64 - offset * offset).max(0.0);
        // `max` would turn the NaN of a diverged network into 0.
        let biased = if sums.second[channel].is_nan() { f64::NAN } else { biased };
        mean.push((f64::from(*pivot) + offset) as f32);
        variance.push(biased as f32);
        inv_std.push((1.0 / (biased + input.epsilon).sqrt()) as f32);
    }
    let (scale, shift) = scale_and_shift(weight.values(), bias.values(), &mean, &inv_std);
    let y = apply(values, residual.as_ref().map(Dense::values), &scale, &shift, input.relu);
    NormOutput {
        y: tensor(y, dims),
        variance: tensor(variance, [channels]),
        state: NormState { mean: tensor(mean, [channels]), inv_std: tensor(inv_std, [channels]) },
    }
}

/// Sums of g and g·(x − mean) over the rows, g being the gradient before the ReLU.
#[inline(always)]
fn gradient_sums(
    x: &[f32],
    grad: &[f32],
    mean: &[f32],
    scale: &[f32],
    shift: &[f32],
    mask: Mask,
) -> Sums {
    let channels = mean.len();
    let rows = x.len() / channels;
    let mut sums = Sums::zero(channels);
    for_channel_blocks!(channels, |channel, L| {
        let mean = lanes::<L>(mean, channel);
        let (scale, shift) = (lanes::<L>(scale, channel), lanes::<L>(shift, channel));
        sums.add::<L>(
            channel,
            rows,
            #[inline(always)]
            |row| {
                let at = row * channels + channel;
                let values = lanes::<L>(x, at);
                let mut grads = lanes::<L>(grad, at);
                let mut products = [0.0; L];
                for lane in 0..L {
                    if mask == Mask::Recomputed {
                        grads[lane] =
                            through_relu(grads[lane], values[lane] * scale[lane] + shift[lane]);
                    }
                    products[lane] = grads[lane] * (values[lane] - mean[lane]);
                }
                (grads, products)
            },
        );
    });
    sums
}

/// Where the ReLU's mask comes from in the backward pass.
#[derive(Clone, Copy, PartialEq)]
enum Mask {
    /// There was no ReLU, or the gradient has passed it already.
    Done,
    /// From the input, by the forward pass's own formula (the same bits): cheaper than reading the output.
    Recomputed,
}

pub(super) fn backward(
    input: NormInput<Flex>,
    y: FlexTensor,
    state: NormState<Flex>,
    grad: FlexTensor,
) -> NormGradients<Flex> {
    let has_residual = input.residual.is_some();
    let (grad, mask) = match (input.relu, has_residual) {
        (true, true) => (Dense::new(masked(grad, y)), Mask::Done),
        (true, false) => (Dense::new(grad), Mask::Recomputed),
        (false, _) => (Dense::new(grad), Mask::Done),
    };
    let (x, weight, bias) = (Dense::new(input.x), Dense::new(input.weight), Dense::new(input.bias));
    let (mean, inv_std) = (Dense::new(state.mean), Dense::new(state.inv_std));
    let dims = x.dims4();
    let channels = dims[3];
    let (mean, inv_std) = (mean.values(), inv_std.values());
    let (scale, shift) = scale_and_shift(weight.values(), bias.values(), mean, inv_std);
    let (values, grads) = (x.values(), grad.values());
    let rows = values.len() / channels;
    let size = parts::rows_per_part(channels) * channels;

    let sums = parts::map(values.len().div_ceil(size), |part| {
        let range = part * size..values.len().min((part + 1) * size);
        let (x, grad) = (&values[range.clone()], &grads[range]);
        parts::wide(
            #[inline(always)]
            || match mask {
                Mask::Done => gradient_sums(x, grad, mean, &scale, &shift, Mask::Done),
                Mask::Recomputed => gradient_sums(x, grad, mean, &scale, &shift, Mask::Recomputed),
            },
        )
    });
    let sums = Sums::total(sums, channels);
    // ∂x = scale·(g − mean(g) − x̂·mean(g·x̂)) = scale·g + slope·(x − mean) + offset
    let (mut grad_weight, mut slope, mut offset) =
        (Vec::with_capacity(channels), Vec::with_capacity(channels), Vec::with_capacity(channels));
    for channel in 0..channels {
        let inv = f64::from(inv_std[channel]);
        let grad_normed = sums.second[channel] * inv;
        grad_weight.push(grad_normed as f32);
        slope.push((-f64::from(scale[channel]) * inv * grad_normed / rows as f64) as f32);
        offset.push((-f64::from(scale[channel]) * sums.first[channel] / rows as f64) as f32);
    }
    let grad_bias: Vec<f32> = sums.first.iter().map(|&sum| sum as f32).collect();

    let mut grad_x = vec![0.0; values.len()];
    let per_channel =
        PerChannel { mean, scale: &scale, shift: &shift, slope: &slope, offset: &offset };
    parts::for_each_chunk(&mut grad_x, size, |part, out| {
        let range = part * size..part * size + out.len();
        let (x, grad) = (&values[range.clone()], &grads[range]);
        parts::wide(
            #[inline(always)]
            || match mask {
                Mask::Done => input_gradient(out, x, grad, &per_channel, Mask::Done),
                Mask::Recomputed => input_gradient(out, x, grad, &per_channel, Mask::Recomputed),
            },
        );
    });
    NormGradients {
        x: tensor(grad_x, dims),
        weight: tensor(grad_weight, [channels]),
        bias: tensor(grad_bias, [channels]),
        residual: has_residual.then(|| grad.into_tensor()),
    }
}

struct PerChannel<'a> {
    mean: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    slope: &'a [f32],
    offset: &'a [f32],
}

#[inline(always)]
fn input_gradient(out: &mut [f32], x: &[f32], grad: &[f32], by: &PerChannel<'_>, mask: Mask) {
    let channels = by.mean.len();
    let (mean, scale, shift) = (&by.mean[..channels], &by.scale[..channels], &by.shift[..channels]);
    let (slope, offset) = (&by.slope[..channels], &by.offset[..channels]);
    let rows = out
        .chunks_exact_mut(channels)
        .zip(x.chunks_exact(channels))
        .zip(grad.chunks_exact(channels));
    for ((out, x), grad) in rows {
        for channel in 0..channels {
            let mut grad = grad[channel];
            if mask == Mask::Recomputed {
                grad = through_relu(grad, x[channel] * scale[channel] + shift[channel]);
            }
            out[channel] = scale[channel] * grad
                + (slope[channel] * (x[channel] - mean[channel]) + offset[channel]);
        }
    }
}

/// The gradient before the ReLU.
fn masked(grad: FlexTensor, y: FlexTensor) -> FlexTensor {
    let (grad, y) = (Dense::new(grad), Dense::new(y));
    let mut out = vec![0.0; grad.values().len()];
    let size = parts::rows_per_part(1);
    parts::for_each_chunk(&mut out, size, |part, out| {
        let range = part * size..part * size + out.len();
        let (grad, y) = (&grad.values()[range.clone()], &y.values()[range]);
        parts::wide(
            #[inline(always)]
            || {
                for ((out, grad), y) in out.iter_mut().zip(grad).zip(y) {
                    *out = through_relu(*grad, *y);
                }
            },
        );
    });
    tensor(out, grad.dims4())
}
