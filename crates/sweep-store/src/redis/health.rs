//! What the settings of a Redis server are worth: version, append-only file, eviction. For `sweep doctor` and at a start.

use std::collections::BTreeMap;

use redis::Value;

use super::Redis;
use super::connection::Repeat;
use super::reads::pairs;
use crate::durability::Warning;
use crate::error::StoreError;

/// The oldest version whose commands the scripts use (`ZRANGEBYLEX`, `XADD … MAXLEN ~`, effects replication by default).
const OLDEST: (u32, u32) = (6, 2);

impl Redis {
    /// What the server's settings put at risk; empty when nothing. A setting that may not be read is told as unknown.
    ///
    /// # Errors
    /// [`StoreError::Redis`] when the server cannot be reached.
    pub async fn durability(&self) -> Result<Vec<Warning>, StoreError> {
        let mut cmd = redis::cmd("INFO");
        cmd.arg("everything");
        let info = match self.link().ask(&cmd, Repeat::Safe).await? {
            Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
            Value::VerbatimString { text, .. } => text,
            _ => String::new(),
        };
        let mut settings = BTreeMap::new();
        for name in ["appendonly", "appendfsync", "maxmemory-policy"] {
            let mut cmd = redis::cmd("CONFIG");
            cmd.arg("GET").arg(name);
            // Managed servers deny CONFIG: then nobody knows.
            match self.link().ask(&cmd, Repeat::Safe).await {
                Ok(found) => {
                    for (name, value) in pairs(found)? {
                        settings.insert(name, String::from_utf8_lossy(&value).into_owned());
                    }
                }
                Err(error) if error.is_retryable() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(judge(&info, &settings))
    }
}

/// `info`: the answer to `INFO`; `settings`: those that could be read.
fn judge(info: &str, settings: &BTreeMap<String, String>) -> Vec<Warning> {
    let told = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let set = |name: &str| settings.get(name).map(String::as_str);
    let mut warnings = Vec::new();
    let mut warn = |refuse, setting, text: String| {
        warnings.push(Warning { refuse, setting, text });
    };
    match told("redis_version").map(|text| (text, version(text))) {
        Some((_, Some(found))) if found >= OLDEST => {}
        Some((text, Some(_))) => warn(
            true,
            "version",
            format!("the server is {text}, but must be {}.{} or newer", OLDEST.0, OLDEST.1),
        ),
        _ => warn(false, "version", format!("unknown; must be {}.{} or newer", OLDEST.0, OLDEST.1)),
    }
    // Also told by INFO, which managed servers do answer.
    match set("maxmemory-policy").or_else(|| told("maxmemory_policy")) {
        Some("noeviction") => {}
        Some(policy) => warn(
            true,
            "maxmemory-policy",
            format!("{policy} lets a full server drop runs; must be noeviction"),
        ),
        None => warn(false, "maxmemory-policy", "unknown; must be noeviction".to_owned()),
    }
    let on = match (set("appendonly"), told("aof_enabled")) {
        (Some("yes"), _) | (None, Some("1")) => Some(true),
        (Some(_), _) | (None, Some("0")) => Some(false),
        _ => None,
    };
    match on {
        Some(true) => {}
        Some(false) => warn(
            false,
            "appendonly",
            "no: a restart loses everything since the last snapshot; set it to yes".to_owned(),
        ),
        None => warn(false, "appendonly", "unknown; should be yes".to_owned()),
    }
    if on != Some(false) {
        match set("appendfsync") {
            Some("always") => {}
            Some("everysec") => warn(
                false,
                "appendfsync",
                "everysec: a crash may lose the acknowledged results of the last 2 seconds, which are then trained again; \
                 always loses none"
                    .to_owned(),
            ),
            Some(policy) => warn(
                false,
                "appendfsync",
                format!("{policy}: a crash may lose many seconds of acknowledged results; set it to always"),
            ),
            None => warn(false, "appendfsync", "unknown; should be always".to_owned()),
        }
    }
    if let Some(status) = told("aof_last_write_status").filter(|status| *status != "ok") {
        warn(
            false,
            "aof_last_write_status",
            format!("{status}: the server cannot write its append-only file; look at its disk"),
        );
    }
    warnings
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "redis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n";

    fn warned(info: &str, settings: &[(&str, &str)]) -> Vec<(&'static str, bool)> {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        judge(info, &settings).iter().map(|warning| (warning.setting, warning.refuse)).collect()
    }

    #[test]
    fn a_safe_server_is_not_warned_about() {
        let settings =
            [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")];
        assert_eq!(warned(GOOD, &settings), []);
    }

    #[test]
    fn eviction_and_old_versions_are_refused_and_the_rest_is_warned_about() {
        let settings = [
            ("appendonly", "no"),
            ("appendfsync", "everysec"),
            ("maxmemory-policy", "allkeys-lru"),
        ];
        let old = GOOD.replace("7.0.15", "5.0.3").replace("status:ok", "status:err");
        assert_eq!(
            warned(&old, &settings),
            [
                ("version", true),
                ("maxmemory-policy", true),
                ("appendonly", false),
                ("aof_last_write_status", false)
            ]
        );
    }

    #[test]
    fn what_may_not_be_read_is_unknown_and_never_fine() {
        let names = ["version", "maxmemory-policy", "appendonly", "appendfsync"];
        assert_eq!(warned("", &[]), names.map(|name| (name, false)));
        assert_eq!(warned(GOOD, &[]), [("appendfsync", false)]);
    }
}
