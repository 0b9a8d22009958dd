//! The networks of `fixtures/resnet_parity.py`: numbers that both sides make from one hash, and what torchvision answers.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeMap;

use serde::Deserialize;

/// The tensor number of the images.
pub const IMAGES: u32 = 1_000_000;

#[derive(Deserialize)]
pub struct Fixture {
    pub classes: usize,
    pub batch: usize,
    pub side: usize,
    pub rate: f64,
    pub cases: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    pub model: String,
    pub logits: Vec<f64>,
    pub loss: f64,
    pub after: BTreeMap<String, Summary>,
}

#[derive(Deserialize)]
pub struct Summary {
    pub wave: f64,
    pub change_norm: f64,
    pub change_wave: f64,
    pub samples: Vec<(usize, f64)>,
}

pub fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../fixtures/resnet_parity.json")).unwrap()
}

pub fn hashed(tensor: u32, index: usize) -> f32 {
    let mut z = tensor.wrapping_mul(0x9E37_79B1) ^ (index as u32).wrapping_mul(0x85EB_CA77);
    z = (z ^ (z >> 15)).wrapping_mul(0x2C1B_3C6D);
    z = (z ^ (z >> 12)).wrapping_mul(0x297A_2D39);
    z ^= z >> 15;
    (z >> 8) as f32 / 8_388_608.0 - 1.0
}

/// In f32 arithmetic, as the script does.
pub fn initial(model: &str, name: &str, number: usize, shape: &[usize]) -> Vec<f32> {
    let value = |index| {
        let hash = hashed(number as u32, index);
        if shape.len() > 1 {
            hash * (6.0 / shape[1..].iter().product::<usize>() as f64).sqrt() as f32
        } else if name.ends_with("running_var") {
            1.0 + 0.5 * hash
        } else if name.ends_with("running_mean") || name.ends_with("bias") {
            0.125 * hash
        } else {
            let last = if model == "resnet50" { ".bn3." } else { ".bn2." };
            let scale = if name.contains(last) { 0.25 } else { 1.0 };
            scale * (1.0 + 0.25 * hash)
        }
    };
    (0..shape.iter().product()).map(value).collect()
}
