//! What a training reads beside its run: the data sets of its sweep, and the files that were fetched for it.
//!
//! A worker fetches, before it trains, the files that the run's sweep names ([`sweep_core::sweep::Document::inputs`]); a trainer
//! asks its slot's [`Inputs`] for their paths. A built-in data set has no file: where [`Inputs::pack`] has none, the trainer must
//! know the data itself.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sweep_core::dataset::{DataSetInfo, DataSetRef};
use sweep_core::ids::{Digest, Sha256, SweepId};
use sweep_core::model::Weights;
use sweep_core::run::{DataKey, RunSpec};
use sweep_core::sweep::{Document, Input, InputFile};
use sweep_store::blobs::{BlobError, Blobs};
use sweep_store::{HOLDS_MAX, StoreError};

use crate::attempt::Attempt;
use crate::cache::{Cache, CacheError, Held};
use crate::calls::Calls;

/// Documents of sweeps kept at hand; a worker serves few sweeps at a time.
const DOCUMENTS: usize = 32;
/// Fetched data sets remembered: as many as a wish may name.
const PACKS: usize = HOLDS_MAX;

/// What is at hand for the attempt in a slot: a handle that its trainer keeps, and whose content changes from run to run.
#[derive(Clone, Default)]
pub struct Inputs(Arc<Mutex<Arc<Shelf>>>);

/// The content of an [`Inputs`] for one attempt.
#[derive(Default)]
pub(crate) struct Shelf {
    document: Option<Arc<Document>>,
    files: Vec<(Input, Held)>,
}

impl Inputs {
    /// The data set with this split, as its sweep was submitted with.
    pub fn dataset(&self, of: &DataSetRef) -> Option<DataSetInfo> {
        let shelf = self.shelf();
        let document = shelf.document.as_ref()?;
        document
            .datasets
            .iter()
            .find(|info| info.split == of.split && info.content == of.content)
            .cloned()
    }

    /// The packed pictures of a data set at this size, if they were fetched.
    pub fn pack(&self, of: &DataSetRef, image_size: u32) -> Option<PathBuf> {
        let (content, split) = (of.content, of.split);
        self.file(&Input::Pack { content, split, image_size })
    }

    /// The pretrained weights with this identity, if they were fetched.
    pub fn weights(&self, sha256: &Sha256) -> Option<PathBuf> {
        self.file(&Input::Weights { sha256: sha256.clone() })
    }

    /// Only these data sets, without files.
    #[cfg(test)]
    pub(crate) fn of(document: Document) -> Self {
        let inputs = Self::default();
        inputs.set(Shelf { document: Some(Arc::new(document)), files: Vec::new() });
        inputs
    }

    fn file(&self, input: &Input) -> Option<PathBuf> {
        let shelf = self.shelf();
        shelf.files.iter().find(|(found, _)| found == input).map(|(_, held)| held.path.clone())
    }

    /// Replaces what is at hand; files of before may then be dropped from the cache.
    pub(crate) fn set(&self, shelf: Shelf) {
        *self.lock() = Arc::new(shelf);
    }

    fn shelf(&self) -> Arc<Shelf> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Shelf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a run's inputs are not at hand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The blob is not where it should be; a person can bring it.
    #[error(
        "{what} is not at hand: no blob {digest} at {blobs}; `sweep submit` of its sweep, from where it lies, brings it"
    )]
    Missing { what: String, digest: Digest, blobs: String },
    #[error("{what} cannot be fetched from {blobs}: {error}")]
    Fetch { what: String, blobs: String, error: CacheError },
    #[error("the store did not tell what the run needs: {0}")]
    Store(#[from] StoreError),
    #[error("the store has no sweep {0}, to which the run belongs")]
    NoSweep(SweepId),
}

impl InputError {
    /// Whether this machine or its way to the blobs is at fault, not the run.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::Fetch { error: CacheError::Blob(error), .. } => {
                !matches!(error, BlobError::Damaged { .. } | BlobError::TooLarge { .. })
            }
            Self::Store(_) => true,
            _ => false,
        }
    }
}

