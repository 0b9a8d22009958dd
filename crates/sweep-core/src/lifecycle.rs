//! The run life cycle: one pure function, [`RunState::after`], changes a run's state. See `docs/run-states.md`.
//!
//! Every store must agree with it. What is *not* here: lines, sweeps and fair share (`sweep-store`). Time and the answer to
//! "does a sweep still want this run?" come in with the event.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, Fence, Timestamp};

/// The name of a run's state, for tables, counters and filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Waits in line.
    Queued,
    /// A worker trains it.
    Leased,
    /// Waits for a later try.
    Delayed,
    /// Has a result (diverged included).
    Succeeded,
    /// Has none and will not be tried again by itself.
    Failed,
    /// No sweep wants it.
    Cancelled,
}

impl StateName {
    /// All states, in the order of the life cycle.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Leased, Self::Delayed, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// Whether the run has ended: it is in no line and nobody trains it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name as texts, URLs and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Delayed => "delayed",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who holds a lease: one slot of one start of a worker.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// Host or pod name and a random part per process start, so that a restarted worker is a new one.
    pub worker: String,
    /// Training thread of the worker, from 0.
    pub slot: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.worker, self.slot)
    }
}

/// Where a checkpoint lies and how far it reaches. The blob is durable before its pointer is told to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPointer {
    /// Name of the blob.
    pub digest: Digest,
    /// Epochs completed.
    pub epoch: u32,
    /// Batches completed in the epoch in hand.
    pub batch: u32,
    /// Size of the blob.
    pub bytes: u64,
}

/// What vanished workers cost a run. Only losses since the last checkpoint progress count, so a run that progresses may be
/// lost without limit, while one that kills its workers is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossPolicy {
    /// The loss, counted from the last progress, that ends the run as failed.
    pub limit: u32,
    /// The first loss requeues at once; the nth, n ≥ 2, after `step · 2^(n−2)`.
    pub step: Duration,
}

impl Default for LossPolicy {
    fn default() -> Self {
        Self { limit: 5, step: Duration::from_secs(30) }
    }
}

/// A run's state with everything that decides its next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// Where in its life the run is.
    pub phase: Phase,
    /// What its attempts have cost so far.
    pub tally: Tally,
    /// The newest checkpoint of an unfinished run.
    pub checkpoint: Option<CheckpointPointer>,
    /// The one before, for when the newest is missing or damaged.
    pub previous: Option<CheckpointPointer>,
}

/// Where in its life a run is, with the data known there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waits in line; in front of those that never started if it was interrupted.
    Queued {
        /// Ahead of all runs of its sweep that are not in front.
        front: bool,
    },
    /// A worker trains it.
    Leased {
        /// Of this lease.
        fence: Fence,
        /// Who trains it.
        holder: Holder,
        /// When the lease was taken.
        since: Timestamp,
        /// When it may be taken away.
        expires: Timestamp,
    },
    /// Waits for a later try.
    Delayed {
        /// When it goes to the front of the line.
        due: Timestamp,
    },
    /// Has a result, made under this fence.
    Succeeded {
        /// Of the lease whose result was accepted.
        fence: Fence,
    },
    /// Dead letter: kept with its error until somebody retries it.
    Failed {
        /// Of the lease whose word ended it; `None` when its last worker vanished.
        fence: Option<Fence>,
    },
    /// No sweep wants it.
    Cancelled {
        /// Of the lease whose word ended it; `None` when nobody held it.
        fence: Option<Fence>,
    },
}

