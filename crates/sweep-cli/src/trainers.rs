//! Which trainer a sweep runs on: burn on a device, or the fake one of tests and benchmarks.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use sweep_core::dataset::DataSetRef;
use sweep_core::ids::Digest;
use sweep_core::model::{Backbone, WeightsRef};
use sweep_core::result::DeviceKind;
use sweep_core::sweep::Plan;
use sweep_core::trainer::{TrainError, Trainer};
use sweep_data::{DataSet, Packed};
use sweep_train::device::Device;
use sweep_train::trainer::{BurnTrainer, DataSource, Room, WeightsSource};
use worker::fake::{FakeBehaviour, FakeTrainer};
use worker::{Inputs, TrainerFactory};

use crate::args::{RunArgs, WorkerArgs};
use crate::exit::WrongInput;
use crate::home::Home;
use crate::{load, progress, weights};

/// How a sweep is trained here.
pub(crate) struct Trainers {
    pub(crate) factory: TrainerFactory,
    pub(crate) device: DeviceKind,
    /// `cpu`, `cuda:0` or `fake`, for people.
    pub(crate) name: String,
    pub(crate) slots: u32,
}

impl Trainers {
    /// The trainers that the flags ask for. Packs the data sets of `plan` where they are not in the cache yet.
    pub(crate) fn new(
        args: &RunArgs,
        plan: &Plan,
        datasets: &[DataSet],
        home: &Home,
    ) -> Result<Self> {
        if args.trainer == "burn" {
            Self::burn(args, plan, datasets, home)
        } else {
            Self::fake(&args.trainer, args.slots)
        }
    }

    /// The trainers of a worker that serves any sweep: they read what was fetched for the run in hand.
    pub(crate) fn of_worker(args: &WorkerArgs, home: &Home) -> Result<Self> {
        if args.trainer != "burn" {
            return Self::fake(&args.trainer, Some(args.slots));
        }
        let device: Device = args.device.parse().map_err(WrongInput::error)?;
        let device = device.resolved().map_err(WrongInput::error)?;
        device.keep_kernels(&home.cache());
        let room = Room::of(device);
        let threads = threads(usize::from(args.slots));
        let (cache, features) = (home.cache(), home.features());
        let factory: TrainerFactory = Arc::new(move |inputs: Inputs| {
            let (sets, files) = (inputs.clone(), inputs);
            let cache = cache.clone();
            let source: DataSource =
                Arc::new(move |of: &DataSetRef, size| fetched(&sets, of, size, &cache));
            let weights: WeightsSource = Arc::new(move |of: &WeightsRef| {
                let path = of.sha256.as_ref().and_then(|sha256| files.weights(sha256));
                path.ok_or_else(|| not_at_hand(format!("the weights {}", of.name)))
            });
            let trainer = BurnTrainer::new(device, threads, source).in_room(&room);
            Box::new(trainer.with_weights(weights).with_features(features.clone()))
                as Box<dyn Trainer>
        });
        let (name, slots) = (device.to_string(), u32::from(args.slots));
        Ok(Self { factory, device: device.kind(), name, slots })
    }

    fn fake(behaviour: &str, slots: Option<u16>) -> Result<Self> {
        let behaviour: FakeBehaviour = behaviour.parse().map_err(WrongInput::error)?;
        let factory: TrainerFactory = Arc::new(move |inputs| {
            Box::new(FakeTrainer::new(behaviour.clone(), inputs)) as Box<dyn Trainer>
        });
        let slots = slots.map_or(2, u32::from);
        Ok(Self { factory, device: DeviceKind::Fake, name: "fake".to_owned(), slots })
    }

    fn burn(args: &RunArgs, plan: &Plan, datasets: &[DataSet], home: &Home) -> Result<Self> {
        let device: Device = args.device.parse().map_err(WrongInput::error)?;
        let device = device.resolved().map_err(WrongInput::error)?;
        device.keep_kernels(&home.cache());
        let room = Room::of(device);
        let slots = args.slots.map_or_else(|| default_slots(plan, device.kind()), usize::from);
        let threads = threads(slots);
        let source = source(plan, datasets, home)?;
        let weights = weights::source(plan, load::base(&args.file))?;
        let features = home.features();
        let factory: TrainerFactory = Arc::new(move |_| {
            let trainer = BurnTrainer::new(device, threads, source.clone()).in_room(&room);
            Box::new(trainer.with_weights(weights.clone()).with_features(features.clone()))
                as Box<dyn Trainer>
        });
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        Ok(Self { factory, device: device.kind(), name: device.to_string(), slots })
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// CPU threads of a slot.
fn threads(slots: usize) -> NonZeroUsize {
    NonZeroUsize::new(cores() / slots).unwrap_or(NonZeroUsize::MIN)
}

/// Small networks gain nothing from a second thread, so each core trains a run of its own; a ResNet fills all cores by itself, also
/// in head mode, where its features take minutes and the runs milliseconds.
fn default_slots(plan: &Plan, device: DeviceKind) -> usize {
    let all_small =
        plan.configurations.iter().all(|p| p.configuration.model.backbone == Backbone::SmallCnn);
    if all_small && device == DeviceKind::Cpu { cores() } else { 1 }
}

/// Every data set of the plan at every size it is asked for, packed and checked.
fn source(plan: &Plan, datasets: &[DataSet], home: &Home) -> Result<DataSource> {
    let mut packed: HashMap<(Digest, Digest, u32), Packed> = HashMap::new();
    for planned in &plan.configurations {
        let size = planned.configuration.training.image_size;
        let of = &planned.configuration.dataset;
        let key = (of.content, of.split, size);
        if packed.contains_key(&key) {
            continue;
        }
        let bar = progress::Files::new("packing");
        let set = datasets[planned.dataset].pack(size, &home.cache(), &|p| bar.report(&p));
        bar.finish();
        packed.insert(key, set.map_err(WrongInput::error)?);
    }
    Ok(Arc::new(move |of: &DataSetRef, size: u32| {
        let found = packed.get(&(of.content, of.split, size)).cloned();
        found.ok_or_else(|| not_at_hand(format!("data set {} at image size {size}", of.name)))
    }))
}

/// A data set that was fetched for the run in hand, or a built-in one.
fn fetched(
    inputs: &Inputs,
    of: &DataSetRef,
    size: u32,
    cache: &Path,
) -> Result<Packed, TrainError> {
    let failed = |error: sweep_data::PackError| TrainError::Transient(error.to_string());
    if let Some(path) = inputs.pack(of, size) {
        return Packed::open(&path).map_err(failed);
    }
    for name in sweep_data::BUILT_IN {
        if let Some(Ok(set)) = DataSet::builtin(name)
            && (set.info().content, set.info().split) == (of.content, of.split)
        {
            return set.pack(size, cache, &|_| {}).map_err(failed);
        }
    }
    Err(not_at_hand(format!("data set {} at image size {size}", of.name)))
}

fn not_at_hand(what: String) -> TrainError {
    TrainError::Input(format!("{what} is not at hand; `sweep submit` brings what a sweep needs"))
}
