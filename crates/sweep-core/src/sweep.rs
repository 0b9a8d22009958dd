//! Sweep file → checked [`Sweep`] → [`Plan`] of runs.

use serde::{Deserialize, Serialize};

use crate::adaptive::{self, Adaptive, Round};
use crate::analysis::Analysis;
use crate::dataset::DataSetInfo;
use crate::file::{self, Marks, SweepFile, SweepFileError};
use crate::ids::SweepId;
use crate::loss::Loss;
use crate::model::{Model, PUBLISHED_NAMES, Weights, WeightsRef};
use crate::run::{Configuration, Run};
use crate::training::Training;

/// A checked sweep file. Whoever holds one need not check it again.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) says: SweepFile,
    datasets: Vec<String>,
    pub(crate) candidates: Vec<Candidate>,
    /// Of each candidate, where it comes from.
    pub(crate) marks: Vec<Marks>,
}

/// A configuration before its data set is known, in the order of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// For tables: `am_softmax(margin=0.2,scale=10)`, followed by the training settings that vary within the sweep.
    pub label: String,
    /// What it minimises.
    pub loss: Loss,
    /// The network; what a file of weights holds is known after [`Sweep::with_weights`].
    pub model: Model,
    /// How it is trained; `image_size` is 0 where the file leaves it to the data set, which [`Sweep::plan`] then resolves.
    pub training: Training,
}

/// A sweep on its data sets: what would run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Data sets outer, candidates inner: the order of every table.
    pub configurations: Vec<Planned>,
    /// Seed-major: every configuration gets its first seed before any gets its second. Of an adaptive sweep the runs of the
    /// first look, then those of each of [`Self::rounds`].
    pub runs: Vec<Run>,
    /// The data sets, in the order of the file.
    pub datasets: Vec<DataSetInfo>,
    /// What a careful reader should know before running.
    pub warnings: Vec<String>,
    /// What the looks of an adaptive sweep decided so far, oldest first; empty as planned.
    pub rounds: Vec<Round>,
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
    /// What the looks of an adaptive sweep decided, oldest first. Never computed again: a run retried later changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// Files that workers need and fetch by digest: packed data sets and weights. A built-in data set needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputFile>,
    /// What the files of weights that the text names were found to hold, as [`Sweep::with_weights`] was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<WeightsRef>,
}

/// A file that training reads, kept as a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// What it is.
    pub input: Input,
    /// Of its bytes: the blob's name.
    pub digest: crate::ids::Digest,
    /// Its size.
    pub bytes: u64,
}

/// What a file of a sweep is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A data set's pictures, decoded and resized.
    Pack {
        /// [`DataSetInfo::content`].
        content: crate::ids::Digest,
        /// [`DataSetInfo::split`].
        split: crate::ids::Digest,
        /// Side of its pictures, pixels.
        image_size: u32,
    },
    /// Pretrained weights, by the identity that runs carry.
    Weights {
        /// [`WeightsRef::sha256`].
        sha256: crate::ids::Sha256,
    },
}

/// Of weights from a file of one's own, its path or URL.
fn file_name(weights: &Weights) -> Option<&String> {
    match weights {
        Weights::Pretrained(of) if !PUBLISHED_NAMES.contains(&of.name.as_str()) => Some(&of.name),
        _ => None,
    }
}

