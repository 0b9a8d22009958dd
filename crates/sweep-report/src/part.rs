//! The runs of one data set that belong together: those the looks (or the plan) chose on, and those that only confirm.

use crate::compare::{self, Terms};
use crate::input::{Input, Slot};
use crate::looks::Looks;
use crate::report::{BaselineChoice, Confirmation, Summary};
use crate::sides::Side;
use crate::summarize::{self, Subject};

/// Runs by candidate, in the order of the file.
pub(crate) type Rows<'a> = Vec<(usize, Vec<Slot<'a>>)>;

/// What all runs of a data set share.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a, 'i> {
    pub(crate) input: &'i Input<'a>,
    pub(crate) index: usize,
    pub(crate) n_val: u32,
    /// All planned runs have ended.
    pub(crate) finished: bool,
}

impl<'a> Part<'a, '_> {
    pub(crate) fn label(&self, candidate: usize) -> &'a str {
        self.input.sweep.candidates().get(candidate).map_or("", |c| c.label.as_str())
    }

    /// Runs to choose on, and those of the survivors that confirm. A result over another number of images is no result here.
    pub(crate) fn split(
        &self,
        all: Vec<(usize, &[Slot<'a>])>,
        looks: Option<&Looks<'_>>,
    ) -> (Rows<'a>, Rows<'a>) {
        let confirms = |s: &Slot<'_>| looks.is_some_and(|l| l.adaptive.confirms(s.run.spec.seed));
        let fits =
            |s: &Slot<'_>| s.validation().is_none_or(|v| v.correct.len() == self.n_val as usize);
        let pick = |slots: &[Slot<'a>], confirming: bool| -> Vec<Slot<'a>> {
            slots.iter().filter(|s| confirms(s) == confirming && fits(s)).copied().collect()
        };
        let choosing = all.iter().map(|(c, slots)| (*c, pick(slots, false))).collect();
        let confirming = all.iter().map(|(c, slots)| (*c, pick(slots, true)));
        (choosing, confirming.filter(|(_, slots)| !slots.is_empty()).collect())
    }

    /// Summaries and sides of the runs that were chosen on.
    pub(crate) fn chosen_on(
        &self,
        rows: &Rows<'a>,
        looks: Option<&Looks<'_>>,
    ) -> (Vec<Summary>, Vec<Side>) {
        let planned = self.input.sweep.analysis().confidence;
        self.of(rows, |candidate, subject| {
            let look = looks.and_then(|l| l.of_one(candidate));
            Subject {
                look,
                level: looks.map_or(Some(planned), |l| l.level(look, planned)),
                by_looks: looks.is_some(),
                ..subject
            }
        })
    }

    /// The survivors on confirmation seeds; `None` without such seeds.
    pub(crate) fn confirmation(
        &self,
        rows: &Rows<'a>,
        choice: Option<BaselineChoice>,
        terms: &Terms<'_>,
    ) -> Option<Confirmation> {
        if rows.is_empty() {
            return None;
        }
        // Nobody looked at these seeds while choosing: everything of a fixed number of seeds holds.
        let terms = Terms { looks: None, marks: terms.marks.clone(), ..*terms };
        let (summaries, sides) = self.of(rows, |_, subject| Subject { confirms: true, ..subject });
        let family = compare::confirmation(&sides, choice, &terms);
        Some(Confirmation { summaries, family: Some(family).filter(|f| !f.comparisons.is_empty()) })
    }

    fn of<'s>(
        &'s self,
        rows: &Rows<'a>,
        with: impl Fn(usize, Subject<'s>) -> Subject<'s>,
    ) -> (Vec<Summary>, Vec<Side>) {
        let analysis = self.input.sweep.analysis();
        let own = |candidate: usize| {
            let mut all = self.input.plan.configurations.iter();
            all.find(|p| p.dataset == self.index && p.candidate == candidate)
        };
        let dataset: &str = &self.input.plan.datasets[self.index].name;
        let summaries = rows.iter().filter_map(|(candidate, slots)| {
            let subject = Subject {
                dataset,
                finished: self.finished,
                candidate: *candidate,
                label: self.label(*candidate),
                configuration: own(*candidate)?.configuration.id(),
                n_val: self.n_val,
                confirms: false,
                look: None,
                level: Some(analysis.confidence),
                by_looks: false,
            };
            Some(summarize::summary(with(*candidate, subject), slots, analysis))
        });
        let sides =
            rows.iter().filter_map(|(c, slots)| Side::new(*c, self.label(*c), slots, self.n_val));
        (summaries.collect(), sides.collect())
    }
}
