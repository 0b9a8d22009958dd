//! `~/.config/sweep/config.toml`: what a person would otherwise type with every command.

use std::path::{Path, PathBuf};

use anyhow::Result;
use secrecy::SecretString;
use serde::Deserialize;

use crate::exit::WrongInput;

/// What the file may hold; flags and environment variables go first.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Address of a coordinator.
    pub(crate) coordinator: Option<String>,
    /// What a coordinator is shown.
    pub(crate) token: Option<SecretString>,
    /// Address of a store.
    pub(crate) store: Option<String>,
}

impl Config {
    /// Reads the file; nothing where there is none.
    ///
    /// # Errors
    /// [`WrongInput`] with line and caret.
    pub(crate) fn read() -> Result<Self> {
        match path() {
            Some(path) if path.exists() => Self::at(&path),
            _ => Ok(Self::default()),
        }
    }

    fn at(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| WrongInput::error(format!("cannot read {shown}: {error}")))?;
        let config: Self = toml::from_str(&text).map_err(|error| {
            // The token must not be shown with the line it stands on.
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            WrongInput::error(format!(
                "{shown}:{line}: {} (allowed: coordinator, token, store, each a text)",
                error.message()
            ))
        })?;
        if config.token.is_some() && others_may_read(path) {
            eprintln!("warning: {shown} holds a token and others may read it (chmod 600 {shown})");
        }
        Ok(config)
    }
}

/// `$XDG_CONFIG_HOME/sweep/config.toml`, else below `~/.config`.
fn path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(dir.join("sweep").join("config.toml"))
}

fn others_may_read(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o044 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_named_with_its_line_and_no_token_is_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "token = \"very-secret\"\ncordinator = \"http://x\"\n")
            .unwrap();
        let error = Config::at(file.path()).unwrap_err().to_string();
        assert!(error.contains(":2: unknown field `cordinator`"), "{error}");
        assert!(!error.contains("very-secret"), "{error}");
    }

    #[test]
    fn a_token_is_not_printed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "token = \"very-secret\"\n").unwrap();
        let config = Config::at(file.path()).unwrap();
        assert!(config.token.is_some() && !format!("{config:?}").contains("very-secret"));
    }
}
