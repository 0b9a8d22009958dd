//! `tick` and what every `lease` does of it: reap, put in line, walk, prune. Always in bounded pieces.

use rusqlite::{OptionalExtension, params};
use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::{AttemptEnd, Event, Phase, StateName};

use super::row::{self, RunRow};
use super::step::Step;
use crate::error::StoreError;
use crate::policy::{Policy, ms};
use crate::read::AttemptEnding;
use crate::words::Ticked;

/// Rows that one tick removes of each kind at most.
const PRUNE: u32 = 1000;

pub(super) fn tick(step: &Step<'_>, policy: &Policy) -> Result<Ticked, StoreError> {
    let may_expire = step.touch(policy)?;
    let mut ticked = maintain(step, policy, may_expire, policy.tick_expired, policy.tick_due)?;
    ticked.walked = walk(step, policy.walk)?;
    let pruned = prune(step, policy)?;
    ticked.more = ticked.expired == policy.tick_expired
        || ticked.due == policy.tick_due
        || ticked.walked == policy.walk
        || pruned == PRUNE as usize;
    Ok(ticked)
}

/// Reaps expired leases and puts due runs in line, at most so many of each.
pub(super) fn maintain(
    step: &Step<'_>,
    policy: &Policy,
    may_expire: bool,
    expired: u32,
    due: u32,
) -> Result<Ticked, StoreError> {
    pull_back(step, policy, expired, due)?;
    let mut done = Ticked::default();
    if may_expire {
        let sql =
            "SELECT id FROM run WHERE st = 'l' AND expires <= ?1 ORDER BY expires, id LIMIT ?2";
        for run in ids(step, sql, step.now.0, expired)? {
            done.expired += u32::from(lose(step, &run, policy)?);
        }
    }
    let sql = "SELECT id FROM run WHERE st = 'd' AND due <= ?1 ORDER BY due, id LIMIT ?2";
    for id in ids(step, sql, step.now.0, due)? {
        let Some(mut run) = RunRow::load(step.conn, &id)? else { continue };
        let wanters = step.wanters(&id)?;
        done.due += u32::from(
            step.apply(&mut run, Event::Due { wanted: wanters.any() }, &wanters)?.is_ok(),
        );
    }
    Ok(done)
}

/// Hands back every lease, whatever its expiry, at no cost to its run; says how many. See `docs/decisions/001-alone.md`.
pub(super) fn reap_all(step: &Step<'_>) -> Result<u32, StoreError> {
    let mut reaped = 0;
    let leased =
        "SELECT id FROM run WHERE st = 'l' AND expires <= ?1 ORDER BY expires, id LIMIT ?2";
    for id in ids(step, leased, i64::MAX, u32::MAX)? {
        let Some(mut run) = RunRow::load(step.conn, &id)? else { continue };
        let Phase::Leased { fence, .. } = run.state.phase else { continue };
        let wanters = step.wanters(&id)?;
        let end = AttemptEnd::Yielded { checkpoint: None };
        let event = Event::Finished { fence, wanted: wanters.any(), end };
        step.settle(&run, AttemptEnding::Lost, None, "")?;
        reaped += u32::from(step.apply(&mut run, event, &wanters)?.is_ok());
    }
    Ok(reaped)
}

fn lose(step: &Step<'_>, id: &RunId, policy: &Policy) -> Result<bool, StoreError> {
    let Some(mut run) = RunRow::load(step.conn, id)? else { return Ok(false) };
    let wanters = step.wanters(id)?;
    let event = Event::Lost { at: step.now, wanted: wanters.any(), policy: policy.losses };
    // Judged before anything is written: a settled account of a lease that stands would pay twice.
    let Ok(next) = run.state.after(event.clone()) else { return Ok(false) };
    let failed = next.name() == StateName::Failed;
    let error = failed
        .then(|| format!("lost: {} workers in a row vanished while training it", next.tally.stuck));
    step.settle(&run, AttemptEnding::Lost, error.as_deref(), "")?;
    Ok(step.apply(&mut run, event, &wanters)?.is_ok())
}

/// Times that no honest clock could have written: the clock was set back since.
fn pull_back(step: &Step<'_>, policy: &Policy, expired: u32, due: u32) -> Result<(), StoreError> {
    let bound = step.now.plus(ms(policy.ttl).saturating_mul(2)).0;
    step.execute(
        "UPDATE run SET expires = ?1 WHERE id IN (SELECT id FROM run WHERE st = 'l' AND expires > ?1 ORDER BY expires DESC LIMIT ?2)",
        params![bound, expired],
    )?;
    let bound = step.now.plus(ms(policy.longest_delay())).0;
    step.execute(
        "UPDATE run SET due = ?1 WHERE id IN (SELECT id FROM run WHERE st = 'd' AND due > ?1 ORDER BY due DESC LIMIT ?2)",
        params![bound, due],
    )?;
    Ok(())
}

