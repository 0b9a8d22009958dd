//! `beat` and `finish`: the words of a lease's holder.

use std::time::Duration;

use rusqlite::params;
use sweep_core::ids::{Fence, RunId};
use sweep_core::lifecycle::{AttemptEnd, CheckpointPointer, Event, IllegalTransition, Phase};

use super::lease::is_drained;
use super::row::{self, RunRow};
use super::step::Step;
use crate::error::StoreError;
use crate::limits;
use crate::policy::{Policy, ms};
use crate::read::{AttemptEnding, EventKind};
use crate::words::{Applied, Order, Outcome, Progress};

pub(super) fn beat(
    step: &Step<'_>,
    id: &RunId,
    fence: Fence,
    progress: &Progress,
    policy: &Policy,
) -> Result<Order, StoreError> {
    step.touch(policy)?;
    let Some(mut run) = RunRow::load(step.conn, id)? else { return Ok(Order::Lost) };
    let wanters = step.wanters(id)?;
    let event = Event::Beat {
        fence,
        expires: step.now.plus(ms(policy.ttl)),
        checkpoint: progress.checkpoint,
    };
    if step.apply(&mut run, event, &wanters)?.is_err() {
        return Ok(Order::Lost);
    }
    let Phase::Leased { holder, .. } = &run.state.phase else { return Ok(Order::Lost) };
    let mut newest = None;
    for metrics in &progress.epochs {
        let told = step.execute(
            "INSERT INTO live (run, epoch, metrics) VALUES (?1, ?2, ?3) \
             ON CONFLICT (run, epoch) DO UPDATE SET metrics = excluded.metrics WHERE metrics <> excluded.metrics",
            params![id.as_str(), metrics.epoch, row::text(metrics)],
        )?;
        newest = if told > 0 { Some(metrics.epoch) } else { newest };
    }
    if let Some(epoch) = newest {
        step.emit(&EventKind::Epoch { run: id.clone(), sweeps: wanters.ids(), epoch })?;
    }
    step.execute(
        "UPDATE run SET step = ?2 WHERE id = ?1 AND step <> ?2",
        params![id.as_str(), progress.step as i64],
    )?;
    step.execute(
        "UPDATE worker SET seen = ?3 WHERE worker = ?1 AND slot = ?2",
        params![holder.worker, holder.slot, step.now.0],
    )?;
    match wanters.order() {
        Order::Continue if is_drained(step, &holder.worker)? => Ok(Order::Yield),
        order => Ok(order),
    }
}

/// The end of an attempt, written out and cut to size before the step.
pub(super) struct Word {
    end: End,
    error: Option<String>,
    log: String,
}

enum End {
    Succeeded { result: String },
    Retry { due_in: Duration },
    Failed,
    Yielded { checkpoint: Option<CheckpointPointer> },
    Faulted,
    Cancelled,
}

impl Word {
    pub(super) fn new(outcome: &Outcome, log: &str) -> Result<Self, StoreError> {
        let (end, error) = match outcome {
            Outcome::Succeeded(result) => {
                (End::Succeeded { result: limits::result_text(result)? }, None)
            }
            Outcome::Retry { due_in, error } => (End::Retry { due_in: *due_in }, Some(error)),
            Outcome::Failed { error } => (End::Failed, Some(error)),
            Outcome::Yielded { checkpoint } => (End::Yielded { checkpoint: *checkpoint }, None),
            Outcome::Faulted { error } => (End::Faulted, Some(error)),
            Outcome::Cancelled => (End::Cancelled, None),
        };
        let error = error.map(|error| limits::cut_error(error).to_owned());
        Ok(Self { end, error, log: limits::cut_log(log).to_owned() })
    }
}

pub(super) fn finish(
    step: &Step<'_>,
    id: &RunId,
    fence: Fence,
    word: &Word,
    policy: &Policy,
) -> Result<Applied, StoreError> {
    let Some(mut run) = RunRow::load(step.conn, id)? else { return Ok(Applied::Stale) };
    let wanters = step.wanters(id)?;
    let (end, ending) = match &word.end {
        End::Succeeded { .. } => (AttemptEnd::Succeeded, AttemptEnding::Succeeded),
        End::Retry { due_in } => {
            let due = step.now.plus(ms((*due_in).min(policy.longest_delay())));
            (AttemptEnd::Retry { due }, AttemptEnding::Retry)
        }
        End::Failed => (AttemptEnd::Failed, AttemptEnding::Failed),
        End::Yielded { checkpoint } => {
            (AttemptEnd::Yielded { checkpoint: *checkpoint }, AttemptEnding::Yielded)
        }
        End::Faulted => {
            (AttemptEnd::Faulted { at: step.now, policy: policy.losses }, AttemptEnding::Faulted)
        }
        End::Cancelled => (AttemptEnd::Cancelled, AttemptEnding::Cancelled),
    };
    let event = Event::Finished { fence, wanted: wanters.any(), end };
    match run.state.after(event.clone()) {
        Err(IllegalTransition::Already { .. }) => return Ok(Applied::Already),
        Err(_) => return Ok(Applied::Stale),
        Ok(_) => {}
    }
    step.settle(&run, ending, word.error.as_deref(), &word.log)?;
    if let End::Succeeded { result } = &word.end {
        step.execute(
            "INSERT INTO result (run, fence, body) VALUES (?1, ?2, ?3)",
            params![id.as_str(), fence.0 as i64, result],
        )?;
    }
    // Judged above; the state has not changed since.
    let applied = step.apply(&mut run, event, &wanters)?;
    Ok(if applied.is_ok() { Applied::Applied } else { Applied::Stale })
}
