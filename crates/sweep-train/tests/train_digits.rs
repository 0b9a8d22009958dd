//! Training on the embedded digits: it learns, its metrics add up, and it says so when it diverges.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod train_support;

use sweep_core::loss::{Anneal, Loss};
use sweep_core::result::{DeviceKind, RunResult, TrainingEnd};
use sweep_core::trainer::{Order, Outcome, TrainError, Trainer};
use sweep_core::training::{Optimizer, Precision};
use train_support::{Planned, SOFTMAX, digits, digits_run, finished, trainer, unbroken};

#[test]
fn softmax_learns_the_digits_with_the_quickstarts_settings() {
    let (_, packed) = digits();
    for seed in [1, 2] {
        let result = unbroken(&digits_run(SOFTMAX, 30, seed), &packed, 1);
        let accuracy = result.validation.as_ref().unwrap().accuracy();
        assert!(accuracy > 0.7, "seed {seed}: {accuracy}");
        assert_eq!(result.end, TrainingEnd::Completed);
        assert_eq!(result.device, DeviceKind::Cpu);
    }
}

#[test]
fn activations_in_bf16_learn_as_well_and_are_another_run() {
    let (_, packed) = digits();
    let wide = digits_run(SOFTMAX, 30, 1);
    let mut narrow = wide.clone();
    narrow.configuration.training.precision = Precision::Bf16;
    assert_ne!(wide.id(), narrow.id());
    let (a, b) = (unbroken(&wide, &packed, 1), unbroken(&narrow, &packed, 1));
    let first = |result: &RunResult| result.epochs[0].train_loss.unwrap();
    approx::assert_relative_eq!(first(&a), first(&b), max_relative = 0.02);
    assert_ne!(first(&a), first(&b), "nothing was rounded");
    let accuracy = |result: &RunResult| result.validation.as_ref().unwrap().accuracy();
    assert!((accuracy(&a) - accuracy(&b)).abs() < 0.05, "{} {}", accuracy(&a), accuracy(&b));
    assert_eq!(unbroken(&narrow, &packed, 2).epochs[29].val_loss, b.epochs[29].val_loss);
}

#[test]
fn epoch_metrics_confusion_and_correctness_bits_agree() {
    let (_, packed) = digits();
    let mut observer = Planned::watching();
    let mut trainer = trainer(packed.clone(), 1);
    let result = finished(trainer.train(&digits_run(SOFTMAX, 3, 1), None, &mut observer).unwrap());
    assert_eq!(observer.epochs, result.epochs);
    assert_eq!(result.epochs.iter().map(|e| e.epoch).collect::<Vec<_>>(), [1, 2, 3]);

    let validation = result.validation.unwrap();
    assert_eq!(validation.correct.len(), packed.val().len());
    assert_eq!(result.epochs[2].val_accuracy, validation.accuracy());
    let diagonal: u32 = (0..10).map(|class| validation.confusion[class][class]).sum();
    assert_eq!(diagonal as usize, validation.correct.count_ones());
    for (class, row) in validation.confusion.iter().enumerate() {
        let images = packed.val_labels().iter().filter(|&&label| label as usize == class).count();
        assert_eq!(row.iter().sum::<u32>() as usize, images);
    }
    let wrong: Vec<_> = validation.wrong().collect();
    assert_eq!(wrong.len(), validation.correct.len() - validation.correct.count_ones());
    let mut confusion = validation.confusion.clone();
    for (image, taken_for) in wrong {
        let truth = packed.val_labels()[image] as usize;
        confusion[truth][taken_for.unwrap() as usize] -= 1;
    }
    let off_diagonal =
        confusion.iter().enumerate().map(|(c, row)| row.iter().sum::<u32>() - row[c]);
    assert_eq!(off_diagonal.sum::<u32>(), 0, "each mistake is in the confusion");
    // Cosine decay over 15 steps: the last step of epoch 1 is step 4.
    let expected = 0.05 * 0.5 * (1.0 + (std::f64::consts::PI * 4.0 / 15.0).cos());
    approx::assert_relative_eq!(result.epochs[0].learning_rate, expected, max_relative = 1e-12);
    assert!(result.epochs[2].train_loss < result.epochs[0].train_loss);
}

