//! Every sweep file that is shipped, cut down and trained to its report: fewer seeds and epochs, a small network, a few pictures drawn here.
//!
//! Losses, grids, modes, schedules and analysis stay as shipped.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::Place;

/// Of the pictures drawn here, per class.
const PICTURES: u32 = 12;

/// Pictures of 8×8, a stripe for each class with some noise, as the table of a packed data set.
fn pictures() -> String {
    let mut text = String::new();
    let mut state = 1_u32;
    for picture in 0..3 * PICTURES {
        let class = picture % 3;
        for pixel in 0..64 {
            // A linear congruential generator is chance enough here.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let stripe = if pixel / 8 / 3 == class { 10 } else { 0 };
            let _ = write!(text, "{},", stripe + (state >> 24) % 7);
        }
        let _ = writeln!(text, "{class}");
    }
    text
}

const MANIFEST: &str = "\
name: small
classes: ['0', '1', '2']
source: { folder: . }
layout: { packed: { file: small.csv, side: 8, channels: 1, maximum: 16 } }
split: { stratified: { train_per_class: 8, seed: 1 } }
";

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps")
}

/// The sweep file with less to do.
fn reduced(text: &str) -> String {
    let line = |line: &str| {
        let key = line.split(':').next().unwrap_or_default();
        match key {
            "datasets" if line.contains("_inner") => "datasets: [small_inner]".to_owned(),
            "datasets" => "datasets: [small]".to_owned(),
            "seeds" if line.contains('[') => "seeds: [101, 102]".to_owned(),
            "seeds" => "seeds: 2".to_owned(),
            "adaptive" => "adaptive: { max_seeds: 6, look_every: 3, confirm: 1 }".to_owned(),
            "  epochs" => "  epochs: 1".to_owned(),
            "  batch_size" => "  batch_size: 9".to_owned(),
            "  image_size" => "  image_size: 8".to_owned(),
            "model" => line.replace("resnet50", "resnet18").replace("imagenet", "null"),
            _ => line.to_owned(),
        }
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// Runs the sweep file `name` and holds its report to its plan.
fn runs_to_a_report(name: &str) {
    let place = Place::new();
    place.write("datasets/small.yaml", MANIFEST);
    place.write("datasets/small.csv", pictures());
    let text = std::fs::read_to_string(shipped().join(name)).unwrap();
    place.write(name, reduced(&text));
    place.expect(0, &["check", name]);
    let plan: serde_json::Value =
        serde_json::from_str(&place.expect(0, &["plan", name, "--json"])).unwrap();
    place.expect(0, &["run", name, "--quiet", "--slots", "2"]);
    let report = place.report(plan["name"].as_str().unwrap());
    let (planned, trained) = (plan["runs"]["total"].as_u64(), report["runs"].as_array().unwrap());
    assert!(planned > Some(0) && trained.len() as u64 >= planned.unwrap(), "{name}: {planned:?}");
    let again: serde_json::Value =
        serde_json::from_str(&place.expect(0, &["status", "--json"])).unwrap();
    assert_eq!(again["counts"]["succeeded"], trained.len(), "{name}: {again}");
}

#[test]
fn sweeps_in_head_mode_run() {
    for name in ["all_losses_head.yaml", "am_softmax_m_grid.yaml", "study_cpu_head.yaml"] {
        runs_to_a_report(name);
    }
}

#[test]
fn sweeps_of_the_quickstart_run() {
    for name in ["quickstart.yaml", "quickstart_adaptive.yaml"] {
        runs_to_a_report(name);
    }
}

#[test]
fn sweeps_of_the_study_run() {
    for name in ["study_table4.yaml", "study_cpu.yaml", "learning_rate_fairness.yaml"] {
        runs_to_a_report(name);
    }
}

#[test]
fn the_choice_of_learning_rates_runs() {
    runs_to_a_report("learning_rate_choice.yaml");
}

#[test]
fn sweeps_over_margins_run() {
    runs_to_a_report("margin_losses.yaml");
}

#[test]
fn every_sweep_that_is_shipped_is_run_here() {
    let source = include_str!("shipped.rs");
    for entry in std::fs::read_dir(shipped()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // A published table is no sweep.
        if name.ends_with(".yaml") && name != "study_published.yaml" {
            assert!(source.contains(&format!("\"{name}\"")), "{name} is run by no test");
        }
    }
}
