//! What the looks of an adaptive sweep decided about one data set: the trace, and the look that ended a comparison.
//!
//! Reads the stored rounds; decides nothing (the coordinator did) and says nothing (see `looked`).

use sweep_core::adaptive::{Adaptive, Elimination, Round, Spending, StopReason};
use sweep_core::sweep::Plan;

use crate::format;
use crate::input::Input;
use crate::report::{AdaptiveTrace, AtLook, Dropped, LookDecision, LooksEnded, TestName, TraceRow};

/// The rounds of an adaptive sweep on one data set.
#[derive(Clone, Copy)]
pub(crate) struct Looks<'a> {
    pub(crate) adaptive: &'a Adaptive,
    plan: &'a Plan,
    dataset: usize,
    alpha: f64,
}

impl<'a> Looks<'a> {
    /// `None` for a sweep without an `adaptive` block.
    pub(crate) fn of(input: &Input<'a>, dataset: usize) -> Option<Self> {
        let adaptive = input.sweep.adaptive()?;
        let alpha = input.sweep.analysis().alpha;
        Some(Self { adaptive, plan: input.plan, dataset, alpha })
    }

    /// The test that drops.
    pub(crate) fn test(&self) -> TestName {
        match (self.adaptive.anytime, self.adaptive.elimination) {
            (true, _) => TestName::EProcess,
            (false, Elimination::PairedT) => TestName::PairedT,
            (false, Elimination::SignFlip) => TestName::SignFlip,
        }
    }

    /// Candidates of the data set's configurations, with their index into the plan, in its order.
    fn configurations(&self) -> impl Iterator<Item = (usize, usize)> {
        let all = self.plan.configurations.iter().enumerate();
        all.filter(|(_, p)| p.dataset == self.dataset).map(|(index, p)| (index, p.candidate))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.configurations().count()
    }

    /// One-sided error that all looks of one pair spend together.
    pub(crate) fn pair_error(&self) -> f64 {
        self.alpha / self.count().saturating_sub(1).max(1) as f64
    }

    /// Candidates that no look has dropped.
    pub(crate) fn survivors(&self) -> Vec<usize> {
        let alive = self.plan.alive(self.dataset);
        alive.into_iter().map(|c| self.plan.configurations[c].candidate).collect()
    }

    fn index(&self, candidate: usize) -> Option<usize> {
        self.configurations().find(|(_, c)| *c == candidate).map(|(index, _)| index)
    }

    /// The round after which this configuration got no more seeds.
    fn last_round(&self, index: usize) -> Option<&'a Round> {
        let dropped = self.plan.dropped(index).map(|(round, _)| round);
        dropped.or_else(|| self.plan.stopped(self.dataset).map(|(round, _)| round))
    }

    /// The look that ended the seeds of a candidate.
    pub(crate) fn of_one(&self, candidate: usize) -> Option<AtLook> {
        let index = self.index(candidate)?;
        let dropped = self.plan.dropped(index).map(|_| LookDecision::Dropped);
        self.last_round(index).map(|round| at(round, dropped))
    }

    /// The look that ended the comparison of `b` with `a`: the first that dropped one, else the last.
    pub(crate) fn of_pair(&self, a: usize, b: usize) -> Option<AtLook> {
        let (a, b) = (self.index(a)?, self.index(b)?);
        let round =
            self.last_round(a).into_iter().chain(self.last_round(b)).min_by_key(|r| r.look)?;
        let fell = |who: usize, by: usize| {
            round.dropped.iter().any(|d| d.configuration == who && d.by == by)
        };
        let alive = |c: usize| self.plan.dropped(c).is_none();
        let equivalent = alive(a)
            && alive(b)
            && matches!(self.plan.stopped(self.dataset), Some((_, StopReason::Equivalent)));
        let decision = if fell(b, a) {
            Some(LookDecision::DroppedByReference)
        } else if fell(a, b) {
            Some(LookDecision::DroppedReference)
        } else {
            equivalent.then_some(LookDecision::Equivalent)
        };
        Some(at(round, decision))
    }

    /// Level of an E1 interval whose seeds ended at `look`, if any did yet; `None`: no interval holds.
    pub(crate) fn level(&self, look: Option<AtLook>, planned: f64) -> Option<f64> {
        look.map_or((!self.adaptive.anytime).then_some(planned), |look| look.confidence)
    }

    /// Everything the looks did, for tables and the figure.
    pub(crate) fn trace(&self, input: &Input<'_>) -> AdaptiveTrace {
        let candidates = input.sweep.candidates();
        let by_configuration = self.plan.by_configuration();
        let given = |index: usize, confirms: bool| {
            let own = by_configuration[index].iter();
            own.filter(|run| self.adaptive.confirms(run.spec.seed) == confirms).count() as u32
        };
        let rows: Vec<TraceRow> = self
            .configurations()
            .map(|(index, candidate)| TraceRow {
                candidate,
                label: candidates.get(candidate).map(|c| c.label.clone()).unwrap_or_default(),
                seeds: given(index, false),
                dropped: self.plan.dropped(index).map(|(round, d)| Dropped {
                    look: round.look,
                    seeds: d.n,
                    beaten_by: self
                        .plan
                        .configurations
                        .get(d.by)
                        .map_or(candidate, |p| p.candidate),
                    p: d.p,
                    level: round.level,
                    test: self.test(),
                }),
            })
            .collect();
        let ended = self.plan.stopped(self.dataset).is_some();
        let max = self.adaptive.max_seeds;
        let saved = rows.iter().filter(|row| ended || row.dropped.is_some());
        AdaptiveTrace {
            dataset: self.plan.datasets[self.dataset].name.clone(),
            rule: self.rule(),
            looks: self.adaptive.looks(),
            stopped: self.plan.stopped(self.dataset).map(|(round, reason)| LooksEnded {
                look: round.look,
                because: because(reason, max),
            }),
            runs_saved: saved.map(|row| max.saturating_sub(row.seeds)).sum(),
            rows,
            confirmation_seeds: self
                .plan
                .alive(self.dataset)
                .first()
                .map_or(0, |c| given(*c, true)),
        }
    }

    /// "Pocock spending, paired t, one-sided 0.05/11, looks every 5 seeds to 30".
    fn rule(&self) -> String {
        let Adaptive { max_seeds, look_every, spending, anytime, .. } = self.adaptive;
        let how = if *anytime {
            "at any time".to_owned()
        } else {
            let spending = match spending {
                Spending::Pocock => "Pocock",
                Spending::ObrienFleming => "O'Brien–Fleming",
            };
            format!("{spending} spending")
        };
        format!(
            "{how}, {}, one-sided {}/{}, looks every {look_every} seeds to {max_seeds}",
            crate::phrases::test_name_words(self.test()),
            format::short(self.alpha, 4),
            self.count().saturating_sub(1)
        )
    }
}

fn at(round: &Round, decision: Option<LookDecision>) -> AtLook {
    let Round { look, seeds, confidence, .. } = *round;
    AtLook { look, seeds, confidence, decision }
}

fn because(reason: StopReason, max_seeds: u32) -> String {
    match reason {
        StopReason::OneLeft => "one configuration is left".to_owned(),
        StopReason::Equivalent => "all that are left are equivalent".to_owned(),
        StopReason::Cap => format!("the cap of {max_seeds} seeds is reached"),
    }
}
