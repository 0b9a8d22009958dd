//! [`BurnTrainer`]: the real [`Trainer`], one per slot.
//!
//! Reading order: `slot` (what outlives a run: device, data, weights, features), `training` (one run: epochs, orders, metrics,
//! checkpoints), then what takes a step in each mode: `network` (every layer) on `classifier` (network and head as one module, and
//! its numbers on the host), `head` (the head alone); `room` (how many slots of a device train at once). Not here: formulas of losses ([`crate::loss`]), networks
//! ([`crate::network`]), optimizers ([`crate::optim`]), batches ([`crate::feed`]), heads on features ([`crate::frozen`]).
//!
//! A result is a function of the run alone: weights, order and augmentation are keyed by the run's seed, evaluation batches have
//! a fixed size, and nothing of an earlier run is kept but data.

mod classifier;
mod head;
mod network;
mod room;
mod slot;
mod training;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use burn::backend::Flex;
use sweep_core::dataset::DataSetRef;
use sweep_core::model::WeightsRef;
use sweep_core::result::{DeviceKind, EpochMetrics};
use sweep_core::run::RunSpec;
use sweep_core::trainer::{Checkpoint, Observer, Order, Outcome, TrainError, Trainer};
use sweep_data::Packed;

pub use self::room::Room;
use self::room::{Place, Shape, Short, says_out_of_memory};
use self::slot::Slot;
use crate::device::Resolved;
#[cfg(feature = "gpu")]
use crate::device::gpu;
use crate::ops::FusedBackend;
use crate::optim::StepBackend;
use crate::views::ViewBackend;

/// Where a trainer gets packed data: the data set of a run at an image size. Called from slot threads, once per data set and size.
pub type DataSource = Arc<dyn Fn(&DataSetRef, u32) -> Result<Packed, TrainError> + Send + Sync>;

/// Where a trainer gets the file of pretrained weights. Called from slot threads, once per file; what it names is verified.
pub type WeightsSource = Arc<dyn Fn(&WeightsRef) -> Result<PathBuf, TrainError> + Send + Sync>;

/// A backend that trains: with the operations of networks, of an optimizer, and of views.
trait TrainBackend: FusedBackend + StepBackend + ViewBackend {}

impl<B: FusedBackend + StepBackend + ViewBackend> TrainBackend for B {}

/// Between two looks whether there is room.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After so many batches a training has taken what a step needs.
const MEASURED_AFTER: u32 = 3;

/// Trains runs with burn, one at a time, on the thread that calls it.
pub struct BurnTrainer {
    device: Resolved,
    threads: NonZeroUsize,
    engine: Engine,
    place: Option<Place>,
}

enum Engine {
    Cpu(Slot<Flex>),
    #[cfg(feature = "gpu")]
    Cuda(Slot<gpu::Gpu>),
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
            #[cfg(feature = "gpu")]
            Resolved::Cuda(index) => {
                Engine::Cuda(Slot::new(gpu::gpu(index), DeviceKind::Cuda, source))
            }
            #[cfg(not(feature = "gpu"))]
            Resolved::Cuda(_) => unreachable!("a program without CUDA resolves no CUDA device"),
        };
        Self { device, threads, engine, place: None }
    }

    /// This trainer as one of several on its device, which all get a clone of `room`: it waits until there is memory for a run, and
    /// hands back a run for which there was none after all.
    #[must_use]
    pub fn in_room(mut self, room: &Room) -> Self {
        self.place = Some(room.slot());
        self
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
            #[cfg(feature = "gpu")]
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
        let engine = &mut self.engine;
        let Some(place) = &mut self.place else { return engine.train(run, resume, observer) };
        let ended = train_in(place, run, resume, observer, |resume, observer| {
            engine.train(run, resume, observer)
        });
        if place.has_run_out() {
            engine.forget();
        }
        ended
    }
}

impl Engine {
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        match self {
            Self::Cpu(slot) => slot.train(run, resume, observer),
            #[cfg(feature = "gpu")]
            Self::Cuda(slot) => slot.train(run, resume, observer),
        }
    }

    /// Drops what outlives a run, and gives the device its memory back.
    fn forget(&mut self) {
        match self {
            Self::Cpu(slot) => slot.forget(),
            #[cfg(feature = "gpu")]
            Self::Cuda(slot) => slot.forget(),
        }
    }
}

