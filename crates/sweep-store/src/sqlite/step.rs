//! The few doors through which state changes: [`Step::apply`] is the only change of a run's state and of counters,
//! [`Step::refresh`] the only way a sweep enters or leaves the schedule, [`Step::settle`] the only correction of its account.
//!
//! A first prototype changed state in many places, and one of them forgot to put a sweep back: its runs were never finished.

use rusqlite::{Connection, OptionalExtension, params};
use sweep_core::ids::{Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{Event, IllegalTransition, Phase, StateName};

use super::row::{self, RunRow};
use crate::error::StoreError;
use crate::policy::{Policy, ms};
use crate::read::{AttemptEnding, EventKind};
use crate::words::{Now, Order, SweepState};

/// One atomic step at one time, on the writer's connection.
pub(super) struct Step<'a> {
    pub(super) conn: &'a Connection,
    pub(super) now: Timestamp,
}

/// The sweeps that have a run, by id.
pub(super) struct Wanters(Vec<Wanter>);

struct Wanter {
    sweep: SweepId,
    state: SweepState,
    ord: u32,
}

impl Wanters {
    /// Whether any sweep still wants the run: a paused one does.
    pub(super) fn any(&self) -> bool {
        self.0.iter().any(|wanter| wanter.state != SweepState::Cancelled)
    }

    /// What the holder of the run should do.
    pub(super) fn order(&self) -> Order {
        let has = |state| self.0.iter().any(|wanter| wanter.state == state);
        if has(SweepState::Active) || has(SweepState::Paused) {
            Order::Continue
        } else if has(SweepState::PausedNow) {
            Order::Yield
        } else {
            Order::Cancel
        }
    }

    pub(super) fn ids(&self) -> Vec<SweepId> {
        self.0.iter().map(|wanter| wanter.sweep.clone()).collect()
    }

    /// Whose line the run should stand in: its home's if that is active, else an active sweep's, else one that may resume.
    pub(super) fn home(&self, home: &SweepId) -> Option<(SweepId, u32)> {
        let rank = |wanter: &&Wanter| match wanter.state {
            SweepState::Active => 0,
            SweepState::Paused | SweepState::PausedNow => 1,
            SweepState::Cancelled => 2,
        };
        // The first of equals wins, so that every backend chooses the same one.
        let best = self.0.iter().min_by_key(|wanter| (rank(wanter), wanter.sweep != *home))?;
        Some((best.sweep.clone(), best.ord))
    }
}

