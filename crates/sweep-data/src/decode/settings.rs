//! The `decode:` block of a manifest: which of several right ways to read a picture is meant.

use serde::{Deserialize, Serialize};

/// How files become pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decode {
    /// What becomes of a GIF.
    pub gif: Gif,
    /// What becomes of transparency.
    pub alpha: Alpha,
    /// Colour or luma.
    pub color: Color,
    /// Whether the camera's orientation is applied.
    pub exif_orientation: Orientation,
    /// What becomes of a file that cannot be read.
    pub on_error: OnError,
    /// Most pixels a file may hold, checked before anything is allocated for them.
    pub max_pixels: u64,
}

impl Default for Decode {
    fn default() -> Self {
        Self {
            gif: Gif::FirstFrame,
            alpha: Alpha::Background([255, 255, 255]),
            color: Color::Rgb,
            exif_orientation: Orientation::Apply,
            on_error: OnError::Fail,
            max_pixels: 50_000_000,
        }
    }
}

impl Decode {
    /// The settings that decide pixels, for a content digest; which files are left out shows in the list of files.
    pub(crate) fn identity(&self) -> impl Serialize {
        (self.alpha, self.color, self.exif_orientation)
    }
}

/// What becomes of a GIF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gif {
    /// Its first frame is the picture.
    #[default]
    FirstFrame,
    /// Left out before the split.
    Skip,
}

/// What becomes of transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alpha {
    /// Laid on this colour.
    Background([u8; 3]),
    /// Ignored, as Pillow's `convert('RGB')` does: hidden pixels show.
    Drop,
}

/// Colour or luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Luma (ITU-R 601, Pillow's `convert('L')`) in three equal channels.
    Grey,
}

/// Whether the camera's orientation is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orientation {
    /// Turned upright.
    #[default]
    Apply,
    /// As stored.
    Ignore,
}

/// What becomes of a file that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The data set is refused.
    #[default]
    Fail,
    /// The file is left out before the split and listed in every report.
    Skip,
}
