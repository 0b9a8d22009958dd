//! Everything that decides a run's result, by the names of a sweep file.

use maud::{Markup, html};
use serde_json::Value;
use sweep_core::dataset::DataSetInfo;
use sweep_core::run::RunSpec;
use sweep_core::sweep::{Candidate, Document, Sweep};
use sweep_core::training::Training;

/// What tables of the sweep call the run's configuration; without the sweep, the loss with all its hyperparameters.
pub(crate) fn label(spec: &RunSpec, sweep: Option<&Sweep>) -> String {
    let of = &spec.configuration;
    let is_it = |candidate: &&Candidate| {
        // The file may leave the size to the data set.
        let training =
            Training { image_size: of.training.image_size, ..candidate.training.clone() };
        candidate.loss == of.loss && candidate.model == of.model && training == of.training
    };
    let known = sweep.and_then(|sweep| sweep.candidates().iter().find(is_it));
    known.map_or_else(|| loss(spec), |candidate| candidate.label.clone())
}

/// The sweep file of a document; `None` where this version refuses it.
pub(crate) fn sweep_of(document: &Document) -> Option<Sweep> {
    let sweep = Sweep::parse(&document.text, &document.file).ok()?;
    Some(sweep.with_weights(&document.weights))
}

/// The loss with its hyperparameters: `am_softmax(margin=0.2,scale=10)`.
fn loss(spec: &RunSpec) -> String {
    let loss = serde_json::to_value(&spec.configuration.loss).unwrap_or_default();
    match &loss {
        Value::Object(tagged) if tagged.len() == 1 => {
            let Some((name, inside)) = tagged.iter().next() else { return String::new() };
            let rows = rows(inside);
            let inner: Vec<String> =
                rows.iter().map(|(key, value)| format!("{key}={value}")).collect();
            if inner.is_empty() { name.clone() } else { format!("{name}({})", inner.join(",")) }
        }
        other => plain(other),
    }
}

/// Every setting as path and value.
fn rows(value: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    walk(value, String::new(), &mut out);
    out
}

fn walk(value: &Value, path: String, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(inner, path, out);
            }
        }
        Value::Object(_) => {}
        other => out.push((path, plain(other))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// All settings, and which data.
pub(super) fn table(spec: &RunSpec, info: Option<&DataSetInfo>) -> Markup {
    let of = &spec.configuration;
    let json = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
    let mut data = vec![
        ("name".to_owned(), of.dataset.name.clone()),
        ("content".to_owned(), of.dataset.content.to_string()),
        ("split".to_owned(), of.dataset.split.to_string()),
    ];
    if let Some(info) = info {
        data.push(("training images".to_owned(), info.train_count().to_string()));
        data.push(("validation images".to_owned(), info.val_count().to_string()));
        data.push(("classes".to_owned(), info.class_count().to_string()));
    }
    let loss = match json(serde_json::to_value(&of.loss)) {
        Value::String(name) => vec![("loss".to_owned(), name)],
        other => rows(&other),
    };
    let groups = [
        ("Loss", loss),
        ("Model", rows(&json(serde_json::to_value(&of.model)))),
        ("Training", rows(&json(serde_json::to_value(&of.training)))),
        ("Seed", vec![("seed".to_owned(), spec.seed.to_string())]),
        ("Data", data),
    ];
    html! {
        table.settings {
            caption { "Whatever changes the result, and nothing else: together they are the run's id." }
            @for (title, rows) in groups {
                tbody {
                    tr { th scope="rowgroup" colspan="2" { (title) } }
                    @for (key, value) in rows { tr { th scope="row" { (key) } td { code { (value) } } } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_settings_read_as_paths() {
        let value = serde_json::json!({"optimizer": {"sgd": {"learning_rate": 0.1}}, "neck": null, "mode": "full"});
        let rows = rows(&value);
        let text: Vec<String> = rows.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert!(text.contains(&"optimizer.sgd.learning_rate=0.1".to_owned()), "{text:?}");
        assert!(text.contains(&"neck=none".to_owned()) && text.contains(&"mode=full".to_owned()));
    }
}
