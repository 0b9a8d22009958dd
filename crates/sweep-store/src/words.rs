//! What is said to a store and what it answers: the calls that change something.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sweep_core::ids::{Attempt, Fence, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{CheckpointPointer, Holder};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult};
use sweep_core::run::{DataKey, RunSpec};
use sweep_core::sweep::Document;

/// Runs that one `submit` may carry.
pub const SUBMIT_MAX: usize = 500;
/// Data sets held that a wish may name; those after them are not looked at.
pub const HOLDS_MAX: usize = 32;
/// Bytes of JSON that a result may have; more is refused.
pub const RESULT_MAX: usize = 64 * 1024;
/// Bytes of log kept per attempt: its end.
pub const LOG_MAX: usize = 64 * 1024;
/// Bytes of an error text kept: its beginning.
pub const ERROR_MAX: usize = 4 * 1024;

/// Whose clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// The store's own: the only one in production.
    Server,
    /// This time, for tests.
    At(Timestamp),
}

/// A sweep as it is submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSweep {
    /// Content hash of the checked file on its data sets.
    pub id: SweepId,
    /// Name in the file; several sweeps may share it.
    pub name: String,
    /// Share inside its band, greater than 0. Kept as first submitted; later changes are commands.
    pub weight: f64,
    /// 0..=7; a lower band goes first, strictly.
    pub band: u8,
    /// Most runs leased at once, at least 1.
    pub cap: Option<u32>,
    /// 0, and one more for each adaptive round.
    pub round: u32,
    /// Seeds per configuration that this submission asks for.
    pub seeds: u32,
    /// What rebuilds the sweep without its files. Kept as first submitted, and replaced by that of each new round, which holds
    /// the decision its runs follow from.
    pub document: Document,
}

/// One submission of a sweep, for a report that must say how its data came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// When it was complete.
    pub at: Timestamp,
    /// The adaptive round, 0 without.
    pub round: u32,
    /// Seeds per configuration asked for.
    pub seeds: u32,
    /// Runs of the sweep then.
    pub runs: u32,
    /// Reports made before it ([`Command::Reported`]).
    pub reports: u32,
}

/// What a submission met. The four counts add up to the runs sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Runs nobody had asked for before.
    pub new: u32,
    /// Runs that had succeeded or failed.
    pub known: u32,
    /// Runs that wait or train already, for this or another sweep.
    pub joined: u32,
    /// Cancelled runs that are wanted again.
    pub requeued: u32,
}

impl std::ops::AddAssign for Submitted {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.known += other.known;
        self.joined += other.joined;
        self.requeued += other.requeued;
    }
}

/// Random per wish and equal on every repeat of it, so that a lost reply does not cost a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

/// An idle slot's wish for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who asks.
    pub holder: Holder,
    /// Which wish this is.
    pub request: RequestId,
    /// What it trains on, for people.
    pub device: DeviceKind,
    /// Only runs of this sweep, whichever sweep they are at home in; fair share between sweeps plays no part then.
    pub only: Option<SweepId>,
    /// Pictures it has at hand, the most wanted first: of the sweep whose turn it is, a run on them goes before others, within
    /// [`crate::Policy::affinity_window`] and [`crate::Policy::affinity_skips`]. Says nothing about which sweep's turn it is, and
    /// nothing at all beside [`Self::only`].
    pub holds: Vec<DataKey>,
}

impl Wish {
    /// The pictures held, as many as count.
    pub(crate) fn held(&self) -> &[DataKey] {
        &self.holds[..self.holds.len().min(HOLDS_MAX)]
    }
}

/// Answer to a wish.
#[derive(Clone, Debug, PartialEq)]
pub enum Leased {
    /// Train this.
    Lease(Box<Lease>),
    /// Nothing to do now.
    Nothing {
        /// Sleep this long (add jitter), then ask again.
        wait: Duration,
        /// The worker is being drained: ask no more.
        drain: bool,
    },
}

/// A worker's right to one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Which run.
    pub run: RunId,
    /// To be given with every word about it.
    pub fence: Fence,
    /// The sweep that pays for it.
    pub sweep: SweepId,
    /// What to train.
    pub spec: RunSpec,
    /// Which try this is.
    pub attempt: Attempt,
    /// Errors charged before this attempt.
    pub errors: u32,
    /// Where to go on.
    pub checkpoint: Option<CheckpointPointer>,
    /// Where to go on when that one is missing or damaged; then the start.
    pub previous: Option<CheckpointPointer>,
    /// How long the lease stands without a beat.
    pub ttl: Duration,
    /// How long the run stood in line: from [`crate::SweepStatus::submitted`] of the sweep that pays. Of the first attempt only.
    pub waited: Option<Duration>,
}

/// What a beat carries besides life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Epochs ended since the last beat that was answered; sent again, they overwrite themselves.
    pub epochs: Vec<EpochMetrics>,
    /// Optimizer steps done.
    pub step: u64,
    /// A checkpoint written since, already durable.
    pub checkpoint: Option<CheckpointPointer>,
}

/// The only orders a worker gets: the answer to its beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Continue,
    /// Stop; nobody wants the run. Answer with [`Outcome::Cancelled`].
    Cancel,
    /// Write a checkpoint and answer with [`Outcome::Yielded`].
    Yield,
    /// The lease is gone: stop, say nothing.
    Lost,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Trained to the end or diverged.
    Succeeded(Box<RunResult>),
    /// An error that may go away.
    Retry {
        /// Delay before the next try ([`crate::Policy::retry_delay`]).
        due_in: Duration,
        /// What went wrong; the first line is what tables show.
        error: String,
    },
    /// An error that will not go away, or one too many.
    Failed {
        /// What went wrong.
        error: String,
    },
    /// Handed back on purpose.
    Yielded {
        /// Where to go on, when newer than the last beat's.
        checkpoint: Option<CheckpointPointer>,
    },
    /// The worker is broken, not the run.
    Faulted {
        /// What broke.
        error: String,
    },
    /// [`Order::Cancel`] obeyed.
    Cancelled,
}

/// What became of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It counts.
    Applied,
    /// It counted before: the reply was lost.
    Already,
    /// The lease no longer stood; the word is dropped.
    Stale,
}

/// A person's command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Lease no more of its runs; those in training run on.
    Pause(SweepId),
    /// As pause, and those in training are handed back.
    PauseNow(SweepId),
    /// Go on after a pause.
    Resume(SweepId),
    /// Cancel all its runs that no other sweep wants.
    Cancel(SweepId),
    /// Queue its failed runs again.
    Retry(SweepId),
    /// Share inside its band, greater than 0.
    Weight(SweepId, f64),
    /// 0..=7, lower goes first.
    Band(SweepId, u8),
    /// Most runs leased at once.
    Cap(SweepId, Option<u32>),
    /// A report was made of it: noted for the submission history.
    Reported(SweepId),
    /// This worker (all its slots) gets no more leases and hands back what it holds.
    Drain(String),
}

/// Whether a sweep's runs are leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    /// Its runs are leased.
    Active,
    /// No new leases; leased runs run on.
    Paused,
    /// No new leases; leased runs are handed back.
    PausedNow,
    /// It wants nothing any more; submitting it again reopens it.
    Cancelled,
}

impl SweepState {
    /// The name as tables and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::PausedNow => "paused_now",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for SweepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one `tick` did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Leases reaped.
    pub expired: u32,
    /// Delayed runs put in line.
    pub due: u32,
    /// Members visited after a command.
    pub walked: u32,
    /// A bound was met: call again at once.
    pub more: bool,
}
