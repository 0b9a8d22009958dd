//! What holds for every search space and every text.

mod common;

use std::collections::HashSet;

use common::{digits, parse, plan, run_ids, with_losses};
use proptest::prelude::*;
use sweep_core::loss::Loss;
use sweep_core::sweep::Sweep;

/// Distinct margins, scales and learning rates, as a person would write them.
fn axis(unit: f64) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::btree_set(1_u32..90, 1..5)
        .prop_map(move |set| set.into_iter().map(|n| f64::from(n) * unit).collect())
        .prop_shuffle()
}

fn written(values: &[f64]) -> String {
    format!("{values:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_grid_point_occurs_exactly_once_in_the_order_of_the_file(margins in axis(0.01), scales in axis(0.5), rates in axis(1e-3)) {
        let entry = format!("  - am_softmax: {{ margin: {}, scale: {}, training: {{ learning_rate: {} }} }}", written(&margins), written(&scales), written(&rates));
        let sweep = parse(&with_losses(&entry));
        let points: Vec<_> = sweep.candidates().iter().map(|c| (c.loss.clone(), c.training.optimizer.learning_rate())).collect();
        let mut wanted = Vec::new();
        for margin in &margins {
            for scale in &scales {
                wanted.extend(rates.iter().map(|rate| (Loss::AmSoftmax { margin: *margin, scale: *scale }, *rate)));
            }
        }
        prop_assert_eq!(points, wanted);
        let labels: HashSet<_> = sweep.candidates().iter().map(|c| &c.label).collect();
        prop_assert_eq!(labels.len(), sweep.candidates().len());
        let plan = plan(&sweep);
        let ids: HashSet<_> = plan.runs.iter().map(|run| &run.id).collect();
        prop_assert_eq!(ids.len(), 2 * sweep.candidates().len());
        prop_assert!(plan.runs.iter().zip(0..).all(|(run, ord)| run.ord == ord));
    }

    #[test]
    fn ids_do_not_depend_on_the_order_of_axes_entries_or_on_the_name(margins in axis(0.01), scales in axis(0.5), name in "[a-z0-9_-]{1,64}") {
        let one = with_losses(&format!("  - softmax\n  - arcface: {{ margin: {}, scale: {} }}", written(&margins), written(&scales)));
        let backwards = |values: &[f64]| written(&values.iter().rev().copied().collect::<Vec<_>>());
        let two = with_losses(&format!("  - arcface: {{ scale: {}, margin: {} }}\n  - softmax: {{}}", backwards(&scales), backwards(&margins)));
        let two = two.replace("name: t", &format!("name: '{name}'"));
        let sorted = |text: &str| { let mut ids = run_ids(text); ids.sort(); ids };
        prop_assert_eq!(sorted(&one), sorted(&two));
    }

    #[test]
    fn a_zip_has_as_many_points_as_its_lists(pairs in prop::collection::btree_map(1_u32..90, 1_u32..90, 1..6)) {
        let margins: Vec<f64> = pairs.keys().map(|n| f64::from(*n) / 100.0).collect();
        let scales: Vec<f64> = pairs.values().map(|n| f64::from(*n)).collect();
        let sweep = parse(&with_losses(&format!("  - am_softmax: {{ zip: {{ margin: {}, scale: {} }} }}", written(&margins), written(&scales))));
        let points: Vec<_> = sweep.candidates().iter().map(|c| c.loss.clone()).collect();
        let wanted: Vec<_> = margins.iter().zip(&scales).map(|(m, s)| Loss::AmSoftmax { margin: *m, scale: *s }).collect();
        prop_assert_eq!(points, wanted);
    }

    #[test]
    fn exclude_takes_exactly_the_points_it_names(margins in axis(0.01), scales in axis(0.5), pick in any::<prop::sample::Index>()) {
        let margin = *pick.get(&margins);
        let entry = format!("  - softmax\n  - am_softmax: {{ margin: {}, scale: {} }}\nexclude: [{{ am_softmax: {{ margin: {margin} }} }}]", written(&margins), written(&scales));
        let sweep = parse(&with_losses(&entry));
        prop_assert_eq!(sweep.candidates().len(), 1 + (margins.len() - 1) * scales.len());
        let gone = |loss: &Loss| matches!(loss, Loss::AmSoftmax { margin: m, .. } if *m == margin);
        prop_assert!(!sweep.candidates().iter().any(|c| gone(&c.loss)));
    }

    #[test]
    fn samples_lie_in_their_ranges_and_fill_them(count in 16_u32..200, seed in any::<u32>()) {
        let entry = format!("  - am_softmax: {{ sample: {{ count: {count}, seed: {seed}, margin: {{ uniform: [0.1, 0.5] }}, learning_rate: {{ log_uniform: [1e-4, 1e-1] }} }} }}");
        let sweep = parse(&with_losses(&entry));
        prop_assert_eq!(sweep.candidates().len(), count as usize);
        let (mut low, mut small) = (0, 0);
        for candidate in sweep.candidates() {
            let Loss::AmSoftmax { margin, .. } = candidate.loss else { panic!("only am_softmax") };
            let rate = candidate.training.optimizer.learning_rate();
            prop_assert!((0.1..=0.5).contains(&margin) && (1e-4..=1e-1).contains(&rate));
            low += u32::from(margin < 0.3);
            small += u32::from(rate < 10_f64.powf(-2.5));
        }
        // A Sobol sequence is far more even than chance.
        prop_assert!(low.abs_diff(count - low) <= count / 4 + 4 && small.abs_diff(count - small) <= count / 4 + 4, "{} {} of {}", low, small, count);
    }

    #[test]
    fn a_file_written_out_reads_back_to_the_same_runs(margins in axis(0.01), rates in axis(1e-5), zip in any::<bool>(), shortcut in any::<bool>(), sample in any::<bool>()) {
        let mut losses = format!("  - softmax\n  - am_softmax: {{ training: {{ batch_size: [4, 8] }}, margin: {} }}\n  - l_softmax: {{ margin: [2, 4], anneal: [null, {{ gamma_total: [0.5, 0.75] }}] }}", written(&margins));
        if zip {
            losses += "\n  - arcface: { zip: { margin: [0.1, 0.2], epochs: [10, 20] } }";
        }
        if sample {
            losses += "\n  - ldam: { sample: { count: 5, max_margin: { uniform: [0, 0.9] }, learning_rate: { log_uniform: [1e-6, 1] } } }";
        }
        losses += "\ninclude: [focal: { gamma: 0, training: { optimizer: adam } }]\nexclude: [am_softmax: { training: { batch_size: 8 } }]\ndefaults: { am_softmax: { scale: 12 } }";
        losses += &match shortcut {
            true => format!("\ntraining: {{ learning_rate: {}, optimizer: {{ sgd: {{ nesterov: [true, false] }} }} }}", written(&rates)),
            false => format!("\ntraining: {{ schedule: [constant, {{ step: {{ every: [2, 3] }} }}], optimizer: {{ adamw: {{ learning_rate: {} }} }} }}", written(&rates)),
        };
        let sweep = parse(&with_losses(&losses));
        let text = sweep.canonical_yaml();
        let again = Sweep::parse(&text, "again.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(again.candidates(), sweep.candidates());
        prop_assert_eq!(again.id(&plan(&again)), sweep.id(&plan(&sweep)));
        prop_assert_eq!(again.canonical_yaml(), text);
    }
}

/// Every construct of the language in one file, to be mutated.
const RICH: &str = "name: rich
description: \"all of it\"
datasets: [digits]
seeds: [1, 2, 3]
baseline: softmax
losses:
  - softmax: { label_smoothing: [0.0, 0.1] }
  - am_softmax: { margin: [0.1, 0.2], scale: 10 }
  - arcface: { zip: { margin: [0.1, 0.2], scale: [10, 20] } }
  - ldam: { sample: { count: 4, seed: 7, max_margin: { uniform: [0, 0.5] }, learning_rate: { log_uniform: [1e-4, 1e-1] } } }
  - l_softmax: { margin: 2, anneal: { base: 100 } }
  - cosine: { training: { learning_rate: [0.05, 0.5] } }
exclude:
  - am_softmax: { margin: 0.2 }
include:
  - hinge: { power: 2 }
defaults: { hinge: { margin: 0.7 } }
model: { backbone: small_cnn, weights: null, neck: { dim: 16 } }
training:
  epochs: 3
  batch_size: &b 10
  optimizer: { sgd: { learning_rate: 0.05, momentum: 0.9 } }
  schedule: { step: { every: 2 } }
  warmup_epochs: 1
analysis: { alpha: 0.05, rope: 0.01 }
adaptive: null
max_runs: 1000
";

/// Texts with a meaning somewhere in the language.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "\n",
    ",",
    "null",
    "-1",
    "1e999",
    ".nan",
    "0",
    "99999999999999999999999",
    "*b",
    "&b ",
    "!!str ",
    "\"",
    "'",
    "  ",
    "margin",
    "softmax",
    "|\n",
    "\t",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = Sweep::parse(&text, "any.yaml").map_err(|error| error.to_string());
    }

    #[test]
    fn no_mutation_of_a_sweep_file_makes_it_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, 0_usize..PIECES.len()), 1..6)) {
        let mut text: Vec<char> = RICH.chars().collect();
        for (place, length, piece) in edits {
            let from = place.index(text.len());
            let to = (from + length).min(text.len());
            text.splice(from..to, PIECES[piece].chars());
            if text.is_empty() {
                break;
            }
        }
        let text: String = text.into_iter().collect();
        match Sweep::parse(&text, "mutated.yaml") {
            Ok(sweep) => drop(sweep.plan(&[digits()]).map_err(|error| error.to_string())),
            Err(error) => {
                prop_assert!(error.problems().len() > 0);
                let lines = text.lines().count().max(1);
                // A text may end inside something: one line past the last is where it is missing.
                prop_assert!(error.problems().all(|p| (1..=lines + 1).contains(&p.line)), "{error}");
            }
        }
    }
}

