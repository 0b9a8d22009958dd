//! What a store must do, in plain maps over [`RunState::after`]: no tables, no transactions, no bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use sweep_core::ids::{Attempt, Fence, RunId, SweepId};
use sweep_core::lifecycle::{
    AttemptEnd, Event, Holder, IllegalTransition, Phase, RunState, StateName,
};
use sweep_core::run::Run;
use sweep_store::{
    Applied, Command, Counts, Lease, Leased, NewSweep, Order, Outcome, Policy, Progress, RequestId,
    Submitted, SweepState, Ticked, Wish,
};

pub(crate) struct ModelRun {
    pub(crate) run: Run,
    pub(crate) state: RunState,
    pub(crate) home: SweepId,
    charged: f64,
}

pub(crate) struct ModelSweep {
    pub(crate) state: SweepState,
    pub(crate) members: BTreeMap<(u32, RunId), ()>,
    weight: f64,
    band: u8,
    cap: Option<u32>,
    scheduled: bool,
    vtime: f64,
    pub(crate) seconds: f64,
    ended: f64,
    walk: bool,
    retry: bool,
    skipped: u32,
    submitted: i64,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) runs: BTreeMap<RunId, ModelRun>,
    pub(crate) sweeps: BTreeMap<SweepId, ModelSweep>,
    wishes: BTreeMap<Holder, (RequestId, RunId, Fence)>,
    drained: Vec<String>,
    now: i64,
    fence: i64,
    last_seen: Option<i64>,
    grace: i64,
    band_time: BTreeMap<u8, f64>,
}

fn ms(duration: Duration) -> i64 {
    duration.as_millis() as i64
}

impl Model {
    pub(crate) fn at(&mut self, now: i64) -> &mut Self {
        self.now = now;
        self
    }

    fn wanters(&self, run: &RunId) -> Vec<(SweepId, SweepState, u32)> {
        let ord = |sweep: &ModelSweep| {
            sweep.members.keys().find(|(_, id)| id == run).map(|(ord, _)| *ord)
        };
        self.sweeps
            .iter()
            .filter_map(|(id, sweep)| Some((id.clone(), sweep.state, ord(sweep)?)))
            .collect()
    }

    fn wanted(&self, run: &RunId) -> bool {
        self.wanters(run).iter().any(|(_, state, _)| *state != SweepState::Cancelled)
    }

    fn ord(&self, run: &ModelRun) -> u32 {
        self.wanters(&run.run.id)
            .into_iter()
            .find(|(id, ..)| *id == run.home)
            .map_or(0, |(.., ord)| ord)
    }

    /// An active sweep, the home before others; else a paused one, likewise.
    fn rehome(&mut self, id: &RunId) {
        let home = self.runs[id].home.clone();
        let wanters = self.wanters(id);
        let better = |wanted: &dyn Fn(SweepState) -> bool| {
            let fit: Vec<_> = wanters
                .iter()
                .filter(|(_, state, _)| wanted(*state))
                .map(|(id, ..)| id.clone())
                .collect();
            if fit.contains(&home) { Some(home.clone()) } else { fit.first().cloned() }
        };
        let next = better(&|state| state == SweepState::Active)
            .or_else(|| better(&|state| state != SweepState::Cancelled))
            .unwrap_or_else(|| home.clone());
        self.runs.get_mut(id).unwrap().home = next;
    }

    fn apply(&mut self, id: &RunId, event: Event) -> Result<(), IllegalTransition> {
        let next = self.runs[id].state.after(event)?;
        let queued = next.name() == StateName::Queued;
        self.runs.get_mut(id).unwrap().state = next;
        if queued {
            self.rehome(id);
        }
        Ok(())
    }

    /// The runs that wait in a sweep's line, in its order; with each whether it is not one that goes first.
    fn whole_line(&self, sweep: &SweepId) -> Vec<(bool, u32, RunId)> {
        let waiting = self.runs.values().filter_map(|run| match run.state.phase {
            Phase::Queued { front } if run.home == *sweep => {
                Some((!front, self.ord(run), run.run.id.clone()))
            }
            _ => None,
        });
        let mut line: Vec<_> = waiting.collect();
        line.sort();
        line
    }

