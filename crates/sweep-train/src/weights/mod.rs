//! Pretrained weights: a state dict in torchvision's naming, as `torch.save` or safetensors wrote it, for a backbone.
//!
//! Whoever has the file calls [`load`]; where it comes from (a cache, a download) is not decided here. A file comes from
//! strangers: what is read is bounded before it is allocated, nothing in it is run, and every way it can be wrong ends in a
//! [`WeightsError`]. Only tensors that the backbone has are read at all.
//!
//! Reading order: [`load`], `torch` (the two containers of `torch.save`), `pickle` (its index), `safetensors`.

mod pickle;
mod safetensors;
mod torch;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::backend::Flex;
use burn::tensor::TensorData;
use sha2::{Digest, Sha256 as Hasher};
use sweep_core::ids::Sha256;
use sweep_core::model;

use crate::network::state::{self, State};
use crate::network::{BackboneConfig, BackboneKind};

/// Largest file read: ten ResNet-50s.
const MAX_FILE: u64 = 1 << 30;
/// Names listed of each kind in an error.
const MAX_LISTED: usize = 10;

/// Why weights cannot be used. Retrying helps only for [`WeightsError::Io`].
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is larger than any weights this program can use.
    #[error("the file of weights is larger than {MAX_FILE} bytes")]
    TooLarge,
    /// The file is not the one meant.
    #[error("the file of weights has the sha256 {found}, but must have {expected}")]
    Other {
        /// What it is.
        found: Sha256,
        /// What was asked for.
        expected: Sha256,
    },
    /// The file cannot be understood.
    #[error(
        "the file is not a state dict in a form this program reads (.pth as torch.save writes it, .safetensors): {0}"
    )]
    Format(String),
    /// The file is a state dict, but of another network.
    #[error("the weights do not fit {backbone:?}{}", listed(.missing, .extra, .misshapen))]
    Fit {
        /// The network.
        backbone: model::Backbone,
        /// Tensors the network has and the file has not.
        missing: Vec<String>,
        /// Tensors the file has and the network has not; a classifier `fc` and counters of batches are no part of a backbone.
        extra: Vec<String>,
        /// Tensors of another shape, with both: `conv1.weight is [64, 1, 7, 7] for [64, 3, 7, 7]`.
        misshapen: Vec<String>,
    },
    /// The file holds a number that is not finite.
    #[error("the weights `{0}` hold numbers that are not finite")]
    NotFinite(String),
}

fn listed(missing: &[String], extra: &[String], misshapen: &[String]) -> String {
    let mut text = String::new();
    for (what, names) in [("missing", missing), ("unknown", extra), ("of another shape", misshapen)]
    {
        if !names.is_empty() {
            let shown = &names[..names.len().min(MAX_LISTED)];
            let _ = write!(text, "; {} {what}: {}", names.len(), shown.join(", "));
            if shown.len() < names.len() {
                text.push_str(", …");
            }
        }
    }
    text
}

fn wrong<T>(text: impl Into<String>) -> Result<T, WeightsError> {
    Err(WeightsError::Format(text.into()))
}

/// The sha256 of a file of weights, all 64 digits: what [`sweep_core::model::WeightsRef`] needs to know of a path.
///
/// # Errors
/// When the file cannot be read or is too large.
pub fn sha256(path: &Path) -> Result<Sha256, WeightsError> {
    Ok(digest(&bytes(path)?))
}

/// The values of a backbone of kind `backbone` from the file at `path`, whose sha256 must be (or start with) `expected`.
///
/// # Errors
/// [`WeightsError`]; what does not fit is listed by name, all of it at once.
pub fn load(
    path: &Path,
    expected: &Sha256,
    backbone: model::Backbone,
) -> Result<State, WeightsError> {
    let bytes = bytes(path)?;
    let found = digest(&bytes);
    if !expected.is_of(found.as_str()) {
        return Err(WeightsError::Other { found, expected: expected.clone() });
    }
    read(&bytes, backbone)
}

/// [`load`] of what is in memory already, whatever its digest.
///
/// # Errors
/// As [`load`], apart from reading and digest.
pub fn read(bytes: &[u8], backbone: model::Backbone) -> Result<State, WeightsError> {
    let archive = Archive::open(bytes)?;
    let expected = shapes(backbone);
    fits(&archive.entries, &expected, backbone)?;
    let mut state = State::new();
    for (name, shape) in expected {
        let values = archive.values(&archive.entries[&name])?;
        if !values.iter().all(|v| v.is_finite()) {
            return Err(WeightsError::NotFinite(name));
        }
        state.insert(name, TensorData::new(values, shape));
    }
    Ok(state)
}

