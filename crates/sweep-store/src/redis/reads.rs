//! Reads. Each answer of the server is one snapshot; a listing of many runs is made of several.

use std::collections::BTreeSet;

use redis::Value;
use sweep_core::ids::{Digest, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{Holder, Phase, StateName};
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_core::sweep::Document;

use super::connection::Repeat;
use super::reply::Reply;
use super::rows::{self, Row, RunRow};
use super::scripts::{self, NoArgs, RunArgs, RunsArgs, SweepArgs};
use super::specs::{self, Configurations};
use super::{Redis, json};
use crate::error::StoreError;
use crate::read::{Demand, PageCursor, RunDetail, RunPage, RunProgress, SweepStatus, WorkerStatus};
use crate::words::Now;

/// Runs that one call of a script shows or visits at most: a few milliseconds of the server.
const PIECE: u32 = 500;

impl Redis {
    async fn one(&self, cmd: redis::Cmd) -> Result<Value, StoreError> {
        self.link().ask(&cmd, Repeat::Safe).await
    }

    /// Names and values of a hash, one after the other.
    pub(super) async fn whole(&self, name: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(self.key(name));
        pairs(self.one(cmd).await?)
    }

    /// Values of these fields of a hash.
    pub(super) async fn values(
        &self,
        name: &str,
        fields: &[&str],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut all = Vec::with_capacity(fields.len());
        for piece in fields.chunks(PIECE as usize) {
            let mut cmd = redis::cmd("HMGET");
            cmd.arg(self.key(name)).arg(piece);
            let found = Reply::of(self.one(cmd).await?)?;
            for i in 0..piece.len() {
                all.push(if found.is_nothing(i) { None } else { Some(found.bytes(i)?.to_owned()) });
            }
        }
        Ok(all)
    }

    /// Members of a sorted set with their scores.
    pub(super) async fn scores(&self, name: &str) -> Result<Vec<(String, f64)>, StoreError> {
        let mut cmd = redis::cmd("ZRANGE");
        cmd.arg(self.key(name)).arg(0).arg(-1).arg("WITHSCORES");
        scored(self.one(cmd).await?)
    }

    pub(super) async fn read_sweeps(&self) -> Result<Vec<SweepStatus>, StoreError> {
        let mut found = Vec::new();
        for (id, packed) in self.whole("sweep").await? {
            found.push(rows::status(&id.parse()?, &packed)?);
        }
        found.sort_by_key(|(status, serial)| std::cmp::Reverse((status.created, *serial)));
        Ok(found.into_iter().map(|(status, _)| status).collect())
    }

    pub(super) async fn read_sweep(
        &self,
        sweep: &SweepId,
    ) -> Result<Option<(SweepStatus, Document)>, StoreError> {
        let args = SweepArgs { sweep: sweep.as_str() };
        let found = Reply::of(self.call(&scripts::SWEEP, Now::Server, &args).await?)?;
        if found.len() == 0 {
            return Ok(None);
        }
        let (status, _) = rows::status(sweep, found.bytes(0)?)?;
        Ok(Some((status, json(found.bytes(1)?, "document")?)))
    }

    /// A page of a sweep's runs, or all of them without a limit.
    pub(super) async fn read_runs(
        &self,
        sweep: &SweepId,
        states: &[StateName],
        with_results: bool,
        after: Option<&PageCursor>,
        limit: Option<u32>,
    ) -> Result<RunPage, StoreError> {
        let letters: String = states.iter().map(|state| rows::letter(*state)).collect();
        let mut place = after.map_or(Ok(String::new()), |cursor| place(sweep, cursor))?;
        let (mut runs, mut configurations) = (Vec::new(), Configurations::default());
        let limit = limit.map(|limit| limit.max(1));
        loop {
            let left = limit.map_or(u32::MAX, |limit| limit.saturating_sub(runs.len() as u32));
            let args = RunsArgs {
                sweep: sweep.as_str(),
                after: &place,
                states: &letters,
                results: with_results,
                limit: left.min(PIECE),
                visit: PIECE,
            };
            let mut found = Reply::of(self.call(&scripts::RUNS, Now::Server, &args).await?)?;
            configurations.add(&found.list(1)?)?;
            for i in 2..found.len() {
                runs.push(record(found.list(i)?, &configurations)?);
            }
            let before = std::mem::replace(&mut place, found.text(0)?.to_owned());
            if !place.is_empty() && place <= before {
                return Err(StoreError::Reply { what: "a listing that does not go on" });
            }
            let full = limit.is_some_and(|limit| runs.len() as u32 >= limit);
            if full || place.is_empty() {
                let last = runs.last().filter(|_| full);
                let next = last.map(|last| PageCursor(format!("{}:{}", last.run.ord, last.run.id)));
                return Ok(RunPage { runs, next });
            }
        }
    }

    pub(super) async fn read_run(&self, id: &RunId) -> Result<Option<RunDetail>, StoreError> {
        let args = RunArgs { run: id.as_str() };
        let mut found = Reply::of(self.call(&scripts::RUN, Now::Server, &args).await?)?;
        if found.len() == 0 {
            return Ok(None);
        }
        let row = RunRow::unpack(id, found.bytes(0)?, found.time(1)?)?;
        let spec = specs::spec(found.text(2)?, found.bytes(7)?)?;
        let result = result(found.bytes(3)?)?;
        let step = found.number(4)?;
        let (epochs, attempts) = (found.list(5)?, found.list(6)?);
        let epochs = (0..epochs.len())
            .map(|i| json(epochs.bytes(i)?, "epoch metrics"))
            .collect::<Result<_, StoreError>>()?;
        let attempts = (0..attempts.len() / 2)
            .map(|i| {
                let log = String::from_utf8_lossy(attempts.bytes(2 * i + 1)?).into_owned();
                rows::attempt(id, i as u32 + 1, attempts.bytes(2 * i)?, log)
            })
            .collect::<Result<_, StoreError>>()?;
        let ended = row.state.name().is_terminal();
        Ok(Some(RunDetail {
            id: id.clone(),
            spec,
            home: row.home,
            sweeps: row.sweeps.into_iter().map(|(sweep, _)| sweep).collect(),
            error: row.error,
            result,
            progress: (!ended).then_some(RunProgress { step, epochs }),
            attempts,
            state: row.state,
        }))
    }

    pub(super) async fn read_states(
        &self,
        runs: &[RunId],
    ) -> Result<Vec<Option<StateName>>, StoreError> {
        let ids: Vec<_> = runs.iter().map(RunId::as_str).collect();
        let found = self.values("state", &ids).await?;
        let state =
            |(id, packed): (&&str, Option<Vec<u8>>)| -> Result<Option<StateName>, StoreError> {
                packed.map(|packed| Ok(rows::state_of(id, &packed)?.0)).transpose()
            };
        ids.iter().zip(found).map(state).collect()
    }

    pub(super) async fn read_demand(&self) -> Result<Demand, StoreError> {
        let found = Reply::of(self.call(&scripts::DEMAND, Now::Server, &NoArgs {}).await?)?;
        let (ready, leased, delayed) = (found.number(0)?, found.number(1)?, found.number(2)?);
        let wanted = u32::saturating_add(ready, leased);
        Ok(Demand { wanted, ready, leased, delayed })
    }

    pub(super) async fn read_workers(&self) -> Result<Vec<WorkerStatus>, StoreError> {
        let slots = self.whole("worker").await?;
        let seen: std::collections::HashMap<_, _> =
            self.scores("seen").await?.into_iter().collect();
        let drained: BTreeSet<_> =
            self.scores("drain").await?.into_iter().map(|(worker, _)| worker).collect();
        let mut workers = Vec::new();
        for (name, packed) in &slots {
            let row = Row::unpack(packed, &rows::WORKER, name)?;
            let holder = holder(name).ok_or(StoreError::Reply { what: "a slot without number" })?;
            let run = row.text("run").map(str::to_owned);
            let device = json(row.need_text("device")?.as_bytes(), "device")?;
            let at = Timestamp(seen.get(name).copied().unwrap_or(0.0) as i64);
            let drain = drained.contains(&holder.worker);
            let fence = row.fence("fence")?;
            workers.push((run, fence, WorkerStatus { holder, device, seen: at, run: None, drain }));
        }
        let ids: Vec<_> = workers.iter().filter_map(|(run, ..)| run.as_deref()).collect();
        let mut states = self.values("state", &ids).await?.into_iter();
        let mut statuses = Vec::with_capacity(workers.len());
        for (run, fence, mut status) in workers {
            if let Some(run) = run
                && let Some(Some(packed)) = states.next()
                && rows::state_of(&run, &packed)?.0 == StateName::Leased
                && Row::unpack(&packed, &rows::RUN, &run)?.fence("fence")? == fence
            {
                status.run = Some(run.parse()?);
            }
            statuses.push(status);
        }
        statuses.sort_by(|a, b| a.holder.cmp(&b.holder));
        Ok(statuses)
    }

    /// Pointers are freed with the end of a run, so every one still there is live.
    pub(super) async fn read_checkpoints(&self) -> Result<BTreeSet<Digest>, StoreError> {
        let (mut live, mut cursor) = (BTreeSet::new(), "0".to_owned());
        loop {
            let mut cmd = redis::cmd("HSCAN");
            cmd.arg(self.key("state")).arg(&cursor).arg("COUNT").arg(PIECE);
            let mut found = Reply::of(self.one(cmd).await?)?;
            cursor = found.text(0)?.to_owned();
            let found = found.list(1)?;
            for i in 0..found.len() / 2 {
                let (_, pointers) = rows::state_of(found.text(2 * i)?, found.bytes(2 * i + 1)?)?;
                live.extend(pointers.into_iter().flatten().map(|pointer| pointer.digest));
            }
            if cursor == "0" {
                return Ok(live);
            }
        }
    }
}

/// A holder from its name, `worker/slot`.
fn holder(name: &str) -> Option<Holder> {
    let (worker, slot) = name.rsplit_once('/')?;
    Some(Holder { worker: worker.to_owned(), slot: slot.parse().ok()? })
}

/// A cursor as the script takes it: the place in the listing.
fn place(sweep: &SweepId, cursor: &PageCursor) -> Result<String, StoreError> {
    let parts = cursor
        .0
        .split_once(':')
        .and_then(|(ord, run)| Some((ord.parse::<u32>().ok()?, run.parse::<RunId>().ok()?)));
    let (ord, run) = parts.ok_or_else(|| StoreError::Cursor(cursor.0.clone()))?;
    Ok(format!("{sweep}:{ord:010}:{run}"))
}

fn record(found: Reply, configurations: &Configurations) -> Result<RunRecord, StoreError> {
    let mut place = found.text(0)?.split(':').skip(1);
    let damaged = || StoreError::Reply { what: "a place without order and run" };
    let ord = place.next().and_then(|ord| ord.parse().ok()).ok_or_else(damaged)?;
    let id: RunId = place.next().ok_or_else(damaged)?.parse()?;
    let row = RunRow::unpack(&id, found.bytes(1)?, found.time(2)?)?;
    let holder = match &row.state.phase {
        Phase::Leased { holder, .. } => Some(holder.to_string()),
        _ => None,
    };
    Ok(RunRecord {
        run: Run { id, ord, spec: configurations.spec(found.text(3)?)? },
        state: row.state.name(),
        attempts: row.state.tally.attempts,
        fence: row.state.tally.fence,
        holder,
        error: row.error.and_then(|error| error.lines().next().map(str::to_owned)),
        result: result(found.bytes(4)?)?,
    })
}

/// A result as kept: the fence it was made under, a space, JSON. Nothing where there is none.
fn result<T: serde::de::DeserializeOwned>(kept: &[u8]) -> Result<Option<T>, StoreError> {
    let space = kept.iter().position(|byte| *byte == b' ');
    space.map(|space| json(&kept[space + 1..], "result")).transpose()
}

/// A flat list of names and values.
pub(super) fn pairs(value: Value) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let found = Reply::of(value)?;
    (0..found.len() / 2)
        .map(|i| Ok((found.text(2 * i)?.to_owned(), found.bytes(2 * i + 1)?.to_owned())))
        .collect()
}

