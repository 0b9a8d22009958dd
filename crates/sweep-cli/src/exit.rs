//! Exit codes: 0 done, 1 the command failed, 2 the input is wrong, 3 the sweep ended with failed runs, 4 not
//! reachable or not allowed, 130 interrupted.

use std::process::ExitCode;

use sweep_data::LoadError;
use sweep_data::fetch::FetchError;
use sweep_store::{Refusal, StoreError};

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is well.
    Done,
    /// The sweep ended, but some of its runs failed.
    WithFailedRuns,
    /// Somebody cancelled the sweep that was waited for.
    Cancelled,
    /// A person or the system asked it to stop; everything is resumable.
    Interrupted,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(match ended {
            Ended::Done => 0,
            Ended::Cancelled => 1,
            Ended::WithFailedRuns => 3,
            Ended::Interrupted => 130,
        })
    }
}

/// What a person wrote is wrong: a file, a flag, a name. The text is complete; exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongInput(String);

impl WrongInput {
    /// An error whose text is that of `error`.
    pub(crate) fn error(error: impl std::fmt::Display) -> anyhow::Error {
        anyhow::Error::new(Self(error.to_string()))
    }
}

/// The exit code of an error.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<WrongInput>() {
            return Some(2);
        }
        let fetched = match cause.downcast_ref::<LoadError>() {
            Some(LoadError::Fetch(error)) => Some(error),
            _ => cause.downcast_ref::<FetchError>(),
        };
        if fetched.is_some_and(FetchError::is_unreachable) {
            return Some(4);
        }
        match cause.downcast_ref::<StoreError>()? {
            StoreError::Coordinator { why: Refusal::Wrong, .. } => Some(2),
            StoreError::Coordinator { .. } | StoreError::Redis { .. } => Some(4),
            _ => None,
        }
    };
    ExitCode::from(error.chain().find_map(of).unwrap_or(1))
}

/// An error with its causes; a cause that the text before it tells already is not told again.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.ends_with(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("store: {0}")]
        struct Outer(#[source] std::io::Error);
        let outer = Outer(std::io::Error::other("refused"));
        let error = anyhow::Error::new(outer).context("cannot read");
        assert_eq!(text(&error), "cannot read: store: refused");
    }
}
