//! Times whole digits runs (the quickstart's settings, softmax) in one slot or several and prints one JSON line.
//!
//! `bench_slots SLOTS THREADS RUNS`: SLOTS threads, each with its own trainer of THREADS threads, train RUNS runs each. Besides the
//! time of the wall it prints the CPU time of the process (Linux), which a loaded machine changes less.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::EpochMetrics;
use sweep_core::run::{Configuration, RunSpec};
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, Trainer};
use sweep_core::training::{Augment, Mode, Optimizer, Schedule, Training};
use sweep_data::DataSet;
use sweep_train::device::Resolved;
use sweep_train::trainer::{BurnTrainer, DataSource};

struct Silent;

impl Observer for Silent {
    fn batch(&mut self, _: u32, _: u32, _: u32) -> Order {
        Order::Continue
    }
    fn epoch(&mut self, _: &EpochMetrics) {}
    fn checkpoint(&mut self, _: Checkpoint) {}
}

fn main() {
    let arguments: Vec<usize> =
        std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [slots, threads, runs] = arguments[..] else {
        eprintln!("usage: bench_slots SLOTS THREADS RUNS");
        std::process::exit(2);
    };
    let set = DataSet::builtin("digits")
        .expect("digits are built in")
        .expect("the built-in set is whole");
    let cache = std::env::temp_dir().join("sweep-bench-slots");
    let packed = set.pack(8, &cache, &|_| {}).expect("the temporary folder can be written");
    let source: DataSource = Arc::new(move |_, _| Ok(packed.clone()));
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);

    let start = Instant::now();
    let accuracies: Vec<f64> = std::thread::scope(|scope| {
        let slots: Vec<_> = (0..slots)
            .map(|slot| {
                let (source, set) = (source.clone(), &set);
                scope.spawn(move || {
                    let mut trainer = BurnTrainer::new(Resolved::Cpu, threads, source);
                    (0..runs)
                        .map(|run| accuracy(&mut trainer, set, (slot * runs + run) as u64 + 1))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        slots.into_iter().flat_map(|slot| slot.join().expect("a slot does not panic")).collect()
    });
    let wall = start.elapsed().as_secs_f64();
    let count = accuracies.len() as f64;
    println!(
        "{{\"slots\":{slots},\"threads\":{threads},\"runs\":{count},\"wall_s_per_run\":{:.4},\"cpu_s_per_run\":{:.4},\"mean_accuracy\":{:.4}}}",
        wall / count,
        cpu_seconds() / count,
        accuracies.iter().sum::<f64>() / count
    );
}

fn accuracy(trainer: &mut BurnTrainer, set: &DataSet, seed: u64) -> f64 {
    let training = Training {
        mode: Mode::Full,
        epochs: 30,
        batch_size: 10,
        image_size: 8,
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
    };
    let model = Model { backbone: Backbone::SmallCnn, weights: Weights::Random, neck: None };
    let loss = Loss::Softmax { label_smoothing: 0.0 };
    let run = RunSpec {
        configuration: Configuration { dataset: set.info().into(), loss, model, training },
        seed,
    };
    match trainer.train(&run, None, &mut Silent) {
        Ok(Outcome::Finished(result)) => {
            result.validation.map_or(0.0, |validation| validation.accuracy())
        }
        other => panic!("the run did not finish: {other:?}"),
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
