//! Blobs: packed data sets, weights and checkpoints, each named by the blake3 digest of its content.
//!
//! A blob is durable before its name is told to anybody, appears only whole, and is checked whenever it is read. They lie in a
//! directory, in a bucket (S3, GCS, Azure), or behind a coordinator, which serves its own place to workers and `sweep submit`.
//! Not here: which blobs are still needed ([`live`] asks the store), and what is in them.
//!
//! Reading order: `address` (which place, whose credentials), `objects` and `directory`, `coordinator` (HTTP), `again` and `pull`
//! (what happens when bytes stop coming), `fetch` (a blob as a file).

mod address;
mod again;
mod coordinator;
mod directory;
mod error;
mod fetch;
mod objects;
mod pull;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, Stream};
use secrecy::SecretString;
use sweep_core::ids::Digest;

use self::address::Address;
use self::again::{PATIENCE, Patience, Tries};
use self::coordinator::Coordinator;
use self::objects::{CHUNK, Objects};
use crate::error::StoreError;
use crate::store::{Reads, Store};
pub use error::BlobError;

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

/// How far a fetch has come, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// At hand, those of earlier tries included.
    pub done: u64,
    /// Of the whole blob.
    pub size: u64,
}

/// Bytes of a blob as they come, unchecked: whoever gets them all must hash them.
pub struct Reading {
    /// Of the whole blob.
    pub size: u64,
    /// Which of its bytes follow.
    pub range: Range<u64>,
    /// They.
    pub bytes: BoxStream<'static, Result<Bytes, BlobError>>,
}

/// A place of blobs, opened. Any number of processes may share one. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Objects(Objects),
    Coordinator(Arc<Coordinator>),
}

impl Blobs {
    /// The blobs at `address`: a directory (made if missing) as a path or `file:PATH`; `s3://BUCKET/PREFIX`,
    /// `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX` with credentials from the environment; `http://` or `https://` of a
    /// coordinator, to which `token` is shown.
    ///
    /// A bucket or coordinator is not asked before the first call: whether it is there shows then.
    ///
    /// # Errors
    /// [`BlobError::Address`], [`BlobError::Credentials`], and [`BlobError::Io`] when a directory cannot be made.
    pub fn open(address: &str, token: Option<SecretString>) -> Result<Self, BlobError> {
        let variables: Vec<_> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::open_with(address, token, &variables, PATIENCE)
    }

    /// The blobs in a directory, which is made if missing.
    ///
    /// # Errors
    /// [`BlobError::Io`] when it cannot be made.
    pub fn directory(root: &Path) -> Result<Self, BlobError> {
        Objects::directory(root).map(|objects| Self { place: Place::Objects(objects) })
    }

