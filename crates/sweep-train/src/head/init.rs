//! Starting values of a head's weights, one row per class: [C, D] row-major.
//!
//! Drawn from the run's own stream ([`crate::rng`]), so what a run starts from depends on nothing that happened before it.

use crate::rng::KeyedRng;

/// U(−1/√D, 1/√D): what torch's `Linear` calls Kaiming uniform with a = √5.
pub(super) fn torch_linear(rng: &mut KeyedRng, features: usize, classes: usize) -> Vec<f32> {
    let bound = 1.0 / (features as f64).sqrt();
    (0..classes * features).map(|_| rng.uniform_in(-bound, bound) as f32).collect()
}

/// N(0, 2/D).
pub(super) fn kaiming_normal(rng: &mut KeyedRng, features: usize, classes: usize) -> Vec<f32> {
    let deviation = (2.0 / features as f64).sqrt();
    (0..classes * features).map(|_| (deviation * rng.normal()) as f32).collect()
}

/// N(0, 1), then each class's vector divided by its norm.
pub(super) fn unit_rows(rng: &mut KeyedRng, features: usize, classes: usize) -> Vec<f32> {
    let mut weight = Vec::with_capacity(classes * features);
    for _ in 0..classes {
        let row: Vec<f64> = (0..features).map(|_| rng.normal()).collect();
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        weight.extend(row.into_iter().map(|v| (v / norm) as f32));
    }
    weight
}
