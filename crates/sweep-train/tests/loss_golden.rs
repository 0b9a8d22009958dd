//! Every loss against `fixtures/loss_golden.json`: values, plain logits, predictions and gradients computed in float64 by
//! complex-step differentiation, elsewhere checked against torch and pytorch-metric-learning. f32 on the CPU backend.
//!
//! The file's names are mapped to the product's here; a loss that this test does not know fails it.

#![allow(clippy::doc_markdown, reason = "formulas are written as in the papers")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::f64::consts::SQRT_2;

use burn::backend::Autodiff;
#[cfg(not(feature = "gpu-tests"))]
use burn::backend::Flex as Base;
use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

use sweep_core::loss::{HeadKind, Loss, Sigma};
use sweep_core::training::Optimizer;
#[cfg(feature = "gpu-tests")]
use sweep_train::device::gpu::Gpu as Base;
use sweep_train::frozen::{Features, HeadNumbers, LinearHead};
use sweep_train::head::Head;
use sweep_train::loss::{Objective, Targets, arcface_target, predict, psi};

type B = Autodiff<Base>;
type Matrix = Vec<Vec<f64>>;

/// What a case of the file is to the product.
enum Meaning {
    /// A loss with its class counts (ldam only) and λ (l_softmax, a_softmax).
    Offered { loss: Loss, class_counts: Vec<u32>, lambda: f64 },
    /// Not offered, with the reason.
    NotOffered(&'static str),
}

fn golden() -> Value {
    serde_json::from_str(include_str!("fixtures/loss_golden.json")).unwrap()
}

fn meaning(case: &Value, classes: usize) -> Meaning {
    let params = &case["params"];
    let number =
        |key: &str| params[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {params}"));
    let whole = |key: &str| {
        params[key].as_u64().unwrap_or_else(|| panic!("no integer {key} in {params}")) as u32
    };
    let sigma = || match params["sigma"].as_str() {
        Some("softmax") => Sigma::Softmax,
        Some("sigmoid") => Sigma::Sigmoid,
        other => panic!("unknown sigma {other:?}"),
    };
    let mut class_counts = Vec::new();
    let mut lambda = 0.0;
    let loss = match case["loss"].as_str().unwrap() {
        "l1_sigma" => Loss::L1Sigma { sigma: sigma() },
        "l2_sigma" => Loss::L2Sigma { sigma: sigma() },
        "hinge_ova" => Loss::Hinge { margin: number("margin"), power: whole("power") },
        "hinge_cs" => Loss::HingeCs { margin: number("margin"), power: whole("power") },
        "hinge_ww" => Loss::HingeWw { margin: number("margin"), power: whole("power") },
        "bce_ova" => Loss::Bce {},
        "softmax" => Loss::Softmax { label_smoothing: 0.0 },
        "label_smoothing" => Loss::Softmax { label_smoothing: number("epsilon") },
        "focal" => Loss::Focal { gamma: number("gamma"), alpha: number("alpha") },
        "cosine" => Loss::Cosine {},
        "cosine_xent" => Loss::CosineXent { cross_entropy_weight: number("lambda") },
        "l_softmax" => {
            lambda = number("lambda");
            Loss::LSoftmax { margin: whole("m"), anneal: None }
        }
        "a_softmax" => {
            lambda = number("lambda");
            Loss::ASoftmax { margin: whole("m"), anneal: None }
        }
        "am_softmax" => Loss::AmSoftmax { scale: number("s"), margin: number("m") },
        "adacos_fixed" => {
            Loss::AmSoftmax { scale: SQRT_2 * (classes as f64 - 1.0).ln(), margin: 0.0 }
        }
        "arcface" => Loss::Arcface { scale: number("s"), margin: number("m") },
        "ldam" => {
            class_counts = serde_json::from_value(params["class_counts"].clone()).unwrap();
            Loss::Ldam { scale: number("s"), max_margin: number("m_max") }
        }
        "hinge_seed_literal" => {
            return Meaning::NotOffered("the study's 0/1 hinge learns nothing; a negative control");
        }
        "curricular" => {
            return Meaning::NotOffered("carries state that a checkpoint would have to hold");
        }
        unknown => panic!("the golden file holds a loss this test does not know: {unknown}"),
    };
    Meaning::Offered { loss, class_counts, lambda }
}

/// x, class-row weights, bias and labels of a batch.
struct Batch {
    x: Matrix,
    weight: Matrix,
    bias: Vec<f64>,
    labels: Vec<u32>,
}

impl Batch {
    fn read(value: &Value) -> Self {
        let get = |key: &str| value[key].clone();
        Self {
            x: serde_json::from_value(get("x")).unwrap(),
            weight: serde_json::from_value(get("weight")).unwrap(),
            bias: serde_json::from_value(get("bias")).unwrap(),
            labels: serde_json::from_value(get("labels")).unwrap(),
        }
    }

    fn classes(&self) -> usize {
        self.weight.len()
    }
}

/// What the product makes of a case; matrices with class rows, gradients of the batch mean.
struct Measured {
    per_sample: Vec<f64>,
    logits: Matrix,
    predictions: Vec<Option<usize>>,
    grad_x: Matrix,
    grad_weight: Matrix,
    grad_bias: Option<Vec<f64>>,
}

fn measure(
    loss: &Loss,
    class_counts: &[u32],
    lambda: f64,
    params: &Value,
    batch: &Batch,
) -> Measured {
    let device = Default::default();
    let bias = (loss.head() == HeadKind::Linear).then(|| vector(&batch.bias));
    let second = matches!(loss, Loss::CosineXent { .. }).then(|| {
        let weight2: Matrix = serde_json::from_value(params["weight2"].clone()).unwrap();
        let bias2: Vec<f64> = serde_json::from_value(params["bias2"].clone()).unwrap();
        (matrix(&weight2), vector(&bias2))
    });
    let head = Head::<B>::from_parts(loss.head(), matrix(&batch.weight), bias, second);
    let x = matrix(&batch.x).require_grad();
    let targets = Targets::new(&batch.labels, batch.classes(), &device);

    let objective = Objective::new(loss, class_counts, 1);
    let evaluation = objective.evaluate_at(&head, x.clone(), &targets, lambda);
    let plain = rows(head.plain_logits(x.clone()).inner());
    let gradients = evaluation.per_sample.clone().mean().backward();

    let logits = rows(evaluation.logits.inner());
    assert_eq!(logits, plain, "the logits of a training step are not the head's plain logits");
    let flat: Vec<f32> = logits.iter().flatten().map(|v| *v as f32).collect();
    Measured {
        per_sample: numbers(evaluation.per_sample.inner().into_data()),
        predictions: predict(&flat, batch.classes()),
        logits,
        grad_x: rows(x.grad(&gradients).unwrap()),
        grad_weight: rows(head.weight.val().grad(&gradients).unwrap()),
        grad_bias: head.bias.map(|bias| numbers(bias.val().grad(&gradients).unwrap().into_data())),
    }
}

/// The same by the gradients that head mode writes out by hand, but for those by x, which a frozen backbone does not need.
fn measure_by_hand(
    loss: &Loss,
    class_counts: &[u32],
    lambda: f64,
    params: &Value,
    batch: &Batch,
) -> Measured {
    let numbers = |values: &[f64]| -> Vec<f32> { values.iter().map(|v| *v as f32).collect() };
    let second = matches!(loss, Loss::CosineXent { .. }).then(|| {
        let bias2: Vec<f64> = serde_json::from_value(params["bias2"].clone()).unwrap();
        (numbers(&flat(&params["weight2"])), numbers(&bias2))
    });
    let bias = (loss.head() == HeadKind::Linear).then(|| numbers(&batch.bias));
    let start = HeadNumbers { weight: numbers(&batch.weight.concat()), bias, second };
    let (dim, classes, samples) = (batch.x[0].len(), batch.classes(), batch.labels.len());
    let features =
        Features::new(numbers(&batch.x.concat()), dim, batch.labels.clone(), samples, classes);
    let rule =
        Optimizer::Sgd { learning_rate: 1.0, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let mut head = LinearHead::new(loss, dim, start, rule, None);
    let objective = Objective::new(loss, class_counts, 1);
    let examples: Vec<usize> = (0..samples).collect();
    let (said, gradients) = head.differentiate(&features, &examples, &objective, lambda);
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|v| f64::from(*v)).collect() };
    Measured {
        per_sample: wide(&said.losses),
        predictions: predict(&said.logits, classes),
        logits: wide(&said.logits).chunks(classes).map(<[f64]>::to_vec).collect(),
        grad_x: Vec::new(),
        grad_weight: wide(&gradients[0]).chunks(dim).map(<[f64]>::to_vec).collect(),
        grad_bias: (loss.head() == HeadKind::Linear).then(|| wide(&gradients[1])),
    }
}

fn matrix(rows: &Matrix) -> Tensor<B, 2> {
    let flat: Vec<f32> = rows.iter().flatten().map(|v| *v as f32).collect();
    Tensor::from_data(TensorData::new(flat, [rows.len(), rows[0].len()]), &Default::default())
}

fn vector(values: &[f64]) -> Tensor<B, 1> {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), &Default::default())
}

