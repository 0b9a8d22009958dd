//! The stream of events: numbered rows, polled across processes, told at once within one.

use std::time::Duration;

use rusqlite::Connection;
use sweep_core::ids::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{reads, row};
use crate::error::StoreError;
use crate::read::{Event, EventCursor, Events};

/// How often the file is asked for what other processes wrote.
const POLL: Duration = Duration::from_millis(200);
/// Events per answer at most.
const PAGE: u32 = 1000;

pub(super) fn end(conn: &Connection) -> Result<EventCursor, StoreError> {
    let newest: i64 = conn
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM ev")?
        .query_row([], |row| row.get(0))?;
    Ok(cursor(newest))
}

pub(super) fn after(conn: &Connection, from: &EventCursor) -> Result<Events, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT coalesce((SELECT min(seq) FROM ev), 1), coalesce((SELECT max(seq) FROM ev), 0)",
    )?;
    let (oldest, newest): (i64, i64) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Ok(place) = from.0.parse::<i64>() else { return Ok(Events::Reset) };
    if place > newest || place < oldest - 1 {
        return Ok(Events::Reset);
    }
    let mut statement =
        conn.prepare_cached("SELECT seq, at, body FROM ev WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let events = reads::collect(statement.query([place, i64::from(PAGE)])?, |found| {
        let kind = row::json(found, 2, "event")?;
        Ok(Event { cursor: cursor(found.get(0)?), at: Timestamp(found.get(1)?), kind })
    })?;
    let cursor = events.last().map_or_else(|| from.clone(), |event| event.cursor.clone());
    Ok(Events::Some { events, cursor })
}

/// Until this process commits, or it is time to look at the file again, or the deadline.
pub(super) async fn wait(commits: Option<&mut watch::Receiver<u64>>, deadline: Instant) {
    let until = deadline.min(Instant::now() + POLL);
    match commits {
        Some(commits) => {
            // An error means that the writer has ended: then only the file can tell.
            if let Ok(Err(_)) = tokio::time::timeout_at(until, commits.changed()).await {
                tokio::time::sleep_until(until).await;
            }
        }
        None => tokio::time::sleep_until(until).await,
    }
}

fn cursor(seq: i64) -> EventCursor {
    EventCursor(seq.to_string())
}
