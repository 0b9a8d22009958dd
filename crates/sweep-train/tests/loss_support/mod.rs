//! Random small batches for the property tests of losses, and the losses evaluated on them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses its part"
)]

use std::f64::consts::PI;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;

use sweep_core::loss::{HeadKind, Loss, Sigma};
use sweep_train::head::Head;
use sweep_train::loss::{Objective, Targets, predict};

/// A batch with all parameters any head needs; matrices row-major, weights with class rows.
#[derive(Debug, Clone)]
pub struct Case {
    pub features: usize,
    pub classes: usize,
    /// [N, D]
    pub x: Vec<f32>,
    /// [C, D]
    pub weight: Vec<f32>,
    /// [C]
    pub bias: Vec<f32>,
    /// [C, C]
    pub weight2: Vec<f32>,
    /// [C]
    pub bias2: Vec<f32>,
    /// [N]
    pub labels: Vec<u32>,
    /// [C]
    pub counts: Vec<u32>,
}

/// What one evaluation gives; gradients of the batch sum.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// [N, D]
    pub x: Vec<f64>,
    /// [C, D]
    pub weight: Vec<f64>,
    /// [C], of linear heads
    pub bias: Option<Vec<f64>>,
}

/// A loss and the λ it is evaluated with.
pub type Setting = (Loss, f64);

pub fn cases() -> impl Strategy<Value = Case> {
    (1..6_usize, 2..7_usize, 2..6_usize).prop_flat_map(|(samples, features, classes)| {
        let value = || -2.0..2.0_f32;
        (
            prop::collection::vec(value(), samples * features),
            prop::collection::vec(value(), classes * features),
            prop::collection::vec(value(), classes),
            prop::collection::vec(value(), classes * classes),
            prop::collection::vec(value(), classes),
            prop::collection::vec(0..classes as u32, samples),
            prop::collection::vec(1..500_u32, classes),
        )
            .prop_map(move |(x, weight, bias, weight2, bias2, labels, counts)| Case {
                features,
                classes,
                x,
                weight,
                bias,
                weight2,
                bias2,
                labels,
                counts,
            })
            // Directions of nearly zero vectors are as good as random; what happens there has its own test.
            .prop_filter("tiny norms", |case| {
                case.rows().chain(case.class_rows()).all(|row| norm(row) > 0.3)
            })
    })
}

/// Every loss, with several hyperparameters where they change its shape.
pub fn all_losses() -> Vec<Setting> {
    let mut settings = Vec::new();
    for sigma in [Sigma::Softmax, Sigma::Sigmoid] {
        settings.extend([(Loss::L1Sigma { sigma }, 0.0), (Loss::L2Sigma { sigma }, 0.0)]);
    }
    for power in 1..=3 {
        settings.push((Loss::Hinge { margin: 0.5, power }, 0.0));
        settings.push((Loss::HingeCs { margin: 1.0, power }, 0.0));
        settings.push((Loss::HingeWw { margin: 1.0, power }, 0.0));
    }
    settings.extend([
        (Loss::Bce {}, 0.0),
        (softmax(0.0), 0.0),
        (softmax(0.1), 0.0),
        (Loss::Focal { gamma: 2.0, alpha: 1.0 }, 0.0),
        (Loss::Focal { gamma: 1.0, alpha: 0.25 }, 0.0),
        (Loss::Focal { gamma: 3.5, alpha: 2.0 }, 0.0),
        (Loss::Cosine {}, 0.0),
        (Loss::CosineXent { cross_entropy_weight: 0.1 }, 0.0),
    ]);
    settings.extend(without_bias());
    settings
}

/// The losses of heads without bias.
pub fn without_bias() -> Vec<Setting> {
    let mut settings = directional();
    for margin in 1..=4 {
        settings.push((Loss::LSoftmax { margin, anneal: None }, 0.0));
        settings.push((Loss::ASoftmax { margin, anneal: None }, 0.0));
        settings.push((Loss::LSoftmax { margin, anneal: None }, 5.0));
        settings.push((Loss::ASoftmax { margin, anneal: None }, 5.0));
    }
    settings
}

/// The losses that know only the directions of features and weights.
pub fn directional() -> Vec<Setting> {
    vec![
        (Loss::AmSoftmax { scale: 10.0, margin: 0.35 }, 0.0),
        (Loss::AmSoftmax { scale: 30.0, margin: 0.0 }, 0.0),
        (Loss::Arcface { scale: 10.0, margin: 0.5 }, 0.0),
        (Loss::Ldam { scale: 10.0, max_margin: 0.5 }, 0.0),
    ]
}

