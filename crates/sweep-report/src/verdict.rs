//! The verdict of one comparison in one estimand: eight rules, the first that fits (`docs/statistics.md`, "Verdicts").
//!
//! Pure judgement over numbers computed elsewhere; not the place for a test, an interval or a correction. The words over both
//! estimands are in [`crate::headline`].

use crate::format;
use crate::report::{Estimand, Interval, Needs, Verdict, VerdictKind};
use crate::seeds::MOST;

/// Everything the rules look at.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) estimand: Estimand,
    /// Pairs at hand.
    pub(crate) pairs: usize,
    pub(crate) estimate: Option<f64>,
    pub(crate) interval: Option<Interval>,
    /// All differences are one value: no spread to build an interval from.
    pub(crate) constant: bool,
    /// Adjusted.
    pub(crate) p: Option<f64>,
    /// Adjusted.
    pub(crate) tost_p: Option<f64>,
    /// Half-width of the region of practical equivalence.
    pub(crate) rope: f64,
    pub(crate) alpha: f64,
    /// Pairs from which on the exact test can reach the level after correction; `None` where no exact test is used.
    pub(crate) exact_needs: Option<u64>,
    pub(crate) detect: f64,
    /// E2 only.
    pub(crate) floor: Option<f64>,
    pub(crate) n_val: u32,
}

/// Coverage of the crossed interval is unstudied below this many seeds.
const E2_MIN_SEEDS: usize = 5;

/// The first rule that fits; `needs` is asked only where the verdict leaves something open.
pub(crate) fn verdict(case: &Case, needs: impl FnOnce() -> Needs) -> Verdict {
    use VerdictKind::*;
    let (kind, rule, tests_disagree) = judge(case);
    let needs = if matches!(kind, Untestable | CannotBeResolvedBySeeds | Unresolved) {
        needs()
    } else {
        Needs::default()
    };
    Verdict {
        kind,
        rule,
        tests_disagree,
        needs,
        text: words(case, needs, kind, rule, tests_disagree),
    }
}

fn judge(case: &Case) -> (VerdictKind, u8, bool) {
    use VerdictKind::*;
    let Some(estimate) = case.estimate.filter(|_| case.pairs >= 2) else {
        return (Untestable, 1, false);
    };
    let may_claim = case.estimand == Estimand::E1 || case.pairs >= E2_MIN_SEEDS;
    let significant = may_claim && case.p.is_some_and(|p| p <= case.alpha);
    let excludes_zero = match case.interval {
        Some(interval) => interval.excludes_zero(),
        None => case.constant && estimate != 0.0,
    };
    if significant && excludes_zero {
        let inside = match case.interval {
            Some(interval) => interval.inside(case.rope),
            None => estimate.abs() <= case.rope,
        };
        let up = estimate > 0.0;
        let (kind, rule) = match (inside, estimate.abs() >= case.rope, up) {
            (true, _, true) => (BetterButNegligible, 2),
            (true, _, false) => (WorseButNegligible, 2),
            (false, true, true) => (Better, 3),
            (false, true, false) => (Worse, 3),
            (false, false, true) => (BetterSizeUnresolved, 4),
            (false, false, false) => (WorseSizeUnresolved, 4),
        };
        return (kind, rule, false);
    }
    if may_claim && case.tost_p.is_some_and(|p| p <= case.alpha) {
        return (Equivalent, 5, false);
    }
    if case.estimand == Estimand::E1 && case.exact_needs.is_some_and(|n| (case.pairs as u64) < n) {
        return (Untestable, 6, false);
    }
    if case.estimand == Estimand::E2
        && case.floor.is_some_and(|floor| estimate.abs().max(case.detect) < floor)
    {
        return (CannotBeResolvedBySeeds, 7, false);
    }
    // The other direction (p > α, interval without 0) is what a correction over m does to every borderline case, not a
    // contradiction between two methods.
    (Unresolved, 8, significant && !excludes_zero)
}