/// Fetches what runs need.
pub(crate) struct Fetcher {
    calls: Calls,
    blobs: Blobs,
    /// Without one nothing is fetched: the trainer has everything.
    cache: Option<Arc<Cache>>,
    documents: Mutex<VecDeque<(SweepId, Arc<Document>)>>,
    /// Data sets fetched since the start, the newest first; the cache may have dropped some.
    packs: Mutex<VecDeque<(DataKey, Digest)>>,
}

impl Fetcher {
    pub(crate) fn new(calls: Calls, blobs: Blobs, cache: Option<Arc<Cache>>) -> Self {
        Self { calls, blobs, cache, documents: Mutex::default(), packs: Mutex::default() }
    }

    /// What this run of this sweep needs; waits for downloads.
    pub(crate) async fn shelf(
        &self,
        sweep: &SweepId,
        run: &RunSpec,
        attempt: &Attempt,
    ) -> Result<Shelf, InputError> {
        let document = self.document(sweep).await?;
        let mut files = Vec::new();
        if let Some(cache) = &self.cache {
            for input in document.inputs.iter().filter(|input| needs(run, &input.input)) {
                files.push((input.input.clone(), self.fetch(cache, run, input, attempt).await?));
                if matches!(input.input, Input::Pack { .. }) {
                    self.remember(run.data_key(), input.digest);
                }
            }
        }
        Ok(Shelf { document: Some(document), files })
    }

    /// Data sets in the cache that runs of this process read, those read last first.
    pub(crate) fn held(&self) -> Vec<DataKey> {
        let Some(cache) = &self.cache else { return Vec::new() };
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.iter().filter(|(_, file)| cache.has(file)).map(|(key, _)| key.clone()).collect()
    }

    fn remember(&self, key: DataKey, file: Digest) {
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.retain(|(known, _)| *known != key);
        packs.push_front((key, file));
        packs.truncate(PACKS);
    }

    async fn fetch(
        &self,
        cache: &Arc<Cache>,
        run: &RunSpec,
        input: &InputFile,
        attempt: &Attempt,
    ) -> Result<Held, InputError> {
        let what = named(run, &input.input);
        let began = std::time::Instant::now();
        match cache.file(&self.blobs, input.digest, input.bytes).await {
            Ok(held) => {
                let seconds = began.elapsed().as_secs_f64();
                attempt.log(format!("{what} at hand after {seconds:.1} s ({} bytes)", input.bytes));
                Ok(held)
            }
            Err(CacheError::Blob(BlobError::Missing { digest })) => {
                Err(InputError::Missing { what, digest, blobs: self.blobs.to_string() })
            }
            Err(error) => Err(InputError::Fetch { what, blobs: self.blobs.to_string(), error }),
        }
    }

    /// What a sweep reads never changes, so one look is enough.
    async fn document(&self, sweep: &SweepId) -> Result<Arc<Document>, InputError> {
        let known = self.lock().iter().find(|(id, _)| id == sweep).map(|(_, d)| d.clone());
        if let Some(document) = known {
            return Ok(document);
        }
        let document = self.calls.document(sweep).await?;
        let document = Arc::new(document.ok_or_else(|| InputError::NoSweep(sweep.clone()))?);
        let mut documents = self.lock();
        documents.push_back((sweep.clone(), document.clone()));
        if documents.len() > DOCUMENTS {
            documents.pop_front();
        }
        Ok(document)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SweepId, Arc<Document>)>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this run reads this file.
fn needs(run: &RunSpec, input: &Input) -> bool {
    let configuration = &run.configuration;
    match input {
        Input::Pack { content, split, image_size } => {
            configuration.dataset.content == *content
                && configuration.dataset.split == *split
                && configuration.training.image_size == *image_size
        }
        Input::Weights { sha256 } => match &configuration.model.weights {
            Weights::Pretrained(of) => of.sha256.as_ref() == Some(sha256),
            Weights::Random => false,
        },
    }
}

/// A file as people call it.
fn named(run: &RunSpec, input: &Input) -> String {
    match input {
        Input::Pack { image_size, .. } => {
            format!("data set `{}` at image size {image_size}", run.configuration.dataset.name)
        }
        Input::Weights { .. } => "the file of pretrained weights".to_owned(),
    }
}
