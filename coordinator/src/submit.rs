//! Sweep → store, in chunks, so that a crash half-way is mended by submitting again.

use sweep_core::ids::SweepId;
use sweep_core::sweep::{Plan, Sweep};
use sweep_store::words::SUBMIT_MAX;
use sweep_store::{NewSweep, Now, Store, StoreError, Submitted};

/// Why a sweep was not submitted; submitting it again mends a half-way stop.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The store refused or did not answer.
    #[error("cannot submit the sweep")]
    Store(#[from] StoreError),
}

/// Submits every run of `plan`; runs that are known join instead of being queued again.
///
/// # Errors
/// [`SubmitError`] from the store.
pub async fn submit(
    store: &impl Store,
    sweep: &Sweep,
    plan: &Plan,
) -> Result<(SweepId, Submitted), SubmitError> {
    let id = sweep.id(plan);
    let new = NewSweep {
        id: id.clone(),
        name: sweep.name().to_owned(),
        weight: 1.0,
        band: 4,
        cap: None,
        round: 0,
        seeds: u32::try_from(sweep.seeds().len()).unwrap_or(u32::MAX),
        document: sweep.document(plan.datasets.clone()),
    };
    let mut submitted = Submitted::default();
    let chunks = plan.runs.len().div_ceil(SUBMIT_MAX);
    for (i, runs) in plan.runs.chunks(SUBMIT_MAX).enumerate() {
        submitted += store.submit(Now::Server, &new, runs, i + 1 == chunks).await?;
    }
    Ok((id, submitted))
}
