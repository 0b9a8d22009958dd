//! A value of a setting → the values it stands for: one, or the points of its axes. Types and ranges are checked here.

use serde_json::{Map, Value as Json};

use super::problem::{Problems, Span, known, nearest, quoted};
use super::tree::{Key, Node, Value};
use crate::catalogue::{Fill, Kind, Parameter, Variant};

/// One value a setting takes, complete, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) json: Json,
    pub(crate) at: Span,
}

/// Reads settings; collects problems.
pub(crate) struct Reader {
    pub(crate) problems: Problems,
    /// Alternatives the rest of the file may still stand for; bounds memory before anything is made.
    pub(crate) left: u64,
}

impl Reader {
    /// Takes `count` alternatives off what the file may still stand for; a problem if there are not so many.
    pub(crate) fn spend(&mut self, count: u64, at: Span, owner: &str) -> bool {
        let enough = count <= self.left;
        if enough {
            self.left -= count;
        } else {
            self.problems
                .add(at, format!("`{owner}` stands for too many alternatives for `max_runs`"));
        }
        enough
    }

    /// What `node` lets the setting be, in the order of the file; a list is an axis. Empty only after a problem.
    pub(crate) fn alternatives(&mut self, node: &Node, parameter: &Parameter) -> Vec<Choice> {
        let Value::List(items) = &node.value else { return self.one(node, parameter) };
        let mut out = Vec::new();
        if items.is_empty() {
            self.problems.add(
                node.at,
                format!(
                    "`{}` is an empty list; an axis needs at least one value: {}",
                    parameter.name,
                    parameter.allowed()
                ),
            );
        }
        for item in items {
            if let Value::List(_) = item.value {
                self.problems.add(
                    item.at,
                    format!(
                        "a list inside the list of `{}`; allowed: {}",
                        parameter.name,
                        parameter.allowed()
                    ),
                );
                return Vec::new();
            }
            out.extend(self.one(item, parameter));
        }
        self.distinct(&out, parameter.name);
        out
    }

    fn distinct(&mut self, choices: &[Choice], name: &str) {
        let mut seen = std::collections::HashMap::new();
        for choice in choices {
            if let Some(first) = seen.insert(crate::canonical::json(&choice.json), choice.at) {
                let value = super::flow(&choice.json);
                self.problems.add(choice.at, format!("duplicate value {value} of `{name}` (first on line {}); each value may stand once", first.line));
            }
        }
    }

    fn one(&mut self, node: &Node, parameter: &Parameter) -> Vec<Choice> {
        if let (Value::Null, true) = (&node.value, parameter.nullable) {
            return vec![Choice { json: Json::Null, at: node.at }];
        }
        match (&parameter.kind, &node.value) {
            (Kind::Group(fields), Value::Map(entries)) => {
                let at = node.at;
                self.product(entries, fields, parameter.name, at)
                    .into_iter()
                    .map(|map| Choice { json: Json::Object(map), at })
                    .collect()
            }
            (Kind::Tagged(variants), Value::Text(_) | Value::Map(_)) => {
                self.tagged(node, parameter, variants)
            }
            _ => self
                .scalar(node, parameter)
                .map(|json| Choice { json, at: node.at })
                .into_iter()
                .collect(),
        }
    }

    fn tagged(
        &mut self,
        node: &Node,
        parameter: &Parameter,
        variants: &'static [Variant],
    ) -> Vec<Choice> {
        let names: Vec<&str> = variants.iter().map(|v| v.name).collect();
        let (name, at, body) = match &node.value {
            Value::Text(text) => (text.as_str(), node.at, None),
            Value::Map(entries) => match entries.as_slice() {
                [(key, body)] => (key.name.as_str(), key.at, Some(body)),
                _ => {
                    let at = entries.get(1).map_or(node.at, |(key, _)| key.at);
                    self.problems.add(
                        at,
                        format!(
                            "`{}` must have exactly one key; allowed: {}",
                            parameter.name,
                            parameter.allowed()
                        ),
                    );
                    return Vec::new();
                }
            },
            _ => return Vec::new(),
        };
        let Some(variant) = variants.iter().find(|v| v.name == name) else {
            self.problems.add(
                at,
                format!("unknown {} {} ({})", parameter.name, quoted(name), known(name, &names)),
            );
            return Vec::new();
        };
        let empty = Vec::new();
        let (entries, fields) = match (body.map(|b| &b.value), variant.fields) {
            (None | Some(Value::Null), None) => {
                return vec![Choice { json: variant.default_json(), at }];
            }
            (None | Some(Value::Null), Some(fields)) => (&empty, fields),
            (Some(Value::Map(entries)), Some(fields)) => (entries, fields),
            (Some(_), None) => {
                self.problems
                    .add(at, format!("`{name}` has no settings: write the bare word `{name}`"));
                return Vec::new();
            }
            (Some(_), Some(fields)) => {
                let body_at = body.map_or(at, |b| b.at);
                self.problems.add(
                    body_at,
                    format!("the settings of `{name}` must be {}", Kind::Group(fields).allowed()),
                );
                return Vec::new();
            }
        };
        let wrap = |map| Json::Object(Map::from_iter([(name.to_owned(), Json::Object(map))]));
        self.product(entries, fields, name, at)
            .into_iter()
            .map(|map| Choice { json: wrap(map), at })
            .collect()
    }

