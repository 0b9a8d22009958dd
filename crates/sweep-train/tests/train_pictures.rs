//! A residual network on real photographs.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod train_support;

use std::path::Path;

use sweep_core::loss::Loss;
use sweep_core::model::Backbone;
use sweep_core::trainer::{Checkpoint, Order, Outcome, Trainer};
use sweep_core::training::Augment;
use sweep_data::DataSet;
use train_support::{Planned, digits_run, finished, images, trainer};

#[test]
fn one_epoch_of_resnet18_on_fruits_has_finite_metrics_and_resumes_bit_for_bit() {
    let Some(folder) = images("fruits") else { return };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps/datasets/fruits.yaml");
    let set = DataSet::from_manifest(&manifest, Some(&folder)).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let packed = set.pack(64, cache.path(), &|_| {}).unwrap();

    let mut run = digits_run(Loss::AmSoftmax { scale: 10.0, margin: 0.2 }, 1, 1);
    run.configuration.dataset = set.info().into();
    run.configuration.model.backbone = Backbone::Resnet18;
    let training = &mut run.configuration.training;
    (training.image_size, training.batch_size, training.augment) = (64, 32, Augment::Mild);

    let mut first = Planned::new(3, Order::Checkpoint);
    let result = finished(trainer(packed.clone(), 2).train(&run, None, &mut first).unwrap());
    let metrics = &result.epochs[0];
    assert!(metrics.train_loss.is_some() && metrics.val_loss.is_some(), "{metrics:?}");
    assert_eq!(result.validation.as_ref().unwrap().correct.len(), 60);

    let checkpoint: Checkpoint = first.checkpoints.swap_remove(0);
    assert_eq!((checkpoint.epoch, checkpoint.batch), (0, 3));
    let outcome: Outcome =
        trainer(packed, 2).train(&run, Some(checkpoint), &mut Planned::watching()).unwrap();
    assert_eq!(finished(outcome).without_times(), result.without_times());
}
