//! Packed rows: what the scripts keep as msgpack arrays, read here only. Their fields, by position, stand in `prelude.lua` too.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use sweep_core::ids::{Attempt, Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{CheckpointPointer, Holder, Phase, RunState, StateName, Tally};

use crate::error::StoreError;
use crate::read::{AttemptRecord, Counts, SweepStatus};
use crate::words::SweepState;

/// Fields of a packed run.
pub(super) const RUN: [&str; 19] = [
    "st",
    "home",
    "ord",
    "front",
    "fence",
    "ended_by",
    "attempts",
    "errors",
    "losses",
    "stuck",
    "yields",
    "worker",
    "slot",
    "since",
    "checkpoint",
    "previous",
    "charged",
    "error",
    "sweeps",
];
/// Fields of a packed head of a sweep.
pub(super) const HEAD: [&str; 23] = [
    "name",
    "weight",
    "band",
    "cap",
    "state",
    "round",
    "sealed",
    "vtime",
    "seconds",
    "ended",
    "q",
    "l",
    "d",
    "s",
    "f",
    "c",
    "created",
    "serial",
    "reports",
    "submissions",
    "walk",
    "retry",
    "skipped",
];
/// Fields of a packed attempt.
pub(super) const ATTEMPT: [&str; 8] =
    ["fence", "worker", "slot", "device", "started", "ended", "ending", "error"];
/// Fields of a packed slot of a worker.
pub(super) const WORKER: [&str; 4] = ["device", "request", "run", "fence"];

/// Any value in a packed row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Self>),
}

/// A row with the names of its fields.
pub(super) struct Row {
    values: Vec<Value>,
    fields: &'static [&'static str],
    /// Whose row it is, for the error.
    of: String,
}

impl Row {
    pub(super) fn unpack(
        packed: &[u8],
        fields: &'static [&'static str],
        of: &str,
    ) -> Result<Self, StoreError> {
        let damaged =
            || StoreError::DamagedRow { of: of.to_owned(), what: "no list of its fields" };
        match rmp_serde::from_slice(packed) {
            Ok(Value::List(values)) => Ok(Self { values, fields, of: of.to_owned() }),
            _ => Err(damaged()),
        }
    }

    /// The value of a field, unless it is nothing.
    fn get(&self, field: &'static str) -> Option<&Value> {
        let place = self.fields.iter().position(|name| *name == field)?;
        self.values.get(place).filter(|value| **value != Value::Bool(false))
    }

    fn need<T>(&self, found: Option<T>, field: &'static str) -> Result<T, StoreError> {
        found.ok_or_else(|| StoreError::DamagedRow { of: self.of.clone(), what: field })
    }

    pub(super) fn text(&self, field: &'static str) -> Option<&str> {
        match self.get(field) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn number(&self, field: &'static str) -> Option<f64> {
        match self.get(field) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn need_text(&self, field: &'static str) -> Result<&str, StoreError> {
        self.need(self.text(field), field)
    }

    pub(super) fn need_number(&self, field: &'static str) -> Result<f64, StoreError> {
        self.need(self.number(field), field)
    }

    fn need_u32(&self, field: &'static str) -> Result<u32, StoreError> {
        Ok(self.need_number(field)? as u32)
    }

    fn flag(&self, field: &'static str) -> bool {
        self.get(field) == Some(&Value::Bool(true))
    }

    fn time(&self, field: &'static str) -> Option<Timestamp> {
        self.number(field).map(|ms| Timestamp(ms as i64))
    }

    /// 64 bits do not fit a number of the scripts: decimal text.
    pub(super) fn fence(&self, field: &'static str) -> Result<Option<Fence>, StoreError> {
        let text = self.text(field);
        text.map(|text| self.need(text.parse().ok().map(Fence), field)).transpose()
    }

    fn holder(&self) -> Option<Holder> {
        let worker = self.text("worker")?.to_owned();
        Some(Holder { worker, slot: self.number("slot")? as u32 })
    }

    fn checkpoint(&self, field: &'static str) -> Result<Option<CheckpointPointer>, StoreError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let pointer = || {
            let Value::List(parts) = value else { return None };
            let [
                Value::Text(digest),
                Value::Number(epoch),
                Value::Number(batch),
                Value::Text(bytes),
            ] = parts.as_slice()
            else {
                return None;
            };
            Some(CheckpointPointer {
                digest: digest.parse().ok()?,
                epoch: *epoch as u32,
                batch: *batch as u32,
                bytes: bytes.parse().ok()?,
            })
        };
        self.need(pointer(), field).map(Some)
    }

    fn sweeps(&self) -> Result<Vec<(SweepId, u32)>, StoreError> {
        let Some(Value::List(members)) = self.get("sweeps") else {
            return self.need(None, "sweeps");
        };
        let member = |member: &Value| {
            let Value::List(parts) = member else { return None };
            let [Value::Text(sweep), Value::Number(ord)] = parts.as_slice() else { return None };
            Some((sweep.parse().ok()?, *ord as u32))
        };
        members.iter().map(|found| self.need(member(found), "sweeps")).collect()
    }
}

