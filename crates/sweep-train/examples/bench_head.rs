//! Head mode: one hundred whole runs (10 losses × 10 seeds) on cached features, through the trainer, in turns with a peer.
//!
//! `bench_head IMAGES FOLDER TURNS`: IMAGES holds the pictures of `sweeps/datasets/fruits.yaml`, for their number and labels; FOLDER
//! gets features of 2048 numbers each, drawn, with the spread of a trained ResNet-50's, put into the trainer's own cache; and for the
//! peer `task.json` and `starts.f32`: settings, labels, orders of batches and starting weights of every run. Prints one JSON line with
//! the losses of all epochs of all runs, then one with seconds for each line read. `bench/head.py` drives it.

use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use sweep_core::loss::{Loss, Sigma};
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult};
use sweep_core::run::{Configuration, RunSpec};
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, Trainer};
use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};
use sweep_data::{DataSet, Packed};
use sweep_train::device::Resolved;
use sweep_train::feed::epoch_batches;
use sweep_train::frozen::HeadNumbers;
use sweep_train::frozen::cache::{Cache, Key, Look};
use sweep_train::rng::KeyedRng;
use sweep_train::trainer::BurnTrainer;

const EPOCHS: u32 = 30;
const BATCH: u32 = 32;
const FEATURES: usize = 2048;
const SEEDS: u64 = 10;
/// Of the packed pictures, which nobody looks at.
const SIDE: u32 = 64;

struct Silent;

impl Observer for Silent {
    fn batch(&mut self, epoch: u32, batch: u32, batches: u32) -> Order {
        assert!(epoch > 0, "features are computed ({batch} of {batches}) that should be cached");
        Order::Continue
    }
    fn epoch(&mut self, _: &EpochMetrics) {}
    fn checkpoint(&mut self, _: Checkpoint) {}
}

fn losses() -> Vec<Loss> {
    vec![
        Loss::Softmax { label_smoothing: 0.0 },
        Loss::Softmax { label_smoothing: 0.1 },
        Loss::Focal { gamma: 2.0, alpha: 1.0 },
        Loss::Bce {},
        Loss::HingeCs { margin: 1.0, power: 1 },
        Loss::HingeWw { margin: 1.0, power: 2 },
        Loss::L2Sigma { sigma: Sigma::Softmax },
        Loss::AmSoftmax { scale: 10.0, margin: 0.2 },
        Loss::Arcface { scale: 10.0, margin: 0.2 },
        Loss::Cosine {},
    ]
}

fn runs(set: &DataSet) -> Vec<RunSpec> {
    let training = Training {
        mode: Mode::Head,
        epochs: EPOCHS,
        batch_size: BATCH,
        image_size: SIDE,
        optimizer: Optimizer::Sgd {
            learning_rate: 0.002,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 5e-4,
        },
        schedule: Schedule::Cosine,
        warmup_epochs: 0,
        clip_norm: Some(10.0),
        augment: Augment::None,
        precision: Precision::F32,
    };
    let model = Model { backbone: Backbone::Resnet50, weights: Weights::Random, neck: None };
    let run = |loss: &Loss, seed| RunSpec {
        configuration: Configuration {
            dataset: set.info().into(),
            loss: loss.clone(),
            model: model.clone(),
            training: training.clone(),
        },
        seed,
    };
    let losses = losses();
    (1..=SEEDS)
        .flat_map(|seed| losses.iter().map(move |loss| (loss.clone(), seed)))
        .map(|(loss, seed)| run(&loss, seed))
        .collect()
}

