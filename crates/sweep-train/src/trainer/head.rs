//! A head on features of a frozen backbone as a [`Learner`].

use std::sync::Arc;

use sweep_core::run::RunSpec;

use super::training::{Batch, Diverged, Images, Learner, Scored};
use crate::checkpoint::{SavedMoments, Sums};
use crate::frozen::{Features, HeadNumbers, LinearHead};
use crate::loss::Objective;

/// A head in training.
pub(super) struct HeadAlone {
    features: Arc<Features>,
    head: LinearHead,
}

impl HeadAlone {
    /// The head of `run` with its starting weights.
    pub(super) fn new(run: &RunSpec, features: Arc<Features>) -> Self {
        let (loss, training) = (&run.configuration.loss, &run.configuration.training);
        let (dim, classes) = (features.dim(), features.classes());
        let start = HeadNumbers::start(loss, dim, classes, run.seed);
        let head = LinearHead::new(loss, dim, start, training.optimizer, training.clip_norm);
        Self { features, head }
    }

    /// What the loop must know of the images.
    pub(super) fn images(features: &Features) -> Images {
        let val_labels = features.labels()[features.val()].to_vec();
        Images { class_counts: features.class_counts(), val_labels }
    }
}

impl Learner for HeadAlone {
    fn step(&mut self, batch: &Batch<'_>, objective: &Objective) -> Result<Sums, Diverged> {
        let features = &*self.features;
        let said = self
            .head
            .step(features, batch.examples, objective, batch.step, batch.learning_rate)
            .ok_or(Diverged)?;
        let labels: Vec<u32> = batch.examples.iter().map(|&e| features.labels()[e]).collect();
        Ok(Scored::new(&said.losses, &said.logits, &labels, features.classes()).sums)
    }

    fn evaluate(&mut self, part: usize, objective: &Objective, lambda: f64) -> Option<Scored> {
        let images = self.features.val();
        if part > 0 || images.is_empty() {
            return None;
        }
        let labels = &self.features.labels()[images.clone()];
        let said = self.head.evaluate(&self.features, images, objective, lambda);
        Some(Scored::new(&said.losses, &said.logits, labels, self.features.classes()))
    }

    fn saved(&self) -> (Vec<Vec<f32>>, Vec<Option<SavedMoments>>) {
        self.head.saved()
    }

    fn restore(
        &mut self,
        _steps: u64,
        tensors: Vec<Vec<f32>>,
        moments: Vec<Option<SavedMoments>>,
    ) -> bool {
        self.head.restore(tensors, moments)
    }
}