    /// Every combination of the fields' alternatives, defaults filled in; the last field varies fastest.
    fn product(
        &mut self,
        entries: &[(Key, Node)],
        fields: &'static [Parameter],
        owner: &str,
        at: Span,
    ) -> Vec<Map<String, Json>> {
        let mut out = vec![crate::catalogue::defaults(fields)];
        for (key, node) in entries {
            let Some(field) = self.field(key, fields, owner) else { continue };
            let choices = self.alternatives(node, field);
            if !self.spend((out.len() as u64).saturating_mul(choices.len() as u64), key.at, owner) {
                return Vec::new();
            }
            out = out
                .iter()
                .flat_map(|map| {
                    choices.iter().map(|choice| {
                        let mut map = map.clone();
                        map.insert(field.name.to_owned(), choice.json.clone());
                        map
                    })
                })
                .collect();
        }
        for field in fields.iter().filter(|f| f.default == Fill::Required) {
            if !entries.iter().any(|(key, _)| key.name == field.name) {
                self.problems
                    .add(at, format!("`{owner}` needs `{}`: {}", field.name, field.allowed()));
            }
        }
        out
    }

    /// The field that `key` names, or a problem.
    pub(crate) fn field(
        &mut self,
        key: &Key,
        fields: &'static [Parameter],
        owner: &str,
    ) -> Option<&'static Parameter> {
        let field = fields.iter().find(|f| f.name == key.name);
        if field.is_none() {
            let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
            self.unknown(key, owner, &names);
        }
        field
    }

    /// Notes an unknown key.
    pub(crate) fn unknown(&mut self, key: &Key, owner: &str, names: &[&str]) {
        let hint = if names.is_empty() {
            "it has no settings".to_owned()
        } else {
            known(&key.name, names)
        };
        self.problems
            .add(key.at, format!("unknown key {} of `{owner}` ({hint})", quoted(&key.name)));
    }

    fn scalar(&mut self, node: &Node, parameter: &Parameter) -> Option<Json> {
        let json = match (&parameter.kind, &node.value) {
            (Kind::Real(range), Value::Integer(number)) => real(range, *number as f64),
            (Kind::Real(range), Value::Real(number)) => real(range, *number),
            (Kind::Integer { min, max }, value) => {
                whole(value).filter(|n| (min..=max).contains(&n)).map(Json::from)
            }
            (Kind::OneOf(allowed), value) => {
                whole(value).filter(|n| allowed.contains(n)).map(Json::from)
            }
            (Kind::Word(words), Value::Text(text)) => {
                let word = words.iter().find(|w| *w == text);
                if word.is_none() {
                    let hint = nearest(text, words)
                        .map(|near| format!(" (did you mean `{near}`?)"))
                        .unwrap_or_default();
                    self.problems.add(
                        node.at,
                        format!(
                            "`{}` is {}, but must be {}{hint}",
                            parameter.name,
                            quoted(text),
                            parameter.allowed()
                        ),
                    );
                    return None;
                }
                word.map(|w| Json::from(*w))
            }
            (Kind::Flag, Value::Flag(flag)) => Some(Json::from(*flag)),
            (Kind::Weights, Value::Text(text)) if super::weights_name(text) => {
                Some(Json::from(text.as_str()))
            }
            _ => None,
        };
        if json.is_none() {
            self.problems.add(
                node.at,
                format!(
                    "`{}` is {}, but must be {}",
                    parameter.name,
                    node.what(),
                    parameter.allowed()
                ),
            );
        }
        json
    }
}

/// 0 and −0 are one number, hence one run id.
fn real(range: &crate::catalogue::Reals, number: f64) -> Option<Json> {
    range.allows(number).then(|| Json::from(number + 0.0))
}

/// A whole number, also when written as `30.0`.
pub(crate) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Real(number)
            if number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(number) =>
        {
            Some(*number as u64)
        }
        _ => None,
    }
}
