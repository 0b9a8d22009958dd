//! The only place that writes to standard output. A closed pipe (`sweep runs … | head`) is the reader's wish, not an error.

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;
use sweep_report::terminal::Style;

/// Writes text as it is.
pub(crate) fn text(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.context("cannot write to standard output"),
    }
}

/// Writes exactly one JSON document.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<()> {
    let mut document = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    document.push('\n');
    text(&document)
}

/// Width and colour of tables on standard output: 100 columns and no colour when piped.
pub(crate) fn style() -> Style {
    let terminal = io::stdout().is_terminal();
    let width = if terminal { usize::from(console::Term::stdout().size().1).max(60) } else { 100 };
    Style { width, colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) }
}