fn rows(tensor: Tensor<Base, 2>) -> Matrix {
    let columns = tensor.dims()[1];
    numbers(tensor.into_data()).chunks(columns).map(<[f64]>::to_vec).collect()
}

fn numbers(data: TensorData) -> Vec<f64> {
    data.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

/// |Δ| ≤ 1e-5·max(1, |v|) for each value.
fn assert_values(name: &str, measured: &[f64], expected: &[f64]) {
    assert_eq!(measured.len(), expected.len(), "{name}");
    for (i, (m, e)) in measured.iter().zip(expected).enumerate() {
        assert!((m - e).abs() <= 1e-5 * e.abs().max(1.0), "{name}[{i}] is {m}, but must be {e}");
    }
}

/// |Δ| ≤ 1e-5 of the largest component of the whole gradient.
fn assert_gradient(name: &str, measured: &[f64], expected: &[f64]) {
    assert_eq!(measured.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
    for (i, (m, e)) in measured.iter().zip(expected).enumerate() {
        assert!(
            (m - e).abs() <= 1e-5 * largest,
            "{name}[{i}] is {m}, but must be {e} (largest {largest})"
        );
    }
}

fn flat(value: &Value) -> Vec<f64> {
    let rows: Matrix = serde_json::from_value(value.clone()).unwrap();
    rows.concat()
}

/// Everything of a case but the gradient by x.
fn assert_case(name: &str, measured: Measured, case: &Value) {
    let per_sample: Vec<f64> = serde_json::from_value(case["per_sample"].clone()).unwrap();
    assert_values(&format!("{name} per_sample"), &measured.per_sample, &per_sample);
    let mean = measured.per_sample.iter().sum::<f64>() / measured.per_sample.len() as f64;
    assert_values(&format!("{name} value"), &[mean], &[case["value"].as_f64().unwrap()]);
    assert_values(&format!("{name} scores"), &measured.logits.concat(), &flat(&case["scores"]));
    let prediction: Vec<usize> = serde_json::from_value(case["prediction"].clone()).unwrap();
    assert_eq!(
        measured.predictions,
        prediction.into_iter().map(Some).collect::<Vec<_>>(),
        "{name}"
    );
    assert_gradient(
        &format!("{name} grad_weight"),
        &measured.grad_weight.concat(),
        &flat(&case["grad_weight"]),
    );
    let grad_bias: Option<Vec<f64>> =
        case.get("grad_bias").map(|g| serde_json::from_value(g.clone()).unwrap());
    assert_eq!(measured.grad_bias.is_some(), grad_bias.is_some(), "{name}");
    if let (Some(measured), Some(expected)) = (measured.grad_bias, grad_bias) {
        assert_gradient(&format!("{name} grad_bias"), &measured, &expected);
    }
}

#[test]
fn every_case_of_the_golden_file_holds() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 57);
    let mut not_offered = Vec::new();
    for case in cases {
        let name = format!("{} {} {}", case["loss"], case["params"], case["batch"]);
        let batch = Batch::read(&golden["batches"][case["batch"].as_str().unwrap()]);
        let (loss, class_counts, lambda) = match meaning(case, batch.classes()) {
            Meaning::Offered { loss, class_counts, lambda } => (loss, class_counts, lambda),
            Meaning::NotOffered(reason) => {
                eprintln!("not offered: {name}: {reason}");
                not_offered.push(case["loss"].as_str().unwrap());
                continue;
            }
        };
        let head = match loss.head() {
            HeadKind::Linear => "linear",
            HeadKind::LinearNoBias => "linear_nobias",
            HeadKind::NormWeight => "normweight",
            HeadKind::Cosine => "cosine",
        };
        assert_eq!(case["head"].as_str().unwrap(), head, "{name}");

        let by_autodiff = measure(&loss, &class_counts, lambda, &case["params"], &batch);
        assert_gradient(
            &format!("{name} grad_x"),
            &by_autodiff.grad_x.concat(),
            &flat(&case["grad_x"]),
        );
        let by_hand = measure_by_hand(&loss, &class_counts, lambda, &case["params"], &batch);
        for (how, measured) in [("autodiff", by_autodiff), ("by hand", by_hand)] {
            assert_case(&format!("{name} {how}"), measured, case);
        }
    }
    assert_eq!(
        not_offered,
        ["hinge_seed_literal", "hinge_seed_literal", "curricular", "curricular"]
    );
}

