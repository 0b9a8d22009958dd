//! A race: at planned looks, contestants that are beaten get no more seeds.
//!
//! At each look a contestant leaves when some other that is still in beats it, one-sided, at the
//! bound of that look. With k contestants at the start the bounds are those of a one-sided error of
//! α/(k − 1), so that the best one is lost with probability α at most. This is not the same as
//! dividing the nominal levels of an α-level boundary by k − 1, which is too liberal. Not for best
//! sets after a fixed number of seeds: see [`crate::best_set`].

use crate::describe::Moments;
use crate::distribution::t_sf;
use crate::e_value::{Alternative, default_lambdas, e_value_signflip};
use crate::equivalence::tost_signflip;
use crate::group_seq::{Sides, Spending, spending_bounds};
use crate::missing::{Known, Missing, check_alpha};
use crate::signflip::signflip_exact;

/// Common seeds below which a pair decides nothing.
pub const MIN_PAIRS: usize = 3;

/// The test that drops a contestant at planned looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elimination {
    /// One-sided paired t test; differences without variance drop nobody.
    PairedT,
    /// One-sided exact sign-flip test.
    SignFlip,
}

/// The rule of a race, with the levels of all its looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Race {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Looks {
        elimination: Elimination,
        /// One-sided, per look.
        levels: Vec<f64>,
        /// Two-sided, per look, for intervals.
        interval_levels: Vec<f64>,
    },
    Anytime {
        level: f64,
        alpha: f64,
    },
}

/// A contestant that leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beaten {
    /// Which.
    pub who: usize,
    /// The one with the smallest p against it; the first of several.
    pub by: usize,
    /// Common seeds.
    pub n: usize,
    /// One-sided p of "`by` is better"; of an e-process 1/e at its running maximum.
    pub p: f64,
}

/// What a look decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Who leaves, in the order given.
    pub beaten: Vec<Beaten>,
    /// Who is left, in the order given; never nobody.
    pub left: Vec<usize>,
    /// Every difference among those left is within the region of practical equivalence.
    pub equivalent: bool,
}

impl Race {
    /// Looks at ascending numbers of seeds, of which the last is the cap, among `contestants` at a
    /// total error of `alpha`.
    ///
    /// Intervals (see [`Self::confidence`]) are those of two-sided Pocock-type bounds at `alpha`
    /// whatever `spending` says: the operating characteristics of both rules were measured so.
    ///
    /// # Errors
    /// [`Missing::TooFewConfigurations`] below two contestants; as [`spending_bounds`].
    pub fn with_looks(
        looks: &[u32],
        contestants: usize,
        alpha: f64,
        spending: Spending,
        elimination: Elimination,
    ) -> Known<Race> {
        let error = one_sided_error(contestants, alpha)?;
        let last = f64::from(*looks.last().ok_or(Missing::NoData)?);
        let times: Vec<f64> = looks.iter().map(|n| f64::from(*n) / last).collect();
        let levels = spending_bounds(&times, error, spending, Sides::One)?.nominal_p;
        let interval_levels =
            spending_bounds(&times, alpha, Spending::Pocock, Sides::Two)?.nominal_p;
        Ok(Race { kind: Kind::Looks { elimination, levels, interval_levels } })
    }

    /// Looks at any time: sign-flip e-processes, a contestant leaving when the running maximum of
    /// one against it reaches (k − 1)/α.
    ///
    /// # Errors
    /// [`Missing::TooFewConfigurations`] below two contestants; [`Missing::OutOfRange`].
    pub fn anytime(contestants: usize, alpha: f64) -> Known<Race> {
        Ok(Race { kind: Kind::Anytime { level: one_sided_error(contestants, alpha)?, alpha } })
    }

    /// One-sided p at or below which a contestant leaves at this look (from 0); `None` beyond the
    /// last.
    pub fn level(&self, look: usize) -> Option<f64> {
        match &self.kind {
            Kind::Looks { levels, .. } => levels.get(look).copied(),
            Kind::Anytime { level, .. } => Some(*level),
        }
    }

