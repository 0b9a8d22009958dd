//! What is best so far in each sweep of the list: read in the background, one sweep at a time, and kept until something ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sweep_core::ids::SweepId;
use sweep_report::report::Interval;
use sweep_store::SweepStatus;
use tokio::sync::Semaphore;

use super::board::Board;
use super::watch;
use crate::service::app::App;

/// Runs up to which a sweep is read for the list; of larger ones the best is shown while their page is watched.
const RUNS: u32 = 2000;
/// Between two readings of a sweep that goes on.
const AGAIN: Duration = Duration::from_secs(30);
/// Sweeps remembered.
const KEPT: usize = 1000;

/// The configuration with the highest mean on one data set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Best {
    pub(crate) dataset: String,
    pub(crate) label: String,
    pub(crate) mean: f64,
    /// On these images.
    pub(crate) interval: Option<Interval>,
    /// Seeds behind the mean.
    pub(crate) n: usize,
}

struct Known {
    succeeded: u32,
    at: Instant,
    bests: Arc<Vec<Best>>,
}

/// What is known, and the place of the one reader.
pub(crate) struct Bests {
    known: Mutex<HashMap<SweepId, Known>>,
    reader: Arc<Semaphore>,
}

impl Default for Bests {
    fn default() -> Self {
        Self { known: Mutex::default(), reader: Arc::new(Semaphore::new(1)) }
    }
}

/// The best of each data set.
pub(crate) fn of(board: &Board) -> Vec<Best> {
    let mut bests: Vec<Best> = Vec::new();
    for (planned, summary) in board.plan.configurations.iter().zip(&board.summaries) {
        let (Some(mean), Some(dataset)) = (summary.mean, board.plan.datasets.get(planned.dataset))
        else {
            continue;
        };
        let best = Best {
            dataset: dataset.name.clone(),
            label: summary.label.clone(),
            mean,
            interval: summary.on_these,
            n: summary.n,
        };
        match bests.iter_mut().find(|known| known.dataset == best.dataset) {
            Some(known) if known.mean < best.mean => *known = best,
            Some(_) => {}
            None => bests.push(best),
        }
    }
    bests
}

impl Bests {
    /// What is known of a sweep.
    pub(crate) fn get(&self, app: &App, id: &SweepId) -> Option<Arc<Vec<Best>>> {
        if let Some(bests) = app.hub.peek(id, of) {
            return Some(Arc::new(bests));
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).map(|known| known.bests.clone())
    }

    /// Reads in the background what is not known of these sweeps; a reader at work goes on undisturbed.
    pub(crate) fn refresh(&self, app: &App, sweeps: &[SweepStatus]) {
        let due: Vec<SweepStatus> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = |sweep: &&SweepStatus| {
                let small = sweep.counts.total() <= RUNS && sweep.counts.succeeded > 0;
                small
                    && known.get(&sweep.id).is_none_or(|known| {
                        known.succeeded != sweep.counts.succeeded && known.at.elapsed() > AGAIN
                    })
            };
            sweeps.iter().filter(is_due).cloned().collect()
        };
        let Ok(place) = self.reader.clone().try_acquire_owned() else { return };
        if due.is_empty() {
            return;
        }
        let app = app.clone();
        tokio::spawn(async move {
            let reading = async {
                for sweep in due {
                    match watch::read(&app, &sweep.id).await {
                        Ok(board) => app.bests.keep(sweep.id, sweep.counts.succeeded, of(&board)),
                        Err(error) => {
                            tracing::warn!(sweep.id = %sweep.id, %error, "what is best in a sweep cannot be read");
                            app.bests.keep(sweep.id, sweep.counts.succeeded, Vec::new());
                        }
                    }
                }
            };
            tokio::select! {
                () = reading => {}
                () = app.stop.cancelled() => {}
            }
            drop(place);
        });
    }

    fn keep(&self, id: SweepId, succeeded: u32, bests: Vec<Best>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT
            && let Some(oldest) =
                known.iter().min_by_key(|(_, known)| known.at).map(|(id, _)| id.clone())
        {
            known.remove(&oldest);
        }
        known.insert(id, Known { succeeded, at: Instant::now(), bests: Arc::new(bests) });
    }
}
