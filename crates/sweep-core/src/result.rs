//! What a run leaves: epoch metrics, per-example correctness, confusion, mistakes, device, times.
//!
//! Stored inline with the end of a run (about 2 KB). Fields may be added with `#[serde(default)]`; old results must stay readable.

use serde::{Deserialize, Serialize};

use crate::bits::Bits;
use crate::mistakes::Mistakes;

/// Metrics of one epoch. A non-finite number is written as `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: u32,
    /// Mean training objective over the epoch's batches, margin and current λ included.
    pub train_loss: Option<f64>,
    /// Share of training images right by plain logits, in [0, 1].
    pub train_accuracy: f64,
    /// Mean training objective over the validation images.
    pub val_loss: Option<f64>,
    /// Share of validation images right by plain logits, in [0, 1].
    pub val_accuracy: f64,
    /// Learning rate of the epoch's last step.
    pub learning_rate: f64,
    /// λ of the epoch's last step, for annealed losses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Wall time of the epoch in seconds; not part of a result's identity.
    pub seconds: f64,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingEnd {
    /// All epochs.
    Completed,
    /// A loss or gradient became non-finite: an answer, not a fault.
    Diverged {
        /// Epoch (from 1) in which it happened.
        epoch: u32,
        /// Optimizer step (from 0) at which it happened.
        step: u64,
    },
}

/// What the final model says of the validation images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validation {
    /// Right or wrong, in the order of the split. Non-finite logits count as wrong.
    pub correct: Bits,
    /// `confusion[truth][prediction]`, C×C counts; an image with non-finite logits is in no column.
    pub confusion: Vec<Vec<u32>>,
    /// What the wrong images were taken for; `None` in results from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mistakes: Option<Mistakes>,
}

impl Validation {
    /// Share of right answers, in [0, 1]; 0 without images.
    pub fn accuracy(&self) -> f64 {
        self.correct.count_ones() as f64 / self.correct.len().max(1) as f64
    }

    /// The wrong images whose prediction is kept: place in the split, and the class each was taken for, `None` where a logit
    /// was not finite.
    pub fn wrong(&self) -> impl Iterator<Item = (usize, Option<u32>)> + '_ {
        let images = self.correct.iter().enumerate().filter(|(_, right)| !right).map(|(i, _)| i);
        images.zip(self.mistakes.iter().flat_map(Mistakes::iter))
    }
}

/// The device kind results were made on; comparisons that mix kinds are flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// burn `flex` on the CPU: bit-stable.
    Cpu,
    /// burn CUDA: stable up to kernel choice.
    Cuda,
    /// The fake trainer of tests and benchmarks.
    Fake,
}

/// The accepted result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Completed or diverged.
    pub end: TrainingEnd,
    /// One entry per epoch trained, in order.
    pub epochs: Vec<EpochMetrics>,
    /// Of the last evaluated model; `None` when it diverged before any evaluation.
    pub validation: Option<Validation>,
    /// Where it was trained.
    pub device: DeviceKind,
    /// Wall time of training in seconds, over all attempts that led here.
    pub seconds: f64,
}

impl RunResult {
    /// This result with every time set to zero: equal for equal runs.
    pub fn without_times(&self) -> Self {
        let epochs =
            self.epochs.iter().map(|e| EpochMetrics { seconds: 0.0, ..e.clone() }).collect();
        Self { epochs, seconds: 0.0, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"correct":{"len":3,"base64":"BA=="},"confusion":[[0,1],[0,1]]}"#;

    #[test]
    fn a_result_from_before_mistakes_were_kept_reads_and_writes_as_it_was() {
        let old: Validation = serde_json::from_str(OLD).unwrap();
        assert_eq!((old.mistakes.as_ref(), old.wrong().count()), (None, 0));
        assert_eq!(serde_json::to_string(&old).unwrap(), OLD);
    }

    #[test]
    fn each_wrong_image_is_told_with_what_it_was_taken_for() {
        let mut new: Validation = serde_json::from_str(OLD).unwrap();
        new.mistakes = Some([Some(1), None].into_iter().collect());
        assert_eq!(new.wrong().collect::<Vec<_>>(), [(0, Some(1)), (1, None)]);
        let back: Validation = serde_json::from_str(&serde_json::to_string(&new).unwrap()).unwrap();
        assert_eq!(back, new);
    }
}
