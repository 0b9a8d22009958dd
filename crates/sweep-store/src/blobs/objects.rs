//! Blobs in a directory or in a bucket: `{first two characters}/{digest}` below a prefix.
//!
//! A directory is written with `object_store`'s `with_fsync`, which makes a file's bytes, its name and every folder it had to
//! make durable before it returns (read in its source, 0.14.2). Not covered: a folder that another process made a moment ago
//! and has not made durable yet, hence the sync of the root after each write; and deletions, which may come back.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt,
};
use sweep_core::ids::Digest;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::address::Bucket;
use super::directory;
use super::error::BlobError;
use super::{BlobInfo, Reading};

/// From this size on a blob is sent in parts of this size: the least that a failed request costs, and well above the 5 MiB
/// that S3 asks for.
pub(super) const PART: usize = 8 << 20;
/// Parts under way at once, which bounds the memory of one upload to five parts.
const PARTS_AT_ONCE: usize = 4;
/// What is read from a file at once.
pub(super) const CHUNK: usize = 256 << 10;
/// A blob written longer ago than this is written again, so that a collection, which spares what is younger than a day, leaves
/// it to whoever points to it next.
const FRESH: Duration = Duration::from_secs(12 * 3600);

/// See the module.
#[derive(Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    pub(super) shown: String,
    /// Where the blobs are files of this machine.
    root: Option<PathBuf>,
}

impl Objects {
    /// The blobs in the folder `root`, which is made if missing.
    pub(super) fn directory(root: &FilePath) -> Result<Self, BlobError> {
        let at = |source| BlobError::Io { path: root.to_owned(), source };
        directory::make(root).map_err(at)?;
        let root = root.canonicalize().map_err(at)?;
        let shown = root.display().to_string();
        let store = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| BlobError::Objects { address: shown.clone(), error: Box::new(error) })?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default(), shown, root: Some(root) })
    }

    /// The blobs in a bucket. Nobody is asked before the first call.
    pub(super) fn bucket(bucket: Bucket) -> Self {
        let Bucket { store, prefix, shown } = bucket;
        Self { store: Arc::from(store), prefix, shown, root: None }
    }

    /// The file that is the blob, where blobs are files.
    pub(super) fn file(&self, digest: &Digest) -> Option<PathBuf> {
        let name = digest.to_string();
        self.root.as_ref().map(|root| root.join(&name[..2]).join(name))
    }

    /// Whether the blob need not be written again: whole and young, or made young.
    pub(super) async fn holds(&self, digest: &Digest, bytes: u64) -> Result<bool, BlobError> {
        if let Some(path) = self.file(digest) {
            let digest = *digest;
            return directory::blocking(move || directory::renew(&path, &digest)).await;
        }
        let Some(meta) = self.meta(digest).await? else { return Ok(false) };
        let age = SystemTime::now().duration_since(meta.last_modified.into()).unwrap_or_default();
        Ok(meta.size == bytes && age < FRESH)
    }

    /// Stores these bytes under the digest that they must have. Nothing is to be seen of them before they are whole and checked.
    pub(super) async fn write(
        &self,
        digest: &Digest,
        limit: u64,
        bytes: impl Stream<Item = Result<Bytes, BlobError>> + Send,
    ) -> Result<u64, BlobError> {
        let mut writer = BufWriter::with_capacity(self.store.clone(), self.path(digest), PART)
            .with_max_concurrency(PARTS_AT_ONCE);
        let size = match copy(digest, limit, bytes, &mut writer, &self.shown).await {
            Ok(size) => size,
            Err(error) => {
                if let Err(left) = writer.abort().await {
                    tracing::warn!(%digest, %left, "a broken upload could not be cleaned up");
                }
                return Err(error);
            }
        };
        writer.shutdown().await.map_err(|error| self.written(error))?;
        if let Some(root) = self.root.clone() {
            directory::blocking(move || {
                directory::sync(&root).map_err(|source| BlobError::Io { path: root, source })
            })
            .await?;
        }
        Ok(size)
    }

    /// The blob's bytes in `range` (cut at its end), unchecked.
    pub(super) async fn read(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Reading, BlobError> {
        let range = range.map(|range| match range.end {
            u64::MAX => GetRange::Offset(range.start),
            _ => GetRange::Bounded(range),
        });
        let options = GetOptions { range, ..GetOptions::default() };
        let got = match self.store.get_opts(&self.path(digest), options).await {
            Ok(got) => got,
            Err(object_store::Error::NotFound { .. }) => {
                return Err(BlobError::Missing { digest: *digest });
            }
            Err(error) => return Err(self.error(error)),
        };
        let (size, range) = (got.meta.size, got.range.clone());
        let bytes = match got.payload {
            GetResultPayload::File(file, path) => file_bytes(file, path, range.clone()),
            GetResultPayload::Stream(stream) => {
                let this = self.clone();
                stream.map_err(move |error| this.error(error)).boxed()
            }
        };
        Ok(Reading { size, range, bytes })
    }

    /// The blob's size; `None` where there is none.
    pub(super) async fn head(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        Ok(self.meta(digest).await?.map(|meta| meta.size))
    }

    async fn meta(&self, digest: &Digest) -> Result<Option<ObjectMeta>, BlobError> {
        match self.store.head(&self.path(digest)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Removes the blob; whether there was one, as far as the place tells (S3 does not).
    pub(super) async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.store.delete(&self.path(digest)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.error(error)),
        }
    }

    /// All blobs. Objects with other names are not blobs and are left out.
    pub(super) async fn list(&self) -> Result<Vec<BlobInfo>, BlobError> {
        let mut listing = self.store.list(Some(&self.prefix));
        let mut blobs = Vec::new();
        while let Some(meta) = listing.next().await {
            let meta = match meta {
                Ok(meta) => meta,
                // Another process may collect at the same time.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(self.error(error)),
            };
            let Some(digest) = meta.location.filename().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if self.path(&digest) == meta.location {
                let modified = meta.last_modified.into();
                blobs.push(BlobInfo { digest, bytes: meta.size, modified });
            }
        }
        blobs.sort_by_key(|blob| blob.digest);
        Ok(blobs)
    }

    /// Removes what writers that died left half-written, if older than `before`. Buckets do that by their own life cycle rules.
    pub(super) async fn remove_halves(&self, before: SystemTime) -> Result<(), BlobError> {
        let Some(root) = self.root.clone() else { return Ok(()) };
        directory::blocking(move || directory::remove_halves(&root, before)).await
    }

    /// Two characters of fan-out keep folders small.
    fn path(&self, digest: &Digest) -> Path {
        let name = digest.to_string();
        self.prefix.clone().join(&name[..2]).join(name)
    }

    fn error(&self, error: object_store::Error) -> BlobError {
        BlobError::Objects { address: self.shown.clone(), error: Box::new(error) }
    }

    fn written(&self, error: io::Error) -> BlobError {
        // BufWriter wraps what the store said.
        match error.downcast::<object_store::Error>() {
            Ok(error) => self.error(error),
            Err(source) => BlobError::Io { path: PathBuf::from(&self.shown), source },
        }
    }
}

