//! What must hold of the losses' gradients: they are derivatives, vanish along directions that change nothing, and stay finite.

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod loss_support;

use std::f64::consts::PI;

use proptest::prelude::*;

use loss_support::{Case, Setting, all_losses, cases, cosine, directional, norm, shift_invariant};
use sweep_core::loss::Loss;

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Step of the central differences: f32 values of up to 50 are known to 5e-6, third derivatives times h² stay below 1e-3.
const H: f32 = 4e-3;

/// Whether a loss has a kink within reach of the differences: a margin just met, two rivals alike, a corner of ψ's slope, or
/// arcface's jump and its steep slope beside θ = 0.
fn near_kink(case: &Case, loss: &Loss) -> bool {
    let logits = case.logits(&(Loss::Softmax { label_smoothing: 0.0 }, 0.0));
    let rows = || logits.chunks(case.classes).zip(case.labels.iter().map(|l| *l as usize));
    let reach = 0.1_f32;
    match loss {
        Loss::Hinge { margin, .. } => rows().any(|(z, y)| {
            z.iter()
                .enumerate()
                .any(|(j, z)| (*margin as f32 - if j == y { *z } else { -z }).abs() < reach)
        }),
        Loss::HingeWw { margin, .. } | Loss::HingeCs { margin, .. } => rows().any(|(z, y)| {
            let rivals: Vec<f32> = (0..z.len()).filter(|j| *j != y).map(|j| z[j]).collect();
            let met = rivals.iter().any(|r| (*margin as f32 + r - z[y]).abs() < reach);
            let tied = rivals
                .iter()
                .enumerate()
                .any(|(i, a)| rivals[..i].iter().any(|b| (a - b).abs() < reach));
            met || tied
        }),
        Loss::Cosine {} | Loss::CosineXent { .. } => rows().any(|(e, _)| norm(e) < 0.5), // steep, not a kink
        Loss::LSoftmax { margin, .. } | Loss::ASoftmax { margin, .. } => {
            case.target_angles().any(|theta| {
                (1..*margin).any(|j| (theta - PI * f64::from(j) / f64::from(*margin)).abs() < 0.05)
            })
        }
        Loss::Arcface { .. } => case.near_arcface_jump(loss) || nearly_parallel(case),
        _ => false,
    }
}

/// Whether rounding of a cosine is large beside the square of its sine.
fn nearly_parallel(case: &Case) -> bool {
    case.target_angles().any(|theta| theta.sin() < 0.03)
}

/// (L(v + h·d) − L(v − h·d)) / 2h for the batch sum, with `shift` adding h·d, and a bound of its error: what half the step changes
/// (curvature), and the rounding of each loss to f32 before two of them are subtracted.
fn difference(case: &Case, setting: &Setting, shift: impl Fn(&mut Case, f32)) -> (f64, f64) {
    let at = |h: f32| {
        let mut moved = case.clone();
        shift(&mut moved, h);
        moved.losses(setting).iter().sum::<f64>()
    };
    let slope = |h: f32| (at(h) - at(-h)) / (2.0 * f64::from(h));
    let (whole, half) = (slope(H), slope(H / 2.0));
    let size = case.losses(setting).iter().map(|loss| loss.abs()).sum::<f64>();
    let rounding = 4.0 * f64::from(f32::EPSILON) * size / f64::from(H);
    (whole, 2.0 * (whole - half).abs() + rounding)
}

fn along(gradient: &[f64], direction: &[f32]) -> f64 {
    gradient.iter().zip(direction).map(|(g, d)| g * f64::from(*d)).sum()
}

fn step(values: &mut [f32], direction: &[f32], h: f32) {
    values.iter_mut().zip(direction).for_each(|(v, d)| *v += h * d);
}

