//! [`BurnTrainer`]: the real [`Trainer`], one per slot.
//!
//! Reading order: `slot` (what outlives a run: device, data, weights, features), `training` (one run: epochs, orders, metrics,
//! checkpoints), then what takes a step in each mode: `network` (every layer) on `classifier` (network and head as one module, and
//! its numbers on the host), `head` (the head alone). Not here: formulas of losses ([`crate::loss`]), networks
//! ([`crate::network`]), optimizers ([`crate::optim`]), batches ([`crate::feed`]), heads on features ([`crate::frozen`]).
//!
//! A result is a function of the run alone: weights, order and augmentation are keyed by the run's seed, evaluation batches have
//! a fixed size, and nothing of an earlier run is kept but data.

mod classifier;
mod head;
mod network;
mod slot;
mod training;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use burn::backend::Flex;
use sweep_core::dataset::DataSetRef;
use sweep_core::model::WeightsRef;
use sweep_core::result::DeviceKind;
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Outcome, TrainError, Trainer};
use sweep_data::Packed;

use self::slot::Slot;
use crate::device::Resolved;

/// Where a trainer gets packed data: the data set of a run at an image size. Called from slot threads, once per data set and size.
pub type DataSource = Arc<dyn Fn(&DataSetRef, u32) -> Result<Packed, TrainError> + Send + Sync>;

/// Where a trainer gets the file of pretrained weights. Called from slot threads, once per file; what it names is verified.
pub type WeightsSource = Arc<dyn Fn(&WeightsRef) -> Result<PathBuf, TrainError> + Send + Sync>;

/// Trains runs with burn, one at a time, on the thread that calls it.
pub struct BurnTrainer {
    device: Resolved,
    threads: NonZeroUsize,
    engine: Engine,
}

enum Engine {
    Cpu(Slot<Flex>),
    #[cfg(feature = "cuda")]
    Cuda(Slot<burn::backend::Cuda>),
}

impl std::fmt::Debug for BurnTrainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BurnTrainer")
            .field("device", &self.device)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl BurnTrainer {
    /// A trainer on a device that [`crate::device::Device::resolved`] found.
    ///
    /// `threads` is how many threads one training may use on the CPU; give each slot its share of the cores. The first run on a
    /// thread binds that thread to a pool of this size for good, so that slots neither wait for nor steal from each other. The
    /// number does not change results.
    pub fn new(device: Resolved, threads: NonZeroUsize, source: DataSource) -> Self {
        let engine = match device {
            Resolved::Cpu => Engine::Cpu(Slot::new(Default::default(), DeviceKind::Cpu, source)),
            #[cfg(feature = "cuda")]
            Resolved::Cuda(index) => Engine::Cuda(Slot::new(
                burn::backend::cuda::CudaDevice::new(index),
                DeviceKind::Cuda,
                source,
            )),
            #[cfg(not(feature = "cuda"))]
            Resolved::Cuda(_) => unreachable!("a program without CUDA resolves no CUDA device"),
        };
        Self { device, threads, engine }
    }

    /// This trainer with a source of pretrained weights; without one a run that needs them is refused.
    #[must_use]
    pub fn with_weights(mut self, weights: WeightsSource) -> Self {
        self.sources().weights = Some(weights);
        self
    }

    /// This trainer with a folder for features of frozen backbones, which trainers of any process may share; without one each
    /// trainer computes them for itself.
    #[must_use]
    pub fn with_features(mut self, folder: PathBuf) -> Self {
        self.sources().features = Some(folder);
        self
    }

    fn sources(&mut self) -> &mut slot::Sources {
        match &mut self.engine {
            Engine::Cpu(slot) => &mut slot.sources,
            #[cfg(feature = "cuda")]
            Engine::Cuda(slot) => &mut slot.sources,
        }
    }

    /// Where this trainer trains.
    pub fn device(&self) -> Resolved {
        self.device
    }
}

impl Trainer for BurnTrainer {
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        bind_to_own_pool(self.threads)?;
        match &mut self.engine {
            Engine::Cpu(slot) => slot.train(run, resume, observer),
            #[cfg(feature = "cuda")]
            Engine::Cuda(slot) => slot.train(run, resume, observer),
        }
    }
}

/// Makes the calling thread the first of a rayon pool of `threads`, unless it is in a pool already.
///
/// burn's CPU backend runs parallel loops on the pool of the calling thread. In the global pool two slots would share its
/// threads and hand over every small loop; numbers in `bench/NOTES.md`.
fn bind_to_own_pool(threads: NonZeroUsize) -> Result<(), TrainError> {
    if rayon::current_thread_index().is_some() {
        return Ok(());
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.get())
        .thread_name(|index| format!("train-{index}"))
        .use_current_thread()
        .build()
        .map_err(|error| {
            TrainError::Transient(format!("the threads of a slot cannot be started: {error}"))
        })?;
    // The thread stays bound only while its pool lives.
    std::mem::forget(pool);
    Ok(())
}
