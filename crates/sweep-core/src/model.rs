//! The network in front of the head.

use serde::{Deserialize, Serialize};

use crate::ids::Sha256;

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
    /// Drawn from the run's seed; in head mode from one fixed seed, since all runs share the frozen backbone's features. Written
    /// `null` in a sweep file.
    Random,
    /// Read from a file.
    Pretrained(WeightsRef),
}

/// A file of weights in torchvision's naming. Its content is in the run id, its name is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsRef {
    /// As the sweep file writes it: `imagenet`, `imagenet_v2`, or the path or URL of a `.pth` or `.safetensors` file.
    pub name: String,
    /// What the file must be. `None` only before [`crate::sweep::Sweep::with_weights`] was told; no run has that.
    pub sha256: Option<Sha256>,
}

/// Weights that torchvision publishes under a name of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The backbone they are for.
    pub backbone: Backbone,
    /// The name used in sweep files.
    pub name: &'static str,
    /// Their file. Behind the dash stand the first 8 hexadecimal digits of its sha256.
    pub file: &'static str,
}

/// torchvision's `IMAGENET1K_V1` and `_V2` (torchvision 0.29, `models/resnet.py`).
const PUBLISHED: &[Published] = &[
    Published { backbone: Backbone::Resnet18, name: "imagenet", file: "resnet18-f37072fd.pth" },
    Published { backbone: Backbone::Resnet34, name: "imagenet", file: "resnet34-b627a593.pth" },
    Published { backbone: Backbone::Resnet50, name: "imagenet", file: "resnet50-0676ba61.pth" },
    Published { backbone: Backbone::Resnet50, name: "imagenet_v2", file: "resnet50-11ad3fa6.pth" },
];

/// Names that mean weights which torchvision publishes.
pub const PUBLISHED_NAMES: [&str; 2] = ["imagenet", "imagenet_v2"];

impl Published {
    /// The weights called `name` for `backbone`.
    pub fn find(backbone: Backbone, name: &str) -> Option<Self> {
        PUBLISHED.iter().copied().find(|p| p.backbone == backbone && p.name == name)
    }

    /// Where torchvision serves them.
    pub fn url(&self) -> String {
        format!("https://download.pytorch.org/models/{}", self.file)
    }

    /// The digits in the file's name.
    pub fn sha256(&self) -> Sha256 {
        let digits = self.file.split(['-', '.']).nth(1).unwrap_or_default();
        digits.parse().expect("torchvision's file names carry eight digits; a test reads them all")
    }
}

impl Weights {
    /// What a run id holds of them: the content, not the name.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::Random => "random".to_owned(),
            Self::Pretrained(of) => {
                format!("sha256:{}", of.sha256.as_ref().map_or("", Sha256::as_str))
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_file_names_its_digits() {
        let digits: Vec<_> = PUBLISHED.iter().map(|p| p.sha256().to_string()).collect();
        assert_eq!(digits, ["f37072fd", "b627a593", "0676ba61", "11ad3fa6"]);
    }
}
