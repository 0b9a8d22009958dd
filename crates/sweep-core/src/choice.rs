//! Results of a sweep over learning rates on inner splits → the rate of each loss → the sweep that judges.
//!
//! Pure: the same results choose the same rates and write the same bytes. The inner split of a data set is its training part parted
//! again (`NAME_inner`), so nothing here has seen an image that judges later. Not here: reading results, writing files. Why this is a
//! step of its own and no stage within a sweep: `docs/decisions/`.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Map, Value as Json, json};

use crate::canonical;
use crate::file::flow;
use crate::ids::RunId;
use crate::loss::Loss;
use crate::model::{Model, Weights};
use crate::record::RunRecord;
use crate::result::TrainingEnd;
use crate::sweep::{Candidate, Plan, Sweep};
use crate::training::Training;

/// What marks an inner split.
const INNER: &str = "_inner";
/// Most seeds of the sweep that judges, as in a sweep file.
const MAX_SEEDS: u64 = 10_000;
/// Characters of a sweep's name, as in a sweep file.
const MAX_NAME: usize = 64;

/// The rates that a loss was tried at, and the one it gets. Losses of other settings, or with another model, are others.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What it minimises.
    pub loss: Loss,
    /// In the order of the file.
    pub tried: Vec<Tried>,
    /// Index into [`Self::tried`].
    pub chosen: usize,
}

/// One learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// Index into [`Sweep::candidates`].
    pub candidate: usize,
    /// Of the optimizer, before its schedule.
    pub rate: f64,
    /// Share of validation images right: the mean over seeds, then over data sets. `None` where a run diverged.
    pub accuracy: Option<f64>,
}

/// Why nothing can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// A choice there would be made on images that judge.
    #[error(
        "data set `{0}` is no inner split: rates are chosen on `{0}_inner`, or the images that judge would have chosen"
    )]
    NotInner(String),
    /// A sweep that drops configurations has not seen them all on the same seeds.
    #[error(
        "a sweep with `adaptive` does not choose: every rate needs the same seeds on every data set"
    )]
    Adaptive,
    /// Each loss has one rate.
    #[error(
        "no loss has more than one learning rate: nothing is to be chosen (write `learning_rate: [0.01, 0.1]`)"
    )]
    NothingToChoose,
    /// Losses had unequal chances.
    #[error(
        "`{label}` was tried at {tries} learning rates, but `{first}` at {first_tries}: more tries are an advantage of their own"
    )]
    Unequal {
        /// One loss.
        label: String,
        /// How many rates it had.
        tries: usize,
        /// The first loss.
        first: String,
        /// How many rates that had.
        first_tries: usize,
    },
    /// Which model judges is not asked here.
    #[error("the sweep has {0} models, but a choice of learning rates is made for one")]
    Models(usize),
    /// The sweep has not ended, or runs of it failed.
    #[error(
        "{lacking} of {runs} runs have no result yet (`sweep run` goes on, `sweep retry` queues failed runs again)"
    )]
    Unfinished {
        /// Runs without a result.
        lacking: usize,
        /// All of them.
        runs: usize,
    },
    /// Every rate diverged.
    #[error("`{0}` diverged at every learning rate that was tried: try smaller ones")]
    AllDiverged(String),
    /// Seeds that chose would judge.
    #[error(
        "seed {0} took part in the choice and may not judge as well: let the sweep that chooses have other seeds, as [101, 102, 103]"
    )]
    Seed(u64),
    /// Not a number of seeds.
    #[error("{0} seeds are not possible (allowed: 1 to {MAX_SEEDS})")]
    Seeds(u64),
}

