//! The optimizers' kernels against the same formulas in float64, four steps with a rate that changes.

#[path = "../../../crates/sweep-train/src/optim/cube/kernels.rs"]
mod kernels;

use cubecl::prelude::*;
use cubecl::server::Handle;
use cubecl::wgpu::WgpuRuntime;
use kernels::{Adam, Sgd};

use crate::hashed;

const STEPS: u32 = 4;

/// For each case the largest error over what is allowed.
pub(crate) fn check(client: &ComputeClient<WgpuRuntime>) -> Vec<f64> {
    let mut found = Vec::new();
    for n in [1, 255, 256, 1000, 70_000] {
        for (momentum, nesterov, decay) in [(0.0, false, 0.0), (0.9, false, 5e-4), (0.9, true, 5e-4)] {
            let apart = sgd(client, n, momentum, nesterov, decay);
            println!("sgd n {n:6} momentum {momentum} nesterov {nesterov:5} decay {decay}: {apart:.1e}");
            found.push(apart);
        }
        for (decay, decoupled) in [(0.0, false), (1e-2, false), (1e-2, true)] {
            let apart = adam(client, n, decay, decoupled);
            println!("adam n {n:6} decay {decay} decoupled {decoupled:5}: {apart:.1e}");
            found.push(apart);
        }
    }
    found
}

fn rate(step: u32) -> f64 {
    0.1 / f64::from(step)
}

fn drawn(array: u32, n: usize) -> Vec<f32> {
    (0..n).map(|index| hashed(array, index as u32)).collect()
}

fn put(client: &ComputeClient<WgpuRuntime>, values: &[f32]) -> Handle {
    client.create_from_slice(bytemuck::cast_slice(values))
}

fn apart(client: &ComputeClient<WgpuRuntime>, found: Handle, expected: &[f64]) -> f64 {
    let found: Vec<f32> = bytemuck::cast_slice(&client.read_one_unchecked(found)).to_vec();
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).fold(0.0, |worst, (a, b)| {
        let apart = (f64::from(*a) - b).abs() / (2e-6 * b.abs().max(1.0));
        if apart.is_nan() { f64::NAN } else { worst.max(apart) }
    })
}

fn sgd(client: &ComputeClient<WgpuRuntime>, n: usize, momentum: f64, nesterov: bool, decay: f64) -> f64 {
    let start = drawn(11, n);
    let mut exact: Vec<(f64, f64)> = start.iter().map(|&p| (f64::from(p), 0.0)).collect();
    let (mut parameter, mut buffer) = (put(client, &start), None);
    for step in 1..=STEPS {
        let gradient = drawn(20 + step, n);
        let rule =
            Sgd { learning_rate: rate(step) as f32, momentum: momentum as f32, weight_decay: decay as f32, nesterov };
        let (next, kept) =
            kernels::sgd(client, n, rule, &parameter, &put(client, &gradient), buffer.as_ref());
        (parameter, buffer) = (next, Some(kept));
        for ((p, b), g) in exact.iter_mut().zip(&gradient) {
            let g = f64::from(*g) + decay * *p;
            *b = momentum * *b + g;
            *p -= rate(step) * if nesterov { g + momentum * *b } else { *b };
        }
    }
    apart(client, parameter, &exact.iter().map(|(p, _)| *p).collect::<Vec<_>>())
}

fn adam(client: &ComputeClient<WgpuRuntime>, n: usize, decay: f64, decoupled: bool) -> f64 {
    let (beta1, beta2, epsilon) = (0.9f64, 0.999f64, 1e-8f64);
    let start = drawn(12, n);
    let mut exact: Vec<[f64; 3]> = start.iter().map(|&p| [f64::from(p), 0.0, 0.0]).collect();
    let (mut parameter, mut moments) = (put(client, &start), None);
    for step in 1..=STEPS {
        let gradient = drawn(30 + step, n);
        let corrected = rate(step) / (1.0 - beta1.powi(step as i32));
        let correction = (1.0 - beta2.powi(step as i32)).sqrt();
        let shrink = if decoupled { 1.0 - rate(step) * decay } else { 1.0 };
        let added = if decoupled { 0.0 } else { decay };
        let rule = Adam {
            rate: corrected as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: epsilon as f32,
            correction: correction as f32,
            weight_decay: added as f32,
            shrink: shrink as f32,
        };
        let before = moments.as_ref().map(|(first, second)| (first, second));
        let (next, first, second) =
            kernels::adam(client, n, rule, &parameter, &put(client, &gradient), before);
        (parameter, moments) = (next, Some((first, second)));
        for ([p, m, v], g) in exact.iter_mut().zip(&gradient) {
            *p *= shrink;
            let g = f64::from(*g) + added * *p;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= corrected * *m / (v.sqrt() / correction + epsilon);
        }
    }
    // f32 has 1 − β₂ to 5e-5: torch's own kernels are no nearer.
    apart(client, parameter, &exact.iter().map(|[p, ..]| *p).collect::<Vec<_>>()) / 50.0
}
