//! Checkpoints as files: a directory in which every file is named by the blake3 digest of its content.
//!
//! A blob is durable before its name is told to anybody, and checked whenever it is read. Not here: which blobs are still
//! needed ([`crate::Store::checkpoints`]). Everything blocks; call it from a thread that may.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sweep_core::ids::Digest;

/// Why a blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No such blob: collected, or lost with its disk. Retrying cannot help.
    #[error("no blob {digest}")]
    Missing {
        /// Its name.
        digest: Digest,
    },
    /// Its content is not what its name says. Retrying cannot help.
    #[error("blob {digest} is damaged")]
    Damaged {
        /// Its name.
        digest: Digest,
    },
    /// The disk is full, and the like. Retrying may help.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A blob in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its name.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// When it was written last.
    pub modified: SystemTime,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub deleted: u32,
    /// Their size together.
    pub bytes: u64,
}

/// A directory of blobs. Any number of processes may share it.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: PathBuf,
}

/// Ends the name of a file that is being written; no digest has a dot.
const TEMPORARY: &str = ".part";

impl Blobs {
    /// The blobs in `root`, which is made if missing.
    ///
    /// # Errors
    /// [`BlobError::Io`] when it cannot be made.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        fs::create_dir_all(root)
            .map_err(|source| BlobError::Io { path: root.to_owned(), source })?;
        Ok(Self { root: root.to_owned() })
    }

    /// Stores these bytes and names them. Durable when it returns; the same bytes again cost one look.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        match self.get(&digest) {
            // Written again it counts as new, so that a collection under way leaves it to whoever points to it next.
            Ok(_) if touch(&path).is_ok() => return Ok(digest),
            Ok(_) | Err(BlobError::Missing { .. } | BlobError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
        let dir = self.folder(&digest);
        fs::create_dir_all(&dir)
            .and_then(|()| sync(&self.root))
            .map_err(|source| BlobError::Io { path: dir.clone(), source })?;
        self.write(&dir, &path, bytes).map_err(|source| BlobError::Io { path, source })?;
        Ok(digest)
    }

    /// The bytes of a blob, checked against its name.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Damaged`], [`BlobError::Io`].
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing { digest: *digest });
            }
            Err(source) => return Err(BlobError::Io { path, source }),
        };
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(BlobError::Damaged { digest: *digest })
        }
    }

    /// Removes a blob; says whether there was one.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(BlobError::Io { path, source }),
        }
    }

    /// All blobs, by name. Files with other names are not blobs and are left out.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn list(&self) -> Result<Vec<BlobInfo>, BlobError> {
        let mut blobs = Vec::new();
        self.visit(|path, meta| {
            let digest =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            if let Some(digest) = digest {
                blobs.push(BlobInfo { digest, bytes: meta.len(), modified: meta.modified()? });
            }
            Ok(())
        })?;
        blobs.sort_by_key(|blob| blob.digest);
        Ok(blobs)
    }

    /// Removes the blobs that are not `live` and, with them, files left half-written, all only if last written before
    /// `written_before`: a blob is written before anybody points to it, so give it a day.
    ///
    /// # Errors
    /// [`BlobError::Io`].
    pub fn collect(
        &self,
        live: &BTreeSet<Digest>,
        written_before: SystemTime,
    ) -> Result<Collected, BlobError> {
        let mut collected = Collected::default();
        for blob in self.list()? {
            if !live.contains(&blob.digest)
                && blob.modified < written_before
                && self.delete(&blob.digest)?
            {
                collected.deleted += 1;
                collected.bytes += blob.bytes;
            }
        }
        self.visit(|path, meta| {
            let half =
                path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TEMPORARY));
            if half && meta.modified()? < written_before { fs::remove_file(path) } else { Ok(()) }
        })?;
        Ok(collected)
    }

    /// Two characters of fan-out keep folders small.
    fn folder(&self, digest: &Digest) -> PathBuf {
        self.root.join(&digest.to_string()[..2])
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder(digest).join(digest.to_string())
    }

    fn write(&self, dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().suffix(TEMPORARY).tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // The name itself is durable only with its folder.
        sync(dir)
    }

    fn visit(
        &self,
        mut see: impl FnMut(&Path, fs::Metadata) -> io::Result<()>,
    ) -> Result<(), BlobError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| BlobError::Io { path, source }
        };
        for folder in fs::read_dir(&self.root).map_err(io(&self.root))? {
            let folder = folder.map_err(io(&self.root))?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&folder).map_err(io(&folder))? {
                let entry = entry.map_err(io(&folder))?;
                match entry
                    .metadata()
                    .and_then(|meta| if meta.is_file() { see(&entry.path(), meta) } else { Ok(()) })
                {
                    // Another process may collect at the same time.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(io(&entry.path()))?,
                }
            }
        }
        Ok(())
    }
}

