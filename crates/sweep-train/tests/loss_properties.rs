//! What must hold of the losses' values on any input: equalities by construction, order, symmetry, invariance and range.

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loss_support;

use std::f64::consts::PI;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;

use loss_support::{
    Case, Setting, all_losses, assert_close, cases, directional, numbers, shift_invariant, softmax,
    without_bias,
};
use sweep_core::loss::{Anneal, Loss, Sigma};
use sweep_train::loss::{Objective, arcface_target, psi};

/// Differences that f32 may show where equal numbers are computed in another order, with scale ≤ 30.
const ROUNDING: f64 = 3e-5;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn am(scale: f64, margin: f64) -> Setting {
    (Loss::AmSoftmax { scale, margin }, 0.0)
}

fn l_softmax(margin: u32, lambda: f64) -> Setting {
    (Loss::LSoftmax { margin, anneal: None }, lambda)
}

fn a_softmax(margin: u32, lambda: f64) -> Setting {
    (Loss::ASoftmax { margin, anneal: None }, lambda)
}

/// ln Σ_j e^{z_j} − z_y in f64.
fn cross_entropies(logits: &[f32], case: &Case, scale: f64) -> Vec<f64> {
    let rows = logits.chunks(case.classes).zip(&case.labels);
    rows.map(|(row, label)| {
        let z: Vec<f64> = row.iter().map(|z| scale * f64::from(*z)).collect();
        let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln() - z[*label as usize]
    })
    .collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn without_margin_the_margin_losses_are_the_cross_entropy_of_their_plain_logits(case in cases(), scale in 1.0..30.0) {
        let cosines = cross_entropies(&case.logits(&am(scale, 0.0)), &case, scale);
        assert_close("am_softmax", &case.losses(&am(scale, 0.0)), &cosines, ROUNDING)?;
        assert_close("arcface", &case.losses(&(Loss::Arcface { scale, margin: 0.0 }, 0.0)), &cosines, ROUNDING)?;
        assert_close("ldam", &case.losses(&(Loss::Ldam { scale, max_margin: 0.0 }, 0.0)), &cosines, ROUNDING)?;
        let normweight = cross_entropies(&case.logits(&a_softmax(1, 0.0)), &case, 1.0);
        assert_close("a_softmax", &case.losses(&a_softmax(1, 0.0)), &normweight, ROUNDING)?;
        let linear = cross_entropies(&case.logits(&l_softmax(1, 0.0)), &case, 1.0);
        assert_close("l_softmax", &case.losses(&l_softmax(1, 0.0)), &linear, ROUNDING)?;
        assert_close("l_softmax", &case.losses(&l_softmax(1, 5.0)), &linear, ROUNDING)?;
        let plain = (softmax(0.0), 0.0);
        assert_close("softmax", &case.losses(&plain), &cross_entropies(&case.logits(&plain), &case, 1.0), ROUNDING)?;
    }

    #[test]
    fn a_huge_lambda_switches_the_margin_off(case in cases(), margin in 2..5_u32) {
        let plain = case.losses(&l_softmax(1, 0.0));
        assert_close("l_softmax", &case.losses(&l_softmax(margin, 1e12)), &plain, ROUNDING)?;
        let plain = case.losses(&a_softmax(1, 0.0));
        assert_close("a_softmax", &case.losses(&a_softmax(margin, 1e12)), &plain, ROUNDING)?;
    }

    #[test]
    fn focal_without_gamma_is_softmax(case in cases(), alpha in 0.1..3.0) {
        let plain = case.losses(&(softmax(0.0), 0.0));
        let focal = case.losses(&(Loss::Focal { gamma: 0.0, alpha }, 0.0));
        let expected: Vec<f64> = plain.iter().map(|v| alpha * v).collect();
        assert_close("focal", &focal, &expected, ROUNDING)?;
    }

    #[test]
    fn ldam_with_equal_counts_is_am_softmax(case in cases(), margin in 0.0..0.99, count in 1..500_u32) {
        let case = Case { counts: vec![count; case.classes], ..case };
        let ldam = case.losses(&(Loss::Ldam { scale: 30.0, max_margin: margin }, 0.0));
        assert_close("ldam", &ldam, &case.losses(&am(30.0, margin)), ROUNDING)?;
    }

    #[test]
    fn am_softmax_grows_with_its_margin(case in cases(), small in 0.0..0.9, step in 0.0..0.09) {
        let (less, more) = (case.losses(&am(30.0, small)), case.losses(&am(30.0, small + step)));
        for (less, more) in less.iter().zip(&more) {
            prop_assert!(*more >= less - 1e-6 * less.max(1.0), "{more} < {less}");
        }
    }

    #[test]
    fn the_angular_losses_grow_with_margin_and_shrink_with_lambda(case in cases(), margin in 1..4_u32, lambda in 0.0..20.0) {
        for loss in [l_softmax, a_softmax] {
            let now = case.losses(&loss(margin, lambda));
            let harder = case.losses(&loss(margin + 1, lambda));
            let softer = case.losses(&loss(margin, 2.0 * lambda + 0.1));
            for ((now, harder), softer) in now.iter().zip(&harder).zip(&softer) {
                prop_assert!(*harder >= now - ROUNDING * now.max(1.0), "margin: {harder} < {now}");
                prop_assert!(*softer <= now + ROUNDING * now.max(1.0), "lambda: {softer} > {now}");
            }
        }
    }

    #[test]
    fn reordered_samples_have_reordered_losses(case in cases()) {
        let mut turned = case.clone();
        turned.x.rotate_left(case.features);
        turned.labels.rotate_left(1);
        for setting in all_losses().iter().filter(|(loss, _)| !case.near_arcface_jump(loss)) {
            let mut expected = case.losses(setting);
            expected.rotate_left(1);
            assert_close(&format!("{setting:?}"), &turned.losses(setting), &expected, ROUNDING)?;
        }
    }

    #[test]
    fn reordered_classes_change_nothing(case in cases()) {
        let (d, c) = (case.features, case.classes);
        let mut turned = case.clone();
        turned.weight.rotate_left(d);
        turned.bias.rotate_left(1);
        turned.counts.rotate_left(1);
        turned.labels.iter_mut().for_each(|label| *label = (*label + c as u32 - 1) % c as u32);
        turned.weight2.chunks_mut(c).for_each(|row| row.rotate_left(1)); // its inputs are the classes too
        turned.weight2.rotate_left(c);
        turned.bias2.rotate_left(1);
        for setting in all_losses().iter().filter(|(loss, _)| !case.near_arcface_jump(loss)) {
            assert_close(&format!("{setting:?}"), &turned.losses(setting), &case.losses(setting), ROUNDING)?;
        }
    }

    #[test]
    fn only_directions_matter_to_the_losses_of_a_cosine_head(case in cases(), factors in prop::collection::vec(0.5..20.0_f32, 12)) {
        let mut scaled = case.clone();
        scaled.weight.chunks_mut(case.features).zip(&factors).for_each(|(row, f)| row.iter_mut().for_each(|w| *w *= f));
        let scaled_weights = scaled.clone();
        scaled.x.chunks_mut(case.features).zip(factors.iter().rev()).for_each(|(row, f)| row.iter_mut().for_each(|x| *x *= f));
        for setting in directional().iter().filter(|(loss, _)| !case.near_arcface_jump(loss)) {
            assert_close(&format!("{setting:?}"), &scaled.losses(setting), &case.losses(setting), ROUNDING)?;
        }
        for setting in [a_softmax(2, 0.0), a_softmax(3, 0.0), a_softmax(4, 5.0)] {
            assert_close(&format!("{setting:?}"), &scaled_weights.losses(&setting), &case.losses(&setting), ROUNDING)?;
        }
    }

    #[test]
    fn the_length_of_an_embedding_does_not_matter_to_the_cosine_losses(case in cases(), factor in 0.5..20.0_f32) {
        let mut scaled = case.clone();
        scaled.weight.iter_mut().chain(&mut scaled.bias).for_each(|w| *w *= factor);
        for loss in [Loss::Cosine {}, Loss::CosineXent { cross_entropy_weight: 0.1 }] {
            let setting = (loss, 0.0);
            let embeddings = case.logits(&(Loss::Cosine {}, 0.0));
            prop_assume!(embeddings.chunks(case.classes).all(|e| loss_support::norm(e) > 0.1));
            assert_close(&format!("{setting:?}"), &scaled.losses(&setting), &case.losses(&setting), ROUNDING)?;
            prop_assert_eq!(scaled.predictions(&setting).len(), case.samples());
        }
    }

    #[test]
    fn a_constant_added_to_all_logits_changes_nothing(case in cases(), constant in -10.0..10.0_f32) {
        let mut shifted = case.clone();
        shifted.bias.iter_mut().for_each(|b| *b += constant);
        for setting in shift_invariant() {
            assert_close(&format!("{setting:?}"), &shifted.losses(&setting), &case.losses(&setting), ROUNDING)?;
        }
    }

    #[test]
    fn a_rotation_of_features_and_weights_changes_nothing(case in cases(), angle in 0.0..(2.0 * PI)) {
        let mut turned = case.clone();
        let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
        for row in turned.x.chunks_mut(case.features).chain(turned.weight.chunks_mut(case.features)) {
            for axis in 1..row.len() {
                (row[axis - 1], row[axis]) = (cos * row[axis - 1] - sin * row[axis], sin * row[axis - 1] + cos * row[axis]);
            }
        }
        for setting in without_bias().iter().filter(|(loss, _)| !case.near_arcface_jump(loss)) {
            assert_close(&format!("{setting:?}"), &turned.losses(setting), &case.losses(setting), ROUNDING)?;
        }
    }

    #[test]
    fn every_loss_stays_in_its_range(case in cases(), scale in 1.0..30.0, margin in 0.0..0.99) {
        for setting in all_losses() {
            for value in case.losses(&setting) {
                prop_assert!(value >= -1e-6, "{setting:?}: {value}");
            }
        }
        let softmax_sigma = |l1: bool| match l1 {
            true => (Loss::L1Sigma { sigma: Sigma::Softmax }, 0.0),
            false => (Loss::L2Sigma { sigma: Sigma::Softmax }, 0.0),
        };
        let (l1, l2, cosine) = (case.losses(&softmax_sigma(true)), case.losses(&softmax_sigma(false)), case.losses(&(Loss::Cosine {}, 0.0)));
        for value in l1.iter().chain(&l2).chain(&cosine) {
            prop_assert!(*value <= 2.0 + 1e-6, "{value}");
        }
        let classes = case.classes as f64;
        for (l1, l2) in l1.iter().zip(&l2) {
            let half = l1 / 2.0;
            prop_assert!(*l2 >= classes / (classes - 1.0) * half * half - 1e-6 && *l2 <= 2.0 * half * half + 1e-6, "{l1} {l2}");
        }
        let bound = |sign: f64| {
            let exponent: f64 = sign * scale * (2.0 + sign * margin);
            (1.0 + (classes - 1.0) * exponent.exp()).ln()
        };
        for value in case.losses(&am(scale, margin)) {
            prop_assert!(value >= bound(-1.0) - 1e-5 && value <= bound(1.0) * (1.0 + 1e-5), "{value}");
        }
        let epsilon: f64 = 0.1;
        let (kept, spread) = (1.0 - epsilon + epsilon / classes, epsilon / classes);
        let entropy = -kept * kept.ln() - (classes - 1.0) * spread * spread.ln();
        for value in case.losses(&(softmax(epsilon), 0.0)) {
            prop_assert!(value >= entropy - 1e-5, "{value} < {entropy}");
        }
    }

    #[test]
    fn weston_watkins_is_never_below_crammer_singer(case in cases(), margin in 0.1..3.0, power in 1..4_u32) {
        let sums = case.losses(&(Loss::HingeWw { margin, power }, 0.0));
        let largest = case.losses(&(Loss::HingeCs { margin, power }, 0.0));
        for (sum, largest) in sums.iter().zip(&largest) {
            prop_assert!(*sum >= largest - ROUNDING * largest.max(1.0), "{sum} < {largest}");
        }
    }

    #[test]
    fn hinges_are_exactly_zero_when_all_margins_are_met(labels in prop::collection::vec(0..4_u32, 1..5), power in 1..4_u32) {
        // logits 2 at the label and −2 elsewhere: x one-hot of the label, weights 4·I, bias −2
        let eye = |scale: f32| (0..16).map(|i| if i % 5 == 0 { scale } else { 0.0 }).collect::<Vec<f32>>();
        let x = labels.iter().flat_map(|l| (0..4).map(move |j| if j == *l { 1.0 } else { 0.0 })).collect();
        let met = Case {
            features: 4, classes: 4, x, weight: eye(4.0), bias: vec![-2.0; 4], weight2: eye(1.0), bias2: vec![0.0; 4], labels, counts: vec![1; 4],
        };
        let zeros = vec![0.0; met.samples()];
        prop_assert_eq!(&met.losses(&(Loss::Hinge { margin: 2.0, power }, 0.0)), &zeros);
        prop_assert_eq!(&met.losses(&(Loss::HingeCs { margin: 4.0, power }, 0.0)), &zeros);
        prop_assert_eq!(&met.losses(&(Loss::HingeWw { margin: 4.0, power }, 0.0)), &zeros);
        let missed = met.losses(&(Loss::HingeCs { margin: 4.1, power }, 0.0));
        prop_assert!(missed.iter().all(|v| *v > 0.0), "{missed:?}");
    }

    #[test]
    fn a_batch_in_two_parts_has_the_same_losses(case in cases().prop_filter("one sample", |case| case.samples() > 1)) {
        let at = case.samples() / 2;
        let part = |x: &[f32], labels: &[u32]| Case { x: x.to_vec(), labels: labels.to_vec(), ..case.clone() };
        let first = part(&case.x[..at * case.features], &case.labels[..at]);
        let second = part(&case.x[at * case.features..], &case.labels[at..]);
        for setting in all_losses().iter().filter(|(loss, _)| !case.near_arcface_jump(loss)) {
            let parts = [first.losses(setting), second.losses(setting)].concat();
            assert_close(&format!("{setting:?}"), &parts, &case.losses(setting), ROUNDING)?;
        }
    }

    #[test]
    fn the_prediction_knows_no_margin_no_scale_and_no_lambda(case in cases(), scale in 1.0..64.0, margin in 0.0..0.99, lambda in 0.0..1e3) {
        let plain = case.predictions(&am(30.0, 0.0));
        for loss in [
            Loss::AmSoftmax { scale, margin },
            Loss::Arcface { scale, margin },
            Loss::Ldam { scale, max_margin: margin },
        ] {
            prop_assert_eq!(&case.predictions(&(loss, 0.0)), &plain);
        }
        for m in 2..5 {
            prop_assert_eq!(case.predictions(&l_softmax(m, lambda)), case.predictions(&l_softmax(1, 0.0)));
            prop_assert_eq!(case.predictions(&a_softmax(m, lambda)), case.predictions(&a_softmax(1, 0.0)));
        }
        // the cosine loss normalises its embedding; its logits are the embedding itself, which softmax's head gives too
        prop_assert_eq!(case.predictions(&(Loss::Cosine {}, 0.0)), case.predictions(&(softmax(0.0), 0.0)));
    }
}