/// Trains by `train` once there is room in `place`; memory that runs out beside others hands the run back where it began.
fn train_in(
    place: &mut Place,
    run: &RunSpec,
    resume: Option<Checkpoint>,
    observer: &mut dyn Observer,
    train: impl FnOnce(Option<Checkpoint>, &mut dyn Observer) -> Result<Outcome, TrainError>,
) -> Result<Outcome, TrainError> {
    let shape = Shape::of(run);
    let begin = || {
        let start = Checkpoint { epoch: 0, batch: 0, bytes: Vec::new() };
        resume.clone().unwrap_or(start)
    };
    while !place.enter(shape) {
        let told = match observer.batch(0, 0, 1) {
            Order::Continue | Order::Checkpoint => ControlFlow::Continue(()),
            Order::Yield => ControlFlow::Break(Outcome::Yielded(begin())),
            Order::Stop => ControlFlow::Break(Outcome::Stopped),
        };
        if let ControlFlow::Break(outcome) = told {
            place.give_up();
            return Ok(outcome);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let begun = begin();
    let mut measuring = Measuring { place: &mut *place, observer, batches: 0 };
    let ended = catch_unwind(AssertUnwindSafe(|| train(resume, &mut measuring)));
    let panicked = match ended {
        Ok(ended) => {
            place.leave();
            return ended;
        }
        Err(panicked) => panicked,
    };
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or_default();
    if !says_out_of_memory(text) {
        place.leave();
        resume_unwind(panicked);
    }
    match place.ran_out() {
        Short::Beside => {
            tracing::warn!(run.id = %run.id(), "out of memory beside other slots: handing the run back");
            Ok(Outcome::Yielded(begun))
        }
        Short::Alone => Err(TrainError::Transient(format!(
            "out of memory on the device with no other slot training: a smaller `batch_size` or `image_size` takes less ({} and {} now)",
            run.configuration.training.batch_size, run.configuration.training.image_size
        ))),
    }
}

/// Passes everything on, and has the memory measured when it is in use.
struct Measuring<'a> {
    place: &'a mut Place,
    observer: &'a mut dyn Observer,
    batches: u32,
}

impl Observer for Measuring<'_> {
    fn batch(&mut self, epoch: u32, batch: u32, batches: u32) -> Order {
        if epoch > 0 {
            self.batches = self.batches.saturating_add(1);
            if self.batches == MEASURED_AFTER {
                self.place.measured();
            }
        }
        self.observer.batch(epoch, batch, batches)
    }

    fn epoch(&mut self, metrics: &EpochMetrics) {
        if metrics.epoch == 1 || self.batches < MEASURED_AFTER {
            self.place.measured();
        }
        self.observer.epoch(metrics);
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.observer.checkpoint(checkpoint);
    }

    fn log(&mut self, line: String) {
        self.observer.log(line);
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

#[cfg(test)]
mod tests {
    use sweep_core::loss::Loss;
    use sweep_core::model::{Backbone, Model, Weights};
    use sweep_core::run::Configuration;
    use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};
    use sweep_data::DataSet;

    use super::*;

    struct Quiet(Order);

    impl Observer for Quiet {
        fn batch(&mut self, _: u32, _: u32, _: u32) -> Order {
            self.0
        }
        fn epoch(&mut self, _: &EpochMetrics) {}
        fn checkpoint(&mut self, _: Checkpoint) {}
    }

    fn run() -> RunSpec {
        let set = DataSet::builtin("digits").unwrap().unwrap();
        let training = Training {
            mode: Mode::Full,
            epochs: 1,
            batch_size: 10,
            image_size: 8,
            optimizer: Optimizer::Sgd {
                learning_rate: 0.05,
                momentum: 0.9,
                nesterov: false,
                weight_decay: 0.0,
            },
            schedule: Schedule::Cosine,
            warmup_epochs: 0,
            clip_norm: None,
            augment: Augment::None,
            precision: Precision::F32,
        };
        let model = Model { backbone: Backbone::SmallCnn, weights: Weights::Random, neck: None };
        let loss = Loss::Cosine {};
        let configuration = Configuration { dataset: set.info().into(), loss, model, training };
        RunSpec { configuration, seed: 1 }
    }

    fn no_memory(
        _: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        observer.batch(1, 1, 9);
        panic!("Error while reading data: can't allocate buffer of size: 4096");
    }

    #[test]
    fn out_of_memory_beside_another_slot_hands_the_run_back_where_it_began() {
        let room = Room::with(|| Some(1 << 30));
        let (mut beside, mut place) = (room.slot(), room.slot());
        assert!(beside.enter(Shape::of(&run())));
        beside.measured();
        let resume = Checkpoint { epoch: 2, batch: 1, bytes: vec![7] };
        let ended = train_in(
            &mut place,
            &run(),
            Some(resume.clone()),
            &mut Quiet(Order::Continue),
            no_memory,
        );
        assert_eq!(ended, Ok(Outcome::Yielded(resume)));
        // The neighbour still stands, and the run does not go in beside it again.
        assert!(!place.enter(Shape::of(&run())));
        beside.leave();
        assert!(place.enter(Shape::of(&run())));
    }

    #[test]
    fn out_of_memory_alone_is_an_error_that_names_what_takes_less() {
        let mut place = Room::with(|| Some(1 << 30)).slot();
        let ended = train_in(&mut place, &run(), None, &mut Quiet(Order::Continue), no_memory);
        let Err(TrainError::Transient(text)) = ended else { panic!("{ended:?}") };
        assert!(text.contains("`batch_size`") && text.contains("(10 and 8 now)"), "{text}");
    }

    #[test]
    fn another_panic_stays_one() {
        let mut place = Room::with(|| None).slot();
        let broken = |_: Option<Checkpoint>, _: &mut dyn Observer| panic!("shape mismatch");
        let caught = catch_unwind(AssertUnwindSafe(|| {
            train_in(&mut place, &run(), None, &mut Quiet(Order::Continue), broken)
        }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"shape mismatch"));
    }

    #[test]
    fn a_run_that_waits_for_room_obeys() {
        let room = Room::with(|| Some(1 << 30));
        let (beside, mut place) = (room.slot(), room.slot());
        assert!(beside.enter(Shape::of(&run())));
        let never = |_: Option<Checkpoint>, _: &mut dyn Observer| panic!("there was no room");
        let ended = train_in(&mut place, &run(), None, &mut Quiet(Order::Stop), never);
        assert_eq!(ended, Ok(Outcome::Stopped));
        let ended = train_in(&mut place, &run(), None, &mut Quiet(Order::Yield), never);
        let start = Checkpoint { epoch: 0, batch: 0, bytes: Vec::new() };
        assert_eq!(ended, Ok(Outcome::Yielded(start)));
    }
}
