//! How much an archive may hold.

use crate::files::MAX_FILE_BYTES;

/// Bounds on what comes out of one archive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Files and folders.
    pub(crate) members: u64,
    /// Bytes of one file.
    pub(crate) file: u64,
    /// Bytes of all files.
    pub(crate) total: u64,
    /// Bytes of all files per byte of the archive.
    pub(crate) ratio: u64,
    /// Bytes of all files that are allowed at any ratio, for small archives of tables.
    pub(crate) spare: u64,
}

impl Default for Limits {
    /// The data sets of the study have at most 1125 files, 97 MB and a ratio near 1; these leave room for a hundred times as many.
    fn default() -> Self {
        Self {
            members: 200_000,
            file: MAX_FILE_BYTES,
            total: 64 << 30,
            ratio: 100,
            spare: 64 << 20,
        }
    }
}

impl Limits {
    /// Bytes that may come out of an archive of `packed` bytes.
    pub(crate) fn allowed(&self, packed: u64) -> u64 {
        packed.saturating_mul(self.ratio).saturating_add(self.spare).min(self.total)
    }
}