    fn line(&self, sweep: &SweepId) -> Option<RunId> {
        self.whole_line(sweep).into_iter().next().map(|(.., id)| id)
    }

    /// The run of the sweep whose turn it is: its head, or one on pictures held near it.
    fn choose(&mut self, sweep: &SweepId, wish: &Wish, policy: &Policy) -> Option<RunId> {
        let line = self.whole_line(sweep);
        let (plain, _, head) = line.first()?.clone();
        if !plain {
            return Some(head);
        }
        let held = |(.., id): &&(bool, u32, RunId)| {
            wish.holds.contains(&self.runs[id].run.spec.data_key())
        };
        let wanted = line.iter().take(policy.affinity_window as usize).find(held);
        let chosen = match wanted {
            Some((.., id)) if self.sweeps[sweep].skipped < policy.affinity_skips => id.clone(),
            _ => head.clone(),
        };
        let skipped = &mut self.sweeps.get_mut(sweep)?.skipped;
        *skipped = if chosen == head { 0 } else { *skipped + 1 };
        Some(chosen)
    }

    fn eligible(&self, id: &SweepId) -> bool {
        let sweep = &self.sweeps[id];
        let below = sweep.cap.is_none_or(|cap| self.counts(id).leased < cap);
        sweep.state == SweepState::Active && below && self.line(id).is_some()
    }

    /// After every call: who is in the schedule now, and at what time it entered.
    fn schedule(&mut self) {
        for id in self.sweeps.keys().cloned().collect::<Vec<_>>() {
            let eligible = self.eligible(&id);
            let sweep = self.sweeps.get_mut(&id).unwrap();
            if eligible && !sweep.scheduled {
                sweep.vtime =
                    sweep.vtime.max(self.band_time.get(&sweep.band).copied().unwrap_or(0.0));
            }
            sweep.scheduled = eligible;
        }
    }

    pub(crate) fn counts(&self, sweep: &SweepId) -> Counts {
        let mut counts = Counts::default();
        for (_, id) in self.sweeps[sweep].members.keys() {
            *match self.runs[id].state.name() {
                StateName::Queued => &mut counts.queued,
                StateName::Leased => &mut counts.leased,
                StateName::Delayed => &mut counts.delayed,
                StateName::Succeeded => &mut counts.succeeded,
                StateName::Failed => &mut counts.failed,
                StateName::Cancelled => &mut counts.cancelled,
            } += 1;
        }
        counts
    }

    pub(crate) fn submit(&mut self, new: &NewSweep, runs: &[Run]) -> Submitted {
        let now = self.now;
        let sweep = self.sweeps.entry(new.id.clone()).or_insert_with(|| ModelSweep {
            state: SweepState::Active,
            members: BTreeMap::new(),
            weight: new.weight,
            band: new.band,
            cap: new.cap,
            scheduled: false,
            vtime: 0.0,
            seconds: 0.0,
            ended: 0.0,
            walk: false,
            retry: false,
            skipped: 0,
            submitted: now,
        });
        if sweep.state == SweepState::Cancelled {
            (sweep.state, sweep.walk, sweep.retry) = (SweepState::Active, true, false);
            sweep.submitted = now;
        }
        let mut submitted = Submitted::default();
        for run in runs {
            self.sweeps.get_mut(&new.id).unwrap().members.insert((run.ord, run.id.clone()), ());
            match self.runs.get(&run.id).map(|known| known.state.name()) {
                None => {
                    submitted.new += 1;
                    let known = ModelRun {
                        run: run.clone(),
                        state: RunState::new(),
                        home: new.id.clone(),
                        charged: 0.0,
                    };
                    self.runs.insert(run.id.clone(), known);
                }
                Some(StateName::Succeeded | StateName::Failed) => submitted.known += 1,
                Some(StateName::Cancelled) => {
                    submitted.requeued += 1;
                    self.apply(&run.id, Event::Submitted).unwrap();
                }
                Some(StateName::Leased) => submitted.joined += 1,
                Some(StateName::Queued | StateName::Delayed) => {
                    submitted.joined += 1;
                    self.rehome(&run.id);
                }
            }
        }
        self.schedule();
        submitted
    }

