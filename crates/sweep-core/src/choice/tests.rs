//! Choices from synthetic counts of right images.

use super::*;
use crate::bits::Bits;
use crate::dataset::DataSetInfo;
use crate::ids::{Digest, Fence};
use crate::lifecycle::StateName;
use crate::result::{DeviceKind, RunResult, Validation};

const TEXT: &str = "\
name: rates_choice
datasets: [one_inner, two_inner]
seeds: [101, 102]
baseline: softmax
losses:
  - softmax: { training: { learning_rate: [0.1, 0.01, 0.5] } }
  - am_softmax: { margin: 0.35, scale: 30, training: { learning_rate: [0.1, 0.01, 0.5] } }
model: { backbone: small_cnn }
training: { epochs: 3, batch_size: 10, optimizer: { sgd: { momentum: 0.5 } }, clip_norm: 10 }
";

const N_VAL: [u32; 2] = [100, 200];

fn planned(text: &str) -> (Sweep, Plan) {
    let sweep = Sweep::parse(text, "rates.yaml").unwrap_or_else(|error| panic!("{error}"));
    let infos: Vec<_> = sweep.datasets().iter().zip(N_VAL).map(|(name, n)| info(name, n)).collect();
    let plan = sweep.plan(&infos).unwrap_or_else(|error| panic!("{error}"));
    (sweep, plan)
}