impl Sweep {
    /// Reads and checks the text of a sweep file; `file` is its name in messages.
    ///
    /// # Errors
    /// Everything found wrong, with line, caret and what is allowed. Never panics, whatever the text; time and memory are bounded
    /// by the text's length and by `max_runs`.
    pub fn parse(text: &str, file: &str) -> Result<Self, SweepFileError> {
        let (says, mut problems) = file::read(text);
        let mut points = Vec::new();
        if let (Some(says), true) = (&says, problems.none()) {
            points = file::expand(says, &mut problems);
        }
        if let (Some((_, at)), 1) = (says.as_ref().and_then(|s| s.adaptive.as_ref()), points.len())
        {
            problems.add(*at, "`adaptive` needs at least 2 configurations, but the losses make 1");
        }
        problems.into_result(file, text)?;
        let says = says.expect("a file that cannot be read has at least one problem");
        let (mut candidates, marks): (Vec<Candidate>, Vec<Marks>) = points.into_iter().unzip();
        let varying = file::varying(&candidates);
        for (candidate, varying) in candidates.iter_mut().zip(varying) {
            candidate.label = format!("{}{varying}", candidate.loss.canonical());
        }
        let datasets = says.datasets.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { file: file.to_owned(), text: text.to_owned(), says, datasets, candidates, marks })
    }

    /// The paths and URLs of weights that the file names, each once, in its order; what `imagenet` means is known without reading.
    pub fn weights_to_read(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.candidates.iter().filter_map(|c| file_name(&c.model.weights)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// This sweep with what the files of [`Self::weights_to_read`] were found to hold; names it does not know are ignored.
    #[must_use]
    pub fn with_weights(mut self, found: &[WeightsRef]) -> Self {
        for candidate in &mut self.candidates {
            if let Weights::Pretrained(of) = &mut candidate.model.weights
                && !PUBLISHED_NAMES.contains(&of.name.as_str())
                && let Some(found) = found.iter().find(|f| f.name == of.name)
            {
                of.sha256.clone_from(&found.sha256);
            }
        }
        self
    }

    /// What this sweep would run on these data sets, given in the order of [`Self::datasets`].
    ///
    /// # Errors
    /// What cannot run on a data set: a batch larger than its training part, another `image_size` than the one it has, …
    pub fn plan(&self, datasets: &[DataSetInfo]) -> Result<Plan, SweepFileError> {
        crate::plan::plan(self, datasets)
    }

    /// The file with every default written out; it parses back to the same candidates.
    pub fn canonical_yaml(&self) -> String {
        file::write(&self.says)
    }

    /// What a store keeps of this sweep on these data sets.
    pub fn document(&self, datasets: Vec<DataSetInfo>) -> Document {
        Document {
            file: self.file.clone(),
            text: self.text.clone(),
            datasets,
            analysis: self.analysis().digest(),
            rounds: Vec::new(),
            inputs: Vec::new(),
            weights: self.weights_read(),
        }
    }

    fn weights_read(&self) -> Vec<WeightsRef> {
        let mut out: Vec<WeightsRef> = Vec::new();
        for candidate in &self.candidates {
            if let Weights::Pretrained(of) = &candidate.model.weights
                && file_name(&candidate.model.weights).is_some()
                && !out.contains(of)
            {
                out.push(of.clone());
            }
        }
        out
    }

    /// Name of the file, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Name of the sweep, `[a-z0-9_-]{1,64}`.
    pub fn name(&self) -> &str {
        &self.says.name
    }

    /// Free text; may be empty.
    pub fn description(&self) -> &str {
        &self.says.description
    }

    /// Data set names or manifest paths as written, in order.
    pub fn datasets(&self) -> &[String] {
        &self.datasets
    }

    /// Seeds in order, without repetition; of an adaptive sweep those of the first look.
    pub fn seeds(&self) -> &[u64] {
        &self.says.seeds
    }

    /// Name of the loss the others are compared with.
    pub fn baseline(&self) -> Option<&str> {
        self.says.baseline.map(|(name, _)| name)
    }

    /// Configurations before their data set is known, in the order of the file.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The analysis block, complete.
    pub fn analysis(&self) -> &Analysis {
        &self.says.analysis
    }

    /// The adaptive block, complete; `None`: every configuration gets [`Self::seeds`].
    pub fn adaptive(&self) -> Option<&Adaptive> {
        self.says.adaptive.as_ref().map(|(adaptive, _)| adaptive)
    }

    /// Most runs the search space may have.
    pub fn max_runs(&self) -> u64 {
        self.says.max_runs
    }

    /// Content hash of the checked file on its data sets: name, analysis, baseline, the ordered run ids and the adaptive block.
    /// Runs that rounds added are not in it, so it stays while they come.
    pub fn id(&self, plan: &Plan) -> SweepId {
        adaptive::id(self, plan)
    }
}

/// Of one text under one file name, with the same weights behind its names.
impl PartialEq for Sweep {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
            && self.file == other.file
            && self.weights_read() == other.weights_read()
    }
}

impl Document {
    /// The sweep and its plan, as they were when it was submitted, and the rounds since.
    ///
    /// # Errors
    /// When this version of the program refuses the file.
    pub fn open(&self) -> Result<(Sweep, Plan), SweepFileError> {
        let sweep = Sweep::parse(&self.text, &self.file)?.with_weights(&self.weights);
        let mut plan = sweep.plan(&self.datasets)?;
        if let Some(adaptive) = sweep.adaptive() {
            for round in &self.rounds {
                plan.add_round(adaptive, round.clone());
            }
        }
        Ok((sweep, plan))
    }
}
