//! One entry of `losses:` (or `include:`, `exclude:`, `defaults:`) → a loss and the dimensions it spans.

use serde_json::Value as Json;

use super::alternatives::Reader;
use super::problem::{Span, known, quoted};
use super::sample;
use super::tree::{Key, Node, Value};
use crate::catalogue::{self, LossEntry, Parameter};

/// What a choice sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// A hyperparameter of the loss.
    Loss(&'static str),
    /// A setting of `training:`.
    Training(&'static str),
    /// The learning rate within the optimizer.
    LearningRate,
    /// A setting of `model:`.
    Model(&'static str),
}

impl Target {
    /// The key in a sweep file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loss(name) | Self::Training(name) | Self::Model(name) => name,
            Self::LearningRate => "learning_rate",
        }
    }
}

/// One setting with its value.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) target: Target,
    pub(crate) json: Json,
    pub(crate) at: Span,
}

/// Choices of which a point takes one; each sets the same targets. One choice is a fixed setting, several are an axis.
#[derive(Clone, Debug)]
pub(crate) struct Dimension {
    pub(crate) choices: Vec<Vec<Setting>>,
    /// Came from `zip` or `sample`.
    pub(crate) together: bool,
}

impl Dimension {
    /// What every choice sets.
    pub(crate) fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.choices.first().into_iter().flatten().map(|s| s.target)
    }
}

/// An entry of `losses:`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) loss: &'static LossEntry,
    pub(crate) at: Span,
    /// In the order of the file; the last varies fastest.
    pub(crate) dimensions: Vec<Dimension>,
}

/// Which keys an entry may have besides the hyperparameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `losses:` and `include:`: `training`, `zip`, `sample`.
    Spans,
    /// `exclude:`: `training`.
    Pattern,
    /// `defaults:`: none.
    Plain,
}

impl Reader {
    /// Reads `name` or `name: { … }`.
    pub(crate) fn entry(&mut self, node: &Node, form: Form) -> Option<Entry> {
        let (name, at, body) = match &node.value {
            Value::Text(name) => (name, node.at, None),
            Value::Map(entries) => match entries.as_slice() {
                [(key, body)] => (&key.name, key.at, Some(body)),
                [_, (key, _), ..] => {
                    let what = "a loss must be one key with a map of settings, as `- am_softmax: { margin: 0.2 }`";
                    self.problems
                        .add(key.at, format!("{} does not belong here: {what}", quoted(&key.name)));
                    return None;
                }
                [] => {
                    self.problems
                        .add(node.at, "an empty map is not a loss; write a name such as `softmax`");
                    return None;
                }
            },
            _ => {
                self.problems.add(
                    node.at,
                    format!(
                        "a loss is {}, but must be a name, or a name with a map of settings",
                        node.what()
                    ),
                );
                return None;
            }
        };
        self.named_entry(name, at, body, form)
    }

    /// Reads the settings of the loss `name`.
    pub(crate) fn named_entry(
        &mut self,
        name: &str,
        at: Span,
        body: Option<&Node>,
        form: Form,
    ) -> Option<Entry> {
        let loss = self.loss(name, at)?;
        let mut entry = Entry { loss, at, dimensions: Vec::new() };
        match body.map(|b| &b.value) {
            None | Some(Value::Null) => {}
            Some(Value::Map(fields)) => {
                for (key, node) in fields {
                    self.entry_field(&mut entry, key, node, form);
                }
                self.settings_stand_once(&entry);
            }
            Some(_) => {
                let body = body?;
                self.problems.add(body.at, format!("`{}` is followed by {}, but must be followed by a map of settings, or nothing", loss.name, body.what()));
            }
        }
        Some(entry)
    }

