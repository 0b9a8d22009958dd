//! Head mode through the trainer: features once and kept, runs that resume bit for bit, weights that fit or are refused.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod train_support;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::backend::Flex;
use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Weights, WeightsRef};
use sweep_core::result::{RunResult, TrainingEnd};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Order, Outcome, TrainError, Trainer};
use sweep_core::training::{Mode, Optimizer};
use sweep_train::device::Resolved;
use sweep_train::network::state::{State, state};
use sweep_train::network::{BackboneConfig, BackboneKind};
use sweep_train::rng::KeyedRng;
use sweep_train::trainer::BurnTrainer;
use sweep_train::weights;
use train_support::{Planned, SOFTMAX, digits, digits_run, finished, trainer};

fn head_run(loss: Loss, seed: u64) -> RunSpec {
    let mut run = digits_run(loss, 20, seed);
    run.configuration.training.mode = Mode::Head;
    // Random features differ little from image to image.
    run.configuration.training.optimizer =
        Optimizer::Sgd { learning_rate: 2.0, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    run
}

/// With a folder for features.
fn keeping(folder: &Path) -> BurnTrainer {
    trainer(digits().1, 1).with_features(folder.to_owned())
}

fn result(trainer: &mut BurnTrainer, run: &RunSpec) -> (RunResult, u32) {
    let mut observer = Planned::watching();
    let result = finished(trainer.train(run, None, &mut observer).unwrap());
    assert_eq!(observer.epochs, result.epochs);
    (result.without_times(), observer.before)
}

#[test]
fn heads_learn_on_features_that_are_computed_once_and_shared() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = keeping(folder.path());
    let (softmax, computed) = result(&mut first, &head_run(SOFTMAX, 1));
    assert!(computed > 0, "no batch of features was told");
    assert_eq!(softmax.end, TrainingEnd::Completed);
    // Chance is 0.1; these are random features of five images per class.
    assert!(softmax.validation.as_ref().unwrap().accuracy() > 0.4, "{softmax:?}");
    assert!(softmax.epochs[19].train_loss < softmax.epochs[0].train_loss);

    let margin = head_run(Loss::AmSoftmax { scale: 10.0, margin: 0.2 }, 1);
    let (here, computed) = result(&mut first, &margin);
    assert_eq!(computed, 0);
    let mut second = keeping(folder.path());
    let (there, computed) = result(&mut second, &margin);
    assert_eq!((computed, there), (0, here), "not read from the folder, or not the same");

    let mut alone = trainer(digits().1, 2);
    assert_eq!(result(&mut alone, &head_run(SOFTMAX, 1)).0, softmax, "alone, with two threads");
    assert_ne!(result(&mut alone, &head_run(SOFTMAX, 2)).0, softmax, "another seed");
}

#[test]
fn a_head_yielded_anywhere_equals_the_unbroken_one() {
    let adam = Optimizer::Adam {
        learning_rate: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 1e-4,
    };
    let mut runs =
        [head_run(SOFTMAX, 3), head_run(Loss::CosineXent { cross_entropy_weight: 0.1 }, 3)];
    runs[1].configuration.training.optimizer = adam;
    for run in runs {
        let mut whole = trainer(digits().1, 1);
        let (expected, _) = result(&mut whole, &run);
        for every in [3, 7] {
            let (mut checkpoint, mut breaks): (Option<Checkpoint>, u32) = (None, 0);
            let broken = loop {
                let mut observer = Planned::new(every, Order::Yield);
                // A trainer that holds features, since without a folder a fresh one would compute them again at every break.
                match whole.train(&run, checkpoint.take(), &mut observer).unwrap() {
                    Outcome::Finished(result) => break result,
                    Outcome::Yielded(next) => checkpoint = Some(next),
                    Outcome::Stopped => panic!("nobody ordered to stop"),
                }
                breaks += 1;
                assert!(breaks < 1000, "no progress");
            };
            assert!(breaks > 5);
            assert_eq!(broken.without_times(), expected, "yielded every {every} batches");
        }
    }
}

#[test]
fn a_stop_while_features_are_computed_is_served_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let run = head_run(SOFTMAX, 1);
    for (order, expected) in [
        (Order::Stop, Outcome::Stopped),
        (Order::Yield, Outcome::Yielded(Checkpoint { epoch: 0, batch: 0, bytes: Vec::new() })),
    ] {
        let mut observer = Planned::new(2, order);
        assert_eq!(keeping(folder.path()).train(&run, None, &mut observer).unwrap(), expected);
        assert_eq!((observer.before, observer.batches), (2, 0));
    }
    let start = Some(Checkpoint { epoch: 0, batch: 0, bytes: Vec::new() });
    let outcome = keeping(folder.path()).train(&run, start, &mut Planned::watching()).unwrap();
    assert_eq!(finished(outcome).end, TrainingEnd::Completed);
}

