//! The store in Redis (6.2 or newer) or Valkey: for a cluster. One Lua file per transition, so that each is one atomic step.
//!
//! Reading order: [`address`] (the URL), [`keys`], `lua/prelude.lua` (the few doors through which state changes) and one Lua file
//! per call, [`scripts`] (their arguments), [`rows`] (packed rows), [`specs`] (configurations, kept once), [`connection`] (one shared connection, sending again),
//! [`reads`], [`events`], [`check`] (promises), [`health`] (what the server's settings are worth). Times are ms, fences µs or one
//! more than the last, 64-bit numbers decimal texts.

mod address;
mod check;
mod connection;
mod events;
mod health;
mod keys;
mod reads;
mod reply;
mod rows;
mod scripts;
mod specs;

use std::collections::BTreeSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sweep_core::ids::{Digest, Fence, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_core::sweep::Document;

use crate::error::StoreError;
use crate::limits;
use crate::policy::{Policy, ms};
use crate::read::{
    Demand, EVENT_WAIT_MAX, EventCursor, Events, PageCursor, RunDetail, RunPage, RunProgress,
    SweepStatus, WorkerStatus,
};
use crate::store::{Reads, Store};
use crate::words::{
    Applied, Command, Lease, Leased, NewSweep, Now, Order, Outcome, Progress, Submitted, Ticked,
    Wish,
};
use address::Address;
use connection::{Link, Repeat};
use reply::Reply;
use rows::RunRow;
use scripts::{
    BeatArgs, ControlArgs, FinishArgs, LeaseArgs, Lua, PolicyArgs, SubmitArgs, TickArgs,
};
use specs::Texts;

pub use address::PASSWORD;
pub(crate) use address::{NAMESPACE, with_pool};
pub(crate) use connection::is_retryable;

/// Runs that one call of `tick.lua` walks or puts in line at most: about 30 µs each.
const PIECE: u32 = 200;
/// Leases that one call of `tick.lua` reaps at most: about twice as dear.
const PIECE_EXPIRED: u32 = 100;

/// Calls of `tick.lua` that one tick makes at most.
const PIECES: u32 = 64;

/// A future on the connection's own ones, which are deep: unboxed they would make those of every caller as deep.
type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// One namespace of a Redis server. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    link: Link,
    keys: Vec<String>,
    reads_only: bool,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.0.link.address.to_string()).finish()
    }
}

impl Redis {
    /// Its URL, without credentials.
    pub(crate) fn address(&self) -> impl fmt::Display + '_ {
        &self.0.link.address
    }

    /// The namespace: the atomic unit, one per pool of workers.
    pub fn pool(&self) -> &str {
        &self.0.link.address.namespace
    }

    /// The store at `url`: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]`, `rediss://…` with TLS, or
    /// `redis+sentinel://…HOST[,HOST…]/SERVICE[/DB]`, each with `?namespace=NAME` (default `default`) and `&password_file=PATH`.
    /// Without any password the environment's [`PASSWORD`] is taken.
    ///
    /// The server is not asked before the first call.
    ///
    /// # Errors
    /// [`StoreError::RedisUrl`], and [`StoreError::Io`] when the file with the password cannot be read.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Self::at(url, false)
    }

    /// As [`Self::open`], but calls that change something answer [`StoreError::ReadOnly`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_to_read(url: &str) -> Result<Self, StoreError> {
        Self::at(url, true)
    }

    fn at(url: &str, reads_only: bool) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let keys = keys::all(&address.namespace);
        Ok(Self(Arc::new(Inner { link: Link::new(address, reads_only), keys, reads_only })))
    }

    fn link(&self) -> &Link {
        &self.0.link
    }

    fn key(&self, name: &str) -> String {
        keys::key(&self.0.link.address.namespace, name)
    }

    /// Runs a script that may be run again.
    async fn call(
        &self,
        script: &Lua,
        now: Now,
        args: &(impl Serialize + Sync),
    ) -> Result<Value, StoreError> {
        self.call_with(script, now, args, Repeat::Safe).await
    }

    async fn call_with(
        &self,
        script: &Lua,
        now: Now,
        args: &(impl Serialize + Sync),
        repeat: Repeat,
    ) -> Result<Value, StoreError> {
        let [by_hash, by_text] = script.calls(&self.0.keys, now, args);
        match self.link().ask(&by_hash, repeat).await {
            // A server that was started anew knows no scripts; nothing was run then.
            Err(StoreError::Redis { source, .. }) if source.code() == Some("NOSCRIPT") => {
                self.link().ask(&by_text, repeat).await
            }
            answer => answer,
        }
    }

    fn may_write(&self) -> Result<(), StoreError> {
        if self.0.reads_only { Err(StoreError::ReadOnly) } else { Ok(()) }
    }
}

