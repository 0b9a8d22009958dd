//! Reads: each sees one snapshot and changes nothing.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sweep_core::ids::{Attempt, Digest, Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{Phase, StateName};
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_core::sweep::Document;

use super::row::{self, RunRow};
use super::step::sweep_state;
use crate::error::StoreError;
use crate::read::{
    AttemptRecord, Counts, Demand, PageCursor, RunDetail, RunPage, RunProgress, SweepStatus,
    WorkerStatus,
};

const SWEEP: &str = "id, name, weight, band, cap, state, round, sealed, q, l, d, s, f, c, submissions, reports, created, seconds, ended, walk_ord IS NOT NULL";

pub(super) fn sweeps(conn: &Connection) -> Result<Vec<SweepStatus>, StoreError> {
    let mut statement = conn
        .prepare_cached(&format!("SELECT {SWEEP} FROM sweep ORDER BY created DESC, rowid DESC"))?;
    collect(statement.query([])?, status)
}

pub(super) fn sweep(
    conn: &Connection,
    sweep: &SweepId,
) -> Result<Option<(SweepStatus, Document)>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {SWEEP}, document.body FROM sweep JOIN document ON document.sweep = sweep.id WHERE sweep.id = ?1"
    ))?;
    let found = collect(statement.query([sweep.as_str()])?, |row| {
        Ok((status(row)?, row::json(row, 20, "document")?))
    })?;
    Ok(found.into_iter().next())
}

fn status(row: &Row<'_>) -> Result<SweepStatus, StoreError> {
    Ok(SweepStatus {
        id: row::id(row, 0)?,
        name: row.get(1)?,
        weight: row.get(2)?,
        band: row.get(3)?,
        cap: row.get(4)?,
        state: sweep_state(&row.get::<_, String>(5)?),
        round: row.get(6)?,
        sealed: row.get(7)?,
        counts: Counts {
            queued: row.get(8)?,
            leased: row.get(9)?,
            delayed: row.get(10)?,
            succeeded: row.get(11)?,
            failed: row.get(12)?,
            cancelled: row.get(13)?,
        },
        submissions: row::json(row, 14, "submissions")?,
        reports: row.get(15)?,
        created: Timestamp(row.get(16)?),
        seconds: row.get(17)?,
        ended_attempts: row.get::<_, i64>(18)?.unsigned_abs(),
        walking: row.get(19)?,
    })
}

/// A page of a sweep's runs, or all of them without a limit.
pub(super) fn runs(
    conn: &Connection,
    sweep: &SweepId,
    states: &[StateName],
    with_results: bool,
    after: Option<&PageCursor>,
    limit: Option<u32>,
) -> Result<RunPage, StoreError> {
    let (ord, run) = after.map_or(Ok((-1, String::new())), place)?;
    let letters: String = states.iter().map(|state| row::letter(*state)).collect();
    let (result, join) = if with_results {
        ("result.body", "LEFT JOIN result ON result.run = run.id")
    } else {
        ("NULL", "")
    };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {}, member.ord, run.spec, {result} FROM member CROSS JOIN run ON run.id = member.run {join} \
         WHERE member.sweep = ?1 AND (member.ord, member.run) > (?2, ?3) AND (?4 = '' OR instr(?4, run.st) > 0) \
         ORDER BY member.ord, member.run LIMIT ?5",
        row::COLUMNS
    ))?;
    let bound = limit.map_or(-1, |limit| i64::from(limit.max(1)));
    let runs =
        collect(statement.query(params![sweep.as_str(), ord, run, letters, bound])?, record)?;
    let full = limit.is_some_and(|limit| runs.len() as u32 >= limit.max(1));
    let next = runs
        .last()
        .filter(|_| full)
        .map(|last| PageCursor(format!("{}:{}", last.run.ord, last.run.id)));
    Ok(RunPage { runs, next })
}

fn place(cursor: &PageCursor) -> Result<(i64, String), StoreError> {
    let place =
        cursor.0.split_once(':').and_then(|(ord, run)| Some((ord.parse().ok()?, run.to_owned())));
    place.ok_or_else(|| StoreError::Cursor(cursor.0.clone()))
}

fn record(row: &Row<'_>) -> Result<RunRecord, StoreError> {
    let found = RunRow::read(row)?;
    let holder = match &found.state.phase {
        Phase::Leased { holder, .. } => Some(holder.to_string()),
        _ => None,
    };
    Ok(RunRecord {
        run: Run { id: found.id, ord: row.get(21)?, spec: row::json(row, 22, "spec")? },
        state: found.state.name(),
        attempts: found.state.tally.attempts,
        fence: found.state.tally.fence,
        holder,
        error: found.error.and_then(|error| error.lines().next().map(str::to_owned)),
        result: row::json_option(row, 23, "result")?,
    })
}

