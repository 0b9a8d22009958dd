//! `lease`: the next run by band, fair share and order, for a slot that asks.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use sweep_core::ids::{Attempt, Fence, RunId, SweepId};
use sweep_core::lifecycle::{Event, Phase};
use sweep_core::run::RunSpec;

use super::affinity;
use super::row::{self, RunRow};
use super::step::Step;
use super::tick;
use crate::error::StoreError;
use crate::policy::{Policy, ms};
use crate::words::{Lease, Leased, Wish};

pub(super) fn lease(step: &Step<'_>, wish: &Wish, policy: &Policy) -> Result<Leased, StoreError> {
    let may_expire = step.touch(policy)?;
    tick::maintain(step, policy, may_expire, policy.lease_expired, policy.lease_due)?;
    if let Some(standing) = same_wish(step, wish, policy)? {
        return Ok(Leased::Lease(Box::new(standing)));
    }
    let drain = is_drained(step, &wish.holder.worker)?;
    let picked = match &wish.only {
        _ if drain => None,
        None => pick(step)?,
        Some(only) => pick_of(step, only)?,
    };
    let Some((sweep, run)) = picked else {
        seen(step, wish, None)?;
        return Ok(Leased::Nothing { wait: wait(step, policy)?, drain });
    };
    let mut run = load(step, run)?;
    // A run that goes first never waits for another, nor does it end the wait of the one behind it.
    if wish.only.is_none() && run.state.phase == (Phase::Queued { front: false }) {
        let nearer = affinity::nearer(step, &sweep, &run.id, wish, policy)?;
        affinity::count(step, &sweep, nearer.is_some())?;
        if let Some(nearer) = nearer {
            run = load(step, nearer)?;
        }
    }
    let fence = step.fence()?;
    run.charged = charge(step, &sweep, policy)?;
    let errors = run.state.tally.errors;
    let event = Event::Leased {
        fence,
        holder: wish.holder.clone(),
        at: step.now,
        expires: step.now.plus(ms(policy.ttl)),
    };
    let wanters = step.wanters(&run.id)?;
    if step.apply(&mut run, event, &wanters)?.is_err() {
        return Err(StoreError::Damaged { run: run.id, what: "a line" });
    }
    step.execute("UPDATE run SET step = 0 WHERE id = ?1", [run.id.as_str()])?;
    step.execute(
        "INSERT INTO attempt (run, attempt, fence, worker, slot, device, started) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            run.id.as_str(),
            run.state.tally.attempts,
            fence.0 as i64,
            wish.holder.worker,
            wish.holder.slot,
            row::text(&wish.device),
            step.now.0
        ],
    )?;
    seen(step, wish, Some((&run.id, fence)))?;
    Ok(Leased::Lease(Box::new(describe(step, &run, fence, errors, policy)?)))
}

fn load(step: &Step<'_>, run: RunId) -> Result<RunRow, StoreError> {
    RunRow::load(step.conn, &run)?.ok_or(StoreError::Damaged { run, what: "a line" })
}

/// The lease that the lost reply to the same wish gave, if it still stands.
fn same_wish(step: &Step<'_>, wish: &Wish, policy: &Policy) -> Result<Option<Lease>, StoreError> {
    let mut statement = step.conn.prepare_cached(
        "SELECT run, fence FROM worker WHERE worker = ?1 AND slot = ?2 AND request = ?3 AND run IS NOT NULL",
    )?;
    let mut rows =
        statement.query(params![wish.holder.worker, wish.holder.slot, wish.request.0 as i64])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    let (run, fence): (RunId, _) = (row::id(found, 0)?, Fence(found.get::<_, i64>(1)? as u64));
    let Some(run) = RunRow::load(step.conn, &run)? else { return Ok(None) };
    match run.state.phase {
        Phase::Leased { fence: standing, .. } if standing == fence => {
            let errors = run.state.tally.errors;
            describe(step, &run, fence, errors, policy).map(Some)
        }
        _ => Ok(None),
    }
}

fn describe(
    step: &Step<'_>,
    run: &RunRow,
    fence: Fence,
    errors: u32,
    policy: &Policy,
) -> Result<Lease, StoreError> {
    let mut statement = step.conn.prepare_cached("SELECT spec FROM run WHERE id = ?1")?;
    let spec: RunSpec =
        statement.query_row([run.id.as_str()], |found| Ok(row::json(found, 0, "spec")))??;
    Ok(Lease {
        run: run.id.clone(),
        fence,
        sweep: run.home.clone(),
        spec,
        attempt: Attempt(run.state.tally.attempts),
        errors,
        checkpoint: run.state.checkpoint,
        previous: run.state.previous,
        ttl: policy.ttl,
        waited: waited(step, run)?,
    })
}