    fn open_with(
        address: &str,
        token: Option<SecretString>,
        variables: &[(String, String)],
        patience: Patience,
    ) -> Result<Self, BlobError> {
        // Clients are made with the process's cryptography. Refused only where another part chose one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let place = match address::parse(address, variables)? {
            Address::Directory(root) => return Self::directory(&root),
            Address::Bucket(bucket) => Place::Objects(Objects::bucket(bucket)),
            Address::Coordinator(url) => {
                Place::Coordinator(Arc::new(Coordinator::new(url, token, patience)?))
            }
        };
        Ok(Self { place })
    }

    /// Whether they lie on this machine or in a bucket, not behind a coordinator: only then can they be listed and collected.
    pub fn is_own(&self) -> bool {
        matches!(self.place, Place::Objects(_))
    }

    /// Stores these bytes and names them. Durable when it returns.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn put(&self, bytes: impl Into<Bytes>) -> Result<Digest, BlobError> {
        let bytes: Bytes = bytes.into();
        let hashed = bytes.clone();
        let digest = directory::blocking(move || Ok(Digest::of(&hashed))).await?;
        let size = bytes.len() as u64;
        match &self.place {
            Place::Objects(objects) => {
                if !objects.holds(&digest, size).await? {
                    objects.write(&digest, size, chunks(bytes)).await?;
                }
            }
            Place::Coordinator(coordinator) => {
                let mut tries = Tries::new(coordinator.patience);
                while let Err(error) = coordinator.put(&digest, bytes.clone()).await {
                    tries.after(error).await?;
                }
            }
        }
        Ok(digest)
    }

    /// Stores a file and names it by its content, with its size. Durable when it returns. A file that changes meanwhile is
    /// refused as [`BlobError::Damaged`].
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn put_file(&self, path: &Path) -> Result<(Digest, u64), BlobError> {
        let of = path.to_owned();
        let (digest, size) = directory::blocking(move || {
            directory::hash(&of).map_err(|source| BlobError::Io { path: of, source })
        })
        .await?;
        match &self.place {
            Place::Objects(objects) => {
                if !objects.holds(&digest, size).await? {
                    let file = std::fs::File::open(path);
                    let file =
                        file.map_err(|source| BlobError::Io { path: path.to_owned(), source })?;
                    let bytes = objects::file_bytes(file, path.to_owned(), 0..size);
                    objects.write(&digest, size, bytes).await?;
                }
            }
            Place::Coordinator(coordinator) => {
                let mut tries = Tries::new(coordinator.patience);
                while let Err(error) = coordinator.put_file(&digest, path, size).await {
                    tries.after(error).await?;
                }
            }
        }
        Ok((digest, size))
    }

    /// Stores bytes as they come under the digest that they must have, at most `limit` of them; says how many came. Nothing is
    /// to be seen of them before they are whole and checked. For the receiving side of an upload.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when they are not what `digest` says, [`BlobError::TooLarge`], [`BlobError::Body`], …
    pub async fn receive(
        &self,
        digest: &Digest,
        limit: u64,
        bytes: impl Stream<Item = io::Result<Bytes>> + Send,
    ) -> Result<u64, BlobError> {
        let bytes = bytes.map(|chunk| chunk.map_err(|source| BlobError::Body { source }));
        match &self.place {
            Place::Objects(objects) => objects.write(digest, limit, bytes).await,
            Place::Coordinator(coordinator) => Err(coordinator.unsupported("pass uploads on")),
        }
    }

    /// The bytes of a blob of at most `limit` bytes, checked against its name.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Damaged`], [`BlobError::TooLarge`], …
    pub async fn get(&self, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
        pull::get(self, digest, limit).await
    }

    /// The blob's bytes in `range` (cut at its end), or all, as they come and **unchecked**: for passing on to somebody who checks.
    /// A coordinator may answer with more than was asked for: see [`Reading::range`].
    ///
    /// # Errors
    /// [`BlobError::Missing`], …
    pub async fn read(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Reading, BlobError> {
        let mut tries = Tries::new(self.patience());
        loop {
            match self.read_once(digest, range.clone()).await {
                Ok(reading) => return Ok(reading),
                Err(error) => tries.after(error).await?,
            }
        }
    }

    /// Makes the blob the file `path`, in a folder that is made if missing; says its size. The file appears only whole and
    /// checked; what came before a failure lies beside it (`.part`) and is gone on from. Several processes may fetch to one place at
    /// once: one does, the others wait. A file that is at `path` already is taken for the blob. From a directory on the same
    /// file system it is a link: do not write to it.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Damaged`], [`BlobError::TooLarge`], …
    pub async fn fetch_to(
        &self,
        digest: &Digest,
        path: &Path,
        limit: u64,
        progress: &mut (dyn FnMut(Fetched) + Send),
    ) -> Result<u64, BlobError> {
        fetch::fetch_to(self, digest, path, limit, progress).await
    }

    /// The blob's size; `None` where there is none.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn head(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match &self.place {
            Place::Objects(objects) => objects.head(digest).await,
            Place::Coordinator(coordinator) => {
                let mut tries = Tries::new(coordinator.patience);
                loop {
                    match coordinator.head(digest).await {
                        Ok(size) => return Ok(size),
                        Err(error) => tries.after(error).await?,
                    }
                }
            }
        }
    }

    /// Removes a blob; says whether there was one (S3 always says yes). A coordinator removes none that a run points to.
    ///
    /// # Errors
    /// [`BlobError`].
    pub async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        match &self.place {
            Place::Objects(objects) => objects.delete(digest).await,
            // Once: what is left is collected later.
            Place::Coordinator(coordinator) => coordinator.delete(digest).await,
        }
    }

    /// All blobs, by name.
    ///
    /// # Errors
    /// [`BlobError::Unsupported`] behind a coordinator, …
    pub async fn list(&self) -> Result<Vec<BlobInfo>, BlobError> {
        match &self.place {
            Place::Objects(objects) => objects.list().await,
            Place::Coordinator(coordinator) => Err(coordinator.unsupported("list blobs")),
        }
    }

    /// Removes the blobs that are not `live` and, with them, files left half-written, all only if last written before
    /// `written_before`: a blob is written before anybody points to it, so give it a day.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn collect(
        &self,
        live: &BTreeSet<Digest>,
        written_before: SystemTime,
    ) -> Result<Collected, BlobError> {
        let mut collected = Collected::default();
        for blob in self.list().await? {
            if !live.contains(&blob.digest)
                && blob.modified < written_before
                && self.delete(&blob.digest).await?
            {
                collected.deleted += 1;
                collected.bytes += blob.bytes;
            }
        }
        if let Place::Objects(objects) = &self.place {
            objects.remove_halves(written_before).await?;
        }
        Ok(collected)
    }

    /// The file that is the blob, where blobs are files of this machine.
    fn file(&self, digest: &Digest) -> Option<PathBuf> {
        match &self.place {
            Place::Objects(objects) => objects.file(digest),
            Place::Coordinator(_) => None,
        }
    }

    async fn read_once(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<Reading, BlobError> {
        match &self.place {
            Place::Objects(objects) => objects.read(digest, range).await,
            Place::Coordinator(coordinator) => coordinator.read(digest, range).await,
        }
    }

    fn patience(&self) -> Patience {
        match &self.place {
            // object_store has patience of its own.
            Place::Objects(_) => Patience { tries: 2, ..PATIENCE },
            Place::Coordinator(coordinator) => coordinator.patience,
        }
    }

    /// Bytes ended before the end.
    fn cut_off(&self) -> BlobError {
        match &self.place {
            Place::Objects(objects) => BlobError::Io {
                path: PathBuf::from(&objects.shown),
                source: io::ErrorKind::UnexpectedEof.into(),
            },
            Place::Coordinator(coordinator) => BlobError::Unreachable {
                address: coordinator.shown.clone(),
                why: "the connection ended before the blob did".to_owned(),
            },
        }
    }
}

impl fmt::Display for Blobs {
    /// Their place, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Objects(objects) => f.write_str(&objects.shown),
            Place::Coordinator(coordinator) => f.write_str(&coordinator.shown),
        }
    }
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Blobs").field(&self.to_string()).finish()
    }
}

/// Blobs that must stay: checkpoints that unfinished runs point to, and the input files of every sweep that is not cancelled.
///
/// # Errors
/// [`StoreError`].
pub async fn live(store: &impl Store) -> Result<BTreeSet<Digest>, StoreError> {
    let mut live = store.checkpoints().await?;
    for status in store.sweeps().await? {
        if status.state == crate::SweepState::Cancelled {
            continue;
        }
        if let Some((_, document)) = Reads::sweep(store, &status.id).await? {
            live.extend(document.inputs.iter().map(|input| input.digest));
        }
    }
    Ok(live)
}

/// Bytes at hand in pieces, so that hashing them leaves others their turn.
fn chunks(bytes: Bytes) -> impl Stream<Item = Result<Bytes, BlobError>> + Send {
    stream::unfold(bytes, |mut rest| async move {
        let next = rest.split_to(rest.len().min(CHUNK));
        (!next.is_empty()).then_some((Ok(next), rest))
    })
}