/// Counts of a run. Stopping on purpose (`yields`) is never charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Leases taken.
    pub attempts: u32,
    /// Attempts that erred; reset by a retry.
    pub errors: u32,
    /// Attempts whose worker vanished or broke; reset by a retry.
    pub losses: u32,
    /// Losses since the checkpoint's epoch last grew; reset by a retry.
    pub stuck: u32,
    /// Attempts handed back on purpose.
    pub yields: u32,
    /// Of the last lease, if there was one.
    pub fence: Option<Fence>,
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A sweep that has this run was submitted.
    Submitted,
    /// A worker took it.
    Leased {
        /// Greater than every fence before it.
        fence: Fence,
        /// Who took it.
        holder: Holder,
        /// Now.
        at: Timestamp,
        /// Now + ttl.
        expires: Timestamp,
    },
    /// Its holder lives.
    Beat {
        /// As given with the lease.
        fence: Fence,
        /// Now + ttl.
        expires: Timestamp,
        /// A new checkpoint, already durable.
        checkpoint: Option<CheckpointPointer>,
    },
    /// Its holder let go of it.
    Finished {
        /// As given with the lease.
        fence: Fence,
        /// Whether any sweep still wants the run.
        wanted: bool,
        /// How the attempt ended.
        end: AttemptEnd,
    },
    /// Its holder vanished.
    Lost {
        /// Now.
        at: Timestamp,
        /// Whether any sweep still wants the run.
        wanted: bool,
        /// What losses cost.
        policy: LossPolicy,
    },
    /// Its delay is over.
    Due {
        /// Whether any sweep still wants the run.
        wanted: bool,
    },
    /// The last sweep that wanted it was cancelled.
    Unwanted,
    /// Somebody asked to try a failed run again.
    Retried,
}

/// How an attempt ended, in its holder's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// With a result, diverged included.
    Succeeded,
    /// With an error that may go away.
    Retry {
        /// When to try again.
        due: Timestamp,
    },
    /// With an error that will not go away, or one too many.
    Failed,
    /// On purpose: shutdown, drain, pause now.
    Yielded {
        /// Where to go on, if newer than the stored one.
        checkpoint: Option<CheckpointPointer>,
    },
    /// Because the worker is broken, not the run: charged like a vanished worker.
    Faulted {
        /// Now.
        at: Timestamp,
        /// What losses cost.
        policy: LossPolicy,
    },
    /// Because the worker was told that nobody wants it.
    Cancelled,
}

/// An event that does not fit the state. To be counted, not retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    /// The outcome of this very lease was accepted before: the word was sent twice.
    #[error("the outcome under fence {fence} was accepted before")]
    Already {
        /// As sent.
        fence: Fence,
    },
    /// The word of a lease that no longer stands.
    #[error("fence {fence} is not that of a standing lease")]
    Stale {
        /// As sent.
        fence: Fence,
    },
    /// No such way out of this state.
    #[error("a {state} run cannot be {event}")]
    NoWay {
        /// The state it is in.
        state: StateName,
        /// What was to happen.
        event: &'static str,
    },
}

impl RunState {
    /// A run nobody has started.
    pub fn new() -> Self {
        Self {
            phase: Phase::Queued { front: false },
            tally: Tally::default(),
            checkpoint: None,
            previous: None,
        }
    }