impl Store for Redis {
    async fn submit(
        &self,
        now: Now,
        sweep: &NewSweep,
        runs: &[Run],
        last: bool,
    ) -> Result<Submitted, StoreError> {
        self.may_write()?;
        limits::check_submission(sweep, runs.len())?;
        let mut texts = Texts::default();
        let kept: Vec<_> = runs.iter().map(|run| texts.keep(&run.spec)).collect();
        let mut args = SubmitArgs {
            sweep: sweep.id.as_str(),
            name: &sweep.name,
            weight: sweep.weight,
            band: sweep.band,
            cap: sweep.cap,
            round: sweep.round,
            seeds: sweep.seeds,
            document: limits::json_text(&sweep.document),
            configurations: texts.into_parts(),
            runs: runs
                .iter()
                .zip(kept)
                .map(|(run, kept)| (run.id.as_str(), run.ord, kept))
                .collect(),
            last,
        };
        // The second time every spec is as it is stored; a third is only for one stored in between by somebody else.
        for _ in 0..3 {
            let found = Reply::of(self.call(&scripts::SUBMIT, now, &args).await?)?;
            match found.text(0)? {
                "done" => {
                    return Ok(Submitted {
                        new: found.number(1)?,
                        known: found.number(2)?,
                        joined: found.number(3)?,
                        requeued: found.number(4)?,
                    });
                }
                "round" => {
                    return Err(StoreError::Round {
                        sweep: sweep.id.clone(),
                        round: sweep.round,
                        current: found.number(1)?,
                        sealed: found.text(2)? == "1",
                    });
                }
                "cancelled" => {
                    return Err(StoreError::CancelledSweep { sweep: sweep.id.clone() });
                }
                _ => take_stored_specs(runs, &mut args, &found)?,
            }
        }
        Err(StoreError::Reply { what: "other specs each time" })
    }

    async fn lease(&self, now: Now, wish: &Wish, policy: &Policy) -> Result<Leased, StoreError> {
        self.may_write()?;
        let args = LeaseArgs {
            worker: &wish.holder.worker,
            slot: wish.holder.slot,
            request: wish.request.0.to_string(),
            device: limits::json_text(&wish.device),
            only: wish.only.as_ref().map(SweepId::as_str),
            holds: wish.held(),
            policy: policy.into(),
        };
        let found = Reply::of(self.call(&scripts::LEASE, now, &args).await?)?;
        if found.text(0)? == "nothing" {
            let until = match found.text(2)? {
                "" => policy.poll,
                _ => Duration::from_millis(found.number(2)?),
            };
            return Ok(Leased::Nothing {
                wait: until.min(policy.poll),
                drain: found.text(1)? == "1",
            });
        }
        let run: RunId = found.text(1)?.parse()?;
        // The expiry does not travel: the holder counts its ttl from the answer.
        let row = RunRow::unpack(&run, found.bytes(2)?, Some(sweep_core::ids::Timestamp(0)))?;
        let spec = specs::spec(found.text(3)?, found.bytes(4)?)?;
        let fence = row.state.tally.fence.ok_or(StoreError::Reply { what: "no fence" })?;
        Ok(Leased::Lease(Box::new(Lease {
            run,
            fence,
            sweep: row.home,
            spec,
            attempt: sweep_core::ids::Attempt(row.state.tally.attempts),
            errors: row.state.tally.errors,
            checkpoint: row.state.checkpoint,
            previous: row.state.previous,
            ttl: policy.ttl,
            waited: match found.text(5)? {
                "" => None,
                _ => Some(Duration::from_millis(found.number(5)?)),
            },
        })))
    }