    /// The loss of this name, or a problem.
    pub(crate) fn loss(&mut self, name: &str, at: Span) -> Option<&'static LossEntry> {
        let found = catalogue::loss(name);
        if found.is_none() {
            let names: Vec<&str> = catalogue::losses().iter().map(|l| l.name).collect();
            let hint = known(name, &names);
            self.problems.add(at, format!("unknown loss {} ({hint})", quoted(name)));
        }
        found
    }

    fn entry_field(&mut self, entry: &mut Entry, key: &Key, node: &Node, form: Form) {
        let loss = entry.loss;
        match (key.name.as_str(), form) {
            ("training", Form::Spans | Form::Pattern) => {
                let dimensions = self.training(node);
                entry.dimensions.extend(dimensions);
            }
            ("zip", Form::Spans) => {
                let dimension = self.zip(loss, node);
                entry.dimensions.extend(dimension);
            }
            ("sample", Form::Spans) => {
                let dimension = sample::sample(self, loss, key, node);
                entry.dimensions.extend(dimension);
            }
            (name, _) => match loss.parameters.iter().find(|p| p.name == name) {
                Some(parameter) => {
                    let dimension = self.dimension(Target::Loss(parameter.name), parameter, node);
                    entry.dimensions.extend(dimension);
                }
                None => {
                    let mut names: Vec<&str> = loss.parameters.iter().map(|p| p.name).collect();
                    match form {
                        Form::Spans => names.extend(["training", "zip", "sample"]),
                        Form::Pattern => names.push("training"),
                        Form::Plain => {}
                    }
                    let elsewhere = catalogue::training().iter().any(|p| p.name == name)
                        || name == "learning_rate";
                    if elsewhere && form != Form::Plain {
                        let text = format!(
                            "unknown key {} of `{}`: training settings stand under `training:`, as `training: {{ {name}: … }}`",
                            quoted(name),
                            loss.name
                        );
                        self.problems.add(key.at, text);
                    } else {
                        self.unknown(key, loss.name, &names);
                    }
                }
            },
        }
    }

    /// The axis of one setting.
    pub(crate) fn dimension(
        &mut self,
        target: Target,
        parameter: &Parameter,
        node: &Node,
    ) -> Option<Dimension> {
        let choices = self.alternatives(node, parameter);
        let choices: Vec<_> =
            choices.into_iter().map(|c| vec![Setting { target, json: c.json, at: c.at }]).collect();
        (!choices.is_empty()).then_some(Dimension { choices, together: false })
    }

    /// The settings of a `training:` block, for all losses or inside one.
    pub(crate) fn training(&mut self, node: &Node) -> Vec<Dimension> {
        let Value::Map(fields) = &node.value else {
            if !matches!(node.value, Value::Null) {
                self.problems.add(
                    node.at,
                    format!("`training` is {}, but must be a map of settings", node.what()),
                );
            }
            return Vec::new();
        };
        let shortcut = fields.iter().find(|(key, _)| key.name == "learning_rate");
        let optimizer = fields.iter().find(|(key, _)| key.name == "optimizer");
        if let (Some((key, _)), Some((_, optimizer))) = (shortcut, optimizer)
            && names_learning_rate(optimizer)
        {
            self.problems.add(key.at, "`learning_rate` is set twice: here and inside `optimizer`");
        }
        let mut out = Vec::new();
        for (key, node) in fields {
            let (target, parameter) = if key.name == "learning_rate" {
                (Target::LearningRate, catalogue::LEARNING_RATE)
            } else if let Some(parameter) =
                catalogue::training().iter().find(|p| p.name == key.name)
            {
                (Target::Training(parameter.name), parameter)
            } else {
                let mut names: Vec<&str> = catalogue::training().iter().map(|p| p.name).collect();
                names.push("learning_rate");
                self.unknown(key, "training", &names);
                continue;
            };
            out.extend(self.dimension(target, parameter, node));
        }
        out
    }

    /// What `key` of a `zip` or `sample` sets: a hyperparameter of the loss, or a number of the training.
    pub(crate) fn zippable(
        &mut self,
        loss: &'static LossEntry,
        key: &Key,
        owner: &str,
    ) -> Option<(Target, &'static Parameter)> {
        use catalogue::Kind::{Integer, OneOf, Real};
        let number = |p: &&Parameter| matches!(p.kind, Real(_) | Integer { .. } | OneOf(_));
        if let Some(parameter) = loss.parameters.iter().find(|p| p.name == key.name) {
            return Some((Target::Loss(parameter.name), parameter));
        }
        if key.name == "learning_rate" {
            return Some((Target::LearningRate, catalogue::LEARNING_RATE));
        }
        if let Some(parameter) =
            catalogue::training().iter().filter(number).find(|p| p.name == key.name)
        {
            return Some((Target::Training(parameter.name), parameter));
        }
        let mut names: Vec<&str> = loss.parameters.iter().map(|p| p.name).collect();
        names.push("learning_rate");
        names.extend(catalogue::training().iter().filter(number).map(|p| p.name));
        self.unknown(key, owner, &names);
        None
    }

    /// Axes that advance together.
    fn zip(&mut self, loss: &'static LossEntry, node: &Node) -> Option<Dimension> {
        let Value::Map(fields) = &node.value else {
            self.problems.add(
                node.at,
                format!("`zip` is {}, but must be a map of lists of one length", node.what()),
            );
            return None;
        };
        let mut columns: Vec<Vec<Setting>> = Vec::new();
        for (key, node) in fields {
            let (target, parameter) = self.zippable(loss, key, "zip")?;
            let Value::List(items) = &node.value else {
                self.problems.add(
                    node.at,
                    format!("`{}` in `zip` is {}, but must be a list", key.name, node.what()),
                );
                return None;
            };
            let mut column = Vec::new();
            for item in items {
                let values = self.alternatives(item, parameter);
                if let (Value::List(_), _) | (_, 2..) = (&item.value, values.len()) {
                    self.problems.add(
                        item.at,
                        format!("a list inside a list of `zip`; allowed: {}", parameter.allowed()),
                    );
                }
                column.extend(values.into_iter().take(1).map(|c| Setting {
                    target,
                    json: c.json,
                    at: c.at,
                }));
            }
            if let Some(first) = columns.first()
                && first.len() != items.len()
            {
                let name = first.first().map_or("", |s| s.target.name());
                let text = format!(
                    "the lists of `zip` must have one length: `{}` has {}, `{name}` has {}",
                    key.name,
                    items.len(),
                    first.len()
                );
                self.problems.add(node.at, text);
                return None;
            }
            if column.len() != items.len() {
                return None;
            }
            columns.push(column);
        }
        let length = columns.first().map_or(0, Vec::len);
        if length == 0 {
            self.problems.add(node.at, "`zip` must have at least one list with at least one value");
            return None;
        }
        let choices =
            (0..length).map(|i| columns.iter().map(|column| column[i].clone()).collect()).collect();
        Some(Dimension { choices, together: true })
    }

    fn settings_stand_once(&mut self, entry: &Entry) {
        let mut seen: Vec<Target> = Vec::new();
        for dimension in &entry.dimensions {
            for setting in dimension.choices.first().into_iter().flatten() {
                if seen.contains(&setting.target) {
                    self.problems.add(
                        setting.at,
                        format!(
                            "`{}` of `{}` is set twice",
                            setting.target.name(),
                            entry.loss.name
                        ),
                    );
                }
                seen.push(setting.target);
            }
        }
    }
}

fn names_learning_rate(optimizer: &Node) -> bool {
    match &optimizer.value {
        Value::Map(variants) => {
            variants.iter().any(|(_, body)| matches!(&body.value, Value::Map(fields) if fields.iter().any(|(key, _)| key.name == "learning_rate")))
        }
        Value::List(items) => items.iter().any(names_learning_rate),
        _ => false,
    }
}
