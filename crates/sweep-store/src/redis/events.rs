//! The stream of events: numbered by the scripts, so that a reader can tell when some are gone.
//!
//! A reader that waits does so on a connection of its own; a second one at the same time asks again and again instead.

use std::time::Duration;

use redis::Value;
use sweep_core::ids::Timestamp;
use tokio::time::Instant;

use super::connection::{Link, Repeat};
use super::keys::key;
use super::reply::Reply;
use crate::error::StoreError;
use crate::read::{Event, EventCursor, Events};

/// Events per answer at most.
const PAGE: usize = 1000;
/// How long one read waits on the server: a connection that died unseen is noticed after that.
const BLOCK: Duration = Duration::from_secs(5);
/// How often a reader asks that cannot wait on the server.
const POLL: Duration = Duration::from_millis(500);

pub(super) async fn end(link: &Link) -> Result<EventCursor, StoreError> {
    Ok(EventCursor(newest(link).await?.to_string()))
}

/// The number of the last event. Kept beside the stream, where it survives whatever is trimmed.
async fn newest(link: &Link) -> Result<u64, StoreError> {
    let mut cmd = redis::cmd("HGET");
    cmd.arg(key(&link.address.namespace, "meta")).arg("events");
    match link.ask(&cmd, Repeat::Safe).await? {
        Value::Nil => Ok(0),
        value => Reply::of(Value::Array(vec![value]))?.number(0),
    }
}

pub(super) async fn after(
    link: &Link,
    from: &EventCursor,
    wait: Duration,
) -> Result<Events, StoreError> {
    let Ok(place) = from.0.parse::<u64>() else { return Ok(Events::Reset) };
    let deadline = Instant::now() + wait;
    loop {
        if let Some(events) = read(link, place).await? {
            return Ok(events);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Events::Some { events: Vec::new(), cursor: from.clone() });
        }
        block(link, place, left.min(BLOCK)).await;
    }
}

/// What happened after `place`, or nothing if nothing did.
async fn read(link: &Link, place: u64) -> Result<Option<Events>, StoreError> {
    // The number after the events: what is read up to then is complete.
    let mut cmd = redis::cmd("XRANGE");
    cmd.arg(key(&link.address.namespace, "ev"))
        .arg(format!("({place}-0"))
        .arg("+")
        .arg("COUNT")
        .arg(PAGE);
    let mut found = Reply::of(link.ask(&cmd, Repeat::Safe).await?)?;
    if found.len() == 0 {
        // A greater number than any: of another store, or of this one before it lost its last seconds.
        let newest = newest(link).await?;
        return Ok(match newest.cmp(&place) {
            std::cmp::Ordering::Less => Some(Events::Reset),
            std::cmp::Ordering::Equal => None,
            // Something happened since the first look, or all of it is gone already.
            std::cmp::Ordering::Greater if is_gone(link, place).await? => Some(Events::Reset),
            std::cmp::Ordering::Greater => None,
        });
    }
    let mut events = Vec::with_capacity(found.len());
    for i in 0..found.len() {
        events.push(event(found.list(i)?)?);
    }
    let first: u64 = events[0].cursor.0.parse().unwrap_or(0);
    if first != place.saturating_add(1) {
        return Ok(Some(Events::Reset));
    }
    let cursor = events[events.len() - 1].cursor.clone();
    Ok(Some(Events::Some { events, cursor }))
}

/// Whether the event after `place` was trimmed: the stream is empty or begins later.
async fn is_gone(link: &Link, place: u64) -> Result<bool, StoreError> {
    let mut cmd = redis::cmd("XRANGE");
    cmd.arg(key(&link.address.namespace, "ev")).arg("-").arg("+").arg("COUNT").arg(1);
    let mut found = Reply::of(link.ask(&cmd, Repeat::Safe).await?)?;
    if found.len() == 0 {
        return Ok(true);
    }
    let first: u64 = event(found.list(0)?)?.cursor.0.parse().unwrap_or(0);
    Ok(first > place.saturating_add(1))
}

pub(super) fn event(mut entry: Reply) -> Result<Event, StoreError> {
    let id = entry.text(0)?;
    let cursor = EventCursor(id.split_once('-').map_or(id, |(number, _)| number).to_owned());
    let fields = entry.list(1)?;
    Ok(Event {
        cursor,
        at: Timestamp(fields.number(1)?),
        kind: super::json(fields.bytes(3)?, "event")?,
    })
}

/// Until something happens after `place`, or the time is over. Whatever goes wrong only ends the wait: the next read tells.
async fn block(link: &Link, place: u64, wait: Duration) {
    let Ok(mut waiting) = link.waiting.try_lock() else {
        return tokio::time::sleep(wait.min(POLL)).await;
    };
    // Taken out while in use: a read that is given up half-way takes its connection along.
    let connection = match waiting.take() {
        Some(connection) => Ok(connection),
        None => link.connect(None).await,
    };
    let Ok(mut connection) = connection else {
        return tokio::time::sleep(wait.min(POLL)).await;
    };
    let mut cmd = redis::cmd("XREAD");
    cmd.arg("BLOCK").arg(wait.as_millis().max(1) as u64).arg("COUNT").arg(1);
    cmd.arg("STREAMS").arg(key(&link.address.namespace, "ev")).arg(format!("{place}-0"));
    // The server ends the wait itself; one that does not is gone.
    let answer =
        tokio::time::timeout(wait + BLOCK, cmd.query_async::<Value>(&mut connection)).await;
    match answer {
        Ok(Ok(_)) => *waiting = Some(connection),
        _ => tokio::time::sleep(wait.min(POLL)).await,
    }
}