    /// Level of the t interval of a difference at this look (from 0); `None` beyond the last and
    /// at any time.
    pub fn confidence(&self, look: usize) -> Option<f64> {
        match &self.kind {
            Kind::Looks { interval_levels, .. } => interval_levels.get(look).map(|p| 1.0 - p),
            Kind::Anytime { .. } => None,
        }
    }

    /// Decides at look `look` (from 0) among those still `running`.
    ///
    /// `rope` is the half-width of the region of practical equivalence in examples.
    /// `differences(a, b)` gives b − a in examples over the common seeds, in the order of seeds;
    /// it is asked for once per pair. Fewer than [`MIN_PAIRS`] decide nothing, neither does a test
    /// that cannot be made. If everybody were beaten by somebody (possible only where pairs have
    /// different seeds), the one with the largest p stays.
    pub fn decide(
        &self,
        look: usize,
        running: &[usize],
        rope: f64,
        mut differences: impl FnMut(usize, usize) -> Vec<i64>,
    ) -> Decision {
        let Some(level) = self.level(look) else {
            return Decision { beaten: Vec::new(), left: running.to_vec(), equivalent: false };
        };
        let mut worst: Vec<Option<Beaten>> = vec![None; running.len()];
        let mut within = vec![true; running.len() * running.len()];
        for (i, &a) in running.iter().enumerate() {
            for (j, &b) in running.iter().enumerate().skip(i + 1) {
                let up = differences(a, b);
                let down: Vec<i64> = up.iter().map(|d| d.saturating_neg()).collect();
                within[i * running.len() + j] = self.within(look, &up, &down, rope);
                for (loser, who, by, diff) in [(i, a, b, &up), (j, b, a, &down)] {
                    let Some(p) = self.p_better(diff).filter(|p| *p <= level) else { continue };
                    if worst[loser].is_none_or(|known| p < known.p) {
                        worst[loser] = Some(Beaten { who, by, n: diff.len(), p });
                    }
                }
            }
        }
        keep_one(&mut worst);
        let left: Vec<usize> = (0..running.len()).filter(|i| worst[*i].is_none()).collect();
        let pairs =
            left.iter().flat_map(|i| left.iter().filter(move |j| *j > i).map(move |j| (i, j)));
        let equivalent = pairs.into_iter().all(|(i, j)| within[i * running.len() + j]);
        Decision {
            left: left.into_iter().map(|i| running[i]).collect(),
            beaten: worst.into_iter().flatten().collect(),
            equivalent,
        }
    }

    /// One-sided p of a positive mean of `diff`, where it can be at most ½.
    fn p_better(&self, diff: &[i64]) -> Option<f64> {
        if diff.len() < MIN_PAIRS {
            return None;
        }
        match &self.kind {
            Kind::Anytime { .. } => evidence(diff),
            // Of a pair only one side can be better; the other need not be tested.
            Kind::Looks { .. } if diff.iter().map(|d| i128::from(*d)).sum::<i128>() <= 0 => None,
            Kind::Looks { elimination: Elimination::PairedT, .. } => {
                let real: Vec<f64> = diff.iter().map(|d| *d as f64).collect();
                let moments = Moments::of(&real).ok()?;
                t_sf(moments.mean / moments.positive_se().ok()?, moments.df()).ok()
            }
            Kind::Looks { elimination: Elimination::SignFlip, .. } => {
                signflip_exact(diff).ok().map(|test| test.p_greater)
            }
        }
    }

