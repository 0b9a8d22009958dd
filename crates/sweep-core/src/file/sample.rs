//! `sample:` inside a loss: points of a scrambled Sobol sequence instead of a grid.
//!
//! Drawn values are rounded to six significant digits: they stay short in tables, and the last bit of `exp` and `ln`, which differs
//! between platforms, does not reach a run id.

use serde_json::Value as Json;

use super::alternatives::{Reader, whole};
use super::entry::{Dimension, Setting, Target};
use super::problem::Span;
use super::tree::{Key, Node, Value};
use crate::catalogue::{Kind, LossEntry, Parameter};

/// The sequence's length (`sobol_burley`: 2^16).
const MAX_COUNT: u64 = 1 << 16;
/// The sequence's first dimensions are the best spread ones; no loss has more settings.
const MAX_DIMENSIONS: usize = 32;
/// The scramble when `seed` is not written.
const DEFAULT_SEED: u64 = 1;

enum Draw {
    Uniform(f64, f64),
    LogUniform(f64, f64),
    OneOf(Vec<Json>),
}

struct Drawn {
    target: Target,
    draw: Draw,
    parameter: &'static Parameter,
    at: Span,
}

/// The dimension that `sample: { count, seed, PARAMETER: … }` spans.
pub(crate) fn sample(
    reader: &mut Reader,
    loss: &'static LossEntry,
    key: &Key,
    node: &Node,
) -> Option<Dimension> {
    let Value::Map(fields) = &node.value else {
        reader.problems.add(
            node.at,
            format!("`sample` is {}, but must be a map with `count` and what to draw", node.what()),
        );
        return None;
    };
    let most = MAX_COUNT;
    let (mut count, mut seed, mut drawn) = (None, DEFAULT_SEED, Vec::new());
    let mut sound = true;
    for (key, node) in fields {
        match key.name.as_str() {
            "count" => {
                count = whole(&node.value).filter(|n| (1..=most).contains(n));
                if count.is_none() {
                    reader.problems.add(
                        node.at,
                        format!(
                            "`count` is {}, but must be a whole number from 1 to {most}",
                            node.what()
                        ),
                    );
                    sound = false;
                }
            }
            "seed" => match whole(&node.value).filter(|n| *n <= u32::MAX.into()) {
                Some(n) => seed = n,
                None => {
                    reader.problems.add(
                        node.at,
                        format!(
                            "`seed` is {}, but must be a whole number from 0 to {}",
                            node.what(),
                            u32::MAX
                        ),
                    );
                    sound = false;
                }
            },
            _ => match draw(reader, loss, key, node) {
                Some(one) => drawn.push(one),
                None => sound = false,
            },
        }
    }
    if !sound {
        return None;
    }
    let Some(count) = count else {
        reader
            .problems
            .add(key.at, format!("`sample` needs `count`: a whole number from 1 to {most}"));
        return None;
    };
    if drawn.is_empty() || drawn.len() > MAX_DIMENSIONS {
        let text = format!(
            "`sample` draws {} settings, but must draw from 1 to {MAX_DIMENSIONS}, as `margin: {{ uniform: [0, 0.5] }}`",
            drawn.len()
        );
        reader.problems.add(key.at, text);
        return None;
    }
    if !reader.spend(count * drawn.len() as u64, key.at, "sample") {
        return None;
    }
    points(reader, key, drawn, count, seed)
}

fn points(
    reader: &mut Reader,
    key: &Key,
    mut drawn: Vec<Drawn>,
    count: u64,
    seed: u64,
) -> Option<Dimension> {
    // By name, so that the order of keys in the file changes no value.
    drawn.sort_by_key(|d| d.target.name());
    let mut choices: Vec<Vec<Setting>> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for i in 0..count as u32 {
        let point: Vec<Setting> = (0_u32..)
            .zip(&drawn)
            .map(|(axis, d)| {
                let u = f64::from(sobol_burley::sample(i, axis, seed as u32));
                Setting { target: d.target, json: d.draw.at(u, d.parameter), at: d.at }
            })
            .collect();
        if !seen.insert(point.iter().map(|s| s.json.to_string()).collect::<Vec<_>>()) {
            reader.problems.add(key.at, format!("`sample` draws the same point twice within {count}; lower `count`, or draw from wider ranges"));
            return None;
        }
        choices.push(point);
    }
    Some(Dimension { choices, together: true })
}

