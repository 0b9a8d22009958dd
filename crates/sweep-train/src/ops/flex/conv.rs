//! Convolution as matrix products over columns of pixels ("im2col"), a few samples at a time.
//!
//! A row of the column matrix holds the pixels under one window, in the order (window row, window column, channel), which is also the
//! order of a weight [O, k, k, I]; so no weight is ever rearranged, and a window row inside the image is one copy.

use burn::backend::flex::FlexTensor;

use super::gemm::{Matrix, product};
use super::parts;
use super::slice::{Dense, tensor};
use crate::ops::Window;

/// Values of a column matrix held at once (8 MiB): bounds memory at large images and keeps the matrix near the cache.
const COLUMNS: usize = 2 << 20;

/// The sizes of one convolution.
struct Sizes {
    samples: usize,
    height: usize,
    width: usize,
    inputs: usize,
    out_height: usize,
    out_width: usize,
    outputs: usize,
    window: Window,
}

impl Sizes {
    fn new(x: [usize; 4], weight: [usize; 4], window: Window) -> Self {
        let [samples, height, width, inputs] = x;
        let [outputs, kernel_height, kernel_width, weight_inputs] = weight;
        assert_eq!(
            [kernel_height, kernel_width, weight_inputs],
            [window.kernel, window.kernel, inputs],
            "a convolution weight does not fit its input or window"
        );
        let (out_height, out_width) = (window.output(height), window.output(width));
        Self { samples, height, width, inputs, out_height, out_width, outputs, window }
    }

    /// Output pixels of one sample.
    fn pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Length of a row of the column matrix.
    fn taps(&self) -> usize {
        self.window.kernel * self.window.kernel * self.inputs
    }