fn unit(direction: &[f32], length: usize) -> Vec<f32> {
    let part = &direction[..length];
    let norm = norm(part).max(1e-3) as f32;
    part.iter().map(|v| v / norm).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn gradients_are_central_differences(case in cases(), direction in prop::collection::vec(-1.0..1.0_f32, 36)) {
        for setting in all_losses().iter().filter(|(loss, _)| !near_kink(&case, loss)) {
            let gradients = case.gradients(setting);
            let close = |what: &str, gradient: f64, (difference, error): (f64, f64)| {
                let tolerance = 0.02 * difference.abs().max(1.0) + error;
                prop_assert!((gradient - difference).abs() <= tolerance, "{setting:?} {what}: {gradient} is not {difference}");
                Ok(())
            };
            let d = unit(&direction, case.x.len());
            close("x", along(&gradients.x, &d), difference(&case, setting, |case, h| step(&mut case.x, &d, h)))?;
            let d = unit(&direction, case.weight.len());
            close("weight", along(&gradients.weight, &d), difference(&case, setting, |case, h| step(&mut case.weight, &d, h)))?;
            if let Some(bias) = &gradients.bias {
                let d = unit(&direction, case.bias.len());
                close("bias", along(bias, &d), difference(&case, setting, |case, h| step(&mut case.bias, &d, h)))?;
            }
        }
    }

    #[test]
    fn no_gradient_points_along_a_length_that_does_not_matter(case in cases()) {
        let orthogonal = |setting: &Setting, gradient: &[f64], vectors: &[f32]| {
            for (g, v) in gradient.chunks(case.features).zip(vectors.chunks(case.features)) {
                let size = g.iter().map(|g| g * g).sum::<f64>().sqrt() * norm(v);
                prop_assert!(along(g, v).abs() <= 1e-5 * size.max(10.0), "{setting:?}: {} of {size}", along(g, v));
            }
            Ok(())
        };
        for setting in directional() {
            if matches!(setting.0, Loss::Arcface { .. }) && nearly_parallel(&case) {
                continue;
            }
            let gradients = case.gradients(&setting);
            orthogonal(&setting, &gradients.x, &case.x)?;
            orthogonal(&setting, &gradients.weight, &case.weight)?;
        }
        let a_softmax = (Loss::ASoftmax { margin: 4, anneal: None }, 0.0);
        orthogonal(&a_softmax, &case.gradients(&a_softmax).weight, &case.weight)?;
    }

    #[test]
    fn the_gradient_by_the_logits_sums_to_zero_where_a_constant_changes_nothing(case in cases()) {
        for setting in shift_invariant() {
            let bias = case.gradients(&setting).bias.unwrap(); // ∂/∂b_j is ∂/∂z_j summed over samples
            let size = bias.iter().map(|g| g.abs()).sum::<f64>();
            // The samples' own gradients, of order one each, may cancel in the batch; their rounding does not.
            let size = size.max(case.labels.len() as f64);
            prop_assert!(bias.iter().sum::<f64>().abs() <= 1e-5 * size, "{setting:?}: {bias:?}");
        }
    }

    #[test]
    fn values_and_gradients_stay_finite_at_huge_logits(case in cases(), size in 100.0..5000.0_f32) {
        let mut huge = case.clone();
        huge.x.iter_mut().chain(&mut huge.bias).for_each(|v| *v *= size / (4.0 * case.features as f32 + 2.0));
        let mut flipped = huge.clone();
        flipped.x.iter_mut().chain(&mut flipped.bias).for_each(|v| *v = -*v);
        for case in [huge, flipped] {
            for setting in all_losses() {
                finite(&case, &setting)?;
            }
        }
    }

    #[test]
    fn values_and_gradients_stay_finite_at_zero_and_at_exact_angles(case in cases()) {
        let (d, c) = (case.features, case.classes);
        // x = 0, W_y, −W_y, 3W_y, and a vector along one axis
        let label = case.labels[0];
        let target = case.target_row(0).to_vec();
        let mut x = vec![0.0; d];
        for factor in [1.0, -1.0, 3.0] {
            x.extend(target.iter().map(|w| w * factor));
        }
        x.extend((0..d).map(|i| if i == 0 { 1.0 } else { 0.0 }));
        let exact = Case { x, labels: vec![label; 5], bias: vec![0.0; c], ..case };
        for setting in all_losses() {
            finite(&exact, &setting)?;
        }
    }
}

fn finite(case: &Case, setting: &Setting) -> Result<(), TestCaseError> {
    let gradients = case.gradients(setting);
    let numbers =
        [case.losses(setting), gradients.x, gradients.weight, gradients.bias.unwrap_or_default()]
            .concat();
    prop_assert!(numbers.iter().all(|v| v.is_finite()), "{setting:?}: {numbers:?}");
    Ok(())
}

#[test]
fn zero_weights_and_zero_features_give_finite_numbers() {
    let case = Case {
        features: 3,
        classes: 2,
        x: vec![0.0; 6],
        weight: vec![0.0; 6],
        bias: vec![0.0; 2],
        weight2: vec![0.0; 4],
        bias2: vec![0.0; 2],
        labels: vec![0, 1],
        counts: vec![3, 4],
    };
    for setting in all_losses() {
        finite(&case, &setting).unwrap();
    }
}

#[test]
fn a_feature_that_is_not_a_number_is_never_a_finite_loss() {
    let case = Case {
        features: 2,
        classes: 3,
        x: vec![f32::NAN, 1.0],
        weight: vec![1.0, 0.0, 0.0, 1.0, -1.0, 0.5],
        bias: vec![0.0; 3],
        weight2: vec![1.0; 9],
        bias2: vec![0.0; 3],
        labels: vec![1],
        counts: vec![1; 3],
    };
    for setting in all_losses() {
        assert!(!case.losses(&setting)[0].is_finite(), "{setting:?}");
        assert_eq!(case.predictions(&setting), [None], "{setting:?}");
    }
}

#[test]
fn a_wrong_sample_is_pulled_towards_its_class() {
    // x at 90° to its class and at 0° to another: one small step against the gradient turns it towards its class
    let case = Case {
        features: 3,
        classes: 3,
        x: vec![0.0, 1.0, 0.2],
        weight: vec![1.0, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        bias: vec![0.0; 3],
        weight2: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        bias2: vec![0.0; 3],
        labels: vec![0],
        counts: vec![5; 3],
    };
    for setting in all_losses() {
        let gradient = case.gradients(&setting).x;
        let size = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let moved: Vec<f32> =
            case.x.iter().zip(&gradient).map(|(x, g)| x - (1e-2 * g / size) as f32).collect();
        assert!(
            cosine(&moved, case.target_row(0)) > cosine(&case.x, case.target_row(0)),
            "{setting:?}: {gradient:?}"
        );
    }
}
