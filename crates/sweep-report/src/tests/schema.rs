//! `docs/report.schema.json` and real reports hold each other to it: no key too many, none too few, no part that never occurs.

use std::collections::BTreeSet;

use serde_json::Value;
use sweep_core::lifecycle::StateName;
use sweep_core::result::TrainingEnd;

use super::across::{on, trace};
use crate::report::Report;
use crate::testing::study;

const TWO: &str = "  - softmax\n  - cosine\n";

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/report.schema.json")).unwrap()
}

/// Reports that between them hold every part.
fn reports() -> Vec<(&'static str, Report)> {
    let plain = || study(TWO, "8", "baseline: softmax\n", 60);
    let usual = || plain().all(|c, s| 50 + c as u32 * 2 + (s as u32 * 5) % 4);
    let all_pairs = study(TWO, "8", "analysis: { compare: all_pairs, rope: 0.02 }\n", 60);
    let adaptive = on(1, 6);
    vec![
        ("nothing finished", plain().report()),
        ("usual", usual().report()),
        ("all pairs", all_pairs.all(|c, s| 40 + 9 * c as u32 + s as u32 % 3).report()),
        ("one failed, one diverged", {
            let study = usual().failed(0, 1).change(1, 2, |r| {
                r.result.as_mut().unwrap().end = TrainingEnd::Diverged { epoch: 2, step: 7 };
            });
            study.report()
        }),
        ("stopped early", usual().in_state(0, 7, StateName::Cancelled).report()),
        ("one seed", study(TWO, "1", "baseline: softmax\n", 60).all(|_, _| 55).report()),
        ("three data sets", on(3, 4).report()),
        ("eight data sets", on(8, 4).report()),
        ("adaptive", crate::analyse_with(&adaptive.input(), &[trace()])),
    ]
}

#[test]
fn real_reports_fit_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for (name, report) in reports() {
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
    }
}

#[test]
fn a_key_the_schema_does_not_know_is_refused_everywhere() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let (_, report) = reports().remove(1);
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    for path in ["", "/sweep", "/datasets/0", "/datasets/0/summaries/0", "/runs/0", "/timing"] {
        let mut wrong = json.clone();
        let part = wrong.pointer_mut(path).unwrap().as_object_mut().unwrap();
        part.insert("surprise".to_owned(), Value::Null);
        assert!(!validator.is_valid(&wrong), "{path}");
    }
    let mut wrong = json;
    wrong["datasets"][0]["family"]["comparisons"][0]["on_these"]["p"] = 0.0.into();
    assert!(!validator.is_valid(&wrong), "p is never 0");
}

#[test]
fn the_schema_describes_nothing_that_no_report_holds() {
    let schema = schema();
    let mut reached = BTreeSet::new();
    for (_, report) in reports() {
        let json: Value = serde_json::from_str(&report.json()).unwrap();
        reach(&schema, &schema, &json, &mut reached);
    }
    let defined: BTreeSet<String> = schema["$defs"].as_object().unwrap().keys().cloned().collect();
    let never: Vec<_> = defined.difference(&reached).collect();
    assert!(never.is_empty(), "{never:?}");
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if definition["type"] == "object" {
            assert_eq!(definition["additionalProperties"], false, "{name}");
            let required = definition["required"].as_array().unwrap().len();
            assert_eq!(required, definition["properties"].as_object().unwrap().len(), "{name}");
        }
    }
}

/// Names of the definitions that describe some part of `value`.
fn reach(schema: &Value, here: &Value, value: &Value, out: &mut BTreeSet<String>) {
    if value.is_null() {
        return;
    }
    if let Some(name) = here["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        out.insert(name.to_owned());
        reach(schema, &schema["$defs"][name], value, out);
    }
    for option in here["anyOf"].as_array().into_iter().flatten() {
        reach(schema, option, value, out);
    }
    for (key, part) in here["properties"].as_object().into_iter().flatten() {
        reach(schema, part, &value[key], out);
    }
    if !here["items"].is_null() {
        value.as_array().into_iter().flatten().for_each(|v| reach(schema, &here["items"], v, out));
    }
}
