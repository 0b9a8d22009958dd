//! One run: epochs of steps, evaluation, orders of the observer, metrics, checkpoints. What a step does is the [`Learner`]'s.

use std::ops::ControlFlow;
use std::time::Instant;

use sweep_core::ids::RunId;
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd, Validation};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, TrainError};

use crate::checkpoint::{Progress, SavedMoments, Snapshot, Sums};
use crate::feed::{batches_per_epoch, epoch_batches};
use crate::loss::{Objective, predict};

/// What is trained. It knows batches and steps, but neither epochs nor observers.
pub(super) trait Learner {
    /// One optimizer step.
    fn step(&mut self, batch: &Batch<'_>, objective: &Objective) -> Result<Sums, Diverged>;

    /// What it says of the validation images of part `part` (from 0), λ being `lambda`; `None` after the last part.
    fn evaluate(&mut self, part: usize, objective: &Objective, lambda: f64) -> Option<Scored>;

    /// Its numbers and its optimizer's, in a fixed order.
    fn saved(&self) -> (Vec<Vec<f32>>, Vec<Option<SavedMoments>>);

    /// Takes back what [`Self::saved`] gave after `steps` optimizer steps; `false`, and unchanged, when it does not fit.
    fn restore(
        &mut self,
        steps: u64,
        tensors: Vec<Vec<f32>>,
        moments: Vec<Option<SavedMoments>>,
    ) -> bool;
}

/// What one step is taken on.
pub(super) struct Batch<'a> {
    /// Indices into the training part.
    pub(super) examples: &'a [usize],
    /// From 0.
    pub(super) epoch: u32,
    /// Optimizer step, from 0.
    pub(super) step: u64,
    pub(super) learning_rate: f64,
}

/// A loss or gradient became non-finite.
pub(super) struct Diverged;

/// What a learner says of some images.
pub(super) struct Scored {
    pub(super) sums: Sums,
    /// In the order of the images; `None` where a logit is not finite.
    pub(super) predictions: Vec<Option<usize>>,
}

impl Scored {
    /// From per-sample losses and plain logits, row-major.
    pub(super) fn new(losses: &[f32], logits: &[f32], labels: &[u32], classes: usize) -> Self {
        let predictions = predict(logits, classes);
        let right =
            predictions.iter().zip(labels).filter(|(p, l)| **p == Some(**l as usize)).count();
        let loss = losses.iter().map(|&l| f64::from(l)).sum();
        let sums = Sums { loss, correct: right as u64, images: labels.len() as u64 };
        Self { sums, predictions }
    }
}

/// What the loop knows of the images.
pub(super) struct Images {
    /// Training images per class.
    pub(super) class_counts: Vec<u32>,
    /// Labels of the validation images, in the order of the split.
    pub(super) val_labels: Vec<u32>,
}

impl Images {
    fn train(&self) -> usize {
        self.class_counts.iter().map(|n| *n as usize).sum()
    }
}

/// A run in training.
pub(super) struct Training<'a, L> {
    run: &'a RunSpec,
    id: RunId,
    kind: DeviceKind,
    images: Images,
    objective: Objective,
    learner: L,
    progress: Progress,
    /// Since the last time that is in `progress`.
    clock: Instant,
}

impl<'a, L: Learner> Training<'a, L> {
    /// `run` before its first batch.
    ///
    /// # Errors
    /// [`TrainError::Input`] when its data set has fewer than two training images.
    pub(super) fn new(
        run: &'a RunSpec,
        kind: DeviceKind,
        images: Images,
        learner: L,
    ) -> Result<Self, TrainError> {
        let train = images.train();
        if train < 2 {
            return Err(TrainError::Input(format!(
                "data set `{}` has {train} training images, but at least 2 are needed",
                run.configuration.dataset.name
            )));
        }
        let training = &run.configuration.training;
        let steps = batches_per_epoch(train, training.batch_size as usize) as u64
            * u64::from(training.epochs);
        let objective = Objective::new(&run.configuration.loss, &images.class_counts, steps);
        let (progress, clock) = (Progress::start(), Instant::now());
        Ok(Self { run, id: run.id(), kind, images, objective, learner, progress, clock })
    }

    /// This run where `checkpoint` left it, or as it is when the checkpoint cannot be used.
    pub(super) fn resumed(mut self, checkpoint: Option<Checkpoint>) -> Self {
        // One from before the first batch is empty.
        let Some(checkpoint) = checkpoint.filter(|c| !c.bytes.is_empty()) else { return self };
        let restored =
            Snapshot::read(&checkpoint.bytes, &self.id, self.kind).and_then(|snapshot| {
                let Snapshot { progress, tensors, moments } = snapshot;
                self.learner.restore(progress.step, tensors, moments).then_some(progress)
            });
        match restored {
            Some(progress) => self.progress = progress,
            None => {
                tracing::warn!(run.id = %self.id, "the checkpoint is damaged or not of this run: starting over");
            }
        }
        self
    }