/// cosθ for θ from 0 to π in `steps` steps: [steps + 1, 1]
fn cosines(steps: usize) -> Tensor<Flex, 2> {
    let values: Vec<f32> =
        (0..=steps).map(|i| (PI * i as f64 / steps as f64).cos() as f32).collect();
    Tensor::from_data(TensorData::new(values, [steps + 1, 1]), &Default::default())
}

#[test]
fn psi_falls_without_a_jump_from_1_to_1_minus_2m_and_with_m() {
    let steps = 20_000;
    let cos = cosines(steps);
    let mut easier = numbers(cos.clone());
    for margin in 1..=4_u32 {
        let values = numbers(psi(cos.clone(), margin));
        assert_eq!(values[0], 1.0);
        assert!(
            (values[steps] - (1.0 - 2.0 * f64::from(margin))).abs() < 1e-6,
            "{}",
            values[steps]
        );
        let steepest = f64::from(margin) * PI / steps as f64;
        for pair in values.windows(2) {
            assert!(pair[1] <= pair[0] + 2e-6, "rises: {pair:?}");
            assert!(pair[0] - pair[1] <= 1.01 * steepest + 4e-6, "jumps: {pair:?}");
        }
        for (harder, easier) in values.iter().zip(&easier) {
            assert!(*harder <= easier + 2e-6, "ψ_{margin}: {harder} > {easier}");
        }
        easier = values;
    }
}

