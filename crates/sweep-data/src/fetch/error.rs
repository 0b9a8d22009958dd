//! Why a file could not be fetched, and what its reader can do about it.

use std::path::Path;

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address that is fetched. Retrying cannot help.
    #[error("cannot fetch `{url}`: {reason}")]
    Address {
        /// The address, without secrets.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server cannot be reached, or the connection breaks again and again. Retrying may help, and goes on where this ended.
    #[error(
        "cannot fetch {url}: {reason}; without a network, get the file elsewhere and put it at `{into}`{wanted}"
    )]
    Unreachable {
        /// The address, without secrets.
        url: String,
        /// What the network said.
        reason: String,
        /// Where the file belongs.
        into: String,
        /// " (sha256 …)", or nothing.
        wanted: String,
    },
    /// The server answers, but not with the file. Retrying rarely helps.
    #[error(
        "cannot fetch {url}: the server says {status}; get the file elsewhere and put it at `{into}`{wanted}"
    )]
    Refused {
        /// The address, without secrets.
        url: String,
        /// Its status, such as `404 Not Found`.
        status: String,
        /// Where the file belongs.
        into: String,
        /// " (sha256 …)", or nothing.
        wanted: String,
    },
    /// More bytes than the file may have. Retrying cannot help.
    #[error("{url} has more than the {limit} bytes that are allowed; nothing was kept")]
    TooLong {
        /// The address, without secrets.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The server's file is not the one that is meant. Retrying cannot help.
    #[error(
        "{url} has sha256 {found}, but {wanted} is expected: the file was replaced, or somebody in between answers; nothing was kept, `{into}` was not made"
    )]
    OtherFile {
        /// The address, without secrets.
        url: String,
        /// What came.
        found: String,
        /// What should have come.
        wanted: String,
        /// Where the file belongs.
        into: String,
    },
    /// Another file lies at the target. Retrying cannot help.
    #[error(
        "`{into}` has sha256 {found}, but {wanted} is expected: delete it, and it is fetched again"
    )]
    InTheWay {
        /// The target.
        into: String,
        /// What it has.
        found: String,
        /// What it should have.
        wanted: String,
    },
    /// Writing failed. Retrying may help.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl FetchError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::Io { path: path.display().to_string(), error }
    }

    /// Whether the input is wrong, as opposed to a network or disk that failed.
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::TooLong { .. }
                | Self::OtherFile { .. }
                | Self::InTheWay { .. }
        )
    }

    /// Whether a network is what is missing.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. })
    }
}
