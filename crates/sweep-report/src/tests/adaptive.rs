//! Sweeps whose seeds a rule gave out by looking: what may be said after looks, and on confirmation seeds.

use sweep_core::adaptive::StopReason;

use crate::plot::{FigureKind, figures};
use crate::report::{
    Comparison, Family, FamilyKind, HeadlineKind, LookDecision, Mark, Report, TestName, VerdictKind,
};
use crate::terminal::{self, Style};
use crate::testing::{Study, study, study_on};

const FOUR: &str = "  - softmax\n  - cosine\n  - am_softmax: { margin: [0.1, 0.2], scale: 10 }\n";
const RULE: &str = "adaptive: { max_seeds: 15, look_every: 5, confirm: 8 }\nbaseline: softmax\n";

/// Images right of 100: the last two configurations lead softmax by 10 images, cosine trails it by 12.
fn right(c: usize, seed: u64) -> u32 {
    // Knuth's multiplicative hash: no two configurations vary alike.
    let hash = (seed * 31 + c as u64 * 17) * 2_654_435_761 % (1 << 32);
    let noise = (hash >> 13) as u32 % 4;
    [70, 58, 80, 81][c] + noise
}

fn started() -> Study {
    study(FOUR, "", RULE, 100).end(right)
}

/// The first look dropped cosine; the seeds of the second have ended, and it has not been taken.
pub(super) fn between_looks() -> Study {
    started().look(&[(1, 2, 1e-5)], &[]).end(right)
}

/// Softmax fell at the second look, and all seeds of the two others have ended.
pub(super) fn two_left() -> Study {
    let study = between_looks().look(&[(0, 2, 1e-4)], &[]).end(right);
    study.look(&[], &[(0, StopReason::Cap)]).end(right)
}

/// Everything but one fell at the second look.
pub(super) fn one_left() -> Study {
    let left = [(0, StopReason::OneLeft)];
    between_looks().look(&[(0, 3, 1e-4), (2, 3, 0.002)], &left).end(right)
}

/// Evidence that holds at any time, with softmax left.
pub(super) fn anytime() -> Study {
    let rule = "adaptive: { max_seeds: 10, look_every: 5, confirm: 8, anytime: true }\nbaseline: softmax\n";
    let study = study(FOUR, "", rule, 100).end(right).look(&[], &[]).end(right);
    study.look(&[(1, 2, 0.004)], &[(0, StopReason::Cap)]).end(right)
}

fn family(report: &Report) -> &Family {
    report.datasets[0].family.as_ref().unwrap()
}

fn confirmed(report: &Report) -> &Family {
    report.datasets[0].confirmation.as_ref().unwrap().family.as_ref().unwrap()
}

fn said(c: &Comparison) -> (HeadlineKind, &str) {
    let headline = c.headline.as_ref().unwrap();
    (headline.kind, &headline.text)
}

fn wide(report: &Report) -> String {
    terminal::comparison(report, Style { width: 400, colour: false })
}

#[test]
fn after_looks_there_is_no_p_value_and_no_verdict_beyond_the_images() {
    for study in [two_left(), one_left(), anytime()] {
        let report = study.report();
        for c in &family(&report).comparisons {
            for e in [&c.on_these, &c.beyond] {
                assert_eq!((e.p, e.p_adjusted, e.p_min), (None, None, None));
                assert_eq!((e.tost_p, e.tost_p_adjusted), (None, None));
            }
            assert!(c.beyond.interval.is_some() && c.beyond.verdict.is_none());
            let other = c.sensitivity.as_ref().unwrap();
            assert_eq!((other.sign_flip, other.wilcoxon, other.paired_t), (None, None, None));
            assert!(other.fdr.is_none() && other.hodges_lehmann.is_some());
        }
        assert!(report.datasets[0].summaries.iter().all(|s| s.bootstrap.is_none()));
        assert!(report.ranks.is_none());
    }
}

#[test]
fn after_looks_nothing_is_better_without_a_qualification() {
    for study in [two_left(), one_left(), anytime()] {
        for c in &family(&study.report()).comparisons {
            let (kind, text) = said(c);
            assert!(!matches!(kind, HeadlineKind::Better | HeadlineKind::Worse), "{text}");
        }
    }
}

