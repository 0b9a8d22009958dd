//! A run's row and the [`RunState`] in it: written and read here only.

use std::sync::LazyLock;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sweep_core::ids::{Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{Holder, Phase, RunState, StateName, Tally};

use crate::error::StoreError;

/// Columns of [`RunRow::read`], in its order.
pub(super) const COLUMNS: &str = "run.id, run.home, run.ord, run.st, run.front, run.fence, run.ended_by, run.attempts, run.errors, \
     run.losses, run.stuck, run.yields, run.worker, run.slot, run.since, run.expires, run.due, run.checkpoint, run.previous, \
     run.charged, run.error";

/// A run without its spec.
pub(super) struct RunRow {
    pub(super) id: RunId,
    /// The sweep in whose line it stands and that pays for it.
    pub(super) home: SweepId,
    /// Its place in the home's order.
    pub(super) ord: u32,
    pub(super) state: RunState,
    /// Slot-seconds charged to the home at the standing lease.
    pub(super) charged: f64,
    pub(super) error: Option<String>,
}

impl RunRow {
    pub(super) fn load(conn: &Connection, run: &RunId) -> Result<Option<Self>, StoreError> {
        let mut statement = conn.prepare_cached(&LOAD)?;
        statement.query_row([run.as_str()], |row| Ok(Self::read(row))).optional()?.transpose()
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        let id: RunId = id(row, 0)?;
        let damaged = |what| StoreError::Damaged { run: id.clone(), what };
        let ended_by = row.get::<_, Option<i64>>(6)?.map(|fence| Fence(fence as u64));
        let fence = row.get::<_, Option<i64>>(5)?.map(|fence| Fence(fence as u64));
        let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp));
        let phase =
            match letter_state(&row.get::<_, String>(3)?).ok_or_else(|| damaged("the state"))? {
                StateName::Queued => Phase::Queued { front: row.get(4)? },
                StateName::Leased => Phase::Leased {
                    fence: fence.ok_or_else(|| damaged("the fence of a lease"))?,
                    holder: holder(row, 12, 13)?.ok_or_else(|| damaged("the holder of a lease"))?,
                    since: time(14)?.ok_or_else(|| damaged("the start of a lease"))?,
                    expires: time(15)?.ok_or_else(|| damaged("the expiry of a lease"))?,
                },
                StateName::Delayed => Phase::Delayed {
                    due: time(16)?.ok_or_else(|| damaged("the due time of a delay"))?,
                },
                StateName::Succeeded => Phase::Succeeded {
                    fence: ended_by.ok_or_else(|| damaged("the fence of a result"))?,
                },
                StateName::Failed => Phase::Failed { fence: ended_by },
                StateName::Cancelled => Phase::Cancelled { fence: ended_by },
            };
        let tally = Tally {
            attempts: row.get(7)?,
            errors: row.get(8)?,
            losses: row.get(9)?,
            stuck: row.get(10)?,
            yields: row.get(11)?,
            fence,
        };
        let state = RunState {
            phase,
            tally,
            checkpoint: json_option(row, 17, "checkpoint")?,
            previous: json_option(row, 18, "checkpoint")?,
        };
        Ok(Self {
            home: self::id(row, 1)?,
            ord: row.get(2)?,
            state,
            charged: row.get(19)?,
            error: row.get(20)?,
            id,
        })
    }

    /// Writes everything but spec, error and step.
    pub(super) fn store(&self, conn: &Connection) -> Result<(), StoreError> {
        let RunState { phase, tally, checkpoint, previous } = &self.state;
        let (mut front, mut holder, mut since, mut expires, mut due) =
            (false, None, None, None, None);
        match phase {
            Phase::Queued { front: ahead } => front = *ahead,
            Phase::Leased { holder: who, since: at, expires: until, .. } => {
                (holder, since, expires) = (Some(who), Some(at.0), Some(until.0));
            }
            Phase::Delayed { due: at } => due = Some(at.0),
            Phase::Succeeded { .. } | Phase::Failed { .. } | Phase::Cancelled { .. } => {}
        }
        let mut statement = conn.prepare_cached(
            "UPDATE run SET home = ?2, ord = ?3, st = ?4, front = ?5, fence = ?6, ended_by = ?7, attempts = ?8, errors = ?9, losses = ?10, \
             stuck = ?11, yields = ?12, worker = ?13, slot = ?14, since = ?15, expires = ?16, due = ?17, checkpoint = ?18, \
             previous = ?19, charged = ?20 WHERE id = ?1",
        )?;
        statement.execute(params![
            self.id.as_str(),
            self.home.as_str(),
            self.ord,
            letter(self.state.name()),
            front,
            tally.fence.map(|fence| fence.0 as i64),
            self.state.ended_by().map(|fence| fence.0 as i64),
            tally.attempts,
            tally.errors,
            tally.losses,
            tally.stuck,
            tally.yields,
            holder.map(|holder| &holder.worker),
            holder.map(|holder| holder.slot),
            since,
            expires,
            due,
            checkpoint.map(|pointer| text(&pointer)),
            previous.map(|pointer| text(&pointer)),
            self.charged,
        ])?;
        Ok(())
    }
}

static LOAD: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} FROM run WHERE id = ?1"));

/// The letter that stands for a state in the tables.
pub(super) fn letter(state: StateName) -> &'static str {
    match state {
        StateName::Queued => "q",
        StateName::Leased => "l",
        StateName::Delayed => "d",
        StateName::Succeeded => "s",
        StateName::Failed => "f",
        StateName::Cancelled => "c",
    }
}

/// The state a letter stands for.
pub(super) fn letter_state(text: &str) -> Option<StateName> {
    StateName::ALL.into_iter().find(|state| letter(*state) == text)
}

/// A typed id from a column.
pub(super) fn id<T: std::str::FromStr<Err = sweep_core::ids::IdError>>(
    row: &Row<'_>,
    column: usize,
) -> Result<T, StoreError> {
    Ok(row.get_ref(column)?.as_str().map_err(|_| wrong_type(column))?.parse()?)
}

/// A holder from two columns, if there is one.
pub(super) fn holder(
    row: &Row<'_>,
    worker: usize,
    slot: usize,
) -> Result<Option<Holder>, StoreError> {
    let (worker, slot) = (row.get::<_, Option<String>>(worker)?, row.get::<_, Option<u32>>(slot)?);
    Ok(worker.zip(slot).map(|(worker, slot)| Holder { worker, slot }))
}

/// A value kept as JSON.
pub(super) fn json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<T, StoreError> {
    let text = row.get_ref(column)?.as_str().map_err(|_| wrong_type(column))?;
    serde_json::from_str(text).map_err(|source| StoreError::Json { what, source })
}

/// A value kept as JSON, or nothing.
pub(super) fn json_option<T: DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(|_| wrong_type(column))?;
    text.map(serde_json::from_str).transpose().map_err(|source| StoreError::Json { what, source })
}

/// The JSON of a value of ours.
pub(super) fn text<T: Serialize>(value: &T) -> String {
    crate::limits::json_text(value)
}

fn wrong_type(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, String::new(), Type::Text)
}
