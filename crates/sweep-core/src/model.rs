//! The network in front of the head.

use serde::{Deserialize, Serialize};

/// Backbone, its starting weights and an optional neck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub backbone: Backbone,
    /// Where its weights start.
    pub weights: Weights,
    /// Between backbone and head; one setting for all losses of a comparison.
    pub neck: Option<Neck>,
}

/// The networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// Two 3×3 convolutions with batch norm for tiny images; features of 32 numbers.
    SmallCnn,
    /// torchvision's ResNet-18; features of 512 numbers.
    Resnet18,
    /// torchvision's ResNet-34; features of 512 numbers.
    Resnet34,
    /// torchvision's ResNet-50 (stride in the 3×3); features of 2048 numbers.
    Resnet50,
}

/// Where the backbone's weights start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Drawn from the run's seed. Written `null` in a sweep file.
    Random,
}

/// Linear without bias + `BatchNorm1d`, no `ReLU` after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neck {
    /// Features after the neck, ≥ 1.
    pub dim: u32,
    /// Whether batch norm follows.
    pub batch_norm: bool,
}
