//! A watched sweep in little memory: one line per run, folded from the store's words and from events.
//!
//! Pure: what is read and when is `watch`'s. A small sweep keeps its results without their epochs, so that the whole report can be made
//! of it; a large one keeps counts alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::result::{RunResult, TrainingEnd};
use sweep_core::sweep::{Plan, Sweep};
use sweep_report::glance::{self, Seen};
use sweep_report::plot;
use sweep_report::report::{Progress, Summary};
use sweep_report::{Input, Report, SubmissionMeta};
use sweep_store::{Event, EventKind, SweepStatus};

/// Runs up to which a sweep's whole report is made for its page.
const SMALL_RUNS: usize = 2000;
/// Configurations up to which it is.
const SMALL_CONFIGURATIONS: usize = 200;
/// Characters of an error that a page shows.
const ERROR: usize = 300;

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) id: RunId,
    /// Index into the plan's configurations.
    pub(crate) configuration: u32,
    pub(crate) seed: u64,
    pub(crate) state: StateName,
    /// Epochs of the attempt in hand, as far as events told.
    pub(crate) epoch: u32,
    /// Validation images right, of a run with an accuracy.
    pub(crate) correct: Option<u32>,
    pub(crate) diverged: bool,
    /// First line of the last error of a run without a result.
    pub(crate) error: Option<Box<str>>,
}

impl Line {
    /// What a result or an error says of it.
    fn learn(&mut self, result: Option<&RunResult>, error: Option<&str>) {
        let validation = result.and_then(|result| result.validation.as_ref());
        self.correct = validation.map(|validation| validation.correct.count_ones() as u32);
        self.diverged = result.is_some_and(|r| matches!(r.end, TrainingEnd::Diverged { .. }));
        let error = error.filter(|_| result.is_none()).and_then(|error| error.lines().next());
        self.error = error.map(|error| error[..error.floor_char_boundary(ERROR)].into());
    }

    fn seen(&self) -> Seen {
        Seen { seed: self.seed, state: self.state, correct: self.correct, diverged: self.diverged }
    }
}

/// A sweep as a page shows it.
pub(crate) struct Board {
    pub(crate) id: SweepId,
    pub(crate) status: SweepStatus,
    pub(crate) sweep: Sweep,
    /// Without its runs where the sweep is large.
    pub(crate) plan: Plan,
    pub(crate) meta: SubmissionMeta,
    /// In the sweep's order.
    pub(crate) lines: Vec<Line>,
    /// Lines of each configuration, by seed.
    pub(crate) of: Vec<Vec<u32>>,
    /// One per configuration.
    pub(crate) summaries: Vec<Summary>,
    /// Settings that vary, by loss.
    pub(crate) axes: Vec<(String, Vec<String>)>,
    /// Lines by id.
    by_id: Vec<u32>,
    /// Of a small sweep: results without epochs, in the order of the lines.
    records: Option<Vec<RunRecord>>,
    /// The whole report of a small sweep, as of its last making.
    pub(crate) report: Option<Arc<Report>>,
    /// Ended runs whose results have not been read yet.
    pub(crate) due: BTreeSet<u32>,
    /// Configurations that changed since [`Self::settle`].
    changed: BTreeSet<u32>,
    /// How often something was settled.
    changes: u64,
}

impl Board {
    /// A board of a sweep whose runs are told by [`Self::add`], then [`Self::ready`].
    pub(crate) fn new(status: SweepStatus, sweep: Sweep, plan: Plan, meta: SubmissionMeta) -> Self {
        let small =
            plan.runs.len() <= SMALL_RUNS && plan.configurations.len() <= SMALL_CONFIGURATIONS;
        let axes = plot::axes(sweep.candidates());
        let mut board = Self {
            id: status.id.clone(),
            of: vec![Vec::new(); plan.configurations.len()],
            lines: Vec::with_capacity(plan.runs.len()),
            status,
            sweep,
            plan,
            meta,
            summaries: Vec::new(),
            axes,
            by_id: Vec::new(),
            records: small.then(Vec::new),
            report: None,
            due: BTreeSet::new(),
            changed: BTreeSet::new(),
            changes: 0,
        };
        let mut configurations: HashMap<RunId, u32> = HashMap::with_capacity(board.plan.runs.len());
        for (configuration, runs) in board.plan.by_configuration().into_iter().enumerate() {
            configurations
                .extend(runs.into_iter().map(|run| (run.id.clone(), configuration as u32)));
        }
        for run in &board.plan.runs {
            let Some(configuration) = configurations.get(&run.id) else { continue };
            board.of[*configuration as usize].push(board.lines.len() as u32);
            board.lines.push(Line {
                id: run.id.clone(),
                configuration: *configuration,
                seed: run.spec.seed,
                state: StateName::Queued,
                epoch: 0,
                correct: None,
                diverged: false,
                error: None,
            });
        }
        if let Some(records) = &mut board.records {
            records.extend(
                board.plan.runs.iter().filter(|run| configurations.contains_key(&run.id)).map(
                    |run| RunRecord {
                        run: run.clone(),
                        state: StateName::Queued,
                        attempts: 0,
                        fence: None,
                        holder: None,
                        error: None,
                        result: None,
                    },
                ),
            );
        } else {
            // The largest part by far, and not needed again.
            board.plan.runs = Vec::new();
        }
        let lines = &board.lines;
        let mut by_id: Vec<u32> = (0..lines.len() as u32).collect();
        by_id.sort_unstable_by(|a, b| lines[*a as usize].id.cmp(&lines[*b as usize].id));
        board.by_id = by_id;
        board
    }

