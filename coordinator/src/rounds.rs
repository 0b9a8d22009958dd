//! Rounds of an adaptive sweep: results → what the next look decides → the runs it adds.
//!
//! [`next_round`] is pure: the same results give the same round in any process at any time. [`extend`] puts it into the store,
//! where the decision stands in the sweep's document beside its runs; a decision once stored is never computed again. The rule
//! and its statistics are `sweep_stats::race`; which runs follow from a decision is [`Plan::add_round`].

use std::collections::HashMap;

use sweep_core::adaptive::{self, Adaptive, Dropped, Round, StopReason, Stopped};
use sweep_core::ids::{RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::result::DeviceKind;
use sweep_core::run::Run;
use sweep_core::sweep::{Document, Plan, Sweep};
use sweep_stats::group_seq::Spending;
use sweep_stats::race::{Elimination, Race};
use sweep_store::{Reads, Store, StoreError, SweepState, SweepStatus};

use crate::submit::{SubmitError, submit_round};

/// What a look at the results says.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// The sweep has no looks, or has had its last one.
    Complete,
    /// Runs of the look in hand have not ended.
    Wait {
        /// How many.
        lacking: usize,
    },
    /// The look decides.
    Decided(Round),
}

/// Why a sweep was not extended.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The store refused or did not answer.
    #[error("cannot extend the sweep")]
    Store(#[from] StoreError),
    /// No such sweep.
    #[error("the store has no sweep {0}")]
    Unknown(SweepId),
    /// This version refuses the stored sweep file.
    #[error("the stored sweep file cannot be read by this version\n{0}")]
    Document(#[from] sweep_core::file::SweepFileError),
}

/// What [`extend`] did.
#[derive(Clone, Debug, PartialEq)]
pub enum Extended {
    /// No look will add runs any more: the sweep is done once its runs have ended.
    Complete,
    /// A person ended the sweep: no look adds runs unless it is submitted again.
    Cancelled,
    /// Runs must end, or arrive, before the next look.
    Wait {
        /// Runs that must end at least; 0 where that is not known.
        lacking: usize,
    },
    /// A round was submitted; it may hold no runs.
    Added {
        /// What its look decided.
        decided: Round,
        /// Runs that follow from it.
        runs: usize,
    },
}

impl Extended {
    /// Whether a sweep whose runs have all ended is done.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Complete | Self::Cancelled => true,
            Self::Wait { .. } | Self::Added { .. } => false,
        }
    }
}

/// The next look of an adaptive sweep, when its results are in.
///
/// `plan` holds the rounds so far ([`Document::open`]). A look counts only when every configuration that is left has ended its
/// seeds of that look, on all data sets; it reads these seeds and no later one. A failed run, or one that diverged before it had
/// an accuracy, leaves its pairs out and does not change the schedule. Pairs have one seed and one device kind.
pub fn next_round(sweep: &Sweep, plan: &Plan, records: &[RunRecord]) -> Next {
    let Some(adaptive) = sweep.adaptive() else { return Next::Complete };
    let looks = adaptive.looks();
    let look = plan.rounds.len();
    let open: Vec<usize> =
        (0..plan.datasets.len()).filter(|d| plan.stopped(*d).is_none()).collect();
    let Some(&seeds) = looks.get(look).filter(|_| !open.is_empty()) else { return Next::Complete };
    let records: HashMap<&RunId, &RunRecord> = records.iter().map(|r| (&r.run.id, r)).collect();
    let runs = plan.by_configuration();
    let of_look =
        |c: usize| runs[c].iter().filter(|run| (1..=u64::from(seeds)).contains(&run.spec.seed));
    let alive = open.iter().flat_map(|dataset| plan.alive(*dataset));
    let lacking = alive.flat_map(of_look).filter(|run| !has_ended(run, &records)).count();
    if lacking > 0 {
        return Next::Wait { lacking };
    }
    let mut round = Round {
        look: look as u32 + 1,
        seeds,
        level: None,
        confidence: None,
        dropped: Vec::new(),
        stopped: Vec::new(),
    };
    for dataset in open {
        let alive = plan.alive(dataset);
        let n_val = plan.datasets[dataset].val_count();
        let row = |c: usize| {
            let mut row = vec![None; seeds as usize];
            for run in of_look(c) {
                row[run.spec.seed as usize - 1] =
                    records.get(&run.id).and_then(|r| count(r, n_val));
            }
            row
        };
        let counts: HashMap<usize, Vec<Count>> = alive.iter().map(|c| (*c, row(*c))).collect();
        let contestants = plan.configurations.iter().filter(|p| p.dataset == dataset).count();
        // Where no bounds exist nobody is dropped, and the seeds go on to the cap.
        let race = race(adaptive, contestants, sweep.analysis().alpha).ok();
        let rope = sweep.analysis().rope_on(n_val) * f64::from(n_val);
        let (left, equivalent) = match &race {
            None => (alive, false),
            Some(race) => {
                let decision =
                    race.decide(look, &alive, rope, |a, b| differences(&counts[&a], &counts[&b]));
                round.dropped.extend(decision.beaten.iter().map(|beaten| Dropped {
                    configuration: beaten.who,
                    by: beaten.by,
                    n: beaten.n as u32,
                    p: beaten.p,
                }));
                (decision.left, decision.equivalent)
            }
        };
        round.level = race.as_ref().and_then(|race| race.level(look));
        round.confidence = race.as_ref().and_then(|race| race.confidence(look));
        let reason = match left.len() {
            0 | 1 => Some(StopReason::OneLeft),
            _ if equivalent => Some(StopReason::Equivalent),
            _ if look + 1 == looks.len() => Some(StopReason::Cap),
            _ => None,
        };
        round.stopped.extend(reason.map(|reason| Stopped { dataset, reason }));
    }
    Next::Decided(round)
}