/// A run without its spec.
pub(super) struct RunRow {
    pub(super) home: SweepId,
    pub(super) ord: u32,
    pub(super) state: RunState,
    pub(super) error: Option<String>,
    /// The sweeps that have it and its place in each, by id.
    pub(super) sweeps: Vec<(SweepId, u32)>,
}

impl RunRow {
    /// `time`: the expiry of a leased run, the due time of a delayed one, kept beside the row.
    pub(super) fn unpack(
        run: &RunId,
        packed: &[u8],
        time: Option<Timestamp>,
    ) -> Result<Self, StoreError> {
        let row = Row::unpack(packed, &RUN, run.as_str())?;
        let fence = row.fence("fence")?;
        let ended_by = row.fence("ended_by")?;
        let phase = match row.need(row.text("st").and_then(letter_state), "st")? {
            StateName::Queued => Phase::Queued { front: row.flag("front") },
            StateName::Leased => Phase::Leased {
                fence: row.need(fence, "fence")?,
                holder: row.need(row.holder(), "worker")?,
                since: row.need(row.time("since"), "since")?,
                expires: row.need(time, "expiry")?,
            },
            StateName::Delayed => Phase::Delayed { due: row.need(time, "due time")? },
            StateName::Succeeded => Phase::Succeeded { fence: row.need(ended_by, "ended_by")? },
            StateName::Failed => Phase::Failed { fence: ended_by },
            StateName::Cancelled => Phase::Cancelled { fence: ended_by },
        };
        let tally = Tally {
            attempts: row.need_u32("attempts")?,
            errors: row.need_u32("errors")?,
            losses: row.need_u32("losses")?,
            stuck: row.need_u32("stuck")?,
            yields: row.need_u32("yields")?,
            fence,
        };
        let state = RunState {
            phase,
            tally,
            checkpoint: row.checkpoint("checkpoint")?,
            previous: row.checkpoint("previous")?,
        };
        Ok(Self {
            home: row.need_text("home")?.parse()?,
            ord: row.need_u32("ord")?,
            state,
            error: row.text("error").map(str::to_owned),
            sweeps: row.sweeps()?,
        })
    }
}

/// The state in a packed run, and its two checkpoints: what can be read without looking beside the row.
pub(super) fn state_of(
    run: &str,
    packed: &[u8],
) -> Result<(StateName, [Option<CheckpointPointer>; 2]), StoreError> {
    let row = Row::unpack(packed, &RUN, run)?;
    let state = row.need(row.text("st").and_then(letter_state), "st")?;
    Ok((state, [row.checkpoint("checkpoint")?, row.checkpoint("previous")?]))
}

