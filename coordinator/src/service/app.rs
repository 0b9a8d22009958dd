//! What every handler may use, and the bounds that all requests share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_store::blobs::Blobs;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::feed::Feed;
use super::metrics::{Metrics, Timed};
use super::problem::{Kind, Problem};
use super::tokens::Tokens;
use crate::dashboard::bests::Bests;
use crate::dashboard::pictures::Pictures;
use crate::dashboard::watch::Hub;

/// Requests answered at a time; further ones are told to come again.
const REQUESTS: usize = 256;
/// Reports and plans made at a time: each takes a core and much memory.
const HEAVY: usize = 2;
/// How long such a request may stand in line.
const HEAVY_WAIT: Duration = Duration::from_secs(20);
/// Blobs received at a time: each holds a file on disk.
const UPLOADS: usize = 32;
/// Streams of events open at a time.
const STREAMS: usize = 512;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

/// The parts of an [`App`].
pub(crate) struct Parts {
    pub(crate) store: Timed,
    pub(crate) metrics: Metrics,
    pub(crate) blobs: Blobs,
    pub(crate) tokens: Tokens,
    pub(crate) feed: Feed,
    /// Sweeps that somebody looks at.
    pub(crate) hub: Hub,
    /// For the list of sweeps.
    pub(crate) bests: Bests,
    /// The namespace of the store: all that `/demand` knows.
    pub(crate) pool: String,
    /// Where manifests are that a sweep file alone may name.
    pub(crate) datasets: Option<PathBuf>,
    /// Bytes of a body of JSON or YAML.
    pub(crate) max_body: u64,
    /// Bytes of a blob.
    pub(crate) max_blob: u64,
    pub(crate) stop: CancellationToken,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) pictures: Pictures,
    heavy: Arc<Semaphore>,
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an [`App`] is made of.
pub(crate) struct Given {
    pub(crate) store: Timed,
    pub(crate) metrics: Metrics,
    pub(crate) blobs: Blobs,
    pub(crate) tokens: Tokens,
    pub(crate) pool: String,
    pub(crate) datasets: Option<PathBuf>,
    pub(crate) max_body: u64,
    pub(crate) max_blob: u64,
    pub(crate) stop: CancellationToken,
}

impl App {
    pub(crate) fn new(given: Given) -> Self {
        let Given { store, metrics, blobs, tokens, pool, datasets, max_body, max_blob, stop } =
            given;
        Self(Arc::new(Parts {
            store,
            metrics,
            blobs,
            tokens,
            feed: Feed::default(),
            hub: Hub::default(),
            bests: Bests::default(),
            pool,
            datasets,
            max_body,
            max_blob,
            stop,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
            pictures: Pictures::default(),
            heavy: Arc::new(Semaphore::new(HEAVY)),
        }))
    }

    /// Runs what takes a core for long on a thread of its own, few at a time. A panic of it is a problem, not the end.
    ///
    /// # Errors
    /// When the line is too long, or it panicked.
    pub(crate) async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = tokio::time::timeout(HEAVY_WAIT, self.heavy.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Problem::new(Kind::Busy, "too many reports and plans are being made"));
        };
        // The permit goes along: a request that is given up does not end the work.
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        work.await.map_err(Problem::internal)
    }
}

/// One place among so many, or word that there is none.
///
/// # Errors
/// When all are taken.
pub(crate) fn place(among: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    among
        .clone()
        .try_acquire_owned()
        .map_err(|_| Problem::new(Kind::Busy, "too many requests at a time; try again"))
}