/// Passes bytes on while counting and hashing them; what is not whole and right is an error before anything is to be seen of it.
async fn copy(
    digest: &Digest,
    limit: u64,
    bytes: impl Stream<Item = Result<Bytes, BlobError>> + Send,
    writer: &mut BufWriter,
    shown: &str,
) -> Result<u64, BlobError> {
    let mut bytes = std::pin::pin!(bytes);
    let mut hasher = blake3::Hasher::new();
    let mut size = 0u64;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(BlobError::TooLarge { digest: *digest, limit });
        }
        hasher.update(&chunk);
        let put = writer.put(chunk).await;
        put.map_err(|error| BlobError::Objects {
            address: shown.to_owned(),
            error: Box::new(error),
        })?;
        // A chunk at hand is hashed without waiting for anything: let others have their turn.
        tokio::task::yield_now().await;
    }
    if *hasher.finalize().as_bytes() != digest.0 {
        return Err(BlobError::Damaged { digest: *digest });
    }
    Ok(size)
}

/// The bytes of an open file in `range`, in chunks.
pub(super) fn file_bytes(
    file: fs::File,
    path: PathBuf,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes, BlobError>> {
    let file = tokio::fs::File::from_std(file);
    let begin = (file, path, range.start, range.end, true);
    stream::try_unfold(begin, |(mut file, path, from, end, first)| async move {
        if from >= end {
            return Ok(None);
        }
        let read = async {
            if first {
                file.seek(io::SeekFrom::Start(from)).await?;
            }
            let want = usize::try_from(end - from).unwrap_or(usize::MAX).min(CHUNK);
            let mut chunk = vec![0; want];
            let got = file.read(&mut chunk).await?;
            chunk.truncate(got);
            if got == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(chunk) }
        };
        match read.await {
            Ok(chunk) => {
                let next = from + chunk.len() as u64;
                Ok(Some((Bytes::from(chunk), (file, path, next, end, false))))
            }
            Err(source) => Err(BlobError::Io { path, source }),
        }
    })
    .boxed()
}
