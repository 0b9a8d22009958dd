//! The text of a sweep file → what it says, checked as far as that needs no data set.
//!
//! [`crate::sweep::Sweep::parse`] is the door. Stages: `tree` (YAML with places), this file and `entry`, `alternatives`, `sample`
//! (keys, types, ranges), `expand` (points of the search space), `written` (the file with every default written out).

mod adaptive;
mod alternatives;
mod entry;
mod expand;
mod problem;
mod sample;
mod tree;
mod written;

use serde_json::{Map, Value as Json};

pub(crate) use self::alternatives::Reader;
pub(crate) use self::entry::{Dimension, Entry};
pub(crate) use self::expand::{Marks, expand, varying};
pub use self::problem::{Problem, SweepFileError};
pub(crate) use self::problem::{Problems, Span};
pub(crate) use self::written::{flow, write};

use self::alternatives::{Choice, whole};
use self::entry::{Form, Target};
use self::problem::{known, quoted};
use self::tree::{Key, Node, Value};
use crate::adaptive::Adaptive;
use crate::analysis::Analysis;
use crate::catalogue::{self, Parameter};
use crate::model::PUBLISHED_NAMES;

/// Runs of a sweep when `max_runs` is not written.
const DEFAULT_MAX_RUNS: u64 = 100_000;
/// Largest `max_runs`: beyond, a plan would not fit into memory.
const LARGEST_MAX_RUNS: u64 = 500_000;
/// Alternatives a file may write beyond its runs.
const SPARE_ALTERNATIVES: u64 = 10_000;
/// Most seeds; far more than any comparison of trainings can use.
const MAX_SEEDS: u64 = 10_000;
/// Seeds are exact in every JSON reader.
const MAX_SEED: u64 = (1 << 53) - 1;
/// Characters of a description.
const MAX_DESCRIPTION: usize = 4000;
/// Most data sets.
const MAX_DATA_SETS: usize = 1000;
/// Most values in all of `exclude`: each is compared with each configuration.
const MAX_EXCLUDED: usize = 1000;
/// Characters of a data set's name or path.
const MAX_PATH: usize = 300;

const KEYS: &[&str] = &[
    "name",
    "description",
    "datasets",
    "seeds",
    "baseline",
    "losses",
    "model",
    "training",
    "analysis",
    "adaptive",
    "exclude",
    "include",
    "defaults",
    "max_runs",
];