/// Takes commands to the members of their sweeps, at most so many members; says how many were visited.
fn walk(step: &Step<'_>, bound: u32) -> Result<u32, StoreError> {
    let mut walked = 0;
    while walked < bound {
        let mut statement = step
            .conn
            .prepare_cached("SELECT id, walk_ord, walk_run, walk_retry FROM sweep WHERE walk_ord IS NOT NULL ORDER BY id LIMIT 1")?;
        let mut rows = statement.query([])?;
        let Some(found) = rows.next()? else { break };
        let sweep: SweepId = row::id(found, 0)?;
        let (ord, run, retry): (i64, String, bool) = (found.get(1)?, found.get(2)?, found.get(3)?);
        drop(rows);
        walked += walk_sweep(step, &sweep, (ord, &run), retry, bound - walked)?;
    }
    Ok(walked)
}

fn walk_sweep(
    step: &Step<'_>,
    sweep: &SweepId,
    from: (i64, &str),
    retry: bool,
    bound: u32,
) -> Result<u32, StoreError> {
    let mut statement = step.conn.prepare_cached(
        "SELECT ord, run FROM member WHERE sweep = ?1 AND (ord, run) > (?2, ?3) ORDER BY ord, run LIMIT ?4",
    )?;
    let mut rows = statement.query(params![sweep.as_str(), from.0, from.1, bound])?;
    let mut members: Vec<(i64, RunId)> = Vec::new();
    while let Some(found) = rows.next()? {
        members.push((found.get(0)?, row::id(found, 1)?));
    }
    drop(rows);
    for (_, run) in &members {
        visit(step, run, retry)?;
    }
    let walked = members.len() as u32;
    match members.last() {
        Some((ord, run)) if walked == bound => step.execute(
            "UPDATE sweep SET walk_ord = ?2, walk_run = ?3 WHERE id = ?1",
            params![sweep.as_str(), ord, run.as_str()],
        )?,
        _ => step.execute(
            "UPDATE sweep SET walk_ord = NULL, walk_run = NULL, walk_retry = 0 WHERE id = ?1",
            [sweep.as_str()],
        )?,
    };
    Ok(walked)
}

/// Brings one run in line with what its sweeps want now; again, it changes nothing.
fn visit(step: &Step<'_>, id: &RunId, retry: bool) -> Result<(), StoreError> {
    let Some(mut run) = RunRow::load(step.conn, id)? else { return Ok(()) };
    let wanters = step.wanters(id)?;
    let wanted = wanters.any();
    match run.state.name() {
        StateName::Queued | StateName::Delayed if !wanted => {
            let _never_refused = step.apply(&mut run, Event::Unwanted, &wanters)?;
        }
        StateName::Queued => {
            step.rehome(&mut run, &wanters)?;
        }
        StateName::Failed if retry && wanted => {
            let _never_refused = step.apply(&mut run, Event::Retried, &wanters)?;
        }
        _ => {}
    }
    Ok(())
}

/// Forgets silent workers and old events; says how many of the larger kind.
fn prune(step: &Step<'_>, policy: &Policy) -> Result<usize, StoreError> {
    let silent = step.now.plus(-ms(policy.worker_kept)).0;
    let workers = step.execute(
        "DELETE FROM worker WHERE (worker, slot) IN (SELECT worker, slot FROM worker WHERE seen < ?1 LIMIT ?2)",
        params![silent, PRUNE],
    )?;
    step.execute(
        "DELETE FROM drain WHERE worker IN (SELECT worker FROM drain WHERE since < ?1 \
         AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.worker = drain.worker) LIMIT ?2)",
        params![silent, PRUNE],
    )?;
    // The newest event always stays: the next number is one more than it.
    let mut statement = step.conn.prepare_cached("SELECT max(seq) FROM ev")?;
    let newest: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?.flatten();
    let oldest = newest.unwrap_or(0) - i64::from(policy.events_kept.max(1));
    let events = step.execute(
        "DELETE FROM ev WHERE seq IN (SELECT seq FROM ev WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
        params![oldest, PRUNE],
    )?;
    Ok(workers.max(events))
}

fn ids(step: &Step<'_>, sql: &str, time: i64, bound: u32) -> Result<Vec<RunId>, StoreError> {
    let mut statement = step.conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![time, bound])?;
    let mut ids = Vec::new();
    while let Some(found) = rows.next()? {
        ids.push(row::id(found, 0)?);
    }
    Ok(ids)
}
