//! Canonical JSON: one text for one value, so that a content hash depends on nothing but the content.
//!
//! Keys sorted, no spaces, floats as `serde_json` writes them (shortest text that reads back to the same bits). Callers give
//! typed values whose numbers are `f64` fields, so that `30` and `30.0` in a sweep file are one number here.

use serde::Serialize;
use serde_json::Value;

use crate::ids::Digest;

/// The canonical JSON text of `value`.
///
/// # Panics
/// Never for the types of this crate: they have string keys only and hold no value that JSON cannot write.
pub fn json<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).expect("the core's types have string keys only");
    let mut text = String::new();
    write(&value, &mut text);
    text
}

/// Digest of [`json`].
pub fn digest<T: Serialize>(value: &T) -> Digest {
    Digest::of(json(value).as_bytes())
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            // Sorted here, not by the map: another crate may switch on serde_json's insertion-ordered maps.
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value =
            serde_json::from_str(r#"{"b":{"y":1.0,"x":[2,"q\"uote"]},"a":null}"#).unwrap();
        assert_eq!(json(&value), r#"{"a":null,"b":{"x":[2,"q\"uote"],"y":1.0}}"#);
    }
}