#[test]
fn the_interval_on_these_images_is_that_of_the_look_that_ended_the_comparison() {
    let study = two_left();
    let report = study.report();
    let [cosine, am, _] = family(&report).comparisons.as_slice() else { panic!() };
    let at = |c: &Comparison| (c.look.unwrap().look, c.look.unwrap().seeds, c.pairs.len());
    assert_eq!((at(cosine), at(am)), ((1, 5, 5), (2, 10, 10)));
    for (c, round) in [(cosine, 0), (am, 1)] {
        let level = study.plan.rounds[round].confidence.unwrap();
        assert!(level > 0.95 && c.look.unwrap().confidence == Some(level));
        let shares: Vec<f64> = c.pairs.iter().map(|p| p.images as f64 / 100.0).collect();
        let t = sweep_stats::describe::describe(&shares, level).unwrap().t_interval.unwrap();
        let interval = c.on_these.interval.unwrap();
        approx::assert_abs_diff_eq!(interval.low, t.low, epsilon = 1e-12);
        approx::assert_abs_diff_eq!(interval.high, t.high, epsilon = 1e-12);
        assert_eq!(c.dropped, 0);
    }
}

#[test]
fn a_summary_has_the_interval_of_the_look_that_ended_its_seeds() {
    let study = two_left();
    let summaries = &study.report().datasets[0].summaries;
    let looks: Vec<_> = summaries.iter().map(|s| s.look.map(|l| (l.look, s.n))).collect();
    assert_eq!(looks, [Some((2, 10)), Some((1, 5)), Some((3, 15)), Some((3, 15))]);
    for s in summaries {
        let counts: Vec<i64> = s.values.iter().map(|v| i64::from(v.correct)).collect();
        let level = s.look.unwrap().confidence.unwrap();
        let t = sweep_stats::describe::describe_counts(&counts, 100, level).unwrap();
        assert_eq!(s.on_these.unwrap().low, t.t_interval.unwrap().low);
    }
}

#[test]
fn words_come_from_what_the_rule_dropped_or_carry_the_look() {
    let report = two_left().report();
    let [cosine, am1, am2] = family(&report).comparisons.as_slice() else { panic!() };
    assert_eq!(am1.look.unwrap().decision, Some(LookDecision::DroppedReference));
    assert_eq!(
        said(am1),
        (
            HeadlineKind::BetterQualified,
            "better on these 100 images: softmax was dropped at look 2"
        )
    );
    // Another configuration dropped them: only the interval tells these two apart.
    assert_eq!(said(cosine).1, "worse on these 100 images, with reservation: stopped at look 1");
    assert_eq!(said(am2).1, "better on these 100 images, with reservation: stopped at look 2");
    assert_eq!(am2.headline.as_ref().unwrap().marks, [Mark::StoppedAtLook]);
}

#[test]
fn what_stopped_as_equivalent_is_equivalent_on_these_images() {
    let rule = "adaptive: { max_seeds: 15, look_every: 5, confirm: 0 }\nbaseline: softmax\nanalysis: { rope: 0.05 }\n";
    let report = study("  - softmax\n  - cosine\n", "", rule, 100)
        .end(|c, seed| 80 + (seed as u32 * (c as u32 + 1)) % 3)
        .look(&[], &[(0, StopReason::Equivalent)])
        .report();
    let c = &family(&report).comparisons[0];
    assert_eq!(
        said(c),
        (
            HeadlineKind::Equivalent,
            "equivalent on these 100 images: stopped as equivalent at look 1"
        )
    );
    assert!(report.datasets[0].confirmation.is_none());
    assert!(wide(&report).contains("no confirmation seeds"));
    assert_eq!(report.datasets[0].best_set.as_ref().unwrap().members, [0, 1]);
}