    async fn beat(
        &self,
        now: Now,
        run: &RunId,
        fence: Fence,
        progress: &Progress,
        policy: &Policy,
    ) -> Result<Order, StoreError> {
        self.may_write()?;
        let epoch = |metrics: &sweep_core::result::EpochMetrics| {
            (metrics.epoch, limits::json_text(metrics))
        };
        let args = BeatArgs {
            run: run.as_str(),
            fence: fence.0.to_string(),
            step: progress.step.to_string(),
            epochs: progress.epochs.iter().map(epoch).collect(),
            checkpoint: progress.checkpoint.map(Into::into),
            policy: policy.into(),
        };
        let found = Reply::of(self.call(&scripts::BEAT, now, &args).await?)?;
        match found.text(0)? {
            "continue" => Ok(Order::Continue),
            "cancel" => Ok(Order::Cancel),
            "yield" => Ok(Order::Yield),
            "lost" => Ok(Order::Lost),
            _ => Err(StoreError::Reply { what: "an unknown order" }),
        }
    }

    async fn finish(
        &self,
        now: Now,
        run: &RunId,
        fence: Fence,
        outcome: &Outcome,
        log: &str,
        policy: &Policy,
    ) -> Result<Applied, StoreError> {
        self.may_write()?;
        let (ending, error) = match outcome {
            Outcome::Succeeded(_) => ("succeeded", None),
            Outcome::Retry { error, .. } => ("retry", Some(error)),
            Outcome::Failed { error } => ("failed", Some(error)),
            Outcome::Yielded { .. } => ("yielded", None),
            Outcome::Faulted { error } => ("faulted", Some(error)),
            Outcome::Cancelled => ("cancelled", None),
        };
        let mut args = FinishArgs {
            run: run.as_str(),
            fence: fence.0.to_string(),
            ending,
            due_in: 0,
            checkpoint: None,
            result: None,
            error: error.map(|error| limits::cut_error(error)),
            log: limits::cut_log(log),
            policy: PolicyArgs::from(policy),
        };
        match outcome {
            Outcome::Succeeded(result) => args.result = Some(limits::result_text(result)?),
            Outcome::Retry { due_in, .. } => {
                args.due_in = ms((*due_in).min(policy.longest_delay()));
            }
            Outcome::Yielded { checkpoint } => args.checkpoint = checkpoint.map(Into::into),
            Outcome::Failed { .. } | Outcome::Faulted { .. } | Outcome::Cancelled => {}
        }
        let found = Reply::of(self.call(&scripts::FINISH, now, &args).await?)?;
        match found.text(0)? {
            "applied" => Ok(Applied::Applied),
            "already" => Ok(Applied::Already),
            "stale" => Ok(Applied::Stale),
            _ => Err(StoreError::Reply { what: "an unknown word about a finish" }),
        }
    }

    async fn control(&self, now: Now, command: &Command) -> Result<(), StoreError> {
        self.may_write()?;
        let (name, sweep, value) = match command {
            Command::Pause(sweep) => ("paused", Some(sweep), None),
            Command::PauseNow(sweep) => ("paused_now", Some(sweep), None),
            Command::Resume(sweep) => ("active", Some(sweep), None),
            Command::Cancel(sweep) => ("cancelled", Some(sweep), None),
            Command::Retry(sweep) => ("retry", Some(sweep), None),
            Command::Weight(sweep, weight) => {
                limits::check_weight(*weight)?;
                ("weight", Some(sweep), Some(*weight))
            }
            Command::Band(sweep, band) => {
                limits::check_band(*band)?;
                ("band", Some(sweep), Some(f64::from(*band)))
            }
            Command::Cap(sweep, cap) => {
                limits::check_cap(*cap)?;
                ("cap", Some(sweep), cap.map(f64::from))
            }
            Command::Reported(sweep) => ("reported", Some(sweep), None),
            Command::Drain(_) => ("drain", None, None),
        };
        let target = match (command, sweep) {
            (Command::Drain(worker), _) => worker.as_str(),
            (_, Some(sweep)) => sweep.as_str(),
            (_, None) => "",
        };
        // A report counted twice would change the history of submissions.
        let repeat =
            if matches!(command, Command::Reported(_)) { Repeat::Never } else { Repeat::Safe };
        let args = ControlArgs { command: name, target, value };
        let found = Reply::of(self.call_with(&scripts::CONTROL, now, &args, repeat).await?)?;
        match (found.text(0)?, sweep) {
            ("unknown", Some(sweep)) => Err(StoreError::UnknownSweep { sweep: sweep.clone() }),
            ("cancelled", Some(sweep)) => Err(StoreError::CancelledSweep { sweep: sweep.clone() }),
            _ => Ok(()),
        }
    }

