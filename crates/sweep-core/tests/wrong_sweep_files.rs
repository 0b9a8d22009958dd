//! Wrong sweep files: each is refused at the right line, with a caret under what is wrong and with what is allowed.

use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;
use sweep_core::sweep::Sweep;

/// A right file; each test changes one line of it.
const RIGHT: [&str; 8] = [
    "name: t",
    "datasets: [digits]",
    "seeds: 3",
    "baseline: softmax",
    "losses:",
    "  - softmax",
    "  - cosine",
    "model: { backbone: small_cnn }",
];

/// The right file with line `line` in other words; line 9 is a new one.
fn with(line: usize, text: &str) -> String {
    let mut lines = RIGHT.to_vec();
    lines.truncate(if line <= 8 { 8 } else { line });
    match lines.get_mut(line - 1) {
        Some(old) => *old = text,
        None => lines.push(text),
    }
    lines.join("\n") + "\n"
}

/// What a person sees, the first problem being on that very line or on those that replaced it.
fn refused(line: usize, text: &str) -> String {
    let error = Sweep::parse(&with(line, text), "t.yaml").expect_err("this file is wrong");
    shown(line, text, &error)
}

/// The same for a file that is right but cannot run on digits.
fn refused_on_digits(line: usize, text: &str) -> String {
    let sweep =
        Sweep::parse(&with(line, text), "t.yaml").expect("this file is right but for its data set");
    let error = sweep.plan(&[digits()]).expect_err("this cannot run on digits");
    shown(line, text, &error)
}

fn shown(line: usize, text: &str, error: &sweep_core::file::SweepFileError) -> String {
    let first = error.problems().next().expect("an error has a problem");
    let last = line + text.lines().count() - 1;
    // A grid that is too large is shown at `losses`, whatever made it so.
    assert!((line..=last).contains(&first.line) || first.message.contains("max_runs"), "{error}");
    error.to_string()
}

fn digits() -> DataSetInfo {
    DataSetInfo {
        name: "digits".into(),
        title: "Digits".into(),
        classes: (0..10).map(|c| c.to_string()).collect(),
        train: vec![5; 10],
        val: vec![175; 10],
        content: Digest::of(b"pixels"),
        split: Digest::of(b"split"),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

#[test]
fn the_right_file_is_right() {
    let sweep = Sweep::parse(&(RIGHT.join("\n") + "\n"), "t.yaml")
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sweep.plan(&[digits()]).unwrap_or_else(|error| panic!("{error}")).runs.len(), 6);
}

#[test]
fn an_unknown_key_of_a_loss_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { marign: 0.2 }"), @r#"
    t.yaml:7:19: unknown key `marign` of `am_softmax` (did you mean `margin`? known: margin, scale, training, zip, sample)
       |
     7 |   - am_softmax: { marign: 0.2 }
       |                   ^^^^^^
    "#);
}

#[test]
fn an_unknown_loss_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_sofmax"), @r#"
    t.yaml:7:5: unknown loss `am_sofmax` (did you mean `am_softmax`? known: l1_sigma, l2_sigma, hinge, hinge_cs, hinge_ww, bce, softmax, focal, l_softmax, a_softmax, am_softmax, arcface, ldam, cosine, cosine_xent)
       |
     7 |   - am_sofmax
       |     ^^^^^^^^^
    "#);
}

#[test]
fn a_value_out_of_range_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { margin: [0.2, 1.0], scale: 0 }"), @r#"
    t.yaml:7:33: `margin` is 1, but must be a number in [0, 1)
       |
     7 |   - am_softmax: { margin: [0.2, 1.0], scale: 0 }
       |                                 ^^^

    t.yaml:7:46: `scale` is 0, but must be a number > 0
       |
     7 |   - am_softmax: { margin: [0.2, 1.0], scale: 0 }
       |                                              ^
    "#);
}

