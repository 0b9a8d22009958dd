//! What may be said of a comparison whose seeds ended at a look (`docs/statistics.md`, "Adaptive seeding").
//!
//! Words come from what the rule decided, or with a reservation from the interval of that look; never from a fixed-n p value,
//! never beyond the images, and never unqualified. Unqualified words are for confirmation seeds: `verdict` and `headline`.

use crate::headline::{forbids_unqualified, is_up};
use crate::report::{
    AtLook, Headline, HeadlineKind, Interval, LookDecision, Mark, Needs, Verdict, VerdictKind,
};

/// What a look leaves to judge by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked {
    pub(crate) at: AtLook,
    pub(crate) pairs: usize,
    pub(crate) estimate: Option<f64>,
    /// Of that look.
    pub(crate) interval: Option<Interval>,
    /// Half-width of the region of practical equivalence.
    pub(crate) rope: f64,
}

/// The verdict on these images.
pub(crate) fn verdict(case: &Looked) -> Verdict {
    let (kind, rule) = judge(case);
    let text = match kind {
        VerdictKind::Better => "better".to_owned(),
        VerdictKind::BetterButNegligible => "better, but negligible".to_owned(),
        VerdictKind::BetterSizeUnresolved => "better, size unresolved".to_owned(),
        VerdictKind::Worse => "worse".to_owned(),
        VerdictKind::WorseButNegligible => "worse, but negligible".to_owned(),
        VerdictKind::WorseSizeUnresolved => "worse, size unresolved".to_owned(),
        VerdictKind::Equivalent => "equivalent".to_owned(),
        VerdictKind::Untestable => "untestable — fewer than two pairs of seeds".to_owned(),
        VerdictKind::CannotBeResolvedBySeeds | VerdictKind::Unresolved => {
            format!("unresolved at look {}", case.at.look)
        }
    };
    Verdict { kind, rule, tests_disagree: false, needs: Needs::default(), text }
}

fn judge(case: &Looked) -> (VerdictKind, u8) {
    let Some(estimate) = case.estimate.filter(|_| case.pairs >= 2) else {
        return (VerdictKind::Untestable, 1);
    };
    match case.at.decision {
        Some(LookDecision::DroppedByReference) => different(case, false),
        Some(LookDecision::DroppedReference) => different(case, true),
        Some(LookDecision::Equivalent) => (VerdictKind::Equivalent, 5),
        Some(LookDecision::Dropped) | None => match case.interval {
            Some(interval) if interval.excludes_zero() => different(case, estimate > 0.0),
            Some(interval) if interval.inside(case.rope) => (VerdictKind::Equivalent, 5),
            _ => (VerdictKind::Unresolved, 8),
        },
    }
}

/// How large a difference that is known to exist is: rules 2 to 4 of the verdict table.
fn different(case: &Looked, up: bool) -> (VerdictKind, u8) {
    use VerdictKind::*;
    let inside = case.interval.is_some_and(|i| i.inside(case.rope));
    let large = case.interval.is_some_and(|i| i.excludes_zero())
        && case.estimate.is_some_and(|e| e.abs() >= case.rope);
    match (inside, large, up) {
        (true, _, true) => (BetterButNegligible, 2),
        (true, _, false) => (WorseButNegligible, 2),
        (false, true, true) => (Better, 3),
        (false, true, false) => (Worse, 3),
        (false, false, true) => (BetterSizeUnresolved, 4),
        (false, false, false) => (WorseSizeUnresolved, 4),
    }
}

