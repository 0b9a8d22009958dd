//! What a report is made of: a sweep, its plan, what a store knows of its runs, and how it was submitted.

use std::collections::HashMap;

use sweep_core::ids::{Digest, RunId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::result::{DeviceKind, RunResult, TrainingEnd, Validation};
use sweep_core::run::Run;
use sweep_core::sweep::{Plan, Sweep};

/// Everything [`crate::analyse()`] reads.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The checked sweep file.
    pub sweep: &'a Sweep,
    /// The sweep on its data sets.
    pub plan: &'a Plan,
    /// What the store knows of the runs, in any order; planned runs without a record count as queued.
    pub records: &'a [RunRecord],
    /// How it was submitted.
    pub meta: &'a SubmissionMeta,
}

/// What the store knows of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionMeta {
    /// Name of the sweep file.
    pub file: String,
    /// Its text as submitted.
    pub text: String,
    /// Digest of the analysis block at submission; another one now means post hoc.
    pub analysis_at_submit: Digest,
    /// A person ended the sweep before its planned runs had ended.
    pub stopped_early: bool,
    /// Seeds added by later submissions.
    pub extensions: Vec<Extension>,
    /// Version of the program that makes the report.
    pub version: String,
}

/// Seeds added to a sweep by submitting it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Seeds before.
    pub from_seeds: u32,
    /// Seeds after.
    pub to_seeds: u32,
    /// Reports made in between, after which the seeds were added.
    pub after_reports: u32,
}

/// A planned run and what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    pub(crate) run: &'a Run,
    pub(crate) record: Option<&'a RunRecord>,
}

impl<'a> Slot<'a> {
    pub(crate) fn state(&self) -> StateName {
        self.record.map_or(StateName::Queued, |r| r.state)
    }

    pub(crate) fn pending(&self) -> bool {
        match self.state() {
            StateName::Queued | StateName::Leased | StateName::Delayed => true,
            StateName::Succeeded | StateName::Failed | StateName::Cancelled => false,
        }
    }

    pub(crate) fn result(&self) -> Option<&'a RunResult> {
        self.record.filter(|r| r.state == StateName::Succeeded).and_then(|r| r.result.as_ref())
    }

    pub(crate) fn validation(&self) -> Option<&'a Validation> {
        self.result().and_then(|r| r.validation.as_ref())
    }

    pub(crate) fn diverged(&self) -> bool {
        self.result().is_some_and(|r| matches!(r.end, TrainingEnd::Diverged { .. }))
    }

    pub(crate) fn device(&self) -> Option<DeviceKind> {
        self.result().map(|r| r.device)
    }
}

/// The planned runs of each configuration in the order of [`Plan::configurations`], each in the order of the sweep's runs.
pub(crate) fn slots<'a>(input: &Input<'a>) -> Vec<Vec<Slot<'a>>> {
    let records: HashMap<&RunId, &RunRecord> =
        input.records.iter().map(|r| (&r.run.id, r)).collect();
    let slot = |run: &'a Run| Slot { run, record: records.get(&run.id).copied() };
    let runs = input.plan.by_configuration();
    runs.into_iter().map(|row| row.into_iter().map(slot).collect()).collect()
}