fn touch(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.set_modified(SystemTime::now())
}

fn sync(dir: &Path) -> io::Result<()> {
    // Only Unix lets a folder be synced; elsewhere the rename is as durable as it gets.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&dir.path().join("blobs")).unwrap();
        (dir, blobs)
    }

    #[test]
    fn what_is_put_is_got_back_under_its_digest() {
        let (_dir, blobs) = blobs();
        let digest = blobs.put(b"weights").unwrap();
        assert_eq!(digest, Digest::of(b"weights"));
        assert_eq!(blobs.get(&digest).unwrap(), b"weights");
        assert_eq!(blobs.put(b"weights").unwrap(), digest);
        assert_eq!(blobs.list().unwrap().len(), 1);
    }

    #[test]
    fn a_damaged_blob_is_refused_and_mended_by_putting_it_again() {
        let (_dir, blobs) = blobs();
        let digest = blobs.put(b"weights").unwrap();
        fs::write(blobs.path(&digest), b"weighty").unwrap();
        assert!(matches!(blobs.get(&digest), Err(BlobError::Damaged { .. })));
        blobs.put(b"weights").unwrap();
        assert_eq!(blobs.get(&digest).unwrap(), b"weights");
    }

    #[test]
    fn a_missing_blob_is_told_apart_from_a_broken_disk() {
        let (_dir, blobs) = blobs();
        assert!(matches!(blobs.get(&Digest::of(b"never")), Err(BlobError::Missing { .. })));
        assert!(!blobs.delete(&Digest::of(b"never")).unwrap());
    }

    #[test]
    fn collection_spares_live_and_young_blobs_and_sweeps_half_written_files() {
        let (_dir, blobs) = blobs();
        let [live, old, young] = [b"live", b"old!", b"new!"].map(|bytes| blobs.put(bytes).unwrap());
        let half = blobs.folder(&live).join(format!("x{TEMPORARY}"));
        fs::write(&half, b"half").unwrap();
        let day = Duration::from_secs(86_400);
        let past = SystemTime::now() - 2 * day;
        for path in [blobs.path(&live), blobs.path(&old), half.clone()] {
            File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
        }
        let collected = blobs.collect(&BTreeSet::from([live]), SystemTime::now() - day).unwrap();
        assert_eq!(collected, Collected { deleted: 1, bytes: 4 });
        let left: BTreeSet<_> = blobs.list().unwrap().into_iter().map(|blob| blob.digest).collect();
        assert_eq!(left, BTreeSet::from([live, young]));
        assert!(!half.exists());
    }

    #[test]
    fn files_that_are_no_blobs_are_neither_listed_nor_collected() {
        let (_dir, blobs) = blobs();
        let digest = blobs.put(b"weights").unwrap();
        let stranger = blobs.folder(&digest).join("README");
        fs::write(&stranger, b"hello").unwrap();
        blobs.collect(&BTreeSet::new(), SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert!(blobs.list().unwrap().is_empty() && stranger.exists());
    }
}
