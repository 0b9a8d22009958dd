//! A sweep of the usual size and slots that work on it, for the measurements.

use sweep_core::analysis::Analysis;
use sweep_core::dataset::DataSetRef;
use sweep_core::ids::{Digest, SweepId};
use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd};
use sweep_core::run::{Configuration, Run, RunSpec};
use sweep_core::sweep::Document;
use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};
use sweep_store::{
    AnyStore, Holder, Leased, NewSweep, Now, Outcome, Policy, Progress, RequestId, Store,
    StoreError, Wish,
};

pub(crate) fn run(seed: u32) -> Run {
    let dataset =
        DataSetRef { name: "toy".to_owned(), content: Digest([1; 32]), split: Digest([2; 32]) };
    let optimizer =
        Optimizer::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let training = Training {
        mode: Mode::Full,
        epochs: 30,
        batch_size: 32,
        image_size: 224,
        optimizer,
        schedule: Schedule::Cosine,
        warmup_epochs: 0,
        clip_norm: Some(10.0),
        augment: Augment::Mild,
        precision: Precision::F32,
    };
    let model = Model { backbone: Backbone::Resnet50, weights: Weights::Random, neck: None };
    let spec = RunSpec {
        configuration: Configuration { dataset, loss: Loss::Bce {}, model, training },
        seed: u64::from(seed),
    };
    Run { id: spec.id(), ord: seed, spec }
}

pub(crate) fn epoch(epoch: u32) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: Some(0.123_456_789),
        train_accuracy: 0.987_654,
        val_loss: Some(0.234_567),
        val_accuracy: 0.912_345,
        learning_rate: 0.001_234,
        lambda: None,
        seconds: 12.345,
    }
}

pub(crate) fn result() -> RunResult {
    RunResult {
        end: TrainingEnd::Completed,
        epochs: (1..=30).map(epoch).collect(),
        validation: None,
        device: DeviceKind::Fake,
        seconds: 1.0,
    }
}

/// A sweep of so many runs, each a seed of one configuration.
pub(crate) fn sweep(runs: u32) -> NewSweep {
    let document = Document {
        file: "-".to_owned(),
        text: String::new(),
        datasets: Vec::new(),
        analysis: Analysis::default().digest(),
        rounds: Vec::new(),
        inputs: Vec::new(),
        weights: Vec::new(),
    };
    NewSweep {
        id: SweepId::of(&Digest([3; 32])),
        name: "toy".to_owned(),
        weight: 1.0,
        band: 4,
        cap: None,
        round: 0,
        seeds: runs,
        document,
    }
}

/// Slots that lease, beat and finish at once until nothing is left; no training between.
pub(crate) async fn work(store: &AnyStore, slots: u32) -> Result<(), StoreError> {
    let mut working = tokio::task::JoinSet::new();
    for slot in 0..slots {
        working.spawn(slot_works(store.clone(), slot));
    }
    working.join_all().await.into_iter().collect()
}

async fn slot_works(store: AnyStore, slot: u32) -> Result<(), StoreError> {
    let policy = Policy::default();
    let outcome = Outcome::Succeeded(Box::new(result()));
    let progress = Progress { epochs: vec![epoch(1)], step: 100, checkpoint: None };
    for request in 0.. {
        let holder = Holder { worker: "w".to_owned(), slot };
        let wish = Wish {
            holder,
            request: RequestId(request),
            device: DeviceKind::Fake,
            only: None,
            holds: Vec::new(),
        };
        let Leased::Lease(lease) = store.lease(Now::Server, &wish, &policy).await? else { break };
        store.beat(Now::Server, &lease.run, lease.fence, &progress, &policy).await?;
        store
            .finish(Now::Server, &lease.run, lease.fence, &outcome, "a line of log\n", &policy)
            .await?;
    }
    Ok(())
}
