//! Reading the golden file: inputs of a case, and a checker that accounts for every output key.
//!
//! Numbers pass when `|got − want| ≤ tol·max(1, |want|)`; `tol: 0` is equality. Non-finite numbers
//! are strings in the file; a quantity that does not exist is `null`, `nan` or an absent key there.

use std::collections::BTreeSet;

use serde_json::Value;
use sweep_stats::{Interval, Known};

/// Runs `dispatch` on every case and returns a line per failure.
pub(crate) fn walk(
    file: &Value,
    dispatch: impl Fn(&str, &Case, &mut Checker) -> bool,
) -> Vec<String> {
    let mut failures = Vec::new();
    let procedures = file["procedures"].as_object().expect("procedures");
    for (name, cases) in procedures {
        for (index, case) in cases.as_array().expect("list of cases").iter().enumerate() {
            let known_before = failures.len();
            let mut checker = Checker::new(&case["output"], case["tol"].as_f64().expect("tol"));
            if dispatch(name, &Case(&case["input"]), &mut checker) {
                failures.extend(checker.finish());
            } else {
                failures.push("unknown procedure".to_string());
            }
            for line in &mut failures[known_before..] {
                *line = format!("{name}[{index}] {line}");
            }
        }
    }
    failures
}

/// Inputs of one case.
pub(crate) struct Case<'a>(&'a Value);

impl<'a> Case<'a> {
    pub(crate) fn int(&self, key: &str) -> i64 {
        self.0[key].as_i64().unwrap_or_else(|| panic!("`{key}` is no whole number"))
    }

    pub(crate) fn n_val(&self) -> u64 {
        self.int("n_val") as u64
    }

    pub(crate) fn seed(&self) -> u64 {
        self.text("seed_as_string").parse().expect("a seed")
    }

    pub(crate) fn real(&self, key: &str) -> f64 {
        number(&self.0[key]).unwrap_or_else(|| panic!("`{key}` is no number"))
    }

    pub(crate) fn or(&self, key: &str, default: f64) -> f64 {
        number(&self.0[key]).unwrap_or(default)
    }

    pub(crate) fn bool(&self, key: &str) -> bool {
        self.0[key].as_bool().unwrap_or_else(|| panic!("`{key}` is no boolean"))
    }

    pub(crate) fn text(&self, key: &str) -> &'a str {
        self.0[key].as_str().unwrap_or_else(|| panic!("`{key}` is no text"))
    }

    pub(crate) fn ints(&self, key: &str) -> Vec<i64> {
        list(&self.0[key]).iter().map(|v| v.as_i64().expect("whole number")).collect()
    }

    pub(crate) fn int_rows(&self, key: &str) -> Vec<Vec<i64>> {
        let row = |v: &Value| list(v).iter().map(|v| v.as_i64().expect("whole number")).collect();
        list(&self.0[key]).iter().map(row).collect()
    }

    pub(crate) fn reals(&self, key: &str) -> Vec<f64> {
        reals(&self.0[key])
    }

    pub(crate) fn real_rows(&self, key: &str) -> Vec<Vec<f64>> {
        list(&self.0[key]).iter().map(reals).collect()
    }

    pub(crate) fn texts(&self, key: &str) -> Vec<&'a str> {
        list(&self.0[key]).iter().map(|v| v.as_str().expect("text")).collect()
    }
}

/// Compares what was computed with the outputs of one case.
pub(crate) struct Checker<'a> {
    output: &'a Value,
    tol: f64,
    unseen: BTreeSet<String>,
    failures: Vec<String>,
}

impl<'a> Checker<'a> {
    fn new(output: &'a Value, tol: f64) -> Checker<'a> {
        let mut unseen = BTreeSet::new();
        for (key, value) in output.as_object().expect("outputs") {
            match value.as_object() {
                Some(inner) => unseen.extend(inner.keys().map(|k| format!("{key}.{k}"))),
                None => {
                    unseen.insert(key.clone());
                }
            }
        }
        Checker { output, tol, unseen, failures: vec![] }
    }

    /// Failures, with every output key nobody asked for, except those that are no targets.
    fn finish(mut self) -> Vec<String> {
        for key in &self.unseen {
            // values of other software, and a test no report may ever use
            if !key.ends_with("_for_comparison") && key != "mcnemar_pooled_WRONG" {
                self.failures.push(format!("unknown output key `{key}`"));
            }
        }
        self.failures
    }

    /// The wanted value of a key, a dot leading into an object; `None` when the case has none.
    fn want(&mut self, key: &str) -> Option<&'a Value> {
        self.unseen.remove(key);
        let mut value = self.output;
        for part in key.split('.') {
            value = value.get(part)?;
        }
        Some(value)
    }

