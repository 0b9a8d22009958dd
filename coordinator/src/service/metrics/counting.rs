//! Counters that follow the store's events.

use std::collections::HashSet;

use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_store::{AttemptEnding, Event, EventKind, Reads};
use tokio::sync::broadcast::error::RecvError;

use super::Metrics;
use super::admitted::Turnover;
use super::snapshot::look;
use crate::service::app::App;
use crate::service::feed::News;

const FINISHED: [StateName; 3] = [StateName::Succeeded, StateName::Failed, StateName::Cancelled];
const REASONS: [&str; 5] = ["error", "lost", "faulted", "stalled", "yielded"];
/// Runs in training that are remembered at most.
const TRAINING: usize = 100_000;

/// Counts until the stop.
pub(crate) async fn count(app: &App) {
    tokio::select! {
        () = counting(app) => {}
        () = app.stop.cancelled() => {}
    }
}

async fn counting(app: &App) {
    let mut news = app.feed.subscribe();
    let mut training = HashSet::new();
    loop {
        match news.recv().await {
            Ok(News::Event(event)) => {
                if app.metrics.is_news(&event) {
                    // Its series must be there before its first run ends.
                    if let Err(error) = look(app).await {
                        tracing::warn!(%error, "the store cannot be looked at for a new sweep");
                    }
                }
                if let Some((run, sweeps)) = app.metrics.hear(&event, &mut training) {
                    why(app, &run, &sweeps).await;
                }
            }
            // What was missed is missed; the store's own counts stay exact.
            Ok(News::Reset(_)) | Err(RecvError::Lagged(_)) => {
                training = app.metrics.training().into_iter().collect();
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Why an attempt ended without a result: the event does not say.
async fn why(app: &App, run: &RunId, sweeps: &[SweepId]) {
    let Ok(Some(detail)) = app.store.run(run).await else { return };
    let Some(attempt) = detail.attempts.iter().rev().find(|attempt| attempt.ending.is_some())
    else {
        return;
    };
    let stalled = attempt.error.as_deref().is_some_and(|error| error.starts_with("stalled"));
    let reason = match attempt.ending {
        Some(AttemptEnding::Retry) if stalled => "stalled",
        Some(AttemptEnding::Retry) => "error",
        Some(AttemptEnding::Lost) => "lost",
        Some(AttemptEnding::Faulted) => "faulted",
        Some(AttemptEnding::Yielded) => "yielded",
        _ => return,
    };
    if reason == "lost" {
        app.metrics.0.expirations.inc();
    }
    if !detail.state.name().is_terminal() {
        let shown = app.metrics.shown();
        for place in sweeps.iter().filter_map(|sweep| shown.admitted.get(sweep)) {
            app.metrics.0.requeues.with_label_values(&[place.label.as_str(), reason]).inc();
        }
    }
}

impl Metrics {
    /// Series of sweeps come at 0, or the first failure could not be seen as a change, and go with them.
    pub(super) fn turn_over(&self, turnover: &Turnover) {
        for sweep in &turnover.came {
            self.0.started.with_label_values(&[sweep]);
            for state in FINISHED {
                self.0.finished.with_label_values(&[sweep.as_str(), state.as_str()]);
            }
            for reason in REASONS {
                self.0.requeues.with_label_values(&[sweep.as_str(), reason]);
            }
        }
        for sweep in &turnover.went {
            // What is not there needs no removal.
            let _ = self.0.started.remove_label_values(&[sweep]);
            for state in FINISHED {
                let _ = self.0.finished.remove_label_values(&[sweep.as_str(), state.as_str()]);
            }
            for reason in REASONS {
                let _ = self.0.requeues.remove_label_values(&[sweep.as_str(), reason]);
            }
        }
    }

    /// Whether an event tells of a sweep that should have series and has none.
    pub(super) fn is_news(&self, event: &Event) -> bool {
        let EventKind::Submitted { sweep } = &event.kind else { return false };
        let shown = self.shown();
        shown.admitted.get(sweep).is_none() && shown.admitted.has_room()
    }

    /// Counts an event; the run and its sweeps when an attempt of it ended without a result.
    pub(super) fn hear(
        &self,
        event: &Event,
        training: &mut HashSet<RunId>,
    ) -> Option<(RunId, Vec<SweepId>)> {
        let mut shown = self.shown();
        match &event.kind {
            EventKind::Epoch { sweeps, .. } => {
                sweeps.iter().for_each(|sweep| shown.admitted.progressed(sweep, event.at.0));
                None
            }
            EventKind::Run { run, sweeps, state } => {
                for sweep in sweeps {
                    if *state == StateName::Succeeded {
                        shown.admitted.progressed(sweep, event.at.0);
                    }
                    let Some(place) = shown.admitted.get(sweep) else { continue };
                    if *state == StateName::Leased {
                        self.0.started.with_label_values(&[&place.label]).inc();
                    } else if state.is_terminal() {
                        self.0
                            .finished
                            .with_label_values(&[place.label.as_str(), state.as_str()])
                            .inc();
                    }
                }
                drop(shown);
                if *state == StateName::Leased {
                    if training.len() < TRAINING {
                        training.insert(run.clone());
                    }
                    return None;
                }
                let was_training = training.remove(run) || self.training().contains(run);
                (was_training && *state != StateName::Succeeded)
                    .then(|| (run.clone(), sweeps.clone()))
            }
            EventKind::Submitted { .. } | EventKind::Sweep { .. } | EventKind::Drain { .. } => None,
        }
    }
}
