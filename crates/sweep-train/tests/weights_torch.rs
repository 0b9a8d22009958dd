//! Whole networks from files that torch wrote: the features are torchvision's.
//!
//! The files would be too large to keep. `fixtures/weights.py` kept of each what is not a tensor's numbers; those are made here from
//! the hash that both sides know, and the sha256 of the whole says that the result is what torch wrote, byte for byte.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod parity_support;

use std::io::{Cursor, Read};

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use parity_support::{IMAGES, fixture, hashed, initial};
use serde::Deserialize;
use sweep_core::model;
use sweep_train::network::{BackboneConfig, BackboneKind};
use sweep_train::weights;

#[derive(Deserialize)]
struct Index {
    sha256: String,
    holes: Vec<(usize, String, Vec<usize>)>,
}

/// The file that torch wrote, and the names of its tensors in order.
fn written_by_torch(kept: &[u8], model: &str) -> (Vec<u8>, String, Vec<String>) {
    let mut archive = zip::ZipArchive::new(Cursor::new(kept)).unwrap();
    let mut part = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let index: Index = serde_json::from_slice(&part("index.json")).unwrap();
    let rest = part("rest");
    let mut names: Vec<String> = index.holes.iter().map(|(_, name, _)| name.clone()).collect();
    names.sort();
    let (mut whole, mut taken) = (Vec::new(), 0);
    for (start, name, shape) in &index.holes {
        let before = start - whole.len();
        whole.extend(&rest[taken..taken + before]);
        taken += before;
        let number = names.binary_search(name).unwrap();
        let values = initial(model, name, number, shape);
        whole.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }
    whole.extend(&rest[taken..]);
    (whole, index.sha256, names)
}

fn parity(kept: &[u8], model: &str, backbone: model::Backbone) {
    let (whole, sha256, names) = written_by_torch(kept, model);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights");
    std::fs::write(&path, whole).unwrap();
    let sha256 = sha256.parse().unwrap();
    assert_eq!(weights::sha256(&path).unwrap(), sha256, "not the file that torch wrote");
    let state = weights::load(&path, &sha256, backbone).unwrap();

    let fixture = fixture();
    let (side, classes) = (fixture.side, fixture.classes);
    let kind = BackboneKind::of(backbone);
    let config = BackboneConfig { kind, channels: 3, side, neck: None };
    let device = Default::default();
    let net = config.template::<Flex>(&state, &device).unwrap().frozen();
    let shape = [fixture.batch, 3, side, side];
    let pixels: Vec<f32> = (0..shape.iter().product()).map(|index| hashed(IMAGES, index)).collect();
    let images = Tensor::<Flex, 4>::from_data(TensorData::new(pixels, shape), &device);
    let features = net.features(images).into_data().to_vec::<f32>().unwrap();

    let of = |name: &str, shape: &[usize]| {
        initial(model, name, names.iter().position(|n| n == name).unwrap(), shape)
    };
    let (weight, bias) =
        (of("fc.weight", &[classes, config.features()]), of("fc.bias", &[classes]));
    let case = fixture.cases.iter().find(|case| case.model == model).unwrap();
    let mut theirs = case.logits.iter();
    for features in features.chunks_exact(config.features()) {
        for (weight, bias) in weight.chunks_exact(config.features()).zip(&bias) {
            let product: f64 =
                weight.iter().zip(features).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            let (ours, theirs) = (product + f64::from(*bias), theirs.next().unwrap());
            assert!((ours - theirs).abs() <= 1e-4 * theirs.abs().max(1.0), "{ours} {theirs}");
        }
    }
    assert!(theirs.next().is_none());
}

#[test]
fn resnet_50_from_todays_torch_answers_as_torchvisions() {
    parity(include_bytes!("fixtures/resnet50.pth.rest"), "resnet50", model::Backbone::Resnet50);
}

#[test]
fn resnet_18_from_an_old_torch_answers_as_torchvisions() {
    let kept = include_bytes!("fixtures/resnet18_legacy.pth.rest");
    parity(kept, "resnet18", model::Backbone::Resnet18);
}
