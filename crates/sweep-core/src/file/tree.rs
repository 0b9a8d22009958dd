//! YAML text → a tree whose every key and value knows its place in the text. Knows nothing of sweeps.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::problem::Span;

/// Largest sweep file, in bytes: a hundred thousand listed configurations fit.
const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting; a sweep file needs 7.
const MAX_DEPTH: usize = 24;
/// Most scalars, lists and maps.
const MAX_NODES: usize = 400_000;
/// Most values that aliases may repeat: they save typing, not build bombs.
const MAX_REPLAYED: usize = 10_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Where it stands; of an alias: where it is used.
    pub(crate) at: Span,
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The text.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) at: Span,
}

/// What YAML can say.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number that fits i128.
    Integer(i128),
    /// Any other number; may be infinite or NaN.
    Real(f64),
    /// Text, quoted or plain.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file, without duplicate keys.
    Map(Vec<(Key, Node)>),
}

impl Node {
    /// Whether it says nothing.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What this is, for messages: "the text `abc`".
    pub(crate) fn what(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Flag(flag) => flag.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Text(text) => super::problem::quoted(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// Reads one document.
///
/// # Errors
/// Where and why the text is not one YAML document of bounded size.
pub(crate) fn parse(text: &str) -> Result<Node, (Span, String)> {
    if text.len() > MAX_BYTES {
        return Err((
            Span::START,
            format!("the file has {} bytes, but at most {MAX_BYTES} are read", text.len()),
        ));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_documents: 4,
            max_aliases: 1000,
            max_anchors: 1000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_REPLAYED },
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options) {
        Ok(spanned) => Ok(node(spanned)),
        Err(error) => {
            let at = error.location().map_or(Span::START, span);
            Err((at, message(&error)))
        }
    }
}

fn message(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error.without_snippet()
    {
        return format!(
            "duplicate key {}: a key may stand once in a map",
            super::problem::quoted(key)
        );
    }
    let options = serde_saphyr::RenderOptions::new(&serde_saphyr::DefaultMessageFormatter);
    let text = error.without_snippet().render_with_options(options);
    // The place is said by the caret.
    let first = text.lines().next().unwrap_or_default();
    let first = first.rsplit_once(" at line ").map_or(first, |(what, _)| what);
    let what = first.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    match error.without_snippet() {
        serde_saphyr::Error::MultipleDocuments { .. } => {
            "a second YAML document begins here, but a sweep file is one".to_owned()
        }
        serde_saphyr::Error::Budget { .. } => {
            format!("this file is too large or too deeply nested for a sweep file: {what}")
        }
        _ => format!("this is not readable YAML: {what}"),
    }
}

fn span(location: serde_saphyr::Location) -> Span {
    let clip = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Span {
        line: clip(location.line()).max(1),
        column: clip(location.column()).max(1),
        width: clip(location.span().len()).max(1),
    }
}

fn node(spanned: Spanned<Value>) -> Node {
    Node { value: spanned.value, at: span(spanned.referenced) }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Integer(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Value, E> {
        Ok(i128::try_from(number).map_or(Value::Real(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Spanned<Value>>()? {
            items.push(node(item));
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { name: key.value, at: span(key.referenced) };
            entries.push((key, node(map.next_value::<Spanned<Value>>()?)));
        }
        Ok(Value::Map(entries))
    }
}