#[test]
fn a_head_that_diverges_says_so() {
    let mut run = head_run(Loss::Hinge { margin: 0.5, power: 3 }, 1);
    run.configuration.training.clip_norm = None;
    run.configuration.training.optimizer =
        Optimizer::Sgd { learning_rate: 500.0, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let (result, _) = result(&mut trainer(digits().1, 1), &run);
    assert!(matches!(result.end, TrainingEnd::Diverged { .. }), "{:?}", result.end);
}

/// A safetensors file of a state.
fn write_safetensors(path: &Path, state: &State) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, values) in state {
        let start = data.len();
        data.extend(values.to_vec::<f32>().unwrap().iter().flat_map(|v| v.to_le_bytes()));
        let entry = serde_json::json!({ "dtype": "F32", "shape": values.shape.to_vec(), "data_offsets": [start, data.len()] });
        header.insert(name.clone(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

fn resnet_run(mode: Mode, path: &Path) -> RunSpec {
    let mut run = digits_run(SOFTMAX, 1, 1);
    run.configuration.training.mode = mode;
    run.configuration.model.backbone = Backbone::Resnet18;
    let sha256 = Some(weights::sha256(path).unwrap());
    let of = WeightsRef { name: "mine.safetensors".into(), sha256 };
    run.configuration.model.weights = Weights::Pretrained(of);
    run
}

fn with_weights(path: PathBuf) -> BurnTrainer {
    let source = Arc::new(move |_: &WeightsRef| Ok(path.clone()));
    let packed = digits().1;
    let data = Arc::new(move |_: &_, _| Ok(packed.clone()));
    BurnTrainer::new(Resolved::Cpu, NonZeroUsize::MIN, data).with_weights(source)
}

#[test]
fn both_modes_start_from_the_weights_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.safetensors");
    let kind = BackboneKind::of(Backbone::Resnet18);
    let config = BackboneConfig { kind, channels: 3, side: 8, neck: None };
    // What a run with seed 1 and the one frozen seed would draw, written down: both modes must come out the same.
    for (mode, seed) in [(Mode::Full, 1), (Mode::Head, 0)] {
        let drawn = config.init::<Flex>(&KeyedRng::new(seed).named("weights"), &Default::default());
        write_safetensors(&path, &state(&drawn));
        let run = resnet_run(mode, &path);
        let (from_file, _) = result(&mut with_weights(path.clone()), &run);
        let mut random = run.clone();
        random.configuration.model.weights = Weights::Random;
        let (drawn, _) = result(&mut trainer(digits().1, 1), &random);
        assert_eq!(from_file, drawn, "{mode:?}");
    }
}

#[test]
fn runs_that_share_weights_do_not_touch_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.safetensors");
    let config = BackboneConfig::published(BackboneKind::of(Backbone::Resnet18));
    let drawn = config.init::<Flex>(&KeyedRng::new(5).named("weights"), &Default::default());
    write_safetensors(&path, &state(&drawn));
    let run = resnet_run(Mode::Full, &path);
    let mut other = run.clone();
    other.seed = 2;
    let mut trainer = with_weights(path.clone());
    let (first, _) = result(&mut trainer, &run);
    result(&mut trainer, &other);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| result(&mut with_weights(path.clone()), &run).0).join().unwrap()
    });
    let (again, _) = result(&mut trainer, &run);
    assert!(first == again && first == beside, "a run changed the weights of the next");
}

#[test]
fn weights_that_are_missing_changed_or_of_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.pth");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny.pth"), &path)
        .unwrap();
    let run = resnet_run(Mode::Head, &path);
    let refused = |mut trainer: BurnTrainer, run: &RunSpec| match trainer
        .train(run, None, &mut Planned::watching())
        .unwrap_err()
    {
        TrainError::Input(text) => text,
        other => panic!("{other:?}"),
    };
    let text = refused(trainer(digits().1, 1), &run);
    assert_eq!(text, "the weights mine.safetensors are not at hand");
    let text = refused(with_weights(path.clone()), &run);
    assert!(text.contains("100 missing: bn1.bias, "), "{text}");
    assert!(text.contains("8 unknown: bfloat, double, "), "{text}");
    std::fs::write(&path, b"something else").unwrap();
    let text = refused(with_weights(path.clone()), &run);
    assert!(text.contains("sha256") && text.contains("but must have"), "{text}");
}
