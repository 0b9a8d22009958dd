//! The shape of a manifest as a person writes it; [`super::check`] turns it into a [`super::Manifest`].
//!
//! Externally tagged enums and `deny_unknown_fields` throughout: only so does an error point at the wrong key.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use crate::decode::{Alpha, Color, Gif, OnError, Orientation};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestFile {
    pub(super) name: Spanned<String>,
    pub(super) title: Option<String>,
    pub(super) citation: Option<String>,
    pub(super) license: Option<String>,
    pub(super) obtain: Option<String>,
    pub(super) classes: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) source: Option<Spanned<SourceShape>>,
    pub(super) sources: Option<Spanned<Vec<Spanned<SourceShape>>>>,
    pub(super) layout: Option<Spanned<LayoutShape>>,
    pub(super) layouts: Option<Spanned<Vec<Spanned<AlternativeShape>>>>,
    #[serde(default)]
    pub(super) rename: BTreeMap<String, Spanned<String>>,
    pub(super) ignore: Option<Vec<Spanned<String>>>,
    pub(super) split: Option<Spanned<SplitShape>>,
    pub(super) duplicates: Option<Spanned<Duplicates>>,
    #[serde(default)]
    pub(super) decode: DecodeShape,
    #[serde(default)]
    pub(super) augment: AugmentShape,
    pub(super) expect: Option<Spanned<ExpectShape>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SourceShape {
    Folder(Spanned<String>),
    Archive(ArchiveShape),
}

/// An archive on disk or to be fetched.
pub(super) enum ArchiveShape {
    /// Its path alone.
    Path(String),
    /// Exactly one of `path` and `url`, and what is known of it.
    Known(Box<KnownArchiveShape>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownArchiveShape {
    pub(super) path: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) sha256: Option<Spanned<String>>,
    pub(super) bytes: Option<Spanned<u64>>,
    pub(super) strip: Option<Spanned<String>>,
}

/// By hand, because a derived choice between text and map would not say which key is wrong.
impl<'de> Deserialize<'de> for ArchiveShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = ArchiveShape;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the path of an archive, or a map of path or url, sha256, bytes, strip")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<ArchiveShape, E> {
                Ok(ArchiveShape::Path(path.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ArchiveShape, A::Error> {
                let known = KnownArchiveShape::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ArchiveShape::Known(Box::new(known)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// One way in which the files may lie.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlternativeShape {
    pub(super) called: String,
    pub(super) layout: Option<Spanned<LayoutShape>>,
    pub(super) split: Option<Spanned<SplitShape>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LayoutShape {
    FolderPerClass,
    FilenamePrefix(FilenamePrefixShape),
    Csv(CsvShape),
    Packed(PackedShape),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilenamePrefixShape {
    pub(super) pattern: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CsvShape {
    pub(super) file: Spanned<String>,
    #[serde(default = "path_column")]
    pub(super) path: String,
    #[serde(default = "label_column")]
    pub(super) label: String,
}

fn path_column() -> String {
    "path".to_owned()
}

fn label_column() -> String {
    "label".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackedShape {
    pub(super) file: Spanned<String>,
    pub(super) side: Spanned<u32>,
    pub(super) channels: Spanned<u32>,
    pub(super) maximum: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SplitShape {
    Folders(FoldersShape),
    Stratified(StratifiedShape),
    Column(Spanned<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FoldersShape {
    pub(super) train: Spanned<String>,
    pub(super) val: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StratifiedShape {
    pub(super) train: Option<Spanned<f64>>,
    pub(super) rounding: Option<Spanned<Rounding>>,
    pub(super) train_per_class: Option<Spanned<u32>>,
    #[serde(default = "first_seed")]
    pub(super) seed: u64,
}

fn first_seed() -> u64 {
    1
}

/// How a share becomes a count; the only rule so far is the study's.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rounding {
    FloorTrain,
}

/// What becomes of equal pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Kept; those that cross the parts are named beside every verdict.
    #[default]
    Warn,
    /// Equal pictures go to one part.
    KeepTogether,
    /// A training image whose equal is in val is left out.
    DropFromTrain,
    /// Any group of equal pictures refuses the data set.
    Fail,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecodeShape {
    pub(super) gif: Gif,
    pub(super) alpha: Option<Alpha>,
    pub(super) color: Color,
    pub(super) exif_orientation: Orientation,
    pub(super) on_error: OnError,
    pub(super) max_pixels: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AugmentShape {
    pub(super) hflip: bool,
}

impl Default for AugmentShape {
    fn default() -> Self {
        Self { hflip: true }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExpectShape {
    pub(super) train: BTreeMap<String, Spanned<u32>>,
    pub(super) val: BTreeMap<String, Spanned<u32>>,
}