    /// Whether the difference is shown to lie within ± `rope` examples.
    fn within(&self, look: usize, up: &[i64], down: &[i64], rope: f64) -> bool {
        if up.len() < MIN_PAIRS {
            return false;
        }
        match &self.kind {
            Kind::Anytime { alpha, .. } => {
                let r = (rope + 1e-9).floor() as i64;
                let shown = |diff: &[i64]| {
                    let moved: Vec<i64> = diff.iter().map(|d| d.saturating_add(r)).collect();
                    // Half of α on each side, as the intervals of planned looks have it.
                    evidence(&moved).is_some_and(|p| p <= alpha / 2.0)
                };
                shown(up) && shown(down)
            }
            Kind::Looks { interval_levels, .. } => {
                let Some(level) = interval_levels.get(look) else { return false };
                let real: Vec<f64> = up.iter().map(|d| *d as f64).collect();
                let interval = Moments::of(&real).and_then(|m| m.t_interval(1.0 - level));
                match interval {
                    Ok(interval) => interval.inside(rope),
                    // Equal differences have no interval; sign-flips of d + r and r − d still tell.
                    Err(Missing::ZeroVariance) => {
                        tost_signflip(up, 1, rope).is_ok_and(|test| test.p <= level / 2.0)
                    }
                    Err(_) => false,
                }
            }
        }
    }
}

fn one_sided_error(contestants: usize, alpha: f64) -> Known<f64> {
    check_alpha(alpha)?;
    if contestants < 2 {
        return Err(Missing::TooFewConfigurations { have: contestants, need: 2 });
    }
    Ok(alpha / (contestants - 1) as f64)
}

/// 1/e at the running maximum of the one-sided sign-flip e-process, at most 1.
fn evidence(diff: &[i64]) -> Option<f64> {
    let path = e_value_signflip(diff, &default_lambdas(), Alternative::Greater).ok()?;
    let largest = path.log_e.iter().fold(0.0f64, |most, log| most.max(*log));
    Some((-largest).exp().max(f64::MIN_POSITIVE))
}

