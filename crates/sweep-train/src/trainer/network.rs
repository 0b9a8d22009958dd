//! A whole network as a [`Learner`]: pictures through backbone and head, gradients by autodiff.

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::{FloatDType, Tensor};
use sweep_core::run::RunSpec;
use sweep_core::training::Precision;

use super::TrainBackend;
use super::classifier::{self, Classifier, Task, numbers};
use super::training::{Batch, Diverged, Learner, Scored};
use crate::checkpoint::{SavedMoments, Sums};
use crate::feed::Feed;
use crate::loss::{Evaluation, Objective, Targets};
use crate::network::Template;
use crate::ops::FusedBackend;
use crate::optim::Optimizer;
use crate::optim::gradients::{ParameterGradients, clip_factor, global_norm};

/// A classifier in training.
pub(super) struct Network<'a, B: TrainBackend> {
    run: &'a RunSpec,
    device: B::Device,
    feed: &'a mut Feed<B>,
    classifier: Classifier<Autodiff<B>>,
    optimizer: Optimizer<B>,
    /// The classifier without its graph, since the last step.
    evaluated: Option<Classifier<B>>,
}

impl<'a, B: TrainBackend> Network<'a, B> {
    /// The network of `run` with its starting weights, those of `template` where there is one.
    pub(super) fn new(
        run: &'a RunSpec,
        template: Option<&Template<B>>,
        device: B::Device,
        feed: &'a mut Feed<B>,
    ) -> Self {
        let task = Task::of(feed.packed());
        let configuration = &run.configuration;
        let classifier = Classifier::new(configuration, &task, run.seed, template, &device);
        let optimizer = Optimizer::new(configuration.training.optimizer);
        Self { run, device, feed, classifier, optimizer, evaluated: None }
    }

    fn classes(&self) -> usize {
        self.feed.packed().class_count()
    }
}

/// Pictures in the numbers that the layers after them are to keep.
fn in_precision<B: FusedBackend>(views: Tensor<B, 4>, precision: Precision) -> Tensor<B, 4> {
    match precision {
        Precision::F32 => views,
        Precision::Bf16 => views.cast(FloatDType::BF16),
    }
}

impl<B: TrainBackend> Learner for Network<'_, B> {
    fn step(&mut self, batch: &Batch<'_>, objective: &Objective) -> Result<Sums, Diverged> {
        self.evaluated = None;
        let training = &self.run.configuration.training;
        let Batch { examples, epoch, step, learning_rate } = *batch;
        let views = self.feed.training_batch(examples, training.augment, self.run.seed, epoch);
        let views = Tensor::from_inner(in_precision(views, training.precision));
        let labels: Vec<u32> =
            examples.iter().map(|&e| self.feed.packed().train_labels()[e]).collect();
        let targets = Targets::new(&labels, self.classes(), &self.device);

        let features = self.classifier.backbone.features_train(views);
        let Evaluation { per_sample, logits } =
            objective.evaluate(&self.classifier.head, features, &targets, step);
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
        let (losses, logits) = scores.split_at(labels.len());
        let sums = Scored::new(losses, logits, &labels, self.classes()).sums;
        let norm = global_norm(squared_norms);
        if !sums.loss.is_finite() || !norm.is_finite() {
            return Err(Diverged);
        }
        let factor = training.clip_norm.map_or(1.0, |largest| clip_factor(norm, largest));
        self.classifier =
            self.optimizer.step(self.classifier.clone(), gradients.scaled(factor), learning_rate);
        Ok(sums)
    }

    fn evaluate(&mut self, part: usize, objective: &Objective, lambda: f64) -> Option<Scored> {
        let range = self.feed.validation_range(part);
        if range.is_empty() {
            return None;
        }
        let classes = self.classes();
        let model = self.evaluated.get_or_insert_with(|| self.classifier.valid());
        let precision = self.run.configuration.training.precision;
        let views = in_precision(self.feed.validation_batch(part), precision);
        let features = model.backbone.features(views);
        let labels = &self.feed.packed().val_labels()[range];
        let targets = Targets::new(labels, classes, &self.device);
        let Evaluation { per_sample, logits } =
            objective.evaluate_at(&model.head, features, &targets, lambda);
        let told = numbers(Tensor::cat(vec![per_sample, logits.reshape([-1])], 0));
        let (losses, logits) = told.split_at(labels.len());
        Some(Scored::new(losses, logits, labels, classes))
    }

    fn saved(&self) -> (Vec<Vec<f32>>, Vec<Option<SavedMoments>>) {
        let moments = classifier::saved_moments(self.optimizer.moments());
        (classifier::tensors(&self.classifier), moments)
    }

    fn restore(
        &mut self,
        steps: u64,
        tensors: Vec<Vec<f32>>,
        moments: Vec<Option<SavedMoments>>,
    ) -> bool {
        let Some(classifier) = classifier::with_tensors(self.classifier.clone(), tensors) else {
            return false;
        };
        let moments = classifier::restored_moments(moments, &self.device);
        let rule = self.run.configuration.training.optimizer;
        self.optimizer = Optimizer::restored(rule, steps, moments);
        self.classifier = classifier;
        self.evaluated = None;
        true
    }
}