    fn compare(&mut self, key: &str, got: f64, want: &Value) {
        let Some(wanted) = number(want) else {
            self.failures.push(format!("`{key}`: got {got}, want {want}"));
            return;
        };
        // written so that NaN on either side fails
        let close = (got - wanted).abs() <= self.tol * wanted.abs().max(1.0);
        if !(close || got == wanted) {
            self.failures.push(format!("`{key}`: got {got:e}, want {wanted:e}"));
        }
    }

    pub(crate) fn real(&mut self, key: &str, got: f64) {
        if let Some(want) = self.want(key) {
            self.compare(key, got, want);
        }
    }

    /// A quantity that may not exist: an error wants `null`, `nan` or no such key.
    pub(crate) fn option(&mut self, key: &str, got: Option<f64>) {
        match (self.want(key), got) {
            (Some(want), Some(got)) => self.compare(key, got, want),
            (Some(want), None) if !is_absent(want) => {
                self.failures.push(format!("`{key}`: got nothing, want {want}"));
            }
            _ => {}
        }
    }

    pub(crate) fn known(&mut self, key: &str, got: Known<f64>) {
        self.option(key, got.ok());
    }

    pub(crate) fn interval(&mut self, key: &str, got: Known<Interval>) {
        match (self.want(key), got) {
            (Some(want), Ok(got)) => self.row(key, &[got.low, got.high], want),
            (Some(want), Err(reason)) if !is_absent(want) => {
                self.failures.push(format!("`{key}`: got nothing ({reason}), want {want}"));
            }
            _ => {}
        }
    }

    fn row(&mut self, key: &str, got: &[f64], want: &Value) {
        match want.as_array() {
            Some(wanted) if wanted.len() == got.len() => {
                for (i, (got, want)) in got.iter().zip(wanted).enumerate() {
                    self.compare(&format!("{key}[{i}]"), *got, want);
                }
            }
            _ => self.failures.push(format!("`{key}`: got {got:?}, want {want}")),
        }
    }

    pub(crate) fn reals(&mut self, key: &str, got: &[f64]) {
        if let Some(want) = self.want(key) {
            self.row(key, got, want);
        }
    }

    pub(crate) fn real_rows(&mut self, key: &str, got: &[Vec<f64>]) {
        let Some(want) = self.want(key) else { return };
        let rows = list(want);
        if rows.len() != got.len() {
            self.failures.push(format!("`{key}`: {} rows, want {}", got.len(), rows.len()));
        }
        for (i, (got, want)) in got.iter().zip(rows).enumerate() {
            self.row(&format!("{key}[{i}]"), got, want);
        }
    }

    pub(crate) fn bools(&mut self, key: &str, got: &[bool]) {
        if let Some(want) = self.want(key)
            && *want != serde_json::json!(got)
        {
            self.failures.push(format!("`{key}`: got {got:?}, want {want}"));
        }
    }

    pub(crate) fn text(&mut self, key: &str, got: &str) {
        if let Some(want) = self.want(key)
            && want.as_str() != Some(got)
        {
            self.failures.push(format!("`{key}`: got {got}, want {want}"));
        }
    }

    pub(crate) fn texts(&mut self, key: &str, got: &[String]) {
        if let Some(want) = self.want(key)
            && *want != serde_json::json!(got)
        {
            self.failures.push(format!("`{key}`: got {got:?}, want {want}"));
        }
    }

    /// A probability given as a fraction `a/b`; exact up to 2⁻⁵³ of it.
    pub(crate) fn fraction(&mut self, key: &str, got: f64) {
        let Some(want) = self.want(key) else { return };
        let text = want.as_str().expect("a fraction");
        let (above, below) = text.split_once('/').unwrap_or((text, "1"));
        let part = |text: &str| text.parse::<f64>().expect("a whole number");
        let exact = part(above) / part(below);
        if (got - exact).abs() > 2.0 * f64::EPSILON * exact {
            self.failures.push(format!("`{key}`: got {got:e}, want {text}"));
        }
    }
}

fn is_absent(want: &Value) -> bool {
    want.is_null()
        || want.as_str() == Some("nan")
        || want.as_array().is_some_and(|a| !a.is_empty() && a.iter().all(is_absent))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) if text == "inf" => Some(f64::INFINITY),
        Value::String(text) if text == "-inf" => Some(f64::NEG_INFINITY),
        other => other.as_f64(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_else(|| panic!("no list: {value}"))
}

fn reals(value: &Value) -> Vec<f64> {
    list(value).iter().map(|v| number(v).expect("number")).collect()
}