/// The headline; `a` names the reference, `marks` are those that hold anyway.
pub(crate) fn headline(
    case: &Looked,
    verdict: &Verdict,
    a: &str,
    n_val: u32,
    mut marks: Vec<Mark>,
) -> Headline {
    let look = case.at.look;
    let claims = verdict.kind.claims_difference() || verdict.kind == VerdictKind::Equivalent;
    if !claims {
        let kind = match verdict.kind {
            VerdictKind::Untestable => HeadlineKind::Untestable,
            _ => HeadlineKind::Unresolved,
        };
        return Headline { kind, text: verdict.text.clone(), marks };
    }
    let kind = match verdict.kind {
        VerdictKind::Equivalent => HeadlineKind::Equivalent,
        kind if is_up(kind) => HeadlineKind::BetterQualified,
        _ => HeadlineKind::WorseQualified,
    };
    let mut reservations: Vec<String> = Vec::new();
    let decided = match case.at.decision {
        Some(LookDecision::DroppedByReference) => format!(": dropped at look {look}"),
        Some(LookDecision::DroppedReference) => format!(": {a} was dropped at look {look}"),
        Some(LookDecision::Equivalent) => format!(": stopped as equivalent at look {look}"),
        Some(LookDecision::Dropped) | None => {
            reservations.push(format!("{} {look}", Mark::StoppedAtLook.word()));
            String::new()
        }
    };
    reservations
        .extend(marks.iter().filter(|m| forbids_unqualified(**m)).map(|m| m.word().to_owned()));
    if case.at.decision.is_none() {
        marks.push(Mark::StoppedAtLook);
    }
    let reservations = match reservations.as_slice() {
        [] => String::new(),
        some => format!(", with reservation: {}", some.join(", ")),
    };
    let text = format!("{} on these {n_val} images{decided}{reservations}", verdict.text);
    Headline { kind, text, marks }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One point of 60 images is what counts as equivalent; the interval is that of look 3.
    fn case(low: f64, high: f64, decision: Option<LookDecision>) -> Looked {
        Looked {
            at: AtLook { look: 3, seeds: 15, confidence: Some(0.98), decision },
            pairs: 15,
            estimate: Some((low + high) / 2.0),
            interval: Some(Interval { low, high }),
            rope: 0.01,
        }
    }

    fn said(case: &Looked, marks: &[Mark]) -> (HeadlineKind, String) {
        let h = headline(case, &verdict(case), "softmax", 60, marks.to_vec());
        (h.kind, h.text)
    }

    #[test]
    fn an_interval_alone_never_gives_an_unqualified_better() {
        let up = case(0.02, 0.06, None);
        assert_eq!(
            said(&up, &[]),
            (
                HeadlineKind::BetterQualified,
                "better on these 60 images, with reservation: stopped at look 3".into()
            )
        );
        let down = case(-0.06, -0.02, None);
        assert_eq!(said(&down, &[]).0, HeadlineKind::WorseQualified);
        let marks = headline(&up, &verdict(&up), "softmax", 60, Vec::new()).marks;
        assert_eq!(marks, [Mark::StoppedAtLook]);
    }

    #[test]
    fn what_the_rule_dropped_is_worse_on_these_images() {
        let fell = case(-0.06, -0.02, Some(LookDecision::DroppedByReference));
        assert_eq!(
            said(&fell, &[]),
            (HeadlineKind::WorseQualified, "worse on these 60 images: dropped at look 3".into())
        );
        let rose = case(0.02, 0.06, Some(LookDecision::DroppedReference));
        assert_eq!(said(&rose, &[]).1, "better on these 60 images: softmax was dropped at look 3");
    }

    #[test]
    fn other_reservations_stand_beside_a_decision_of_the_rule() {
        let fell = case(-0.06, -0.02, Some(LookDecision::DroppedByReference));
        assert_eq!(
            said(&fell, &[Mark::PostHoc, Mark::Data]).1,
            "worse on these 60 images: dropped at look 3, with reservation: post hoc"
        );
    }

    #[test]
    fn a_drop_whose_interval_reaches_zero_has_no_size() {
        // One-sided evidence at α can lie within a two-sided interval at 1 − α.
        let fell = case(-0.06, 0.001, Some(LookDecision::DroppedByReference));
        assert_eq!(verdict(&fell).kind, VerdictKind::WorseSizeUnresolved);
        let anytime = Looked { interval: None, ..fell };
        assert_eq!(verdict(&anytime).kind, VerdictKind::WorseSizeUnresolved);
    }

    #[test]
    fn a_stop_as_equivalent_says_so_even_where_the_interval_excludes_zero() {
        let stopped = case(0.001, 0.006, Some(LookDecision::Equivalent));
        assert_eq!(
            said(&stopped, &[]),
            (
                HeadlineKind::Equivalent,
                "equivalent on these 60 images: stopped as equivalent at look 3".into()
            )
        );
        assert_eq!(verdict(&case(0.001, 0.006, None)).kind, VerdictKind::BetterButNegligible);
        assert_eq!(verdict(&case(-0.004, 0.006, None)).kind, VerdictKind::Equivalent);
    }

    #[test]
    fn without_an_interval_or_a_decision_nothing_is_claimed() {
        let open = Looked { interval: None, ..case(0.02, 0.06, None) };
        assert_eq!(said(&open, &[]), (HeadlineKind::Unresolved, "unresolved at look 3".into()));
        let wide = case(-0.02, 0.06, None);
        assert_eq!(verdict(&wide).kind, VerdictKind::Unresolved);
        let one = Looked { pairs: 1, ..wide };
        assert_eq!(said(&one, &[]).0, HeadlineKind::Untestable);
    }
}