    /// What the store knows of a run; runs of other sweeps are ignored.
    pub(crate) fn add(&mut self, mut record: RunRecord) {
        let Some(at) = self.at(&record.run.id) else { return };
        let line = &mut self.lines[at];
        line.state = record.state;
        line.learn(record.result.as_ref(), record.error.as_deref());
        self.changed.insert(line.configuration);
        self.due.remove(&(at as u32));
        if let Some(records) = &mut self.records {
            if let Some(result) = &mut record.result {
                result.epochs = Vec::new();
            }
            records[at] = record;
        }
    }

    /// What became of a run that had ended when it was asked about.
    pub(crate) fn learn(
        &mut self,
        at: u32,
        result: Option<RunResult>,
        error: Option<&str>,
        state: StateName,
    ) {
        let line = &mut self.lines[at as usize];
        line.state = state;
        line.learn(result.as_ref(), error);
        self.changed.insert(line.configuration);
        self.due.remove(&at);
        if let Some(records) = &mut self.records {
            let record = &mut records[at as usize];
            record.state = state;
            record.error = error.and_then(|error| error.lines().next()).map(str::to_owned);
            record.result = result.map(|mut result| {
                result.epochs = Vec::new();
                result
            });
        }
    }

    fn at(&self, id: &RunId) -> Option<usize> {
        let found = self.by_id.binary_search_by(|at| self.lines[*at as usize].id.cmp(id));
        found.ok().map(|place| self.by_id[place] as usize)
    }

    /// What an event changes here; whether the sweep must be read anew because it has other runs now.
    pub(crate) fn fold(&mut self, event: &Event) -> bool {
        match &event.kind {
            EventKind::Submitted { sweep } => *sweep == self.id,
            EventKind::Run { run, state, .. } => {
                if let Some(at) = self.at(run) {
                    let line = &mut self.lines[at];
                    if *state == StateName::Leased && line.state != StateName::Leased {
                        line.epoch = 0;
                    }
                    line.state = *state;
                    self.changed.insert(line.configuration);
                    if let Some(records) = &mut self.records {
                        records[at].state = *state;
                    }
                    match state {
                        StateName::Succeeded | StateName::Failed => {
                            self.due.insert(at as u32);
                        }
                        // Queued again by a person: what it had does not count any more.
                        _ => {
                            line.correct = None;
                            line.diverged = false;
                            self.due.remove(&(at as u32));
                        }
                    }
                }
                false
            }
            EventKind::Epoch { run, epoch, .. } => {
                if let Some(at) = self.at(run) {
                    self.lines[at].epoch = *epoch;
                    self.changed.insert(self.lines[at].configuration);
                }
                false
            }
            EventKind::Sweep { .. } | EventKind::Drain { .. } => false,
        }
    }

    /// Brings the summaries of changed configurations up to date; which changed.
    pub(crate) fn settle(&mut self) -> BTreeSet<u32> {
        let changed = std::mem::take(&mut self.changed);
        self.changes += u64::from(!changed.is_empty());
        let all = self.summaries.len() != self.of.len();
        let summarise = |configuration: usize| {
            let seen: Vec<Seen> =
                self.of[configuration].iter().map(|at| self.lines[*at as usize].seen()).collect();
            let dataset = self.plan.configurations[configuration].dataset;
            let n_val = self.plan.datasets.get(dataset).map_or(0, |d| d.val_count());
            glance::summary(&self.sweep, &self.plan, configuration, n_val, &seen)
        };
        if all {
            self.summaries = (0..self.of.len()).map(summarise).collect();
            return (0..self.of.len() as u32).collect();
        }
        let fresh: Vec<(usize, Summary)> =
            changed.iter().map(|c| (*c as usize, summarise(*c as usize))).collect();
        for (configuration, summary) in fresh {
            self.summaries[configuration] = summary;
        }
        changed
    }

    /// Grows whenever a configuration changes.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether the whole report is made of it.
    pub(crate) fn is_small(&self) -> bool {
        self.records.is_some()
    }

