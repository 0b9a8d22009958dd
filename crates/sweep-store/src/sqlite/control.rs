//! `control`: a person's command. One write to a sweep's head, whatever its size; a walk takes it to the runs.

use rusqlite::{OptionalExtension, params};
use sweep_core::ids::SweepId;

use super::step::{Step, sweep_state};
use crate::error::StoreError;
use crate::limits::{check_band, check_cap, check_weight};
use crate::read::EventKind;
use crate::words::{Command, SweepState};

pub(super) fn control(step: &Step<'_>, command: &Command) -> Result<(), StoreError> {
    match command {
        Command::Pause(sweep) => set_state(step, sweep, SweepState::Paused),
        Command::PauseNow(sweep) => set_state(step, sweep, SweepState::PausedNow),
        Command::Resume(sweep) => set_state(step, sweep, SweepState::Active),
        Command::Cancel(sweep) => set_state(step, sweep, SweepState::Cancelled),
        Command::Retry(sweep) => {
            open(step, sweep)?;
            step.execute(
                "UPDATE sweep SET walk_ord = -1, walk_run = '', walk_retry = 1 WHERE id = ?1",
                [sweep.as_str()],
            )?;
            changed(step, sweep)
        }
        Command::Weight(sweep, weight) => {
            check_weight(*weight)?;
            state(step, sweep)?;
            let set = step.execute(
                "UPDATE sweep SET weight = ?2 WHERE id = ?1 AND weight <> ?2",
                params![sweep.as_str(), weight],
            )?;
            if set > 0 { changed(step, sweep) } else { Ok(()) }
        }
        Command::Band(sweep, band) => {
            check_band(*band)?;
            state(step, sweep)?;
            // Out of the old band's schedule, so that it enters the new one at that one's time.
            let sql = "UPDATE sweep SET band = ?2, sched = 0 WHERE id = ?1 AND band <> ?2";
            let set = step.execute(sql, params![sweep.as_str(), band])?;
            if set > 0 { changed(step, sweep) } else { Ok(()) }
        }
        Command::Cap(sweep, cap) => {
            check_cap(*cap)?;
            state(step, sweep)?;
            let set = step.execute(
                "UPDATE sweep SET cap = ?2 WHERE id = ?1 AND cap IS NOT ?2",
                params![sweep.as_str(), cap],
            )?;
            if set > 0 { changed(step, sweep) } else { Ok(()) }
        }
        Command::Reported(sweep) => {
            state(step, sweep)?;
            step.execute("UPDATE sweep SET reports = reports + 1 WHERE id = ?1", [sweep.as_str()])?;
            Ok(())
        }
        Command::Drain(worker) => {
            let sql =
                "INSERT INTO drain (worker, since) VALUES (?1, ?2) ON CONFLICT (worker) DO NOTHING";
            let new = step.execute(sql, params![worker, step.now.0])?;
            if new > 0 { step.emit(&EventKind::Drain { worker: worker.clone() }) } else { Ok(()) }
        }
    }
}

fn set_state(step: &Step<'_>, sweep: &SweepId, to: SweepState) -> Result<(), StoreError> {
    let from = if to == SweepState::Cancelled { state(step, sweep)? } else { open(step, sweep)? };
    if from == to {
        return Ok(());
    }
    // A cancelled sweep retries nothing; any other change lets a retry under way start over.
    step.execute(
        "UPDATE sweep SET state = ?2, walk_ord = -1, walk_run = '', walk_retry = walk_retry AND ?3 WHERE id = ?1",
        params![sweep.as_str(), to.as_str(), to != SweepState::Cancelled],
    )?;
    changed(step, sweep)
}

fn changed(step: &Step<'_>, sweep: &SweepId) -> Result<(), StoreError> {
    step.refresh(sweep)?;
    step.emit(&EventKind::Sweep { sweep: sweep.clone() })
}

fn open(step: &Step<'_>, sweep: &SweepId) -> Result<SweepState, StoreError> {
    match state(step, sweep)? {
        SweepState::Cancelled => Err(StoreError::CancelledSweep { sweep: sweep.clone() }),
        state => Ok(state),
    }
}

fn state(step: &Step<'_>, sweep: &SweepId) -> Result<SweepState, StoreError> {
    let mut statement = step.conn.prepare_cached("SELECT state FROM sweep WHERE id = ?1")?;
    let found: Option<String> =
        statement.query_row([sweep.as_str()], |row| row.get(0)).optional()?;
    found
        .map(|text| sweep_state(&text))
        .ok_or_else(|| StoreError::UnknownSweep { sweep: sweep.clone() })
}
