//! The promises of the keys, checked by reading everything: for tests after every step, and for a deep doctor.
//!
//! All but the results come in one transaction, on a connection of its own with all the time it needs. That states change only
//! as they may, and that a repeated call changes nothing, shows over time only: see the tests.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;
use sweep_core::ids::{Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{Phase, StateName};

use super::reads::{pairs, scored};
use super::reply::Reply;
use super::rows::{self, Row, RunRow};
use super::specs;
use super::{Redis, keys};
use crate::error::StoreError;
use crate::read::{Counts, SweepStatus};
use crate::words::SweepState;

/// Examples told per broken promise.
const EXAMPLES: usize = 5;

/// Everything but configurations, results, logs and documents.
struct All {
    runs: BTreeMap<RunId, RunRow>,
    sweeps: BTreeMap<SweepId, SweepStatus>,
    vtimes: BTreeMap<SweepId, f64>,
    /// Of every run the key of its configuration, as far as it can be read.
    specs: BTreeMap<String, Option<String>>,
    configurations: BTreeSet<String>,
    results: BTreeSet<String>,
    live: BTreeSet<String>,
    sets: BTreeMap<&'static str, BTreeMap<String, f64>>,
    schedules: Vec<BTreeMap<String, f64>>,
    /// Of every run its attempts' fences, by number.
    fences: BTreeMap<String, BTreeMap<u32, Fence>>,
    last_fence: u64,
}

/// Broken promises with a few examples each, in the order found.
#[derive(Default)]
struct Broken(Vec<(&'static str, Vec<String>)>);

impl Broken {
    fn note(&mut self, promise: &'static str, whose: impl ToString) {
        let place = self.0.iter().position(|(known, _)| *known == promise);
        let place = place.unwrap_or_else(|| {
            self.0.push((promise, Vec::new()));
            self.0.len() - 1
        });
        self.0[place].1.push(whose.to_string());
    }

    fn unless(&mut self, holds: bool, promise: &'static str, whose: impl ToString) {
        if !holds {
            self.note(promise, whose);
        }
    }

    fn told(self) -> Vec<String> {
        let told = |(promise, whose): (&str, Vec<String>)| {
            format!("{promise}: {}", whose[..whose.len().min(EXAMPLES)].join(", "))
        };
        self.0.into_iter().map(told).collect()
    }
}

const SETS: [&str; 6] = ["ready", "shared", "lease", "delay", "member", "walk"];

impl Redis {
    /// Promises that do not hold.
    pub(super) async fn check(&self) -> Result<Vec<String>, StoreError> {
        let mut broken = Broken::default();
        let all = self.everything(&mut broken).await?;
        for (id, run) in &all.runs {
            check_run(&all, id, run, &mut broken);
        }
        check_sets(&all, &mut broken);
        check_sweeps(&all, &mut broken);
        check_fences(&all, &mut broken);
        self.check_results(&all, &mut broken).await?;
        Ok(broken.told())
    }

    async fn everything(&self, broken: &mut Broken) -> Result<All, StoreError> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for name in ["state", "sweep", "attempt", "meta", "spec"] {
            pipe.cmd("HGETALL").arg(self.key(name));
        }
        for name in ["conf", "result", "live"] {
            pipe.cmd("HKEYS").arg(self.key(name));
        }
        for name in SETS
            .iter()
            .map(|name| (*name).to_owned())
            .chain((0..keys::BANDS).map(|band| format!("sched:{band}")))
        {
            pipe.cmd("ZRANGE").arg(self.key(&name)).arg(0).arg(-1).arg("WITHSCORES");
        }
        let error = |source| self.link().error(source);
        let mut connection = self.link().connect(None).await.map_err(error)?;
        let answers: Vec<Value> = pipe.query_async(&mut connection).await.map_err(error)?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().ok_or(StoreError::Reply { what: "too little" });
        let (states, heads, attempts, meta) =
            (pairs(next()?)?, pairs(next()?)?, pairs(next()?)?, pairs(next()?)?);
        let key =
            |kept: &[u8]| Some(specs::parts(std::str::from_utf8(kept).ok()?).ok()?.0.to_owned());
        let specs = pairs(next()?)?.into_iter().map(|(id, kept)| (id, key(&kept))).collect();
        let names = |value| -> Result<BTreeSet<String>, StoreError> {
            let found = Reply::of(value)?;
            (0..found.len()).map(|i| Ok(found.text(i)?.to_owned())).collect()
        };
        let (configurations, results, live) = (names(next()?)?, names(next()?)?, names(next()?)?);
        let mut sets = BTreeMap::new();
        for name in SETS {
            sets.insert(name, scored(next()?)?.into_iter().collect());
        }
        let schedules = (0..keys::BANDS)
            .map(|_| Ok(scored(next()?)?.into_iter().collect()))
            .collect::<Result<_, StoreError>>()?;
        let last_fence = meta.iter().find(|(name, _)| name == "fence");
        let last_fence =
            last_fence.and_then(|(_, text)| std::str::from_utf8(text).ok()?.parse().ok());
        let mut all = All {
            runs: BTreeMap::new(),
            sweeps: BTreeMap::new(),
            vtimes: BTreeMap::new(),
            specs,
            configurations,
            results,
            live,
            sets,
            schedules,
            fences: BTreeMap::new(),
            last_fence: last_fence.unwrap_or(0),
        };
        for (id, packed) in states {
            let time = |set: &str| all.sets[set].get(&id).map(|ms| Timestamp(*ms as i64));
            match id.parse::<RunId>().map_err(StoreError::from).and_then(|run| {
                let row = RunRow::unpack(&run, &packed, time("lease").or(time("delay")))?;
                Ok((run, row))
            }) {
                Ok((run, row)) => _ = all.runs.insert(run, row),
                Err(error) => broken.note("a run cannot be read", error),
            }
        }
        for (id, packed) in heads {
            let sweep: SweepId = id.parse()?;
            let row = Row::unpack(&packed, &rows::HEAD, &id)?;
            all.vtimes.insert(sweep.clone(), row.need_number("vtime")?);
            let (status, _) = rows::status(&sweep, &packed)?;
            all.sweeps.insert(sweep, status);
        }
        for (field, packed) in attempts {
            let Some((run, number)) = field.split_once(':') else { continue };
            let row = Row::unpack(&packed, &rows::ATTEMPT, run)?;
            match (number.parse(), row.fence("fence")?) {
                (Ok(number), Some(fence)) => {
                    all.fences.entry(run.to_owned()).or_default().insert(number, fence);
                }
                _ => broken.note("an attempt has no number or fence", &field),
            }
        }
        Ok(all)
    }

    /// Results are read piece by piece; a run that succeeded stays so.
    async fn check_results(&self, all: &All, broken: &mut Broken) -> Result<(), StoreError> {
        let succeeded: Vec<_> = all
            .runs
            .iter()
            .filter_map(|(id, run)| match run.state.phase {
                Phase::Succeeded { fence } => Some((id.as_str(), fence)),
                _ => None,
            })
            .collect();
        let ids: Vec<_> = succeeded.iter().map(|(id, _)| *id).collect();
        for ((id, fence), kept) in succeeded.iter().zip(self.values("result", &ids).await?) {
            let kept = kept.unwrap_or_default();
            let begins = format!("{fence} ");
            let holds = kept.starts_with(begins.as_bytes());
            broken.unless(holds, "a success has no result of its fence", id);
        }
        for id in &all.results {
            let known = id.parse().ok().and_then(|run: RunId| all.runs.get(&run));
            let holds = known.is_some_and(|run| run.state.name() == StateName::Succeeded);
            broken.unless(holds, "a result has no success", id);
        }
        Ok(())
    }
}

fn place(sweep: &SweepId, ord: u32, run: &RunId, front: bool) -> String {
    format!("{sweep}:{}{ord:010}:{run}", if front { "!" } else { "" })
}

/// What one run promises, against every place where it may stand.
fn check_run(all: &All, id: &RunId, run: &RunRow, broken: &mut Broken) {
    let state = run.state.name();
    let front = run.state.phase == Phase::Queued { front: true };
    let lined = [true, false]
        .map(|front| all.sets["ready"].contains_key(&place(&run.home, run.ord, id, front)));
    let stands = [
        (lined[usize::from(!front)], state == StateName::Queued),
        (lined[usize::from(front)], false),
        (all.sets["lease"].contains_key(id.as_str()), state == StateName::Leased),
        (all.sets["delay"].contains_key(id.as_str()), state == StateName::Delayed),
    ];
    broken.unless(
        stands.iter().all(|(is, must)| is == must),
        "a run is in other places than its state says",
        id,
    );
    for (sweep, ord) in &run.sweeps {
        let member = all.sets["member"].contains_key(&place(sweep, *ord, id, false));
        broken.unless(member, "a sweep of a run does not list it", id);
        let beside = all.sets["shared"].contains_key(&place(sweep, *ord, id, front));
        let must = state == StateName::Queued && *sweep != run.home;
        broken.unless(beside == must, "a shared run stands wrongly beside a line", id);
    }
    broken.unless(
        run.sweeps.iter().any(|(sweep, ord)| *sweep == run.home && *ord == run.ord),
        "a run's home does not have it, or at another place",
        id,
    );
    let key = all.specs.get(id.as_str()).and_then(Option::as_ref);
    let holds = key.is_some_and(|key| all.configurations.contains(key));
    broken.unless(holds, "a run has no spec or configuration", id);
    let freed = run.state.checkpoint.is_none()
        && run.state.previous.is_none()
        && !all.live.contains(id.as_str());
    broken.unless(
        !state.is_terminal() || freed,
        "an ended run has live metrics or checkpoints",
        id,
    );
    let sweeps: Vec<_> = run.sweeps.iter().filter_map(|(sweep, _)| all.sweeps.get(sweep)).collect();
    let walking = sweeps.iter().any(|sweep| sweep.walking);
    let active = |sweep: &SweepStatus| sweep.state == SweepState::Active;
    let home_moves = all.sweeps.get(&run.home).is_some_and(active);
    broken.unless(
        state != StateName::Queued
            || home_moves
            || walking
            || !sweeps.iter().any(|sweep| active(sweep)),
        "a waiting run is not in a line that moves though a sweep would move it",
        id,
    );
    let waits = matches!(state, StateName::Queued | StateName::Delayed);
    let wanted = sweeps.iter().any(|sweep| sweep.state != SweepState::Cancelled);
    broken.unless(!waits || wanted || walking, "a waiting run is wanted by nobody", id);
}

/// That no set holds more than what the runs put there.
fn check_sets(all: &All, broken: &mut Broken) {
    let of = |state| all.runs.values().filter(|run| run.state.name() == state).count();
    let members: usize = all.runs.values().map(|run| run.sweeps.len()).sum();
    let shared: usize = all
        .runs
        .values()
        .filter(|run| run.state.name() == StateName::Queued)
        .map(|run| run.sweeps.len().saturating_sub(1))
        .sum();
    let sizes = [
        ("ready", of(StateName::Queued)),
        ("shared", shared),
        ("lease", of(StateName::Leased)),
        ("delay", of(StateName::Delayed)),
        ("member", members),
    ];
    for (name, size) in sizes {
        broken.unless(all.sets[name].len() == size, "a set holds what no run put there", name);
    }
    broken.unless(all.specs.len() == all.runs.len(), "a spec has no run", "spec");
    for field in &all.live {
        let id = field.split(':').next().and_then(|id| id.parse::<RunId>().ok());
        let run = id.and_then(|id| all.runs.get(&id));
        let holds = run.is_some_and(|run| !run.state.name().is_terminal());
        broken.unless(holds, "live metrics have no run in training", field);
    }
    let walking: BTreeSet<_> =
        all.sweeps.values().filter(|s| s.walking).map(|s| s.id.as_str()).collect();
    let listed: BTreeSet<_> = all.sets["walk"].keys().map(String::as_str).collect();
    for sweep in walking.symmetric_difference(&listed) {
        broken.note("a walk is not listed, or ended and still is", sweep);
    }
}

/// Counters and the schedule.
fn check_sweeps(all: &All, broken: &mut Broken) {
    let mut counts: BTreeMap<&SweepId, Counts> = BTreeMap::new();
    let mut lines: BTreeSet<&SweepId> = BTreeSet::new();
    for run in all.runs.values() {
        for (sweep, _) in &run.sweeps {
            let counts = counts.entry(sweep).or_default();
            *match run.state.name() {
                StateName::Queued => &mut counts.queued,
                StateName::Leased => &mut counts.leased,
                StateName::Delayed => &mut counts.delayed,
                StateName::Succeeded => &mut counts.succeeded,
                StateName::Failed => &mut counts.failed,
                StateName::Cancelled => &mut counts.cancelled,
            } += 1;
        }
        if run.state.name() == StateName::Queued {
            lines.insert(&run.home);
        }
    }
    for (id, sweep) in &all.sweeps {
        let recount = counts.get(id).copied().unwrap_or_default();
        broken.unless(sweep.counts == recount, "counters differ from a recount", id);
        let must = sweep.state == SweepState::Active
            && sweep.cap.is_none_or(|cap| sweep.counts.leased < cap)
            && lines.contains(id);
        for (band, schedule) in all.schedules.iter().enumerate() {
            let at = schedule.get(id.as_str());
            let due = must && band == usize::from(sweep.band);
            broken.unless(
                at.is_some() == due,
                "a sweep is scheduled without reason, or not scheduled with one",
                id,
            );
            let own = at.is_none() || at == all.vtimes.get(id);
            broken.unless(own, "a sweep is scheduled at another time than its own", id);
        }
    }
    for sweep in all.schedules.iter().flat_map(BTreeMap::keys) {
        let known = sweep.parse().is_ok_and(|id: SweepId| all.sweeps.contains_key(&id));
        broken.unless(known, "an unknown sweep is scheduled", sweep);
    }
}

/// Fences grow, and none was given twice.
fn check_fences(all: &All, broken: &mut Broken) {
    let mut given = BTreeSet::new();
    for (run, attempts) in &all.fences {
        for fence in attempts.values() {
            broken.unless(given.insert(*fence), "a fence was given twice", run);
            broken.unless(fence.0 <= all.last_fence, "a fence is ahead of the last one given", run);
        }
        let grow = attempts.values().zip(attempts.values().skip(1)).all(|(a, b)| a < b);
        broken.unless(grow, "fences do not grow with attempts", run);
    }
    for (id, run) in &all.runs {
        let last = all.fences.get(id.as_str()).and_then(|attempts| attempts.values().last());
        broken.unless(
            last.copied() == run.state.tally.fence,
            "a run's fence is not its last attempt's",
            id,
        );
    }
}