#[test]
fn every_edge_of_the_golden_file_holds_with_finite_gradients() {
    let golden = golden();
    let edges = &golden["edges"];
    let batch = Batch::read(edges);
    let cases = edges["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 34);
    let mut not_offered = 0;
    for case in cases {
        let name = format!("edge {} {}", case["loss"], case["params"]);
        let Meaning::Offered { loss, class_counts, lambda } = meaning(case, batch.classes()) else {
            not_offered += 1;
            continue;
        };
        let per_sample: Vec<f64> = serde_json::from_value(case["per_sample"].clone()).unwrap();
        for measure in [measure, measure_by_hand] {
            let measured = measure(&loss, &class_counts, lambda, &case["params"], &batch);
            assert_values(&name, &measured.per_sample, &per_sample);
            let gradients = [
                measured.grad_x.concat(),
                measured.grad_weight.concat(),
                measured.grad_bias.unwrap_or_default(),
            ];
            assert!(gradients.concat().iter().all(|g| g.is_finite()), "{name}: {gradients:?}");
        }
    }
    assert_eq!(not_offered, 2, "hinge_seed_literal and curricular");
}

#[test]
fn psi_follows_its_table() {
    let golden = golden();
    let table = &golden["psi_table"];
    for margin in 1..=4 {
        let measured = numbers(psi(cosines(&table["theta"]), margin).into_data());
        let expected: Vec<f64> =
            serde_json::from_value(table["psi"][margin.to_string()].clone()).unwrap();
        assert_eq!(measured.len(), 25);
        for (i, (m, e)) in measured.iter().zip(&expected).enumerate() {
            assert!((m - e).abs() <= 1e-6, "psi_{margin}[{i}] is {m}, but must be {e}");
        }
    }
}

#[test]
fn the_arcface_target_follows_its_table() {
    let golden = golden();
    let table = &golden["arcface_target_table"];
    let values = table["value"].as_object().unwrap();
    assert_eq!(values.len(), 3);
    for (margin, expected) in values {
        let radians: f64 = margin.parse().unwrap();
        let cos = cosines(&table["theta"]);
        let squared_sine = cos.clone().square().neg().add_scalar(1.0);
        let measured = numbers(arcface_target(cos, squared_sine, radians).into_data());
        let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(measured.len(), 25);
        for (i, (m, e)) in measured.iter().zip(&expected).enumerate() {
            // at θ = 0 the f32 guard of the root, 1e-6, stands for the file's 1e-12
            let tolerance = if i == 0 && radians > 0.0 { 5e-4 } else { 1e-6 };
            assert!((m - e).abs() <= tolerance, "m = {margin}, [{i}] is {m}, but must be {e}");
        }
    }
}

/// cosθ of a table's angles: [25, 1]
fn cosines(theta: &Value) -> Tensor<B, 2> {
    let theta: Vec<f64> = serde_json::from_value(theta.clone()).unwrap();
    let rows = theta.iter().map(|t| vec![t.cos()]).collect();
    matrix(&rows)
}
