//! Sweep file → checked [`Sweep`] → [`Plan`] of runs.

use serde::{Deserialize, Serialize};

use crate::analysis::Analysis;
use crate::dataset::DataSetInfo;
use crate::ids::SweepId;
use crate::loss::Loss;
use crate::model::Model;
use crate::run::{Configuration, Run};
use crate::training::Training;

/// A checked sweep file. Whoever holds one need not check it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    name: String,
    description: String,
    datasets: Vec<String>,
    seeds: Vec<u64>,
    baseline: Option<String>,
    candidates: Vec<Candidate>,
    analysis: Analysis,
}

/// A configuration before its data set is known, in the order of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// For tables: `am_softmax(margin=0.2,scale=10)`, followed by the training settings that vary within the sweep.
    pub label: String,
    /// What it minimises.
    pub loss: Loss,
    /// The network.
    pub model: Model,
    /// How it is trained.
    pub training: Training,
}

/// A sweep on its data sets: what would run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Data sets outer, candidates inner: the order of every table.
    pub configurations: Vec<Planned>,
    /// Seed-major: every configuration gets its first seed before any gets its second.
    pub runs: Vec<Run>,
    /// The data sets, in the order of the file.
    pub datasets: Vec<DataSetInfo>,
    /// What a careful reader should know before running.
    pub warnings: Vec<String>,
}

/// One configuration of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Index into [`Plan::datasets`].
    pub dataset: usize,
    /// Index into [`Sweep::candidates`].
    pub candidate: usize,
    /// What its runs share.
    pub configuration: Configuration,
}

/// What a store keeps of a sweep, enough to rebuild [`Sweep`] and [`Plan`] without the files it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// Name of the file, for messages.
    pub file: String,
    /// Its text as submitted.
    pub text: String,
    /// The data sets as they were read.
    pub datasets: Vec<DataSetInfo>,
    /// [`Analysis::digest`] at submission.
    pub analysis: crate::ids::Digest,
}

impl Sweep {
    /// Name of the sweep, `[a-z0-9_-]+`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Free text; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Data set names or manifest paths as written, in order.
    pub fn datasets(&self) -> &[String] {
        &self.datasets
    }

    /// Seeds in order, without repetition.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// Name of the loss the others are compared with.
    pub fn baseline(&self) -> Option<&str> {
        self.baseline.as_deref()
    }

    /// Configurations before their data set is known, in the order of the file.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The analysis block, complete.
    pub fn analysis(&self) -> &Analysis {
        &self.analysis
    }

    /// Content hash of the checked file on its data sets: name, analysis, baseline and the ordered run ids.
    pub fn id(&self, plan: &Plan) -> SweepId {
        let runs: Vec<_> = plan.runs.iter().map(|run| &run.id).collect();
        SweepId::of(&crate::canonical::digest(&(&self.name, &self.analysis, &self.baseline, runs)))
    }
}