fn draw(reader: &mut Reader, loss: &'static LossEntry, key: &Key, node: &Node) -> Option<Drawn> {
    let (target, parameter) = reader.zippable(loss, key, "sample")?;
    let draw = match &node.value {
        Value::List(_) => {
            let values: Vec<Json> =
                reader.alternatives(node, parameter).into_iter().map(|c| c.json).collect();
            (!values.is_empty()).then_some(Draw::OneOf(values))
        }
        Value::Map(fields) => match fields.as_slice() {
            [(how, bounds)] if how.name == "uniform" => {
                range(reader, how, bounds, parameter).map(|(a, b)| Draw::Uniform(a, b))
            }
            [(how, bounds)] if how.name == "log_uniform" => {
                match range(reader, how, bounds, parameter) {
                    Some((a, _)) if a <= 0.0 => {
                        reader.problems.add(
                            bounds.at,
                            format!("`log_uniform` starts at {a}, but must start above 0"),
                        );
                        None
                    }
                    range => range.map(|(a, b)| Draw::LogUniform(a, b)),
                }
            }
            _ => how_to_draw(reader, key, node),
        },
        _ => how_to_draw(reader, key, node),
    }?;
    Some(Drawn { target, draw, parameter, at: key.at })
}

fn how_to_draw<T>(reader: &mut Reader, key: &Key, node: &Node) -> Option<T> {
    let allowed = "{ uniform: [a, b] }, { log_uniform: [a, b] } or a list to choose from";
    reader.problems.add(
        node.at,
        format!("`{}` in `sample` is {}, but must be {allowed}", key.name, node.what()),
    );
    None
}

/// Two bounds within the setting's own range, the first below the second.
fn range(
    reader: &mut Reader,
    how: &Key,
    bounds: &Node,
    parameter: &'static Parameter,
) -> Option<(f64, f64)> {
    if !matches!(parameter.kind, Kind::Real(_) | Kind::Integer { .. }) {
        let text = format!(
            "`{}` cannot be drawn from a range; allowed: a list of values, each {}",
            parameter.name,
            parameter.kind.allowed()
        );
        reader.problems.add(how.at, text);
        return None;
    }
    let Value::List(items) = &bounds.value else {
        reader.problems.add(
            bounds.at,
            format!("`{}` is {}, but must be [smallest, largest]", how.name, bounds.what()),
        );
        return None;
    };
    let ends: Vec<f64> = items
        .iter()
        .flat_map(|item| reader.alternatives(item, parameter))
        .filter_map(|c| c.json.as_f64())
        .collect();
    match ends.as_slice() {
        [a, b] if a < b && items.len() == 2 => Some((*a, *b)),
        // A bound that is refused has its own problem.
        other if other.len() < items.len() && items.len() == 2 => None,
        _ => {
            reader.problems.add(
                bounds.at,
                format!(
                    "`{}` must be [smallest, largest], each {}",
                    how.name,
                    parameter.kind.allowed()
                ),
            );
            None
        }
    }
}

impl Draw {
    fn at(&self, u: f64, parameter: &Parameter) -> Json {
        let value = match self {
            Self::OneOf(values) => {
                return values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone();
            }
            Self::Uniform(a, b) => rounded(a + (b - a) * u).clamp(*a, *b),
            Self::LogUniform(a, b) => rounded((a.ln() + (b.ln() - a.ln()) * u).exp()).clamp(*a, *b),
        };
        match parameter.kind {
            Kind::Integer { .. } => Json::from(value.round() as u64),
            _ => Json::from(value),
        }
    }
}

fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
