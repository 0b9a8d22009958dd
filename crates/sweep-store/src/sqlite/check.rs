//! The promises of the tables, checked by reading everything: for tests after every step, and for a deep doctor.
//!
//! That states change only as they may, and that a repeated call changes nothing, shows over time only: see the tests.

use rusqlite::Connection;

use super::reads::collect;
use super::row::{self, RunRow};
use crate::error::StoreError;

/// What must find no row, and what it means if it does.
const RULES: [(&str, &str); 14] = [
    ("a run has no state", "SELECT id FROM run WHERE st NOT IN ('q', 'l', 'd', 's', 'f', 'c')"),
    (
        "a run is in more places than its state says",
        "SELECT id FROM run WHERE (st = 'l') <> (expires IS NOT NULL) OR (st = 'd') <> (due IS NOT NULL) \
         OR (st = 'l') <> (worker IS NOT NULL) OR (front AND st <> 'q')",
    ),
    (
        "counters differ from a recount",
        "SELECT sweep.id FROM sweep LEFT JOIN (SELECT sweep, sum(st = 'q') q, sum(st = 'l') l, sum(st = 'd') d, sum(st = 's') s, \
         sum(st = 'f') f, sum(st = 'c') c FROM member JOIN run ON run.id = member.run GROUP BY sweep) n ON n.sweep = sweep.id \
         WHERE (sweep.q, sweep.l, sweep.d, sweep.s, sweep.f, sweep.c) IS NOT \
         (coalesce(n.q, 0), coalesce(n.l, 0), coalesce(n.d, 0), coalesce(n.s, 0), coalesce(n.f, 0), coalesce(n.c, 0))",
    ),
    (
        "a sweep is scheduled without reason, or not scheduled with one",
        "SELECT id FROM sweep WHERE sched <> (state = 'active' AND (cap IS NULL OR l < cap) \
         AND EXISTS (SELECT 1 FROM run WHERE st = 'q' AND home = sweep.id))",
    ),
    (
        "a fence is ahead of the last one given",
        "SELECT id FROM run WHERE fence > (SELECT value FROM meta WHERE key = 'fence')",
    ),
    ("a fence was given twice", "SELECT min(run) FROM attempt GROUP BY fence HAVING count(*) > 1"),
    (
        "fences do not grow with attempts",
        "SELECT a.run FROM attempt a JOIN attempt b ON b.run = a.run AND b.attempt = a.attempt + 1 WHERE b.fence <= a.fence",
    ),
    (
        "a success has no result of its fence",
        "SELECT run.id FROM run LEFT JOIN result ON result.run = run.id AND result.fence = run.ended_by \
         WHERE st = 's' AND result.run IS NULL",
    ),
    (
        "a result has no success",
        "SELECT result.run FROM result LEFT JOIN run ON run.id = result.run WHERE st IS NOT 's'",
    ),
    (
        "an ended run has live metrics or checkpoints",
        "SELECT id FROM run WHERE st IN ('s', 'f', 'c') AND (checkpoint IS NOT NULL OR previous IS NOT NULL \
         OR EXISTS (SELECT 1 FROM live WHERE live.run = run.id))",
    ),
    ("live metrics have no run", "SELECT run FROM live WHERE run NOT IN (SELECT id FROM run)"),
    (
        "a waiting run is not in a line that moves though a sweep would move it",
        "SELECT run.id FROM run JOIN sweep home ON home.id = run.home WHERE st = 'q' AND home.state <> 'active' \
         AND EXISTS (SELECT 1 FROM member JOIN sweep ON sweep.id = member.sweep WHERE member.run = run.id AND sweep.state = 'active') \
         AND NOT EXISTS (SELECT 1 FROM member JOIN sweep ON sweep.id = member.sweep WHERE member.run = run.id AND walk_ord IS NOT NULL)",
    ),
    (
        "a waiting run is wanted by nobody",
        "SELECT run.id FROM run WHERE st IN ('q', 'd') \
         AND NOT EXISTS (SELECT 1 FROM member JOIN sweep ON sweep.id = member.sweep WHERE member.run = run.id \
                         AND (sweep.state <> 'cancelled' OR walk_ord IS NOT NULL))",
    ),
    (
        "a run's home does not have it, or at another place",
        "SELECT id FROM run WHERE NOT EXISTS (SELECT 1 FROM member WHERE member.run = run.id AND member.sweep = run.home AND member.ord = run.ord)",
    ),
];

pub(super) fn violations(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut violations = Vec::new();
    for (meaning, sql) in RULES {
        let ids: Vec<String> =
            collect(conn.prepare_cached(&format!("{sql} LIMIT 5"))?.query([])?, |row| {
                Ok(row.get(0)?)
            })?;
        if !ids.is_empty() {
            violations.push(format!("{meaning}: {}", ids.join(", ")));
        }
    }
    let mut statement = conn.prepare_cached(&format!("SELECT {} FROM run", row::COLUMNS))?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        if let Err(error) = RunRow::read(found) {
            violations.push(error.to_string());
        }
    }
    let sound: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        violations.push(format!("the file is damaged: {sound}"));
    }
    Ok(violations)
}
