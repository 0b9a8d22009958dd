//! Sweep → store, in chunks, so that a crash half-way is mended by submitting again.

use sweep_core::adaptive::Adaptive;
use sweep_core::ids::SweepId;
use sweep_core::run::Run;
use sweep_core::sweep::{Document, InputFile, Plan, Sweep};
use sweep_store::words::SUBMIT_MAX;
use sweep_store::{NewSweep, Now, Store, StoreError, Submitted};

/// Why a sweep was not submitted; submitting it again mends a half-way stop.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The store refused or did not answer.
    #[error("cannot submit the sweep")]
    Store(#[from] StoreError),
    /// The store has this sweep, and this version refuses its file.
    #[error("the stored sweep file cannot be read by this version\n{0}")]
    Document(#[from] sweep_core::file::SweepFileError),
}

/// What a submission says besides the sweep. All of it counts when the sweep is new, and is kept then.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Share inside its band, greater than 0.
    pub weight: f64,
    /// 0..=7; a lower band goes first, strictly.
    pub band: u8,
    /// Most runs leased at once, at least 1.
    pub cap: Option<u32>,
    /// Files that workers fetch by digest; they are blobs already.
    pub inputs: Vec<InputFile>,
}

impl Default for Terms {
    /// The middle band, one share, no cap, no files.
    fn default() -> Self {
        Self { weight: 1.0, band: 4, cap: None, inputs: Vec::new() }
    }
}

/// Submits every run of `plan`; runs that are known join instead of being queued again.
///
/// # Errors
/// [`SubmitError`].
pub async fn submit(
    store: &impl Store,
    sweep: &Sweep,
    plan: &Plan,
) -> Result<(SweepId, Submitted), SubmitError> {
    submit_on(store, sweep, plan, &Terms::default()).await
}

/// As [`submit()`], on these terms.
///
/// Of an adaptive sweep that the store has already, the runs of its later rounds come along, so that a cancelled one goes on
/// where it stood.
///
/// # Errors
/// [`SubmitError`].
pub async fn submit_on(
    store: &impl Store,
    sweep: &Sweep,
    plan: &Plan,
    terms: &Terms,
) -> Result<(SweepId, Submitted), SubmitError> {
    let mut runs = plan.runs.clone();
    if sweep.adaptive().is_some()
        && let Some((status, mut document)) = store.sweep(&sweep.id(plan)).await?
    {
        if !status.sealed {
            // A round that is not complete yet is mended by `rounds::extend`.
            document.rounds.pop();
        }
        runs = document.open()?.1.runs;
    }
    let mut document = sweep.document(plan.datasets.clone());
    document.inputs.clone_from(&terms.inputs);
    submit_runs(store, sweep, plan, document, &runs, terms).await
}

/// Submits the runs of the newest round of `document` of a sweep that the store has.
pub(crate) async fn submit_round(
    store: &impl Store,
    sweep: &Sweep,
    plan: &Plan,
    document: Document,
    runs: &[Run],
) -> Result<(SweepId, Submitted), SubmitError> {
    submit_runs(store, sweep, plan, document, runs, &Terms::default()).await
}

async fn submit_runs(
    store: &impl Store,
    sweep: &Sweep,
    plan: &Plan,
    document: Document,
    runs: &[Run],
    terms: &Terms,
) -> Result<(SweepId, Submitted), SubmitError> {
    let id = sweep.id(plan);
    let seeds = match sweep.adaptive() {
        None => sweep.seeds().len() as u64,
        Some(adaptive) => seeds_at_look(adaptive, document.rounds.len()),
    };
    let new = NewSweep {
        id: id.clone(),
        name: sweep.name().to_owned(),
        weight: terms.weight,
        band: terms.band,
        cap: terms.cap,
        round: document.rounds.len() as u32,
        seeds: u32::try_from(seeds).unwrap_or(u32::MAX),
        document,
    };
    let mut submitted = Submitted::default();
    // A round without runs is a decision all the same.
    let chunks = runs.len().div_ceil(SUBMIT_MAX).max(1);
    for chunk in 0..chunks {
        let runs = &runs[chunk * SUBMIT_MAX..runs.len().min((chunk + 1) * SUBMIT_MAX)];
        submitted += store.submit(Now::Server, &new, runs, chunk + 1 == chunks).await?;
    }
    Ok((id, submitted))
}

/// Most seeds a configuration has for look `look` (from 0); after the last look, at the cap.
fn seeds_at_look(adaptive: &Adaptive, look: usize) -> u64 {
    let looks = adaptive.looks();
    u64::from(looks.get(look).or(looks.last()).copied().unwrap_or(0))
}
