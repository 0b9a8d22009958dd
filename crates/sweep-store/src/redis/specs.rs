//! Specs as the server keeps them: a configuration once, under its key, and of every run that key and its seed.
//!
//! A sweep has few configurations and many seeds; kept whole with every run, their JSON was half of a run's memory.

use std::collections::BTreeMap;

use sweep_core::ids::Digest;
use sweep_core::run::{Configuration, DataKey, RunSpec};

use super::json;
use super::reply::Reply;
use crate::error::StoreError;
use crate::limits;

/// Hexadecimal digits of a configuration's key. The scripts compare what is kept under a key with what comes, so that two
/// configurations of one key would be an error, never a mix-up.
const KEY_CHARS: usize = 20;

/// The configurations of a submission by key: as JSON, and with the key of the pictures.
#[derive(Default)]
pub(super) struct Texts(BTreeMap<String, (String, DataKey)>);

impl Texts {
    /// The spec as kept.
    pub(super) fn keep(&mut self, spec: &RunSpec) -> String {
        let text = limits::json_text(&spec.configuration);
        let mut key = Digest::of(text.as_bytes()).to_string();
        key.truncate(KEY_CHARS);
        let kept = format!("{key}:{}", spec.seed);
        self.0.entry(key).or_insert_with(|| (text, spec.data_key()));
        kept
    }

    /// Key, JSON and the key of the pictures.
    pub(super) fn into_parts(self) -> Vec<(String, String, DataKey)> {
        self.0.into_iter().map(|(key, (text, data))| (key, text, data)).collect()
    }
}

/// A spec from how it is kept and the JSON of its configuration.
pub(super) fn spec(kept: &str, configuration: &[u8]) -> Result<RunSpec, StoreError> {
    let (_, seed) = parts(kept)?;
    Ok(RunSpec { configuration: json(configuration, "configuration")?, seed })
}

/// Configurations that came with an answer, each read once.
#[derive(Default)]
pub(super) struct Configurations(BTreeMap<String, Configuration>);

impl Configurations {
    /// Takes in keys and JSON, one after the other.
    pub(super) fn add(&mut self, found: &Reply) -> Result<(), StoreError> {
        for i in (0..found.len()).step_by(2) {
            let key = found.text(i)?;
            if !self.0.contains_key(key) {
                self.0.insert(key.to_owned(), json(found.bytes(i + 1)?, "configuration")?);
            }
        }
        Ok(())
    }

    /// A spec from how it is kept.
    pub(super) fn spec(&self, kept: &str) -> Result<RunSpec, StoreError> {
        let (key, seed) = parts(kept)?;
        let missing = || StoreError::Reply { what: "a run without its configuration" };
        let configuration = self.0.get(key).ok_or_else(missing)?.clone();
        Ok(RunSpec { configuration, seed })
    }
}

/// Key and seed.
pub(super) fn parts(kept: &str) -> Result<(&str, u64), StoreError> {
    let parts = kept.split_once(':').and_then(|(key, seed)| Some((key, seed.parse().ok()?)));
    parts.ok_or(StoreError::Reply { what: "a spec without configuration and seed" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_spec_that_is_none_is_an_error() {
        for kept in ["", "abc", "abc:", "abc:-1", "abc:1.5", "{\"seed\":1}"] {
            assert!(parts(kept).is_err(), "{kept}");
        }
        assert_eq!(parts("abc:18446744073709551615").unwrap(), ("abc", u64::MAX));
        assert!(Configurations::default().spec("abc:1").is_err());
    }
}