/// What a sweep file says.
#[derive(Clone, Debug)]
pub(crate) struct SweepFile {
    pub(crate) name: String,
    pub(crate) description: String,
    /// With their places.
    pub(crate) datasets: Vec<(String, Span)>,
    pub(crate) seeds: Vec<u64>,
    pub(crate) baseline: Option<(&'static str, Span)>,
    pub(crate) losses: Vec<Entry>,
    pub(crate) losses_at: Span,
    pub(crate) include: Vec<Entry>,
    pub(crate) exclude: Vec<Entry>,
    pub(crate) defaults: Vec<Entry>,
    pub(crate) model: Vec<Dimension>,
    pub(crate) training: Vec<Dimension>,
    pub(crate) analysis: Analysis,
    /// With the place of its block.
    pub(crate) adaptive: Option<(Adaptive, Span)>,
    pub(crate) max_runs: u64,
}

/// Reads a sweep file; with problems noted, the result may be incomplete and must not be used.
pub(crate) fn read(text: &str) -> (Option<SweepFile>, Problems) {
    let mut reader = Reader { problems: Problems::default(), left: 0 };
    let root = match tree::parse(text) {
        Ok(root) => root,
        Err((at, message)) => {
            reader.problems.add(at, message);
            return (None, reader.problems);
        }
    };
    let file = reader.sweep_file(&root);
    (file, reader.problems)
}

impl Reader {
    fn sweep_file(&mut self, root: &Node) -> Option<SweepFile> {
        let Value::Map(fields) = &root.value else {
            let what = if let Value::Null = root.value { "empty".to_owned() } else { root.what() };
            self.problems.add(
                root.at,
                format!(
                    "the sweep file is {what}, but must be a map with the keys {}",
                    KEYS.join(", ")
                ),
            );
            return None;
        };
        for (key, _) in fields {
            if !KEYS.contains(&key.name.as_str()) {
                self.problems.add(
                    key.at,
                    format!(
                        "unknown key {} of a sweep file ({})",
                        quoted(&key.name),
                        known(&key.name, KEYS)
                    ),
                );
            }
        }
        let get = |name: &str| fields.iter().find(|(key, _)| key.name == name);
        for (name, allowed) in [
            ("name", "letters a-z, digits, _ and -"),
            ("datasets", "a list of data set names or manifest paths, as [digits]"),
            ("seeds", "a whole number N for the seeds 1 to N, or a list"),
            ("losses", "a list of losses, as [softmax, cosine]"),
            ("model", "a map, as { backbone: small_cnn }"),
        ] {
            // The first look says how many seeds the first round has.
            let by_adaptive =
                name == "seeds" && get("adaptive").is_some_and(|(_, node)| !node.is_null());
            if get(name).is_none() && !by_adaptive {
                self.problems.add(Span::START, format!("`{name}` is missing: {allowed}"));
            }
        }
        let node = |name: &str| get(name).map(|(_, node)| node);
        let max_runs = node("max_runs").map_or(Some(DEFAULT_MAX_RUNS), |node| self.max_runs(node));
        // Each alternative is at least a run, but for those that a loss overrides.
        self.left = 2 * max_runs.unwrap_or(DEFAULT_MAX_RUNS) + SPARE_ALTERNATIVES;
        let name = node("name").and_then(|node| self.name(node));
        let description =
            node("description").map_or(Some(String::new()), |node| self.description(node));
        let datasets = node("datasets").and_then(|node| self.datasets(node));
        let adaptive = match node("adaptive") {
            Some(node) if !node.is_null() => {
                Some(self.adaptive(node).map(|adaptive| (adaptive, node.at)))
            }
            _ => None,
        };
        let seeds = node("seeds").and_then(|node| self.seeds(node));
        let seeds = match &adaptive {
            None => seeds,
            Some(None) => None,
            Some(Some((adaptive, _))) => self.first_seeds(node("seeds"), seeds, adaptive),
        };
        let baseline = node("baseline").and_then(|node| self.baseline(node));
        let losses = node("losses").map(|node| self.entries(node, "losses", Form::Spans));
        let include = node("include").map(|node| self.entries(node, "include", Form::Spans));
        let exclude = node("exclude").map(|node| self.excluded(node));
        let defaults = node("defaults").map(|node| self.defaults(node));
        let model = node("model").map(|node| self.model(node));
        let training = node("training").map(|node| self.training(node));
        let analysis = self.analysis(node("analysis"), baseline.is_some());
        Some(SweepFile {
            name: name?,
            description: description?,
            datasets: datasets?,
            seeds: seeds?,
            baseline,
            losses: losses?,
            losses_at: get("losses")?.0.at,
            include: include.unwrap_or_default(),
            exclude: exclude.unwrap_or_default(),
            defaults: defaults.unwrap_or_default(),
            model: model?,
            training: training.unwrap_or_default(),
            analysis: analysis?,
            adaptive: adaptive.flatten(),
            max_runs: max_runs?,
        })
    }

    fn max_runs(&mut self, node: &Node) -> Option<u64> {
        let number = whole(&node.value).filter(|n| (1..=LARGEST_MAX_RUNS).contains(n));
        if number.is_none() {
            self.problems.add(
                node.at,
                format!(
                    "`max_runs` is {}, but must be a whole number from 1 to {LARGEST_MAX_RUNS}",
                    node.what()
                ),
            );
        }
        number
    }

    fn name(&mut self, node: &Node) -> Option<String> {
        let allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        match &node.value {
            Value::Text(text) if (1..=64).contains(&text.len()) && text.chars().all(allowed) => {
                Some(text.clone())
            }
            Value::Text(text) => {
                self.problems.add(
                    node.at,
                    format!(
                        "`name` is {}, but must be 1 to 64 of the characters a-z, 0-9, _ and -",
                        quoted(text)
                    ),
                );
                None
            }
            _ => {
                self.problems.add(node.at, format!("`name` is {}, but must be text: 1 to 64 of a-z, 0-9, _ and -, in quotes if it is a number", node.what()));
                None
            }
        }
    }

    fn description(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Null => Some(String::new()),
            Value::Text(text) if text.chars().count() <= MAX_DESCRIPTION => Some(text.clone()),
            Value::Text(_) => {
                self.problems.add(
                    node.at,
                    format!("`description` is longer than {MAX_DESCRIPTION} characters"),
                );
                None
            }
            _ => {
                self.problems
                    .add(node.at, format!("`description` is {}, but must be text", node.what()));
                None
            }
        }
    }

