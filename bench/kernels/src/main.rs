//! Tests the kernels of `sweep_train::ops` without a GPU: on whatever wgpu finds, such as Mesa's software Vulkan (llvmpipe).
//!
//! Prints one line per case and ends with 1 when a kernel is further from a float64 computation than f32 allows, with 3 when there is
//! no adapter to run on.

#[path = "../../../crates/sweep-train/src/ops/cube/kernels.rs"]
mod kernels;
mod optimizer;
mod views;

use cubecl::prelude::*;
use cubecl::wgpu::{WgpuDevice, WgpuRuntime};
use kernels::{Back, Sizes, Then};

/// A number in [-1, 1) for the `index`-th value of array number `array`.
pub(crate) fn hashed(array: u32, index: u32) -> f32 {
    let mut z = array.wrapping_mul(0x9E37_79B1) ^ index.wrapping_mul(0x85EB_CA77);
    z = (z ^ (z >> 15)).wrapping_mul(0x2C1B_3C6D);
    z = (z ^ (z >> 12)).wrapping_mul(0x297A_2D39);
    z ^= z >> 15;
    (z >> 8) as f32 / 8_388_608.0 - 1.0
}

struct Case {
    sizes: Sizes,
    residual: bool,
    relu: bool,
    /// Added to every number: a mean far from zero.
    offset: f32,
}

const EPSILON: f64 = 1e-5;

fn main() {
    let device = WgpuDevice::default();
    let Ok(client) = std::panic::catch_unwind(|| WgpuRuntime::client(&device)) else {
        eprintln!("no adapter for wgpu: install a Vulkan driver (Debian: mesa-vulkan-drivers)");
        std::process::exit(3);
    };
    let mut worst = 0.0f64;
    for (rows, channels) in [(1, 3), (7, 16), (64, 32), (100, 33), (1000, 64), (12_544, 256), (401, 2048)] {
        for (residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
            for offset in [0.0, 50.0] {
                let case = Case { sizes: Sizes { rows, channels }, residual, relu, offset };
                let apart = check(&client, &case);
                worst = apart.iter().copied().fold(worst, f64::max);
                println!(
                    "rows {rows:6} channels {channels:4} residual {residual:5} relu {relu:5} offset {offset:4}: y {:.1e} mean {:.1e} var {:.1e} dx {:.1e} dw {:.1e} db {:.1e} dres {:.1e}",
                    apart[0], apart[1], apart[2], apart[3], apart[4], apart[5], apart[6]
                );
            }
        }
    }
    worst = optimizer::check(&client).into_iter().fold(worst, f64::max);
    worst = views::check(&client).into_iter().fold(worst, f64::max);
    println!("worst: {worst:.1e} (allowed: 1)");
    std::process::exit(i32::from(worst.is_nan() || worst > 1.0));
}

/// For each output the largest error over what is allowed.
fn check(client: &ComputeClient<WgpuRuntime>, case: &Case) -> [f64; 7] {
    let Sizes { rows, channels } = case.sizes;
    let numbers = rows * channels;
    let drawn = |array: u32, count: usize| -> Vec<f32> {
        (0..count).map(|index| hashed(array, index as u32)).collect()
    };
    let x: Vec<f32> = drawn(1, numbers).iter().map(|v| v + case.offset).collect();
    let (residual, grad) = (drawn(2, numbers), drawn(3, numbers));
    let (weight, bias) = (drawn(4, channels), drawn(5, channels));

    let put = |values: &[f32]| client.create_from_slice(bytemuck::cast_slice(values));
    let get = |handle| -> Vec<f32> { bytemuck::cast_slice(&client.read_one_unchecked(handle)).to_vec() };
    let (x_in, grad_in, weight_in) = (put(&x), put(&grad), put(&weight));
    let then = Then { residual: case.residual.then(|| put(&residual)), relu: case.relu };
    let (y, statistics) =
        kernels::forward(client, case.sizes, x_in.clone(), weight_in.clone(), put(&bias), then, EPSILON as f32);
    let back = Back {
        x: x_in,
        y: y.clone(),
        grad: grad_in,
        weight: weight_in,
        mean: statistics.mean.clone(),
        inv_std: statistics.inv_std.clone(),
        relu: case.relu,
        residual: case.residual,
    };
    let gradients = kernels::backward(client, case.sizes, back);

    let y = get(y);
    // The oracle, in float64 and in the obvious order.
    let column = |values: &[f32], c: usize| -> Vec<f64> {
        (0..rows).map(|row| f64::from(values[row * channels + c])).collect()
    };
    let mut expected: [Vec<f64>; 7] = Default::default();
    expected[0] = vec![0.0; numbers];
    expected[3] = vec![0.0; numbers];
    expected[6] = vec![0.0; numbers];
    for c in 0..channels {
        let (xs, rs, gs) = (column(&x, c), column(&residual, c), column(&grad, c));
        let (w, b) = (f64::from(weight[c]), f64::from(bias[c]));
        let mean = xs.iter().sum::<f64>() / rows as f64;
        let variance = xs.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
        let inv_std = 1.0 / (variance + EPSILON).sqrt();
        let normed: Vec<f64> = xs.iter().map(|v| (v - mean) * inv_std).collect();
        let masked: Vec<f64> = (0..rows)
            .map(|row| {
                let mut v = normed[row] * w + b + if case.residual { rs[row] } else { 0.0 };
                v = if case.relu { v.max(0.0) } else { v };
                expected[0][row * channels + c] = v;
                // Where the ReLU cuts is the kernel's own word: at the edge both sides are right.
                if case.relu && y[row * channels + c] <= 0.0 { 0.0 } else { gs[row] }
            })
            .collect();
        let sum: f64 = masked.iter().sum();
        let with_normed: f64 = masked.iter().zip(&normed).map(|(g, n)| g * n).sum();
        for row in 0..rows {
            let centred = masked[row] - sum / rows as f64 - normed[row] * with_normed / rows as f64;
            expected[3][row * channels + c] = centred * w * inv_std;
            expected[6][row * channels + c] = masked[row];
        }
        expected[1].push(mean);
        expected[2].push(variance);
        expected[4].push(with_normed);
        expected[5].push(sum);
    }
    // Rounding of x itself, seen through the division by a small deviation, is not the kernel's.
    let magnified = |c: usize| (f64::from(case.offset) + 1.0) / (expected[2][c] + EPSILON).sqrt();
    let scale = (0..channels).map(magnified).fold(1.0, f64::max);
    let tolerance = 4e-6 * scale;
    let count = rows as f64;
    let found = [
        (y, tolerance),
        (get(statistics.mean), 1e-6 * (1.0 + f64::from(case.offset))),
        (get(statistics.variance), 4e-6 * (1.0 + f64::from(case.offset))),
        (get(gradients.x), tolerance * 4.0),
        (get(gradients.weight), tolerance * count.sqrt().max(1.0) * 4.0),
        (get(gradients.bias), 4e-6 * count.sqrt().max(1.0)),
        (gradients.residual.map(get).unwrap_or_default(), 1e-7),
    ];
    std::array::from_fn(|output| {
        let (values, tolerance) = &found[output];
        if output == 6 && !case.residual {
            return 0.0;
        }
        assert_eq!(values.len(), expected[output].len(), "length of output {output}");
        values
            .iter()
            .zip(&expected[output])
            .map(|(a, b)| (f64::from(*a) - b).abs() / tolerance)
            .fold(0.0, |worst, apart| if apart.is_nan() { f64::NAN } else { worst.max(apart) })
    })
}