/// How long a first attempt's run stood in line.
fn waited(step: &Step<'_>, run: &RunRow) -> Result<Option<Duration>, StoreError> {
    let Phase::Leased { since, .. } = run.state.phase else { return Ok(None) };
    if run.state.tally.attempts != 1 {
        return Ok(None);
    }
    let mut statement = step.conn.prepare_cached(
        "SELECT coalesce(json_extract(submissions, '$[#-1].at'), created) FROM sweep WHERE id = ?1",
    )?;
    let submitted: i64 = statement.query_row([run.home.as_str()], |found| found.get(0))?;
    Ok(Some(Duration::from_millis(u64::try_from(since.0 - submitted).unwrap_or(0))))
}

pub(super) fn is_drained(step: &Step<'_>, worker: &str) -> Result<bool, StoreError> {
    Ok(step.conn.prepare_cached("SELECT 1 FROM drain WHERE worker = ?1")?.exists([worker])?)
}

/// Lowest band, then lowest virtual time, then id; of that sweep the first in line. Looks at the lines themselves, so that
/// no forgotten mark can strand a sweep.
fn pick(step: &Step<'_>) -> Result<Option<(SweepId, RunId)>, StoreError> {
    let mut statement = step.conn.prepare_cached(
        "SELECT id, (SELECT run.id FROM run WHERE st = 'q' AND home = sweep.id ORDER BY front DESC, ord, run.id LIMIT 1) AS first
         FROM sweep WHERE state = 'active' AND (cap IS NULL OR l < cap) AND first IS NOT NULL ORDER BY band, vtime, id LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    let Some(found) = rows.next()? else { return Ok(None) };
    Ok(Some((row::id(found, 0)?, row::id(found, 1)?)))
}

/// The first run in line that `sweep` wants: of its own line, else of a line of another sweep that shares the run.
fn pick_of(step: &Step<'_>, sweep: &SweepId) -> Result<Option<(SweepId, RunId)>, StoreError> {
    let queries = [
        "SELECT home, run.id FROM run WHERE st = 'q' AND home = ?1 \
         AND EXISTS (SELECT 1 FROM sweep WHERE id = ?1 AND state = 'active' AND (cap IS NULL OR l < cap)) \
         ORDER BY front DESC, ord, run.id LIMIT 1",
        "SELECT home, run.id FROM member JOIN run ON run.id = member.run WHERE member.sweep = ?1 AND st = 'q' \
         AND EXISTS (SELECT 1 FROM sweep WHERE id = ?1 AND state = 'active' AND (cap IS NULL OR l < cap)) \
         ORDER BY front DESC, member.ord, run.id LIMIT 1",
    ];
    for query in queries {
        let mut statement = step.conn.prepare_cached(query)?;
        let mut rows = statement.query([sweep.as_str()])?;
        if let Some(found) = rows.next()? {
            return Ok(Some((row::id(found, 0)?, row::id(found, 1)?)));
        }
    }
    Ok(None)
}

/// Takes the likely cost from the sweep's account at once, for its end may be an hour away; says how much, in slot-seconds.
fn charge(step: &Step<'_>, sweep: &SweepId, policy: &Policy) -> Result<f64, StoreError> {
    step.execute(
        "INSERT INTO meta (key, value) SELECT 'gv:' || band, vtime FROM sweep WHERE id = ?1 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [sweep.as_str()],
    )?;
    let mut statement = step.conn.prepare_cached(
        "UPDATE sweep SET vtime = vtime + (CASE WHEN ended > 0 THEN seconds / ended ELSE ?2 END) / weight WHERE id = ?1 \
         RETURNING CASE WHEN ended > 0 THEN seconds / ended ELSE ?2 END",
    )?;
    Ok(statement
        .query_row(params![sweep.as_str(), policy.first_estimate.as_secs_f64()], |row| {
            row.get(0)
        })?)
}

fn seen(step: &Step<'_>, wish: &Wish, lease: Option<(&RunId, Fence)>) -> Result<(), StoreError> {
    step.execute(
        "INSERT INTO worker (worker, slot, device, seen, request, run, fence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (worker, slot) DO UPDATE SET device = excluded.device, seen = excluded.seen, request = excluded.request, \
         run = excluded.run, fence = excluded.fence",
        params![
            wish.holder.worker,
            wish.holder.slot,
            row::text(&wish.device),
            step.now.0,
            wish.request.0 as i64,
            lease.map(|(run, _)| run.as_str()),
            lease.map(|(_, fence)| fence.0 as i64),
        ],
    )?;
    Ok(())
}

/// Until the next run is due, but no longer than the caller's poll step: something may be submitted any time.
fn wait(step: &Step<'_>, policy: &Policy) -> Result<Duration, StoreError> {
    let mut statement =
        step.conn.prepare_cached("SELECT due FROM run WHERE st = 'd' ORDER BY due LIMIT 1")?;
    let due: Option<i64> = statement.query_row([], |row| row.get(0)).optional()?;
    let until = due.map(|due| Duration::from_millis(u64::try_from(due - step.now.0).unwrap_or(0)));
    Ok(until.map_or(policy.poll, |until| until.min(policy.poll)))
}
