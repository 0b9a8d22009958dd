//! What readers see: sweeps, runs, attempts, events, demand. Nothing here changes a store.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sweep_core::ids::{Attempt, Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{Holder, RunState, StateName};
use sweep_core::record::RunRecord;
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult};
use sweep_core::run::RunSpec;

use crate::words::{Submission, SweepState};

/// A sweep without its document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepStatus {
    /// Content hash.
    pub id: SweepId,
    /// Name in its file.
    pub name: String,
    /// Share inside its band.
    pub weight: f64,
    /// 0..=7, lower goes first.
    pub band: u8,
    /// Most runs leased at once.
    pub cap: Option<u32>,
    /// Active, paused or cancelled.
    pub state: SweepState,
    /// Adaptive round in hand, 0 without.
    pub round: u32,
    /// Whether all runs of the round have arrived.
    pub sealed: bool,
    /// Its runs by state.
    pub counts: Counts,
    /// Complete submissions, oldest first.
    pub submissions: Vec<Submission>,
    /// Reports made of it.
    pub reports: u32,
    /// First submission.
    pub created: Timestamp,
    /// Slot-seconds of its ended attempts.
    pub seconds: f64,
    /// Its ended attempts.
    pub ended_attempts: u64,
    /// A command has not reached all its runs yet; `tick` takes it there.
    pub walking: bool,
}

impl SweepStatus {
    /// Whether nothing more will happen by itself: sealed, and every run has ended.
    pub fn is_done(&self) -> bool {
        self.sealed && self.counts.unfinished() == 0
    }

    /// When its present runs came: its newest complete submission, or its beginning while none is complete.
    pub fn submitted(&self) -> Timestamp {
        self.submissions.last().map_or(self.created, |submission| submission.at)
    }
}

/// Runs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Wait in line.
    pub queued: u32,
    /// In training.
    pub leased: u32,
    /// Wait for a later try.
    pub delayed: u32,
    /// With a result.
    pub succeeded: u32,
    /// Dead letters.
    pub failed: u32,
    /// Wanted by no sweep.
    pub cancelled: u32,
}

impl Counts {
    /// All runs.
    pub fn total(&self) -> u32 {
        self.queued + self.leased + self.delayed + self.succeeded + self.failed + self.cancelled
    }

    /// Runs that have not ended.
    pub fn unfinished(&self) -> u32 {
        self.queued + self.leased + self.delayed
    }

    /// Runs in this state.
    pub fn of(&self, state: StateName) -> u32 {
        match state {
            StateName::Queued => self.queued,
            StateName::Leased => self.leased,
            StateName::Delayed => self.delayed,
            StateName::Succeeded => self.succeeded,
            StateName::Failed => self.failed,
            StateName::Cancelled => self.cancelled,
        }
    }
}

/// A place in a listing of runs; opaque.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageCursor(pub String);

/// A page of a sweep's runs, in the order of the sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPage {
    /// At most as many as asked for.
    pub runs: Vec<RunRecord>,
    /// Where to go on; `None` at the end.
    pub next: Option<PageCursor>,
}

/// One run with everything known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// Content hash of `spec`.
    pub id: RunId,
    /// What is trained.
    pub spec: RunSpec,
    /// State, counts, checkpoints.
    pub state: RunState,
    /// The sweep that pays for it.
    pub home: SweepId,
    /// The sweeps that have it, cancelled ones included.
    pub sweeps: Vec<SweepId>,
    /// The last error, at most 4 KiB.
    pub error: Option<String>,
    /// The accepted result.
    pub result: Option<RunResult>,
    /// How far the standing attempt is.
    pub progress: Option<RunProgress>,
    /// Every attempt, oldest first.
    pub attempts: Vec<AttemptRecord>,
}

/// How far a run is that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunProgress {
    /// Optimizer steps of the standing attempt.
    pub step: u64,
    /// Epoch metrics so far, by epoch; a resumed attempt overwrites them.
    pub epochs: Vec<EpochMetrics>,
}

/// How an attempt ended, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptEnding {
    /// With a result.
    Succeeded,
    /// With an error; the run is tried again.
    Retry,
    /// With an error; the run has failed.
    Failed,
    /// Handed back on purpose.
    Yielded,
    /// The worker broke.
    Faulted,
    /// Nobody wanted the run any more.
    Cancelled,
    /// The worker vanished.
    Lost,
}

/// One attempt at a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// From 1.
    pub attempt: Attempt,
    /// Of its lease.
    pub fence: Fence,
    /// Who had it.
    pub holder: Holder,
    /// On which device kind.
    pub device: DeviceKind,
    /// When the lease was taken.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<AttemptEnding>,
    /// Its error, at most 4 KiB.
    pub error: Option<String>,
    /// The last 64 KiB of its log; empty while it runs and when its worker vanished.
    pub log: String,
}

/// A place in the stream of events; opaque, and what a client sends as `Last-Event-ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventCursor(pub String);

/// Something that happened: ids and states, never a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place of this event.
    pub cursor: EventCursor,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A sweep was submitted, in whole or in part.
    Submitted {
        /// Which.
        sweep: SweepId,
    },
    /// A command changed a sweep.
    Sweep {
        /// Which.
        sweep: SweepId,
    },
    /// A run changed its state.
    Run {
        /// Which.
        run: RunId,
        /// The sweeps that have it.
        sweeps: Vec<SweepId>,
        /// Its new state.
        state: StateName,
    },
    /// A run in training ended an epoch.
    Epoch {
        /// Which.
        run: RunId,
        /// The sweeps that have it.
        sweeps: Vec<SweepId>,
        /// The epoch, from 1.
        epoch: u32,
    },
    /// A worker is being drained.
    Drain {
        /// Which.
        worker: String,
    },
}

/// Answer to a reader of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Events {
    /// What happened after the cursor; empty when nothing did in time.
    Some {
        /// Oldest first, at most 1 000.
        events: Vec<Event>,
        /// Where to go on.
        cursor: EventCursor,
    },
    /// The cursor is unknown or its events are gone: read everything anew, from a fresh cursor.
    Reset,
}

/// What an autoscaler needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Slots that could work now: leasable runs plus all leased ones.
    pub wanted: u32,
    /// Runs that could be leased now.
    pub ready: u32,
    /// Runs in training.
    pub leased: u32,
    /// Runs that wait for a later try.
    pub delayed: u32,
}

/// A slot as the store knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Worker and slot.
    pub holder: Holder,
    /// What it trains on.
    pub device: DeviceKind,
    /// Its last wish or beat.
    pub seen: Timestamp,
    /// The run it holds.
    pub run: Option<RunId>,
    /// Whether its worker is being drained.
    pub drain: bool,
}

/// How long `events` may wait at most; longer waits are cut to this.
pub const EVENT_WAIT_MAX: Duration = Duration::from_secs(30);
