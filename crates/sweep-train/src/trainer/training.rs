//! One run: epochs of steps, evaluation, orders of the observer, metrics, checkpoints.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use sweep_core::ids::RunId;
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd, Validation};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, TrainError};
use sweep_data::Part;

use super::classifier::{self, Classifier, Task, numbers};
use crate::checkpoint::{Progress, Snapshot, Sums};
use crate::feed::{Feed, batches_per_epoch, epoch_batches};
use crate::loss::{Evaluation, Objective, Targets, predict};
use crate::ops::FusedBackend;
use crate::optim::Optimizer;
use crate::optim::gradients::{ParameterGradients, clip_factor, global_norm};

/// A run in training.
pub(super) struct Training<'a, B: FusedBackend> {
    run: &'a RunSpec,
    id: RunId,
    kind: DeviceKind,
    device: B::Device,
    feed: &'a mut Feed<B>,
    objective: Objective,
    classifier: Classifier<Autodiff<B>>,
    optimizer: Optimizer<B>,
    progress: Progress,
    /// Since the last time that is in `progress`.
    clock: Instant,
}

/// A loss or gradient became non-finite.
struct Diverged;

impl<'a, B: FusedBackend> Training<'a, B> {
    /// `run` before its first batch.
    ///
    /// # Errors
    /// [`TrainError::Input`] when its data set has fewer than two training images.
    pub(super) fn new(
        run: &'a RunSpec,
        kind: DeviceKind,
        device: B::Device,
        feed: &'a mut Feed<B>,
    ) -> Result<Self, TrainError> {
        let packed = feed.packed();
        let images = packed.train().len();
        if images < 2 {
            return Err(TrainError::Input(format!(
                "data set `{}` has {images} training images, but batch norm needs at least 2",
                run.configuration.dataset.name
            )));
        }
        let (loss, model) = (&run.configuration.loss, &run.configuration.model);
        let training = &run.configuration.training;
        let steps = batches_per_epoch(images, training.batch_size as usize) as u64
            * u64::from(training.epochs);
        let task = Task {
            channels: packed.channels(),
            side: packed.image_size() as usize,
            classes: packed.class_count(),
        };
        Ok(Self {
            run,
            id: run.id(),
            kind,
            objective: Objective::new(loss, &packed.class_counts(Part::Train), steps),
            classifier: Classifier::new(model, loss, &task, run.seed, &device),
            optimizer: Optimizer::new(training.optimizer),
            progress: Progress::start(),
            clock: Instant::now(),
            device,
            feed,
        })
    }

    /// This run where `checkpoint` left it, or as it is when the checkpoint cannot be used.
    pub(super) fn resumed(mut self, checkpoint: Option<Checkpoint>) -> Self {
        let Some(checkpoint) = checkpoint else { return self };
        let restored =
            Snapshot::read(&checkpoint.bytes, &self.id, self.kind).and_then(|snapshot| {
                let classifier =
                    classifier::with_tensors(self.classifier.clone(), snapshot.tensors)?;
                Some((classifier, snapshot.moments, snapshot.progress))
            });
        let Some((classifier, moments, progress)) = restored else {
            tracing::warn!(run.id = %self.id, "the checkpoint is damaged or not of this run: starting over");
            return self;
        };
        let moments = classifier::restored_moments(moments, &self.device);
        self.optimizer =
            Optimizer::restored(self.run.configuration.training.optimizer, progress.step, moments);
        self.classifier = classifier;
        self.progress = progress;
        self
    }

