//! The sweeps people start from: each is read, spans what its comments say, and plans on data sets with the study's counts.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{digits, labels, parse};
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;
use sweep_core::sweep::{Plan, Sweep};

/// The study's sets as `sweep-data` reads them, but for the digests; `NAME_inner` with three quarters of the training images.
fn info(name: &str) -> DataSetInfo {
    let (outer, inner) = name.strip_suffix("_inner").map_or((name, false), |outer| (outer, true));
    let (classes, train, val): (&[&str], &[u32], &[u32]) = match outer {
        "weather" => {
            (&["cloudy", "rain", "shine", "sunrise"], &[240, 172, 202, 285], &[60, 43, 51, 72])
        }
        "fruits" => (&["Apple", "Banana", "Mixed", "Orange"], &[75, 73, 20, 72], &[19, 18, 5, 18]),
        "covid" => (&["Covid", "Normal", "Viral Pneumonia"], &[111, 70, 70], &[26, 20, 20]),
        _ => return digits(),
    };
    let fitted: Vec<u32> = train.iter().map(|n| if inner { n * 3 / 4 } else { *n }).collect();
    let held = train.iter().zip(&fitted).map(|(all, n)| all - n).collect();
    DataSetInfo {
        name: name.into(),
        title: name.into(),
        classes: classes.iter().map(|c| (*c).to_owned()).collect(),
        train: fitted,
        val: if inner { held } else { val.to_vec() },
        content: Digest::of(name.as_bytes()),
        split: Digest::of(format!("split of {name}").as_bytes()),
        channels: 3,
        fixed_size: None,
        warnings: Vec::new(),
    }
}

fn sweeps() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sweeps"))
}

fn read(name: &str) -> Sweep {
    let text = std::fs::read_to_string(sweeps().join(format!("{name}.yaml"))).unwrap();
    let sweep = parse(&text);
    assert_eq!(sweep.name(), name, "a sweep is called like its file");
    sweep
}

fn planned(sweep: &Sweep) -> Plan {
    let infos: Vec<DataSetInfo> = sweep.datasets().iter().map(|name| info(name)).collect();
    sweep.plan(&infos).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_sweep_plans_what_its_comments_say() {
    for (name, configurations, runs) in [
        ("study_table4", 3, 90),
        ("am_softmax_m_grid", 31, 930),
        ("margin_losses", 18, 540),
        ("learning_rate_choice", 15, 225),
        ("learning_rate_fairness", 3, 90),
        ("all_losses_head", 15, 450),
    ] {
        let sweep = read(name);
        assert_eq!(sweep.candidates().len(), configurations, "{name}");
        let plan = planned(&sweep);
        assert_eq!(plan.runs.len(), runs, "{name}");
        let ids: BTreeSet<String> = plan.runs.iter().map(|run| run.id.to_string()).collect();
        assert_eq!(ids.len(), runs, "{name}: each run once");
        let text = std::fs::read_to_string(sweeps().join(format!("{name}.yaml"))).unwrap();
        assert!(text.contains(&format!("# Costs:  {runs} runs")), "{name}");
        println!("{name}: {:#?}", plan.warnings);
    }
}

#[test]
fn every_data_set_of_a_sweep_has_a_manifest() {
    let mut seen = 0;
    for entry in std::fs::read_dir(sweeps()).unwrap() {
        let path = entry.unwrap().path();
        let text = match path.extension() {
            Some(extension) if extension == "yaml" => std::fs::read_to_string(&path).unwrap(),
            _ => continue,
        };
        // A table of published accuracies is no sweep.
        if !text.contains("\nlosses:") {
            continue;
        }
        seen += 1;
        for dataset in parse(&text).datasets() {
            let outer = dataset.strip_suffix("_inner").unwrap_or(dataset);
            let manifest = sweeps().join(format!("datasets/{outer}.yaml"));
            assert!(outer == "digits" || manifest.is_file(), "{}: {dataset}", path.display());
        }
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn the_study_has_its_three_losses_in_the_order_of_its_table() {
    let sweep = read("study_table4");
    assert_eq!(labels(&sweep), ["cosine", "softmax", "am_softmax(margin=0.35,scale=30)"]);
    let warnings = planned(&sweep).warnings;
    assert!(!warnings.iter().any(|w| w.contains("seeds:")), "10 seeds are enough: {warnings:?}");
}

#[test]
fn every_loss_has_the_same_rates_to_choose_from_and_other_seeds_than_those_that_judge() {
    let (choice, fairness) = (read("learning_rate_choice"), read("learning_rate_fairness"));
    let mut rates: Vec<(String, Vec<f64>)> = Vec::new();
    for candidate in choice.candidates() {
        let (loss, rate) =
            (candidate.loss.canonical(), candidate.training.optimizer.learning_rate());
        match rates.iter_mut().find(|(name, _)| *name == loss) {
            Some((_, list)) => list.push(rate),
            None => rates.push((loss, vec![rate])),
        }
    }
    assert!(rates.iter().all(|(_, list)| *list == rates[0].1), "{rates:?}");
    for judged in fairness.candidates() {
        let (loss, rate) = (judged.loss.canonical(), judged.training.optimizer.learning_rate());
        let (_, list) =
            rates.iter().find(|(name, _)| *name == loss).expect("a loss that was asked about");
        assert!(list.contains(&rate), "{loss}: {rate} was not among the rates");
    }
    assert!(choice.seeds().iter().all(|seed| !fairness.seeds().contains(seed)));
    let inner: Vec<String> =
        fairness.datasets().iter().map(|name| format!("{name}_inner")).collect();
    assert_eq!(choice.datasets(), inner);
}

#[test]
fn every_loss_is_in_the_comparison_of_all() {
    let sweep = read("all_losses_head");
    let names: BTreeSet<&str> = sweep.candidates().iter().map(|c| c.loss.name()).collect();
    let all: BTreeSet<&str> = sweep_core::catalogue::losses().iter().map(|l| l.name).collect();
    assert_eq!(names, all);
}
