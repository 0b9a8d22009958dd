//! What outlives a run in a slot: its device and the data sets it has seen.

use burn::tensor::backend::Backend;
use sweep_core::dataset::DataSetRef;
use sweep_core::ids::Digest;
use sweep_core::result::DeviceKind;
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Outcome, TrainError};

use super::DataSource;
use super::training::Training;
use crate::feed::Feed;
use crate::ops::FusedBackend;

/// Data sets kept per slot; a sweep rarely has more, and a slot sees one after the other.
const KEPT_FEEDS: usize = 3;

/// One training thread's device and data.
pub(super) struct Slot<B: Backend> {
    device: B::Device,
    kind: DeviceKind,
    source: DataSource,
    /// The one used last is last.
    feeds: Vec<(Key, Feed<B>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    content: Digest,
    split: Digest,
    image_size: u32,
}

impl<B: FusedBackend> Slot<B> {
    /// A slot that holds no data yet.
    pub(super) fn new(device: B::Device, kind: DeviceKind, source: DataSource) -> Self {
        Self { device, kind, source, feeds: Vec::new() }
    }

    /// See [`sweep_core::trainer::Trainer::train`].
    pub(super) fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        let (kind, device) = (self.kind, self.device.clone());
        let feed = self.feed(&run.configuration.dataset, run.configuration.training.image_size)?;
        Ok(Training::new(run, kind, device, feed)?.resumed(resume).finish(observer))
    }

    fn feed(&mut self, dataset: &DataSetRef, image_size: u32) -> Result<&mut Feed<B>, TrainError> {
        let key = Key { content: dataset.content, split: dataset.split, image_size };
        match self.feeds.iter().position(|(kept, _)| *kept == key) {
            Some(index) => self.feeds[index..].rotate_left(1),
            None => {
                let packed = (self.source)(dataset, image_size)?;
                let found = Key {
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
                if self.feeds.len() == KEPT_FEEDS {
                    self.feeds.remove(0);
                }
                self.feeds.push((key, Feed::new(packed, self.device.clone())));
            }
        }
        let (_, feed) = self.feeds.last_mut().expect("just put or found there");
        Ok(feed)
    }
}
