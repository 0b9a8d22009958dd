//! The fake training itself.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sweep_core::bits::Bits;
use sweep_core::canonical;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, RunId};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd, Validation};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, TrainError, Trainer};

use super::behaviour::FakeBehaviour;
use crate::inputs::Inputs;

/// Batches of an epoch, at most: enough for checkpoints in its middle, few enough for a sleep per batch.
const BATCHES_MAX: u32 = 8;

/// See [`super`].
pub struct FakeTrainer {
    behaviour: FakeBehaviour,
    inputs: Inputs,
    failed_once: bool,
}

/// Where a fake training stands.
#[derive(Serialize, Deserialize)]
struct Progress {
    run: RunId,
    /// Epochs completed.
    epoch: u32,
    /// Batches completed in the epoch in hand.
    batch: u32,
    /// Of all batches so far, each once and in order.
    state: u64,
}

impl FakeTrainer {
    /// A fake trainer of runs on the data sets at hand, of which only the sizes are used.
    pub fn new(behaviour: FakeBehaviour, inputs: Inputs) -> Self {
        Self { behaviour, inputs, failed_once: false }
    }
}

impl Trainer for FakeTrainer {
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        let of = &run.configuration.dataset;
        let info = self.inputs.dataset(of);
        let info =
            info.ok_or_else(|| TrainError::Input(format!("unknown data set {}", of.name)))?;
        self.fault(run)?;
        if self.behaviour.diverge == Some(run.seed) {
            return Ok(Outcome::Finished(diverged()));
        }
        let held = memory(self.behaviour.grow_mb.saturating_mul(run.seed));
        let ended = self.epochs(run, resume, &info, observer);
        drop(held);
        Ok(ended)
    }
}

impl FakeTrainer {
    /// The faults that show before the first batch.
    fn fault(&mut self, run: &RunSpec) -> Result<(), TrainError> {
        let asked = Some(run.seed);
        let seed = run.seed;
        if self.behaviour.panic == asked {
            panic!("the fake trainer panics on seed {seed}");
        }
        if self.behaviour.device == asked {
            return Err(TrainError::Device(format!("the fake trainer loses it on seed {seed}")));
        }
        if self.behaviour.fail == asked {
            return Err(TrainError::Transient(format!("the fake trainer fails on seed {seed}")));
        }
        if self.behaviour.flaky == asked && !self.failed_once {
            self.failed_once = true;
            return Err(TrainError::Transient(format!(
                "the fake trainer fails once on seed {seed}"
            )));
        }
        Ok(())
    }

    fn epochs(
        &self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        info: &DataSetInfo,
        observer: &mut dyn Observer,
    ) -> Outcome {
        let training = &run.configuration.training;
        let batches = (info.train_count() / training.batch_size.max(1)).clamp(1, BATCHES_MAX);
        let level = level(run);
        let mut at = Progress::of(run, resume);
        let mut metrics: Vec<_> =
            (1..=at.epoch).map(|epoch| epoch_metrics(run, level, epoch)).collect();
        while at.epoch < training.epochs {
            while at.batch < batches {
                match observer.batch(at.epoch + 1, at.batch, batches) {
                    Order::Continue => {}
                    Order::Checkpoint => observer.checkpoint(at.checkpoint()),
                    Order::Yield => return Outcome::Yielded(at.checkpoint()),
                    Order::Stop => return Outcome::Stopped,
                }
                self.work(run, &at, batches);
                at.step();
            }
            (at.epoch, at.batch) = (at.epoch + 1, 0);
            for line in 1..=self.behaviour.log {
                observer.log(format!("epoch {}, line {line} of the fake trainer", at.epoch));
            }
            let of_epoch = epoch_metrics(run, level, at.epoch);
            observer.epoch(&of_epoch);
            metrics.push(of_epoch);
        }
        // Nothing, where each batch was done once: results stay those of a trainer without batches.
        let astray = at.state ^ Progress::end(run, training.epochs, batches);
        Outcome::Finished(RunResult {
            end: TrainingEnd::Completed,
            epochs: metrics,
            validation: Some(validation(run, level, info, astray)),
            device: DeviceKind::Fake,
            seconds: 0.0,
        })
    }