    /// The whole report of a small sweep, from what is known now. Takes a core for a while.
    pub(crate) fn analyse(&self) -> Option<Report> {
        let records = self.records.as_ref()?;
        let (sweep, plan, meta) = (&self.sweep, &self.plan, &self.meta);
        Some(sweep_report::analyse(&Input { sweep, plan, records, meta }))
    }

    /// The report as far as it is known: whole for a small sweep, means and intervals for a large one.
    pub(crate) fn known(&self) -> Arc<Report> {
        if let Some(report) = &self.report {
            return report.clone();
        }
        let report = glance::report(
            &self.id,
            &self.sweep,
            &self.plan,
            &self.meta,
            self.progress(),
            &self.summaries,
        );
        Arc::new(report)
    }

    /// Runs by what became of them, from the lines.
    pub(crate) fn progress(&self) -> Progress {
        let count = |state: StateName| self.lines.iter().filter(|line| line.state == state).count();
        Progress {
            total: self.lines.len(),
            succeeded: count(StateName::Succeeded),
            diverged: self.lines.iter().filter(|line| line.diverged).count(),
            failed: count(StateName::Failed),
            cancelled: count(StateName::Cancelled),
            leased: count(StateName::Leased),
            pending: self.lines.iter().filter(|line| !line.state.is_terminal()).count(),
        }
    }

