//! What outlives a run in a slot: its device, the data sets, weights and features it has seen.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sweep_core::dataset::DataSetRef;
use sweep_core::ids::{Digest, Sha256};
use sweep_core::model::{self, Model, Weights};
use sweep_core::result::DeviceKind;
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, TrainError};
use sweep_core::training::Mode;
use sweep_data::Part;

use super::classifier::{self, Task, numbers};
use super::head::HeadAlone;
use super::network::Network;
use super::training::{Images, Training};
use super::{DataSource, TrainBackend, WeightsSource};
use crate::feed::Feed;
use crate::frozen::Features;
use crate::frozen::cache::{Cache, Key, Look, Making};
use crate::network::{BackboneConfig, BackboneKind, Template};
use crate::rng::KeyedRng;
use crate::shared;
use crate::weights::{self, WeightsError};

/// Data sets kept per slot; a sweep rarely has more, and a slot sees one after the other.
const KEPT_FEEDS: usize = 3;
/// Networks with pretrained weights kept per slot.
const KEPT_TEMPLATES: usize = 2;
/// Sets of features kept per slot: 14 MB for 1740 images and a ResNet-50.
const KEPT_FEATURES: usize = 8;
/// The seed that draws a frozen backbone without pretrained weights, the same for all runs.
const FROZEN_SEED: u64 = 0;
/// Between two looks whether another slot has made the features.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One training thread's device and data.
pub(super) struct Slot<B: TrainBackend> {
    device: B::Device,
    kind: DeviceKind,
    pub(super) sources: Sources,
    /// In each list the one used last is last.
    feeds: Vec<(FeedKey, Feed<B>)>,
    /// Networks with pretrained weights, which slots of one device share.
    templates: Vec<(TemplateKey, Arc<Template<B>>)>,
    features: Vec<(Key, Arc<Features>)>,
}

/// Where a slot gets what it does not hold.
pub(super) struct Sources {
    pub(super) data: DataSource,
    pub(super) weights: Option<WeightsSource>,
    /// Where features are kept; `None`: in memory only.
    pub(super) features: Option<PathBuf>,
}

/// Which network, and the file of its weights.
type TemplateKey = (model::Backbone, Sha256);

#[derive(Clone, Copy, PartialEq, Eq)]
struct FeedKey {
    content: Digest,
    split: Digest,
    image_size: u32,
}

impl<B: TrainBackend> Slot<B> {
    /// A slot that holds no data yet.
    pub(super) fn new(device: B::Device, kind: DeviceKind, data: DataSource) -> Self {
        let sources = Sources { data, weights: None, features: None };
        let (feeds, templates, features) = (Vec::new(), Vec::new(), Vec::new());
        Self { device, kind, sources, feeds, templates, features }
    }