fn race(adaptive: &Adaptive, contestants: usize, alpha: f64) -> sweep_stats::Known<Race> {
    if adaptive.anytime {
        return Race::anytime(contestants, alpha);
    }
    let spending = match adaptive.spending {
        adaptive::Spending::Pocock => Spending::Pocock,
        adaptive::Spending::ObrienFleming => Spending::ObrienFleming,
    };
    let elimination = match adaptive.elimination {
        adaptive::Elimination::PairedT => Elimination::PairedT,
        adaptive::Elimination::SignFlip => Elimination::SignFlip,
    };
    Race::with_looks(&adaptive.looks(), contestants, alpha, spending, elimination)
}

/// Images right of a seed, and where that was found.
type Count = Option<(i64, DeviceKind)>;

fn has_ended(run: &Run, records: &HashMap<&RunId, &RunRecord>) -> bool {
    records.get(&run.id).is_some_and(|record| match record.state {
        StateName::Succeeded | StateName::Failed => true,
        // Cancelled: the sweep was ended, and is perhaps being reopened just now.
        StateName::Queued | StateName::Leased | StateName::Delayed | StateName::Cancelled => false,
    })
}

/// `None` where there is no accuracy over the data set's images.
fn count(record: &RunRecord, n_val: u32) -> Count {
    let result = record.result.as_ref()?;
    let correct = &result.validation.as_ref()?.correct;
    (correct.len() == n_val as usize).then(|| (correct.count_ones() as i64, result.device))
}

/// b − a on their common seeds.
fn differences(a: &[Count], b: &[Count]) -> Vec<i64> {
    let common = a.iter().zip(b).filter_map(|pair| match pair {
        (Some((a, on)), Some((b, also))) if on == also => Some(b - a),
        _ => None,
    });
    common.collect()
}

/// Submits the next round of a sweep, if its look can be taken; mends a round that was submitted half-way.
///
/// May be called at any time by any number of coordinators: of two that decide on the same round one wins, and both see its
/// decision. A sweep without an `adaptive` block, and one that was cancelled, is left alone.
///
/// # Errors
/// [`RoundError`]; calling again mends what was left half-way.
pub async fn extend(store: &impl Store, id: &SweepId) -> Result<Extended, RoundError> {
    let (status, document) =
        store.sweep(id).await?.ok_or_else(|| RoundError::Unknown(id.clone()))?;
    let (sweep, plan) = document.open()?;
    let Some(adaptive) = sweep.adaptive() else { return Ok(Extended::Complete) };
    if status.state == SweepState::Cancelled {
        return Ok(Extended::Cancelled);
    }
    if !status.sealed {
        return mend(store, &sweep, adaptive, status, document).await;
    }
    let records = store.results(id).await?;
    let round = match next_round(&sweep, &plan, &records) {
        Next::Complete => return Ok(Extended::Complete),
        Next::Wait { lacking } => return Ok(Extended::Wait { lacking }),
        Next::Decided(round) => round,
    };
    let mut document = document;
    document.rounds.push(round);
    add(store, &sweep, adaptive, document).await
}

