//! `submit`: a sweep and its runs come in, up to 500 at a time.

use rusqlite::{OptionalExtension, params};
use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::{Event, StateName};
use sweep_core::run::{DataKey, Run, RunSpec};

use super::row::{self, RunRow};
use super::step::{Step, sweep_state};
use crate::error::StoreError;
use crate::limits;
use crate::read::EventKind;
use crate::words::{NewSweep, Submission, Submitted, SweepState};

/// A checked submission, written out before the step so that the writer's thread need not.
pub(super) struct Prepared {
    sweep: NewSweep,
    document: String,
    runs: Vec<NewRun>,
    last: bool,
}

struct NewRun {
    id: RunId,
    ord: u32,
    spec: String,
    data: DataKey,
}

impl Prepared {
    pub(super) fn new(sweep: &NewSweep, runs: &[Run], last: bool) -> Result<Self, StoreError> {
        limits::check_submission(sweep, runs.len())?;
        let document = row::text(&sweep.document);
        let written = |run: &Run| NewRun {
            id: run.id.clone(),
            ord: run.ord,
            spec: row::text(&run.spec),
            data: run.spec.data_key(),
        };
        let runs = runs.iter().map(written).collect();
        Ok(Self { sweep: sweep.clone(), document, runs, last })
    }
}

struct Head {
    state: SweepState,
    round: u32,
    sealed: bool,
    submissions: Vec<Submission>,
}

pub(super) fn submit(step: &Step<'_>, new: &Prepared) -> Result<Submitted, StoreError> {
    let id = &new.sweep.id;
    let head = load_head(step, id)?;
    let before = check_round(step, new, head.as_ref())?;
    let reopened = head.as_ref().is_some_and(|head| head.state == SweepState::Cancelled);
    let mut changed = head.is_none() || reopened;
    if head.is_none() {
        insert_head(step, new)?;
    } else if reopened {
        // The walk takes in those runs that stand in the line of a paused sweep.
        step.execute("UPDATE sweep SET state = 'active', walk_ord = -1, walk_run = '', walk_retry = 0 WHERE id = ?1", [id.as_str()])?;
    }
    if before != Before::Repeat {
        step.execute(
            "UPDATE sweep SET round = ?2, sealed = 0 WHERE id = ?1",
            params![id.as_str(), new.sweep.round],
        )?;
        if head.as_ref().is_some_and(|head| head.round < new.sweep.round) {
            step.execute(
                "UPDATE document SET body = ?2 WHERE sweep = ?1",
                params![id.as_str(), new.document],
            )?;
        }
    }
    let mut submitted = Submitted::default();
    let mut added = 0;
    for run in &new.runs {
        changed |= submit_run(step, id, run, &mut submitted, &mut added)?;
    }
    step.execute("UPDATE sweep SET q = q + ?2 WHERE id = ?1", params![id.as_str(), added])?;
    step.refresh(id)?;
    if (new.last && before != Before::Repeat) || reopened {
        let sealed = new.last && before != Before::Repeat;
        seal(step, new, head.map(|head| head.submissions).unwrap_or_default(), sealed)?;
        changed = true;
    }
    if changed {
        step.emit(&EventKind::Submitted { sweep: id.clone() })?;
    }
    Ok(submitted)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The round is open, or opens now.
    Open,
    /// The round was complete, and these runs were all in it.
    Repeat,
}

/// A complete round takes no new runs, an open adaptive one only those of the decision that opened it, so that of two
/// coordinators that decide on the next one only one wins. A cancelled sweep is reopened by its first round only: a
/// coordinator that has not heard of the end must not undo it.
fn check_round(step: &Step<'_>, new: &Prepared, head: Option<&Head>) -> Result<Before, StoreError> {
    let Some(head) = head else { return Ok(Before::Open) };
    let round = new.sweep.round;
    let goes_on = round == head.round && !head.sealed;
    let opens = head.sealed && head.round.checked_add(1) == Some(round);
    if round > 0 && head.state == SweepState::Cancelled {
        return Err(StoreError::CancelledSweep { sweep: new.sweep.id.clone() });
    }
    if goes_on && round > 0 && !has_document(step, new)? {
        return Err(refused(new, head));
    }
    if goes_on || opens {
        return Ok(Before::Open);
    }
    let mut repeat = round <= head.round;
    for run in &new.runs {
        repeat = repeat && is_member(step, &new.sweep.id, &run.id)?;
    }
    if repeat { Ok(Before::Repeat) } else { Err(refused(new, head)) }
}

fn refused(new: &Prepared, head: &Head) -> StoreError {
    StoreError::Round {
        sweep: new.sweep.id.clone(),
        round: new.sweep.round,
        current: head.round,
        sealed: head.sealed,
    }
}

/// Whether the document is the stored one.
fn has_document(step: &Step<'_>, new: &Prepared) -> Result<bool, StoreError> {
    let mut statement =
        step.conn.prepare_cached("SELECT 1 FROM document WHERE sweep = ?1 AND body = ?2")?;
    Ok(statement.exists([new.sweep.id.as_str(), &new.document])?)
}