    /// See [`sweep_core::trainer::Trainer::train`].
    pub(super) fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        let (kind, device) = (self.kind, self.device.clone());
        let configuration = &run.configuration;
        match configuration.training.mode {
            Mode::Full => {
                let template = self.template(&configuration.model)?;
                let feed = self.feed(&configuration.dataset, configuration.training.image_size)?;
                let packed = feed.packed();
                let images = Images {
                    class_counts: packed.class_counts(Part::Train),
                    val_labels: packed.val_labels().to_vec(),
                };
                let network = Network::new(run, template.as_deref(), device, feed);
                let training = Training::new(run, kind, images, network)?;
                Ok(training.resumed(resume).finish(observer))
            }
            Mode::Head => {
                let features = match self.features(run, observer)? {
                    ControlFlow::Break(outcome) => return Ok(outcome),
                    ControlFlow::Continue(features) => features,
                };
                let images = HeadAlone::images(&features);
                let training = Training::new(run, kind, images, HeadAlone::new(run, features))?;
                Ok(training.resumed(resume).finish(observer))
            }
        }
    }

    /// Drops everything kept, and has the device's pools give back what nothing lives in.
    pub(super) fn forget(&mut self) {
        (self.feeds, self.templates, self.features) = Default::default();
        B::memory_cleanup(&self.device);
    }

    fn feed(&mut self, dataset: &DataSetRef, image_size: u32) -> Result<&mut Feed<B>, TrainError> {
        let key = FeedKey { content: dataset.content, split: dataset.split, image_size };
        if used(&mut self.feeds, &key).is_none() {
            let packed = (self.sources.data)(dataset, image_size)?;
            let found = FeedKey {
                content: packed.content(),
                split: packed.split(),
                image_size: packed.image_size(),
            };
            if found != key {
                return Err(TrainError::Input(format!(
                    "the packed data is not that of data set `{}` at image size {image_size}: pack it again",
                    dataset.name
                )));
            }
            keep(&mut self.feeds, key, Feed::new(packed, self.device.clone()), KEPT_FEEDS);
        }
        let (_, feed) = self.feeds.last_mut().expect("just put or found there");
        Ok(feed)
    }

    /// What `model` starts from, where its weights are not drawn.
    fn template(&mut self, model: &Model) -> Result<Option<Arc<Template<B>>>, TrainError> {
        let Weights::Pretrained(of) = &model.weights else { return Ok(None) };
        let missing = || TrainError::Input(format!("the weights {} are not at hand", of.name));
        let sha256 = of.sha256.as_ref().ok_or_else(missing)?;
        let key = (model.backbone, sha256.clone());
        if let Some(template) = used(&mut self.templates, &key) {
            return Ok(Some(template.clone()));
        }
        let source = self.sources.weights.as_ref().ok_or_else(missing)?;
        let name = format!("{:?} {:?} {sha256}", self.device, model.backbone);
        let template = shared::held(name, || {
            let path = source(of)?;
            let state =
                weights::load(&path, sha256, model.backbone).map_err(|error| match error {
                    WeightsError::Io { .. } => TrainError::Transient(error.to_string()),
                    other => TrainError::Input(format!("weights {}: {other}", of.name)),
                })?;
            let config = BackboneConfig::published(BackboneKind::of(model.backbone));
            config
                .template::<B>(&state, &self.device)
                .map_err(|error| TrainError::Input(error.to_string()))
        })?;
        keep(&mut self.templates, key, template.clone(), KEPT_TEMPLATES);
        Ok(Some(template))
    }

    /// The features that `run` trains on: at hand, from the cache, or computed now.
    fn features(
        &mut self,
        run: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<Outcome, Arc<Features>>, TrainError> {
        let configuration = &run.configuration;
        let (dataset, model) = (&configuration.dataset, &configuration.model);
        let image_size = configuration.training.image_size;
        let weights = match &model.weights {
            Weights::Random => None,
            Weights::Pretrained(of) => of.sha256.as_ref().map(ToString::to_string),
        };
        let key = Key {
            content: dataset.content,
            split: dataset.split,
            image_size,
            backbone: model.backbone,
            weights,
            device: self.kind,
        };
        if let Some(features) = used(&mut self.features, &key) {
            return Ok(ControlFlow::Continue(features.clone()));
        }
        let packed = self.feed(dataset, image_size)?.packed();
        let mut labels = packed.train_labels().to_vec();
        labels.extend(packed.val_labels());
        let (train, classes) = (packed.train().len(), packed.class_count());
        let dim = classifier::backbone(model, &Task::of(packed)).features();
        let looked = match self.sources.features.as_deref() {
            Some(folder) => {
                found_or_to_make(&Cache::new(folder), &key, dim * labels.len(), observer)
            }
            None => ControlFlow::Continue(Err(None)),
        };
        let rows = match looked {
            ControlFlow::Break(outcome) => return Ok(ControlFlow::Break(outcome)),
            ControlFlow::Continue(Ok(rows)) => rows,
            ControlFlow::Continue(Err(making)) => match self.computed(run, observer)? {
                ControlFlow::Break(outcome) => return Ok(ControlFlow::Break(outcome)),
                ControlFlow::Continue(rows) => {
                    making.into_iter().for_each(|making| making.keep(&rows));
                    rows
                }
            },
        };
        let features = Arc::new(Features::new(rows, dim, labels, train, classes));
        keep(&mut self.features, key, features.clone(), KEPT_FEATURES);
        Ok(ControlFlow::Continue(features))
    }

    /// Features of every image, training images first: the frozen backbone in evaluation mode on evaluation views.
    fn computed(
        &mut self,
        run: &RunSpec,
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<Outcome, Vec<f32>>, TrainError> {
        let configuration = &run.configuration;
        let template = self.template(&configuration.model)?;
        let device = self.device.clone();
        let feed = self.feed(&configuration.dataset, configuration.training.image_size)?;
        let config = classifier::backbone(&configuration.model, &Task::of(feed.packed()));
        let backbone = match template {
            Some(template) => template.frozen(),
            None => config.init::<B>(&KeyedRng::new(FROZEN_SEED).named("weights"), &device),
        };
        let batches: Vec<_> = [Part::Train, Part::Val]
            .iter()
            .flat_map(|part| feed.evaluation_ranges(*part))
            .collect();
        let mut rows = Vec::new();
        for (index, range) in batches.iter().enumerate() {
            if let ControlFlow::Break(outcome) = obey(observer, index, batches.len()) {
                return Ok(ControlFlow::Break(outcome));
            }
            let batch = numbers(backbone.features(feed.evaluation_batch(range.clone())));
            if !batch.iter().all(|v| v.is_finite()) {
                return Err(TrainError::Input(format!(
                    "the frozen backbone gives features of data set `{}` that are not finite",
                    configuration.dataset.name
                )));
            }
            rows.extend(batch);
        }
        Ok(ControlFlow::Continue(rows))
    }
}

/// The features in `cache`, or the right to make them; waits while another slot makes them.
fn found_or_to_make(
    cache: &Cache,
    key: &Key,
    count: usize,
    observer: &mut dyn Observer,
) -> ControlFlow<Outcome, Result<Vec<f32>, Option<Making>>> {
    loop {
        match cache.look(key, count) {
            Look::Found(rows) => return ControlFlow::Continue(Ok(rows)),
            Look::Make(making) => return ControlFlow::Continue(Err(Some(making))),
            Look::Busy => {
                obey(observer, 0, 1)?;
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

/// Asks `observer` while there are no features yet, hence nothing worth a checkpoint.
fn obey(observer: &mut dyn Observer, done: usize, batches: usize) -> ControlFlow<Outcome> {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match observer.batch(0, count(done), count(batches)) {
        Order::Continue | Order::Checkpoint => ControlFlow::Continue(()),
        Order::Yield => {
            let start = Checkpoint { epoch: 0, batch: 0, bytes: Vec::new() };
            ControlFlow::Break(Outcome::Yielded(start))
        }
        Order::Stop => ControlFlow::Break(Outcome::Stopped),
    }
}

/// The value of `key`, which becomes the one used last.
fn used<'a, K: PartialEq, V>(list: &'a mut [(K, V)], key: &K) -> Option<&'a V> {
    let index = list.iter().position(|(kept, _)| kept == key)?;
    list[index..].rotate_left(1);
    list.last().map(|(_, value)| value)
}

/// Keeps `value` as the one used last, and at most `most`.
fn keep<K, V>(list: &mut Vec<(K, V)>, key: K, value: V, most: usize) {
    if list.len() == most {
        list.remove(0);
    }
    list.push((key, value));
}