#[test]
fn an_annealed_loss_reports_the_lambda_of_its_last_step() {
    let (_, packed) = digits();
    let anneal = Anneal { base: 1000.0, gamma_total: 0.5, power: 35.0, min: 0.0 };
    let run = digits_run(Loss::LSoftmax { margin: 2, anneal: Some(anneal) }, 2, 1);
    let result = unbroken(&run, &packed, 1);
    assert_eq!(result.epochs[0].lambda, Some(anneal.lambda(4, 10)));
    assert_eq!(result.epochs[1].lambda, Some(anneal.lambda(9, 10)));
}

#[test]
fn every_optimizer_and_head_trains() {
    let (_, packed) = digits();
    let rules = [
        Optimizer::Sgd { learning_rate: 0.05, momentum: 0.9, nesterov: true, weight_decay: 5e-4 },
        Optimizer::Adam {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        },
        Optimizer::Adamw {
            learning_rate: 1e-2,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        },
    ];
    let losses = [
        Loss::AmSoftmax { scale: 10.0, margin: 0.2 },
        Loss::ASoftmax { margin: 2, anneal: None },
        Loss::CosineXent { cross_entropy_weight: 0.1 },
    ];
    for (optimizer, loss) in rules.into_iter().zip(losses) {
        let mut run = digits_run(loss, 10, 1);
        run.configuration.training.optimizer = optimizer;
        let epochs = unbroken(&run, &packed, 1).epochs;
        assert!(epochs[9].train_loss < epochs[0].train_loss, "{optimizer:?}: {epochs:?}");
        assert!(epochs[9].train_accuracy > epochs[0].train_accuracy, "{optimizer:?}: {epochs:?}");
    }
}

#[test]
fn a_rate_beyond_reason_diverges_and_keeps_what_was_evaluated() {
    let (_, packed) = digits();
    let mut run = digits_run(Loss::Hinge { margin: 0.5, power: 3 }, 30, 1);
    run.configuration.training.clip_norm = None;
    run.configuration.training.optimizer =
        Optimizer::Sgd { learning_rate: 50.0, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let result = unbroken(&run, &packed, 1);
    let TrainingEnd::Diverged { epoch, step } = result.end else { panic!("{:?}", result.end) };
    assert_eq!(u64::from(epoch), step / 5 + 1);
    assert_eq!(result.epochs.len() as u32, epoch - 1);
    assert_eq!(result.validation.is_some(), epoch > 1);
}

#[test]
fn stop_ends_the_training_at_that_batch() {
    let (_, packed) = digits();
    let mut observer = Planned::new(7, Order::Stop);
    let outcome =
        trainer(packed, 1).train(&digits_run(SOFTMAX, 30, 1), None, &mut observer).unwrap();
    assert_eq!(outcome, Outcome::Stopped);
    assert_eq!(observer.batches, 7);
}

#[test]
fn data_of_another_set_is_refused() {
    let (_, packed) = digits();
    let mut run = digits_run(SOFTMAX, 1, 1);
    run.configuration.dataset.split = sweep_core::ids::Digest::of(b"another split");
    let error = trainer(packed, 1).train(&run, None, &mut Planned::watching()).unwrap_err();
    assert!(matches!(&error, TrainError::Input(text) if text.contains("`digits`")), "{error}");
}

#[test]
fn a_set_smaller_than_the_batch_size_is_one_batch() {
    let (_, packed) = digits();
    let mut run = digits_run(SOFTMAX, 2, 1);
    run.configuration.training.batch_size = 1000;
    let mut observer = Planned::watching();
    let result = finished(trainer(packed.clone(), 1).train(&run, None, &mut observer).unwrap());
    assert_eq!(result.epochs.len(), 2);
    let share = result.epochs[1].train_accuracy * packed.train().len() as f64;
    approx::assert_relative_eq!(share, share.round(), max_relative = 1e-9);
}
