//! A blob as a file: streamed, resumed where an earlier try broke off, checked, and under its name only when whole.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sweep_core::ids::Digest;
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};

use super::directory::{self, blocking};
use super::error::BlobError;
use super::objects::CHUNK;
use super::pull::{Pull, hasher_of};
use super::{Blobs, Fetched};

/// Behind the name of a file that is being fetched.
pub(super) const PART: &str = ".part";
/// Between two looks at a file that another process fetches.
const LOOK: Duration = Duration::from_millis(200);

/// See [`Blobs::fetch_to`].
pub(super) async fn fetch_to(
    blobs: &Blobs,
    digest: &Digest,
    path: &Path,
    limit: u64,
    progress: &mut (dyn FnMut(Fetched) + Send),
) -> Result<u64, BlobError> {
    let io = |source| BlobError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(io)?;
    }
    if let Some(source) = blobs.file(digest)
        && let Some(size) = link(source, *digest, path.to_owned(), limit).await?
    {
        progress(Fetched { done: size, size });
        return Ok(size);
    }
    let part = with_suffix(path);
    let file = match lock(&part, path).await? {
        Lock::Ours(file) => file,
        Lock::Fetched(size) => return Ok(size),
    };
    let mut file = tokio::fs::File::from_std(file);
    let resumed = resume(blobs, digest, &part).await?;
    let from = resumed.count();
    let copied = match copy(blobs, digest, limit, resumed, &mut file, &part, progress).await {
        // What an earlier try left was wrong, perhaps by a power loss: once more from the start.
        Err(BlobError::Damaged { .. }) if from > 0 => {
            copy(blobs, digest, limit, blake3::Hasher::new(), &mut file, &part, progress).await
        }
        copied => copied,
    };
    let part_io = |source| BlobError::Io { path: part.clone(), source };
    match copied {
        Ok(size) => {
            file.sync_all().await.map_err(part_io)?;
            tokio::fs::rename(&part, path).await.map_err(part_io)?;
            Ok(size)
        }
        Err(error) => {
            if matches!(error, BlobError::Damaged { .. } | BlobError::TooLarge { .. }) {
                // Emptied, not removed: another process may hold it open to wait for the lock.
                file.set_len(0).await.map_err(part_io)?;
            }
            Err(error)
        }
    }
}

/// A blob that is a file of this machine needs no copy where both are on one file system. `None`: it needs one.
async fn link(
    source: PathBuf,
    digest: Digest,
    path: PathBuf,
    limit: u64,
) -> Result<Option<u64>, BlobError> {
    blocking(move || {
        let (found, size) = match directory::hash(&source) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing { digest });
            }
            Err(error) => return Err(BlobError::Io { path: source, source: error }),
        };
        if size > limit {
            return Err(BlobError::TooLarge { digest, limit });
        }
        if found != digest {
            return Err(BlobError::Damaged { digest });
        }
        match fs::hard_link(&source, &path) {
            Ok(()) => Ok(Some(size)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Some(size)),
            Err(_) => Ok(None),
        }
    })
    .await
}

enum Lock {
    /// The half-fetched file, which nobody else writes.
    Ours(File),
    /// Another process was faster.
    Fetched(u64),
}

/// Processes that share a cache fetch a blob once. The lock goes with the process that holds it.
async fn lock(part: &Path, path: &Path) -> Result<Lock, BlobError> {
    loop {
        let (part, path) = (part.to_owned(), path.to_owned());
        let found = blocking(move || {
            let io = |source| BlobError::Io { path: part.clone(), source };
            let mut options = File::options();
            options.create(true).truncate(false).read(true).write(true);
            let file = options.open(&part).map_err(io)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                // A file system without locks: two processes then write the same bytes to one file.
                Err(TryLockError::Error(_)) => {}
            }
            // The file may have got its name between our opening and locking it.
            Ok(Some(match fs::metadata(&path) {
                Ok(meta) => {
                    let _ = fs::remove_file(&part);
                    Lock::Fetched(meta.len())
                }
                Err(_) => Lock::Ours(file),
            }))
        });
        match found.await? {
            Some(lock) => return Ok(lock),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

/// What of the blob is there already.
async fn resume(blobs: &Blobs, digest: &Digest, part: &Path) -> Result<blake3::Hasher, BlobError> {
    let path = part.to_owned();
    let hasher =
        blocking(move || hasher_of(&path).map_err(|source| BlobError::Io { path, source })).await?;
    if hasher.count() == 0 {
        return Ok(hasher);
    }
    match blobs.head(digest).await? {
        None => Err(BlobError::Missing { digest: *digest }),
        Some(size) if hasher.count() < size => Ok(hasher),
        Some(size) if hasher.count() == size && *hasher.finalize().as_bytes() == digest.0 => {
            Ok(hasher)
        }
        Some(_) => Ok(blake3::Hasher::new()),
    }
}

/// Writes the blob from where `hasher` is on.
async fn copy(
    blobs: &Blobs,
    digest: &Digest,
    limit: u64,
    hasher: blake3::Hasher,
    file: &mut tokio::fs::File,
    part: &Path,
    progress: &mut (dyn FnMut(Fetched) + Send),
) -> Result<u64, BlobError> {
    let io = |source| BlobError::Io { path: part.to_owned(), source };
    file.set_len(hasher.count()).await.map_err(io)?;
    file.seek(io::SeekFrom::Start(hasher.count())).await.map_err(io)?;
    let mut pull = Pull::new(blobs, *digest, limit, hasher);
    let mut writer = BufWriter::with_capacity(CHUNK, file);
    let ended = loop {
        match pull.next().await {
            Ok(Some(chunk)) => writer.write_all(&chunk).await.map_err(io)?,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        progress(Fetched { done: pull.done(), size: pull.size.unwrap_or(0) });
    };
    // What came before a failure is kept for the next try.
    writer.flush().await.map_err(io)?;
    ended.map(|()| pull.done())
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    name.into()
}