#[test]
fn a_margin_that_is_not_one_of_the_few_whole_numbers_is_refused() {
    insta::assert_snapshot!(refused(7, "  - l_softmax: { margin: 5 }"), @r#"
    t.yaml:7:26: `margin` is 5, but must be one of 1, 2, 3, 4
       |
     7 |   - l_softmax: { margin: 5 }
       |                          ^
    "#);
}

#[test]
fn a_power_that_is_not_one_of_the_few_is_refused() {
    insta::assert_snapshot!(refused(7, "  - hinge: { power: 4 }"), @r#"
    t.yaml:7:21: `power` is 4, but must be one of 1, 2, 3
       |
     7 |   - hinge: { power: 4 }
       |                     ^
    "#);
}

#[test]
fn a_gamma_between_zero_and_one_is_refused() {
    insta::assert_snapshot!(refused(7, "  - focal: { gamma: 0.5 }"), @r#"
    t.yaml:7:21: `gamma` is 0.5, but must be a number that is 0 or >= 1
       |
     7 |   - focal: { gamma: 0.5 }
       |                     ^^^
    "#);
}

#[test]
fn a_margin_on_a_loss_without_one_is_refused() {
    insta::assert_snapshot!(refused(7, "  - bce: { margin: 1 }"), @r#"
    t.yaml:7:12: unknown key `margin` of `bce` (known: training, zip, sample)
       |
     7 |   - bce: { margin: 1 }
       |            ^^^^^^
    "#);
}

#[test]
fn numbers_that_are_not_finite_is_refused() {
    insta::assert_snapshot!(refused(7, "  - arcface: { margin: .nan, scale: [.inf, 1e999] }"), @r#"
    t.yaml:7:24: `margin` is NaN, but must be a number of radians in [0, π/2), π/2 = 1.5707…
       |
     7 |   - arcface: { margin: .nan, scale: [.inf, 1e999] }
       |                        ^^^^

    t.yaml:7:38: `scale` is inf, but must be a number > 0
       |
     7 |   - arcface: { margin: .nan, scale: [.inf, 1e999] }
       |                                      ^^^^

    t.yaml:7:44: `scale` is inf, but must be a number > 0
       |
     7 |   - arcface: { margin: .nan, scale: [.inf, 1e999] }
       |                                            ^^^^^
    "#);
}

#[test]
fn a_word_where_a_number_belongs_is_refused() {
    insta::assert_snapshot!(refused(7, "  - arcface: { margin: half }"), @r#"
    t.yaml:7:24: `margin` is `half`, but must be a number of radians in [0, π/2), π/2 = 1.5707…
       |
     7 |   - arcface: { margin: half }
       |                        ^^^^
    "#);
}

#[test]
fn an_empty_axis_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { margin: [] }"), @r#"
    t.yaml:7:27: `margin` is an empty list; an axis needs at least one value: a number in [0, 1)
       |
     7 |   - am_softmax: { margin: [] }
       |                           ^
    "#);
}

#[test]
fn a_value_that_stands_twice_on_an_axis_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { margin: [0.2, 0.20], scale: 10 }"), @r#"
    t.yaml:7:33: duplicate value 0.2 of `margin` (first on line 7); each value may stand once
       |
     7 |   - am_softmax: { margin: [0.2, 0.20], scale: 10 }
       |                                 ^^^^
    "#);
}

#[test]
fn a_configuration_that_stands_twice_is_refused() {
    insta::assert_snapshot!(refused(7, "  - cross_entropy: { label_smoothing: 0.0 }"), @r#"
    t.yaml:7:5: duplicate configuration softmax (first on line 6); each may stand once
       |
     7 |   - cross_entropy: { label_smoothing: 0.0 }
       |     ^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_training_setting_outside_training_is_refused() {
    insta::assert_snapshot!(refused(7, "  - cosine: { learning_rate: [0.1, 1.0] }"), @r#"
    t.yaml:7:15: unknown key `learning_rate` of `cosine`: training settings stand under `training:`, as `training: { learning_rate: … }`
       |
     7 |   - cosine: { learning_rate: [0.1, 1.0] }
       |               ^^^^^^^^^^^^^
    "#);
}

#[test]
fn two_losses_in_one_entry_is_refused() {
    insta::assert_snapshot!(refused(7, "  - cosine:\n    hinge:"), @r#"
    t.yaml:8:5: `hinge` does not belong here: a loss must be one key with a map of settings, as `- am_softmax: { margin: 0.2 }`
       |
     8 |     hinge:
       |     ^^^^^
    "#);
}

#[test]
fn zipped_lists_of_different_lengths_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { zip: { margin: [0.1, 0.2], scale: [10] } }"), @r#"
    t.yaml:7:53: the lists of `zip` must have one length: `scale` has 1, `margin` has 2
       |
     7 |   - am_softmax: { zip: { margin: [0.1, 0.2], scale: [10] } }
       |                                                     ^
    "#);
}

#[test]
fn a_setting_that_is_set_twice_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { margin: 0.1, zip: { margin: [0.1, 0.2], scale: [10, 20] } }"), @r#"
    t.yaml:7:48: `margin` of `am_softmax` is set twice
       |
     7 |   - am_softmax: { margin: 0.1, zip: { margin: [0.1, 0.2], scale: [10, 20] } }
       |                                                ^^^
    "#);
}

#[test]
fn a_sample_without_count_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { sample: { margin: { uniform: [0, 0.5] } } }"), @r#"
    t.yaml:7:19: `sample` needs `count`: a whole number from 1 to 65536
       |
     7 |   - am_softmax: { sample: { margin: { uniform: [0, 0.5] } } }
       |                   ^^^^^^
    "#);
}

#[test]
fn a_sample_beyond_the_range_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { sample: { count: 8, margin: { uniform: [0, 1] } } }"), @r#"
    t.yaml:7:62: `margin` is 1, but must be a number in [0, 1)
       |
     7 |   - am_softmax: { sample: { count: 8, margin: { uniform: [0, 1] } } }
       |                                                              ^
    "#);
}

#[test]
fn a_logarithmic_sample_from_zero_is_refused() {
    insta::assert_snapshot!(refused(7, "  - cosine: { sample: { count: 8, weight_decay: { log_uniform: [0, 1] }, learning_rate: { log_uniform: [0, 1] } } }"), @r#"
    t.yaml:7:35: unknown key `weight_decay` of `sample` (known: learning_rate, epochs, batch_size, image_size, warmup_epochs, clip_norm)
       |
     7 |   - cosine: { sample: { count: 8, weight_decay: { log_uniform: [0, 1] }, learning_rate: { log_uniform: [0, 1] } } }
       |                                   ^^^^^^^^^^^^

    t.yaml:7:105: `learning_rate` is 0, but must be a number > 0
       |
     7 |   - cosine: { sample: { count: 8, weight_decay: { log_uniform: [0, 1] }, learning_rate: { log_uniform: [0, 1] } } }
       |                                                                                                         ^
    "#);
}

#[test]
fn a_baseline_that_is_not_among_the_losses_is_refused() {
    insta::assert_snapshot!(refused(4, "baseline: hinge"), @r#"
    t.yaml:4:11: `baseline` is `hinge`, but must be one of the losses of this file: softmax, cosine
       |
     4 | baseline: hinge
       |           ^^^^^
    "#);
}

#[test]
fn a_name_with_a_space_is_refused() {
    insta::assert_snapshot!(refused(1, "name: my sweep"), @r#"
    t.yaml:1:7: `name` is `my sweep`, but must be 1 to 64 of the characters a-z, 0-9, _ and -
       |
     1 | name: my sweep
       |       ^^^^^^^^
    "#);
}

#[test]
fn a_data_set_that_stands_twice_is_refused() {
    insta::assert_snapshot!(refused(2, "datasets: [digits, fruits, digits]"), @r#"
    t.yaml:2:28: duplicate data set `digits`; each may stand once
       |
     2 | datasets: [digits, fruits, digits]
       |                            ^^^^^^
    "#);
}

#[test]
fn no_seeds_is_refused() {
    insta::assert_snapshot!(refused(3, "seeds: 0"), @r#"
    t.yaml:3:8: `seeds` is 0, but must be a whole number N from 1 to 10000 for the seeds 1 to N, or a list such as [3, 7, 11]
       |
     3 | seeds: 0
       |        ^
    "#);
}

#[test]
fn a_seed_that_stands_twice_is_refused() {
    insta::assert_snapshot!(refused(3, "seeds: [3, 7, 3]"), @r#"
    t.yaml:3:15: duplicate seed 3; each may stand once
       |
     3 | seeds: [3, 7, 3]
       |               ^
    "#);
}

#[test]
fn an_unknown_key_of_the_file_is_refused() {
    insta::assert_snapshot!(refused(9, "trainig: { epochs: 3 }"), @r#"
    t.yaml:9:1: unknown key `trainig` of a sweep file (did you mean `training`? known: name, description, datasets, seeds, baseline, losses, model, training, analysis, adaptive, exclude, include, defaults, max_runs)
       |
     9 | trainig: { epochs: 3 }
       | ^^^^^^^
    "#);
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    insta::assert_snapshot!(refused(9, "seeds: 5"), @r#"
    t.yaml:9:1: duplicate key `seeds`: a key may stand once in a map
       |
     9 | seeds: 5
       | ^^^^^
    "#);
}

#[test]
fn weights_without_a_file_or_a_known_name_are_refused() {
    insta::assert_snapshot!(refused(8, "model: { backbone: resnet18, weights: imagenet21k }"), @r#"
    t.yaml:8:39: `weights` is `imagenet21k`, but must be imagenet, imagenet_v2, or the path or URL of a .pth or .safetensors file; or null
       |
     8 | model: { backbone: resnet18, weights: imagenet21k }
       |                                       ^^^^^^^^^^^
    "#);
}

#[test]
fn weights_for_a_network_that_has_none_are_refused() {
    insta::assert_snapshot!(refused(8, "model: { backbone: small_cnn, weights: imagenet }"), @r#"
    t.yaml:8:40: `weights` is `imagenet`, but `small_cnn` has no weights to start from (allowed: null, or a resnet as `backbone`)
       |
     8 | model: { backbone: small_cnn, weights: imagenet }
       |                                        ^^^^^^^^
    "#);
}

#[test]
fn weights_that_nobody_published_are_refused() {
    insta::assert_snapshot!(refused(8, "model: { backbone: resnet18, weights: imagenet_v2 }"), @r#"
    t.yaml:8:39: `weights` is `imagenet_v2`, but for resnet18 torchvision publishes only `imagenet`
       |
     8 | model: { backbone: resnet18, weights: imagenet_v2 }
       |                                       ^^^^^^^^^^^
    "#);
}

#[test]
fn an_unknown_backbone_is_refused() {
    insta::assert_snapshot!(refused(8, "model: { backbone: resnet_50 }"), @r#"
    t.yaml:8:20: `backbone` is `resnet_50`, but must be one of small_cnn, resnet18, resnet34, resnet50 (did you mean `resnet50`?)
       |
     8 | model: { backbone: resnet_50 }
       |                    ^^^^^^^^^
    "#);
}

#[test]
fn a_model_without_a_backbone_is_refused() {
    insta::assert_snapshot!(refused(8, "model: { neck: { batch_norm: true } }"), @r#"
    t.yaml:8:8: `model` needs `backbone`: one of small_cnn, resnet18, resnet34, resnet50
       |
     8 | model: { neck: { batch_norm: true } }
       |        ^

    t.yaml:8:16: `neck` needs `dim`: a whole number from 1 to 65536
       |
     8 | model: { neck: { batch_norm: true } }
       |                ^
    "#);
}

#[test]
fn a_frozen_backbone_in_fewer_bits_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { mode: head, precision: bf16 }"), @r"
    t.yaml:9:36: `precision` is bf16, but in `mode: head` the features of each image are computed once, in f32 (allowed: f32)
       |
     9 | training: { mode: head, precision: bf16 }
       |                                    ^^^^
    ");
}

#[test]
fn a_frozen_backbone_with_augmentation_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { mode: head, augment: mild }"), @r#"
    t.yaml:9:34: `augment` is mild, but in `mode: head` the features of each image are computed once, from its evaluation view (allowed: none)
       |
     9 | training: { mode: head, augment: mild }
       |                                  ^^^^
    "#);
}

#[test]
fn a_frozen_backbone_with_a_neck_is_refused() {
    let text = "model: { backbone: small_cnn, neck: { dim: 8 } }\ntraining: { mode: head }";
    insta::assert_snapshot!(refused(8, text), @r#"
    t.yaml:8:37: `neck` trains together with the head, which `mode: head` cannot do in this version (allowed: null)
       |
     8 | model: { backbone: small_cnn, neck: { dim: 8 } }
       |                                     ^
    "#);
}

#[test]
fn two_modes_in_one_sweep_are_refused() {
    insta::assert_snapshot!(refused(9, "training: { mode: [full, head] }"), @r#"
    t.yaml:9:26: a sweep has one `mode`: `full` and `head` answer different questions and are never compared; write a sweep for each
       |
     9 | training: { mode: [full, head] }
       |                          ^^^^
    "#);
}

#[test]
fn a_batch_of_one_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { batch_size: [1, 8] }"), @r#"
    t.yaml:9:26: `batch_size` is 1, but must be a whole number from 2 to 65536
       |
     9 | training: { batch_size: [1, 8] }
       |                          ^
    "#);
}

#[test]
fn a_warm_up_as_long_as_the_training_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { epochs: 5, warmup_epochs: 5 }"), @r#"
    t.yaml:9:39: `warmup_epochs` is 5, but must be below `epochs`, 5
       |
     9 | training: { epochs: 5, warmup_epochs: 5 }
       |                                       ^
    "#);
}

#[test]
fn an_optimizer_setting_of_another_optimizer_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { optimizer: { adam: { momentum: 0.9 } } }"), @r#"
    t.yaml:9:34: unknown key `momentum` of `adam` (known: learning_rate, beta1, beta2, epsilon, weight_decay)
       |
     9 | training: { optimizer: { adam: { momentum: 0.9 } } }
       |                                  ^^^^^^^^
    "#);
}

#[test]
fn an_unknown_optimizer_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { optimizer: lion }"), @r#"
    t.yaml:9:24: unknown optimizer `lion` (known: sgd, adam, adamw)
       |
     9 | training: { optimizer: lion }
       |                        ^^^^
    "#);
}

#[test]
fn a_step_schedule_without_a_step_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { schedule: step }"), @r#"
    t.yaml:9:23: `step` needs `every`: a whole number from 1 to 100000
       |
     9 | training: { schedule: step }
       |                       ^^^^
    "#);
}

#[test]
fn two_learning_rates_is_refused() {
    insta::assert_snapshot!(refused(9, "training: { learning_rate: 0.1, optimizer: { sgd: { learning_rate: 0.2 } } }"), @r#"
    t.yaml:9:13: `learning_rate` is set twice: here and inside `optimizer`
       |
     9 | training: { learning_rate: 0.1, optimizer: { sgd: { learning_rate: 0.2 } } }
       |             ^^^^^^^^^^^^^
    "#);
}

#[test]
fn an_analysis_level_of_one_half_is_refused() {
    insta::assert_snapshot!(refused(9, "analysis: { alpha: 0.5, test: anova }"), @r#"
    t.yaml:9:20: `alpha` is 0.5, but must be a number in (0, 0.5)
       |
     9 | analysis: { alpha: 0.5, test: anova }
       |                    ^^^

    t.yaml:9:31: `test` is `anova`, but must be one of sign_flip, wilcoxon, paired_t
       |
     9 | analysis: { alpha: 0.5, test: anova }
       |                               ^^^^^
    "#);
}

#[test]
fn a_wrong_adaptive_block_is_refused_at_each_wrong_value() {
    insta::assert_snapshot!(refused(9, "adaptive: { max_seed: 30, look_every: 2, spending: haybittle, anytime: [true] }"), @r#"
    t.yaml:9:13: unknown key `max_seed` of `adaptive` (did you mean `max_seeds`? known: max_seeds, look_every, spending, elimination, confirm, anytime)
       |
     9 | adaptive: { max_seed: 30, look_every: 2, spending: haybittle, anytime: [true] }
       |             ^^^^^^^^

    t.yaml:9:39: `look_every` is 2, but must be a whole number from 3 to 10000
       |
     9 | adaptive: { max_seed: 30, look_every: 2, spending: haybittle, anytime: [true] }
       |                                       ^

    t.yaml:9:52: `spending` is `haybittle`, but must be one of pocock, obrien_fleming
       |
     9 | adaptive: { max_seed: 30, look_every: 2, spending: haybittle, anytime: [true] }
       |                                                    ^^^^^^^^^

    t.yaml:9:72: `anytime` is a list, but must be one value: true or false
       |
     9 | adaptive: { max_seed: 30, look_every: 2, spending: haybittle, anytime: [true] }
       |                                                                        ^
    "#);
    insta::assert_snapshot!(refused(9, "adaptive: true"), @r#"
    t.yaml:9:11: `adaptive` is true, but must be a map, as { max_seeds: 30, look_every: 5 }
       |
     9 | adaptive: true
       |           ^^^^
    "#);
}

#[test]
fn looks_that_contradict_the_cap_are_refused() {
    let with_looks = |text: &str| {
        let text = format!("{}\nadaptive: {text}\n", RIGHT.join("\n").replace("seeds: 3\n", ""));
        Sweep::parse(&text, "t.yaml").expect_err("this file is wrong").to_string()
    };
    insta::assert_snapshot!(with_looks("{ max_seeds: 4 }"), @r#"
    t.yaml:8:24: `look_every` is 5, but must be at most `max_seeds`, 4
       |
     8 | adaptive: { max_seeds: 4 }
       |                        ^
    "#);
    insta::assert_snapshot!(with_looks("{ max_seeds: 1000, look_every: 5 }"), @r#"
    t.yaml:8:42: `look_every` 5 makes 200 looks at up to 1000 seeds, but at most 100 are allowed (`look_every` from 10)
       |
     8 | adaptive: { max_seeds: 1000, look_every: 5 }
       |                                          ^
    "#);
}

#[test]
fn seeds_that_are_not_those_of_the_first_look_are_refused() {
    let seeds = |text: &str| refused(3, &format!("{text}\nadaptive: {{ look_every: 5 }}"));
    insta::assert_snapshot!(seeds("seeds: 10"), @r#"
    t.yaml:3:8: `seeds` is 10, but with `adaptive` the looks decide: leave it out, or write 5 (`look_every`), the seeds of the first look
       |
     3 | seeds: 10
       |        ^^
    "#);
    insta::assert_snapshot!(seeds("seeds: [3, 7, 11]"), @r#"
    t.yaml:3:8: `seeds` is [3, 7, 11], but with `adaptive` the looks decide: leave it out, or write 5 (`look_every`), the seeds of the first look
       |
     3 | seeds: [3, 7, 11]
       |        ^
    "#);
}

#[test]
fn one_configuration_cannot_race() {
    let text = "name: t\ndatasets: [digits]\nlosses: [softmax]\nmodel: { backbone: small_cnn }\nadaptive: {}\n";
    insta::assert_snapshot!(Sweep::parse(text, "t.yaml").unwrap_err().to_string(), @r#"
    t.yaml:5:11: `adaptive` needs at least 2 configurations, but the losses make 1
       |
     5 | adaptive: {}
       |           ^
    "#);
}

#[test]
fn the_cap_and_the_confirmation_seeds_count_against_max_runs() {
    insta::assert_snapshot!(refused(3, "adaptive: { max_seeds: 30, confirm: 10 }\nmax_runs: 79"), @r#"
    t.yaml:6:1: the search space has 80 runs (configurations × 1 data sets × 40 seeds), but `max_runs` is 79
       |
     6 | losses:
       | ^^^^^^
    "#);
}

#[test]
fn an_exclude_that_excludes_nothing_is_refused() {
    insta::assert_snapshot!(refused(9, "exclude: [{ cosine: { training: { epochs: 31 } } }]"), @r#"
    t.yaml:9:13: this excludes nothing: no configuration of `cosine` has these values
       |
     9 | exclude: [{ cosine: { training: { epochs: 31 } } }]
       |             ^^^^^^
    "#);
}

#[test]
fn a_default_that_nobody_uses_is_refused() {
    insta::assert_snapshot!(refused(9, "defaults: { am_softmax: { scale: 10 } }"), @r#"
    t.yaml:9:13: `defaults` names `am_softmax`, which is not among the losses of this file
       |
     9 | defaults: { am_softmax: { scale: 10 } }
       |             ^^^^^^^^^^
    "#);
}

#[test]
fn a_grid_above_max_runs_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { margin: [0, 0.1, 0.2, 0.3], scale: [5, 10, 20] }\nmax_runs: 38"), @r#"
    t.yaml:5:1: the search space has 39 runs (configurations × 1 data sets × 3 seeds), but `max_runs` is 38
       |
     5 | losses:
       | ^^^^^^
    "#);
}

#[test]
fn yaml_that_does_not_close_is_refused() {
    insta::assert_snapshot!(refused(7, "  - am_softmax: { margin: [0.1, 0.2 }"), @r#"
    t.yaml:7:27: this is not readable YAML: mismatched bracket '[' closed by '}'
       |
     7 |   - am_softmax: { margin: [0.1, 0.2 }
       |                           ^
    "#);
}

#[test]
fn a_second_document_is_refused() {
    insta::assert_snapshot!(refused(9, "---\nname: other"), @r#"
    t.yaml:10:1: a second YAML document begins here, but a sweep file is one
        |
     10 | name: other
        | ^
    "#);
}

#[test]
fn a_tag_is_refused() {
    insta::assert_snapshot!(refused(1, "name: !secret t"), @r#"
    t.yaml:1:15: this is not readable YAML: unsupported tag `!secret`
       |
     1 | name: !secret t
       |               ^
    "#);
}

#[test]
fn a_batch_larger_than_the_training_part_is_refused() {
    insta::assert_snapshot!(refused_on_digits(9, "training: { batch_size: [10, 51] }"), @r#"
    t.yaml:9:30: `batch_size` is 51, but data set `digits` has 50 training images (allowed: 2 to 50)
       |
     9 | training: { batch_size: [10, 51] }
       |                              ^^
    "#);
}

#[test]
fn an_image_size_the_data_set_does_not_have_is_refused() {
    insta::assert_snapshot!(refused_on_digits(9, "training: { image_size: 32 }"), @r#"
    t.yaml:9:25: `image_size` is 32, but data set `digits` has images of 8×8; leave it out or write 8
       |
     9 | training: { image_size: 32 }
       |                         ^^
    "#);
}

#[test]
fn configurations_that_meet_on_a_data_set_is_refused() {
    insta::assert_snapshot!(refused_on_digits(7, "  - softmax: { training: { image_size: 8 } }"), @r#"
    t.yaml:7:5: duplicate configuration softmax image_size=8 on data set `digits` (first on line 6)
       |
     7 |   - softmax: { training: { image_size: 8 } }
       |     ^^^^^^^
    "#);
}