    fn touch(&mut self, policy: &Policy) -> bool {
        let silent = self.last_seen.is_some_and(|last| self.now - last > ms(policy.ttl) / 2);
        self.last_seen = Some(self.now);
        self.grace = if silent {
            self.now + ms(policy.ttl)
        } else {
            self.grace.min(self.now + ms(policy.ttl))
        };
        !silent && self.now >= self.grace
    }

    fn settle(&mut self, id: &RunId) {
        let run = &self.runs[id];
        let Phase::Leased { since, .. } = run.state.phase else { panic!("a lease is settled") };
        let seconds = (self.now - since.0).max(0) as f64 / 1000.0;
        let sweep = self.sweeps.get_mut(&run.home).unwrap();
        sweep.vtime += (seconds - run.charged) / sweep.weight;
        sweep.seconds += seconds;
        sweep.ended += 1.0;
    }

    fn maintain(&mut self, policy: &Policy, may_expire: bool) -> Ticked {
        let (longest, ttl2) =
            (self.now + ms(policy.longest_delay()), self.now + 2 * ms(policy.ttl));
        for run in self.runs.values_mut() {
            match &mut run.state.phase {
                Phase::Leased { expires, .. } => expires.0 = expires.0.min(ttl2),
                Phase::Delayed { due } => due.0 = due.0.min(longest),
                _ => {}
            }
        }
        let mut done = Ticked::default();
        let expiry = |run: &ModelRun| match run.state.phase {
            Phase::Leased { expires, .. } => Some((expires, run.run.id.clone())),
            _ => None,
        };
        let mut expired: Vec<_> =
            self.runs.values().filter_map(expiry).filter(|(at, _)| at.0 <= self.now).collect();
        expired.sort();
        for (_, id) in expired.into_iter().filter(|_| may_expire) {
            self.settle(&id);
            let event = Event::Lost {
                at: sweep_core::ids::Timestamp(self.now),
                wanted: self.wanted(&id),
                policy: policy.losses,
            };
            self.apply(&id, event).unwrap();
            self.schedule();
            done.expired += 1;
        }
        let due = |run: &ModelRun| match run.state.phase {
            Phase::Delayed { due } => Some((due, run.run.id.clone())),
            _ => None,
        };
        let mut dues: Vec<_> =
            self.runs.values().filter_map(due).filter(|(at, _)| at.0 <= self.now).collect();
        dues.sort();
        for (_, id) in dues {
            let wanted = self.wanted(&id);
            self.apply(&id, Event::Due { wanted }).unwrap();
            self.schedule();
            done.due += 1;
        }
        done
    }

    pub(crate) fn lease(&mut self, wish: &Wish, policy: &Policy) -> Leased {
        let may_expire = self.touch(policy);
        self.maintain(policy, may_expire);
        if let Some((request, run, fence)) = self.wishes.get(&wish.holder)
            && *request == wish.request
            && matches!(self.runs[run].state.phase, Phase::Leased { fence: standing, .. } if standing == *fence)
        {
            return self.describe(&run.clone(), policy);
        }
        let drain = self.drained.contains(&wish.holder.worker);
        let picked = match &wish.only {
            _ if drain => None,
            None => self.fairest(wish, policy),
            Some(only) => self.first_of(only),
        };
        let Some((sweep, id)) = picked else {
            self.wishes.remove(&wish.holder);
            let due = self.runs.values().filter_map(|run| match run.state.phase {
                Phase::Delayed { due } => {
                    Some(Duration::from_millis((due.0 - self.now).max(0) as u64))
                }
                _ => None,
            });
            return Leased::Nothing {
                wait: due.min().unwrap_or(policy.poll).min(policy.poll),
                drain,
            };
        };
        self.fence = (self.fence + 1).max(self.now * 1000);
        let fence = Fence(self.fence as u64);
        let account = self.sweeps.get_mut(&sweep).unwrap();
        self.band_time.insert(account.band, account.vtime);
        let estimate = if account.ended > 0.0 {
            account.seconds / account.ended
        } else {
            policy.first_estimate.as_secs_f64()
        };
        account.vtime += estimate / account.weight;
        let at = sweep_core::ids::Timestamp(self.now);
        let event = Event::Leased {
            fence,
            holder: wish.holder.clone(),
            at,
            expires: at.plus(ms(policy.ttl)),
        };
        self.apply(&id, event).unwrap();
        self.runs.get_mut(&id).unwrap().charged = estimate;
        self.wishes.insert(wish.holder.clone(), (wish.request, id.clone(), fence));
        self.schedule();
        self.describe(&id, policy)
    }