#[test]
fn confirmation_seeds_are_a_family_of_their_own_with_unqualified_verdicts() {
    let four = "  - softmax\n  - cosine\n  - am_softmax: { margin: 0.1, scale: 10 }\n  - am_softmax: { margin: 0.2, scale: 10 }\n";
    let fell = study(four, "", RULE, 100).end(right).look(&[(1, 2, 1e-5)], &[]).end(right);
    let capped = fell.look(&[], &[]).end(right).look(&[], &[(0, StopReason::Cap)]).end(right);
    let report = capped.report();
    let family = confirmed(&report);
    assert_eq!((family.kind, family.m), (FamilyKind::Confirmation, 2));
    assert_eq!(family.baseline.as_ref().unwrap().label, "softmax");
    for c in &family.comparisons {
        let seeds: Vec<u64> = c.pairs.iter().map(|p| p.seed).collect();
        assert_eq!(seeds, (16..=23).collect::<Vec<_>>());
        assert!(c.look.is_none());
        // Exact sign-flip of 8 pairs all one way, times 2 by Holm.
        assert_eq!((c.on_these.p, c.on_these.p_adjusted), (Some(2.0 / 256.0), Some(4.0 / 256.0)));
        assert_eq!(said(c), (HeadlineKind::Better, "better"));
    }
    assert!(report.datasets[0].summaries.iter().all(|s| s.values.iter().all(|v| v.seed <= 15)));
}

#[test]
fn survivors_without_the_baseline_are_confirmed_each_against_each() {
    let report = two_left().report();
    let family = confirmed(&report);
    assert_eq!((family.m, family.baseline.is_none(), family.comparisons.len()), (1, true, 1));
    assert_eq!((family.comparisons[0].a, family.comparisons[0].b), (2, 3));
    let text = wide(&report);
    assert!(text.contains("confirmation of what is left, each against each (8 paired confirmation seeds; exact sign-flip"), "{text}");
}

#[test]
fn one_survivor_has_an_estimate_on_confirmation_seeds_and_nothing_to_compare() {
    let report = one_left().report();
    let confirmation = report.datasets[0].confirmation.as_ref().unwrap();
    assert!(confirmation.family.is_none());
    let [only] = confirmation.summaries.as_slice() else { panic!() };
    assert_eq!((only.candidate, only.n, only.look), (3, 8, None));
    assert!(only.bootstrap.is_some());
    assert!(wide(&report).contains("the part of these images stays"));
}

#[test]
fn the_survivors_are_the_best_set() {
    let report = two_left().report();
    let set = report.datasets[0].best_set.as_ref().unwrap();
    assert_eq!((set.members.as_slice(), set.excluded, set.k), ([2, 3].as_slice(), 2, 4));
    assert!(set.by_looks && set.test == TestName::PairedT);
    approx::assert_abs_diff_eq!(set.level, 0.05 / 3.0);
    assert!(
        wide(&report).contains("2 of 4 dropped by one-sided paired t at 0.0167 over all looks")
    );
}

#[test]
fn the_trace_tells_what_the_rounds_stored() {
    let report = two_left().report();
    let trace = &report.adaptive[0];
    assert_eq!(
        trace.rule,
        "Pocock spending, paired t, one-sided 0.05/3, looks every 5 seeds to 15"
    );
    assert_eq!(trace.looks, [5, 10, 15]);
    let rows: Vec<_> = trace.rows.iter().map(|r| (r.seeds, r.dropped.map(|d| d.look))).collect();
    assert_eq!(rows, [(10, Some(2)), (5, Some(1)), (15, None), (15, None)]);
    // 4 configurations × 15 seeds − 45 runs at looks; confirmation runs are not counted.
    assert_eq!((trace.runs_saved, trace.confirmation_seeds), (15, 8));
    let ended = trace.stopped.as_ref().unwrap();
    assert_eq!((ended.look, ended.because.as_str()), (3, "the cap of 15 seeds is reached"));
    let figure = figures(&report).into_iter().find(|f| f.kind == FigureKind::Trace).unwrap();
    assert!(figure.caption.contains("15 runs fewer"), "{}", figure.caption);
    assert!(figure.svg().contains("dropped at look 1"));
    assert!(wide(&report).contains(
        "2 of 4 dropped, 15 runs saved; stopped at look 3: the cap of 15 seeds is reached"
    ));
}

#[test]
fn between_looks_nothing_is_said() {
    let study = between_looks();
    let report = study.report();
    assert_eq!(report.progress.pending, 0);
    assert!(!report.finished());
    let dataset = &report.datasets[0];
    assert!(dataset.best_set.is_none() && dataset.confirmation.is_none());
    assert!(family(&report).comparisons.iter().all(|c| c.headline.is_none()));
    assert_eq!(report.adaptive[0].stopped, None);
    // Of what fell nothing will be trained; of the others it is not known.
    assert_eq!(report.adaptive[0].runs_saved, 10);
    let text = wide(&report);
    assert!(text.contains("the next look is still to come"), "{text}");
    assert!(!text.contains("p 0") && !text.contains("p <"), "{text}");
}

