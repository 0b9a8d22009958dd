//! Data sets of `sweep`: manifests, decoding, resizing, splits, audits and the packed cache.
//!
//! Reading order: [`manifest`] (what a person writes), [`dataset`] (manifest + files = [`DataSet`]), [`decode`] (bytes →
//! picture), [`mod@pack`] (decode once, map into memory), [`view`] (what a network sees), [`mod@audit`] (what is odd about a data set).
//!
//! Nothing here trains, waits or speaks to a network.

pub mod audit;
pub mod builtin;
pub mod dataset;
pub mod decode;
mod duplicates;
pub mod error;
mod files;
pub mod hash;
mod layout;
pub mod manifest;
pub mod pack;
mod parallel;
pub mod part;
pub mod resize;
mod rng;
mod split;
mod suggest;
mod table;
pub mod view;

pub use audit::{Audit, audit};
pub use builtin::{BUILT_IN, DIGITS_ATTRIBUTION, DIGITS_SHA256};
pub use dataset::{DataSet, Example, Skipped};
pub use error::LoadError;
pub use hash::Sha256;
pub use manifest::{Manifest, ManifestError};
pub use pack::{Normalisation, PackError, Packed, Picture, Progress};
pub use part::Part;
pub use resize::short_side;
pub use view::{ViewKey, Viewer};