/// The learning rate of each loss, in the order of the file: the one with the highest mean accuracy, of equal ones the smallest.
///
/// A rate at which a run diverged is not taken.
///
/// # Errors
/// [`ChoiceError`].
pub fn learning_rates(
    sweep: &Sweep,
    plan: &Plan,
    records: &[RunRecord],
) -> Result<Vec<Choice>, ChoiceError> {
    if sweep.adaptive().is_some() {
        return Err(ChoiceError::Adaptive);
    }
    let models = sweep.models();
    if models.len() > 1 {
        return Err(ChoiceError::Models(models.len()));
    }
    if let Some(set) = sweep.datasets().iter().find(|name| outer(name).is_none()) {
        return Err(ChoiceError::NotInner(set.trim_end_matches(".yaml").to_owned()));
    }
    let results: HashMap<&RunId, _> =
        records.iter().filter_map(|r| Some((&r.run.id, r.result.as_ref()?))).collect();
    let lacking = plan.runs.iter().filter(|run| !results.contains_key(&run.id)).count();
    if lacking > 0 {
        return Err(ChoiceError::Unfinished { lacking, runs: plan.runs.len() });
    }
    let runs = plan.by_configuration();
    let mut choices: Vec<(String, Choice)> = Vec::new();
    for (index, candidate) in sweep.candidates().iter().enumerate() {
        let on_sets = plan.configurations.iter().zip(&runs).filter(|(p, _)| p.candidate == index);
        let mut means = Vec::new();
        for (planned, runs) in on_sets {
            let n_val = plan.datasets[planned.dataset].val_count();
            // Counts are summed as whole numbers: equal results make equal means, bit for bit.
            let right: Option<usize> = runs.iter().map(|run| right(results[&run.id])).sum();
            means.push(right.map(|right| right as f64 / (f64::from(n_val) * runs.len() as f64)));
        }
        let accuracy =
            means.iter().copied().sum::<Option<f64>>().map(|sum| sum / means.len() as f64);
        let rate = candidate.training.optimizer.learning_rate();
        let tried = Tried { candidate: index, rate, accuracy };
        let key = canonical::json(&(&candidate.loss, without_rate(&candidate.training)));
        match choices.iter_mut().find(|(other, _)| *other == key) {
            Some((_, choice)) => choice.tried.push(tried),
            None => {
                let loss = candidate.loss.clone();
                choices.push((key, Choice { loss, tried: vec![tried], chosen: 0 }));
            }
        }
    }
    let mut choices: Vec<Choice> = choices.into_iter().map(|(_, choice)| choice).collect();
    if choices.iter().all(|choice| choice.tried.len() < 2) {
        return Err(ChoiceError::NothingToChoose);
    }
    equal_chances(&choices)?;
    for choice in &mut choices {
        let best = (0..choice.tried.len()).filter(|i| choice.tried[*i].accuracy.is_some()).max_by(
            |a, b| {
                let (a, b) = (&choice.tried[*a], &choice.tried[*b]);
                let by_accuracy = a.accuracy.unwrap_or(0.0).total_cmp(&b.accuracy.unwrap_or(0.0));
                by_accuracy.then(b.rate.total_cmp(&a.rate))
            },
        );
        choice.chosen = best.ok_or_else(|| ChoiceError::AllDiverged(choice.loss.canonical()))?;
    }
    Ok(choices)
}

/// Images right at the end; `None` for a run that diverged.
fn right(result: &crate::result::RunResult) -> Option<usize> {
    match result.end {
        TrainingEnd::Completed => result.validation.as_ref().map(|v| v.correct.count_ones()),
        TrainingEnd::Diverged { .. } => None,
    }
}

fn equal_chances(choices: &[Choice]) -> Result<(), ChoiceError> {
    let Some((first, others)) = choices.split_first() else { return Ok(()) };
    match others.iter().find(|choice| choice.tried.len() != first.tried.len()) {
        None => Ok(()),
        Some(choice) => Err(ChoiceError::Unequal {
            label: choice.loss.canonical(),
            tries: choice.tried.len(),
            first: first.loss.canonical(),
            first_tries: first.tried.len(),
        }),
    }
}

/// The data set whose inner split `name` is.
fn outer(name: &str) -> Option<String> {
    match name.strip_suffix(".yaml") {
        None => name.strip_suffix(INNER).map(str::to_owned),
        Some(stem) => Some(format!("{}.yaml", stem.strip_suffix(INNER)?)),
    }
}

/// As a sweep file writes it, without the learning rate and an image size that the file leaves to the data set.
fn without_rate(training: &Training) -> Json {
    let mut json = serde_json::to_value(training).unwrap_or_default();
    let Some(fields) = json.as_object_mut() else { return json };
    if training.image_size == 0 {
        fields.remove("image_size");
    }
    let optimizer = fields.get_mut("optimizer").and_then(Json::as_object_mut);
    for settings in optimizer.into_iter().flat_map(Map::values_mut).filter_map(Json::as_object_mut)
    {
        settings.remove("learning_rate");
    }
    json
}

