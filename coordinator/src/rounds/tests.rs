//! The rule on synthetic results: configurations a, b, c … of one or two data sets, counts of right images given by seed.

use sweep_core::bits::Bits;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, Fence};
use sweep_core::result::{RunResult, TrainingEnd, Validation};

use super::*;

const N_VAL: u32 = 200;

struct Study {
    sweep: Sweep,
    plan: Plan,
    records: Vec<RunRecord>,
}

/// `k` configurations on data sets of 200 validation images; `adaptive` and what follows are YAML.
fn study(k: usize, datasets: &[&str], adaptive: &str) -> Study {
    let losses = ["softmax", "cosine", "bce", "hinge", "focal", "l2_sigma"];
    let text = format!(
        "name: t\ndatasets: [{}]\nlosses: [{}]\nmodel: {{ backbone: small_cnn }}\nadaptive: {adaptive}\n",
        datasets.join(", "),
        losses[..k].join(", ")
    );
    let sweep = Sweep::parse(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
    let infos: Vec<_> = datasets.iter().map(|name| info(name)).collect();
    let plan = sweep.plan(&infos).unwrap_or_else(|error| panic!("{error}"));
    Study { sweep, plan, records: Vec::new() }
}

fn info(name: &str) -> DataSetInfo {
    DataSetInfo {
        name: name.to_owned(),
        title: name.to_owned(),
        classes: vec!["even".to_owned(), "odd".to_owned()],
        train: vec![50, 50],
        val: vec![N_VAL / 2, N_VAL / 2],
        content: Digest::of(name.as_bytes()),
        split: Digest::of(format!("{name} split").as_bytes()),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

fn result(right: u32, device: DeviceKind) -> RunResult {
    let correct: Bits = (0..N_VAL).map(|image| image < right).collect();
    let validation = Some(Validation { correct, confusion: Vec::new(), mistakes: None });
    RunResult { end: TrainingEnd::Completed, epochs: Vec::new(), validation, device, seconds: 1.0 }
}

/// A little noise of a seed and configuration, 0 to 3.
fn noise(configuration: usize, seed: u64) -> u32 {
    (configuration as u32 * 5 + seed as u32 * 7 + (seed as u32 * seed as u32) % 3) % 4
}

impl Study {
    /// Ends every run of the plan that has no record yet with `right(configuration, seed)` images right.
    fn end(&mut self, right: impl Fn(usize, u64) -> u32) {
        let known: Vec<RunId> = self.records.iter().map(|r| r.run.id.clone()).collect();
        for (c, runs) in self.plan.by_configuration().into_iter().enumerate() {
            for run in runs.into_iter().filter(|run| !known.contains(&run.id)) {
                self.records.push(RunRecord {
                    run: run.clone(),
                    state: StateName::Succeeded,
                    attempts: 1,
                    fence: Some(Fence(1)),
                    holder: None,
                    error: None,
                    result: Some(result(right(c, run.spec.seed), DeviceKind::Cpu)),
                });
            }
        }
    }

    fn record(&mut self, configuration: usize, seed: u64) -> &mut RunRecord {
        let id = self.plan.by_configuration()[configuration]
            .iter()
            .find(|run| run.spec.seed == seed)
            .map(|run| run.id.clone())
            .unwrap();
        self.records.iter_mut().find(|r| r.run.id == id).unwrap()
    }

    fn fail(&mut self, configuration: usize, seed: u64) {
        let record = self.record(configuration, seed);
        (record.state, record.result) = (StateName::Failed, None);
    }

    fn next(&self) -> Next {
        next_round(&self.sweep, &self.plan, &self.records)
    }

    /// The round that must be decided now.
    fn decided(&self) -> Round {
        match self.next() {
            Next::Decided(round) => round,
            other => panic!("{other:?}"),
        }
    }

    /// Takes the next round in; seeds and configurations of its runs.
    fn advance(&mut self) -> Vec<(u64, usize)> {
        let round = self.decided();
        let adaptive = self.sweep.adaptive().unwrap().clone();
        let own: Vec<_> =
            self.plan.configurations.iter().map(|p| p.configuration.clone()).collect();
        let runs = self.plan.add_round(&adaptive, round);
        let place = |run: &Run| own.iter().position(|c| *c == run.spec.configuration).unwrap();
        runs.iter().map(|run| (run.spec.seed, place(run))).collect()
    }

    fn who_was_dropped(&self) -> Vec<usize> {
        self.decided().dropped.iter().map(|d| d.configuration).collect()
    }

    fn stop(&self, dataset: usize) -> Option<(u32, StopReason)> {
        self.plan.stopped(dataset).map(|(round, reason)| (round.look, reason))
    }
}

#[test]
fn a_look_counts_only_when_every_run_of_it_has_ended() {
    let mut study = study(2, &["x"], "{ max_seeds: 10, look_every: 5 }");
    assert_eq!(study.next(), Next::Wait { lacking: 10 });
    study.end(|c, seed| 100 + noise(c, seed));
    for state in [StateName::Queued, StateName::Leased, StateName::Delayed, StateName::Cancelled] {
        study.record(1, 4).state = state;
        assert_eq!(study.next(), Next::Wait { lacking: 1 }, "{state}");
    }
    study.record(1, 4).state = StateName::Succeeded;
    assert_eq!(study.decided().look, 1);
}

#[test]
fn what_is_clearly_worse_gets_no_more_seeds_and_the_rest_gets_those_of_the_next_look() {
    let mut study = study(3, &["x"], "{ max_seeds: 30, look_every: 5, confirm: 2 }");
    study.end(|c, seed| [180, 120, 182][c] + noise(c, seed));
    let round = study.decided();
    assert_eq!((round.look, round.seeds, round.stopped.len()), (1, 5, 0));
    let dropped = &round.dropped[0];
    assert_eq!((dropped.configuration, dropped.n, round.dropped.len()), (1, 5, 1));
    assert!(dropped.p <= round.level.unwrap() && dropped.p > 0.0, "{round:?}");
    let expected: Vec<_> = (6..=10).flat_map(|seed| [(seed, 0), (seed, 2)]).collect();
    assert_eq!(study.advance(), expected, "seed-major");
    assert_eq!(study.next(), Next::Wait { lacking: 10 });
}

#[test]
fn one_left_stops_the_looks_and_is_confirmed_on_seeds_after_the_cap() {
    let mut study = study(3, &["x"], "{ max_seeds: 30, look_every: 5, confirm: 2 }");
    study.end(|c, seed| [180, 120, 150][c] + noise(c, seed));
    assert_eq!(study.advance(), [(31, 0), (32, 0)]);
    assert_eq!(study.stop(0), Some((1, StopReason::OneLeft)));
    assert!(study.plan.is_complete(&study.sweep));
    assert_eq!(study.next(), Next::Complete);
}

#[test]
fn configurations_within_the_rope_stop_as_equivalent() {
    let text = "{ max_seeds: 30, look_every: 5, confirm: 1 }\nanalysis: { rope: 0.05 }";
    let mut study = study(2, &["x"], text);
    study.end(|c, seed| 150 + noise(c, seed));
    assert_eq!(study.advance(), [(31, 0), (31, 1)]);
    assert_eq!(study.stop(0), Some((1, StopReason::Equivalent)));
}

#[test]
fn at_the_cap_the_looks_end_with_whoever_is_left() {
    let mut study = study(2, &["x"], "{ max_seeds: 8, look_every: 5, confirm: 1 }");
    study.end(|c, seed| 150 + 3 * noise(c, seed));
    let expected: Vec<_> = (6..=8).flat_map(|seed| [(seed, 0), (seed, 1)]).collect();
    assert_eq!(study.advance(), expected);
    study.end(|c, seed| 150 + 3 * noise(c, seed));
    assert_eq!(study.advance(), [(9, 0), (9, 1)]);
    assert_eq!(study.stop(0), Some((2, StopReason::Cap)));
    study.end(|_, _| 0);
    assert_eq!(study.next(), Next::Complete, "confirmation seeds choose nothing");
}

#[test]
fn results_of_later_seeds_are_not_looked_at() {
    let rule = "{ max_seeds: 10, look_every: 5 }";
    let mut early = study(2, &["x"], rule);
    early.end(|c, seed| [150, 149][c] + noise(c, seed));
    let mut ahead = study(2, &["x"], rule);
    ahead.end(|c, seed| [150, 149][c] + noise(c, seed));
    // Another sweep has trained seeds 6 to 10 already, with the opposite result.
    let mut later = study(2, &["x"], rule);
    later.end(|c, seed| [150, 149][c] + noise(c, seed));
    later.advance();
    later.end(|c, seed| [20, 199][c] - noise(c, seed) / 2);
    ahead.records = later.records;
    assert_eq!(ahead.decided(), early.decided());
}

#[test]
fn failed_and_diverged_runs_change_no_schedule_and_leave_their_pairs_out() {
    let mut study = study(2, &["x"], "{ max_seeds: 30, look_every: 5 }");
    study.end(|c, seed| [180, 120][c] + noise(c, seed));
    study.fail(0, 1);
    study.record(1, 3).result.as_mut().unwrap().validation = None;
    let round = study.decided();
    assert_eq!((round.seeds, round.dropped[0].n), (5, 3));
    study.fail(1, 4);
    let round = study.decided();
    assert!(round.dropped.is_empty(), "two common seeds decide nothing: {round:?}");
    assert_eq!(study.advance().len(), 10);
}

#[test]
fn seeds_of_two_device_kinds_are_no_pairs() {
    let mut study = study(2, &["x"], "{ max_seeds: 30, look_every: 5 }");
    study.end(|c, seed| [180, 120][c] + noise(c, seed));
    assert_eq!(study.who_was_dropped(), [1]);
    for seed in 1..=3 {
        study.record(1, seed).result.as_mut().unwrap().device = DeviceKind::Cuda;
    }
    assert!(study.who_was_dropped().is_empty());
}

#[test]
fn a_difference_without_spread_drops_nobody_by_t_but_by_sign_flips() {
    let sweep = |elimination: &str| {
        let rule = format!("{{ max_seeds: 10, look_every: 10, elimination: {elimination} }}");
        let mut study = study(2, &["x"], &rule);
        study.end(|c, _| [150, 160][c]);
        study
    };
    assert!(sweep("paired_t").who_was_dropped().is_empty());
    assert_eq!(sweep("sign_flip").who_was_dropped(), [0]);
}

#[test]
fn hardly_any_error_is_spent_on_the_first_look_by_obrien_and_fleming() {
    let level = |spending: &str| {
        let rule = format!("{{ spending: {spending} }}");
        let mut study = study(2, &["x"], &rule);
        study.end(|c, seed| 150 + noise(c, seed));
        study.decided().level.unwrap()
    };
    assert!(level("obrien_fleming") < 1e-5 && level("pocock") > 1e-2);
}

#[test]
fn evidence_at_any_time_drops_at_its_own_level() {
    let mut study = study(3, &["x"], "{ anytime: true, confirm: 0 }");
    study.end(|c, seed| [180, 120, 181][c] + noise(c, seed));
    let round = study.decided();
    assert_eq!((round.level, round.confidence), (Some(0.025), None));
    assert!(round.dropped.iter().all(|d| d.p <= 0.025));
    study.advance();
    study.end(|c, seed| [180, 120, 181][c] + noise(c, seed));
    study.advance();
    assert_eq!(study.plan.alive(0), [0, 2]);
}

#[test]
fn data_sets_look_together_and_stop_each_for_itself() {
    let mut study = study(2, &["x", "y"], "{ max_seeds: 10, look_every: 5, confirm: 1 }");
    // Configurations 0 and 1 are on x, 2 and 3 on y.
    study.end(|c, seed| [180, 120, 150, 149][c] + 2 * noise(c, seed));
    let runs = study.advance();
    assert_eq!(study.stop(0), Some((1, StopReason::OneLeft)));
    assert_eq!(study.stop(1), None);
    let expected: Vec<_> =
        (6..=10).flat_map(|seed| [(seed, 2), (seed, 3)]).chain([(11, 0)]).collect();
    assert_eq!(runs, expected);
    assert_eq!(study.next(), Next::Wait { lacking: 10 }, "confirmation runs hold no look up");
    assert!(!study.plan.is_complete(&study.sweep));
}

#[test]
fn a_decision_stands_when_an_earlier_run_is_retried() {
    let mut study = study(3, &["x"], "{ max_seeds: 30, look_every: 5 }");
    study.end(|c, seed| [180, 120, 182][c] + noise(c, seed));
    study.fail(1, 5);
    study.advance();
    let record = study.record(1, 5);
    record.state = StateName::Succeeded;
    record.result = Some(result(200, DeviceKind::Cpu));
    study.end(|c, seed| [180, 120, 182][c] + noise(c, seed));
    assert_eq!(study.plan.alive(0), [0, 2]);
    let round = study.decided();
    assert!(round.look == 2 && round.dropped.iter().all(|d| d.configuration != 1), "{round:?}");
}

#[test]
fn a_sweep_without_the_block_has_no_rounds() {
    let mut study = study(2, &["x"], "null\nseeds: 3");
    study.end(|c, seed| [180, 120][c] + noise(c, seed));
    assert_eq!(study.next(), Next::Complete);
    assert!(study.plan.is_complete(&study.sweep));
}
