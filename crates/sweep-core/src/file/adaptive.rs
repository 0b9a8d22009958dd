//! The block `adaptive:` and the seeds it implies.

use serde_json::{Map, Value as Json};

use super::problem::Span;
use super::tree::Node;
use super::{Reader, flow};
use crate::adaptive::{Adaptive, MAX_LOOKS};
use crate::catalogue;

impl Reader {
    pub(super) fn adaptive(&mut self, node: &Node) -> Option<Adaptive> {
        let fields = self.block(node, "adaptive", "{ max_seeds: 30, look_every: 5 }")?;
        let mut json: Map<String, Json> = catalogue::defaults(catalogue::adaptive());
        let mut places: Vec<(&str, Span)> = Vec::new();
        let mut complete = true;
        for (key, node) in fields {
            match self.setting(key, node, catalogue::adaptive(), "adaptive") {
                Some((parameter, choice)) => {
                    places.push((parameter.name, choice.at));
                    json.insert(parameter.name.to_owned(), choice.json);
                }
                None => complete = false,
            }
        }
        if !complete {
            return None;
        }
        let adaptive: Adaptive = serde_json::from_value(Json::Object(json)).expect(
            "the catalogue's adaptive settings are an Adaptive; a test holds them together",
        );
        let Adaptive { max_seeds, look_every, .. } = adaptive;
        let at = |name: &str| {
            let place = places.iter().find(|(written, _)| *written == name);
            place.or(places.first()).map_or(node.at, |(_, at)| *at)
        };
        if look_every > max_seeds {
            let text = format!(
                "`look_every` is {look_every}, but must be at most `max_seeds`, {max_seeds}"
            );
            self.problems.add(at("look_every"), text);
            return None;
        }
        if max_seeds.div_ceil(look_every) > MAX_LOOKS {
            let least = max_seeds.div_ceil(MAX_LOOKS);
            let text = format!(
                "`look_every` {look_every} makes {} looks at up to {max_seeds} seeds, but at most {MAX_LOOKS} are allowed (`look_every` from {least})",
                max_seeds.div_ceil(look_every)
            );
            self.problems.add(at("look_every"), text);
            return None;
        }
        Some(adaptive)
    }

    /// The seeds of the first round, which `seeds:` may repeat but not change.
    pub(super) fn first_seeds(
        &mut self,
        node: Option<&Node>,
        written: Option<Vec<u64>>,
        adaptive: &Adaptive,
    ) -> Option<Vec<u64>> {
        let seeds: Vec<u64> = adaptive.first_seeds().collect();
        let Some(node) = node else { return Some(seeds) };
        let written = written?;
        if written == seeds {
            return Some(seeds);
        }
        let what = match written.as_slice() {
            all if all.iter().copied().eq(1..=all.len() as u64) => all.len().to_string(),
            all => flow(&Json::from(all.to_vec())),
        };
        let text = format!(
            "`seeds` is {what}, but with `adaptive` the looks decide: leave it out, or write {} (`look_every`), the seeds of the first look",
            seeds.len()
        );
        self.problems.add(node.at, text);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adaptive_with_its_defaults_is_the_rule_of_the_documentation() {
        let read: Adaptive =
            serde_json::from_value(Json::Object(catalogue::defaults(catalogue::adaptive())))
                .unwrap();
        assert_eq!(
            (read.max_seeds, read.look_every, read.confirm, read.anytime),
            (30, 5, 10, false)
        );
        assert_eq!(read.looks().len(), 6);
    }
}
