//! Builders of synthetic results for the tests of this crate: a test shows only what matters to it.

use sweep_core::adaptive::{Dropped, Round, StopReason, Stopped};
use sweep_core::bits::Bits;
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, Fence};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd, Validation};
use sweep_core::sweep::{Plan, Sweep};
use sweep_stats::group_seq::Spending;
use sweep_stats::race::{Elimination, Race};

use crate::input::{Input, SubmissionMeta};
use crate::report::Report;

/// A sweep with results, ready to be analysed.
pub(crate) struct Study {
    pub(crate) sweep: Sweep,
    pub(crate) plan: Plan,
    pub(crate) records: Vec<RunRecord>,
    pub(crate) meta: SubmissionMeta,
}

/// `losses` and `extra` are YAML; one data set `digits` of `n_val` images in two classes.
pub(crate) fn study(losses: &str, seeds: &str, extra: &str, n_val: u32) -> Study {
    study_on(&[("digits", n_val)], losses, seeds, extra)
}

pub(crate) fn study_on(datasets: &[(&str, u32)], losses: &str, seeds: &str, extra: &str) -> Study {
    let names: Vec<_> = datasets.iter().map(|d| d.0).collect();
    // An `adaptive` block gives out the seeds itself.
    let seeds = if seeds.is_empty() { String::new() } else { format!("seeds: {seeds}\n") };
    let text = format!(
        "name: study\ndescription: a synthetic study\ndatasets: [{}]\n{seeds}{extra}losses:\n{losses}model: {{ backbone: small_cnn, weights: null, neck: null }}\ntraining:\n  mode: full\n  epochs: 3\n  batch_size: 32\n",
        names.join(", ")
    );
    let infos: Vec<_> = datasets.iter().map(|(name, n_val)| info(name, *n_val)).collect();
    let sweep = Sweep::parse(&text, "study.yaml").unwrap_or_else(|e| panic!("{e}"));
    let plan = sweep.plan(&infos).unwrap_or_else(|e| panic!("{e}"));
    let meta = SubmissionMeta {
        file: "study.yaml".to_owned(),
        text,
        analysis_at_submit: sweep.analysis().digest(),
        stopped_early: false,
        extensions: Vec::new(),
        version: "0.0.0".to_owned(),
    };
    Study { sweep, plan, records: Vec::new(), meta }
}

