//! What several test files need.
#![allow(dead_code, reason = "each test file uses its own part")]

use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;
use sweep_core::sweep::{Plan, Sweep};

/// Digits as `sweep-data` reads them, but for the digests.
pub(crate) fn digits() -> DataSetInfo {
    DataSetInfo {
        name: "digits".into(),
        title: "Digits".into(),
        classes: (0..10).map(|c| c.to_string()).collect(),
        train: vec![5; 10],
        val: vec![173, 177, 172, 178, 176, 177, 176, 174, 169, 175],
        content: Digest::of(b"pixels"),
        split: Digest::of(b"split"),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

/// A file that must be right.
pub(crate) fn parse(text: &str) -> Sweep {
    Sweep::parse(text, "t.yaml").unwrap_or_else(|error| panic!("{error}"))
}

/// Its plan on digits.
pub(crate) fn plan(sweep: &Sweep) -> Plan {
    sweep.plan(&[digits()]).unwrap_or_else(|error| panic!("{error}"))
}

/// Its configurations as tables name them.
pub(crate) fn labels(sweep: &Sweep) -> Vec<String> {
    sweep.candidates().iter().map(|c| c.label.clone()).collect()
}

/// The configurations of a small file with these losses (and what follows them).
pub(crate) fn candidates(losses: &str) -> String {
    labels(&parse(&with_losses(losses))).join("\n")
}

/// A small file with these losses (and what follows them).
pub(crate) fn with_losses(losses: &str) -> String {
    format!(
        "name: t\ndatasets: [digits]\nseeds: 2\nmodel: {{ backbone: small_cnn }}\nlosses:\n{losses}\n"
    )
}

/// The run ids of a file on digits, in order.
pub(crate) fn run_ids(text: &str) -> Vec<String> {
    plan(&parse(text)).runs.iter().map(|run| run.id.to_string()).collect()
}
