//! The packed cache: every picture decoded and resized once, in one file that is mapped into memory and shared by all slots.
//!
//! A file is named by what is in it (content, split, names of files, `image_size`, version), so a change of any of them is another
//! file and nothing is ever rewritten in place. Its layout, in this order:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `sweeppk1` |
//! | … | pictures, each height · width · channels interleaved bytes, in the order of the examples |
//! | … | the header as JSON: classes, normalisation, and per example path, label, sha256, size, offset |
//! | 8 + 8 | offset and length of the header, little-endian |
//! | 32 | blake3 of everything before |

mod contents;
mod header;
mod read;
mod write;

use std::path::{Path, PathBuf};

use sweep_core::canonical;

use crate::dataset::{DataSet, Pixels};
use crate::decode::DecodeError;
use crate::error::LoadError;
use crate::parallel;
pub use contents::{Contents, TAIL, header_range};
pub use header::Normalisation;
pub use read::{Packed, Picture};

/// Bumped when the layout of the file changes.
const PACK_VERSION: u32 = 1;

/// Largest `image_size`: views are f32 and a batch of them must fit a device.
pub const MAX_IMAGE_SIZE: u32 = 2048;

/// How far packing or an audit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Images done, the one named included.
    pub done: usize,
    /// Images in all.
    pub total: usize,
    /// The image that was just done.
    pub path: &'a str,
}

/// Why there is no packed file.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// An `image_size` out of range. Retrying cannot help.
    #[error("`image_size` is {0}, but must be in 1..={MAX_IMAGE_SIZE}")]
    ImageSize(u32),
    /// A size that pictures of one given size cannot have. Retrying cannot help.
    #[error(
        "`image_size` is {asked}, but data set `{name}` has pictures of {side}×{side}: write `image_size: {side}`"
    )]
    FixedSize {
        /// The data set.
        name: String,
        /// The side its pictures have.
        side: u32,
        /// The side that was asked for.
        asked: u32,
    },
    /// A picture that cannot be decoded. Retrying cannot help.
    #[error("{path}: {error}")]
    Picture {
        /// Relative to the data set's folder.
        path: String,
        /// Why not.
        error: DecodeError,
    },
    /// A picture so narrow that with its short side at the cached size it is beyond `max_pixels`. Retrying cannot help.
    #[error(
        "{path}: {width}×{height} is too narrow: with its short side at {side} it has more than `max_pixels` ({allowed}) pixels"
    )]
    TooNarrow {
        /// Relative to the data set's folder.
        path: String,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The cached short side.
        side: u32,
        /// The manifest's limit.
        allowed: u64,
    },
    /// A file changed after the data set was loaded. Loading again helps.
    #[error("{path}: changed while the data set was in use; load it again")]
    Changed {
        /// Relative to the data set's folder.
        path: String,
    },
    /// A source file could not be read.
    #[error(transparent)]
    Source(#[from] LoadError),
    /// The packed file is damaged or of another version. Packing again helps.
    #[error("{path}: {what}; delete it, and it is packed again")]
    Damaged {
        /// The packed file.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Reading or writing failed. Retrying may help.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl PackError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |error| Self::Io { path, error }
    }
}

impl DataSet {
    /// The packed pictures for crops of `image_size`: opened from the folder `cache`, or decoded into it first.
    ///
    /// `progress` is called after each picture, from the threads that decode, and not at all when the file is there already.
    /// Two processes that pack at once both end well, with the same bytes.
    ///
    /// # Errors
    /// [`PackError`]; a damaged file in the cache is packed again, not an error.
    pub fn pack(
        &self,
        image_size: u32,
        cache: &Path,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Packed, PackError> {
        self.pack_with_threads(image_size, cache, parallel::available(), progress)
    }

    /// [`DataSet::pack`] on a given number of threads; the bytes do not depend on it.
    ///
    /// # Errors
    /// As [`DataSet::pack`].
    pub fn pack_with_threads(
        &self,
        image_size: u32,
        cache: &Path,
        threads: usize,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Packed, PackError> {
        self.check_image_size(image_size)?;
        let path = self.pack_path(image_size, cache);
        if path.exists() {
            match Packed::open(&path) {
                Err(PackError::Damaged { what, .. }) => {
                    tracing::warn!(path = %path.display(), what, "packing again")
                }
                found => return found,
            }
        }
        write::write(self, image_size, &path, threads, progress)?;
        Packed::open(&path)
    }

    /// Where the packed file lies, or would lie, in the folder `cache`.
    pub fn pack_path(&self, image_size: u32, cache: &Path) -> PathBuf {
        let paths: Vec<&str> = self.examples.iter().map(|e| e.path.as_str()).collect();
        let key = canonical::digest(&(
            PACK_VERSION,
            self.info.content,
            self.info.split,
            image_size,
            paths,
        ));
        cache.join(format!("{key}.pack"))
    }

    /// Whether pictures of `image_size` can be had.
    ///
    /// # Errors
    /// [`PackError::ImageSize`], [`PackError::FixedSize`].
    pub fn check_image_size(&self, image_size: u32) -> Result<(), PackError> {
        match &self.pixels {
            Pixels::Table(table, _) if table.side != image_size => Err(PackError::FixedSize {
                name: self.info.name.clone(),
                side: table.side,
                asked: image_size,
            }),
            Pixels::Files(_) if !(1..=MAX_IMAGE_SIZE).contains(&image_size) => {
                Err(PackError::ImageSize(image_size))
            }
            _ => Ok(()),
        }
    }
}