#[test]
fn a_dropped_configuration_stays_in_the_tables_and_says_at_which_look_it_fell() {
    let report = two_left().report();
    let text = terminal::summary(&report, Style { width: 300, colour: false });
    let line = |label: &str| text.lines().find(|l| l.trim_start().starts_with(label)).unwrap();
    assert!(line("cosine").ends_with("dropped at look 1"), "{text}");
    assert!(line("softmax").ends_with("dropped at look 2"), "{text}");
    assert!(!line("am_softmax(margin=0.1").contains("look"), "{text}");
}

#[test]
fn a_sweep_ended_by_a_person_between_looks_waits_for_none() {
    let mut study = between_looks();
    study.meta.stopped_early = true;
    let report = study.report();
    let text = wide(&report);
    assert!(text.contains("the looks of the adaptive rule did not end"), "{text}");
    assert!(text.contains("ended by a person before its last look"), "{text}");
    assert!(!text.contains("still to come"), "{text}");
    assert!(family(&report).comparisons.iter().all(|c| c.headline.is_none()));
}

#[test]
fn each_data_set_has_looks_survivors_and_confirmation_of_its_own() {
    // Configurations 0 to 3 are on x, 4 to 7 on y; a dropped one is named by its candidate on both.
    let started = study_on(&[("x", 100), ("y", 60)], FOUR, "", RULE)
        .end(|c, seed| if c < 4 { right(c, seed) } else { 30 + right(c - 4, seed) % 7 });
    let first = [(0, 3, 1e-5), (1, 3, 1e-5), (2, 3, 0.001), (5, 6, 0.002)];
    let open = started.look(&first, &[(0, StopReason::OneLeft)]);
    let wait = open.report();
    assert!(!wait.finished() && wait.datasets[0].best_set.is_none());
    let again = |c: usize, seed: u64| if c < 4 { right(c, seed) } else { 30 + seed as u32 % 5 };
    let study = open.end(again).look(&[], &[(1, StopReason::Equivalent)]).end(again);
    let report = study.report();
    let members: Vec<_> =
        report.datasets.iter().map(|d| d.best_set.as_ref().unwrap().members.clone()).collect();
    assert_eq!(members, [vec![3], vec![0, 2, 3]]);
    let beaten_by = report.adaptive[1].rows[1].dropped.unwrap().beaten_by;
    assert_eq!((beaten_by, report.adaptive[1].rows[1].seeds), (2, 5));
    let saved: Vec<u32> = report.adaptive.iter().map(|t| t.runs_saved).collect();
    assert_eq!(saved, [4 * 10, 10 + 3 * 5]);
    let confirmed: Vec<_> =
        report.datasets.iter().map(|d| d.confirmation.as_ref().unwrap()).collect();
    assert!(confirmed[0].family.is_none());
    assert_eq!(confirmed[1].family.as_ref().unwrap().m, 2);
}

#[test]
fn at_any_time_there_is_no_interval_and_the_evidence_is_one_over_e() {
    let report = anytime().report();
    for c in &family(&report).comparisons {
        assert!(c.on_these.interval.is_none() && c.look.unwrap().confidence.is_none());
    }
    let [cosine, am, _] = family(&report).comparisons.as_slice() else { panic!() };
    assert_eq!(cosine.on_these.verdict.as_ref().unwrap().kind, VerdictKind::Unresolved);
    assert_eq!(said(am).1, "unresolved at look 2");
    assert_eq!(confirmed(&report).m, 2);
    assert!(crate::latex::tables(&report).contains("none holds where the rule looks at any time"));
    let trace = &report.adaptive[0];
    assert_eq!(trace.rows[1].dropped.unwrap().test, TestName::EProcess);
    let svg = figures(&report).iter().find(|f| f.kind == FigureKind::Trace).unwrap().svg();
    assert!(svg.contains("1/e 0.0040"), "{svg}");
}

#[test]
fn a_lost_run_of_a_later_look_does_not_censor_what_ended_before() {
    let mut study = two_left();
    let lost = study.records.iter_mut().find(|r| {
        r.run.spec.seed == 12
            && r.run.spec.configuration == study.plan.configurations[2].configuration
    });
    let lost = lost.unwrap();
    lost.state = sweep_core::lifecycle::StateName::Failed;
    lost.result = None;
    let report = study.report();
    let marks = |c: &Comparison| c.headline.as_ref().unwrap().marks.clone();
    assert_eq!(marks(&family(&report).comparisons[1]), []);
}

