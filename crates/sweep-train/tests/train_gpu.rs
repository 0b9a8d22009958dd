//! Whole trainings on a GPU against the CPU: CUDA with `cuda-tests`, a software Vulkan driver with `vulkan-tests`.

#![cfg(feature = "gpu-tests")]
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod train_support;

use std::num::NonZeroUsize;
use std::sync::Arc;

use sweep_core::loss::{Anneal, Loss, Sigma};
use sweep_core::result::{DeviceKind, RunResult};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Order, Outcome, Trainer};
use sweep_core::training::Optimizer;
use sweep_data::Packed;
use sweep_train::device::Resolved;
use sweep_train::trainer::BurnTrainer;
use train_support::{Planned, SOFTMAX, digits, digits_run, finished, unbroken};

/// Relative: another order of summation moves a loss by some 1e-6 a step, and the first epoch has five steps.
const FIRST_EPOCH: f64 = 1e-3;

/// Of the validation images' share that is right, after all epochs.
const ACCURACY: f64 = 0.05;

fn gpu(packed: &Packed) -> BurnTrainer {
    let packed = packed.clone();
    let source = Arc::new(move |_: &_, _| Ok(packed.clone()));
    BurnTrainer::new(Resolved::Cuda(0), NonZeroUsize::MIN, source)
}

fn on_gpu(run: &RunSpec, packed: &Packed) -> RunResult {
    finished(gpu(packed).train(run, None, &mut Planned::watching()).unwrap())
}

#[track_caller]
fn assert_alike(what: &str, ours: &RunResult, cpu: &RunResult) {
    assert_eq!(ours.device, DeviceKind::Cuda);
    assert_eq!(ours.end, cpu.end, "{what}");
    assert_eq!(ours.epochs.len(), cpu.epochs.len(), "{what}");
    let first = |result: &RunResult| result.epochs[0].train_loss.unwrap();
    let apart = (first(ours) - first(cpu)).abs() / first(cpu).abs();
    assert!(apart < FIRST_EPOCH, "{what}: first epoch {} and {}", first(ours), first(cpu));
    let accuracy = |result: &RunResult| result.validation.as_ref().unwrap().accuracy();
    let (a, b) = (accuracy(ours), accuracy(cpu));
    assert!((a - b).abs() <= ACCURACY, "{what}: accuracy {a} and {b}");
}

fn losses() -> Vec<Loss> {
    let anneal = Some(Anneal { base: 1000.0, gamma_total: 0.5, power: 35.0, min: 0.0 });
    vec![
        SOFTMAX,
        Loss::Softmax { label_smoothing: 0.1 },
        Loss::L1Sigma { sigma: Sigma::Softmax },
        Loss::L2Sigma { sigma: Sigma::Sigmoid },
        Loss::Hinge { margin: 1.0, power: 2 },
        Loss::HingeCs { margin: 1.0, power: 1 },
        Loss::HingeWw { margin: 1.0, power: 1 },
        Loss::Bce {},
        Loss::Focal { gamma: 2.0, alpha: 1.0 },
        Loss::LSoftmax { margin: 2, anneal },
        Loss::ASoftmax { margin: 3, anneal },
        Loss::AmSoftmax { scale: 10.0, margin: 0.2 },
        Loss::Arcface { scale: 10.0, margin: 0.3 },
        Loss::Ldam { scale: 10.0, max_margin: 0.5 },
        Loss::Cosine {},
        Loss::CosineXent { cross_entropy_weight: 0.1 },
    ]
}

#[test]
fn every_loss_trains_as_on_the_cpu() {
    let (_, packed) = digits();
    for loss in losses() {
        let name = loss.canonical();
        let run = digits_run(loss, 6, 1);
        assert_alike(&name, &on_gpu(&run, &packed), &unbroken(&run, &packed, 1));
    }
}

#[test]
fn every_optimizer_trains_as_on_the_cpu() {
    let (_, packed) = digits();
    let (learning_rate, beta1, beta2, epsilon) = (1e-3, 0.9, 0.999, 1e-8);
    for optimizer in [
        Optimizer::Sgd { learning_rate: 0.02, momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
        Optimizer::Sgd { learning_rate: 0.05, momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        Optimizer::Adam { learning_rate, beta1, beta2, epsilon, weight_decay: 1e-4 },
        Optimizer::Adamw { learning_rate, beta1, beta2, epsilon, weight_decay: 0.05 },
    ] {
        let mut run = digits_run(SOFTMAX, 6, 2);
        run.configuration.training.optimizer = optimizer;
        let what = format!("{optimizer:?}");
        assert_alike(&what, &on_gpu(&run, &packed), &unbroken(&run, &packed, 1));
    }
}

#[test]
fn a_run_yielded_in_its_middle_goes_on_and_ends_alike() {
    let (_, packed) = digits();
    let run = digits_run(SOFTMAX, 6, 3);
    let mut observer = Planned::new(40, Order::Yield);
    let Outcome::Yielded(checkpoint) = gpu(&packed).train(&run, None, &mut observer).unwrap()
    else {
        panic!("not yielded")
    };
    let resumed = gpu(&packed).train(&run, Some(checkpoint), &mut Planned::watching()).unwrap();
    assert_alike("resumed", &finished(resumed), &unbroken(&run, &packed, 1));
}