impl Sweep {
    /// The text of the sweep that judges: each loss of this one at its chosen rate, on the outer data sets, with the seeds 1 to
    /// `seeds`. It stands where this sweep's file stands: its paths are relative to the same folder.
    ///
    /// # Errors
    /// [`ChoiceError::Seed`] when one of its seeds took part in the choice; [`ChoiceError::Seeds`] when there are none or too many.
    pub fn judging(&self, choices: &[Choice], seeds: u64) -> Result<String, ChoiceError> {
        if !(1..=MAX_SEEDS).contains(&seeds) {
            return Err(ChoiceError::Seeds(seeds));
        }
        if let Some(seed) = self.seeds().iter().find(|seed| (1..=seeds).contains(*seed)) {
            return Err(ChoiceError::Seed(*seed));
        }
        let stem = self.name().strip_suffix("_choice").unwrap_or(self.name());
        let name: String = stem.chars().take(MAX_NAME - "_chosen".len()).collect();
        let datasets: Vec<String> = self.datasets().iter().filter_map(|name| outer(name)).collect();
        let mut out = format!(
            "# Written by `sweep choose` from the results of {}. Each loss stands at the learning rate with the highest mean\n\
             # accuracy on inner splits (of equal ones the smallest); no image that judges here took part.\n#\n",
            self.name()
        );
        for line in summary(choices).lines() {
            let _ = writeln!(out, "# {line}");
        }
        let description = format!("{} losses, each at its own learning rate", choices.len());
        let baseline = self.baseline().unwrap_or("null");
        let _ = writeln!(out, "name: {name}_chosen");
        let _ = writeln!(out, "description: {}", flow(&json!(description)));
        let _ = writeln!(out, "datasets: {}", flow(&json!(datasets)));
        let _ = writeln!(out, "seeds: {seeds}\nbaseline: {baseline}\nlosses:");
        let chosen = |choice: &Choice| &self.candidates[choice.tried[choice.chosen].candidate];
        let shared = choices.first().map(|first| without_rate(&chosen(first).training));
        let shared = shared.filter(|shared| {
            choices.iter().all(|choice| without_rate(&chosen(choice).training) == *shared)
        });
        for choice in choices {
            let Candidate { loss, training, .. } = chosen(choice);
            let mut json = serde_json::to_value(loss).unwrap_or_default();
            let mut own = match shared {
                Some(_) => json!({}),
                None => without_rate(training),
            };
            own["learning_rate"] = json!(training.optimizer.learning_rate());
            json[loss.name()]["training"] = own;
            let _ = writeln!(out, "  - {}", inline(&json));
        }
        for model in self.models() {
            let _ = writeln!(out, "model: {}", flow(&model));
        }
        if let Some(shared) = shared {
            let _ = writeln!(out, "training: {}", flow(&shared));
        }
        let analysis = serde_json::to_value(self.analysis()).unwrap_or_default();
        let _ = writeln!(out, "analysis: {}", flow(&analysis));
        Ok(out)
    }

    /// Each model of the sweep once, as a sweep file names it.
    fn models(&self) -> Vec<Json> {
        let mut models: Vec<&Model> = Vec::new();
        for candidate in &self.candidates {
            if !models.contains(&&candidate.model) {
                models.push(&candidate.model);
            }
        }
        let named = |model: &&Model| {
            let mut json = serde_json::to_value(model).unwrap_or_default();
            json["weights"] = match &model.weights {
                Weights::Random => Json::Null,
                Weights::Pretrained(of) => json!(of.name),
            };
            json
        };
        models.iter().map(named).collect()
    }
}

/// `softmax: { … }`: an entry of a list.
fn inline(loss: &Json) -> String {
    let text = flow(loss);
    text.strip_prefix("{ ").and_then(|text| text.strip_suffix(" }")).unwrap_or(&text).to_owned()
}

/// A line per loss: what was tried with which accuracy, and what was taken.
pub fn summary(choices: &[Choice]) -> String {
    let mut out = String::new();
    for choice in choices {
        let tried = |tried: &Tried| match tried.accuracy {
            Some(accuracy) => format!("{} {:.2} %", tried.rate, 100.0 * accuracy),
            None => format!("{} diverged", tried.rate),
        };
        let all: Vec<String> = choice.tried.iter().map(tried).collect();
        let chosen = choice.tried[choice.chosen].rate;
        let _ = writeln!(out, "{}: {chosen} of [{}]", choice.loss.canonical(), all.join(", "));
        let edge = |other: &Tried| other.rate.total_cmp(&chosen);
        let at_edge = choice.tried.iter().all(|t| edge(t).is_le())
            || choice.tried.iter().all(|t| edge(t).is_ge());
        if at_edge {
            let _ = writeln!(
                out,
                "  warning: this is the edge of what was tried; a rate beyond it may be better"
            );
        }
    }
    out
}

#[cfg(test)]
mod tests;
