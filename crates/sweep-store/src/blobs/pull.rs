//! The bytes of a blob, in order, whatever breaks on the way, checked against its name at the end.

use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt;
use sweep_core::ids::Digest;

use super::again::Tries;
use super::error::BlobError;
use super::{Blobs, Reading};

/// This much more of a blob is progress enough for failures to be forgotten; less, and a place that drops every connection
/// after a byte would be asked for ever.
const PROGRESS: u64 = 1 << 20;

/// A blob on its way.
pub(super) struct Pull<'a> {
    blobs: &'a Blobs,
    digest: Digest,
    limit: u64,
    done: u64,
    hasher: blake3::Hasher,
    reading: Option<Reading>,
    tries: Tries,
    /// `done` when failures were forgotten last.
    counted: u64,
    /// Of the whole blob, once known.
    pub(super) size: Option<u64>,
}

impl<'a> Pull<'a> {
    /// The blob from behind its first bytes, which `hasher` has seen.
    pub(super) fn new(
        blobs: &'a Blobs,
        digest: Digest,
        limit: u64,
        hasher: blake3::Hasher,
    ) -> Self {
        let done = hasher.count();
        let tries = Tries::new(blobs.patience());
        let (reading, size) = (None, None);
        Self { blobs, digest, limit, done, hasher, reading, tries, counted: done, size }
    }

    /// Bytes had so far, those from before included.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// The next bytes; `None` when all were had and are the blob.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        loop {
            match self.step().await {
                Ok(Some(chunk)) => {
                    self.hasher.update(&chunk);
                    self.done += chunk.len() as u64;
                    if self.done - self.counted >= PROGRESS {
                        self.counted = self.done;
                        self.tries.restart();
                    }
                    return Ok(Some(chunk));
                }
                Ok(None) if *self.hasher.finalize().as_bytes() == self.digest.0 => return Ok(None),
                Ok(None) => return Err(BlobError::Damaged { digest: self.digest }),
                Err(error) => {
                    self.reading = None;
                    self.tries.after(error).await?;
                }
            }
        }
    }

    /// Bytes from `done` on; `None` at the end of the blob as it was announced.
    async fn step(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.size == Some(self.done) {
            return Ok(None);
        }
        if self.reading.is_none() {
            self.open().await?;
        }
        let Some(reading) = &mut self.reading else { return Ok(None) };
        while let Some(chunk) = reading.bytes.next().await {
            let mut chunk = chunk?;
            // A place that knows no ranges begins at the beginning.
            let skipped = self.done.saturating_sub(reading.range.start).min(chunk.len() as u64);
            let _ = chunk.split_to(skipped as usize);
            reading.range.start += skipped + chunk.len() as u64;
            if self.done + chunk.len() as u64 > reading.size {
                return Err(BlobError::Damaged { digest: self.digest });
            }
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        // Cut off without a word: ask for the rest.
        Err(self.blobs.cut_off())
    }

    async fn open(&mut self) -> Result<(), BlobError> {
        let range = (self.done > 0).then_some(self.done..u64::MAX);
        let reading = self.blobs.read_once(&self.digest, range).await?;
        if reading.size > self.limit {
            return Err(BlobError::TooLarge { digest: self.digest, limit: self.limit });
        }
        if reading.range.start > self.done || reading.size < self.done {
            return Err(BlobError::Damaged { digest: self.digest });
        }
        self.size = Some(reading.size);
        if reading.size > self.done {
            self.reading = Some(reading);
        }
        Ok(())
    }
}

/// All bytes of a blob of at most `limit`.
pub(super) async fn get(blobs: &Blobs, digest: &Digest, limit: u64) -> Result<Bytes, BlobError> {
    let mut pull = Pull::new(blobs, *digest, limit, blake3::Hasher::new());
    let mut bytes = Vec::new();
    while let Some(chunk) = pull.next().await? {
        if bytes.is_empty() {
            // A promise of the place, but within the caller's limit.
            bytes.reserve(usize::try_from(pull.size.unwrap_or(0)).unwrap_or(0));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// A hasher that has seen this file.
pub(super) fn hasher_of(path: &Path) -> std::io::Result<blake3::Hasher> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher)
}