    /// What a batch takes, and the faults in the middle of the first epoch.
    fn work(&self, run: &RunSpec, at: &Progress, batches: u32) {
        let behaviour = &self.behaviour;
        if at.epoch == 0 && at.batch == batches / 2 {
            if behaviour.die == Some(run.seed) {
                die();
            }
            if behaviour.hang == Some(run.seed) {
                rest();
            }
        }
        let busy = Instant::now() + Duration::from_millis(behaviour.spin_ms);
        while Instant::now() < busy {
            std::hint::spin_loop();
        }
        let epoch = Duration::from_millis(behaviour.epoch_ms) / batches;
        let pause = epoch + Duration::from_millis(behaviour.step_ms);
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
}

impl Progress {
    /// Where a checkpoint of this run left off, else the start.
    fn of(run: &RunSpec, resume: Option<Checkpoint>) -> Self {
        let id = run.id();
        let at = resume.and_then(|c| serde_json::from_slice::<Self>(&c.bytes).ok());
        match at {
            Some(at) if at.run == id => at,
            // Of another run or trainer: start over.
            _ => Self::start(id),
        }
    }

    fn start(run: RunId) -> Self {
        let state = seed_of(&run);
        Self { run, epoch: 0, batch: 0, state }
    }

    /// The batch in hand is done.
    fn step(&mut self) {
        let place = (u64::from(self.epoch) << 32) | u64::from(self.batch);
        self.state = mixed(self.state ^ place);
        self.batch += 1;
    }

    /// The state of an unbroken training at its end.
    fn end(run: &RunSpec, epochs: u32, batches: u32) -> u64 {
        let mut at = Self::start(run.id());
        for epoch in 0..epochs {
            (at.epoch, at.batch) = (epoch, 0);
            (0..batches).for_each(|_| at.step());
        }
        at.state
    }

    fn checkpoint(&self) -> Checkpoint {
        let bytes = serde_json::to_vec(self).expect("numbers and an id are JSON");
        Checkpoint { epoch: self.epoch, batch: self.batch, bytes }
    }
}

/// Memory that is really there: every page of it was written.
fn memory(mebibytes: u64) -> Vec<Vec<u8>> {
    (0..mebibytes).map(|fill| vec![fill as u8 | 1; 1 << 20]).collect()
}

/// kill -9 of this process.
fn die() -> ! {
    let own = std::process::id().to_string();
    let _ = std::process::Command::new("kill").args(["-KILL", &own]).status();
    rest()
}

/// Never comes back.
fn rest() -> ! {
    loop {
        std::thread::park();
    }
}

fn diverged() -> RunResult {
    RunResult {
        end: TrainingEnd::Diverged { epoch: 1, step: 0 },
        epochs: Vec::new(),
        validation: None,
        device: DeviceKind::Fake,
        seconds: 0.0,
    }
}

/// The accuracy this run tends to: 0.80–0.95 by configuration.
fn level(run: &RunSpec) -> f64 {
    let digest = canonical::digest(&run.configuration.id());
    0.80 + 0.15 * f64::from(digest.0[0]) / 255.0
}

fn epoch_metrics(run: &RunSpec, level: f64, epoch: u32) -> EpochMetrics {
    let progress = 1.0 - (-f64::from(epoch) / 4.0).exp();
    let accuracy = level * progress;
    EpochMetrics {
        epoch,
        train_loss: Some(2.0 * (1.0 - progress)),
        train_accuracy: progress,
        val_loss: Some(2.0 - accuracy),
        val_accuracy: accuracy,
        learning_rate: run.configuration.training.optimizer.learning_rate(),
        lambda: None,
        seconds: 0.0,
    }
}

fn validation(run: &RunSpec, level: f64, info: &DataSetInfo, astray: u64) -> Validation {
    let (images, classes) = (info.val_count() as usize, info.class_count());
    let threshold = (level * 256.0) as u8;
    let mut right = vec![0u8; images];
    fill(seed_of(&run.id()) ^ astray, &mut right);
    let correct: Bits = right.iter().map(|byte| *byte < threshold).collect();
    let mut confusion = vec![vec![0; classes]; classes];
    let mut mistakes = Vec::new();
    let labels = info.val.iter().enumerate().flat_map(|(label, n)| (0..*n).map(move |_| label));
    for (truth, right) in labels.zip(correct.iter()) {
        let taken_for = if right { truth } else { (truth + 1) % classes };
        confusion[truth][taken_for] += 1;
        if !right {
            mistakes.push(u32::try_from(taken_for).ok());
        }
    }
    Validation { correct, confusion, mistakes: Some(mistakes.into_iter().collect()) }
}

/// The first 64 hashed bits of a run id.
fn seed_of(id: &RunId) -> u64 {
    let digest = Digest::of(id.as_str().as_bytes());
    u64::from_le_bytes(digest.0[..8].try_into().expect("a digest has 32 bytes"))
}

/// Bytes that depend on `state` alone (`SplitMix64`).
fn fill(mut state: u64, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        chunk.copy_from_slice(&mixed(state).to_le_bytes()[..chunk.len()]);
    }
}

