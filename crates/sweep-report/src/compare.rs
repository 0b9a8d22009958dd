//! Pairs of configurations → [`Family`]: estimates and intervals always, p values and verdicts only once all runs have ended.

use sweep_core::analysis::{Analysis, Test};

use crate::headline::headline;
use crate::numbers::{self, Paired};
use crate::report::{
    BaselineChoice, Comparison, Estimand, EstimandResult, Family, FamilyKind, Mark, Needs,
    PairDifference, TestName, Verdict,
};
use crate::seeds::Planner;
use crate::sides::{Side, pair};
use crate::verdict::{Case, verdict};

/// What all comparisons of a data set share.
pub(crate) struct Terms<'a> {
    pub(crate) analysis: &'a Analysis,
    pub(crate) n_val: u32,
    pub(crate) rope: f64,
    pub(crate) detect: f64,
    /// All planned runs have ended.
    pub(crate) finished: bool,
    /// Reservations that hold for every comparison.
    pub(crate) marks: Vec<Mark>,
}

/// Each side with the baseline's representative, in the order of the file.
pub(crate) fn against(sides: &[Side], choice: BaselineChoice, terms: &Terms<'_>) -> Family {
    let Some(base) = sides.iter().find(|s| s.candidate == choice.candidate) else {
        return Family {
            kind: FamilyKind::Baseline,
            m: 0,
            baseline: Some(choice),
            comparisons: Vec::new(),
        };
    };
    let pairs: Vec<_> =
        sides.iter().filter(|s| s.candidate != choice.candidate).map(|s| (base, s)).collect();
    family(FamilyKind::Baseline, Some(choice), &pairs, terms)
}

/// Each side with each later one, in the order of the file.
pub(crate) fn all_pairs(sides: &[Side], terms: &Terms<'_>) -> Family {
    let pairs: Vec<_> = sides
        .iter()
        .enumerate()
        .flat_map(|(i, a)| sides[i + 1..].iter().map(move |b| (a, b)))
        .collect();
    family(FamilyKind::AllPairs, None, &pairs, terms)
}

fn family(
    kind: FamilyKind,
    baseline: Option<BaselineChoice>,
    pairs: &[(&Side, &Side)],
    terms: &Terms<'_>,
) -> Family {
    let m = pairs.len();
    let mut comparisons: Vec<Comparison> =
        pairs.iter().map(|(a, b)| comparison(a, b, m, terms)).collect();
    if terms.finished {
        correct(&mut comparisons, terms);
        let planner = Planner::new(terms.analysis.alpha / m.max(1) as f64);
        for (c, (a, b)) in comparisons.iter_mut().zip(pairs) {
            judge(c, a, b, terms, &planner);
        }
    }
    Family { kind, m, baseline, comparisons }
}

/// Estimates, intervals and, once all runs have ended, raw p values.
fn comparison(a: &Side, b: &Side, m: usize, terms: &Terms<'_>) -> Comparison {
    let Analysis { test, confidence, alpha, .. } = *terms.analysis;
    let common = pair(a, b);
    let paired = Paired { a: &common.a, b: &common.b, n_val: terms.n_val };
    let over = paired.over_seeds(confidence);
    let e1 = paired.on_these(&over, test, terms.rope, alpha);
    let e2 = paired.beyond(confidence, terms.rope);
    let tested = |p: Option<f64>| p.filter(|_| terms.finished);
    let pairs = common
        .seeds
        .iter()
        .zip(&over.diff)
        .map(|(&seed, &images)| PairDifference { seed, images })
        .collect();
    let planned = a.planned.max(b.planned);
    Comparison {
        a: a.candidate,
        b: b.candidate,
        a_label: a.label.clone(),
        b_label: b.label.clone(),
        pairs,
        dropped: if terms.finished { planned.saturating_sub(common.seeds.len()) } else { 0 },
        mixed_devices: common.mixed,
        estimate: over.mean,
        sd: over.sd,
        on_these: EstimandResult {
            estimand: Estimand::E1,
            test: match test {
                Test::SignFlip => TestName::SignFlip,
                Test::Wilcoxon => TestName::Wilcoxon,
                Test::PairedT => TestName::PairedT,
            },
            interval: e1.interval,
            se: e1.se,
            df: e1.df,
            p: tested(e1.p),
            p_adjusted: None,
            p_min: tested(e1.p_min),
            tost_p: tested(e1.tost_p),
            tost_p_adjusted: None,
            m,
            components: None,
            floor: None,
            more_seeds: Vec::new(),
            verdict: None,
        },
        beyond: EstimandResult {
            estimand: Estimand::E2,
            test: TestName::Crossed,
            interval: e2.interval,
            se: e2.se,
            df: e2.df,
            p: tested(e2.p),
            p_adjusted: None,
            p_min: None,
            tost_p: tested(e2.tost_p),
            tost_p_adjusted: None,
            m,
            components: e2.components,
            floor: e2.components.and_then(|c| numbers::floor(c, terms.n_val, alpha, m)),
            more_seeds: e2.components.map_or_else(Vec::new, |c| {
                numbers::more_seeds(c, terms.n_val, common.seeds.len(), alpha, m)
            }),
            verdict: None,
        },
        sensitivity: terms.finished.then(|| paired.sensitivity(&over)),
        headline: None,
    }
}