/// Where everybody is beaten, the one with the largest p, the first of several, is not.
fn keep_one(worst: &mut [Option<Beaten>]) {
    if worst.is_empty() || worst.iter().any(Option::is_none) {
        return;
    }
    let p = |i: &usize| worst[*i].map_or(1.0, |beaten| beaten.p);
    let least = (0..worst.len()).reduce(|best, i| if p(&i) > p(&best) { i } else { best });
    if let Some(least) = least {
        worst[least] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::differences;

    fn planned(elimination: Elimination, k: usize) -> Race {
        Race::with_looks(&[5, 10, 15, 20, 25, 30], k, 0.05, Spending::Pocock, elimination).unwrap()
    }

    fn decide(race: &Race, look: usize, counts: &[&[i64]], rope: f64) -> Decision {
        let running: Vec<usize> = (0..counts.len()).collect();
        race.decide(look, &running, rope, |a, b| differences(counts[a], counts[b]).unwrap())
    }

    #[test]
    fn the_bounds_are_one_sided_at_alpha_over_the_others() {
        // 1 − Φ(3.049872594), the reference value for .05/11
        let level = planned(Elimination::PairedT, 12).level(0).unwrap();
        assert!((level - 0.001_144_8).abs() < 1e-6, "{level}");
        let two_sided = planned(Elimination::PairedT, 12).confidence(0).unwrap();
        assert!(two_sided > 0.95 && two_sided < 1.0);
        assert_eq!(planned(Elimination::PairedT, 12).level(6), None);
    }

    #[test]
    fn who_is_clearly_worse_leaves_and_the_strongest_is_named() {
        let counts: [&[i64]; 3] =
            [&[40, 42, 41, 40, 43], &[50, 51, 50, 52, 50], &[52, 53, 52, 54, 53]];
        let decision = decide(&planned(Elimination::PairedT, 3), 0, &counts, 1.0);
        let who: Vec<_> = decision.beaten.iter().map(|b| b.who).collect();
        assert_eq!((who, decision.left.as_slice()), (vec![0, 1], [2].as_slice()));
        assert!(decision.beaten.iter().all(|b| b.n == 5 && b.p <= 0.02));
        assert_eq!(decision.beaten[1].by, 2);
    }

    #[test]
    fn a_difference_without_variance_drops_nobody_by_t_but_by_sign_flips() {
        let counts: [&[i64]; 2] = [&[50; 10], &[51; 10]];
        assert!(decide(&planned(Elimination::PairedT, 2), 1, &counts, 0.5).beaten.is_empty());
        let dropped = decide(&planned(Elimination::SignFlip, 2), 1, &counts, 0.5).beaten;
        assert_eq!(
            dropped.iter().map(|b| (b.who, b.p)).collect::<Vec<_>>(),
            [(0, 0.5f64.powi(10))]
        );
    }

    #[test]
    fn sign_flips_cannot_drop_anybody_at_the_first_look() {
        let counts: [&[i64]; 2] = [&[10, 11, 12, 10, 11], &[50, 52, 51, 50, 53]];
        assert!(decide(&planned(Elimination::SignFlip, 2), 0, &counts, 1.0).beaten.is_empty());
        assert_eq!(decide(&planned(Elimination::PairedT, 2), 0, &counts, 1.0).beaten.len(), 1);
    }

    #[test]
    fn two_common_seeds_decide_nothing() {
        let counts: [&[i64]; 2] = [&[10, 11], &[50, 52]];
        let decision = decide(&planned(Elimination::PairedT, 2), 0, &counts, 100.0);
        assert!(decision.beaten.is_empty() && !decision.equivalent);
        let anytime = Race::anytime(2, 0.05).unwrap();
        assert!(decide(&anytime, 0, &[&[0, 0], &[50, 52]], 1.0).beaten.is_empty());
    }

    #[test]
    fn what_lies_within_the_rope_stops_as_equivalent() {
        let counts: [&[i64]; 2] = [&[50, 51, 50, 52, 51], &[50, 52, 50, 51, 51]];
        let race = planned(Elimination::PairedT, 2);
        assert!(decide(&race, 0, &counts, 3.0).equivalent);
        assert!(!decide(&race, 0, &counts, 1.0).equivalent);
        // without variance five seeds are too few, ten are enough
        assert!(!decide(&race, 0, &[&[50; 5], &[50; 5]], 1.0).equivalent);
        assert!(decide(&race, 1, &[&[50; 10], &[50; 10]], 1.0).equivalent);
    }

    #[test]
    fn evidence_at_any_time_drops_and_stops_as_well() {
        let race = Race::anytime(3, 0.05).unwrap();
        let counts: [&[i64]; 3] = [&[40; 10], &[50; 10], &[50; 10]];
        let decision = decide(&race, 0, &counts, 2.0);
        assert_eq!(decision.left, [1, 2]);
        assert!(decision.equivalent);
        let beaten = decision.beaten[0];
        assert!(beaten.who == 0 && beaten.by == 1 && beaten.p <= 0.025, "{beaten:?}");
        assert!(decide(&race, 0, &[&[50; 3], &[51; 3], &[50; 3]], 2.0).beaten.is_empty());
    }

    #[test]
    fn the_last_one_is_never_dropped() {
        // Pairs on different seeds may beat each other in a circle.
        let race = planned(Elimination::PairedT, 3);
        let circle = |a: usize, b: usize| match (a, b) {
            (0, 1) | (1, 2) => vec![5, 6, 5, 7, 5],
            _ => vec![-5, -6, -5, -7, -6],
        };
        let decision = race.decide(0, &[0, 1, 2], 1.0, circle);
        assert_eq!((decision.beaten.len(), decision.left.len()), (2, 1));
    }

    #[test]
    fn levels_exist_for_every_level_and_number_of_looks_that_a_file_may_ask_for() {
        for looks in [1u32, 2, 6, 33, 100] {
            let looks: Vec<u32> = (1..=looks).map(|n| 5 * n).collect();
            for alpha in [1e-6, 0.05, 0.49] {
                for (k, spending) in [(2, Spending::Pocock), (200, Spending::ObrienFleming)] {
                    let race = Race::with_looks(&looks, k, alpha, spending, Elimination::PairedT);
                    assert!(
                        race.is_ok(),
                        "{} looks, alpha {alpha}, k = {k}: {race:?}",
                        looks.len()
                    );
                }
            }
        }
        assert!(Race::anytime(1, 0.05).is_err());
    }
}
