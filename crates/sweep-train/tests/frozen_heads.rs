//! Heads trained by hand-written gradients against the same heads trained by autodiff: each gradient on random batches, and where
//! a whole training ends.

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loss_support;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use loss_support::{Case, all_losses, assert_close, cases};
use proptest::prelude::*;
use sweep_core::loss::{Anneal, HeadKind, Loss};
use sweep_core::training::Optimizer;
use sweep_train::frozen::{Features, HeadNumbers, LinearHead};
use sweep_train::head::Head;
use sweep_train::loss::{Objective, Targets};
use sweep_train::optim;
use sweep_train::optim::gradients::{ParameterGradients, clip_factor, global_norm};
use sweep_train::rng::KeyedRng;

type Back = Autodiff<Flex>;

const SGD: Optimizer =
    Optimizer::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 5e-4 };

fn by_hand(case: &Case, loss: &Loss) -> (LinearHead, Features) {
    let numbers = HeadNumbers {
        weight: case.weight.clone(),
        bias: (loss.head() == HeadKind::Linear).then(|| case.bias.clone()),
        second: matches!(loss, Loss::CosineXent { .. })
            .then(|| (case.weight2.clone(), case.bias2.clone())),
    };
    let (dim, classes) = (case.features, case.classes);
    let head = LinearHead::new(loss, dim, numbers, SGD, None);
    let (x, labels) = (case.x.clone(), case.labels.clone());
    (head, Features::new(x, dim, labels, case.samples(), classes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn gradients_by_hand_are_those_of_autodiff(case in cases()) {
        for (loss, lambda) in all_losses() {
            if case.near_arcface_jump(&loss) {
                continue;
            }
            let expected = case.gradients(&(loss.clone(), lambda));
            let losses = case.losses(&(loss.clone(), lambda));
            let (mut head, features) = by_hand(&case, &loss);
            let examples: Vec<usize> = (0..case.samples()).collect();
            let objective = Objective::new(&loss, &case.counts, 1);
            let (said, gradients) = head.differentiate(&features, &examples, &objective, lambda);
            let wide = |values: &[f32], factor: f64| -> Vec<f64> {
                values.iter().map(|v| factor * f64::from(*v)).collect()
            };
            let what = loss.canonical();
            assert_close(&what, &wide(&said.losses, 1.0), &losses, 2e-5)?;
            // theirs are of the sum, ours of the mean
            let sum = case.samples() as f64;
            let largest = expected.weight.iter().fold(1.0f64, |most, g| most.max(g.abs()));
            let scaled = |values: Vec<f64>| values.into_iter().map(|g| g / largest).collect::<Vec<_>>();
            assert_close(&what, &scaled(wide(&gradients[0], sum)), &scaled(expected.weight.clone()), 1e-4)?;
            if let Some(bias) = &expected.bias {
                assert_close(&what, &scaled(wide(&gradients[1], sum)), &scaled(bias.clone()), 1e-4)?;
            }
        }
    }
}

/// Features of classes that overlap, all ≥ 0 as after a ReLU.
fn overlapping(samples: usize, dim: usize, classes: usize) -> Features {
    let mut rng = KeyedRng::new(3).named("features");
    let centres: Vec<f64> = (0..classes * dim).map(|_| rng.uniform()).collect();
    let labels: Vec<u32> = (0..samples).map(|i| (i % classes) as u32).collect();
    let rows = labels
        .iter()
        .flat_map(|label| &centres[*label as usize * dim..(*label as usize + 1) * dim])
        .map(|centre| (centre + 0.8 * rng.normal()).max(0.0) as f32)
        .collect();
    Features::new(rows, dim, labels, samples, classes)
}

/// Weight, bias and second head after 60 clipped steps by autodiff, and the losses on the way.
fn trained_by_autodiff(loss: &Loss, features: &Features, rule: Optimizer) -> (Vec<f32>, Vec<f32>) {
    let device = Default::default();
    let (dim, classes) = (features.dim(), features.classes());
    let mut head = Head::<Back>::new(loss, dim, classes, 5, &device);
    let objective = Objective::new(loss, &features.class_counts(), 60);
    let mut optimizer = optim::Optimizer::<Flex>::new(rule);
    let mut losses = Vec::new();
    for step in 0..60 {
        let examples = batch(step, features);
        let x: Vec<f32> = examples
            .iter()
            .flat_map(|e| &features.rows()[e * dim..(e + 1) * dim])
            .copied()
            .collect();
        let x = Tensor::<Back, 2>::from_data(TensorData::new(x, [examples.len(), dim]), &device);
        let labels: Vec<u32> = examples.iter().map(|e| features.labels()[*e]).collect();
        let targets = Targets::new(&labels, classes, &device);
        let per_sample = objective.evaluate(&head, x, &targets, step).per_sample;
        losses.extend(per_sample.clone().inner().into_data().to_vec::<f32>().unwrap());
        let mut gradients = per_sample.mean().backward();
        let gradients = ParameterGradients::of(&head, &mut gradients);
        let squares = gradients.squared_norms().unwrap().into_data().to_vec::<f32>().unwrap();
        let factor = clip_factor(global_norm(&squares), 1.0);
        head = optimizer.step(head, gradients.scaled(factor), 0.1);
    }
    let parts = [Some(head.weight.val().reshape([-1])), head.bias.map(|b| b.val())]
        .into_iter()
        .chain([head.weight2.map(|w| w.val().reshape([-1])), head.bias2.map(|b| b.val())]);
    let numbers =
        parts.flatten().flat_map(|t: Tensor<Back, 1>| t.into_data().to_vec::<f32>().unwrap());
    (numbers.collect(), losses)
}

fn batch(step: u64, features: &Features) -> Vec<usize> {
    let mut order: Vec<usize> = (0..features.train()).collect();
    KeyedRng::new(9).numbered(step).shuffle(&mut order);
    order.truncate(7);
    order
}

#[test]
fn a_training_by_hand_ends_where_that_of_autodiff_ends() {
    let features = overlapping(40, 37, 4);
    let anneal = Some(Anneal { base: 1000.0, gamma_total: 0.5, power: 35.0, min: 0.0 });
    let mut settings: Vec<Loss> = all_losses().into_iter().map(|(loss, _)| loss).collect();
    settings.extend([Loss::LSoftmax { margin: 4, anneal }, Loss::ASoftmax { margin: 4, anneal }]);
    let (learning_rate, weight_decay) = (0.1, 5e-4);
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
    let rules = [SGD, Optimizer::Adamw { learning_rate, beta1, beta2, epsilon, weight_decay }];
    for (index, loss) in settings.into_iter().enumerate() {
        let rule = rules[index % 2];
        let (expected, expected_losses) = trained_by_autodiff(&loss, &features, rule);
        let start = HeadNumbers::start(&loss, features.dim(), features.classes(), 5);
        let mut head = LinearHead::new(&loss, features.dim(), start, rule, Some(1.0));
        let objective = Objective::new(&loss, &features.class_counts(), 60);
        let mut losses = Vec::new();
        for step in 0..60 {
            let examples = batch(step, &features);
            losses.extend(head.step(&features, &examples, &objective, step, 0.1).unwrap().losses);
        }
        let HeadNumbers { weight, bias, second } = head.numbers();
        let second = second.into_iter().flat_map(|(w, b)| [w, b]);
        let found: Vec<f32> =
            [Some(weight), bias].into_iter().flatten().chain(second).flatten().collect();
        let apart = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
        };
        // Kinks (hinges, segments of ψ, the jump of arcface) and Adam's signs of tiny gradients may part two roundings for good.
        let limit = if matches!(rule, Optimizer::Sgd { .. }) { 1e-4 } else { 2e-3 };
        let (of_numbers, of_losses) = (apart(&found, &expected), apart(&losses, &expected_losses));
        assert!(
            of_numbers <= limit && of_losses <= 10.0 * limit,
            "{} with {rule:?}: numbers {of_numbers:e}, losses {of_losses:e}",
            loss.canonical()
        );
    }
}
