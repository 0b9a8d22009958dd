//! Adaptive seeding: the block of a sweep file, and what its looks decided. Seeds go only where a comparison is open.
//!
//! Not the rule itself, which needs statistics: the coordinator's `rounds` decides, and stores each [`Round`] in the sweep's
//! document. Which runs a round adds follows from its decision alone: [`crate::sweep::Plan::add_round`].

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::ids::SweepId;
use crate::run::{Run, RunSpec};
use crate::sweep::{Plan, Sweep};

/// Most looks of a sweep: as many as error can be spent over.
pub const MAX_LOOKS: u32 = 100;

/// When seeds are added, and when a configuration gets no more. Complete: defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adaptive {
    /// Seeds at the last look, ≥ [`Self::look_every`]; the seeds are 1 to this.
    pub max_seeds: u32,
    /// Seeds between two looks, ≥ 3.
    pub look_every: u32,
    /// How the error is spent over the looks.
    pub spending: Spending,
    /// The test that drops a configuration.
    pub elimination: Elimination,
    /// Seeds after the cap for what is left at the end, never used for choosing.
    pub confirm: u32,
    /// Evidence that holds whenever one looks, instead of looks planned ahead; `spending` and `elimination` play no part then.
    pub anytime: bool,
}

/// How error is spent over the looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spending {
    /// Nearly the same level at each look (default).
    Pocock,
    /// Hardly any at early looks.
    ObrienFleming,
}

/// The test that drops a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Elimination {
    /// One-sided paired t test (default).
    PairedT,
    /// One-sided exact sign-flip test; cannot drop anything at early looks.
    SignFlip,
}

impl Adaptive {
    /// Seeds per configuration at each look; the last is the cap.
    pub fn looks(&self) -> Vec<u32> {
        let every = self.look_every.max(1);
        let mut looks: Vec<u32> =
            (1..).map(|i| i * every).take_while(|n| *n < self.max_seeds).collect();
        looks.push(self.max_seeds);
        looks
    }

    /// Seeds of the first round, 1 to the first look.
    pub fn first_seeds(&self) -> RangeInclusive<u64> {
        1..=u64::from(self.look_every.min(self.max_seeds))
    }

    /// The seeds after the cap, for what is left at the end.
    pub fn confirmation_seeds(&self) -> RangeInclusive<u64> {
        u64::from(self.max_seeds) + 1..=u64::from(self.max_seeds) + u64::from(self.confirm)
    }

    /// Whether runs of this seed confirm, and must play no part in choosing.
    pub fn confirms(&self, seed: u64) -> bool {
        self.confirmation_seeds().contains(&seed)
    }

    /// Most seeds one configuration may get.
    pub fn most_seeds(&self) -> u64 {
        u64::from(self.max_seeds) + u64::from(self.confirm)
    }
}

/// What one look decided. Rounds of a sweep are numbered like its looks, from 1; the first runs are round 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Which look, from 1.
    pub look: u32,
    /// Seeds per configuration that it looked at.
    pub seeds: u32,
    /// One-sided p at or below which a configuration was dropped; `None` when no level could be computed.
    pub level: Option<f64>,
    /// Level of the two-sided interval of this look, for the differences of what is left; `None` with `anytime`.
    pub confidence: Option<f64>,
    /// Configurations that get no more seeds, in the order of the plan.
    pub dropped: Vec<Dropped>,
    /// Data sets on which nothing is looked for any more.
    pub stopped: Vec<Stopped>,
}

/// A configuration that lost to another one at a look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Index into [`Plan::configurations`].
    pub configuration: usize,
    /// The configuration with the smallest p against it, as an index.
    pub by: usize,
    /// Common seeds of both.
    pub n: u32,
    /// One-sided p of "`by` is better"; with `anytime` 1/e at the running maximum.
    pub p: f64,
}

/// A data set on which the looks have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Index into [`Plan::datasets`].
    pub dataset: usize,
    /// Why.
    pub reason: StopReason,
}

/// Why the looks of a data set ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// One configuration is left.
    OneLeft,
    /// All differences of those left are within the region of practical equivalence.
    Equivalent,
    /// The last look.
    Cap,
}

impl StopReason {
    /// The name as tables and JSON write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneLeft => "one_left",
            Self::Equivalent => "equivalent",
            Self::Cap => "cap",
        }
    }
}

impl Plan {
    /// Indexes of the configurations of a data set that no look has dropped.
    pub fn alive(&self, dataset: usize) -> Vec<usize> {
        let dropped = |c: &usize| self.dropped(*c).is_some();
        let on = |c: &usize| self.configurations[*c].dataset == dataset;
        (0..self.configurations.len()).filter(on).filter(|c| !dropped(c)).collect()
    }

    /// How this configuration was dropped, with the round that did it.
    pub fn dropped(&self, configuration: usize) -> Option<(&Round, &Dropped)> {
        self.rounds.iter().find_map(|round| {
            let dropped = round.dropped.iter().find(|d| d.configuration == configuration)?;
            Some((round, dropped))
        })
    }

