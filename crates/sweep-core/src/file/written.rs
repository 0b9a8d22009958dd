//! The file again with every default written out, so that nothing is hidden; it parses back to the same candidates.

use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::SweepFile;
use super::entry::{Dimension, Entry, Target};
use crate::catalogue::{self, Parameter};

/// A value as one line of YAML.
pub(crate) fn flow(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(flag) => flag.to_string(),
        Json::Number(number) => match number.as_f64() {
            Some(real) if number.is_f64() => number_text(real),
            _ => number.to_string(),
        },
        Json::String(text) => scalar(text),
        Json::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let fields: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key), flow(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// The shortest text that reads back to the same number, and as a number in YAML.
pub(crate) fn number_text(number: f64) -> String {
    if number == 0.0 || (1e-4..1e9).contains(&number.abs()) {
        return number.to_string();
    }
    // YAML 1.1 wants a point in the mantissa.
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text,
    }
}

fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-/.".contains(c))
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"].contains(&text);
    // A JSON string is a YAML double-quoted scalar.
    if plain { text.to_owned() } else { Json::from(text).to_string() }
}

/// The whole file.
pub(crate) fn write(file: &SweepFile) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("name: {}", scalar(&file.name)));
    line(format!("description: {}", Json::from(file.description.as_str())));
    let datasets: Vec<_> = file.datasets.iter().map(|(name, _)| scalar(name)).collect();
    line(format!("datasets: [{}]", datasets.join(", ")));
    line(format!("seeds: {}", flow(&Json::from(file.seeds.clone()))));
    line(format!("baseline: {}", file.baseline.map_or("null", |(name, _)| name)));
    line(list("losses", file, &file.losses, Some(file)));
    if !file.exclude.is_empty() {
        line(list("exclude", file, &file.exclude, None));
    }
    if !file.include.is_empty() {
        line(list("include", file, &file.include, Some(file)));
    }
    line(settings("model", catalogue::model(), &file.model));
    line(settings("training", catalogue::training(), &file.training));
    if !file
        .training
        .iter()
        .flat_map(Dimension::targets)
        .any(|t| t == Target::Training("image_size"))
    {
        line("  # image_size: the data set's own size, else 224 for resnets".to_owned());
    }
    let analysis = serde_json::to_value(&file.analysis).unwrap_or_default();
    line(format!("analysis: {}", flow(&analysis)));
    let adaptive = file.adaptive.as_ref().map(|(adaptive, _)| adaptive);
    line(format!("adaptive: {}", flow(&serde_json::to_value(adaptive).unwrap_or_default())));
    line(format!("max_runs: {}", file.max_runs));
    out
}

/// Entries of losses; with `defaults`, every hyperparameter is written.
fn list(name: &str, file: &SweepFile, entries: &[Entry], defaults: Option<&SweepFile>) -> String {
    let mut out = format!("{name}:");
    for entry in entries {
        let mut fields = Map::new();
        let written: Vec<Target> = entry.dimensions.iter().flat_map(Dimension::targets).collect();
        if defaults.is_some() {
            for (key, value) in catalogue::defaults(entry.loss.parameters) {
                if !written.iter().any(|t| matches!(t, Target::Loss(name) if *name == key)) {
                    fields.insert(key, value);
                }
            }
            let set =
                file.defaults.iter().filter(|d| d.loss == entry.loss).flat_map(|d| &d.dimensions);
            for setting in set.flat_map(|d| d.choices.iter().flatten()) {
                if !written.contains(&setting.target) {
                    fields.insert(setting.target.name().to_owned(), setting.json.clone());
                }
            }
        }
        // Keys stand in the order of the file, which is the order of the points.
        let mut texts: Vec<String> =
            fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
        for dimension in &entry.dimensions {
            match dimension.targets().next() {
                _ if dimension.together => {
                    texts.push(format!("zip: {{ {} }}", columns(dimension, &written).join(", ")))
                }
                Some(Target::Loss(_)) => texts.extend(columns(dimension, &written)),
                _ => {}
            }
            if texts.iter().all(|text| !text.starts_with("training:")) && is_training(dimension) {
                let training: Vec<_> = entry
                    .dimensions
                    .iter()
                    .filter(|d| is_training(d))
                    .flat_map(|d| columns(d, &written))
                    .collect();
                texts.push(format!("training: {{ {} }}", training.join(", ")));
            }
        }
        let body =
            if texts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", texts.join(", ")) };
        let _ = write!(out, "\n  - {}: {body}", entry.loss.name);
    }
    out
}

fn is_training(dimension: &Dimension) -> bool {
    !dimension.together
        && dimension.targets().any(|t| matches!(t, Target::Training(_) | Target::LearningRate))
}

/// `name: value` for each target of a dimension: one value plain, several (or a zip) as a list.
fn columns(dimension: &Dimension, written: &[Target]) -> Vec<String> {
    let names: Vec<&str> = dimension.targets().map(Target::name).collect();
    let column = |i: usize| -> Vec<Json> {
        dimension
            .choices
            .iter()
            .filter_map(|c| c.get(i).map(|s| as_written(&s.json, s.target.name(), written)))
            .collect()
    };
    let text = |(i, name): (usize, &&str)| match column(i).as_slice() {
        [one] if !dimension.together => format!("{name}: {}", flow(one)),
        many => format!("{name}: {}", flow(&Json::from(many.to_vec()))),
    };
    names.iter().enumerate().map(text).collect()
}

/// An optimizer says no learning rate where `learning_rate:` beside it does: it may stand once.
fn as_written(json: &Json, name: &str, beside: &[Target]) -> Json {
    let mut json = json.clone();
    if name == "optimizer" && beside.contains(&Target::LearningRate) {
        json.as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
            .filter_map(Json::as_object_mut)
            .for_each(|fields| drop(fields.remove("learning_rate")));
    }
    json
}

/// A block of settings, defaults first filled in, one key a line.
fn settings(name: &str, parameters: &'static [Parameter], dimensions: &[Dimension]) -> String {
    let mut out = format!("{name}:");
    let written: Vec<Target> = dimensions.iter().flat_map(Dimension::targets).collect();
    for parameter in parameters.iter().filter(|p| !written.iter().any(|t| t.name() == p.name)) {
        if let Some(value) = parameter.default_json() {
            let _ = write!(
                out,
                "\n  {}: {}",
                parameter.name,
                flow(&as_written(&value, parameter.name, &written))
            );
        }
    }
    for text in dimensions.iter().flat_map(|d| columns(d, &written)) {
        let _ = write!(out, "\n  {text}");
    }
    out
}