/// Says whether anything changed.
fn submit_run(
    step: &Step<'_>,
    sweep: &SweepId,
    new: &NewRun,
    submitted: &mut Submitted,
    added: &mut u32,
) -> Result<bool, StoreError> {
    let NewRun { id: run, ord, spec, data } = new;
    let ord = *ord;
    let is_new = step.execute(
        "INSERT INTO run (id, spec, st, home, ord, data) VALUES (?1, ?2, 'q', ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
        params![run.as_str(), spec, sweep.as_str(), ord, data.as_str()],
    )? == 1;
    if is_new {
        insert_member(step, sweep, ord, run)?;
        submitted.new += 1;
        *added += 1;
        return Ok(true);
    }
    check_same(step, run, spec)?;
    let mut known = RunRow::load(step.conn, run)?
        .ok_or_else(|| StoreError::Damaged { run: run.clone(), what: "the row of a known run" })?;
    let state = known.state.name();
    let joins = !is_member(step, sweep, run)?;
    if joins {
        insert_member(step, sweep, ord, run)?;
        let letter = row::letter(state);
        step.execute(
            &format!("UPDATE sweep SET {letter} = {letter} + 1 WHERE id = ?1"),
            [sweep.as_str()],
        )?;
    }
    let wanters = step.wanters(run)?;
    let moved = match state {
        StateName::Succeeded | StateName::Failed => {
            submitted.known += 1;
            false
        }
        StateName::Cancelled => {
            submitted.requeued += 1;
            // A cancelled run can always be submitted.
            step.apply(&mut known, Event::Submitted, &wanters)?.is_ok()
        }
        StateName::Leased => {
            submitted.joined += 1;
            // One more leased run: the sweep may be at its cap.
            false
        }
        StateName::Queued | StateName::Delayed => {
            submitted.joined += 1;
            step.rehome(&mut known, &wanters)?
        }
    };
    Ok(joins || moved)
}

/// The same id must mean the same content; only a data set's name may differ, for it is not part of the content.
fn check_same(step: &Step<'_>, run: &RunId, spec: &str) -> Result<(), StoreError> {
    let mut statement =
        step.conn.prepare_cached("SELECT spec FROM run WHERE id = ?1 AND spec <> ?2")?;
    let other: Option<String> =
        statement.query_row([run.as_str(), spec], |row| row.get(0)).optional()?;
    let Some(other) = other else { return Ok(()) };
    let parse = |text: &str| {
        serde_json::from_str::<RunSpec>(text)
            .map_err(|source| StoreError::Json { what: "spec", source })
    };
    let same = parse(&other)?.id() == parse(spec)?.id();
    if same { Ok(()) } else { Err(StoreError::RunClash { run: run.clone() }) }
}

fn is_member(step: &Step<'_>, sweep: &SweepId, run: &RunId) -> Result<bool, StoreError> {
    let mut statement =
        step.conn.prepare_cached("SELECT 1 FROM member WHERE run = ?1 AND sweep = ?2")?;
    Ok(statement.exists([run.as_str(), sweep.as_str()])?)
}

fn insert_member(
    step: &Step<'_>,
    sweep: &SweepId,
    ord: u32,
    run: &RunId,
) -> Result<(), StoreError> {
    step.execute(
        "INSERT INTO member (sweep, ord, run) VALUES (?1, ?2, ?3)",
        params![sweep.as_str(), ord, run.as_str()],
    )?;
    Ok(())
}

fn load_head(step: &Step<'_>, sweep: &SweepId) -> Result<Option<Head>, StoreError> {
    let mut statement = step
        .conn
        .prepare_cached("SELECT state, round, sealed, submissions FROM sweep WHERE id = ?1")?;
    let mut rows = statement.query([sweep.as_str()])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some(Head {
        state: sweep_state(&found.get::<_, String>(0)?),
        round: found.get(1)?,
        sealed: found.get(2)?,
        submissions: row::json(found, 3, "submissions")?,
    }))
}

fn insert_head(step: &Step<'_>, new: &Prepared) -> Result<(), StoreError> {
    let NewSweep { id, name, weight, band, cap, round, .. } = &new.sweep;
    step.execute(
        "INSERT INTO sweep (id, name, weight, band, cap, state, round, sealed, submissions, created) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'active', ?6, 0, '[]', ?7)",
        params![id.as_str(), name, weight, band, cap, round, step.now.0],
    )?;
    step.execute(
        "INSERT INTO document (sweep, body) VALUES (?1, ?2)",
        params![id.as_str(), new.document],
    )?;
    Ok(())
}

fn seal(
    step: &Step<'_>,
    new: &Prepared,
    mut submissions: Vec<Submission>,
    sealed: bool,
) -> Result<(), StoreError> {
    let id = new.sweep.id.as_str();
    let mut statement = step
        .conn
        .prepare_cached("SELECT q + l + d + s + f + c, reports FROM sweep WHERE id = ?1")?;
    let (runs, reports) = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    submissions.push(Submission {
        at: step.now,
        round: new.sweep.round,
        seeds: new.sweep.seeds,
        runs,
        reports,
    });
    step.execute(
        "UPDATE sweep SET sealed = max(sealed, ?2), submissions = ?3 WHERE id = ?1",
        params![id, sealed, row::text(&submissions)],
    )?;
    Ok(())
}