    /// Why and in which round the looks of this data set ended.
    pub fn stopped(&self, dataset: usize) -> Option<(&Round, StopReason)> {
        self.rounds.iter().find_map(|round| {
            let stopped = round.stopped.iter().find(|s| s.dataset == dataset)?;
            Some((round, stopped.reason))
        })
    }

    /// Whether no look will add runs any more; always so without an `adaptive` block.
    pub fn is_complete(&self, sweep: &Sweep) -> bool {
        sweep.adaptive().is_none() || (0..self.datasets.len()).all(|d| self.stopped(d).is_some())
    }

    /// Every seed of the plan, ascending where rounds added some, else in the order of the file.
    pub fn seeds(&self) -> Vec<u64> {
        let mut seen = std::collections::HashSet::new();
        let mut seeds: Vec<u64> =
            self.runs.iter().map(|run| run.spec.seed).filter(|seed| seen.insert(*seed)).collect();
        if !self.rounds.is_empty() {
            seeds.sort_unstable();
        }
        seeds
    }

    /// The runs of each configuration, in the order of [`Plan::configurations`]; each in the order of the plan.
    pub fn by_configuration(&self) -> Vec<Vec<&Run>> {
        let k = self.configurations.len();
        let mut out = vec![Vec::new(); k];
        let mut last = k.saturating_sub(1);
        for run in &self.runs {
            // Within a seed, runs stand in the order of the configurations: the next one is near.
            let own = (1..=k)
                .map(|step| (last + step) % k)
                .find(|c| self.configurations[*c].configuration == run.spec.configuration);
            if let Some(own) = own {
                out[own].push(run);
                last = own;
            }
        }
        out
    }

    /// Takes in what a look decided and appends the runs that follow from it, which it returns: the seeds of the next look for
    /// what is left where the looks go on, the confirmation seeds where they ended just now. Seed-major; `ord` goes on.
    pub fn add_round(&mut self, adaptive: &Adaptive, round: Round) -> &[Run] {
        let open: Vec<usize> =
            (0..self.datasets.len()).filter(|d| self.stopped(*d).is_none()).collect();
        let next = adaptive.looks().into_iter().find(|n| *n > round.seeds).map_or(0, u64::from);
        let next = u64::from(round.seeds) + 1..=next;
        self.rounds.push(round);
        let mut wanted: Vec<(u64, usize)> = Vec::new();
        for dataset in open {
            let seeds = match self.stopped(dataset) {
                None => next.clone(),
                Some(_) => adaptive.confirmation_seeds(),
            };
            let alive = self.alive(dataset);
            wanted.extend(seeds.flat_map(|seed| alive.iter().map(move |c| (seed, *c))));
        }
        wanted.sort_unstable();
        let from = self.runs.len();
        let first = self.runs.last().map_or(0, |run| run.ord + 1);
        let specs = wanted.into_iter().map(|(seed, c)| RunSpec {
            configuration: self.configurations[c].configuration.clone(),
            seed,
        });
        let runs: Vec<Run> =
            (first..).zip(specs).map(|(ord, spec)| Run { id: spec.id(), ord, spec }).collect();
        self.runs.extend(runs);
        &self.runs[from..]
    }
}

/// Content hash of a sweep: see [`Sweep::id`].
pub(crate) fn id(sweep: &Sweep, plan: &Plan) -> SweepId {
    let first: std::collections::HashSet<u64> = sweep.seeds().iter().copied().collect();
    let runs: Vec<_> =
        plan.runs.iter().filter(|run| first.contains(&run.spec.seed)).map(|run| &run.id).collect();
    let (name, analysis, baseline) = (sweep.name(), sweep.analysis(), sweep.baseline());
    SweepId::of(&match sweep.adaptive() {
        None => crate::canonical::digest(&(name, analysis, baseline, runs)),
        Some(adaptive) => crate::canonical::digest(&(name, analysis, baseline, runs, adaptive)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adaptive(max_seeds: u32, look_every: u32) -> Adaptive {
        Adaptive {
            max_seeds,
            look_every,
            spending: Spending::Pocock,
            elimination: Elimination::PairedT,
            confirm: 2,
            anytime: false,
        }
    }

    #[test]
    fn the_last_look_is_at_the_cap() {
        assert_eq!(adaptive(30, 5).looks(), [5, 10, 15, 20, 25, 30]);
        assert_eq!(adaptive(28, 5).looks(), [5, 10, 15, 20, 25, 28]);
        assert_eq!(adaptive(5, 5).looks(), [5]);
    }

    #[test]
    fn confirmation_seeds_come_after_the_cap() {
        let rule = adaptive(30, 5);
        assert_eq!(rule.confirmation_seeds().collect::<Vec<_>>(), [31, 32]);
        assert!(rule.confirms(31) && !rule.confirms(30) && !rule.confirms(33));
        assert_eq!(Adaptive { confirm: 0, ..rule }.confirmation_seeds().count(), 0);
    }
}
