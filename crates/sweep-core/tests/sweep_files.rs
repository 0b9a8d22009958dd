//! Whole sweep files: what they span, what their runs are called, and how they are written out.

mod common;

use common::{candidates, digits, labels, parse, plan, run_ids};
use sweep_core::dataset::{DataSetInfo, DataSetRef};
use sweep_core::ids::Digest;
use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights, WeightsRef};
use sweep_core::run::{Configuration, RunSpec};
use sweep_core::sweep::Sweep;
use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};

const QUICKSTART: &str = include_str!("../../../sweeps/quickstart.yaml");

#[test]
fn the_quickstart_spans_nine_configurations_and_ten_seeds() {
    let sweep = parse(QUICKSTART);
    insta::assert_snapshot!(labels(&sweep).join("\n"), @"
    softmax
    cosine
    am_softmax(margin=0.1,scale=10)
    am_softmax(margin=0.1,scale=20)
    am_softmax(margin=0.2,scale=10)
    am_softmax(margin=0.2,scale=20)
    am_softmax(margin=0.35,scale=10)
    am_softmax(margin=0.35,scale=20)
    l_softmax(margin=2)
    ");
    let plan = sweep.plan(&[digits()]).unwrap();
    assert_eq!(plan.runs.len(), 90);
    assert!(plan.runs.iter().all(|run| run.spec.configuration.training.image_size == 8));
    assert_eq!(
        plan.warnings,
        [
            "losses have unequal numbers of configurations, and the larger grid has the larger winner's bonus: softmax 1, cosine 1, am_softmax 6, l_softmax 1"
        ]
    );
}

#[test]
fn runs_are_seed_major_with_data_sets_outside_candidates() {
    let sweep = parse(
        "name: t\ndatasets: [digits, more]\nseeds: [7, 3]\nlosses: [softmax, cosine]\nmodel: { backbone: small_cnn }\n",
    );
    let more = DataSetInfo { name: "more".into(), content: Digest::of(b"more"), ..digits() };
    let plan = sweep.plan(&[digits(), more]).unwrap();
    let order: Vec<_> = plan
        .runs
        .iter()
        .map(|r| {
            (
                r.ord,
                r.spec.seed,
                r.spec.configuration.dataset.name.as_str(),
                r.spec.configuration.loss.name(),
            )
        })
        .collect();
    assert_eq!(
        order,
        [
            (0, 7, "digits", "softmax"),
            (1, 7, "digits", "cosine"),
            (2, 7, "more", "softmax"),
            (3, 7, "more", "cosine"),
            (4, 3, "digits", "softmax"),
            (5, 3, "digits", "cosine"),
            (6, 3, "more", "softmax"),
            (7, 3, "more", "cosine"),
        ]
    );
    assert!(plan.runs.iter().all(|run| run.id == run.spec.id()));
    assert_eq!(
        plan.configurations.iter().map(|p| (p.dataset, p.candidate)).collect::<Vec<_>>(),
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    );
}

#[test]
fn a_run_id_changes_only_when_somebody_means_it() {
    let configuration = Configuration {
        dataset: DataSetRef {
            name: "digits".into(),
            content: Digest([1; 32]),
            split: Digest([2; 32]),
        },
        loss: Loss::AmSoftmax { scale: 10.0, margin: 0.2 },
        model: Model { backbone: Backbone::SmallCnn, weights: Weights::Random, neck: None },
        training: Training {
            mode: Mode::Full,
            epochs: 30,
            batch_size: 10,
            image_size: 8,
            optimizer: Optimizer::Sgd {
                learning_rate: 0.05,
                momentum: 0.9,
                nesterov: false,
                weight_decay: 5e-4,
            },
            schedule: Schedule::Cosine,
            warmup_epochs: 0,
            clip_norm: Some(10.0),
            augment: Augment::None,
            precision: Precision::F32,
        },
    };
    let id = RunSpec { configuration, seed: 1 }.id();
    // If this fails, stored results no longer join: raise `run::SEMANTICS` on purpose or mend the change.
    assert_eq!(id.as_str(), "oaufuovxxhdped63v6rr");
}

#[test]
fn run_ids_do_not_depend_on_names_order_spelling_of_numbers_or_written_defaults() {
    let plain = run_ids(
        "name: a\ndatasets: [digits]\nseeds: 2\nlosses:\n  - softmax\n  - am_softmax: { margin: 0, scale: 30 }\nmodel: { backbone: small_cnn }\n",
    );
    let other = run_ids(
        "model: { neck: null, weights: null, backbone: small_cnn }\nname: b\ndescription: other\nseeds: [2, 1]\ndatasets: [digits]\n\
         training: { epochs: 30.0, batch_size: 32, clip_norm: 10.0, warmup_epochs: 0, mode: full, augment: none,\n\
         optimizer: { sgd: { weight_decay: 0.0005, learning_rate: 1e-2 } } }\n\
         losses:\n  - am_softmax: { scale: 30.0, margin: -0.0 }\n  - cross_entropy: { label_smoothing: 0 }\n",
    );
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(sorted(plain), sorted(other));
}

#[test]
fn a_sweep_id_depends_on_name_order_and_analysis() {
    let id = |text: &str| {
        let sweep = parse(text);
        let plan = plan(&sweep);
        sweep.id(&plan)
    };
    let base = "name: a\ndatasets: [digits]\nseeds: 2\nlosses: [softmax, cosine]\nmodel: { backbone: small_cnn }\n";
    assert_eq!(id(base), id(&format!("# a comment\n{base}description: words\n")));
    assert_ne!(id(base), id(&base.replace("name: a", "name: b")));
    assert_ne!(id(base), id(&base.replace("[softmax, cosine]", "[cosine, softmax]")));
    assert_ne!(id(base), id(&format!("{base}analysis: {{ alpha: 0.01 }}\n")));
}

#[test]
fn zipped_axes_advance_together_and_other_axes_cross_them() {
    insta::assert_snapshot!(candidates("  - arcface: { zip: { margin: [0.1, 0.2], scale: [10, 20] }, training: { batch_size: [4, 8] } }"), @"
    arcface(margin=0.1,scale=10) batch_size=4
    arcface(margin=0.1,scale=10) batch_size=8
    arcface(margin=0.2,scale=20) batch_size=4
    arcface(margin=0.2,scale=20) batch_size=8
    ");
}

#[test]
fn excluded_points_go_and_included_ones_come_last() {
    insta::assert_snapshot!(candidates("  - am_softmax: { margin: [0.1, 0.5], scale: [10, 30] }\n  - cosine\nexclude: [{ am_softmax: { margin: 0.5, scale: [10, 20] } }]\ninclude: [{ am_softmax: { margin: 0.9, scale: 64 } }]"), @"
    am_softmax(margin=0.1,scale=10)
    am_softmax(margin=0.1,scale=30)
    am_softmax(margin=0.5,scale=30)
    cosine
    am_softmax(margin=0.9,scale=64)
    ");
}

#[test]
fn a_loss_overrides_training_settings_of_the_whole_file() {
    insta::assert_snapshot!(candidates("  - softmax\n  - cosine: { training: { learning_rate: [0.5, 1] } }\n  - bce: { training: { optimizer: adam } }\ntraining: { optimizer: { sgd: { learning_rate: [0.01, 0.1] } } }"), @"
    softmax optimizer=sgd learning_rate=0.01 weight_decay=0.0005
    softmax optimizer=sgd learning_rate=0.1 weight_decay=0.0005
    cosine optimizer=sgd learning_rate=0.5 weight_decay=0.0005
    cosine optimizer=sgd learning_rate=1 weight_decay=0.0005
    bce optimizer=adam learning_rate=0.001 weight_decay=0
    ");
}

#[test]
fn networks_and_necks_are_axes_as_well() {
    let sweep = parse(
        "name: t\ndatasets: [digits]\nseeds: 2\nlosses: [bce]\nmodel: { backbone: [small_cnn, resnet18], neck: [null, { dim: [8, 16] }] }\n",
    );
    insta::assert_snapshot!(labels(&sweep).join("\n"), @"
    bce backbone=small_cnn neck=null
    bce backbone=small_cnn neck.batch_norm=true neck.dim=8
    bce backbone=small_cnn neck.batch_norm=true neck.dim=16
    bce backbone=resnet18 neck=null
    bce backbone=resnet18 neck.batch_norm=true neck.dim=8
    bce backbone=resnet18 neck.batch_norm=true neck.dim=16
    ");
    assert_eq!(plan(&sweep).runs.len(), 12);
}

#[test]
fn a_pattern_may_name_training_settings_and_a_learning_rate() {
    insta::assert_snapshot!(candidates("  - bce\n  - cosine\ntraining: { learning_rate: [0.1, 1], augment: [none, mild] }\nexclude: [{ bce: { training: { learning_rate: 1 } } }, { cosine: { training: { augment: mild } } }]"), @"
    bce learning_rate=0.1 augment=none
    bce learning_rate=0.1 augment=mild
    cosine learning_rate=0.1 augment=none
    cosine learning_rate=1 augment=none
    ");
}

#[test]
fn defaults_of_the_file_fill_what_an_entry_does_not_say() {
    insta::assert_snapshot!(candidates("  - am_softmax: { margin: 0.1 }\n  - am_softmax: { margin: 0.1, scale: 64 }\ndefaults: { am_softmax: { scale: 10 } }"), @"
    am_softmax(margin=0.1,scale=10)
    am_softmax(margin=0.1,scale=64)
    ");
}

#[test]
fn samples_are_the_same_every_time_and_another_seed_draws_others() {
    let sample = |seed: u32| {
        candidates(&format!(
            "  - am_softmax: {{ sample: {{ count: 4, seed: {seed}, margin: {{ uniform: [0, 0.5] }}, scale: [10, 30], learning_rate: {{ log_uniform: [1e-4, 1e-1] }} }} }}"
        ))
    };
    insta::assert_snapshot!(sample(1), @"
    am_softmax(margin=0.374668,scale=10) learning_rate=0.00194723
    am_softmax(margin=0.0402488,scale=30) learning_rate=0.0863599
    am_softmax(margin=0.181789,scale=30) learning_rate=0.000333807
    am_softmax(margin=0.438585,scale=10) learning_rate=0.0147942
    ");
    assert_ne!(sample(1), sample(2));
}

#[test]
fn the_file_written_out_holds_every_default() {
    insta::assert_snapshot!(parse(QUICKSTART).canonical_yaml(), @r#"
    name: quickstart
    description: "Do losses with a margin help when there are five training images per class?"
    datasets: [digits]
    seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    baseline: softmax
    losses:
      - softmax: { label_smoothing: 0 }
      - cosine: {}
      - am_softmax: { margin: [0.1, 0.2, 0.35], scale: [10, 20] }
      - l_softmax: { anneal: { base: 1000, gamma_total: 0.5, min: 0, power: 35 }, margin: 2 }
    model:
      backbone: small_cnn
      weights: null
      neck: null
    training:
      mode: full
      warmup_epochs: 0
      augment: none
      precision: f32
      epochs: 30
      batch_size: 10
      optimizer: { sgd: { learning_rate: 0.05, momentum: 0.9, nesterov: false, weight_decay: 0.0005 } }
      schedule: cosine
      clip_norm: 10
      # image_size: the data set's own size, else 224 for resnets
    analysis: { alpha: 0.05, compare: baseline, confidence: 0.95, correction: holm, detect: null, epoch: last, metric: val_accuracy, rope: null, test: sign_flip }
    adaptive: null
    max_runs: 100000
    "#);
}

const WITH_WEIGHTS: &str = "name: t\ndatasets: [digits]\nseeds: 2\nlosses: [softmax]\n\
    model: { backbone: resnet50, weights: [null, imagenet, imagenet_v2, ../w/mine.pth] }\ntraining: { mode: head }\n";

fn read(name: &str, sha256: char) -> WeightsRef {
    let sha256 = sha256.to_string().repeat(64).parse().expect("64 digits");
    WeightsRef { name: name.into(), sha256: Some(sha256) }
}

#[test]
fn weights_are_named_by_what_they_hold() {
    let sweep = parse(WITH_WEIGHTS);
    insta::assert_snapshot!(labels(&sweep).join("\n"), @"
    softmax weights=null
    softmax weights=imagenet
    softmax weights=imagenet_v2
    softmax weights=../w/mine.pth
    ");
    assert_eq!(sweep.weights_to_read(), ["../w/mine.pth"]);
    let ids = |text: &str, found: &[WeightsRef]| {
        let plan = plan(&parse(text).with_weights(found));
        plan.runs.iter().map(|run| run.id.to_string()).collect::<Vec<_>>()
    };
    let first = ids(WITH_WEIGHTS, &[read("../w/mine.pth", 'a')]);
    // The path plays no part, the content does.
    let moved = WITH_WEIGHTS.replace("../w/mine.pth", "elsewhere.pth");
    assert_eq!(ids(&moved, &[read("elsewhere.pth", 'a')]), first);
    let other = ids(WITH_WEIGHTS, &[read("../w/mine.pth", 'b')]);
    assert_eq!((&other[..3], &other[4..7]), (&first[..3], &first[4..7]));
    assert_ne!((&other[3], &other[7]), (&first[3], &first[7]));
    let distinct: std::collections::HashSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 8);
}

#[test]
fn a_stored_sweep_knows_its_weights_without_the_file() {
    let sweep = parse(WITH_WEIGHTS).with_weights(&[read("../w/mine.pth", 'a')]);
    let document = sweep.document(vec![digits()]);
    let stored = serde_json::to_string(&document).unwrap();
    let document: sweep_core::sweep::Document = serde_json::from_str(&stored).unwrap();
    let (opened, plan_again) = document.open().unwrap();
    assert_eq!(opened, sweep);
    assert_eq!(plan_again, plan(&sweep));
}

#[test]
fn weights_nobody_read_cannot_be_planned() {
    let error = parse(WITH_WEIGHTS).plan(&[digits()]).unwrap_err().to_string();
    assert!(
        error.contains("t.yaml:5:69: the file of `weights`, `../w/mine.pth`, has not been read"),
        "{error}"
    );
}

#[test]
fn weights_written_out_parse_back() {
    let sweep = parse(WITH_WEIGHTS);
    let again = parse(&sweep.canonical_yaml());
    assert_eq!(again.candidates(), sweep.candidates());
}

#[test]
fn a_careful_reader_is_warned() {
    let text = "name: t\ndatasets: [digits]\nseeds: 3\nbaseline: softmax\n\
                losses: [softmax, cosine, am_softmax: { margin: 0.9, scale: 4 }, arcface: { margin: 1.5, scale: 30 }, ldam: { max_margin: 0.5, scale: 30 }]\n\
                model: { backbone: small_cnn, neck: { dim: 2 } }\nanalysis: { rope: 0.001 }\n";
    let info = DataSetInfo {
        val: vec![3, 19, 30, 30, 30, 30, 30, 30, 30, 30],
        warnings: vec!["6 images are also in train".into()],
        ..digits()
    };
    insta::assert_snapshot!(parse(text).plan(&[info]).unwrap().warnings.join("\n"), @"
    3 seeds: exact paired tests cannot reach 0.05 (smallest p 0.25, 4 comparisons); 6 are needed for one comparison, 8 for 4
    3 seeds: fewer than log2(4/0.05) = 6.3, so the best set falls back to a t test
    digits: 6 images are also in train
    digits: `rope` 0.001 is less than one of 262 validation images (0.38 pp)
    digits: class `0` has 3 validation images; one image moves its accuracy by 33.3 pp
    digits: am_softmax(margin=0.9,scale=4): the margin cannot be met: 10 classes in 2 dimensions are at most 0.191 apart
    digits: arcface(margin=1.5,scale=30): the margin cannot be met: 10 classes in 2 dimensions are at most 0.191 apart
    digits: ldam(max_margin=0.5,scale=30): the margin cannot be met: 10 classes in 2 dimensions are at most 0.191 apart
    ");
    let one = parse(
        "name: t\ndatasets: [digits]\nseeds: 1\nlosses: [softmax]\nmodel: { backbone: small_cnn }\n",
    );
    assert_eq!(
        plan(&one).warnings,
        ["one seed: intervals over seeds and all comparisons will be \"—\""]
    );
}

#[test]
fn a_stored_document_opens_as_the_same_sweep_and_plan() {
    let sweep = parse(QUICKSTART);
    let document = sweep.document(vec![digits()]);
    let text = serde_json::to_string(&document).unwrap();
    let back: sweep_core::sweep::Document = serde_json::from_str(&text).unwrap();
    let (again, again_plan) = back.open().unwrap();
    assert_eq!((again.id(&again_plan), again_plan.runs.len()), (sweep.id(&plan(&sweep)), 90));
    assert_eq!(back.analysis, sweep.analysis().digest());
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"name": "t", "datasets": ["digits"], "seeds": 2, "losses": ["softmax", {"am_softmax": {"margin": [0.1, 0.2]}}], "model": {"backbone": "small_cnn", "weights": null}}"#;
    assert_eq!(Sweep::parse(text, "body.json").unwrap().candidates().len(), 3);
}

#[test]
fn image_sizes_come_from_the_data_set_the_file_or_the_network() {
    let photos = DataSetInfo {
        name: "photos".into(),
        content: Digest::of(b"photos"),
        fixed_size: None,
        channels: 3,
        ..digits()
    };
    let size = |model: &str, training: &str, info: &DataSetInfo| {
        let text = format!(
            "name: t\ndatasets: [x]\nseeds: 1\nlosses: [softmax]\nmodel: {{ backbone: {model} }}\ntraining: {training}\n"
        );
        parse(&text)
            .plan(std::slice::from_ref(info))
            .map(|plan| plan.runs[0].spec.configuration.training.image_size)
    };
    assert_eq!(size("resnet18", "{}", &photos).unwrap(), 224);
    assert_eq!(size("resnet18", "{ image_size: 96 }", &photos).unwrap(), 96);
    assert_eq!(size("resnet18", "{}", &digits()).unwrap(), 8);
    assert_eq!(size("small_cnn", "{ image_size: 32 }", &photos).unwrap(), 32);
    let error = size("small_cnn", "{}", &photos).unwrap_err().to_string();
    assert!(error.contains("5:20: `small_cnn` on data set `photos` needs `image_size`"), "{error}");
}

const ADAPTIVE: &str = "name: t\ndatasets: [digits]\nlosses: [softmax, cosine, bce]\nmodel: { backbone: small_cnn }\n\
                        adaptive: { max_seeds: 12, look_every: 5, confirm: 2 }\n";

#[test]
fn an_adaptive_sweep_plans_the_seeds_of_its_first_look() {
    let sweep = parse(ADAPTIVE);
    assert_eq!(sweep.seeds(), [1, 2, 3, 4, 5]);
    assert_eq!(plan(&sweep).runs.len(), 15);
    let written = parse(&format!("{ADAPTIVE}seeds: 5\n"));
    assert_eq!(written.id(&plan(&written)), sweep.id(&plan(&sweep)));
    let again = parse(&sweep.canonical_yaml());
    assert_eq!(again.adaptive(), sweep.adaptive());
    assert_eq!(again.id(&plan(&again)), sweep.id(&plan(&sweep)));
}

#[test]
fn the_adaptive_block_is_part_of_the_sweep_but_not_of_its_runs() {
    let fixed = parse(
        &ADAPTIVE.replace("adaptive: { max_seeds: 12, look_every: 5, confirm: 2 }", "seeds: 5"),
    );
    let other = parse(&ADAPTIVE.replace("max_seeds: 12", "max_seeds: 13"));
    let sweep = parse(ADAPTIVE);
    assert_eq!(plan(&fixed).runs, plan(&sweep).runs);
    assert_ne!(fixed.id(&plan(&fixed)), sweep.id(&plan(&sweep)));
    assert_ne!(other.id(&plan(&other)), sweep.id(&plan(&sweep)));
}

#[test]
fn rounds_add_seeds_to_what_is_left_and_confirm_it_at_the_end() {
    use sweep_core::adaptive::{Dropped, Round, StopReason, Stopped};
    let sweep = parse(ADAPTIVE);
    let round = |look: u32, seeds: u32, dropped: &[usize], stopped: Option<StopReason>| Round {
        look,
        seeds,
        level: Some(0.01),
        confidence: Some(0.95),
        dropped: dropped
            .iter()
            .map(|c| Dropped { configuration: *c, by: 0, n: seeds, p: 0.001 })
            .collect(),
        stopped: stopped.into_iter().map(|reason| Stopped { dataset: 0, reason }).collect(),
    };
    let mut document = sweep.document(vec![digits()]);
    document.rounds.push(round(1, 5, &[1], None));
    document.rounds.push(round(2, 10, &[], None));
    document.rounds.push(round(3, 12, &[], Some(StopReason::Cap)));
    let text = serde_json::to_string(&document).unwrap();
    let document: sweep_core::sweep::Document = serde_json::from_str(&text).unwrap();
    let (opened, extended) = document.open().unwrap();
    assert_eq!(opened.id(&extended), sweep.id(&plan(&sweep)), "rounds do not change the sweep");
    let seeds: Vec<Vec<u64>> = extended
        .by_configuration()
        .iter()
        .map(|runs| runs.iter().map(|run| run.spec.seed).collect())
        .collect();
    let to_the_end: Vec<u64> = (1..=14).collect();
    assert_eq!(seeds, [to_the_end.clone(), (1..=5).collect(), to_the_end.clone()]);
    assert_eq!(extended.seeds(), to_the_end);
    let ords: Vec<u32> = extended.runs.iter().map(|run| run.ord).collect();
    assert_eq!(ords, (0..33).collect::<Vec<u32>>());
    assert!(extended.runs.is_sorted_by_key(|run| run.spec.seed), "seed-major");
    assert!(extended.is_complete(&opened) && !plan(&sweep).is_complete(&sweep));
    assert_eq!(extended.dropped(1).map(|(round, dropped)| (round.look, dropped.by)), Some((1, 0)));
}

#[test]
fn an_adaptive_sweep_is_warned_by_the_seeds_it_may_get() {
    assert_eq!(plan(&parse(ADAPTIVE)).warnings, Vec::<String>::new());
}

#[test]
fn precision_names_a_run_only_where_it_is_not_f32() {
    let of = |training: &str| {
        let text = format!(
            "name: t\ndatasets: [digits]\nseeds: 1\nlosses: [softmax]\nmodel: {{ backbone: small_cnn }}\ntraining: {{ epochs: 1, batch_size: 8{training} }}\n"
        );
        parse(&text).candidates()[0].training.clone()
    };
    let (silent, said, narrow) = (of(""), of(", precision: f32"), of(", precision: bf16"));
    let json = |training: &Training| serde_json::to_string(training).unwrap();
    assert_eq!(silent, said);
    assert!(!json(&silent).contains("precision"), "runs keep the names they had");
    assert!(json(&narrow).contains(r#""precision":"bf16""#));
    assert_eq!(serde_json::from_str::<Training>(&json(&silent)).unwrap(), silent);
    assert_eq!(serde_json::from_str::<Training>(&json(&narrow)).unwrap(), narrow);
}