impl<'a> Step<'a> {
    pub(super) fn at(conn: &'a Connection, now: Now) -> Self {
        let now = match now {
            Now::At(time) => time,
            Now::Server => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                Timestamp(ms(since))
            }
        };
        Self { conn, now }
    }

    pub(super) fn execute(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<usize, StoreError> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    pub(super) fn wanters(&self, run: &RunId) -> Result<Wanters, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT sweep.id, sweep.state, member.ord FROM member JOIN sweep ON sweep.id = member.sweep WHERE member.run = ?1 ORDER BY sweep.id",
        )?;
        let mut rows = statement.query([run.as_str()])?;
        let mut wanters = Vec::new();
        while let Some(found) = rows.next()? {
            let state = sweep_state(&found.get::<_, String>(1)?);
            wanters.push(Wanter { sweep: row::id(found, 0)?, state, ord: found.get(2)? });
        }
        Ok(Wanters(wanters))
    }

    /// The only change of a run's state and of the counters, in all sweeps of the run.
    pub(super) fn apply(
        &self,
        run: &mut RunRow,
        event: Event,
        wanters: &Wanters,
    ) -> Result<Result<(), IllegalTransition>, StoreError> {
        let next = match run.state.after(event) {
            Ok(next) => next,
            Err(refused) => return Ok(Err(refused)),
        };
        let (from, to) = (run.state.name(), next.name());
        let old_home = run.home.clone();
        run.state = next;
        if to == StateName::Queued
            && let Some((home, ord)) = wanters.home(&run.home)
        {
            (run.home, run.ord) = (home, ord);
        }
        run.store(self.conn)?;
        if to.is_terminal() {
            self.execute("DELETE FROM live WHERE run = ?1", [run.id.as_str()])?;
        }
        if from != to {
            let sql = format!(
                "UPDATE sweep SET {0} = {0} - 1, {1} = {1} + 1 WHERE id IN (SELECT sweep FROM member WHERE run = ?1)",
                row::letter(from),
                row::letter(to)
            );
            self.execute(&sql, [run.id.as_str()])?;
            self.emit(&EventKind::Run { run: run.id.clone(), sweeps: wanters.ids(), state: to })?;
            for sweep in &wanters.0 {
                self.refresh(&sweep.sweep)?;
            }
        }
        if old_home != run.home {
            self.refresh(&old_home)?;
            self.refresh(&run.home)?;
        }
        Ok(Ok(()))
    }

    /// Moves a waiting run to another sweep's line if its own does not go on; says whether it did.
    pub(super) fn rehome(&self, run: &mut RunRow, wanters: &Wanters) -> Result<bool, StoreError> {
        match wanters.home(&run.home) {
            Some((home, ord)) if home != run.home => {
                let old = std::mem::replace(&mut run.home, home);
                run.ord = ord;
                run.store(self.conn)?;
                self.refresh(&old)?;
                self.refresh(&run.home)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The only way in and out of the schedule: in it are the active sweeps below their cap that have a line.
    ///
    /// Who enters starts at the band's present virtual time at the earliest: newcomers get no monopoly, idle sweeps hoard nothing.
    pub(super) fn refresh(&self, sweep: &SweepId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sweep SET
               vtime = CASE WHEN sched THEN vtime ELSE max(vtime, coalesce((SELECT value FROM meta WHERE key = 'gv:' || band), 0.0)) END,
               sched = 1
             WHERE id = ?1 AND NOT sched AND state = 'active' AND (cap IS NULL OR l < cap)
               AND EXISTS (SELECT 1 FROM run WHERE st = 'q' AND home = sweep.id)",
            [sweep.as_str()],
        )?;
        self.execute(
            "UPDATE sweep SET sched = 0
             WHERE id = ?1 AND sched AND NOT (state = 'active' AND (cap IS NULL OR l < cap)
               AND EXISTS (SELECT 1 FROM run WHERE st = 'q' AND home = sweep.id))",
            [sweep.as_str()],
        )?;
        Ok(())
    }

    /// Corrects the home's account from what the attempt was thought to cost to what it did, and closes the attempt.
    ///
    /// Before [`Self::apply`], which may take the run to another home.
    pub(super) fn settle(
        &self,
        run: &RunRow,
        ending: AttemptEnding,
        error: Option<&str>,
        log: &str,
    ) -> Result<(), StoreError> {
        let Phase::Leased { since, .. } = run.state.phase else { return Ok(()) };
        let seconds = (self.now.0 - since.0).max(0) as f64 / 1000.0;
        self.execute(
            "UPDATE sweep SET vtime = vtime + (?2 - ?3) / weight, seconds = seconds + ?2, ended = ended + 1 WHERE id = ?1",
            params![run.home.as_str(), seconds, run.charged],
        )?;
        self.execute(
            "UPDATE attempt SET ended = ?3, ending = ?4, error = ?5, log = ?6 WHERE run = ?1 AND attempt = ?2",
            params![run.id.as_str(), run.state.tally.attempts, self.now.0, row::text(&ending), error, log],
        )?;
        if error.is_some() {
            self.execute(
                "UPDATE run SET error = ?2 WHERE id = ?1",
                params![run.id.as_str(), error],
            )?;
        }
        Ok(())
    }

    /// A number that never was a fence before, here or in a copy of this store that ran ahead.
    pub(super) fn fence(&self) -> Result<Fence, StoreError> {
        let last = self.meta("fence")?.unwrap_or(0);
        let fence = (last + 1).max(self.now.0.saturating_mul(1000));
        self.set_meta("fence", fence)?;
        Ok(Fence(fence as u64))
    }

    /// Notes that somebody called; after a silence every lease gets one more ttl, for its holder could not beat either.
    ///
    /// Says whether leases may expire now.
    pub(super) fn touch(&self, policy: &Policy) -> Result<bool, StoreError> {
        let ttl = ms(policy.ttl);
        let (now, last) = (self.now.0, self.meta("last_seen")?);
        if last != Some(now) {
            self.set_meta("last_seen", now)?;
        }
        if last.is_some_and(|last| now - last > ttl / 2) {
            self.set_meta("grace_until", now + ttl)?;
            return Ok(false);
        }
        // A clock set back must not leave a grace that lasts for days.
        let grace = self.meta("grace_until")?.unwrap_or(i64::MIN);
        if grace > now + ttl {
            self.set_meta("grace_until", now + ttl)?;
        }
        Ok(now >= grace)
    }

    pub(super) fn emit(&self, kind: &EventKind) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO ev (at, body) VALUES (?1, ?2)",
            params![self.now.0, row::text(kind)],
        )?;
        Ok(())
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<i64>, StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    pub(super) fn set_meta(&self, key: &str, value: i64) -> Result<(), StoreError> {
        self.execute("INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value", params![key, value])?;
        Ok(())
    }
}

/// The state behind the name in the table; nothing else is written there.
pub(super) fn sweep_state(text: &str) -> SweepState {
    match text {
        "active" => SweepState::Active,
        "paused" => SweepState::Paused,
        "paused_now" => SweepState::PausedNow,
        _ => SweepState::Cancelled,
    }
}