    /// The name of the state.
    pub fn name(&self) -> StateName {
        match self.phase {
            Phase::Queued { .. } => StateName::Queued,
            Phase::Leased { .. } => StateName::Leased,
            Phase::Delayed { .. } => StateName::Delayed,
            Phase::Succeeded { .. } => StateName::Succeeded,
            Phase::Failed { .. } => StateName::Failed,
            Phase::Cancelled { .. } => StateName::Cancelled,
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event does not fit; the state is then as it was.
    pub fn after(&self, event: Event) -> Result<Self, IllegalTransition> {
        match (&self.phase, event) {
            (Phase::Cancelled { .. }, Event::Submitted)
            | (Phase::Queued { .. }, Event::Submitted) => Ok(self.requeued()),
            (_, Event::Submitted) => Ok(self.clone()),
            (Phase::Queued { .. }, Event::Leased { fence, holder, at, expires }) => {
                let mut next = self.with(Phase::Leased { fence, holder, since: at, expires });
                next.tally.attempts += 1;
                next.tally.fence = Some(fence);
                Ok(next)
            }
            (
                Phase::Leased { fence, holder, since, .. },
                Event::Beat { fence: word, expires, checkpoint },
            ) if *fence == word => {
                let mut next = self.with(Phase::Leased {
                    fence: word,
                    holder: holder.clone(),
                    since: *since,
                    expires,
                });
                next.point_to(checkpoint);
                Ok(next)
            }
            (_, Event::Beat { fence, .. }) => Err(IllegalTransition::Stale { fence }),
            (Phase::Leased { fence, .. }, Event::Finished { fence: word, wanted, end })
                if *fence == word =>
            {
                Ok(self.finished(word, wanted, end))
            }
            (_, Event::Finished { fence, .. }) if self.ended_by() == Some(fence) => {
                Err(IllegalTransition::Already { fence })
            }
            (_, Event::Finished { fence, .. }) => Err(IllegalTransition::Stale { fence }),
            (Phase::Leased { .. }, Event::Lost { at, wanted, policy }) => {
                Ok(self.lost(None, at, wanted, policy))
            }
            (Phase::Delayed { .. }, Event::Due { wanted: true }) => {
                Ok(self.with(Phase::Queued { front: true }))
            }
            (Phase::Delayed { .. }, Event::Due { wanted: false })
            | (Phase::Queued { .. } | Phase::Delayed { .. }, Event::Unwanted) => {
                Ok(self.ended(Phase::Cancelled { fence: None }))
            }
            (Phase::Failed { .. }, Event::Retried) => {
                let mut next = self.with(Phase::Queued { front: false });
                next.tally = Tally { errors: 0, losses: 0, stuck: 0, ..next.tally };
                Ok(next)
            }
            (_, event) => Err(IllegalTransition::NoWay { state: self.name(), event: event.name() }),
        }
    }

    /// The fence whose word ended the run, if one did.
    pub fn ended_by(&self) -> Option<Fence> {
        match self.phase {
            Phase::Succeeded { fence } => Some(fence),
            Phase::Failed { fence } | Phase::Cancelled { fence } => fence,
            Phase::Queued { .. } | Phase::Leased { .. } | Phase::Delayed { .. } => None,
        }
    }

    fn with(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    /// Checkpoints are freed with the end; the tally stays, for people.
    fn ended(&self, phase: Phase) -> Self {
        Self { phase, tally: self.tally, checkpoint: None, previous: None }
    }

    fn requeued(&self) -> Self {
        match self.phase {
            Phase::Queued { .. } => self.clone(),
            _ => self.with(Phase::Queued { front: false }),
        }
    }

    fn finished(&self, fence: Fence, wanted: bool, end: AttemptEnd) -> Self {
        let cancelled = || self.ended(Phase::Cancelled { fence: Some(fence) });
        let mut next = match end {
            AttemptEnd::Succeeded => return self.ended(Phase::Succeeded { fence }),
            AttemptEnd::Faulted { at, policy } => {
                return self.lost(Some(fence), at, wanted, policy);
            }
            AttemptEnd::Failed => self.ended(Phase::Failed { fence: Some(fence) }),
            AttemptEnd::Cancelled | AttemptEnd::Yielded { .. } | AttemptEnd::Retry { .. }
                if !wanted =>
            {
                cancelled()
            }
            AttemptEnd::Retry { due } => self.with(Phase::Delayed { due }),
            AttemptEnd::Yielded { .. } | AttemptEnd::Cancelled => {
                self.with(Phase::Queued { front: true })
            }
        };
        match end {
            AttemptEnd::Retry { .. } | AttemptEnd::Failed => next.tally.errors += 1,
            AttemptEnd::Yielded { checkpoint } => {
                next.tally.yields += 1;
                if wanted {
                    next.point_to(checkpoint);
                }
            }
            AttemptEnd::Succeeded | AttemptEnd::Faulted { .. } | AttemptEnd::Cancelled => {}
        }
        next
    }

    fn lost(&self, fence: Option<Fence>, at: Timestamp, wanted: bool, policy: LossPolicy) -> Self {
        let stuck = self.tally.stuck + 1;
        let mut next = if !wanted {
            self.ended(Phase::Cancelled { fence })
        } else if stuck >= policy.limit {
            self.ended(Phase::Failed { fence })
        } else if stuck == 1 {
            self.with(Phase::Queued { front: true })
        } else {
            // The exponent is bounded so that an odd policy cannot overflow; 2^20 steps are beyond any patience.
            let steps = 1_i64 << (stuck - 2).min(20);
            let step = i64::try_from(policy.step.as_millis()).unwrap_or(i64::MAX);
            self.with(Phase::Delayed { due: at.plus(step.saturating_mul(steps)) })
        };
        next.tally.losses += 1;
        next.tally.stuck = stuck;
        next
    }

    /// Moves the pointers; only a greater epoch is progress, for an attempt that dies at the same place each time may well
    /// write the same checkpoint each time.
    fn point_to(&mut self, checkpoint: Option<CheckpointPointer>) {
        let Some(new) = checkpoint else { return };
        if self.checkpoint.is_some_and(|old| old.digest == new.digest) {
            return;
        }
        if new.epoch > self.checkpoint.map_or(0, |old| old.epoch) {
            self.tally.stuck = 0;
        }
        self.previous = self.checkpoint.replace(new);
    }
}

impl Default for RunState {
    fn default() -> Self {
        Self::new()
    }
}

impl Event {
    fn name(&self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Leased { .. } => "leased",
            Self::Beat { .. } => "beaten",
            Self::Finished { .. } => "finished",
            Self::Lost { .. } => "lost",
            Self::Due { .. } => "due",
            Self::Unwanted => "unwanted",
            Self::Retried => "retried",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: LossPolicy = LossPolicy { limit: 5, step: Duration::from_secs(30) };
    const NOW: Timestamp = Timestamp(1_000_000);

    fn leased(fence: u64) -> Event {
        let holder = Holder { worker: "w".to_owned(), slot: 0 };
        Event::Leased { fence: Fence(fence), holder, at: NOW, expires: NOW.plus(60_000) }
    }

    fn finished(fence: u64, end: AttemptEnd) -> Event {
        Event::Finished { fence: Fence(fence), wanted: true, end }
    }

    fn lost(wanted: bool) -> Event {
        Event::Lost { at: NOW, wanted, policy: POLICY }
    }

    fn pointer(epoch: u32, batch: u32) -> CheckpointPointer {
        let digest = Digest::of(format!("{epoch}/{batch}").as_bytes());
        CheckpointPointer { digest, epoch, batch, bytes: 1 }
    }

    fn after(events: impl IntoIterator<Item = Event>) -> RunState {
        events
            .into_iter()
            .fold(RunState::new(), |state, event| state.after(event).expect("a legal event"))
    }

    /// One way into each state.
    fn examples() -> [RunState; 6] {
        let end = |end| after([leased(1), finished(1, end)]);
        [
            RunState::new(),
            after([leased(1)]),
            end(AttemptEnd::Retry { due: NOW }),
            end(AttemptEnd::Succeeded),
            end(AttemptEnd::Failed),
            after([Event::Unwanted]),
        ]
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let fence = 1..4_u64;
        let checkpoint =
            prop::option::of((0..3_u32, 0..3_u32).prop_map(|(epoch, batch)| pointer(epoch, batch)));
        let end = prop_oneof![
            Just(AttemptEnd::Succeeded),
            Just(AttemptEnd::Retry { due: NOW }),
            Just(AttemptEnd::Failed),
            checkpoint.clone().prop_map(|checkpoint| AttemptEnd::Yielded { checkpoint }),
            Just(AttemptEnd::Faulted { at: NOW, policy: POLICY }),
            Just(AttemptEnd::Cancelled),
        ];
        prop_oneof![
            Just(Event::Submitted),
            fence.clone().prop_map(leased),
            (fence.clone(), checkpoint).prop_map(|(fence, checkpoint)| Event::Beat {
                fence: Fence(fence),
                expires: NOW,
                checkpoint
            }),
            (fence, any::<bool>(), end).prop_map(|(fence, wanted, end)| Event::Finished {
                fence: Fence(fence),
                wanted,
                end
            }),
            any::<bool>().prop_map(lost),
            any::<bool>().prop_map(|wanted| Event::Due { wanted }),
            Just(Event::Unwanted),
            Just(Event::Retried),
        ]
    }

    #[test]
    fn the_page_of_states_lists_these_states_and_ways() {
        let page = include_str!("../../../docs/run-states.md");
        let diagram: Vec<&str> = page
            .split("```mermaid")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap_or("")
            .lines()
            .collect();
        let mut drawn: Vec<(String, String)> = Vec::new();
        for line in diagram {
            if let Some((from, rest)) = line.split_once("-->") {
                let to = rest.split(':').next().unwrap_or("");
                drawn.push((from.trim().to_owned(), to.trim().to_owned()));
            }
        }
        drawn.sort();
        drawn.dedup();
        let states: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(states, StateName::ALL.map(StateName::as_str));
        assert_eq!(drawn, ways());
    }

    /// Every change of state that any event can cause, asked of the function itself.
    fn ways() -> Vec<(String, String)> {
        let yes_no = [true, false];
        let ends = [
            AttemptEnd::Succeeded,
            AttemptEnd::Retry { due: NOW },
            AttemptEnd::Failed,
            AttemptEnd::Yielded { checkpoint: None },
            AttemptEnd::Faulted { at: NOW, policy: POLICY },
            AttemptEnd::Cancelled,
        ];
        let mut events = vec![Event::Submitted, leased(9), Event::Unwanted, Event::Retried];
        for wanted in yes_no {
            events.extend([lost(wanted), Event::Due { wanted }]);
            events.extend(ends.map(|end| Event::Finished { fence: Fence(1), wanted, end }));
        }
        let mut ways = vec![("[*]".to_owned(), "queued".to_owned())];
        for state in examples() {
            for stuck in [0, 1, 4] {
                let state = RunState { tally: Tally { stuck, ..state.tally }, ..state.clone() };
                for event in &events {
                    if let Ok(next) = state.after(event.clone())
                        && next.name() != state.name()
                    {
                        ways.push((state.name().to_string(), next.name().to_string()));
                    }
                }
            }
        }
        ways.sort();
        ways.dedup();
        ways
    }

    #[test]
    fn nothing_leaves_succeeded() {
        let [.., succeeded, _, _] = examples();
        assert_eq!(succeeded.name(), StateName::Succeeded);
        for event in
            [leased(2), lost(true), Event::Due { wanted: true }, Event::Unwanted, Event::Retried]
        {
            assert!(matches!(succeeded.after(event), Err(IllegalTransition::NoWay { .. })));
        }
        assert_eq!(succeeded.after(Event::Submitted), Ok(succeeded.clone()));
    }

    #[test]
    fn a_word_counts_once_and_only_under_the_standing_fence() {
        let state = after([leased(1), lost(true), leased(2)]);
        let word = |fence| finished(fence, AttemptEnd::Succeeded);
        assert_eq!(state.after(word(1)), Err(IllegalTransition::Stale { fence: Fence(1) }));
        let ended = state.after(word(2)).unwrap();
        assert_eq!(ended.after(word(2)), Err(IllegalTransition::Already { fence: Fence(2) }));
        assert_eq!(ended.after(word(1)), Err(IllegalTransition::Stale { fence: Fence(1) }));
    }

    #[test]
    fn the_fence_of_a_lost_lease_is_worth_nothing_even_when_the_loss_ended_the_run() {
        let mut state = RunState::new();
        for fence in 1..=5 {
            if state.name() == StateName::Delayed {
                state = state.after(Event::Due { wanted: true }).unwrap();
            }
            state = state.after(leased(fence)).unwrap().after(lost(true)).unwrap();
        }
        assert_eq!(state.phase, Phase::Failed { fence: None });
        let word = finished(5, AttemptEnd::Succeeded);
        assert_eq!(state.after(word), Err(IllegalTransition::Stale { fence: Fence(5) }));
    }

    #[test]
    fn a_word_about_an_unwanted_run_cancels_it_unless_it_is_an_answer() {
        let held = after([leased(1)]);
        let names = [
            (AttemptEnd::Succeeded, StateName::Succeeded),
            (AttemptEnd::Failed, StateName::Failed),
            (AttemptEnd::Retry { due: NOW }, StateName::Cancelled),
            (AttemptEnd::Yielded { checkpoint: None }, StateName::Cancelled),
            (AttemptEnd::Faulted { at: NOW, policy: POLICY }, StateName::Cancelled),
            (AttemptEnd::Cancelled, StateName::Cancelled),
        ];
        for (end, name) in names {
            let event = Event::Finished { fence: Fence(1), wanted: false, end };
            assert_eq!(held.after(event).unwrap().name(), name);
        }
        // Wanted again meanwhile.
        let back = held.after(finished(1, AttemptEnd::Cancelled)).unwrap();
        assert_eq!(back.phase, Phase::Queued { front: true });
    }

    #[test]
    fn only_a_greater_epoch_is_progress() {
        let beat = |checkpoint| Event::Beat {
            fence: Fence(2),
            expires: NOW,
            checkpoint: Some(checkpoint),
        };
        let state = after([leased(1), lost(true), leased(2)]);
        assert_eq!(state.tally.stuck, 1);
        assert_eq!(state.after(beat(pointer(0, 7))).unwrap().tally.stuck, 1);
        let grown = state.after(beat(pointer(1, 0))).unwrap();
        assert_eq!((grown.tally.stuck, grown.tally.losses), (0, 1));
    }

    #[test]
    fn the_two_newest_checkpoints_are_kept_and_the_same_one_moves_nothing() {
        let beat = |checkpoint| Event::Beat {
            fence: Fence(1),
            expires: NOW,
            checkpoint: Some(checkpoint),
        };
        let state =
            after([leased(1), beat(pointer(1, 0)), beat(pointer(2, 0)), beat(pointer(2, 0))]);
        assert_eq!((state.checkpoint, state.previous), (Some(pointer(2, 0)), Some(pointer(1, 0))));
    }

    proptest! {
        #[test]
        fn any_events_keep_the_counts_and_checkpoints_of_a_run_honest(events in prop::collection::vec(any_event(), 0..60)) {
            let mut state = RunState::new();
            let mut accepted = 0;
            for event in events {
                let Ok(next) = state.after(event.clone()) else { continue };
                if let (false, Event::Finished { .. }) = (state.name().is_terminal(), &event) {
                    accepted += 1;
                }
                prop_assert!(next.tally.attempts >= state.tally.attempts);
                prop_assert!(next.tally.stuck <= next.tally.losses);
                prop_assert_eq!(next.tally.fence.is_some(), next.tally.attempts > 0);
                prop_assert!(!next.name().is_terminal() || next.checkpoint.is_none());
                if state.name().is_terminal() && next.name() != state.name() {
                    let way = (state.name(), next.name());
                    prop_assert!(matches!(way, (StateName::Failed | StateName::Cancelled, StateName::Queued)));
                }
                state = next;
            }
            prop_assert!(accepted <= state.tally.attempts);
        }
    }
}
