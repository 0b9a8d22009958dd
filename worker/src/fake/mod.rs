//! A trainer that trains nothing: it drives queue, leases, beats, results and reports in seconds, in tests and benchmarks.
//!
//! Its "accuracy" is a pure function of configuration and seed, so that a killed and resumed fake sweep must end like an
//! unbroken one. Faults are asked for by seed.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use sweep_core::bits::Bits;
use sweep_core::canonical;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, RunId};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd, Validation};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, TrainError, Trainer};

/// What the fake trainer does, written `fake` or `fake:epoch_ms=5,fail=3,panic=4,diverge=5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeBehaviour {
    /// Milliseconds slept per epoch.
    pub epoch_ms: u64,
    /// The seed whose runs always fail with a retryable error.
    pub fail: Option<u64>,
    /// The seed whose runs fail once per trainer, then succeed.
    pub flaky: Option<u64>,
    /// The seed whose runs panic.
    pub panic: Option<u64>,
    /// The seed whose runs diverge in epoch 1.
    pub diverge: Option<u64>,
}

/// A text that describes no fake trainer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no trainer (allowed: burn, fake, fake:KEY=NUMBER,… with keys epoch_ms, fail, flaky, panic, diverge)"
)]
pub struct UnknownTrainer(String);

impl FromStr for FakeBehaviour {
    type Err = UnknownTrainer;

    fn from_str(text: &str) -> Result<Self, UnknownTrainer> {
        let wrong = || UnknownTrainer(text.to_owned());
        let rest = text.strip_prefix("fake").ok_or_else(wrong)?;
        let mut behaviour = Self::default();
        if rest.is_empty() {
            return Ok(behaviour);
        }
        for part in rest.strip_prefix(':').ok_or_else(wrong)?.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(wrong)?;
            let value: u64 = value.parse().map_err(|_| wrong())?;
            match key {
                "epoch_ms" => behaviour.epoch_ms = value,
                "fail" => behaviour.fail = Some(value),
                "flaky" => behaviour.flaky = Some(value),
                "panic" => behaviour.panic = Some(value),
                "diverge" => behaviour.diverge = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(behaviour)
    }
}

/// See the module.
pub struct FakeTrainer {
    behaviour: FakeBehaviour,
    shapes: HashMap<Digest, (usize, usize)>,
    failed_once: bool,
}

impl FakeTrainer {
    /// A fake trainer for runs on these data sets (only their sizes are used).
    pub fn new(behaviour: FakeBehaviour, datasets: &[DataSetInfo]) -> Self {
        let shapes =
            datasets.iter().map(|d| (d.split, (d.val_count() as usize, d.class_count()))).collect();
        Self { behaviour, shapes, failed_once: false }
    }
}

impl Trainer for FakeTrainer {
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        let behaviour = &self.behaviour;
        let &(images, classes) =
            self.shapes.get(&run.configuration.dataset.split).ok_or_else(|| {
                TrainError::Input(format!("unknown data set {}", run.configuration.dataset.name))
            })?;
        if behaviour.panic == Some(run.seed) {
            panic!("the fake trainer panics on seed {}", run.seed);
        }
        if behaviour.fail == Some(run.seed) {
            return Err(TrainError::Transient(format!(
                "the fake trainer fails on seed {}",
                run.seed
            )));
        }
        if behaviour.flaky == Some(run.seed) && !self.failed_once {
            self.failed_once = true;
            return Err(TrainError::Transient(format!(
                "the fake trainer fails once on seed {}",
                run.seed
            )));
        }
        let epochs = run.configuration.training.epochs;
        let done = resume.map_or(0, |c| c.epoch.min(epochs));
        let level = level(run);
        let mut metrics: Vec<_> =
            (1..=done).map(|epoch| epoch_metrics(run, level, epoch)).collect();
        if behaviour.diverge == Some(run.seed) {
            return Ok(Outcome::Finished(RunResult {
                end: TrainingEnd::Diverged { epoch: 1, step: 0 },
                epochs: Vec::new(),
                validation: None,
                device: DeviceKind::Fake,
                seconds: 0.0,
            }));
        }
        for epoch in done + 1..=epochs {
            match observer.batch(epoch, 0, 1) {
                Order::Continue => {}
                Order::Checkpoint => observer.checkpoint(checkpoint(epoch - 1)),
                Order::Yield => return Ok(Outcome::Yielded(checkpoint(epoch - 1))),
                Order::Stop => return Ok(Outcome::Stopped),
            }
            std::thread::sleep(Duration::from_millis(behaviour.epoch_ms));
            let of_epoch = epoch_metrics(run, level, epoch);
            observer.epoch(&of_epoch);
            metrics.push(of_epoch);
        }
        let validation = Some(validation(run, level, images, classes));
        Ok(Outcome::Finished(RunResult {
            end: TrainingEnd::Completed,
            epochs: metrics,
            validation,
            device: DeviceKind::Fake,
            seconds: 0.0,
        }))
    }
}

fn checkpoint(epoch: u32) -> Checkpoint {
    Checkpoint { epoch, batch: 0, bytes: b"fake".to_vec() }
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

fn validation(run: &RunSpec, level: f64, images: usize, classes: usize) -> Validation {
    let threshold = (level * 256.0) as u8;
    let mut right = vec![0u8; images];
    fill(&run.id(), &mut right);
    let correct: Bits = right.iter().map(|byte| *byte < threshold).collect();
    let mut confusion = vec![vec![0; classes]; classes];
    for (i, right) in correct.iter().enumerate() {
        let truth = i % classes.max(1);
        confusion[truth][if right { truth } else { (truth + 1) % classes }] += 1;
    }
    Validation { correct, confusion }
}

/// Bytes that depend on the run id alone (`SplitMix64` from its first 64 hashed bits).
fn fill(id: &RunId, bytes: &mut [u8]) {
    let digest = Digest::of(id.as_str().as_bytes());
    let mut state = u64::from_le_bytes(digest.0[..8].try_into().expect("a digest has 32 bytes"));
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_behaviour_is_refused_with_what_is_allowed() {
        let error = "fake:speed=3".parse::<FakeBehaviour>().unwrap_err();
        assert!(error.to_string().contains("epoch_ms"), "{error}");
        let expected = FakeBehaviour { epoch_ms: 5, panic: Some(4), ..FakeBehaviour::default() };
        assert_eq!("fake:epoch_ms=5,panic=4".parse(), Ok(expected));
    }
}
