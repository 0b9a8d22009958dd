//! Which trainer a sweep runs on: burn on a device, or the fake one of tests and benchmarks.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::Result;
use sweep_core::dataset::DataSetRef;
use sweep_core::ids::Digest;
use sweep_core::model::Backbone;
use sweep_core::result::DeviceKind;
use sweep_core::sweep::Plan;
use sweep_core::trainer::{TrainError, Trainer};
use sweep_data::{DataSet, Packed};
use sweep_train::device::Device;
use sweep_train::trainer::{BurnTrainer, DataSource};
use worker::TrainerFactory;
use worker::fake::{FakeBehaviour, FakeTrainer};

use crate::args::RunArgs;
use crate::exit::WrongInput;
use crate::home::Home;
use crate::progress;

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
            Self::fake(args)
        }
    }

    fn fake(args: &RunArgs) -> Result<Self> {
        let behaviour: FakeBehaviour = args.trainer.parse().map_err(WrongInput::error)?;
        let factory: TrainerFactory = Arc::new(move |inputs| {
            Box::new(FakeTrainer::new(behaviour.clone(), inputs)) as Box<dyn Trainer>
        });
        let slots = args.slots.map_or(2, u32::from);
        Ok(Self { factory, device: DeviceKind::Fake, name: "fake".to_owned(), slots })
    }

    fn burn(args: &RunArgs, plan: &Plan, datasets: &[DataSet], home: &Home) -> Result<Self> {
        let device: Device = args.device.parse().map_err(WrongInput::error)?;
        let device = device.resolved().map_err(WrongInput::error)?;
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let slots =
            args.slots.map_or_else(|| default_slots(plan, device.kind(), cores), usize::from);
        let threads = NonZeroUsize::new(cores / slots).unwrap_or(NonZeroUsize::MIN);
        let source = source(plan, datasets, home)?;
        let factory: TrainerFactory = Arc::new(move |_| {
            Box::new(BurnTrainer::new(device, threads, source.clone())) as Box<dyn Trainer>
        });
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        Ok(Self { factory, device: device.kind(), name: device.to_string(), slots })
    }
}

/// Small networks gain nothing from a second thread, so each core trains a run of its own; a ResNet fills all cores by itself.
fn default_slots(plan: &Plan, device: DeviceKind, cores: usize) -> usize {
    let all_small =
        plan.configurations.iter().all(|p| p.configuration.model.backbone == Backbone::SmallCnn);
    if all_small && device == DeviceKind::Cpu { cores } else { 1 }
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
        found.ok_or_else(|| {
            TrainError::Input(format!("data set {} at image size {size} is not at hand", of.name))
        })
    }))
}