    fn fairest(&mut self, wish: &Wish, policy: &Policy) -> Option<(SweepId, RunId)> {
        let place = |(id, sweep): (&SweepId, &ModelSweep)| (sweep.band, sweep.vtime, id.clone());
        let mut places: Vec<_> =
            self.sweeps.iter().filter(|(id, _)| self.eligible(id)).map(place).collect();
        places.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let (.., sweep) = places.into_iter().next()?;
        let run = self.choose(&sweep, wish, policy)?;
        Some((sweep, run))
    }

    /// Of one sweep only: its own line, else what it shares with other lines.
    fn first_of(&self, only: &SweepId) -> Option<(SweepId, RunId)> {
        let sweep = self.sweeps.get(only)?;
        let below = sweep.cap.is_none_or(|cap| self.counts(only).leased < cap);
        if sweep.state != SweepState::Active || !below {
            return None;
        }
        let shared = || {
            let waiting =
                sweep.members.keys().filter_map(|(ord, id)| match self.runs[id].state.phase {
                    Phase::Queued { front } => Some((!front, *ord, id.clone())),
                    _ => None,
                });
            waiting.min().map(|(.., id)| id)
        };
        let run = self.line(only).or_else(shared)?;
        Some((self.runs[&run].home.clone(), run))
    }

    fn describe(&self, id: &RunId, policy: &Policy) -> Leased {
        let run = &self.runs[id];
        let tally = run.state.tally;
        let Phase::Leased { since, .. } = run.state.phase else { panic!("a lease is described") };
        let waited = u64::try_from(since.0 - self.sweeps[&run.home].submitted).unwrap_or(0);
        let waited = (tally.attempts == 1).then(|| Duration::from_millis(waited));
        Leased::Lease(Box::new(Lease {
            run: id.clone(),
            fence: tally.fence.unwrap(),
            sweep: run.home.clone(),
            spec: run.run.spec.clone(),
            attempt: Attempt(tally.attempts),
            errors: tally.errors,
            checkpoint: run.state.checkpoint,
            previous: run.state.previous,
            ttl: policy.ttl,
            waited,
        }))
    }

    pub(crate) fn beat(
        &mut self,
        id: &RunId,
        fence: Fence,
        progress: &Progress,
        policy: &Policy,
    ) -> Order {
        self.touch(policy);
        let expires = sweep_core::ids::Timestamp(self.now).plus(ms(policy.ttl));
        if self.apply(id, Event::Beat { fence, expires, checkpoint: progress.checkpoint }).is_err()
        {
            return Order::Lost;
        }
        let states: Vec<_> = self.wanters(id).into_iter().map(|(_, state, _)| state).collect();
        let Phase::Leased { holder, .. } = &self.runs[id].state.phase else {
            panic!("a beaten run is leased")
        };
        if states.iter().all(|state| *state == SweepState::Cancelled) {
            Order::Cancel
        } else if self.drained.contains(&holder.worker)
            || states
                .iter()
                .all(|state| matches!(state, SweepState::Cancelled | SweepState::PausedNow))
        {
            Order::Yield
        } else {
            Order::Continue
        }
    }

