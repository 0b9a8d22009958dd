//! Times whole runs in one slot or several and prints one JSON line: what `bench/slots` compares.
//!
//! `bench_slots SLOTS THREADS RUNS FIRST_SEED [DEVICE [MANIFEST IMAGES BACKBONE SIDE BATCH EPOCHS]]`: SLOTS threads, each with its own
//! trainer of THREADS threads, train RUNS runs each, of the seeds from `FIRST_SEED` on; digits with the quickstart's settings unless
//! a manifest and the folder of its pictures are given. Besides the time of the wall it prints the CPU time of the process (Linux), which
//! a loaded machine changes less, and a digest of each result.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::EpochMetrics;
use sweep_core::run::{Configuration, RunSpec};
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, Trainer};
use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};
use sweep_data::DataSet;
use sweep_train::device::Device;
use sweep_train::trainer::{BurnTrainer, DataSource, Room};

struct Silent;

impl Observer for Silent {
    fn batch(&mut self, _: u32, _: u32, _: u32) -> Order {
        Order::Continue
    }
    fn epoch(&mut self, _: &EpochMetrics) {}
    fn checkpoint(&mut self, _: Checkpoint) {}
}

/// What every run trains.
struct Task {
    set: DataSet,
    backbone: Backbone,
    side: u32,
    batch: u32,
    epochs: u32,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [slots, threads, runs, first_seed, rest @ ..] = arguments.as_slice() else {
        eprintln!(
            "usage: bench_slots SLOTS THREADS RUNS FIRST_SEED [DEVICE [MANIFEST IMAGES BACKBONE SIDE BATCH EPOCHS]]"
        );
        std::process::exit(2);
    };
    let number = |text: &String| text.parse::<usize>().expect("a whole number");
    let (slots, runs, first_seed) = (number(slots), number(runs), number(first_seed));
    let threads = NonZeroUsize::new(number(threads)).unwrap_or(NonZeroUsize::MIN);
    let device: Device = rest.first().map_or("cpu", String::as_str).parse().expect("a device");
    let device = match device.resolved() {
        Ok(device) => device,
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(3);
        }
    };
    let task = match rest {
        [_, manifest, images, backbone, side, batch, epochs] => Task {
            set: DataSet::from_manifest(Path::new(manifest), Some(Path::new(images)))
                .expect("the data set is whole"),
            backbone: serde_json::from_value(backbone.as_str().into()).expect("a backbone"),
            side: number(side) as u32,
            batch: number(batch) as u32,
            epochs: number(epochs) as u32,
        },
        _ => Task {
            set: DataSet::builtin("digits")
                .expect("digits are built in")
                .expect("the built-in set is whole"),
            backbone: Backbone::SmallCnn,
            side: 8,
            batch: 10,
            epochs: 30,
        },
    };
    let cache = std::env::temp_dir().join("sweep-bench-slots");
    device.keep_kernels(&cache);
    let packed =
        task.set.pack(task.side, &cache, &|_| {}).expect("the temporary folder can be written");
    let source: DataSource = Arc::new(move |_, _| Ok(packed.clone()));
    let room = Room::of(device);

    let start = Instant::now();
    let results: BTreeMap<u64, (f64, String)> = std::thread::scope(|scope| {
        let slots: Vec<_> = (0..slots)
            .map(|slot| {
                let (source, task, room) = (source.clone(), &task, &room);
                scope.spawn(move || {
                    let mut trainer = BurnTrainer::new(device, threads, source).in_room(room);
                    (0..runs)
                        .map(|run| {
                            let seed = (first_seed + slot * runs + run) as u64;
                            (seed, result(&mut trainer, task, seed))
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        slots.into_iter().flat_map(|slot| slot.join().expect("a slot does not panic")).collect()
    });
    let wall = start.elapsed().as_secs_f64();
    let count = results.len() as f64;
    let accuracies = results.values().map(|(accuracy, _)| accuracy).sum::<f64>() / count;
    let digests: BTreeMap<_, _> =
        results.iter().map(|(seed, (_, digest))| (seed, digest)).collect();
    println!(
        "{}",
        serde_json::json!({
            "slots": slots,
            "threads": threads,
            "runs": count,
            "wall_s_per_run": wall / count,
            "cpu_s_per_run": cpu_seconds() / count,
            "mean_accuracy": accuracies,
            "digests": digests,
        })
    );
}

/// Accuracy of a run, and a digest of all that its result says but times.
fn result(trainer: &mut BurnTrainer, task: &Task, seed: u64) -> (f64, String) {
    let training = Training {
        mode: Mode::Full,
        epochs: task.epochs,
        batch_size: task.batch,
        image_size: task.side,
        optimizer: Optimizer::Sgd {
            learning_rate: 0.05,
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
    let model = Model { backbone: task.backbone, weights: Weights::Random, neck: None };
    let loss = Loss::Softmax { label_smoothing: 0.0 };
    let configuration = Configuration { dataset: task.set.info().into(), loss, model, training };
    loop {
        let run = RunSpec { configuration: configuration.clone(), seed };
        match trainer.train(&run, None, &mut Silent) {
            Ok(Outcome::Finished(result)) => {
                let accuracy = result.validation.as_ref().map_or(0.0, |val| val.accuracy());
                let text = serde_json::to_string(&result.without_times()).expect("plain numbers");
                return (accuracy, blake3::hash(text.as_bytes()).to_hex()[..16].to_owned());
            }
            // Out of memory beside the others: once more, alone.
            Ok(Outcome::Yielded(_)) => {}
            other => panic!("the run did not finish: {other:?}"),
        }
    }
}

/// User and system time of this process in seconds; 0 where `/proc` does not tell.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // Fields 14 and 15 of proc(5), counted after the program's name; a tick is 1/100 s on Linux.
    (ticks(11) + ticks(12)) / 100.0
}
