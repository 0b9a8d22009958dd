//! Runs on real data for the trainer's tests, and observers with a plan.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::{EpochMetrics, RunResult};
use sweep_core::run::{Configuration, RunSpec};
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, Trainer};
use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};
use sweep_data::{DataSet, Packed};
use sweep_train::device::Resolved;
use sweep_train::trainer::BurnTrainer;

pub const SOFTMAX: Loss = Loss::Softmax { label_smoothing: 0.0 };

/// The embedded digits, packed once per test program.
pub fn digits() -> (DataSet, Packed) {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    let set = DataSet::builtin("digits").unwrap().unwrap();
    let packed = set.pack(8, cache.path(), &|_| {}).unwrap();
    (set, packed)
}

/// A digits run with the quickstart's settings but for what is given.
pub fn digits_run(loss: Loss, epochs: u32, seed: u64) -> RunSpec {
    let (set, _) = digits();
    let training = Training {
        mode: Mode::Full,
        epochs,
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
        precision: Precision::F32,
    };
    let model = Model { backbone: Backbone::SmallCnn, weights: Weights::Random, neck: None };
    RunSpec {
        configuration: Configuration { dataset: set.info().into(), loss, model, training },
        seed,
    }
}

/// A CPU trainer of `threads` threads over one packed data set.
pub fn trainer(packed: Packed, threads: usize) -> BurnTrainer {
    let source = Arc::new(move |_: &_, _| Ok(packed.clone()));
    BurnTrainer::new(Resolved::Cpu, NonZeroUsize::new(threads).unwrap(), source)
}

/// Gives `order` after every `every`-th batch, else goes on; keeps what it was told.
pub struct Planned {
    pub every: u32,
    pub order: Order,
    pub batches: u32,
    /// Questions before the first epoch: while features are computed.
    pub before: u32,
    pub epochs: Vec<EpochMetrics>,
    pub checkpoints: Vec<Checkpoint>,
}

impl Planned {
    pub fn new(every: u32, order: Order) -> Self {
        Self { every, order, batches: 0, before: 0, epochs: Vec::new(), checkpoints: Vec::new() }
    }

    pub fn watching() -> Self {
        Self::new(u32::MAX, Order::Continue)
    }
}

impl Observer for Planned {
    fn batch(&mut self, epoch: u32, batch: u32, batches: u32) -> Order {
        if epoch == 0 {
            self.before += 1;
        } else {
            assert!(batch >= 1 && batch <= batches, "{epoch} {batch}/{batches}");
            self.batches += 1;
        }
        if (self.before + self.batches).is_multiple_of(self.every) {
            self.order
        } else {
            Order::Continue
        }
    }

    fn epoch(&mut self, metrics: &EpochMetrics) {
        self.epochs.push(metrics.clone());
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }
}

/// On a thread of its own with a pool of `threads`, as a slot does: the result of `run`, trained without a break.
pub fn unbroken(run: &RunSpec, packed: &Packed, threads: usize) -> RunResult {
    std::thread::scope(|scope| {
        let work = || {
            finished(
                trainer(packed.clone(), threads)
                    .train(run, None, &mut Planned::watching())
                    .unwrap(),
            )
        };
        scope.spawn(work).join().unwrap()
    })
}

pub fn finished(outcome: Outcome) -> RunResult {
    match outcome {
        Outcome::Finished(result) => result,
        other => panic!("not finished: {other:?}"),
    }
}

/// The folder of real images called `name`, or a loud word that the test is skipped.
pub fn images(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let data = std::env::var_os("SWEEP_TEST_DATA")
        .map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let folder = data.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!(
        "SKIPPED: no images of {name} (looked for {}); set SWEEP_TEST_DATA to a folder that holds fruits/ and covid/",
        folder.display()
    );
    None
}
