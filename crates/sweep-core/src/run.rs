//! Configuration + seed = run, and the content hash that names it.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::dataset::DataSetRef;
use crate::ids::{ConfigurationId, Digest, RunId};
use crate::loss::Loss;
use crate::model::{Backbone, Model, Neck};
use crate::training::Training;

/// Bumped by hand when a change of the code changes results for the same inputs, so that old results are not joined.
pub const SEMANTICS: u32 = 1;

/// One point of a search space: everything but the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// What it trains and validates on.
    pub dataset: DataSetRef,
    /// What it minimises.
    pub loss: Loss,
    /// The network in front of the head.
    pub model: Model,
    /// How it is trained.
    pub training: Training,
}

/// Configuration + seed; complete, so that a worker needs nothing else but the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Everything but the seed.
    pub configuration: Configuration,
    /// Fixes head and backbone weights, batch order and augmentation, for every loss alike, so that runs pair over seeds.
    pub seed: u64,
}

/// Number of hexadecimal characters of a [`DataKey`]: 64 bits, for a hint that may be wrong without harm.
const DATA_KEY_CHARS: usize = 16;

/// Names the pictures that a run trains on, so that a worker can be given runs on those it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataKey(String);

impl DataKey {
    /// The 16 hexadecimal characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A run in its place in a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Content hash of `spec`.
    pub id: RunId,
    /// Place in the sweep's seed-major order, from 0.
    pub ord: u32,
    /// What to train.
    pub spec: RunSpec,
}

/// Like [`Model`], its weights by content alone.
#[derive(Serialize)]
struct ModelIdentity<'a> {
    backbone: Backbone,
    weights: String,
    neck: &'a Option<Neck>,
}

#[derive(Serialize)]
struct Identity<'a> {
    semantics: u32,
    content: &'a Digest,
    split: &'a Digest,
    loss: &'a Loss,
    model: ModelIdentity<'a>,
    training: &'a Training,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

impl Configuration {
    /// The content hash of everything but the seed; the data set's name is not in it.
    pub fn id(&self) -> ConfigurationId {
        ConfigurationId::of(&canonical::digest(&self.identity(None)))
    }

    fn identity(&self, seed: Option<u64>) -> Identity<'_> {
        Identity {
            semantics: SEMANTICS,
            content: &self.dataset.content,
            split: &self.dataset.split,
            loss: &self.loss,
            model: ModelIdentity {
                backbone: self.model.backbone,
                weights: self.model.weights.identity(),
                neck: &self.model.neck,
            },
            training: &self.training,
            seed,
        }
    }
}

impl RunSpec {
    /// The pictures it trains on: data set, split and size. Runs that share it share what a worker must hold.
    pub fn data_key(&self) -> DataKey {
        let Configuration { dataset, training, .. } = &self.configuration;
        let digest = canonical::digest(&(dataset.content, dataset.split, training.image_size));
        DataKey(digest.to_string()[..DATA_KEY_CHARS].to_owned())
    }

    /// The run id: first 20 base32 characters of blake3 over the canonical JSON of what changes the result.
    pub fn id(&self) -> RunId {
        RunId::of(&canonical::digest(&self.configuration.identity(Some(self.seed))))
    }
}
