//! What is said of a comparison over both estimands (`docs/statistics.md`, "Headline"), with its reservations.
//!
//! An unqualified `better` needs both estimands and no reservation.

use crate::report::{Headline, HeadlineKind, Mark, Verdict, VerdictKind};

/// The headline of a comparison on `n_val` images from its two verdicts.
pub(crate) fn headline(
    on_these: &Verdict,
    beyond: &Verdict,
    n_val: u32,
    marks: Vec<Mark>,
) -> Headline {
    let here = format!("on these {n_val} images");
    let (kind, text) = if on_these.kind.claims_difference() {
        if beyond.kind.claims_difference() {
            let reservations: Vec<_> =
                marks.iter().filter(|m| forbids_unqualified(**m)).map(|m| m.word()).collect();
            let up = is_up(beyond.kind);
            if reservations.is_empty() {
                (if up { HeadlineKind::Better } else { HeadlineKind::Worse }, beyond.text.clone())
            } else {
                let kind =
                    if up { HeadlineKind::BetterQualified } else { HeadlineKind::WorseQualified };
                (kind, format!("{}, with reservation: {}", beyond.text, reservations.join(", ")))
            }
        } else {
            let kind = if is_up(on_these.kind) {
                HeadlineKind::BetterQualified
            } else {
                HeadlineKind::WorseQualified
            };
            (kind, format!("{} {here}; beyond them {}", on_these.text, beyond.text))
        }
    } else {
        match (on_these.kind, beyond.kind) {
            (VerdictKind::Equivalent, VerdictKind::Equivalent) => {
                (HeadlineKind::Equivalent, "equivalent".to_owned())
            }
            (VerdictKind::Equivalent, _) => {
                (HeadlineKind::Equivalent, format!("equivalent {here}"))
            }
            (VerdictKind::Untestable, _) => (HeadlineKind::Untestable, on_these.text.clone()),
            (_, VerdictKind::CannotBeResolvedBySeeds) => {
                (HeadlineKind::Unresolved, beyond.text.clone())
            }
            _ => (HeadlineKind::Unresolved, on_these.text.clone()),
        }
    };
    Headline { kind, text, marks }
}

/// Whether a verdict that claims a difference claims it upwards.
pub(crate) fn is_up(kind: VerdictKind) -> bool {
    matches!(
        kind,
        VerdictKind::Better | VerdictKind::BetterButNegligible | VerdictKind::BetterSizeUnresolved
    )
}

/// Whether this reservation takes the unqualified `better` away.
pub(crate) fn forbids_unqualified(mark: Mark) -> bool {
    match mark {
        Mark::Censored
        | Mark::Extended
        | Mark::StoppedEarly
        | Mark::PostHoc
        | Mark::StoppedAtLook => true,
        Mark::MixedDevices | Mark::Data | Mark::TestsDisagree => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Needs;

    fn v(kind: VerdictKind, text: &str) -> Verdict {
        Verdict {
            kind,
            rule: 0,
            tests_disagree: false,
            needs: Needs::default(),
            text: text.to_owned(),
        }
    }

    fn said(e1: Verdict, e2: Verdict, marks: &[Mark]) -> (HeadlineKind, String) {
        let h = headline(&e1, &e2, 60, marks.to_vec());
        (h.kind, h.text)
    }

    fn better() -> Verdict {
        v(VerdictKind::Better, "better")
    }

    #[test]
    fn better_in_both_estimands_is_unqualified_and_takes_the_wider_verdict() {
        assert_eq!(said(better(), better(), &[]), (HeadlineKind::Better, "better".into()));
        let e2 = v(VerdictKind::BetterSizeUnresolved, "better, size unresolved");
        assert_eq!(
            said(better(), e2, &[]),
            (HeadlineKind::Better, "better, size unresolved".into())
        );
        let worse = v(VerdictKind::Worse, "worse");
        assert_eq!(said(worse.clone(), worse, &[]), (HeadlineKind::Worse, "worse".into()));
    }

    #[test]
    fn better_on_these_images_alone_says_so() {
        let e2 = v(VerdictKind::Unresolved, "unresolved");
        assert_eq!(
            said(better(), e2, &[]),
            (
                HeadlineKind::BetterQualified,
                "better on these 60 images; beyond them unresolved".into()
            )
        );
    }

    #[test]
    fn equivalence_beyond_the_images_needs_its_own_verdict() {
        let eq = || v(VerdictKind::Equivalent, "equivalent");
        assert_eq!(said(eq(), eq(), &[]), (HeadlineKind::Equivalent, "equivalent".into()));
        assert_eq!(said(eq(), better(), &[]).1, "equivalent on these 60 images");
        assert_eq!(
            said(eq(), v(VerdictKind::Unresolved, "unresolved"), &[]).1,
            "equivalent on these 60 images"
        );
    }

    #[test]
    fn untestable_stays_untestable_whatever_the_other_estimand_says() {
        let un = || v(VerdictKind::Untestable, "untestable — one pair of seeds");
        assert_eq!(
            said(un(), better(), &[]),
            (HeadlineKind::Untestable, "untestable — one pair of seeds".into())
        );
    }

    #[test]
    fn otherwise_it_is_unresolved_or_beyond_the_reach_of_seeds() {
        let un = || v(VerdictKind::Unresolved, "unresolved");
        assert_eq!(said(un(), better(), &[]).1, "unresolved");
        let e2 = v(VerdictKind::CannotBeResolvedBySeeds, "cannot be resolved by seeds");
        assert_eq!(
            said(un(), e2, &[]),
            (HeadlineKind::Unresolved, "cannot be resolved by seeds".into())
        );
    }

    #[test]
    fn a_reservation_takes_the_unqualified_better_away() {
        for mark in [Mark::Censored, Mark::Extended, Mark::StoppedEarly, Mark::PostHoc] {
            let (kind, text) = said(better(), better(), &[mark]);
            assert_eq!(kind, HeadlineKind::BetterQualified);
            assert_eq!(text, format!("better, with reservation: {}", mark.word()));
        }
        assert_eq!(said(better(), better(), &[Mark::Data]).0, HeadlineKind::Better);
    }
}