fn bytes(path: &Path) -> Result<Vec<u8>, WeightsError> {
    let io = |error| WeightsError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > MAX_FILE {
        return Err(WeightsError::TooLarge);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE { Err(WeightsError::TooLarge) } else { Ok(bytes) }
}

fn digest(bytes: &[u8]) -> Sha256 {
    let mut text = String::with_capacity(64);
    for byte in Hasher::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text.parse().expect("32 bytes are 64 hexadecimal digits")
}

/// Name and shape of everything a backbone holds, in torch's order.
fn shapes(backbone: model::Backbone) -> BTreeMap<String, Vec<usize>> {
    let config = BackboneConfig::published(BackboneKind::of(backbone));
    let blank = config.blank::<Flex>(&Default::default());
    let values = state::state(&blank);
    values.into_iter().map(|(name, data)| (name, data.shape.to_vec())).collect()
}

/// Whether a name of the file may be passed over: the classifier, which the loss's head replaces, and counters.
fn passed_over(name: &str) -> bool {
    name.starts_with("fc.") || name.ends_with(".num_batches_tracked")
}

fn fits(
    found: &BTreeMap<String, Layout>,
    expected: &BTreeMap<String, Vec<usize>>,
    backbone: model::Backbone,
) -> Result<(), WeightsError> {
    let missing: Vec<_> = expected.keys().filter(|n| !found.contains_key(*n)).cloned().collect();
    let extra: Vec<_> = found
        .keys()
        .filter(|name| !expected.contains_key(*name) && !passed_over(name))
        .cloned()
        .collect();
    let mut misshapen = Vec::new();
    for (name, shape) in expected {
        if let Some(layout) = found.get(name) {
            if layout.shape != *shape {
                misshapen.push(format!("{name} is {:?} for {shape:?}", layout.shape));
            } else if let Element::Whole(_) = layout.element {
                misshapen.push(format!("{name} holds whole numbers"));
            }
        }
    }
    if missing.is_empty() && extra.is_empty() && misshapen.is_empty() {
        return Ok(());
    }
    Err(WeightsError::Fit { backbone, missing, extra, misshapen })
}

/// What numbers a tensor is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F32,
    F64,
    F16,
    BF16,
    /// Whole numbers of so many bytes; no weight is one.
    Whole(usize),
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Whole(size) => size,
        }
    }

    /// The number in `bytes`, which are [`Self::size`] many.
    fn number(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            (Self::F16, &[a, b]) => half::f16::from_le_bytes([a, b]).to_f32(),
            (Self::BF16, &[a, b]) => half::bf16::from_le_bytes([a, b]).to_f32(),
            _ => f32::NAN,
        }
    }
}

/// Where the numbers of a tensor lie.
#[derive(Clone, Debug)]
struct Layout {
    storage: String,
    element: Element,
    /// Numbers in the storage, as claimed.
    count: usize,
    /// In numbers, from the start of the storage.
    offset: usize,
    shape: Vec<usize>,
    /// In numbers.
    strides: Vec<usize>,
}

impl Layout {
    /// The numbers in row-major order.
    fn gather(&self, storage: &[u8]) -> Option<Vec<f32>> {
        let size = self.element.size();
        let total = self.shape.iter().try_fold(1usize, |n, s| n.checked_mul(*s))?;
        let mut last = self.offset;
        for (length, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add(length.checked_sub(1)?.checked_mul(*stride)?)?;
        }
        // So that a view of a few numbers cannot ask for more than the storage holds of different ones, nor beyond its end.
        if total > self.count || last.checked_add(1)?.checked_mul(size)? > storage.len() {
            return None;
        }
        let mut out = Vec::with_capacity(total);
        let mut index = vec![0usize; self.shape.len()];
        let mut at = self.offset;
        for _ in 0..total {
            out.push(self.element.number(&storage[at * size..(at + 1) * size]));
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        Some(out)
    }
}

/// An opened file: an index of tensors and the bytes of their storages.
struct Archive<'a> {
    entries: BTreeMap<String, Layout>,
    storages: Storages<'a>,
}

enum Storages<'a> {
    /// Each inside the file.
    Slices(BTreeMap<String, &'a [u8]>),
    /// Each an entry of a ZIP file.
    Zip(torch::Zip<'a>),
}

impl<'a> Archive<'a> {
    /// Opens a file by what it starts with, never by its name.
    fn open(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        if bytes.starts_with(b"PK\x03\x04") {
            torch::zipped(bytes)
        } else if bytes.starts_with(&torch::LEGACY_START) {
            torch::legacy(bytes)
        } else if bytes.get(8) == Some(&b'{') {
            safetensors::open(bytes)
        } else {
            wrong("it starts as none of them does")
        }
    }

    fn values(&self, layout: &Layout) -> Result<Vec<f32>, WeightsError> {
        let values = match &self.storages {
            Storages::Slices(slices) => {
                slices.get(&layout.storage).and_then(|storage| layout.gather(storage))
            }
            Storages::Zip(zip) => layout.gather(&zip.storage(&layout.storage)?),
        };
        values.map_or_else(|| wrong("a tensor lies outside the data of the file"), Ok)
    }
}

#[cfg(test)]
mod tests;
