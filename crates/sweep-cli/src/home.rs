//! The directory of a user's sweeps: store file, packed data sets, checkpoints, reports.

use std::path::{Path, PathBuf};

use crate::args::Global;

/// The directory given by `--dir`.
pub(crate) struct Home {
    dir: PathBuf,
}

impl Home {
    pub(crate) fn new(global: &Global) -> Self {
        Self { dir: global.dir.clone() }
    }

    /// Packed data sets.
    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.join("cache")
    }

    /// Features of frozen backbones.
    pub(crate) fn features(&self) -> PathBuf {
        self.cache().join("features")
    }

    /// Checkpoints.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// Where the report of the sweep `name` goes unless a flag says otherwise.
    pub(crate) fn report(&self, name: &str) -> PathBuf {
        self.dir.join("reports").join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }
}
