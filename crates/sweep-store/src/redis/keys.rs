//! The keys of a namespace: fixed, in one hash slot, and declared on every call in one order, which `prelude.lua` knows too.

/// Names of the keys, before the schedules of the bands.
pub(super) const NAMES: [&str; 20] = [
    "spec", "conf", "state", "result", "live", "ready", "shared", "lease", "delay", "sweep",
    "document", "member", "walk", "worker", "seen", "drain", "attempt", "log", "ev", "meta",
];
/// Bands, each with a schedule of its own, so that virtual times keep all their digits.
pub(super) const BANDS: u8 = 8;

/// One key. The braces keep all keys of a namespace in one slot of a cluster.
pub(super) fn key(namespace: &str, name: &str) -> String {
    format!("sweep:{{{namespace}}}:{name}")
}

/// The key that holds the schema and the counters.
pub(super) fn meta(namespace: &str) -> String {
    key(namespace, "meta")
}

/// All keys, in the order of the scripts.
pub(super) fn all(namespace: &str) -> Vec<String> {
    let names = NAMES.iter().map(|name| key(namespace, name));
    let schedules = (0..BANDS).map(|band| key(namespace, &format!("sched:{band}")));
    names.chain(schedules).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_know_the_same_keys_in_the_same_order() {
        let prelude = include_str!("lua/prelude.lua");
        let (_, list) = prelude.split_once("in ipairs({").unwrap();
        let (list, _) = list.split_once("})").unwrap();
        let listed: Vec<_> = list
            .split(',')
            .map(|name| name.trim().trim_matches('\''))
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(listed, NAMES);
        assert!(prelude.contains(&format!("KEYS[{} + band]", NAMES.len() + 1)));
        assert_eq!(all("cuda")[NAMES.len()], "sweep:{cuda}:sched:0");
    }
}