    /// Trains to the end, or until `observer` orders otherwise.
    pub(super) fn finish(mut self, observer: &mut dyn Observer) -> Outcome {
        let training = &self.run.configuration.training;
        let images = self.images.train();
        while self.progress.epoch < training.epochs {
            let epoch = self.progress.epoch;
            let batches = epoch_batches(images, training.batch_size as usize, self.run.seed, epoch);
            for examples in &batches[self.progress.batch as usize..] {
                let step = self.progress.step;
                let learning_rate = self.learning_rate(step);
                let batch = Batch { examples, epoch, step, learning_rate };
                if step == 0 {
                    // What `bench/start` waits for, as for the end of it.
                    tracing::debug!(run.id = %self.id, "first step begins");
                }
                match self.learner.step(&batch, &self.objective) {
                    Ok(sums) => self.progress.sums.add(sums),
                    Err(Diverged) => {
                        let end = TrainingEnd::Diverged { epoch: epoch + 1, step };
                        return Outcome::Finished(self.result(end));
                    }
                }
                self.progress.step += 1;
                self.progress.batch += 1;
                if self.progress.step == 1 {
                    tracing::debug!(run.id = %self.id, "first step taken");
                }
                if let ControlFlow::Break(outcome) = self.obey(batches.len(), observer) {
                    return outcome;
                }
            }
            match self.evaluated(batches.len(), observer) {
                ControlFlow::Break(outcome) => return outcome,
                ControlFlow::Continue((sums, validation)) => {
                    let metrics = self.epoch_ended(sums, validation);
                    observer.epoch(&metrics);
                }
            }
        }
        Outcome::Finished(self.result(TrainingEnd::Completed))
    }

    /// What the model in hand says of the validation images; `observer` is asked between parts here too, for on a CPU an
    /// evaluation may last long.
    fn evaluated(
        &mut self,
        batches: usize,
        observer: &mut dyn Observer,
    ) -> ControlFlow<Outcome, (Sums, Validation)> {
        let classes = self.classes();
        let lambda = self.objective.lambda(self.last_step()).unwrap_or(0.0);
        let mut sums = Sums::default();
        let mut predictions = Vec::with_capacity(self.images.val_labels.len());
        for part in 0.. {
            let Some(scored) = self.learner.evaluate(part, &self.objective, lambda) else { break };
            sums.add(scored.sums);
            predictions.extend(scored.predictions);
            if predictions.len() < self.images.val_labels.len() {
                self.obey(batches, observer)?;
            }
        }
        let mut correct = Vec::with_capacity(predictions.len());
        let mut mistakes = Vec::new();
        let mut confusion = vec![vec![0; classes]; classes];
        for (&label, prediction) in self.images.val_labels.iter().zip(predictions) {
            let is_right = prediction == Some(label as usize);
            correct.push(is_right);
            if !is_right {
                mistakes.push(prediction.and_then(|class| u32::try_from(class).ok()));
            }
            if let Some(prediction) = prediction {
                confusion[label as usize][prediction] += 1;
            }
        }
        ControlFlow::Continue((
            sums,
            Validation {
                correct: correct.into_iter().collect(),
                confusion,
                mistakes: Some(mistakes.into_iter().collect()),
            },
        ))
    }

    /// Puts the epoch in hand into the metrics and begins the next.
    fn epoch_ended(&mut self, val: Sums, validation: Validation) -> EpochMetrics {
        self.count_time();
        let train = std::mem::take(&mut self.progress.sums);
        let metrics = EpochMetrics {
            epoch: self.progress.epoch + 1,
            train_loss: train.mean_loss(),
            train_accuracy: train.accuracy(),
            val_loss: val.mean_loss(),
            val_accuracy: val.accuracy(),
            learning_rate: self.learning_rate(self.last_step()),
            lambda: self.objective.lambda(self.last_step()),
            seconds: std::mem::take(&mut self.progress.epoch_seconds),
        };
        self.progress.epochs.push(metrics.clone());
        self.progress.validation = Some(validation);
        self.progress.epoch += 1;
        self.progress.batch = 0;
        metrics
    }

    /// Tells `observer` of the batch and does what it wants.
    fn obey(&mut self, batches: usize, observer: &mut dyn Observer) -> ControlFlow<Outcome> {
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        match observer.batch(self.progress.epoch + 1, self.progress.batch, batches) {
            Order::Continue => ControlFlow::Continue(()),
            Order::Checkpoint => {
                observer.checkpoint(self.checkpoint());
                ControlFlow::Continue(())
            }
            Order::Yield => ControlFlow::Break(Outcome::Yielded(self.checkpoint())),
            Order::Stop => ControlFlow::Break(Outcome::Stopped),
        }
    }

    fn checkpoint(&mut self) -> Checkpoint {
        self.count_time();
        let (tensors, moments) = self.learner.saved();
        let snapshot = Snapshot { progress: self.progress.clone(), tensors, moments };
        let Progress { epoch, batch, .. } = self.progress;
        Checkpoint { epoch, batch, bytes: snapshot.written(&self.id, self.kind) }
    }

    fn result(&mut self, end: TrainingEnd) -> RunResult {
        self.count_time();
        RunResult {
            end,
            epochs: std::mem::take(&mut self.progress.epochs),
            validation: self.progress.validation.take(),
            device: self.kind,
            seconds: self.progress.seconds,
        }
    }

    fn count_time(&mut self) {
        let passed = self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        self.progress.epoch_seconds += passed;
        self.progress.seconds += passed;
    }

    fn learning_rate(&self, step: u64) -> f64 {
        let training = &self.run.configuration.training;
        let steps_per_epoch =
            batches_per_epoch(self.images.train(), training.batch_size as usize) as u64;
        let factor = training.schedule.factor(
            step,
            steps_per_epoch,
            training.epochs,
            training.warmup_epochs,
        );
        training.optimizer.learning_rate() * factor
    }

    /// The step taken last.
    fn last_step(&self) -> u64 {
        self.progress.step.saturating_sub(1)
    }

    fn classes(&self) -> usize {
        self.images.class_counts.len()
    }
}