/// A flat list of members and scores.
pub(super) fn scored(value: Value) -> Result<Vec<(String, f64)>, StoreError> {
    let found = Reply::of(value)?;
    (0..found.len() / 2)
        .map(|i| Ok((found.text(2 * i)?.to_owned(), found.number(2 * i + 1)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::redis::events;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    /// What a packed row may hold where it is damaged: values of any kind at any place.
    fn packed() -> impl Strategy<Value = Value> {
        let field = prop_oneof![
            3 => Just(json!(false)),
            2 => prop::sample::select(vec!["q", "l", "d", "s", "f", "c", "active", "", "x"]).prop_map(|text| json!(text)),
            2 => any::<f64>().prop_map(|number| json!(number)),
            2 => any::<u64>().prop_map(|number| json!(number)),
            1 => any::<u64>().prop_map(|number| json!(number.to_string())),
            1 => Just(json!("a".repeat(20))),
            1 => Just(json!([["a".repeat(20), 3]])),
            1 => Just(json!(["ab", 1e300, -1, []])),
        ];
        prop::collection::vec(field, 0..24)
            .prop_map(|row| Value::BulkString(rmp_serde::to_vec(&row).unwrap()))
    }

    fn answer() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            2 => packed(),
            1 => Just(Value::Nil),
            1 => any::<i64>().prop_map(Value::Int),
            1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::BulkString),
            1 => "[0-9.:{}a-]{0,24}".prop_map(|told| text(&told)),
            1 => Just(text(&format!("{}:0000000003:{}", "a".repeat(20), "b".repeat(20)))),
            1 => Just(text("abc:7")),
        ];
        leaf.prop_recursive(3, 40, 9, |inner| {
            prop::collection::vec(inner, 0..9).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn an_answer_that_makes_no_sense_is_an_error_and_no_panic(found in answer(), row in packed(), bytes: Vec<u8>) {
            let run: RunId = "a".repeat(20).parse().unwrap();
            let sweep: SweepId = "b".repeat(20).parse().unwrap();
            let reply = || Reply::of(found.clone());
            let mut configurations = Configurations::default();
            let outcomes = [
                reply().and_then(|reply| record(reply, &Configurations::default())).is_ok(),
                reply().and_then(|reply| configurations.add(&reply)).is_ok(),
                reply().and_then(events::event).is_ok(),
                pairs(found.clone()).is_ok(),
                scored(found.clone()).is_ok(),
            ];
            // No record comes of it: its configuration is not there.
            prop_assert!(!outcomes[0]);
            let Value::BulkString(row) = row else { unreachable!() };
            for packed in [row, bytes] {
                let time = Some(Timestamp(i64::MAX));
                let _ = RunRow::unpack(&run, &packed, time);
                let _ = rows::state_of(run.as_str(), &packed);
                let _ = rows::status(&sweep, &packed);
                let _ = rows::attempt(&run, 1, &packed, String::new());
                let _ = result::<sweep_core::result::RunResult>(&packed);
            }
        }
    }
}