    /// Trains to the end, or until `observer` orders otherwise.
    pub(super) fn finish(mut self, observer: &mut dyn Observer) -> Outcome {
        let training = &self.run.configuration.training;
        let images = self.feed.packed().train().len();
        while self.progress.epoch < training.epochs {
            let epoch = self.progress.epoch;
            let batches = epoch_batches(images, training.batch_size as usize, self.run.seed, epoch);
            for examples in &batches[self.progress.batch as usize..] {
                if let Err(Diverged) = self.step(examples) {
                    return Outcome::Finished(self.result(TrainingEnd::Diverged {
                        epoch: epoch + 1,
                        step: self.progress.step,
                    }));
                }
                self.progress.step += 1;
                self.progress.batch += 1;
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

    /// One optimizer step on the training images `examples`.
    fn step(&mut self, examples: &[usize]) -> Result<(), Diverged> {
        let training = &self.run.configuration.training;
        let (seed, epoch) = (self.run.seed, self.progress.epoch);
        let views =
            Tensor::from_inner(self.feed.training_batch(examples, training.augment, seed, epoch));
        let labels: Vec<u32> =
            examples.iter().map(|&e| self.feed.packed().train_labels()[e]).collect();
        let targets = Targets::new(&labels, self.classes(), &self.device);

        let features = self.classifier.backbone.features_train(views);
        let Evaluation { per_sample, logits } =
            self.objective.evaluate(&self.classifier.head, features, &targets, self.progress.step);
        let mut gradients = per_sample.clone().mean().backward();
        let gradients = ParameterGradients::of(&self.classifier, &mut gradients);

        // One transfer for everything the host must know: a device waits for each of them.
        let parts = [
            Some(per_sample.inner()),
            Some(logits.inner().reshape([-1])),
            gradients.squared_norms(),
        ];
        let told = numbers(Tensor::cat(parts.into_iter().flatten().collect(), 0));
        let (scores, squared_norms) = told.split_at(labels.len() * (1 + self.classes()));
        let sums = scored(scores, &labels, self.classes()).0;
        let norm = global_norm(squared_norms);
        if !sums.loss.is_finite() || !norm.is_finite() {
            return Err(Diverged);
        }
        let factor = training.clip_norm.map_or(1.0, |largest| clip_factor(norm, largest));
        let learning_rate = self.learning_rate(self.progress.step);
        self.classifier =
            self.optimizer.step(self.classifier.clone(), gradients.scaled(factor), learning_rate);
        self.progress.sums.add(sums);
        Ok(())
    }

    /// What the model in hand says of the validation images; `observer` is asked between batches here too, for on a CPU an
    /// evaluation may last long.
    fn evaluated(
        &mut self,
        batches: usize,
        observer: &mut dyn Observer,
    ) -> ControlFlow<Outcome, (Sums, Validation)> {
        let model = self.classifier.valid();
        let classes = self.classes();
        let lambda = self.objective.lambda(self.last_step()).unwrap_or(0.0);
        let mut sums = Sums::default();
        let mut correct = Vec::with_capacity(self.feed.packed().val().len());
        let mut confusion = vec![vec![0; classes]; classes];
        for index in 0.. {
            let range = self.feed.validation_range(index);
            if range.is_empty() {
                break;
            }
            if index > 0 {
                self.obey(batches, observer)?;
            }
            let features = model.backbone.features(self.feed.validation_batch(index));
            let labels = &self.feed.packed().val_labels()[range];
            let targets = Targets::new(labels, classes, &self.device);
            let Evaluation { per_sample, logits } =
                self.objective.evaluate_at(&model.head, features, &targets, lambda);
            let told = numbers(Tensor::cat(vec![per_sample, logits.reshape([-1])], 0));
            let (batch, predictions) = scored(&told, labels, classes);
            sums.add(batch);
            for (&label, prediction) in labels.iter().zip(predictions) {
                correct.push(prediction == Some(label as usize));
                if let Some(prediction) = prediction {
                    confusion[label as usize][prediction] += 1;
                }
            }
        }
        ControlFlow::Continue((
            sums,
            Validation { correct: correct.into_iter().collect(), confusion },
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
        let snapshot = Snapshot {
            progress: self.progress.clone(),
            tensors: classifier::tensors(&self.classifier),
            moments: classifier::saved_moments(self.optimizer.moments()),
        };
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
            batches_per_epoch(self.feed.packed().train().len(), training.batch_size as usize)
                as u64;
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
        self.feed.packed().class_count()
    }
}

/// Sums and predictions of a batch from its per-sample losses followed by its plain logits.
fn scored(told: &[f32], labels: &[u32], classes: usize) -> (Sums, Vec<Option<usize>>) {
    let (losses, logits) = told.split_at(labels.len());
    let predictions = predict(logits, classes);
    let right = predictions.iter().zip(labels).filter(|(p, l)| **p == Some(**l as usize)).count();
    let loss = losses.iter().map(|&l| f64::from(l)).sum();
    (Sums { loss, correct: right as u64, images: labels.len() as u64 }, predictions)
}
