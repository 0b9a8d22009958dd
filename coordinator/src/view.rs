//! A sweep read back from the store: file, plan, records; the input of every table and report.

use std::collections::HashSet;

use sweep_core::ids::SweepId;
use sweep_core::record::RunRecord;
use sweep_core::sweep::{Document, Plan, Sweep};
use sweep_report::{Extension, Input, OutFile, Report, SubmissionMeta};
use sweep_store::{Reads, StoreError, SweepState, SweepStatus};

/// Why a sweep could not be read back.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The store did not answer.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
    /// No such sweep.
    #[error("the store has no sweep {0}")]
    Unknown(SweepId),
    /// This version refuses the stored sweep file.
    #[error("the stored sweep file cannot be read by this version\n{0}")]
    Document(#[from] sweep_core::file::SweepFileError),
}

/// A sweep as the store has it now.
pub struct View {
    /// The sweep file, checked.
    pub sweep: Sweep,
    /// Its runs.
    pub plan: Plan,
    /// Every run with its state and result, in order.
    pub records: Vec<RunRecord>,
    /// Counts and history.
    pub status: SweepStatus,
    meta: SubmissionMeta,
}

impl View {
    /// Reads the sweep `id`.
    ///
    /// # Errors
    /// [`ViewError`].
    pub async fn read(store: &impl Reads, id: &SweepId) -> Result<Self, ViewError> {
        let (status, document) =
            store.sweep(id).await?.ok_or_else(|| ViewError::Unknown(id.clone()))?;
        let (sweep, plan) = document.open()?;
        let records = store.results(id).await?;
        let meta = meta(store, &status, &document, &sweep, &plan).await?;
        Ok(Self { sweep, plan, records, status, meta })
    }

    /// Everything a reader is told, as data.
    pub fn report(&self) -> Report {
        sweep_report::analyse(&self.input())
    }

    /// Every file of a written report.
    pub fn bundle(&self) -> Vec<OutFile> {
        sweep_report::bundle(&self.input())
    }

    /// What `sweep-report` reads.
    pub fn input(&self) -> Input<'_> {
        Input { sweep: &self.sweep, plan: &self.plan, records: &self.records, meta: &self.meta }
    }
}

/// How a sweep was submitted, as its report must say.
pub(crate) async fn meta(
    store: &impl Reads,
    status: &SweepStatus,
    document: &Document,
    sweep: &Sweep,
    plan: &Plan,
) -> Result<SubmissionMeta, StoreError> {
    Ok(SubmissionMeta {
        file: document.file.clone(),
        text: document.text.clone(),
        analysis_at_submit: document.analysis,
        stopped_early: status.state == SweepState::Cancelled,
        extensions: extensions(store, status, sweep, plan).await?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Earlier, smaller sweeps of the same name whose verdicts were looked at before this one was submitted: adding seeds after
/// looking is peeking, and the report says so. Only those count whose runs this sweep goes on from.
async fn extensions(
    store: &impl Reads,
    status: &SweepStatus,
    sweep: &Sweep,
    plan: &Plan,
) -> Result<Vec<Extension>, StoreError> {
    let seeds = |of: &SweepStatus| of.submissions.first().map_or(0, |s| s.seeds);
    // An adaptive sweep declares how far it may go; its first submission is but the first look.
    let to_seeds = sweep.adaptive().map_or_else(|| seeds(status), |adaptive| adaptive.max_seeds);
    let own: HashSet<_> = plan.runs.iter().map(|run| &run.id).collect();
    let mut found = Vec::new();
    for earlier in store.sweeps().await? {
        let reports_before = earlier.reports;
        let is_smaller =
            earlier.name == status.name && earlier.id != status.id && seeds(&earlier) < to_seeds;
        if !is_smaller || reports_before == 0 || earlier.created > status.created {
            continue;
        }
        let Some((_, document)) = store.sweep(&earlier.id).await? else { continue };
        let shares = document
            .open()
            .is_ok_and(|(_, plan)| plan.runs.iter().any(|run| own.contains(&run.id)));
        if shares {
            found.push(Extension {
                from_seeds: seeds(&earlier),
                to_seeds,
                after_reports: reports_before,
            });
        }
    }
    found.sort_by_key(|extension| extension.from_seeds);
    Ok(found)
}
