//! The header of a packed file.

use serde::{Deserialize, Serialize};
use sweep_core::ids::Digest;

pub(super) const MAGIC: &[u8; 8] = b"sweeppk1";

/// Offset, length and digest at the end of the file.
pub(super) const FOOTER: usize = 8 + 8 + 32;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) name: String,
    pub(super) content: Digest,
    pub(super) split: Digest,
    pub(super) image_size: u32,
    pub(super) channels: u8,
    pub(super) classes: Vec<String>,
    pub(super) hflip: bool,
    pub(super) normalisation: Normalisation,
    /// How many of the examples train; they come first.
    pub(super) train: usize,
    pub(super) examples: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) label: u32,
    /// Of the source file, in hexadecimal.
    pub(super) sha256: String,
    pub(super) width: u32,
    pub(super) height: u32,
    /// From the start of the file.
    pub(super) offset: u64,
}

/// How bytes become network input: (value / divisor − mean) / deviation, per channel, in f32 and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// 255 for files, the largest value for tables.
    pub divisor: f32,
    /// Per channel; the first counts where there is one channel.
    pub mean: [f32; 3],
    /// Per channel; the first counts where there is one channel.
    pub deviation: [f32; 3],
}

impl Normalisation {
    /// Files: the mean and deviation of `ImageNet` that pretrained networks expect (torchvision's constants).
    pub const IMAGENET: Self =
        Self { divisor: 255.0, mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

    /// Tables: value / maximum, nothing else.
    pub fn share_of(maximum: u8) -> Self {
        Self { divisor: f32::from(maximum), mean: [0.0; 3], deviation: [1.0; 3] }
    }

    /// What `value` in channel `c` becomes.
    pub fn apply(&self, value: u8, c: usize) -> f32 {
        (f32::from(value) / self.divisor - self.mean[c]) / self.deviation[c]
    }
}