    /// Input values of one sample.
    fn image(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// How many samples' columns are held at once.
    fn samples_at_once(&self) -> usize {
        (COLUMNS / (self.pixels() * self.taps()).max(1)).clamp(1, self.samples.max(1))
    }

    /// Calls `copy(at in the columns of this sample, at in the image, length)` for every run of values that a window row shares with
    /// the image.
    #[inline(always)]
    fn runs(&self, mut copy: impl FnMut(usize, usize, usize)) {
        let (kernel, inputs, taps) = (self.window.kernel, self.inputs, self.taps());
        for out_y in 0..self.out_height {
            let (first_y, rows) = self.window.inside(out_y, self.height);
            for out_x in 0..self.out_width {
                let (first_x, cols) = self.window.inside(out_x, self.width);
                let row = (out_y * self.out_width + out_x) * taps;
                let length = cols.len() * inputs;
                for (offset, window_y) in rows.clone().enumerate() {
                    let at_column = row + (window_y * kernel + cols.start) * inputs;
                    let at_image = ((first_y + offset) * self.width + first_x) * inputs;
                    copy(at_column, at_image, length);
                }
            }
        }
    }

    /// Fills `columns` with the windows of the samples in `x`.
    fn gather(&self, x: &[f32], columns: &mut [f32]) {
        let padded = self.window.padding > 0;
        parts::for_each_chunk(columns, self.pixels() * self.taps(), |sample, columns| {
            let image = &x[sample * self.image()..][..self.image()];
            if padded {
                columns.fill(0.0);
            }
            self.runs(|at_column, at_image, length| {
                columns[at_column..at_column + length]
                    .copy_from_slice(&image[at_image..at_image + length]);
            });
        });
    }

    /// Adds the windows in `columns` to the samples in `x`.
    fn scatter(&self, columns: &[f32], x: &mut [f32]) {
        let size = self.pixels() * self.taps();
        parts::for_each_chunk(x, self.image(), |sample, image| {
            let columns = &columns[sample * size..][..size];
            parts::wide(
                #[inline(always)]
                || {
                    self.runs(|at_column, at_image, length| {
                        let from = &columns[at_column..at_column + length];
                        for (to, from) in image[at_image..at_image + length].iter_mut().zip(from) {
                            *to += from;
                        }
                    });
                },
            );
        });
    }
}

pub(super) fn forward(x: FlexTensor, weight: FlexTensor, window: Window) -> FlexTensor {
    let (x, weight) = (Dense::new(x), Dense::new(weight));
    let sizes = Sizes::new(x.dims4(), weight.dims4(), window);
    let kernels = Matrix::new(weight.values(), sizes.outputs, sizes.taps()).transposed();
    let rows = sizes.samples * sizes.pixels();
    let mut y = vec![0.0; rows * sizes.outputs];
    if window.is_pointwise() {
        product(&mut y, Matrix::new(x.values(), rows, sizes.inputs), kernels, false);
    } else {
        let at_once = sizes.samples_at_once();
        let mut columns = vec![0.0; at_once * sizes.pixels() * sizes.taps()];
        let images = x.values().chunks(at_once * sizes.image());
        for (images, y) in images.zip(y.chunks_mut(at_once * sizes.pixels() * sizes.outputs)) {
            let rows = y.len() / sizes.outputs;
            let columns = &mut columns[..rows * sizes.taps()];
            sizes.gather(images, columns);
            product(y, Matrix::new(columns, rows, sizes.taps()), kernels, false);
        }
    }
    tensor(y, [sizes.samples, sizes.out_height, sizes.out_width, sizes.outputs])
}

pub(super) fn backward_x(
    x: FlexTensor,
    weight: FlexTensor,
    grad: FlexTensor,
    window: Window,
) -> FlexTensor {
    let shape = x.layout().shape();
    let x_dims = [shape[0], shape[1], shape[2], shape[3]];
    let (weight, grad) = (Dense::new(weight), Dense::new(grad));
    let sizes = Sizes::new(x_dims, weight.dims4(), window);
    let kernels = Matrix::new(weight.values(), sizes.outputs, sizes.taps());
    let mut grad_x = vec![0.0; sizes.samples * sizes.image()];
    if window.is_pointwise() {
        let rows = sizes.samples * sizes.pixels();
        product(&mut grad_x, Matrix::new(grad.values(), rows, sizes.outputs), kernels, false);
    } else {
        let at_once = sizes.samples_at_once();
        let mut columns = vec![0.0; at_once * sizes.pixels() * sizes.taps()];
        let grads = grad.values().chunks(at_once * sizes.pixels() * sizes.outputs);
        for (grads, images) in grads.zip(grad_x.chunks_mut(at_once * sizes.image())) {
            let rows = grads.len() / sizes.outputs;
            let columns = &mut columns[..rows * sizes.taps()];
            product(columns, Matrix::new(grads, rows, sizes.outputs), kernels, false);
            sizes.scatter(columns, images);
        }
    }
    tensor(grad_x, x_dims)
}

pub(super) fn backward_weight(
    x: FlexTensor,
    weight: FlexTensor,
    grad: FlexTensor,
    window: Window,
) -> FlexTensor {
    let shape = weight.layout().shape();
    let weight_dims = [shape[0], shape[1], shape[2], shape[3]];
    let (x, grad) = (Dense::new(x), Dense::new(grad));
    let sizes = Sizes::new(x.dims4(), weight_dims, window);
    let mut grad_weight = vec![0.0; sizes.outputs * sizes.taps()];
    if window.is_pointwise() {
        let rows = sizes.samples * sizes.pixels();
        let grad = Matrix::new(grad.values(), rows, sizes.outputs).transposed();
        product(&mut grad_weight, grad, Matrix::new(x.values(), rows, sizes.inputs), false);
    } else {
        let at_once = sizes.samples_at_once();
        let mut columns = vec![0.0; at_once * sizes.pixels() * sizes.taps()];
        let grads = grad.values().chunks(at_once * sizes.pixels() * sizes.outputs);
        for (index, (images, grads)) in
            x.values().chunks(at_once * sizes.image()).zip(grads).enumerate()
        {
            let rows = grads.len() / sizes.outputs;
            let columns = &mut columns[..rows * sizes.taps()];
            sizes.gather(images, columns);
            let grads = Matrix::new(grads, rows, sizes.outputs).transposed();
            product(&mut grad_weight, grads, Matrix::new(columns, rows, sizes.taps()), index > 0);
        }
    }
    tensor(grad_weight, weight_dims)
}
