//! Max pooling and global average pooling, channels last: the inner loop runs over the channels of one pixel.

use burn::backend::flex::FlexTensor;

use super::parts;
use super::slice::{Dense, tensor};
use crate::ops::Window;

/// Calls `visit(output pixel, image pixel)` for every pixel of every window, windows in row-major order and pixels in row-major order
/// within each.
#[inline(always)]
fn visit_windows(height: usize, width: usize, window: Window, mut visit: impl FnMut(usize, usize)) {
    let (out_height, out_width) = (window.output(height), window.output(width));
    for out_y in 0..out_height {
        let (first_y, rows) = window.inside(out_y, height);
        for out_x in 0..out_width {
            let (first_x, cols) = window.inside(out_x, width);
            for y in first_y..first_y + rows.len() {
                for x in first_x..first_x + cols.len() {
                    visit(out_y * out_width + out_x, y * width + x);
                }
            }
        }
    }
}

pub(super) fn max(x: FlexTensor, window: Window) -> FlexTensor {
    let x = Dense::new(x);
    let [samples, height, width, channels] = x.dims4();
    let (out_height, out_width) = (window.output(height), window.output(width));
    let image = height * width * channels;
    let mut y = vec![f32::NEG_INFINITY; samples * out_height * out_width * channels];
    samples_in_parts(&mut y, out_height * out_width * channels, |sample, y| {
        let x = &x.values()[sample * image..][..image];
        parts::wide(
            #[inline(always)]
            || {
                visit_windows(height, width, window, |to, from| {
                    let to = &mut y[to * channels..][..channels];
                    for (to, &from) in to.iter_mut().zip(&x[from * channels..][..channels]) {
                        // NaN wins, as in PyTorch: a diverged network must not look healthy.
                        *to = if from > *to || from.is_nan() { from } else { *to };
                    }
                });
            },
        );
    });
    tensor(y, [samples, out_height, out_width, channels])
}

pub(super) fn max_backward(
    x: FlexTensor,
    y: FlexTensor,
    grad: FlexTensor,
    window: Window,
) -> FlexTensor {
    let (x, y, grad) = (Dense::new(x), Dense::new(y), Dense::new(grad));
    let dims = x.dims4();
    let [samples, height, width, channels] = dims;
    let image = height * width * channels;
    let out_image = window.output(height) * window.output(width) * channels;
    let mut grad_x = vec![0.0; samples * image];
    samples_in_parts(&mut grad_x, image, |sample, grad_x| {
        let x = &x.values()[sample * image..][..image];
        let y = &y.values()[sample * out_image..][..out_image];
        // What of each output's gradient still looks for its maximum: the first equal pixel takes all of it.
        let mut left = grad.values()[sample * out_image..][..out_image].to_vec();
        parts::wide(
            #[inline(always)]
            || {
                visit_windows(height, width, window, |out, pixel| {
                    let left = &mut left[out * channels..][..channels];
                    let y = &y[out * channels..][..channels];
                    let x = &x[pixel * channels..][..channels];
                    let grad_x = &mut grad_x[pixel * channels..][..channels];
                    for (((left, y), x), grad_x) in left.iter_mut().zip(y).zip(x).zip(grad_x) {
                        let here = x == y;
                        *grad_x += if here { *left } else { 0.0 };
                        *left = if here { 0.0 } else { *left };
                    }
                });
            },
        );
    });
    tensor(grad_x, dims)
}

pub(super) fn avg(x: FlexTensor) -> FlexTensor {
    let x = Dense::new(x);
    let [samples, height, width, channels] = x.dims4();
    let image = height * width * channels;
    let scale = 1.0 / (height * width) as f32;
    let mut y = vec![0.0; samples * channels];
    parts::wide(
        #[inline(always)]
        || {
            for (y, x) in y.chunks_mut(channels).zip(x.values().chunks(image)) {
                for pixel in x.chunks(channels) {
                    for (y, x) in y.iter_mut().zip(pixel) {
                        *y += x;
                    }
                }
                for y in y {
                    *y *= scale;
                }
            }
        },
    );
    tensor(y, [samples, channels])
}

pub(super) fn avg_backward(x: FlexTensor, grad: FlexTensor) -> FlexTensor {
    let shape = x.layout().shape();
    let dims = [shape[0], shape[1], shape[2], shape[3]];
    let [_, height, width, channels] = dims;
    let grad = Dense::new(grad);
    let scale = 1.0 / (height * width) as f32;
    let mut grad_x = Vec::with_capacity(dims.iter().product());
    for grad in grad.values().chunks(channels) {
        let start = grad_x.len();
        grad_x.extend(grad.iter().map(|grad| grad * scale));
        for _ in 1..height * width {
            grad_x.extend_from_within(start..start + channels);
        }
    }
    tensor(grad_x, dims)
}

/// Runs `task` for each sample's values, several small samples in one part.
fn samples_in_parts(
    values: &mut [f32],
    size: usize,
    task: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    let at_once = parts::samples_per_part(size);
    parts::for_each_chunk(values, at_once * size, |part, values| {
        for (offset, values) in values.chunks_mut(size).enumerate() {
            task(part * at_once + offset, values);
        }
    });
}