#[test]
fn the_rich_file_is_right() {
    assert_eq!(parse(RICH).candidates().len(), 13);
}

#[test]
fn huge_deep_and_self_multiplying_texts_are_refused_quickly() {
    let refused = |text: &str| Sweep::parse(text, "bomb.yaml").unwrap_err().to_string();
    assert!(refused(&"a: 1\n".repeat(1_000_000)).contains("at most"));
    assert!(refused(&"[".repeat(100_000)).contains("bomb.yaml:1:"));
    assert!(refused(&format!("{}x", "- ".repeat(5_000))).contains("bomb.yaml:1:"));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    assert!(refused(&bomb).contains("bomb.yaml:"));
    let long = (0..100_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let axis = (1..1000).map(|n| format!("0.{n:03}")).collect::<Vec<_>>().join(", ");
    for losses in [
        format!("  - am_softmax: {{ margin: [{axis}], scale: [{axis}] }}"),
        format!(
            "  - softmax: {{ training: {{ optimizer: {{ adam: {{ beta1: [{axis}], beta2: [{axis}] }} }} }} }}"
        ),
        "  - softmax: { sample: { count: 65536, learning_rate: { log_uniform: [1.0e-4, 1] } } }\n"
            .repeat(10),
        format!("  - softmax\ntraining: {{ epochs: [{long}] }}"),
    ] {
        let error = refused(&with_losses(&losses));
        assert!(
            error.contains("max_runs") || error.contains("`epochs` is 0"),
            "{}",
            &error[..error.len().min(500)]
        );
    }
}

#[test]
fn twenty_thousand_runs_are_planned_and_all_differ() {
    let axis = |n: u32| (1..=n).map(|i| format!("{}.0e-3", i)).collect::<Vec<_>>().join(", ");
    let entry = format!("  - am_softmax: {{ margin: [{}], scale: [{}] }}", axis(100), axis(100));
    let plan = plan(&parse(&with_losses(&entry)));
    let ids: HashSet<_> = plan.runs.iter().map(|run| &run.id).collect();
    assert_eq!(ids.len(), 20_000);
}
