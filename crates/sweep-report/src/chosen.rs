//! Configurations that a person picked, of any sweeps on one split, side by side: the statistics of a report, without its plan.
//!
//! Picked after results were there, so every verdict is marked post hoc. Not for what a sweep declared: that is [`crate::analyse()`].

use sweep_core::analysis::Analysis;
use sweep_core::dataset::DataSetInfo;
use sweep_core::record::RunRecord;

use crate::compare::{self, Terms};
use crate::input::Slot;
use crate::report::{BaselineChoice, Family, Mark, Summary};
use crate::sides::Side;
use crate::summarize::{self, Subject};

/// A configuration that was picked, with its runs.
#[derive(Clone, Debug)]
pub struct Chosen<'a> {
    /// What to call it.
    pub label: String,
    /// Its runs over all seeds, in the order of their seeds.
    pub runs: Vec<&'a RunRecord>,
    /// An adaptive rule gave out its seeds by results: no p value of a fixed number of seeds holds.
    pub by_looks: bool,
}

/// Picked configurations over the seeds each has, and their differences over the seeds two share.
#[derive(Clone, Debug, PartialEq)]
pub struct SideBySide {
    /// One per configuration that has runs, in the order given; [`Summary::candidate`] is its place among them.
    pub summaries: Vec<Summary>,
    /// Each other one against the reference: estimates and intervals always, p values and verdicts once all runs have ended.
    pub family: Family,
}

/// Compares each of `chosen` with the one at place `reference`, by the rules of `analysis`. All must share the validation images
/// of `info`; a result over another number of images is none here.
pub fn side_by_side(
    chosen: &[Chosen<'_>],
    reference: usize,
    info: &DataSetInfo,
    analysis: &Analysis,
) -> SideBySide {
    let n_val = info.val_count();
    let fits = |record: &RunRecord| {
        let validation = record.result.as_ref().and_then(|result| result.validation.as_ref());
        validation.is_none_or(|validation| validation.correct.len() == n_val as usize)
    };
    let rows: Vec<Vec<Slot<'_>>> = chosen
        .iter()
        .map(|one| {
            let fitting = one.runs.iter().copied().filter(|record| fits(record));
            fitting.map(|record| Slot { run: &record.run, record: Some(record) }).collect()
        })
        .collect();
    let finished = rows.iter().flatten().all(|slot| !slot.pending());
    let by_looks = chosen.iter().any(|one| one.by_looks);
    let summaries = rows.iter().zip(chosen).enumerate().filter_map(|(candidate, (slots, one))| {
        let subject = Subject {
            dataset: &info.name,
            finished,
            candidate,
            label: &one.label,
            configuration: slots.first()?.run.spec.configuration.id(),
            n_val,
            confirms: false,
            look: None,
            level: Some(analysis.confidence).filter(|_| !one.by_looks),
            by_looks: one.by_looks,
        };
        Some(summarize::summary(subject, slots, analysis))
    });
    let summaries = summaries.collect();
    let sides: Vec<Side> = rows
        .iter()
        .zip(chosen)
        .enumerate()
        .filter_map(|(at, (slots, one))| Side::new(at, &one.label, slots, n_val))
        .collect();
    let mut marks = vec![Mark::PostHoc];
    if !info.warnings.is_empty() {
        marks.push(Mark::Data);
    }
    let rope = analysis.rope_on(n_val);
    let terms = Terms {
        analysis,
        n_val,
        rope,
        detect: analysis.detect.unwrap_or(rope),
        // Seeds that were given out by results have no fixed-n p value, and so no verdict here.
        finished: finished && !by_looks,
        marks,
        looks: None,
    };
    let label = chosen.get(reference).map_or("", |one| one.label.as_str()).to_owned();
    let choice = BaselineChoice { candidate: reference, label, chosen_from: 1 };
    SideBySide { summaries, family: compare::against(&sides, choice, &terms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Study, study};

    const LOSSES: &str = "  - softmax\n  - am_softmax: { margin: 0.2, scale: 10 }\n  - cosine\n";

    /// A study whose runs have ended, right images as `right` says by (configuration, seed).
    fn ended() -> Study {
        study(LOSSES, "8", "baseline: softmax\n", 200)
            .all(|c, s| 150 + 6 * c as u32 + (s * 7 % 5) as u32)
    }

    fn chosen(study: &Study) -> Vec<Chosen<'_>> {
        study
            .plan
            .configurations
            .iter()
            .map(|planned| Chosen {
                label: study.sweep.candidates()[planned.candidate].label.clone(),
                runs: study
                    .records
                    .iter()
                    .filter(|r| r.run.spec.configuration == planned.configuration)
                    .collect(),
                by_looks: false,
            })
            .collect()
    }

    #[test]
    fn what_one_sweep_compares_is_compared_alike_when_picked() {
        let study = ended();
        let report = study.report();
        let own = report.datasets[0].family.as_ref().unwrap();
        let info = &study.plan.datasets[0];
        let picked = side_by_side(&chosen(&study), 0, info, study.sweep.analysis());
        assert_eq!(picked.summaries, report.datasets[0].summaries);
        assert_eq!(picked.family.comparisons.len(), own.comparisons.len());
        for (picked, own) in picked.family.comparisons.iter().zip(&own.comparisons) {
            let (mut a, b) = (picked.clone(), own.clone());
            let headline = a.headline.as_mut().unwrap();
            assert!(headline.marks.contains(&Mark::PostHoc), "{headline:?}");
            assert!(a.on_these.p_adjusted.is_some());
            headline.marks.retain(|mark| *mark != Mark::PostHoc);
            headline.text.clone_from(&b.headline.as_ref().unwrap().text);
            headline.kind = b.headline.as_ref().unwrap().kind;
            assert_eq!(a, b);
        }
    }

    #[test]
    fn while_runs_are_missing_or_seeds_were_given_out_there_is_no_verdict() {
        let study = ended();
        let info = &study.plan.datasets[0];
        let mut by_looks = chosen(&study);
        by_looks[1].by_looks = true;
        let picked = side_by_side(&by_looks, 0, info, study.sweep.analysis());
        assert!(picked.family.comparisons.iter().all(|c| c.headline.is_none()));
        assert!(picked.family.comparisons.iter().all(|c| c.on_these.p.is_none()));
        let mut unequal = chosen(&study);
        unequal[1].runs.truncate(3);
        let picked = side_by_side(&unequal, 0, info, study.sweep.analysis());
        assert_eq!(picked.family.comparisons[0].pairs.len(), 3, "over the seeds both have");
    }
}
