//! Why a data set cannot be loaded.

use crate::decode::DecodeError;
use crate::manifest::ManifestError;

/// Why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No manifest and no built-in set of that name. Retrying cannot help.
    #[error("unknown data set `{name}` (known: {known}){hint}; a manifest would be `{looked}`")]
    Unknown {
        /// As asked for.
        name: String,
        /// Built-in sets and the manifests that are there.
        known: String,
        /// "; did you mean …?" or nothing.
        hint: String,
        /// Where the manifest was looked for.
        looked: String,
    },
    /// The manifest is wrong, or does not agree with the files. Retrying cannot help.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file is no picture for us. Retrying cannot help.
    #[error("{path}: {error} (`decode: {{ on_error: skip }}` leaves such files out)")]
    Picture {
        /// Relative to the data set's folder.
        path: String,
        /// Why not.
        error: DecodeError,
    },
    /// A file is larger than any picture should be. Retrying cannot help.
    #[error("{path}: {bytes} bytes, but at most {allowed} are read")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        allowed: u64,
    },
    /// A link that leads out of the data set's folder. Retrying cannot help.
    #[error("{path}: leads out of the data set's folder; links to the outside are not followed")]
    Escapes {
        /// The link.
        path: String,
    },
    /// Neither a file nor a folder. Retrying cannot help.
    #[error("{path}: neither a file nor a folder")]
    Special {
        /// The entry.
        path: String,
    },
    /// A name that is not UTF-8. Retrying cannot help.
    #[error("{path}: names of files must be UTF-8")]
    NotUtf8 {
        /// The name with the bad bytes replaced.
        path: String,
    },
    /// An archive could not be fetched. Retrying may help; the message says what else would.
    #[cfg(feature = "fetch")]
    #[error(transparent)]
    Fetch(#[from] crate::fetch::FetchError),
    /// Its archive is not here yet, and nothing was to be downloaded.
    #[cfg(feature = "fetch")]
    #[error("not here yet; it would be fetched from {url}")]
    NotFetched {
        /// Where from, without secrets.
        url: String,
        /// How long the archive is, where the manifest says so.
        bytes: Option<u64>,
    },
    /// Reading failed. Retrying may help.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl LoadError {
    /// Whether the input is wrong (exit code 2), as opposed to a system that failed. A file that is not there was named wrongly.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Io { error, .. } => error.kind() == std::io::ErrorKind::NotFound,
            #[cfg(feature = "fetch")]
            Self::Fetch(error) => error.is_input(),
            _ => true,
        }
    }
}
