//! Data sets of `sweep`: manifests, decoding, resizing, splits, audits and the packed cache.
//!
//! Reading order: [`manifest`] (what a person writes), [`source`] (where the files are), [`dataset`] (manifest + files =
//! [`DataSet`]), [`decode`] (bytes → picture), [`mod@pack`] (decode once, map into memory), [`view`] (what a network sees), [`mod@audit`] (what is odd about a data set).
//!
//! Nothing here trains or waits. Only the module `fetch` speaks to a network, and it is there only with the feature `fetch`.

pub mod archive;
pub mod audit;
pub mod builtin;
pub mod cache;
pub mod dataset;
pub mod decode;
mod duplicates;
pub mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
mod files;
pub mod hash;
mod layout;
pub mod manifest;
pub mod pack;
mod parallel;
pub mod part;
pub mod resize;
mod rng;
pub mod source;
mod split;
mod stat_cache;
mod suggest;
mod table;
pub mod view;

pub use audit::{Audit, audit};
pub use builtin::{BUILT_IN, DIGITS_ATTRIBUTION, DIGITS_SHA256};
pub use dataset::{DataSet, Example, Skipped};
pub use error::LoadError;
pub use hash::{Sha256, Sha256OrPrefix};
pub use manifest::{Manifest, ManifestError};
pub use pack::{Normalisation, PackError, Packed, Picture, Progress};
pub use part::Part;
pub use resize::short_side;
pub use source::{Fetching, Opening, Origin};
pub use view::{View, ViewKey, Viewer};
