//! Real photographs from a folder: a small ResNet, two losses, three seeds, to a report.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::PathBuf;

use common::Place;

/// The folder with real images, where this machine has it.
fn images(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SWEEP_TEST_DATA").map(PathBuf::from);
    let root = root
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder.canonicalize().unwrap());
    }
    eprintln!(
        "SKIPPED: no real images at {} (SWEEP_TEST_DATA names their folder)",
        folder.display()
    );
    None
}

#[test]
fn fruits_at_64_pixels_with_resnet18_run_to_a_report() {
    let Some(folder) = images("fruits") else { return };
    let place = Place::new();
    place.write(
        "fruits.yaml",
        format!(
            "name: fruits\nclasses: [apple, banana, mixed, orange]\nsource: {{ folder: '{}' }}\nlayout: folder_per_class\nsplit: {{ folders: {{ train: train, val: test }} }}\n",
            folder.display()
        ),
    );
    place.write(
        "sweep.yaml",
        "name: fruits64\ndatasets: [fruits.yaml]\nseeds: 3\nbaseline: softmax\nlosses: [softmax, cosine]\nmodel: { backbone: resnet18 }\ntraining: { epochs: 3, batch_size: 32, image_size: 64, augment: mild }\n",
    );
    place.expect(0, &["run", "sweep.yaml"]);
    let report = place.report("fruits64");
    assert_eq!(report["runs"].as_array().unwrap().len(), 6);
    assert!(place.read(".sweep/reports/fruits64/index.html").contains("cosine"));
}