fn words(case: &Case, needs: Needs, kind: VerdictKind, rule: u8, tests_disagree: bool) -> String {
    use VerdictKind::*;
    match kind {
        Better => "better".to_owned(),
        BetterButNegligible => "better, but negligible".to_owned(),
        BetterSizeUnresolved => "better, size unresolved".to_owned(),
        Worse => "worse".to_owned(),
        WorseButNegligible => "worse, but negligible".to_owned(),
        WorseSizeUnresolved => "worse, size unresolved".to_owned(),
        Equivalent => "equivalent".to_owned(),
        Untestable if rule == 1 => format!("untestable — {}", pairs_at_hand(case.pairs)),
        Untestable => match needs.seeds_for_test {
            Some(seeds) => format!(
                "untestable — {} cannot reach the level, {seeds} could",
                format::count(case.pairs as u64, "seed", "seeds")
            ),
            None => format!(
                "untestable — {} cannot reach the level",
                format::count(case.pairs as u64, "seed", "seeds")
            ),
        },
        CannotBeResolvedBySeeds => {
            let seen = case.estimate.map_or(0.0, f64::abs);
            let (images, delta) = if seen > case.detect {
                (needs.images_as_seen, seen)
            } else {
                (needs.images_for_detect, case.detect)
            };
            match images {
                Some(images) => {
                    format!(
                        "cannot be resolved by seeds — about {images} images for {} pp, there are {}",
                        format::short(delta * 100.0, 1),
                        case.n_val
                    )
                }
                None => "cannot be resolved by seeds".to_owned(),
            }
        }
        Unresolved => {
            let disagree = if tests_disagree { " (tests disagree)" } else { "" };
            match needed(case, needs) {
                Some(needed) => format!("unresolved{disagree} — {needed}"),
                None => format!("unresolved{disagree}"),
            }
        }
    }
}

fn pairs_at_hand(pairs: usize) -> String {
    match pairs {
        0 => "no pair of seeds".to_owned(),
        _ => "one pair of seeds".to_owned(),
    }
}