/// A head, and what orders sweeps that came in the same millisecond.
pub(super) fn status(sweep: &SweepId, packed: &[u8]) -> Result<(SweepStatus, u64), StoreError> {
    let row = Row::unpack(packed, &HEAD, sweep.as_str())?;
    let submissions = format!("[{}]", row.need_text("submissions")?);
    let status = SweepStatus {
        id: sweep.clone(),
        name: row.need_text("name")?.to_owned(),
        weight: row.need_number("weight")?,
        band: row.need_u32("band")? as u8,
        cap: row.number("cap").map(|cap| cap as u32),
        state: row.need(row.text("state").and_then(sweep_state), "state")?,
        round: row.need_u32("round")?,
        sealed: row.flag("sealed"),
        counts: Counts {
            queued: row.need_u32("q")?,
            leased: row.need_u32("l")?,
            delayed: row.need_u32("d")?,
            succeeded: row.need_u32("s")?,
            failed: row.need_u32("f")?,
            cancelled: row.need_u32("c")?,
        },
        submissions: super::json(submissions.as_bytes(), "submissions")?,
        reports: row.need_u32("reports")?,
        created: row.need(row.time("created"), "created")?,
        seconds: row.need_number("seconds")?,
        ended_attempts: row.need_number("ended")? as u64,
        walking: row.get("walk").is_some(),
    };
    Ok((status, row.need_number("serial")? as u64))
}

pub(super) fn attempt(
    run: &RunId,
    number: u32,
    packed: &[u8],
    log: String,
) -> Result<AttemptRecord, StoreError> {
    let row = Row::unpack(packed, &ATTEMPT, run.as_str())?;
    Ok(AttemptRecord {
        attempt: Attempt(number),
        fence: row.need(row.fence("fence")?, "fence")?,
        holder: row.need(row.holder(), "worker")?,
        device: super::json(row.need_text("device")?.as_bytes(), "device")?,
        started: row.need(row.time("started"), "started")?,
        ended: row.time("ended"),
        ending: row
            .text("ending")
            .map(|name| super::json(format!("\"{name}\"").as_bytes(), "ending"))
            .transpose()?,
        error: row.text("error").map(str::to_owned),
        log,
    })
}

/// The letter that stands for a state in rows and counters.
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

fn letter_state(text: &str) -> Option<StateName> {
    StateName::ALL.into_iter().find(|state| letter(*state) == text)
}

fn sweep_state(text: &str) -> Option<SweepState> {
    [SweepState::Active, SweepState::Paused, SweepState::PausedNow, SweepState::Cancelled]
        .into_iter()
        .find(|state| state.as_str() == text)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of a packed row")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in `local WHICH = { 'a', 'b' }` of the prelude.
    fn listed(which: &str) -> Vec<&'static str> {
        let prelude = include_str!("lua/prelude.lua");
        let (_, rest) = prelude.split_once(&format!("local {which} = {{")).unwrap();
        let (list, _) = rest.split_once('}').unwrap();
        list.split(',')
            .map(|name| name.trim().trim_matches('\''))
            .filter(|name| !name.is_empty())
            .collect()
    }

    #[test]
    fn the_scripts_know_the_same_fields_in_the_same_order() {
        assert_eq!(listed("RUN"), RUN);
        assert_eq!(listed("HEAD"), HEAD);
        assert_eq!(listed("ATTEMPT"), ATTEMPT);
        assert_eq!(listed("WORKER"), WORKER);
    }

    #[test]
    fn a_row_that_is_none_is_damaged_and_says_whose_it_is() {
        let run: RunId = "a".repeat(20).parse().unwrap();
        let error = RunRow::unpack(&run, b"\xc0", None).err().unwrap();
        assert!(error.to_string().contains(run.as_str()), "{error}");
        let short = rmp_serde::to_vec(&("q", run.as_str())).unwrap();
        assert!(RunRow::unpack(&run, &short, None).is_err());
    }
}