    /// Runs with a result of these candidates on a data set: candidate, label, runs.
    pub(crate) fn with_results(
        &self,
        dataset: usize,
        candidates: &[usize],
    ) -> Vec<(usize, String, Vec<RunId>)> {
        let of = |candidate: &usize| {
            let configuration = self
                .plan
                .configurations
                .iter()
                .position(|p| p.dataset == dataset && p.candidate == *candidate)?;
            let lines = self.of[configuration].iter().map(|at| &self.lines[*at as usize]);
            let ended = lines.filter(|line| line.state == StateName::Succeeded);
            let label = self.sweep.candidates().get(*candidate)?.label.clone();
            Some((*candidate, label, ended.map(|line| line.id.clone()).collect()))
        };
        candidates.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sweep_core::bits::Bits;
    use sweep_core::dataset::DataSetInfo;
    use sweep_core::ids::{Digest, Timestamp};
    use sweep_core::result::{DeviceKind, EpochMetrics, Validation};
    use sweep_store::{Counts, EventCursor, SweepState};

    use super::*;

    /// Validation images of the data set.
    const IMAGES: u32 = 40;

    /// A board of a grid of this many configurations with these seeds, as submitted.
    pub(crate) fn board(configurations: usize, seeds: usize) -> Board {
        let margins: Vec<String> = (0..configurations)
            .map(|i| format!("{:.5}", i as f64 * 0.4 / configurations as f64))
            .collect();
        let text = format!(
            "name: grid\ndatasets: [points]\nseeds: {seeds}\nbaseline: am_softmax\nlosses:\n  - am_softmax: {{ margin: [{}], scale: 10 }}\n\
             model: {{ backbone: small_cnn }}\ntraining: {{ epochs: 3, batch_size: 8, image_size: 8 }}\n",
            margins.join(", ")
        );
        let sweep = Sweep::parse(&text, "grid.yaml").unwrap();
        let info = DataSetInfo {
            name: "points".to_owned(),
            title: "points".to_owned(),
            classes: vec!["even".to_owned(), "odd".to_owned()],
            train: vec![50, 50],
            val: vec![IMAGES / 2, IMAGES / 2],
            content: Digest::of(b"content"),
            split: Digest::of(b"split"),
            channels: 1,
            fixed_size: Some(8),
            warnings: Vec::new(),
        };
        let plan = sweep.plan(std::slice::from_ref(&info)).unwrap();
        let document = sweep.document(vec![info]);
        let status = SweepStatus {
            id: sweep.id(&plan),
            name: "grid".to_owned(),
            weight: 1.0,
            band: 4,
            cap: None,
            state: SweepState::Active,
            round: 0,
            sealed: true,
            counts: Counts { queued: plan.runs.len() as u32, ..Counts::default() },
            submissions: Vec::new(),
            reports: 0,
            created: Timestamp(0),
            seconds: 0.0,
            ended_attempts: 0,
            walking: false,
        };
        let meta = SubmissionMeta {
            file: document.file,
            text: document.text,
            analysis_at_submit: document.analysis,
            stopped_early: false,
            extensions: Vec::new(),
            version: "0".to_owned(),
        };
        let mut board = Board::new(status, sweep, plan, meta);
        board.settle();
        board
    }

    /// A result with as many images right as line and seed say.
    pub(crate) fn result(line: &Line) -> RunResult {
        let right = 20 + (u64::from(line.configuration) * 7 + line.seed * 5) % 17;
        let correct: Bits = (0..u64::from(IMAGES)).map(|i| i < right).collect();
        let metrics = EpochMetrics {
            epoch: 1,
            train_loss: Some(1.0),
            train_accuracy: 0.5,
            val_loss: Some(1.0),
            val_accuracy: 0.5,
            learning_rate: 0.1,
            lambda: None,
            seconds: 0.1,
        };
        RunResult {
            end: TrainingEnd::Completed,
            epochs: vec![metrics; 3],
            validation: Some(Validation {
                correct,
                confusion: vec![vec![10, 10], vec![10, 10]],
                mistakes: None,
            }),
            device: DeviceKind::Fake,
            seconds: 1.0,
        }
    }

    fn event(board: &Board, line: usize, state: StateName) -> Event {
        let kind = EventKind::Run {
            run: board.lines[line].id.clone(),
            sweeps: vec![board.id.clone()],
            state,
        };
        Event { cursor: EventCursor(line.to_string()), at: Timestamp(0), kind }
    }

    /// What a store would tell of a line afresh.
    fn record(board: &Board, line: usize) -> RunRecord {
        let mut record = board.records.as_ref().unwrap()[line].clone();
        let of = &board.lines[line];
        record.state = of.state;
        record.error = of.error.as_deref().map(str::to_owned);
        record.result = of.correct.map(|_| result(of));
        record
    }

    #[test]
    fn a_board_folded_from_events_equals_one_read_afresh() {
        let mut folded = board(4, 3);
        for line in 0..folded.lines.len() {
            let leased = event(&folded, line, StateName::Leased);
            assert!(!folded.fold(&leased));
            if line % 5 == 4 {
                continue;
            }
            let state = if line % 5 == 3 { StateName::Failed } else { StateName::Succeeded };
            let ended = event(&folded, line, state);
            folded.fold(&ended);
            assert!(folded.due.contains(&(line as u32)));
            let of = folded.lines[line].clone();
            let (told, error) = match state {
                StateName::Failed => (None, Some("it broke\nat line 3")),
                _ => (Some(result(&of)), None),
            };
            folded.learn(line as u32, told, error, state);
        }
        assert!(folded.due.is_empty());
        folded.settle();

        let mut afresh = board(4, 3);
        for line in 0..afresh.lines.len() {
            afresh.add(record(&folded, line));
        }
        afresh.settle();
        assert_eq!(folded.lines, afresh.lines);
        assert_eq!(folded.summaries, afresh.summaries);
        assert_eq!(folded.progress(), afresh.progress());
        assert_eq!(folded.analyse(), afresh.analyse());
        assert_eq!(folded.lines[3].error.as_deref(), Some("it broke"));
    }

    #[test]
    fn a_run_that_is_queued_again_loses_what_it_had() {
        let mut board = board(2, 2);
        board.learn(0, Some(result(&board.lines[0].clone())), None, StateName::Succeeded);
        board.settle();
        assert_eq!(board.summaries[0].n, 1);
        let queued = event(&board, 0, StateName::Queued);
        board.fold(&queued);
        assert_eq!(board.settle(), BTreeSet::from([0]));
        assert_eq!((board.summaries[0].n, board.lines[0].correct), (0, None));
    }

    #[test]
    fn other_runs_need_a_new_reading_and_those_of_other_sweeps_nothing() {
        let mut board = board(2, 2);
        let about = |kind| Event { cursor: EventCursor(String::new()), at: Timestamp(0), kind };
        assert!(board.fold(&about(EventKind::Submitted { sweep: board.id.clone() })));
        assert!(
            !board.fold(&about(EventKind::Submitted { sweep: "b".repeat(20).parse().unwrap() }))
        );
        let stranger = EventKind::Run {
            run: "a".repeat(20).parse().unwrap(),
            sweeps: Vec::new(),
            state: StateName::Failed,
        };
        assert!(!board.fold(&about(stranger)));
        assert!(board.due.is_empty() && board.settle().is_empty());
    }

    #[test]
    fn a_large_sweep_keeps_counts_alone_and_still_has_means_and_intervals() {
        let mut large = board(210, 10);
        assert!(!large.is_small() && large.plan.runs.is_empty() && large.analyse().is_none());
        for at in 0..large.lines.len() as u32 {
            let told = result(&large.lines[at as usize].clone());
            large.learn(at, Some(told), None, StateName::Succeeded);
        }
        large.settle();
        let report = large.known();
        assert_eq!(report.datasets[0].summaries.len(), 210);
        assert!(report.datasets[0].summaries.iter().all(|s| s.n == 10 && s.on_these.is_some()));
        assert_eq!(report.sweep.id, large.id);
        assert_eq!((report.progress.total, report.progress.pending), (2100, 0));
    }
}
