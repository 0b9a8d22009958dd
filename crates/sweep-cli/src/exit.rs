//! Exit codes: 0 done, 1 the command failed, 2 the input is wrong, 3 the sweep ended with failed runs, 130 interrupted.

use std::process::ExitCode;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is well.
    Done,
    /// The sweep ended, but some of its runs failed.
    WithFailedRuns,
    /// A person or the system asked it to stop; everything is resumable.
    Interrupted,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        Self::from(match ended {
            Ended::Done => 0,
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
    ExitCode::from(if error.chain().any(|cause| cause.is::<WrongInput>()) { 2 } else { 1 })
}