#[test]
fn the_arcface_target_falls_and_stays_below_the_cosine() {
    let cos = cosines(20_000);
    let squared_sine = cos.clone().square().neg().add_scalar(1.0);
    for margin in [0.0, 0.1, 0.5, 1.0, 1.5] {
        let values = numbers(arcface_target(cos.clone(), squared_sine.clone(), margin));
        for pair in values.windows(2) {
            // 1 − c² taken from an f32 cosine makes the sine uncertain by up to 1e-3 near θ = 0
            assert!(pair[1] <= pair[0] + 1e-4, "m = {margin}: {pair:?}");
        }
        for (target, cos) in values.iter().zip(numbers(cos.clone())) {
            assert!(*target <= cos + 1e-6, "m = {margin}: {target} > {cos}");
        }
    }
}

#[test]
fn lambda_falls_along_the_planned_steps_and_is_none_without_annealing() {
    let anneal = Some(Anneal { base: 1000.0, gamma_total: 400.0, power: 1.0, min: 5.0 });
    let objective = Objective::new(&Loss::ASoftmax { margin: 4, anneal }, &[], 560);
    assert_eq!(objective.lambda(0), Some(1000.0));
    assert_eq!(objective.lambda(280), Some(5.0));
    assert!(objective.lambda(10) < objective.lambda(9));
    assert_eq!(
        Objective::new(&Loss::LSoftmax { margin: 2, anneal: None }, &[], 560).lambda(3),
        Some(0.0)
    );
    assert_eq!(Objective::new(&softmax(0.0), &[], 560).lambda(3), None);
}