/// The losses that depend on differences of linear logits only.
pub fn shift_invariant() -> Vec<Setting> {
    all_losses()
        .into_iter()
        .filter(|(loss, _)| {
            matches!(
                loss,
                Loss::L1Sigma { sigma: Sigma::Softmax }
                    | Loss::L2Sigma { sigma: Sigma::Softmax }
                    | Loss::HingeCs { .. }
                    | Loss::HingeWw { .. }
                    | Loss::Softmax { .. }
                    | Loss::Focal { .. }
            )
        })
        .collect()
}

pub fn softmax(label_smoothing: f64) -> Loss {
    Loss::Softmax { label_smoothing }
}

impl Case {
    pub fn samples(&self) -> usize {
        self.labels.len()
    }

    /// Feature vectors.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.x.chunks(self.features)
    }

    /// Weight vectors.
    pub fn class_rows(&self) -> impl Iterator<Item = &[f32]> {
        self.weight.chunks(self.features)
    }

    /// The weight vector of a sample's label.
    pub fn target_row(&self, sample: usize) -> &[f32] {
        let label = self.labels[sample] as usize;
        &self.weight[label * self.features..(label + 1) * self.features]
    }

    /// Per-sample losses.
    pub fn losses(&self, (loss, lambda): &Setting) -> Vec<f64> {
        let (x, head, targets) = self.tensors::<Flex>(loss);
        let evaluation =
            Objective::new(loss, &self.counts, 1).evaluate_at(&head, x, &targets, *lambda);
        numbers(evaluation.per_sample)
    }

    /// Plain logits [N, C].
    pub fn logits(&self, (loss, lambda): &Setting) -> Vec<f32> {
        let (x, head, targets) = self.tensors::<Flex>(loss);
        let evaluation =
            Objective::new(loss, &self.counts, 1).evaluate_at(&head, x, &targets, *lambda);
        evaluation.logits.into_data().to_vec().unwrap()
    }

    pub fn predictions(&self, setting: &Setting) -> Vec<Option<usize>> {
        predict(&self.logits(setting), self.classes)
    }

    pub fn gradients(&self, (loss, lambda): &Setting) -> Gradients {
        let (x, head, targets) = self.tensors::<Autodiff<Flex>>(loss);
        let x = x.require_grad();
        let evaluation =
            Objective::new(loss, &self.counts, 1).evaluate_at(&head, x.clone(), &targets, *lambda);
        let gradients = evaluation.per_sample.sum().backward();
        Gradients {
            x: numbers(x.grad(&gradients).unwrap()),
            weight: numbers(head.weight.val().grad(&gradients).unwrap()),
            bias: head.bias.map(|bias| numbers(bias.val().grad(&gradients).unwrap())),
        }
    }

    fn tensors<B: Backend>(&self, loss: &Loss) -> (Tensor<B, 2>, Head<B>, Targets<B>) {
        let device = Default::default();
        let (d, c) = (self.features, self.classes);
        let matrix = |v: &[f32], shape: [usize; 2]| {
            Tensor::<B, 2>::from_data(TensorData::new(v.to_vec(), shape), &device)
        };
        let vector =
            |v: &[f32]| Tensor::<B, 1>::from_data(TensorData::new(v.to_vec(), [c]), &device);
        let bias = (loss.head() == HeadKind::Linear).then(|| vector(&self.bias));
        let second = matches!(loss, Loss::CosineXent { .. })
            .then(|| (matrix(&self.weight2, [c, c]), vector(&self.bias2)));
        let head = Head::from_parts(loss.head(), matrix(&self.weight, [c, d]), bias, second);
        let targets = Targets::new(&self.labels, c, &device);
        (matrix(&self.x, [self.samples(), d]), head, targets)
    }

    /// Whether a sample lies where arcface jumps: θ_y + m close to π.
    pub fn near_arcface_jump(&self, loss: &Loss) -> bool {
        let Loss::Arcface { margin, .. } = loss else { return false };
        self.target_angles().any(|theta| (theta + margin - PI).abs() < 0.02)
    }

    /// θ_y of each sample.
    pub fn target_angles(&self) -> impl Iterator<Item = f64> {
        self.rows().enumerate().map(|(i, x)| cosine(x, self.target_row(i)).clamp(-1.0, 1.0).acos())
    }
}

pub fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

pub fn norm(v: &[f32]) -> f64 {
    dot(v, v).sqrt()
}

pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    dot(a, b) / (norm(a) * norm(b))
}

/// Fails unless all pairs agree to `tolerance`·max(1, |expected|).
pub fn assert_close(
    what: &str,
    measured: &[f64],
    expected: &[f64],
    tolerance: f64,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(measured.len(), expected.len());
    for (m, e) in measured.iter().zip(expected) {
        prop_assert!((m - e).abs() <= tolerance * e.abs().max(1.0), "{what}: {m} is not {e}");
    }
    Ok(())
}