/// Whether a sweep whose runs have all ended is done: no look is to come.
///
/// # Errors
/// [`RoundError`].
pub async fn is_last(reads: &impl Reads, id: &SweepId) -> Result<bool, RoundError> {
    let (status, document) =
        reads.sweep(id).await?.ok_or_else(|| RoundError::Unknown(id.clone()))?;
    let (sweep, plan) = document.open()?;
    if sweep.adaptive().is_none() || status.state == SweepState::Cancelled {
        return Ok(true);
    }
    Ok(status.sealed && next_round(&sweep, &plan, &reads.results(id).await?) == Next::Complete)
}

/// Submits the runs of the newest round of a sweep whose submission stopped half-way.
async fn mend(
    store: &impl Store,
    sweep: &Sweep,
    adaptive: &Adaptive,
    status: SweepStatus,
    document: Document,
) -> Result<Extended, RoundError> {
    // The first runs are mended by whoever submits the sweep: they need no decision.
    if status.round == 0 {
        Ok(Extended::Wait { lacking: 0 })
    } else {
        add(store, sweep, adaptive, document).await
    }
}

/// Submits the runs that follow from the newest round of `document`.
async fn add(
    store: &impl Store,
    sweep: &Sweep,
    adaptive: &Adaptive,
    mut document: Document,
) -> Result<Extended, RoundError> {
    let Some(newest) = document.rounds.pop() else { return Ok(Extended::Wait { lacking: 0 }) };
    let (_, mut plan) = document.open()?;
    let runs = plan.add_round(adaptive, newest.clone()).to_vec();
    document.rounds.push(newest.clone());
    match submit_round(store, sweep, &plan, document, &runs).await {
        Ok(_) => Ok(Extended::Added { decided: newest, runs: runs.len() }),
        // Another coordinator was first, or a person ended the sweep: the next call sees what is.
        Err(SubmitError::Store(StoreError::Round { .. } | StoreError::CancelledSweep { .. })) => {
            Ok(Extended::Wait { lacking: 0 })
        }
        Err(SubmitError::Store(error)) => Err(error.into()),
        Err(SubmitError::Document(error)) => Err(error.into()),
    }
}

/// Extends every sweep of a store, reading one's results only when its look may have been reached.
#[derive(Debug, Default)]
pub struct Rounds {
    /// Of each sweep, until when nothing can be added.
    seen: HashMap<SweepId, Until>,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    /// Nothing will ever be added.
    Never,
    /// So many runs have ended, or the round is another one.
    Ended { runs: u64, round: u32, sealed: bool },
}

impl Until {
    fn is_over(self, status: &SweepStatus) -> bool {
        match self {
            Self::Never => false,
            Self::Ended { runs, round, sealed } => {
                ended(status) >= runs || (round, sealed) != (status.round, status.sealed)
            }
        }
    }
}

fn ended(status: &SweepStatus) -> u64 {
    u64::from(status.counts.succeeded) + u64::from(status.counts.failed)
}

impl Rounds {
    /// Submits the rounds that are due.
    ///
    /// # Errors
    /// When the list of sweeps cannot be read; what goes wrong with one sweep is logged and tried again.
    pub async fn advance(&mut self, store: &impl Store) -> Result<(), StoreError> {
        for status in store.sweeps().await? {
            let waits = self.seen.get(&status.id).is_some_and(|until| !until.is_over(&status));
            if waits || status.state == SweepState::Cancelled {
                continue;
            }
            match extend(store, &status.id).await {
                Ok(Extended::Cancelled) => {}
                Ok(Extended::Complete) => {
                    self.seen.insert(status.id, Until::Never);
                }
                Ok(Extended::Wait { lacking }) => {
                    let runs = ended(&status) + lacking as u64;
                    let until = Until::Ended { runs, round: status.round, sealed: status.sealed };
                    self.seen.insert(status.id, until);
                }
                Ok(Extended::Added { decided, runs }) => {
                    let (look, dropped) = (decided.look, decided.dropped.len());
                    tracing::info!(sweep.id = %status.id, look, dropped, runs, "sweep {}: look {look} dropped {dropped} configurations and adds {runs} runs", status.name);
                    self.seen.remove(&status.id);
                }
                Err(error) => {
                    tracing::warn!(sweep.id = %status.id, %error, "sweep {} could not be extended; trying again", status.name)
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