    pub(crate) fn finish(
        &mut self,
        id: &RunId,
        fence: Fence,
        outcome: &Outcome,
        policy: &Policy,
    ) -> Applied {
        let at = sweep_core::ids::Timestamp(self.now);
        let end = match outcome {
            Outcome::Succeeded(_) => AttemptEnd::Succeeded,
            Outcome::Retry { due_in, .. } => AttemptEnd::Retry { due: at.plus(ms(*due_in)) },
            Outcome::Failed { .. } => AttemptEnd::Failed,
            Outcome::Yielded { checkpoint } => AttemptEnd::Yielded { checkpoint: *checkpoint },
            Outcome::Faulted { .. } => AttemptEnd::Faulted { at, policy: policy.losses },
            Outcome::Cancelled => AttemptEnd::Cancelled,
        };
        let event = Event::Finished { fence, wanted: self.wanted(id), end };
        match self.runs[id].state.after(event.clone()) {
            Err(IllegalTransition::Already { .. }) => Applied::Already,
            Err(_) => Applied::Stale,
            Ok(_) => {
                self.settle(id);
                self.apply(id, event).unwrap();
                self.schedule();
                Applied::Applied
            }
        }
    }

    /// Whether the command is allowed.
    pub(crate) fn control(&mut self, command: &Command) -> bool {
        if let Command::Drain(worker) = command {
            self.drained.push(worker.clone());
            return true;
        }
        let (Command::Pause(id)
        | Command::PauseNow(id)
        | Command::Resume(id)
        | Command::Cancel(id)
        | Command::Retry(id)
        | Command::Weight(id, _)
        | Command::Band(id, _)
        | Command::Cap(id, _)
        | Command::Reported(id)) = command
        else {
            return false;
        };
        let Some(sweep) = self.sweeps.get_mut(id) else { return false };
        let next = match command {
            Command::Pause(_) => SweepState::Paused,
            Command::PauseNow(_) => SweepState::PausedNow,
            Command::Resume(_) => SweepState::Active,
            Command::Cancel(_) => SweepState::Cancelled,
            _ => sweep.state,
        };
        let closed = sweep.state == SweepState::Cancelled;
        match command {
            Command::Pause(_) | Command::PauseNow(_) | Command::Resume(_) | Command::Retry(_)
                if closed =>
            {
                return false;
            }
            Command::Retry(_) => (sweep.walk, sweep.retry) = (true, true),
            Command::Weight(_, weight) => sweep.weight = *weight,
            Command::Band(_, band) if *band != sweep.band => {
                (sweep.band, sweep.scheduled) = (*band, false)
            }
            Command::Cap(_, cap) => sweep.cap = *cap,
            _ => {}
        }
        if next != sweep.state {
            (sweep.state, sweep.walk) = (next, true);
            sweep.retry &= next != SweepState::Cancelled;
        }
        self.schedule();
        true
    }

    pub(crate) fn tick(&mut self, policy: &Policy) -> Ticked {
        let may_expire = self.touch(policy);
        let mut done = self.maintain(policy, may_expire);
        for sweep in self.sweeps.keys().cloned().collect::<Vec<_>>() {
            let walking = self.sweeps.get_mut(&sweep).unwrap();
            if !std::mem::take(&mut walking.walk) {
                continue;
            }
            let retry = std::mem::take(&mut walking.retry);
            for (_, id) in self.sweeps[&sweep].members.keys().cloned().collect::<Vec<_>>() {
                done.walked += 1;
                let wanted = self.wanted(&id);
                match self.runs[&id].state.name() {
                    StateName::Queued | StateName::Delayed if !wanted => {
                        self.apply(&id, Event::Unwanted).unwrap()
                    }
                    StateName::Queued => self.rehome(&id),
                    StateName::Failed if retry && wanted => {
                        self.apply(&id, Event::Retried).unwrap()
                    }
                    _ => {}
                }
                self.schedule();
            }
        }
        done
    }
}