fn needed(case: &Case, needs: Needs) -> Option<String> {
    let detect = format::short(case.detect * 100.0, 2);
    let by_sd = |n: u64, by_sd: Option<u64>| match by_sd.filter(|by_sd| *by_sd != n) {
        // A pilot's standard deviation may be far too small: both numbers, the cautious one first.
        Some(by_sd) => format!("{} ({})", seeds(n), by_the_sd(by_sd)),
        None => seeds(n),
    };
    let seen = needs
        .seeds_as_seen
        .map(|n| format!("{} for a difference this large", by_sd(n, needs.seeds_as_seen_by_sd)));
    let for_detect = match (needs.seeds_for_detect, needs.images_for_detect) {
        (Some(n), _) => Some(format!("{} for {detect} pp", by_sd(n, needs.seeds_for_detect_by_sd))),
        (None, Some(images)) => Some(format!("{detect} pp needs about {images} images")),
        (None, None) => None,
    };
    let parts: Vec<String> = seen.into_iter().chain(for_detect).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn seeds(n: u64) -> String {
    if n > MOST { format!("more than {MOST} seeds") } else { format!("about {n} seeds") }
}

/// Seeds by a pilot's standard deviation as it is.
fn by_the_sd(n: u64) -> String {
    if n > MOST { format!("> {MOST} by the sd seen") } else { format!("{n} by the sd seen") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e1() -> Case {
        Case {
            estimand: Estimand::E1,
            pairs: 10,
            estimate: Some(0.03),
            interval: Some(Interval { low: 0.005, high: 0.055 }),
            constant: false,
            p: Some(0.01),
            tost_p: Some(0.9),
            rope: 0.01,
            alpha: 0.05,
            exact_needs: Some(6),
            detect: 0.01,
            floor: None,
            n_val: 60,
        }
    }

    fn e2() -> Case {
        Case { estimand: Estimand::E2, exact_needs: None, floor: Some(0.002), ..e1() }
    }

    fn rule(case: &Case) -> (u8, VerdictKind) {
        let v = verdict(case, Needs::default);
        (v.rule, v.kind)
    }

    #[test]
    fn rule_1_fewer_than_two_pairs_are_untestable() {
        assert_eq!(rule(&Case { pairs: 1, ..e1() }), (1, VerdictKind::Untestable));
        assert_eq!(rule(&Case { pairs: 0, estimate: None, ..e2() }), (1, VerdictKind::Untestable));
    }

    #[test]
    fn rule_2_a_difference_within_the_rope_is_negligible() {
        let case = Case {
            estimate: Some(0.005),
            interval: Some(Interval { low: 0.002, high: 0.008 }),
            ..e1()
        };
        assert_eq!(rule(&case), (2, VerdictKind::BetterButNegligible));
        let down = Case {
            estimate: Some(-0.005),
            interval: Some(Interval { low: -0.008, high: -0.002 }),
            ..e1()
        };
        assert_eq!(rule(&down), (2, VerdictKind::WorseButNegligible));
    }

    #[test]
    fn rule_2_takes_the_single_value_when_nothing_varies() {
        let case = Case { estimate: Some(0.005), interval: None, constant: true, ..e1() };
        assert_eq!(rule(&case), (2, VerdictKind::BetterButNegligible));
    }

    #[test]
    fn rule_3_a_large_difference_is_better_or_worse() {
        assert_eq!(rule(&e1()), (3, VerdictKind::Better));
        let down = Case {
            estimate: Some(-0.03),
            interval: Some(Interval { low: -0.055, high: -0.005 }),
            ..e1()
        };
        assert_eq!(rule(&down), (3, VerdictKind::Worse));
        assert_eq!(
            rule(&Case { interval: None, constant: true, ..e1() }),
            (3, VerdictKind::Better)
        );
    }

    #[test]
    fn rule_4_a_small_estimate_with_a_wide_interval_has_no_size() {
        let case = Case {
            estimate: Some(0.008),
            interval: Some(Interval { low: 0.001, high: 0.015 }),
            ..e1()
        };
        assert_eq!(rule(&case), (4, VerdictKind::BetterSizeUnresolved));
    }

    #[test]
    fn rule_5_equivalence_needs_its_own_test() {
        let case = Case {
            p: Some(0.6),
            estimate: Some(0.0),
            interval: Some(Interval { low: -0.01, high: 0.01 }),
            tost_p: Some(0.03),
            ..e1()
        };
        assert_eq!(rule(&case), (5, VerdictKind::Equivalent));
        assert_eq!(rule(&Case { tost_p: Some(0.06), ..case }).0, 8);
    }

    #[test]
    fn rule_5_comes_before_rule_6_so_that_equal_runs_are_evidence() {
        let case = Case {
            p: Some(1.0),
            estimate: Some(0.0),
            interval: None,
            constant: true,
            tost_p: Some(0.03),
            pairs: 5,
            exact_needs: Some(6),
            ..e1()
        };
        assert_eq!(rule(&case), (5, VerdictKind::Equivalent));
    }

    #[test]
    fn rule_6_an_exact_test_that_cannot_reach_the_level_says_how_many_seeds_could() {
        let needs = Needs { seeds_for_test: Some(6), ..Needs::default() };
        let case = Case { pairs: 5, p: Some(0.0625), exact_needs: Some(6), ..e1() };
        let v = verdict(&case, || needs);
        assert_eq!((v.rule, v.kind), (6, VerdictKind::Untestable));
        assert_eq!(v.text, "untestable — 5 seeds cannot reach the level, 6 could");
    }

    #[test]
    fn rule_7_below_the_floor_more_seeds_are_no_answer() {
        let needs =
            Needs { images_for_detect: Some(950), images_as_seen: Some(200), ..Needs::default() };
        let case = Case {
            p: Some(0.4),
            interval: Some(Interval { low: -0.04, high: 0.10 }),
            floor: Some(0.06),
            ..e2()
        };
        let v = verdict(&case, || needs);
        assert_eq!((v.rule, v.kind), (7, VerdictKind::CannotBeResolvedBySeeds));
        assert_eq!(v.text, "cannot be resolved by seeds — about 200 images for 3 pp, there are 60");
        assert_eq!(rule(&Case { estimate: Some(0.07), ..case }).0, 8);
    }

    #[test]
    fn rule_8_everything_else_is_unresolved_and_says_what_would_help() {
        let needs =
            Needs { seeds_for_detect: Some(120), seeds_as_seen: Some(18), ..Needs::default() };
        let case =
            Case { p: Some(0.11), interval: Some(Interval { low: -0.006, high: 0.048 }), ..e1() };
        let v = verdict(&case, || needs);
        assert_eq!((v.rule, v.kind, v.tests_disagree), (8, VerdictKind::Unresolved, false));
        assert_eq!(
            v.text,
            "unresolved — about 18 seeds for a difference this large, about 120 seeds for 1 pp"
        );
    }

    #[test]
    fn a_small_p_with_an_interval_over_zero_is_unresolved_because_tests_disagree() {
        let v = verdict(
            &Case { interval: Some(Interval { low: -0.001, high: 0.061 }), ..e1() },
            Needs::default,
        );
        assert_eq!((v.rule, v.tests_disagree), (8, true));
        assert!(v.text.starts_with("unresolved (tests disagree)"), "{}", v.text);
    }

    #[test]
    fn beyond_these_images_nothing_is_claimed_below_five_seeds() {
        assert_eq!(rule(&Case { pairs: 4, ..e2() }), (8, VerdictKind::Unresolved));
        assert_eq!(
            rule(&Case { pairs: 4, p: None, tost_p: Some(0.001), ..e2() }),
            (8, VerdictKind::Unresolved)
        );
        assert_eq!(rule(&Case { pairs: 5, ..e2() }), (3, VerdictKind::Better));
    }

    #[test]
    fn a_missing_p_never_counts_as_significant() {
        assert_eq!(rule(&Case { p: None, exact_needs: None, ..e1() }).0, 8);
    }
}
