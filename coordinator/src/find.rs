//! A sweep or run by what a person types: an id, a unique prefix of one, or a sweep's name (the newest of it).

use sweep_core::ids::{RunId, SweepId};
use sweep_store::{Reads, StoreError, SweepStatus};

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// No such sweep.
    #[error("unknown sweep `{text}` ({known})")]
    UnknownSweep {
        /// As typed.
        text: String,
        /// What there is.
        known: String,
    },
    /// No such run.
    #[error("unknown run `{0}` (`sweep runs SWEEP` lists the runs of a sweep)")]
    UnknownRun(String),
    /// A prefix of several ids.
    #[error("`{text}` begins {count} ids; type more of it")]
    Ambiguous {
        /// As typed.
        text: String,
        /// How many.
        count: usize,
    },
    /// The store did not answer.
    #[error("cannot read the store")]
    Store(#[from] StoreError),
}

/// Names that a message lists.
const NAMES: usize = 20;

/// The sweep that `text` names; the newest one without `text`.
///
/// # Errors
/// [`FindError`] when there is none, or more than one.
pub async fn find(store: &impl Reads, text: Option<&str>) -> Result<SweepStatus, FindError> {
    let sweeps = store.sweeps().await?;
    let Some(text) = text else {
        return sweeps.into_iter().next().ok_or_else(|| unknown("", &[]));
    };
    if let Some(named) = sweeps.iter().find(|sweep| sweep.name == text || sweep.id.as_str() == text)
    {
        return Ok(named.clone());
    }
    let mut by_prefix =
        sweeps.iter().filter(|sweep| !text.is_empty() && sweep.id.as_str().starts_with(text));
    match (by_prefix.next(), by_prefix.count()) {
        (Some(only), 0) => Ok(only.clone()),
        (Some(_), more) => Err(FindError::Ambiguous { text: text.to_owned(), count: more + 1 }),
        (None, _) => Err(unknown(text, &sweeps)),
    }
}

fn unknown(text: &str, sweeps: &[SweepStatus]) -> FindError {
    let mut names: Vec<&str> = Vec::new();
    for sweep in sweeps {
        // A store may have thousands: the newest are likely meant.
        if names.len() <= NAMES && !names.contains(&sweep.name.as_str()) {
            names.push(&sweep.name);
        }
    }
    let more = if names.len() > NAMES { ", …" } else { "" };
    names.truncate(NAMES);
    let known = if names.is_empty() {
        "the store has none yet".to_owned()
    } else {
        format!("known: {}{more}", names.join(", "))
    };
    FindError::UnknownSweep { text: text.to_owned(), known }
}

/// The run that `text` names, by id or unique prefix, among all sweeps.
///
/// # Errors
/// [`FindError`] when there is none, or more than one.
pub async fn find_run(store: &impl Reads, text: &str) -> Result<RunId, FindError> {
    if let Ok(id) = text.parse::<RunId>()
        && store.run(&id).await?.is_some()
    {
        return Ok(id);
    }
    let mut found = std::collections::BTreeSet::new();
    if !text.is_empty() {
        for sweep in store.sweeps().await? {
            found.extend(
                ids(store, &sweep.id).await?.into_iter().filter(|id| id.as_str().starts_with(text)),
            );
        }
    }
    match found.len() {
        0 => Err(FindError::UnknownRun(text.to_owned())),
        1 => found.pop_first().ok_or_else(|| FindError::UnknownRun(text.to_owned())),
        count => Err(FindError::Ambiguous { text: text.to_owned(), count }),
    }
}

/// Run ids from the sweep's document: no need to read the results of every run for a prefix.
async fn ids(store: &impl Reads, sweep: &SweepId) -> Result<Vec<RunId>, StoreError> {
    let Some((_, document)) = store.sweep(sweep).await? else { return Ok(Vec::new()) };
    let plan = document.open().map(|(_, plan)| plan.runs).unwrap_or_default();
    Ok(plan.into_iter().map(|run| run.id).collect())
}