fn info(name: &str, n_val: u32) -> DataSetInfo {
    DataSetInfo {
        name: name.to_owned(),
        title: name.to_owned(),
        classes: vec!["even".to_owned(), "odd".to_owned()],
        train: vec![50, 50],
        val: vec![n_val / 2, n_val / 2],
        content: Digest::of(name.as_bytes()),
        split: Digest::of(format!("{name} split").as_bytes()),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

/// Every run with `right(data set, candidate, seed)` images right; `None`: it diverged.
fn records(plan: &Plan, right: impl Fn(usize, usize, u64) -> Option<u32>) -> Vec<RunRecord> {
    let runs = plan.by_configuration();
    let of = plan.configurations.iter().zip(runs);
    of.flat_map(|(planned, runs)| runs.into_iter().map(move |run| (planned, run)))
        .map(|(planned, run)| {
            let right = right(planned.dataset, planned.candidate, run.spec.seed);
            let n_val = N_VAL[planned.dataset];
            let correct: Bits = (0..n_val).map(|i| i < right.unwrap_or(n_val)).collect();
            let end = match right {
                Some(_) => TrainingEnd::Completed,
                None => TrainingEnd::Diverged { epoch: 2, step: 7 },
            };
            let validation = Some(Validation { correct, confusion: Vec::new(), mistakes: None });
            let (epochs, device) = (Vec::new(), DeviceKind::Cpu);
            RunRecord {
                run: run.clone(),
                state: StateName::Succeeded,
                attempts: 1,
                fence: Some(Fence(1)),
                holder: None,
                error: None,
                result: Some(RunResult { end, epochs, validation, device, seconds: 1.0 }),
            }
        })
        .collect()
}

#[test]
fn data_sets_count_alike_however_many_images_they_have() {
    let (sweep, plan) = planned(TEXT);
    // Rate 0.1 is 10 of 100 better on the first set, 0.01 is 15 of 200 on the second.
    let records = records(&plan, |dataset, candidate, _| {
        Some(match (dataset, candidate % 3) {
            (0, 0) => 60,
            (1, 1) => 115,
            (0, _) => 50,
            _ => 100,
        })
    });
    let choices = learning_rates(&sweep, &plan, &records).unwrap();
    assert_eq!(choices.len(), 2);
    for choice in &choices {
        assert_eq!(choice.tried[choice.chosen].rate, 0.1);
        approx::assert_relative_eq!(choice.tried[0].accuracy.unwrap(), 0.55);
        approx::assert_relative_eq!(choice.tried[1].accuracy.unwrap(), 0.5375);
    }
}

#[test]
fn of_equal_rates_the_smallest_is_taken_and_one_that_diverged_is_not() {
    let (sweep, plan) = planned(TEXT);
    // Candidates 3 to 5 are am_softmax: its 0.01 diverges on one seed of one set, with every image right before.
    let records = records(&plan, |dataset, candidate, seed| {
        (candidate != 4 || dataset != 1 || seed != 102).then_some(50)
    });
    let choices = learning_rates(&sweep, &plan, &records).unwrap();
    let rates: Vec<f64> = choices.iter().map(|c| c.tried[c.chosen].rate).collect();
    assert_eq!(rates, [0.01, 0.1]);
    assert_eq!(choices[1].tried[1].accuracy, None);
    let text = summary(&choices);
    assert!(text.contains("0.01 diverged"), "{text}");
    assert_eq!(text.matches("edge").count(), 1, "0.01 is the smallest rate of softmax: {text}");
}

#[test]
fn the_sweep_that_judges_has_each_loss_once_on_the_outer_sets_and_is_a_sweep_file() {
    let (sweep, plan) = planned(TEXT);
    let records = records(&plan, |_, candidate, _| Some([10, 20, 30, 30, 20, 10][candidate]));
    let choices = learning_rates(&sweep, &plan, &records).unwrap();
    let text = sweep.judging(&choices, 4).unwrap();
    let judge =
        Sweep::parse(&text, "chosen.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!((judge.name(), judge.seeds()), ("rates_chosen", &[1, 2, 3, 4][..]));
    assert_eq!(judge.datasets(), ["one", "two"]);
    assert_eq!(judge.baseline(), Some("softmax"));
    assert_eq!(judge.analysis(), sweep.analysis());
    assert_eq!(judge.candidates().len(), 2);
    for (candidate, of) in judge.candidates().iter().zip([2, 3]) {
        let original = &sweep.candidates()[of];
        assert_eq!(candidate.loss, original.loss);
        assert_eq!(candidate.model, original.model);
        assert_eq!(candidate.training, original.training, "{text}");
    }
    assert_eq!(sweep.judging(&choices, 4).unwrap(), text);
    assert_eq!(sweep.judging(&choices, 200), Err(ChoiceError::Seed(101)));
    assert_eq!(sweep.judging(&choices, 0), Err(ChoiceError::Seeds(0)));
}

#[test]
fn settings_that_losses_do_not_share_stay_with_each() {
    let text = TEXT.replace("scale: 30, training: { ", "scale: 30, training: { epochs: 7, ");
    let (sweep, plan) = planned(&text);
    let records = records(&plan, |_, _, _| Some(10));
    let choices = learning_rates(&sweep, &plan, &records).unwrap();
    let judge = Sweep::parse(&sweep.judging(&choices, 1).unwrap(), "chosen.yaml").unwrap();
    let epochs: Vec<u32> = judge.candidates().iter().map(|c| c.training.epochs).collect();
    assert_eq!(epochs, [3, 7]);
    assert!(judge.candidates().iter().all(|c| c.training.clip_norm == Some(10.0)));
}

#[test]
fn what_would_not_be_an_honest_choice_is_refused() {
    let error = |text: &str| {
        let (sweep, plan) = planned(text);
        let records = records(&plan, |_, _, _| Some(10));
        learning_rates(&sweep, &plan, &records).unwrap_err()
    };
    assert_eq!(error(&TEXT.replace("two_inner", "two")), ChoiceError::NotInner("two".to_owned()));
    assert_eq!(error(&TEXT.replace("[0.1, 0.01, 0.5]", "0.1")), ChoiceError::NothingToChoose);
    let fewer = TEXT.replacen("[0.1, 0.01, 0.5]", "[0.1, 0.01]", 1);
    assert!(matches!(error(&fewer), ChoiceError::Unequal { tries: 3, first_tries: 2, .. }));
    let adaptive = TEXT.replace("seeds: [101, 102]", "adaptive: { max_seeds: 9, look_every: 3 }");
    assert_eq!(error(&adaptive), ChoiceError::Adaptive);

    let (sweep, plan) = planned(TEXT);
    let mut some = records(&plan, |_, _, _| Some(10));
    some[3].result = None;
    let unfinished = ChoiceError::Unfinished { lacking: 1, runs: 24 };
    assert_eq!(learning_rates(&sweep, &plan, &some), Err(unfinished));
    let all = records(&plan, |_, candidate, _| (candidate > 2).then_some(10));
    let diverged = ChoiceError::AllDiverged("softmax".to_owned());
    assert_eq!(learning_rates(&sweep, &plan, &all), Err(diverged));
}
