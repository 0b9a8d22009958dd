//! Blobs as the API hands them out and takes them in: a thin layer over `sweep_store::blobs`, so that handlers see no files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sweep_core::ids::Digest;
use sweep_store::blobs::{BlobError, Blobs, Collected};
use tempfile::NamedTempFile;
use tokio::fs::File;

use super::problem::{Kind, Problem};

/// Where blobs are.
#[derive(Clone)]
pub struct Shelf {
    root: PathBuf,
    blobs: Blobs,
}

impl Shelf {
    /// The blobs in this directory, which is made if missing.
    ///
    /// # Errors
    /// [`BlobError::Io`] when it cannot be made.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        Ok(Self { root: root.to_owned(), blobs: Blobs::directory(root)? })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Its size, where there is such a blob.
    pub(crate) async fn size(&self, digest: &Digest) -> Result<Option<u64>, Problem> {
        match tokio::fs::metadata(self.path(digest)).await {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// The blob as a file.
    pub(crate) async fn file(&self, digest: &Digest) -> Result<Option<(File, u64)>, Problem> {
        let opened = async {
            let file = File::open(self.path(digest)).await?;
            let bytes = file.metadata().await?.len();
            Ok::<_, io::Error>((file, bytes))
        };
        match opened.await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// A file to receive a blob into; gone unless [`Self::keep`] takes it.
    pub(crate) fn receive(&self) -> Result<NamedTempFile, Problem> {
        tempfile::Builder::new()
            .suffix(".part")
            .tempfile_in(&self.root)
            .map_err(|error| unreadable(&error))
    }

    /// Keeps a received file, whose digest the caller has checked. Durable when it returns.
    pub(crate) async fn keep(
        &self,
        received: NamedTempFile,
        digest: Digest,
    ) -> Result<(), Problem> {
        let path = self.path(&digest);
        let kept = tokio::task::spawn_blocking(move || {
            let folder = path.parent().unwrap_or(Path::new(""));
            std::fs::create_dir_all(folder)?;
            received.as_file().sync_all()?;
            received.persist(&path).map_err(|error| error.error)?;
            std::fs::File::open(folder)?.sync_all()
        });
        kept.await.map_err(Problem::internal)?.map_err(|error| unreadable(&error))
    }

    /// Removes checkpoints that nobody needs any more.
    pub(crate) async fn collect(
        &self,
        live: BTreeSet<Digest>,
        written_before: SystemTime,
    ) -> Result<Collected, BlobError> {
        self.blobs.collect(&live, written_before).await
    }
}

fn unreadable(error: &io::Error) -> Problem {
    tracing::warn!(%error, "the blobs cannot be read or written");
    Problem::new(Kind::Blobs, format!("the blobs cannot be read or written: {}", error.kind()))
}