/// Each kind of p value in its own family of m.
fn correct(comparisons: &mut [Comparison], terms: &Terms<'_>) {
    let by = terms.analysis.correction;
    let of = |f: fn(&Comparison) -> Option<f64>, all: &[Comparison]| {
        numbers::corrected(&all.iter().map(f).collect::<Vec<_>>(), by)
    };
    let e1 = of(|c| c.on_these.p, comparisons);
    let e2 = of(|c| c.beyond.p, comparisons);
    let tost1 = of(|c| c.on_these.tost_p, comparisons);
    let tost2 = of(|c| c.beyond.tost_p, comparisons);
    let fdr =
        numbers::false_discovery(&comparisons.iter().map(|c| c.on_these.p).collect::<Vec<_>>());
    for (i, c) in comparisons.iter_mut().enumerate() {
        c.on_these.p_adjusted = e1[i];
        c.beyond.p_adjusted = e2[i];
        c.on_these.tost_p_adjusted = tost1[i];
        c.beyond.tost_p_adjusted = tost2[i];
        if let Some(s) = &mut c.sensitivity {
            s.fdr = fdr[i];
        }
    }
}

/// Verdicts of both estimands, then the headline.
fn judge(c: &mut Comparison, a: &Side, b: &Side, terms: &Terms<'_>, planner: &Planner) {
    let e1 = verdict_of(c, &c.on_these, terms, planner);
    let e2 = verdict_of(c, &c.beyond, terms, planner);
    let mut marks = terms.marks.clone();
    if a.lacking != b.lacking {
        marks.push(Mark::Censored);
    }
    if c.mixed_devices > 0 {
        marks.push(Mark::MixedDevices);
    }
    if e1.tests_disagree || e2.tests_disagree {
        marks.push(Mark::TestsDisagree);
    }
    c.headline = Some(headline(&e1, &e2, terms.n_val, marks));
    c.on_these.verdict = Some(e1);
    c.beyond.verdict = Some(e2);
}

fn verdict_of(
    c: &Comparison,
    result: &EstimandResult,
    terms: &Terms<'_>,
    planner: &Planner,
) -> Verdict {
    let alpha = terms.analysis.alpha;
    let exact = terms.analysis.test != Test::PairedT;
    let e1 = result.estimand == Estimand::E1;
    let case = Case {
        estimand: result.estimand,
        pairs: c.pairs.len(),
        estimate: c.estimate,
        interval: result.interval,
        constant: c.sd == Some(0.0),
        p: result.p_adjusted,
        tost_p: result.tost_p_adjusted,
        rope: terms.rope,
        alpha,
        exact_needs: if e1 && exact { numbers::seeds_for_test(alpha, result.m) } else { None },
        detect: terms.detect,
        floor: result.floor,
        n_val: terms.n_val,
    };
    verdict(&case, || needs(c, result, &case, terms, planner))
}

fn needs(
    c: &Comparison,
    result: &EstimandResult,
    case: &Case,
    terms: &Terms<'_>,
    planner: &Planner,
) -> Needs {
    let (alpha, m) = (case.alpha, result.m);
    let seen = c.estimate.map_or(0.0, f64::abs);
    match result.estimand {
        Estimand::E1 => {
            let of = |delta| {
                numbers::seeds_on_these(planner, delta, c.sd, c.pairs.len(), case.exact_needs)
            };
            let (detect, as_seen) = (of(terms.detect), of(seen));
            Needs {
                seeds_for_test: case.exact_needs,
                seeds_for_detect: detect.map(|n| n.seeds),
                seeds_as_seen: as_seen.map(|n| n.seeds),
                seeds_for_detect_by_sd: detect.and_then(|n| n.by_sd),
                seeds_as_seen_by_sd: as_seen.and_then(|n| n.by_sd),
                ..Needs::default()
            }
        }
        Estimand::E2 => {
            let of = |delta| {
                result.components.map_or((None, None), |k| {
                    numbers::needs_beyond(delta, k, terms.n_val, alpha, m)
                })
            };
            let (seeds_for_detect, images_for_detect) = of(terms.detect);
            let (seeds_as_seen, images_as_seen) = of(seen);
            Needs {
                seeds_for_detect,
                seeds_as_seen,
                images_for_detect,
                images_as_seen,
                ..Needs::default()
            }
        }
    }
}