#[test]
fn a_step_uses_the_lambda_of_that_step() {
    let anneal = Some(Anneal { base: 1000.0, gamma_total: 0.5, power: 35.0, min: 0.0 });
    let loss = Loss::LSoftmax { margin: 4, anneal };
    let objective = Objective::new(&loss, &[], 100);
    let device = Default::default();
    let head = sweep_train::head::Head::<Flex>::new(&loss, 3, 2, 1, &device);
    let x = Tensor::<Flex, 2>::from_data([[0.5, -1.0, 2.0]], &device);
    let targets = sweep_train::loss::Targets::new(&[1], 2, &device);
    for step in [0, 50, 99] {
        let lambda = objective.lambda(step).unwrap();
        let by_step = numbers(objective.evaluate(&head, x.clone(), &targets, step).per_sample);
        assert_eq!(
            by_step,
            numbers(objective.evaluate_at(&head, x.clone(), &targets, lambda).per_sample)
        );
    }
}

#[test]
fn at_the_start_am_softmax_is_as_large_as_its_margin_makes_it() {
    // all cosines 0, C = 4, s = 30, m = 0.35: ln(1 + 3e^10.5)
    let case = Case {
        features: 5,
        classes: 4,
        x: vec![0.0, 0.0, 0.0, 0.0, 1.0],
        weight: (0..20).map(|i| if i % 6 == 0 { 1.0 } else { 0.0 }).collect(),
        bias: vec![0.0; 4],
        weight2: vec![0.0; 16],
        bias2: vec![0.0; 4],
        labels: vec![2],
        counts: vec![1; 4],
    };
    let value = case.losses(&am(30.0, 0.35))[0];
    assert!((value - (1.0 + 3.0 * 10.5_f64.exp()).ln()).abs() < 1e-5, "{value}");
}
