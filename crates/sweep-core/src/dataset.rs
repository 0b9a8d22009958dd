//! What the core must know of a data set to check a sweep against it and to name its runs. Pixels live in `sweep-data`.

use serde::{Deserialize, Serialize};

use crate::ids::Digest;

/// A data set as `sweep-data` read it: counts, classes and digests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSetInfo {
    /// The name used in sweep files, `[a-z0-9_]+`.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// Class names in label order.
    pub classes: Vec<String>,
    /// Training images per class, after the duplicates policy, in label order.
    pub train: Vec<u32>,
    /// Validation images per class, in label order.
    pub val: Vec<u32>,
    /// Digest of everything that decides pixels and labels apart from `image_size`: source files, decode settings, class order.
    pub content: Digest,
    /// Digest of the sorted list of (content hash, class, part).
    pub split: Digest,
    /// Channels of a picture: 1 or 3.
    pub channels: u8,
    /// The side of a picture where all are square and of one size (digits: 8), the only `image_size` that can be asked for then.
    pub fixed_size: Option<u32>,
    /// What a reader of a verdict must be told, such as "6 of 66 validation images (9.1 %) are also in train".
    pub warnings: Vec<String>,
}

impl DataSetInfo {
    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// Number of training images.
    pub fn train_count(&self) -> u32 {
        self.train.iter().sum()
    }

    /// Number of validation images.
    pub fn val_count(&self) -> u32 {
        self.val.iter().sum()
    }
}

/// The part of a [`DataSetInfo`] that a run carries; its digests are in the run id, its name is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSetRef {
    /// The name used in the sweep file.
    pub name: String,
    /// [`DataSetInfo::content`].
    pub content: Digest,
    /// [`DataSetInfo::split`].
    pub split: Digest,
}

impl From<&DataSetInfo> for DataSetRef {
    fn from(info: &DataSetInfo) -> Self {
        Self { name: info.name.clone(), content: info.content, split: info.split }
    }
}