#[test]
fn every_text_has_the_confirmation_seeds_apart() {
    let study = two_left();
    let report = study.report();
    let page = crate::html::page(&report);
    assert!(page.contains("confirmation of what is left") && page.contains("stopped at look …"));
    assert!(page.contains("over confirmation seeds, never used for choosing"));
    let markdown = crate::markdown::page(&report);
    assert!(markdown.contains("### Confirmation seeds") && markdown.contains("15 runs saved"));
    let latex = crate::latex::tables(&report);
    assert!(latex.contains("tab:digits-comparisons-confirmation"));
    assert!(latex.contains("tab:digits-accuracy-confirmation"));
    let comparisons = crate::csv::comparisons(&report);
    let at =
        comparisons.lines().next().unwrap().split(',').rev().position(|h| h == "part").unwrap();
    let parts: Vec<&str> =
        comparisons.lines().skip(1).map(|l| l.rsplit(',').nth(at).unwrap()).collect();
    assert_eq!(parts, ["looks", "looks", "looks", "confirmation"]);
    let looks = crate::csv::adaptive(&report).unwrap();
    assert_eq!(looks.lines().count(), 1 + 4);
    assert!(
        looks.contains("the cap of 15 seeds is reached") && looks.contains("paired t"),
        "{looks}"
    );
    assert_eq!(crate::csv::summaries(&report).lines().count(), 1 + 4 + 2);
}

#[test]
fn a_whole_adaptive_report_reads_like_this() {
    let text = terminal::comparison(&two_left().report(), Style { width: 120, colour: false });
    insta::assert_snapshot!(text, @r"
! losses have unequal numbers of configurations, and the larger grid has the larger winner's bonus: softmax 1, cosine
  1, am_softmax 2

digits, 100 validation images, against softmax (5–10 paired seeds, given out by looks at the results and so without p
  values; on these images t interval of the look that ended the seeds, beyond them crossed seeds × images without a
  verdict)
                                   on these images             on images like these
  cosine                           −12.6 pp [−16.1, −9.1]  —   [−19.4, −5.8]  —
        → worse on these 100 images, with reservation: stopped at look 1
  am_softmax(margin=0.1,scale=10)   +9.4 pp [+7.5, +11.3]  —   [+5.4, +13.4]  —
        → better on these 100 images: softmax was dropped at look 2
  am_softmax(margin=0.2,scale=10)  +11.0 pp [+9.2, +12.8]  —   [+6.4, +15.6]  —
        → better on these 100 images, with reservation: stopped at look 2
not distinguishable from the best on these images: am_softmax(margin=0.1,scale=10), am_softmax(margin=0.2,scale=10) (2
  of 4 dropped by one-sided paired t at 0.0167 over all looks; simplest: am_softmax(margin=0.1,scale=10))
seeds by the declared rule (Pocock spending, paired t, one-sided 0.05/3, looks every 5 seeds to 15): 2 of 4 dropped, 15
  runs saved; stopped at look 3: the cap of 15 seeds is reached
digits, confirmation of what is left, each against each (8 paired confirmation seeds; exact sign-flip on these images,
  crossed seeds × images beyond them; Holm over 1)
                                            on these images                 on images like these
  am_softmax(margin=0.2,scale=10) − am_so…  +1.1 pp [−0.0, +2.3]  p 0.094   [−1.5, +3.8]  p 0.40
        → unresolved — about 23 seeds (14 by the sd seen) for a difference this large, about 29 seeds (17 by the sd
          seen) for 1 pp
! seeds were given out by looks at the results, so no p value of a fixed number of seeds holds, and none is shown; the
  interval on these images is that of the look that ended the comparison: it holds over all looks of one comparison,
  not over the 3 comparisons together
! the means of survivors are too high by the luck of having survived; confirmation seeds take the part of seeds out of
  the winner's bonus, the part of these images stays until others are used
! on 100 images no number of seeds resolves 1 pp beyond these images: the floor is about 6.1 pp (median over 3
  comparisons, 80 % power)
! choosing the best of 4: were all equally good, the best would still lead by about +1.9 pp
");
}