    async fn tick(&self, now: Now, policy: &Policy) -> Result<Ticked, StoreError> {
        self.may_write()?;
        let mut sum = Ticked::default();
        // In pieces, between which others are served; nobody waits for a thousand runs.
        for _ in 0..PIECES {
            let left = Policy {
                tick_expired: (policy.tick_expired - sum.expired).min(PIECE_EXPIRED),
                tick_due: (policy.tick_due - sum.due).min(PIECE),
                walk: (policy.walk - sum.walked).min(PIECE),
                ..policy.clone()
            };
            let args = TickArgs { policy: (&left).into() };
            let found = Reply::of(self.call(&scripts::TICK, now, &args).await?)?;
            sum.expired = sum.expired.saturating_add(found.number(0)?);
            sum.due = sum.due.saturating_add(found.number(1)?);
            sum.walked = sum.walked.saturating_add(found.number(2)?);
            sum.more = found.text(3)? == "1";
            let met = sum.expired >= policy.tick_expired
                || sum.due >= policy.tick_due
                || sum.walked >= policy.walk;
            if met || !sum.more {
                break;
            }
        }
        Ok(sum)
    }

    async fn live(&self, run: &RunId) -> Result<RunProgress, StoreError> {
        Ok(self.read_run(run).await?.and_then(|detail| detail.progress).unwrap_or_default())
    }

    async fn checkpoints(&self) -> Result<BTreeSet<Digest>, StoreError> {
        self.read_checkpoints().await
    }

    async fn violations(&self) -> Result<Vec<String>, StoreError> {
        let found: Boxed<'_, _> = Box::pin(self.check());
        found.await
    }

    async fn event_cursor(&self) -> Result<EventCursor, StoreError> {
        events::end(self.link()).await
    }

    async fn events(&self, after: &EventCursor, wait: Duration) -> Result<Events, StoreError> {
        let found: Boxed<'_, _> =
            Box::pin(events::after(self.link(), after, wait.min(EVENT_WAIT_MAX)));
        found.await
    }
}

impl Reads for Redis {
    async fn sweeps(&self) -> Result<Vec<SweepStatus>, StoreError> {
        self.read_sweeps().await
    }

    async fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepStatus, Document)>, StoreError> {
        self.read_sweep(sweep).await
    }

    async fn runs(
        &self,
        sweep: &SweepId,
        states: &[StateName],
        with_results: bool,
        after: Option<&PageCursor>,
        limit: u32,
    ) -> Result<RunPage, StoreError> {
        self.read_runs(sweep, states, with_results, after, Some(limit)).await
    }

    async fn results(&self, sweep: &SweepId) -> Result<Vec<RunRecord>, StoreError> {
        Ok(self.read_runs(sweep, &[], true, None, None).await?.runs)
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunDetail>, StoreError> {
        self.read_run(run).await
    }

    async fn states(&self, runs: &[RunId]) -> Result<Vec<Option<StateName>>, StoreError> {
        self.read_states(runs).await
    }

    async fn demand(&self) -> Result<Demand, StoreError> {
        self.read_demand().await
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, StoreError> {
        self.read_workers().await
    }
}

/// Puts the stored specs in place of those sent, where both mean the same: only a data set's name may differ.
fn take_stored_specs(
    runs: &[Run],
    args: &mut SubmitArgs<'_>,
    found: &Reply,
) -> Result<(), StoreError> {
    for i in (1..found.len()).step_by(3) {
        let id: RunId = found.text(i)?.parse()?;
        let stored = found.text(i + 1)?;
        let meant = specs::spec(stored, found.bytes(i + 2)?)?;
        for (sent, (_, _, kept)) in runs.iter().zip(&mut args.runs).filter(|(run, _)| run.id == id)
        {
            if sent.spec.id() != meant.id() {
                return Err(StoreError::RunClash { run: id });
            }
            stored.clone_into(kept);
        }
    }
    Ok(())
}

/// A value kept as JSON.
fn json<T: DeserializeOwned>(text: &[u8], what: &'static str) -> Result<T, StoreError> {
    serde_json::from_slice(text).map_err(|source| StoreError::Json { what, source })
}