fn mixed(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use sweep_core::sweep::Sweep;

    use super::*;

    /// Gives one order at one batch.
    struct At {
        batch: u32,
        order: Order,
        seen: u32,
        taken: Option<Checkpoint>,
    }

    impl At {
        fn batch(batch: u32, order: Order) -> Self {
            Self { batch, order, seen: 0, taken: None }
        }
    }

    impl Observer for At {
        fn batch(&mut self, _epoch: u32, _batch: u32, _batches: u32) -> Order {
            self.seen += 1;
            if self.seen == self.batch { self.order } else { Order::Continue }
        }

        fn epoch(&mut self, _metrics: &EpochMetrics) {}

        fn checkpoint(&mut self, checkpoint: Checkpoint) {
            self.taken = Some(checkpoint);
        }
    }

    /// A trainer, and two runs of 3 epochs of 8 batches.
    fn world() -> (FakeTrainer, RunSpec, RunSpec) {
        let text = "name: t\ndatasets: [x]\nlosses: [softmax]\nmodel: { backbone: small_cnn }\n\
                    training: { epochs: 3, batch_size: 10 }\nseeds: 2\n";
        let sweep = Sweep::parse(text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
        let plan = sweep.plan(&[crate::tests::info()]).unwrap();
        let inputs = Inputs::of(sweep.document(plan.datasets.clone()));
        let trainer = FakeTrainer::new(FakeBehaviour::default(), inputs);
        (trainer, plan.runs[0].spec.clone(), plan.runs[1].spec.clone())
    }

    #[test]
    fn a_training_broken_at_any_batch_ends_like_an_unbroken_one() {
        let (mut trainer, run, _) = world();
        let whole = trainer.train(&run, None, &mut At::batch(0, Order::Stop)).unwrap();
        for batch in 1..=24 {
            let broken = trainer.train(&run, None, &mut At::batch(batch, Order::Yield)).unwrap();
            let Outcome::Yielded(checkpoint) = broken else { panic!("{broken:?}") };
            assert_eq!((checkpoint.epoch, checkpoint.batch), ((batch - 1) / 8, (batch - 1) % 8));
            let mut rest = At::batch(0, Order::Stop);
            assert_eq!(trainer.train(&run, Some(checkpoint), &mut rest).unwrap(), whole);
            assert_eq!(rest.seen, 24 - (batch - 1), "no batch is done twice");
        }
    }

    #[test]
    fn a_batch_that_is_skipped_shows_in_the_result() {
        let (mut trainer, run, _) = world();
        let whole = trainer.train(&run, None, &mut At::batch(0, Order::Stop)).unwrap();
        let mut asked = At::batch(11, Order::Checkpoint);
        assert_eq!(trainer.train(&run, None, &mut asked).unwrap(), whole);
        let mut at: Progress = serde_json::from_slice(&asked.taken.unwrap().bytes).unwrap();
        at.batch += 1;
        let skipped = trainer.train(&run, Some(at.checkpoint()), &mut At::batch(0, Order::Stop));
        assert_ne!(skipped.unwrap(), whole);
    }

    #[test]
    fn a_checkpoint_of_another_run_means_start_over() {
        let (mut trainer, run, other) = world();
        let broken = trainer.train(&other, None, &mut At::batch(9, Order::Yield)).unwrap();
        let Outcome::Yielded(foreign) = broken else { panic!("{broken:?}") };
        let mut seen = At::batch(0, Order::Stop);
        let whole = trainer.train(&run, None, &mut At::batch(0, Order::Stop)).unwrap();
        assert_eq!(trainer.train(&run, Some(foreign), &mut seen).unwrap(), whole);
        assert_eq!(seen.seen, 24);
    }
}
