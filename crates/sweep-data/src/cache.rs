//! Where files that can be had again lie: downloads and what archives unpack to, shared by all sweeps of a user.
//!
//! Not for packed data sets, which belong to a sweep's own directory ([`mod@crate::pack`]).

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for files that can be had again. It need not exist.
///
/// `SWEEP_CACHE`, else `sweep` in `XDG_CACHE_HOME`, else `.cache/sweep` in `HOME` (`sweep` in `LOCALAPPDATA` on Windows), else
/// `.sweep/cache` where the process stands.
pub fn place() -> PathBuf {
    place_in(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
}

fn place_in(variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable("SWEEP_CACHE")
        .map(PathBuf::from)
        .or_else(|| absolute("XDG_CACHE_HOME").map(|home| home.join("sweep")))
        .or_else(|| absolute("LOCALAPPDATA").map(|home| home.join("sweep")))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache/sweep")))
        .unwrap_or_else(|| PathBuf::from(".sweep/cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_decides() {
        let with = |set: &'static [(&str, &str)]| {
            place_in(|name| {
                set.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(with(&[("SWEEP_CACHE", "here"), ("HOME", "/h")]), PathBuf::from("here"));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), PathBuf::from("/x/sweep"));
        // The base directory specification: a relative path is to be ignored.
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]),
            PathBuf::from("/h/.cache/sweep")
        );
        assert_eq!(with(&[]), PathBuf::from(".sweep/cache"));
    }
}