/// What the peer must know.
fn describe(runs: &[RunSpec], packed: &Packed, folder: &Path) -> std::io::Result<()> {
    let mut starts = Vec::new();
    let described: Vec<_> = runs
        .iter()
        .map(|run| {
            let loss = &run.configuration.loss;
            let start = HeadNumbers::start(loss, FEATURES, packed.class_count(), run.seed);
            let numbers = start.weight.iter().chain(start.bias.iter().flatten());
            starts.extend(numbers.flat_map(|v| v.to_le_bytes()));
            serde_json::json!({ "loss": loss, "seed": run.seed, "bias": start.bias.is_some() })
        })
        .collect();
    let orders: Vec<Vec<Vec<Vec<usize>>>> = (1..=SEEDS)
        .map(|seed| {
            (0..EPOCHS)
                .map(|epoch| epoch_batches(packed.train().len(), BATCH as usize, seed, epoch))
                .collect()
        })
        .collect();
    let task = serde_json::json!({
        "runs": described, "orders": orders, "classes": packed.class_count(), "dim": FEATURES,
        "training": runs[0].configuration.training,
        "train_labels": packed.train_labels(), "val_labels": packed.val_labels(),
    });
    std::fs::write(folder.join("task.json"), task.to_string())?;
    std::fs::write(folder.join("starts.f32"), starts)
}

/// Features of overlapping classes, none below 0, of norm 20 or so.
fn features(packed: &Packed) -> Vec<f32> {
    let mut rng = KeyedRng::new(1).named("features");
    let centres: Vec<f64> = (0..packed.class_count() * FEATURES).map(|_| rng.uniform()).collect();
    let labels = packed.train_labels().iter().chain(packed.val_labels());
    labels
        .flat_map(|label| &centres[*label as usize * FEATURES..(*label as usize + 1) * FEATURES])
        .map(|centre| (0.2 * centre + 0.4 * rng.normal()).max(0.0) as f32)
        .collect()
}

/// Puts features where a trainer looks for those of `run`.
fn cache(run: &RunSpec, packed: &Packed, folder: &Path) {
    let configuration = &run.configuration;
    let key = Key {
        content: configuration.dataset.content,
        split: configuration.dataset.split,
        image_size: SIDE,
        backbone: configuration.model.backbone,
        weights: None,
        device: DeviceKind::Cpu,
    };
    let rows = features(packed);
    if let Look::Make(making) = Cache::new(folder).look(&key, rows.len()) {
        making.keep(&rows);
    }
}

fn trained(trainer: &mut BurnTrainer, runs: &[RunSpec]) -> Vec<RunResult> {
    let result = |run| match trainer.train(run, None, &mut Silent) {
        Ok(Outcome::Finished(result)) => result,
        other => panic!("the run did not finish: {other:?}"),
    };
    runs.iter().map(result).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [images, folder, turns] = &arguments[..] else {
        eprintln!("usage: bench_head IMAGES FOLDER TURNS");
        std::process::exit(2);
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps/datasets/fruits.yaml");
    let set = DataSet::from_manifest(&manifest, Some(Path::new(images))).expect("fruits");
    let packed = set.pack(SIDE, &folder, &|_| {}).expect("the folder can be written");
    let runs = runs(&set);
    describe(&runs, &packed, &folder).expect("the folder can be written");
    cache(&runs[0], &packed, &folder);
    let source = Arc::new(move |_: &_, _| Ok(packed.clone()));
    let mut trainer =
        BurnTrainer::new(Resolved::Cpu, NonZeroUsize::MIN, source).with_features(folder.clone());
    let curves: Vec<Vec<[Option<f64>; 3]>> = trained(&mut trainer, &runs)
        .iter()
        .map(|r| {
            r.epochs.iter().map(|e| [e.train_loss, e.val_loss, Some(e.val_accuracy)]).collect()
        })
        .collect();
    println!("{}", serde_json::json!({ "curves": curves }));
    for _ in 0..turns.parse().unwrap_or(0) {
        let mut line = String::new();
        if !std::io::stdin().lock().read_line(&mut line).is_ok_and(|read| read > 0) {
            break;
        }
        let start = Instant::now();
        let finished = trained(&mut trainer, &runs).len();
        println!(
            "{}",
            serde_json::json!({ "seconds": start.elapsed().as_secs_f64(), "runs": finished })
        );
        std::io::stdout().flush().expect("the reader is there");
    }
}
