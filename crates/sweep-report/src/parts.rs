//! A candidate as flat names and values, so that tables and plots can ask which of them vary. Not a parser: core owns the types.

use serde_json::Value;
use sweep_core::sweep::Candidate;

/// One setting of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// `margin`, `training.optimizer.sgd.learning_rate`, `model.backbone`, …
    pub(crate) name: String,
    pub(crate) value: Value,
}

impl Part {
    /// The value as a person writes it.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            Value::Null => "null".to_owned(),
            Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), |x| x.to_string()),
            other => other.to_string(),
        }
    }

    /// The value where it is a number.
    pub(crate) fn number(&self) -> Option<f64> {
        self.value.as_f64()
    }
}

/// The hyperparameters of the loss by their own names, then `model.…`, then `training.…`.
pub(crate) fn parts(candidate: &Candidate) -> Vec<Part> {
    let mut out = loss_parts(candidate);
    for (prefix, value) in [
        ("model", serde_json::to_value(&candidate.model)),
        ("training", serde_json::to_value(&candidate.training)),
    ] {
        if let Ok(value) = value {
            flatten(prefix, &value, &mut out);
        }
    }
    out
}

/// The hyperparameters of the loss by their own names.
pub(crate) fn loss_parts(candidate: &Candidate) -> Vec<Part> {
    let mut out = Vec::new();
    // Externally tagged: one key, the loss, over its hyperparameters.
    if let Ok(Value::Object(tagged)) = serde_json::to_value(&candidate.loss) {
        for (_, inner) in tagged {
            if let Value::Object(map) = inner {
                for (name, value) in map {
                    flatten(&name, &value, &mut out);
                }
            }
        }
    }
    out
}

/// The loss's name as a sweep file writes it.
pub(crate) fn loss_name(candidate: &Candidate) -> String {
    match serde_json::to_value(&candidate.loss) {
        Ok(Value::Object(tagged)) => {
            tagged.into_iter().next().map(|(name, _)| name).unwrap_or_default()
        }
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

fn flatten(name: &str, value: &Value, out: &mut Vec<Part>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&format!("{name}.{key}"), value, out);
            }
        }
        other => out.push(Part { name: name.to_owned(), value: other.clone() }),
    }
}

/// The last word of a part's name, unless that alone is ambiguous among `names`.
pub(crate) fn short_name<'a>(name: &'a str, names: &[&str]) -> &'a str {
    let last = |n: &'_ str| n.rsplit('.').next().map(str::to_owned);
    let clashes = names.iter().filter(|n| last(n) == last(name)).count() > 1;
    if clashes { name } else { name.rsplit('.').next().unwrap_or(name) }
}