pub(crate) fn info(name: &str, n_val: u32) -> DataSetInfo {
    DataSetInfo {
        name: name.to_owned(),
        title: format!("{name} for tests"),
        classes: vec!["even".to_owned(), "odd".to_owned()],
        train: vec![50, 50],
        val: vec![n_val / 2, n_val - n_val / 2],
        content: Digest::of(name.as_bytes()),
        split: Digest::of(format!("{name} split").as_bytes()),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

impl Study {
    pub(crate) fn input(&self) -> Input<'_> {
        Input { sweep: &self.sweep, plan: &self.plan, records: &self.records, meta: &self.meta }
    }

    pub(crate) fn report(&self) -> Report {
        crate::analyse(&self.input())
    }

    /// Results of every run: `correct(configuration, seed position)` images right, the wrong ones drawn so that seeds and
    /// configurations mostly miss the same hard images.
    pub(crate) fn all(mut self, correct: impl Fn(usize, usize) -> u32) -> Self {
        let seeds = self.sweep.seeds().to_vec();
        let k = self.plan.configurations.len();
        for (c, planned) in self.plan.configurations.clone().iter().enumerate() {
            let n_val = self.plan.datasets[planned.dataset].val_count();
            for (s, _) in seeds.iter().enumerate() {
                let run = self.plan.runs[s * k + c].clone();
                let wrong = n_val - correct(c, s).min(n_val);
                let result = result(bits(n_val, wrong, (c * 31 + s * 7) as u32), 3);
                self.records.push(RunRecord {
                    run,
                    state: StateName::Succeeded,
                    attempts: 1,
                    fence: Some(Fence(1)),
                    holder: None,
                    error: None,
                    result: Some(result),
                });
            }
        }
        self
    }

    /// Results of every planned run that has none yet: `correct(configuration, seed)` images right.
    pub(crate) fn end(mut self, correct: impl Fn(usize, u64) -> u32) -> Self {
        let known: std::collections::HashSet<_> =
            self.records.iter().map(|r| r.run.id.clone()).collect();
        for (c, runs) in self.plan.by_configuration().into_iter().enumerate() {
            let n_val = self.plan.datasets[self.plan.configurations[c].dataset].val_count();
            for run in runs.into_iter().filter(|run| !known.contains(&run.id)) {
                let seed = run.spec.seed;
                let wrong = n_val - correct(c, seed).min(n_val);
                self.records.push(RunRecord {
                    run: run.clone(),
                    state: StateName::Succeeded,
                    attempts: 1,
                    fence: Some(Fence(1)),
                    holder: None,
                    error: None,
                    result: Some(result(bits(n_val, wrong, (c as u32) * 31 + seed as u32 * 7), 3)),
                });
            }
        }
        self
    }

    /// Takes in what a look decided, as the coordinator does: `dropped` are (configuration, by, p), `stopped` data sets.
    pub(crate) fn look(
        mut self,
        dropped: &[(usize, usize, f64)],
        stopped: &[(usize, StopReason)],
    ) -> Self {
        let adaptive = self.sweep.adaptive().unwrap().clone();
        let look = self.plan.rounds.len();
        let seeds = adaptive.looks()[look];
        let k = self.plan.configurations.iter().filter(|p| p.dataset == 0).count();
        let alpha = self.sweep.analysis().alpha;
        let race = if adaptive.anytime {
            Race::anytime(k, alpha)
        } else {
            Race::with_looks(&adaptive.looks(), k, alpha, Spending::Pocock, Elimination::PairedT)
        }
        .unwrap();
        let dropped = dropped.iter().map(|(configuration, by, p)| Dropped {
            configuration: *configuration,
            by: *by,
            n: seeds,
            p: *p,
        });
        let stopped =
            stopped.iter().map(|(dataset, reason)| Stopped { dataset: *dataset, reason: *reason });
        let round = Round {
            look: look as u32 + 1,
            seeds,
            level: race.level(look),
            confidence: race.confidence(look),
            dropped: dropped.collect(),
            stopped: stopped.collect(),
        };
        self.plan.add_round(&adaptive, round);
        self
    }

    /// Changes the record of configuration `c` at seed position `s`.
    pub(crate) fn change(mut self, c: usize, s: usize, f: impl FnOnce(&mut RunRecord)) -> Self {
        let k = self.plan.configurations.len();
        let id = self.plan.runs[s * k + c].id.clone();
        f(self.records.iter_mut().find(|r| r.run.id == id).unwrap());
        self
    }

    pub(crate) fn failed(self, c: usize, s: usize) -> Self {
        self.change(c, s, |r| {
            r.state = StateName::Failed;
            r.result = None;
            r.error = Some("device lost: out of memory".to_owned());
        })
    }

    pub(crate) fn in_state(self, c: usize, s: usize, state: StateName) -> Self {
        self.change(c, s, |r| {
            r.state = state;
            r.result = None;
        })
    }
}

/// `wrong` of `n` images wrong: most of them the first ones (hard for everyone), every third one somewhere of its own.
pub(crate) fn bits(n: u32, wrong: u32, own: u32) -> Bits {
    let mut right = vec![true; n as usize];
    let (mut left, mut hard) = (wrong, 0);
    while left > 0 {
        let at = if left.is_multiple_of(3) {
            (own.wrapping_mul(2_654_435_761).wrapping_add(left * 97)) % n
        } else {
            hard
        };
        let at = (0..n).map(|i| (at + i) % n).find(|i| right[*i as usize]).unwrap();
        right[at as usize] = false;
        hard = (hard + 1) % n;
        left -= 1;
    }
    right.into_iter().collect()
}

pub(crate) fn result(correct: Bits, epochs: u32) -> RunResult {
    let n = correct.len() as u32;
    let right = correct.count_ones() as u32;
    let accuracy = f64::from(right) / f64::from(n.max(1));
    let epochs = (1..=epochs)
        .map(|epoch| EpochMetrics {
            epoch,
            train_loss: Some(2.0 / f64::from(epoch)),
            train_accuracy: (0.5 + 0.15 * f64::from(epoch)).min(1.0),
            val_loss: Some(2.2 / f64::from(epoch)),
            val_accuracy: accuracy * (0.6 + 0.4 * f64::from(epoch) / f64::from(epochs)),
            learning_rate: 0.01,
            lambda: None,
            seconds: 0.5,
        })
        .collect();
    let half = n / 2;
    let (even, odd) = (right.min(half), right - right.min(half));
    let confusion = vec![vec![even, half - even], vec![n - half - odd, odd]];
    RunResult {
        end: TrainingEnd::Completed,
        epochs,
        validation: Some(Validation { correct, confusion, mistakes: None }),
        device: DeviceKind::Cpu,
        seconds: 1.5,
    }
}
