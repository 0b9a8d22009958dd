//! Checkpoints of one attempt: the one it resumes from, those it stores, and those nobody needs any more.
//!
//! Order is law: a blob is durable before its pointer is told to the store. Uploads run beside beats, never instead of them.

use std::collections::VecDeque;
use std::future::pending;

use sweep_core::ids::Digest;
use sweep_core::lifecycle::CheckpointPointer;
use sweep_core::trainer::Checkpoint;
use sweep_store::Lease;
use sweep_store::blobs::{BlobError, Blobs};
use tokio::task::JoinHandle;

use crate::attempt::Attempt;
use crate::crash::Point;
use crate::worker::Context;

/// The store keeps two pointers of a run: the newest, and the one before in case that is lost.
const KEPT: usize = 2;

/// See the module.
pub(crate) struct Checkpoints {
    /// Durable, but not told to the store yet.
    pub(crate) untold: Option<CheckpointPointer>,
    /// Those the store knows of, oldest first.
    told: VecDeque<Digest>,
    upload: Option<JoinHandle<Option<CheckpointPointer>>>,
}

impl Checkpoints {
    pub(crate) fn new(lease: &Lease) -> Self {
        let known = [&lease.previous, &lease.checkpoint].into_iter().flatten();
        let told = known.map(|pointer| pointer.digest).collect();
        Self { untold: None, told, upload: None }
    }

    /// Begins to store a checkpoint that the training handed over, one at a time; the training overwrites one that waits.
    pub(crate) fn store(&mut self, context: &Context, attempt: &std::sync::Arc<Attempt>) {
        if self.upload.is_some() {
            return;
        }
        if let Some(checkpoint) = attempt.take_checkpoint() {
            let (context, attempt) = (context.clone(), attempt.clone());
            let upload = async move { store(&context, checkpoint, &attempt).await };
            self.upload = Some(tokio::spawn(upload));
        }
    }

    /// Resolves when an upload under way has ended.
    pub(crate) async fn stored(&mut self) {
        let Some(upload) = &mut self.upload else { return pending().await };
        let stored = upload.await.ok().flatten();
        self.upload = None;
        self.untold = stored.or(self.untold.take());
    }

    /// The store knows this pointer now: frees the ones that it forgot by it.
    pub(crate) fn told(&mut self, pointer: CheckpointPointer, blobs: &Blobs) {
        if self.untold.is_some_and(|untold| untold.digest == pointer.digest) {
            self.untold = None;
        }
        if self.told.back() != Some(&pointer.digest) {
            self.told.retain(|digest| *digest != pointer.digest);
            self.told.push_back(pointer.digest);
        }
        let superseded = self.told.len().saturating_sub(KEPT);
        free(blobs, self.told.drain(..superseded));
    }

    /// The run has ended for good: nobody needs its checkpoints.
    pub(crate) fn free_all(&mut self, blobs: &Blobs) {
        let untold = self.untold.take().map(|pointer| pointer.digest);
        free(blobs, self.told.drain(..).chain(untold));
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.abort();
        }
    }
}

/// Removes blobs beside everything else. What is left, or comes back, is collected by a coordinator after a day.
fn free(blobs: &Blobs, digests: impl Iterator<Item = Digest>) {
    for digest in digests {
        let blobs = blobs.clone();
        tokio::spawn(async move {
            if let Err(error) = blobs.delete(&digest).await {
                tracing::debug!(%digest, %error, "an old checkpoint is left to collection");
            }
        });
    }
}

/// The newest stored checkpoint that can be read. A missing or damaged one is normal: the one before, else the start.
///
/// # Errors
/// When the place of blobs cannot be asked: starting over would throw work away.
pub(crate) async fn newest(blobs: &Blobs, lease: &Lease) -> Result<Option<Checkpoint>, BlobError> {
    for pointer in [&lease.checkpoint, &lease.previous].into_iter().flatten() {
        match blobs.get(&pointer.digest, pointer.bytes).await {
            Ok(bytes) => {
                let (epoch, batch) = (pointer.epoch, pointer.batch);
                return Ok(Some(Checkpoint { epoch, batch, bytes: bytes.into() }));
            }
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                tracing::warn!(run.id = %lease.run, %error, "a checkpoint cannot be used");
            }
        }
    }
    Ok(None)
}

/// Makes a checkpoint durable; only then may its pointer be told. `None` leaves the store with the one before.
pub(crate) async fn store(
    context: &Context,
    checkpoint: Checkpoint,
    attempt: &Attempt,
) -> Option<CheckpointPointer> {
    let Checkpoint { epoch, batch, bytes } = checkpoint;
    let size = bytes.len() as u64;
    context.crash.reached(Point::BeforeBlob).await;
    let stored = context.blobs.put(bytes).await;
    context.crash.reached(Point::BlobDurable).await;
    match stored {
        Ok(digest) => {
            context.metrics.checkpoint_bytes.inc_by(size);
            Some(CheckpointPointer { digest, epoch, batch, bytes: size })
        }
        Err(error) => {
            attempt.log(format!("a checkpoint could not be stored: {error}"));
            tracing::warn!(%error, "a checkpoint could not be stored");
            None
        }
    }
}
