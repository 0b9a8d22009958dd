//! How a configuration is trained: everything that changes the result besides loss, network, data and seed.

use serde::{Deserialize, Serialize};

/// Training settings, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Which layers train.
    pub mode: Mode,
    /// Passes over the training images, ≥ 1.
    pub epochs: u32,
    /// Images per step, ≥ 2 (batch norm needs two); the short last batch of an epoch is dropped unless it is the only one.
    pub batch_size: u32,
    /// Side of the square crop the network sees, in pixels.
    pub image_size: u32,
    /// How gradients become steps.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run.
    pub schedule: Schedule,
    /// Epochs of linear warm-up from 0 before the schedule, < `epochs`.
    pub warmup_epochs: u32,
    /// Largest global gradient norm, > 0; `None` does not clip.
    pub clip_norm: Option<f64>,
    /// What a training image goes through.
    pub augment: Augment,
    /// In which numbers activations are kept. Left out where it is `f32`, so that runs keep the names they had before there was a choice.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
}

/// The numbers of a network's activations in training and evaluation. Weights, statistics of batch norm, neck, head and loss are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// `bfloat16`: 8 bits of mantissa, so half the memory and about two decimal digits. Products are summed in f32.
    Bf16,
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which layers train. Results of different modes are never put in one table: a sweep has one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every layer.
    Full,
    /// The head alone: the backbone is frozen in evaluation mode and its features are computed once.
    Head,
}

/// How gradients become steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Optimizer {
    /// Stochastic gradient descent as torch's: weight decay is added to the gradient, momentum without dampening.
    Sgd {
        /// > 0.
        learning_rate: f64,
        /// In [0, 1).
        momentum: f64,
        /// Nesterov's look-ahead; needs momentum > 0.
        nesterov: bool,
        /// ≥ 0.
        weight_decay: f64,
    },
    /// Adam; weight decay is added to the gradient.
    Adam {
        /// > 0.
        learning_rate: f64,
        /// In [0, 1).
        beta1: f64,
        /// In [0, 1).
        beta2: f64,
        /// > 0.
        epsilon: f64,
        /// ≥ 0.
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay.
    Adamw {
        /// > 0.
        learning_rate: f64,
        /// In [0, 1).
        beta1: f64,
        /// In [0, 1).
        beta2: f64,
        /// > 0.
        epsilon: f64,
        /// ≥ 0.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match *self {
            Self::Sgd { learning_rate, .. }
            | Self::Adam { learning_rate, .. }
            | Self::Adamw { learning_rate, .. } => learning_rate,
        }
    }
}

/// How the learning rate changes over the run, by optimizer step after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Stays.
    Constant,
    /// Half a cosine from the full rate to 0.
    Cosine,
    /// Times `factor` every `every` epochs.
    Step {
        /// Epochs between two drops, ≥ 1.
        every: u32,
        /// In (0, 1].
        factor: f64,
    },
}

impl Schedule {
    /// Learning rate factor at optimizer step `step` (from 0), with `steps_per_epoch` ≥ 1 and `epochs`, `warmup_epochs` as in [`Training`].
    pub fn factor(&self, step: u64, steps_per_epoch: u64, epochs: u32, warmup_epochs: u32) -> f64 {
        let steps_per_epoch = steps_per_epoch.max(1);
        let warmup = u64::from(warmup_epochs) * steps_per_epoch;
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let total = u64::from(epochs) * steps_per_epoch;
        match *self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let progress = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Self::Step { every, factor } => {
                let drops = (step / steps_per_epoch) / u64::from(every.max(1));
                factor.powi(i32::try_from(drops).unwrap_or(i32::MAX))
            }
        }
    }
}

/// What a training image goes through; evaluation always sees the centre crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// The evaluation view.
    None,
    /// Random resized crop of area 0.6–1 and ratio 3/4–4/3; mirrored with ½ where the data set allows it.
    Mild,
    /// The `ImageNet` recipe: area 0.08–1, the same ratio; mirrored with ½ where the data set allows it.
    Torchvision,
}
