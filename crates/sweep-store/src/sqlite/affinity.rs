//! Affinity: of the sweep whose turn it is, a slot gets a run on pictures that it holds.
//!
//! A match is the first of its data set in line, so the runs of one data set leave in their order; and the head of the line is
//! passed over a bounded number of times, so nothing starves.

use sweep_core::ids::{RunId, SweepId};

use super::row;
use super::step::Step;
use crate::error::StoreError;
use crate::policy::Policy;
use crate::words::Wish;

/// The run that goes before `head`, which is the first of the sweep's line and did not come back to its front.
pub(super) fn nearer(
    step: &Step<'_>,
    sweep: &SweepId,
    head: &RunId,
    wish: &Wish,
    policy: &Policy,
) -> Result<Option<RunId>, StoreError> {
    let held = wish.held();
    if held.is_empty() || policy.window() <= 1 {
        return Ok(None);
    }
    let mut statement = step.conn.prepare_cached("SELECT skipped FROM sweep WHERE id = ?1")?;
    let skipped: u32 = statement.query_row([sweep.as_str()], |found| found.get(0))?;
    if skipped >= policy.affinity_skips {
        return Ok(None);
    }
    let mut statement = step.conn.prepare_cached(
        "SELECT id, data FROM run WHERE st = 'q' AND home = ?1 AND front = 0 ORDER BY front DESC, ord, id LIMIT ?2",
    )?;
    let mut rows = statement.query(rusqlite::params![sweep.as_str(), policy.window()])?;
    while let Some(found) = rows.next()? {
        let data: Option<String> = found.get(1)?;
        if data.is_some_and(|data| held.iter().any(|key| key.as_str() == data)) {
            let run: RunId = row::id(found, 0)?;
            return Ok((run != *head).then_some(run));
        }
    }
    Ok(None)
}

/// Notes that the head of the sweep's line was passed over, or that it was not.
pub(super) fn count(step: &Step<'_>, sweep: &SweepId, passed: bool) -> Result<(), StoreError> {
    let change = if passed {
        "UPDATE sweep SET skipped = skipped + 1 WHERE id = ?1"
    } else {
        "UPDATE sweep SET skipped = 0 WHERE id = ?1 AND skipped > 0"
    };
    step.execute(change, [sweep.as_str()])?;
    Ok(())
}