    fn list<'a>(&mut self, node: &'a Node, name: &str, allowed: &str) -> Option<&'a [Node]> {
        match &node.value {
            Value::List(items) if !items.is_empty() => Some(items),
            Value::List(_) => {
                self.problems
                    .add(node.at, format!("`{name}` is an empty list, but must be {allowed}"));
                None
            }
            _ => {
                self.problems
                    .add(node.at, format!("`{name}` is {}, but must be {allowed}", node.what()));
                None
            }
        }
    }

    fn datasets(&mut self, node: &Node) -> Option<Vec<(String, Span)>> {
        let items =
            self.list(node, "datasets", "a list of data set names or manifest paths, as [digits]")?;
        if items.len() > MAX_DATA_SETS {
            self.problems.add(
                node.at,
                format!(
                    "`datasets` names {} data sets, but at most {MAX_DATA_SETS} are allowed",
                    items.len()
                ),
            );
            return None;
        }
        let mut out: Vec<(String, Span)> = Vec::new();
        for item in items {
            match &item.value {
                Value::Text(text) if data_set_name(text) => {
                    if out.iter().any(|(other, _)| other == text) {
                        self.problems.add(
                            item.at,
                            format!("duplicate data set {}; each may stand once", quoted(text)),
                        );
                    }
                    out.push((text.clone(), item.at));
                }
                _ => {
                    let allowed = "a name (1 to 64 of a-z, 0-9, _ and -) or the path of a manifest ending in .yaml";
                    self.problems.add(
                        item.at,
                        format!("a data set is {}, but must be {allowed}", item.what()),
                    );
                }
            }
        }
        Some(out)
    }

    fn seeds(&mut self, node: &Node) -> Option<Vec<u64>> {
        let Value::List(items) = &node.value else {
            let count = whole(&node.value).filter(|n| (1..=MAX_SEEDS).contains(n));
            if count.is_none() {
                let allowed = format!(
                    "a whole number N from 1 to {MAX_SEEDS} for the seeds 1 to N, or a list such as [3, 7, 11]"
                );
                self.problems
                    .add(node.at, format!("`seeds` is {}, but must be {allowed}", node.what()));
            }
            return count.map(|n| (1..=n).collect());
        };
        if items.is_empty() || items.len() as u64 > MAX_SEEDS {
            self.problems.add(
                node.at,
                format!("`seeds` has {} seeds, but must have from 1 to {MAX_SEEDS}", items.len()),
            );
            return None;
        }
        let mut seen = std::collections::HashSet::new();
        let mut out = Vec::new();
        for item in items {
            match whole(&item.value).filter(|n| *n <= MAX_SEED) {
                Some(seed) if seen.insert(seed) => out.push(seed),
                Some(seed) => self
                    .problems
                    .add(item.at, format!("duplicate seed {seed}; each may stand once")),
                None => self.problems.add(
                    item.at,
                    format!(
                        "a seed is {}, but must be a whole number from 0 to {MAX_SEED}",
                        item.what()
                    ),
                ),
            }
        }
        Some(out)
    }

    fn baseline(&mut self, node: &Node) -> Option<(&'static str, Span)> {
        match &node.value {
            Value::Null => None,
            Value::Text(name) => self.loss(name, node.at).map(|loss| (loss.name, node.at)),
            _ => {
                self.problems.add(
                    node.at,
                    format!(
                        "`baseline` is {}, but must be the name of one of the losses, or null",
                        node.what()
                    ),
                );
                None
            }
        }
    }

    fn entries(&mut self, node: &Node, name: &str, form: Form) -> Vec<Entry> {
        let items = self
            .list(node, name, "a list of losses, as [softmax, am_softmax: { margin: 0.2 }]")
            .unwrap_or_default();
        items.iter().filter_map(|item| self.entry(item, form)).collect()
    }

    fn excluded(&mut self, node: &Node) -> Vec<Entry> {
        let entries = self.entries(node, "exclude", Form::Pattern);
        let values: usize = entries
            .iter()
            .map(|e| 1 + e.dimensions.iter().map(|d| d.choices.len()).sum::<usize>())
            .sum();
        if values > MAX_EXCLUDED {
            self.problems.add(node.at, format!("`exclude` holds {values} losses and values, but at most {MAX_EXCLUDED} are allowed"));
        }
        entries
    }

    fn defaults(&mut self, node: &Node) -> Vec<Entry> {
        let Value::Map(fields) = &node.value else {
            self.problems.add(
                node.at,
                format!(
                    "`defaults` is {}, but must be a map, as {{ am_softmax: {{ scale: 10 }} }}",
                    node.what()
                ),
            );
            return Vec::new();
        };
        let entries: Vec<Entry> = fields
            .iter()
            .filter_map(|(key, body)| self.named_entry(&key.name, key.at, Some(body), Form::Plain))
            .collect();
        for dimension in entries.iter().flat_map(|e| &e.dimensions) {
            if let [_, second, ..] = dimension.choices.as_slice() {
                let (name, at) =
                    second.first().map_or(("", Span::START), |s| (s.target.name(), s.at));
                self.problems.add(
                    at,
                    format!("`{name}` in `defaults` must be one value; lists belong to `losses`"),
                );
            }
        }
        entries
    }

    fn model(&mut self, node: &Node) -> Vec<Dimension> {
        let Value::Map(fields) = &node.value else {
            self.problems.add(
                node.at,
                format!(
                    "`model` is {}, but must be a map, as {{ backbone: small_cnn }}",
                    node.what()
                ),
            );
            return Vec::new();
        };
        if !fields.iter().any(|(key, _)| key.name == "backbone") {
            let allowed = catalogue::model()
                .iter()
                .find(|p| p.name == "backbone")
                .map(Parameter::allowed)
                .unwrap_or_default();
            self.problems.add(node.at, format!("`model` needs `backbone`: {allowed}"));
        }
        let mut out = Vec::new();
        for (key, node) in fields {
            if let Some(parameter) = catalogue::model().iter().find(|p| p.name == key.name) {
                out.extend(self.dimension(Target::Model(parameter.name), parameter, node));
            } else {
                let names: Vec<&str> = catalogue::model().iter().map(|p| p.name).collect();
                self.unknown(key, "model", &names);
            }
        }
        out
    }

    /// The keys of a block that holds one value each.
    fn block<'a>(&mut self, node: &'a Node, name: &str, as_in: &str) -> Option<&'a [(Key, Node)]> {
        if let Value::Map(fields) = &node.value {
            return Some(fields);
        }
        let text = format!("`{name}` is {}, but must be a map, as {as_in}", node.what());
        self.problems.add(node.at, text);
        None
    }

    /// The one value of a key of such a block; `None` after a problem.
    fn setting(
        &mut self,
        key: &Key,
        node: &Node,
        parameters: &'static [Parameter],
        block: &str,
    ) -> Option<(&'static Parameter, Choice)> {
        let parameter = self.field(key, parameters, block)?;
        if let Value::List(_) = node.value {
            let (name, allowed) = (&key.name, parameter.allowed());
            let text = format!("`{name}` is a list, but must be one value: {allowed}");
            self.problems.add(node.at, text);
            return None;
        }
        let choice = self.alternatives(node, parameter).into_iter().next()?;
        Some((parameter, choice))
    }

    fn analysis(&mut self, node: Option<&Node>, has_baseline: bool) -> Option<Analysis> {
        let fields = match node.filter(|node| !node.is_null()) {
            None => &[],
            Some(node) => self.block(node, "analysis", "{ alpha: 0.05 }")?,
        };
        let mut json: Map<String, Json> = catalogue::defaults(catalogue::analysis());
        if !has_baseline {
            json.insert("compare".to_owned(), "all_pairs".into());
        }
        for (key, node) in fields {
            let setting = self.setting(key, node, catalogue::analysis(), "analysis");
            if let Some((parameter, choice)) = setting {
                if !has_baseline && choice.json == "baseline" {
                    self.problems.add(choice.at, "`compare` is `baseline`, but the file names none; write `baseline:` or `compare: all_pairs`");
                }
                json.insert(parameter.name.to_owned(), choice.json);
            }
        }
        Some(serde_json::from_value(Json::Object(json)).expect(
            "the catalogue's analysis settings are an Analysis; a test holds them together",
        ))
    }
}

/// What may stand after `weights:`.
pub(crate) fn weights_name(text: &str) -> bool {
    let file = text.ends_with(".pth") || text.ends_with(".safetensors");
    let file = file && text.chars().count() <= MAX_PATH && !text.chars().any(char::is_control);
    PUBLISHED_NAMES.contains(&text) || file
}

fn data_set_name(text: &str) -> bool {
    let plain = (1..=64).contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    let path = (text.ends_with(".yaml") || text.ends_with(".yml"))
        && text.chars().count() <= MAX_PATH
        && !text.chars().any(char::is_control);
    plain || path
}
