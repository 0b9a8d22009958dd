//! The same run gives the same result bit for bit: resumed anywhere, alone or after others, in one slot or two, with one thread
//! or two.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod train_support;

use sweep_core::loss::Loss;
use sweep_core::result::RunResult;
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Order, Outcome, Trainer};
use sweep_core::training::Optimizer;
use sweep_data::Packed;
use train_support::{Planned, SOFTMAX, digits, digits_run, finished, trainer, unbroken};

fn adam_run() -> RunSpec {
    let mut run = digits_run(Loss::AmSoftmax { scale: 10.0, margin: 0.2 }, 4, 5);
    run.configuration.training.optimizer = Optimizer::Adam {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 1e-4,
    };
    run
}

/// Yields after every `every` batches told and goes on in a fresh trainer.
fn broken(run: &RunSpec, packed: &Packed, every: u32) -> RunResult {
    let mut checkpoint: Option<Checkpoint> = None;
    let mut breaks = 0;
    loop {
        let mut observer = Planned::new(every, Order::Yield);
        match trainer(packed.clone(), 1).train(run, checkpoint.take(), &mut observer).unwrap() {
            Outcome::Finished(result) => {
                assert!(breaks > 0, "never broken");
                return result;
            }
            Outcome::Yielded(next) => checkpoint = Some(next),
            Outcome::Stopped => panic!("nobody ordered to stop"),
        }
        breaks += 1;
        assert!(breaks < 1000, "no progress between two breaks");
    }
}

#[test]
fn a_run_yielded_anywhere_equals_the_unbroken_one() {
    let (_, packed) = digits();
    for run in [digits_run(SOFTMAX, 4, 3), adam_run()] {
        let expected = unbroken(&run, &packed, 1).without_times();
        // 5 batches an epoch, then 3 questions during its evaluation: breaks fall everywhere.
        for every in [4, 5, 7, 9] {
            assert_eq!(
                broken(&run, &packed, every).without_times(),
                expected,
                "yielded every {every} batches"
            );
        }
    }
}

#[test]
fn a_checkpoint_asked_for_changes_nothing_and_carries_on() {
    let (_, packed) = digits();
    let run = digits_run(SOFTMAX, 3, 3);
    let expected = unbroken(&run, &packed, 1).without_times();
    let mut observer = Planned::new(3, Order::Checkpoint);
    let result = finished(trainer(packed.clone(), 1).train(&run, None, &mut observer).unwrap());
    assert_eq!(result.without_times(), expected);
    assert!(observer.checkpoints.len() >= 5);
    for checkpoint in observer.checkpoints {
        let place = (checkpoint.epoch, checkpoint.batch);
        let resumed = trainer(packed.clone(), 1)
            .train(&run, Some(checkpoint), &mut Planned::watching())
            .unwrap();
        assert_eq!(finished(resumed).without_times(), expected, "from {place:?}");
    }
}

#[test]
fn a_foreign_or_damaged_checkpoint_starts_over() {
    let (_, packed) = digits();
    let run = digits_run(SOFTMAX, 2, 3);
    let expected = unbroken(&run, &packed, 1).without_times();
    let mut trainer = trainer(packed, 1);
    let other = digits_run(SOFTMAX, 2, 4);
    let Outcome::Yielded(foreign) =
        trainer.train(&other, None, &mut Planned::new(6, Order::Yield)).unwrap()
    else {
        panic!("not yielded")
    };
    let mut damaged = foreign.clone();
    damaged.bytes.truncate(damaged.bytes.len() / 2);
    for checkpoint in [foreign, damaged, Checkpoint { epoch: 1, batch: 0, bytes: Vec::new() }] {
        let result = trainer.train(&run, Some(checkpoint), &mut Planned::watching()).unwrap();
        assert_eq!(finished(result).without_times(), expected);
    }
}

#[test]
fn a_run_is_the_same_alone_and_after_others() {
    let (_, packed) = digits();
    let run = digits_run(SOFTMAX, 3, 9);
    let expected = unbroken(&run, &packed, 1).without_times();
    let mut trainer = trainer(packed, 1);
    for other in [digits_run(Loss::Cosine {}, 1, 1), adam_run(), digits_run(SOFTMAX, 2, 9)] {
        trainer.train(&other, None, &mut Planned::watching()).unwrap();
    }
    let result = trainer.train(&run, None, &mut Planned::watching()).unwrap();
    assert_eq!(finished(result).without_times(), expected);
}

#[test]
fn a_run_is_the_same_in_two_and_four_slots_at_once_and_with_more_threads() {
    let (_, packed) = digits();
    let runs = [
        digits_run(SOFTMAX, 3, 1),
        adam_run(),
        digits_run(Loss::Cosine {}, 2, 1),
        digits_run(SOFTMAX, 2, 2),
    ];
    let alone: Vec<_> = runs.iter().map(|run| unbroken(run, &packed, 1).without_times()).collect();
    for slots in [2, 4] {
        let at_once: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = runs[..slots]
                .iter()
                .map(|run| scope.spawn(|| unbroken(run, &packed, 1).without_times()))
                .collect();
            threads.into_iter().map(|slot| slot.join().unwrap()).collect()
        });
        assert_eq!(at_once, alone[..slots], "{slots} slots");
    }
    let two_threads: Vec<_> =
        runs.iter().map(|run| unbroken(run, &packed, 2).without_times()).collect();
    assert_eq!(two_threads, alone);
}

#[test]
fn losses_of_one_head_start_from_the_same_weights_and_batches() {
    // With steps too small to count, what is evaluated are the starting weights and the running statistics of all batches.
    let (_, packed) = digits();
    let evaluated = |loss: Loss, seed| {
        let mut run = digits_run(loss, 1, seed);
        run.configuration.training.optimizer = Optimizer::Sgd {
            learning_rate: 1e-30,
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        };
        unbroken(&run, &packed, 1).validation.unwrap()
    };
    assert_eq!(evaluated(SOFTMAX, 1), evaluated(Loss::HingeCs { margin: 1.0, power: 1 }, 1));
    assert_ne!(evaluated(SOFTMAX, 1), evaluated(SOFTMAX, 2));
}