pub(super) fn run(conn: &Connection, id: &RunId) -> Result<Option<RunDetail>, StoreError> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {}, run.spec, result.body FROM run LEFT JOIN result ON result.run = run.id WHERE run.id = ?1",
        row::COLUMNS
    ))?;
    let found = collect(statement.query([id.as_str()])?, |row| {
        Ok((RunRow::read(row)?, row::json(row, 21, "spec")?, row::json_option(row, 22, "result")?))
    })?;
    let Some((found, spec, result)) = found.into_iter().next() else { return Ok(None) };
    let mut statement =
        conn.prepare_cached("SELECT sweep FROM member WHERE run = ?1 ORDER BY sweep")?;
    let sweeps = collect(statement.query([id.as_str()])?, |row| row::id(row, 0))?;
    let progress = if found.state.name().is_terminal() { None } else { Some(live(conn, id)?) };
    Ok(Some(RunDetail {
        id: id.clone(),
        spec,
        home: found.home,
        sweeps,
        error: found.error,
        result,
        progress,
        attempts: attempts(conn, id)?,
        state: found.state,
    }))
}

fn attempts(conn: &Connection, run: &RunId) -> Result<Vec<AttemptRecord>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT attempt, fence, worker, slot, device, started, ended, ending, error, log FROM attempt WHERE run = ?1 ORDER BY attempt",
    )?;
    collect(statement.query([run.as_str()])?, |row| {
        let damaged = || StoreError::Damaged { run: run.clone(), what: "the holder of an attempt" };
        Ok(AttemptRecord {
            attempt: Attempt(row.get(0)?),
            fence: Fence(row.get::<_, i64>(1)? as u64),
            holder: row::holder(row, 2, 3)?.ok_or_else(damaged)?,
            device: row::json(row, 4, "device")?,
            started: Timestamp(row.get(5)?),
            ended: row.get::<_, Option<i64>>(6)?.map(Timestamp),
            ending: row::json_option(row, 7, "ending")?,
            error: row.get(8)?,
            log: row.get(9)?,
        })
    })
}

pub(super) fn live(conn: &Connection, run: &RunId) -> Result<RunProgress, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT metrics FROM live WHERE run = ?1 ORDER BY epoch")?;
    let epochs =
        collect(statement.query([run.as_str()])?, |row| row::json(row, 0, "epoch metrics"))?;
    let mut statement =
        conn.prepare_cached("SELECT step FROM run WHERE id = ?1 AND st IN ('q', 'l', 'd')")?;
    let step: Option<i64> = statement.query_row([run.as_str()], |row| row.get(0)).optional()?;
    Ok(RunProgress { step: step.unwrap_or(0) as u64, epochs })
}

pub(super) fn states(
    conn: &Connection,
    runs: &[RunId],
) -> Result<Vec<Option<StateName>>, StoreError> {
    let mut statement = conn.prepare_cached("SELECT st FROM run WHERE id = ?1")?;
    let mut states = Vec::with_capacity(runs.len());
    for run in runs {
        let letter: Option<String> =
            statement.query_row([run.as_str()], |row| row.get(0)).optional()?;
        states.push(letter.and_then(|letter| row::letter_state(&letter)));
    }
    Ok(states)
}

/// Wanted = Σ over active sweeps of min(line, cap − leased) + all leased.
pub(super) fn demand(conn: &Connection) -> Result<Demand, StoreError> {
    let count = |sql: &str| -> Result<u32, StoreError> {
        Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    };
    let ready = count(
        "SELECT coalesce(sum(min(line, coalesce(max(cap - l, 0), line))), 0) FROM \
         (SELECT cap, l, (SELECT count(*) FROM run WHERE st = 'q' AND home = sweep.id) AS line FROM sweep WHERE state = 'active')",
    )?;
    let leased = count("SELECT count(*) FROM run WHERE st = 'l'")?;
    let delayed = count("SELECT count(*) FROM run WHERE st = 'd'")?;
    Ok(Demand { wanted: ready + leased, ready, leased, delayed })
}

pub(super) fn workers(conn: &Connection) -> Result<Vec<WorkerStatus>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT worker.worker, worker.slot, worker.device, worker.seen, run.id, drain.worker IS NOT NULL FROM worker \
         LEFT JOIN run ON run.id = worker.run AND run.st = 'l' AND run.fence = worker.fence \
         LEFT JOIN drain ON drain.worker = worker.worker ORDER BY worker.worker, worker.slot",
    )?;
    collect(statement.query([])?, |row| {
        let run: Option<String> = row.get(4)?;
        Ok(WorkerStatus {
            holder: sweep_core::lifecycle::Holder { worker: row.get(0)?, slot: row.get(1)? },
            device: row::json(row, 2, "device")?,
            seen: Timestamp(row.get(3)?),
            run: run.map(|id| id.parse()).transpose()?,
            drain: row.get(5)?,
        })
    })
}

/// Pointers are freed with the end of a run, so every one still there is live.
pub(super) fn checkpoints(conn: &Connection) -> Result<BTreeSet<Digest>, StoreError> {
    let mut statement =
        conn.prepare_cached("SELECT checkpoint, previous FROM run WHERE st IN ('q', 'l', 'd') AND checkpoint IS NOT NULL")?;
    let pairs = collect(statement.query([])?, |row| {
        let pointers =
            [row::json_option(row, 0, "checkpoint")?, row::json_option(row, 1, "checkpoint")?];
        Ok(pointers.map(|pointer: Option<sweep_core::lifecycle::CheckpointPointer>| {
            pointer.map(|pointer| pointer.digest)
        }))
    })?;
    Ok(pairs.into_iter().flatten().flatten().collect())
}

/// All rows through `read`.
pub(super) fn collect<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}
