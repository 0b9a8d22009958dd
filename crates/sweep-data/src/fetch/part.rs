//! The file a download grows in: locked, so that two processes take turns, and renamed when it is whole.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::FetchError;
use crate::hash::Sha256;

/// `NAME.part`, open and locked.
pub(super) struct PartFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl PartFile {
    /// Opens the part file of `target` and waits until no other process holds it; with `keep`, what is in it stays.
    pub(super) fn open(target: &Path, keep: bool) -> Result<Self, FetchError> {
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(FetchError::io(folder))?;
        }
        let mut name = target.file_name().map_or_else(OsString::new, OsString::from);
        name.push(".part");
        let path = target.with_file_name(name);
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).append(true).create(true).open(&path);
            let file = file.map_err(FetchError::io(&path))?;
            file.lock().map_err(FetchError::io(&path))?;
            // While this one waited, the holder may have renamed or removed the file that is open here.
            if !is_at(&file, &path) {
                if target.exists() {
                    // Nobody's any more, and nothing will be written to it.
                    return Ok(Self { path, file, len: 0 });
                }
                continue;
            }
            let mut part = Self { path, file, len: 0 };
            part.len = part.file.metadata().map_err(FetchError::io(&part.path))?.len();
            if !keep {
                part.clear()?;
            }
            return Ok(part);
        }
    }

    /// Bytes that are there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Appends.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(FetchError::io(&self.path))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Begins again.
    pub(super) fn clear(&mut self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(FetchError::io(&self.path))?;
        self.len = 0;
        Ok(())
    }

    /// sha256 and length of what is there.
    pub(super) fn hash(&mut self) -> Result<(Sha256, u64), FetchError> {
        let io = |error| FetchError::io(&self.path)(error);
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        Sha256::of_reader(&self.file).map_err(io)
    }

    /// Makes it the target.
    pub(super) fn put_in_place(self, target: &Path) -> Result<(), FetchError> {
        self.file.sync_all().map_err(FetchError::io(&self.path))?;
        std::fs::rename(&self.path, target).map_err(FetchError::io(target))
    }

    /// Removes it where there is nothing to go on from.
    pub(super) fn discard_empty(self) {
        if self.len == 0 {
            self.discard();
        }
    }

    /// Removes it, if it is still the one that is open.
    pub(super) fn discard(self) {
        if is_at(&self.file, &self.path) {
            // What stays is found by the next fetch, so a failure here does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether the open file is the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same =
        |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => same(a, b),
        _ => false,
    }
}

/// Elsewhere an open file can be neither renamed nor removed, so it is where it was.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}
