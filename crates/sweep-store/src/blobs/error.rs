//! Why a blob cannot be had or kept.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sweep_core::ids::Digest;

/// Why a blob cannot be had or kept. Addresses are shown without credentials, and no message holds a token.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not a place for blobs. Retrying cannot help.
    #[error(
        "`{address}` is not a place for blobs: {why} (known: a directory, file:PATH, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, http://COORDINATOR)"
    )]
    Address {
        /// As given, without credentials.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An object store was named, but the environment holds no credentials for it. Nothing was sent.
    #[error(
        "no credentials for {address}: {needs}, or write `?credentials=instance` behind the address to use those of the machine this runs on"
    )]
    Credentials {
        /// Without its query.
        address: String,
        /// What to set.
        needs: &'static str,
    },
    /// No such blob: collected, or lost with its disk. Retrying cannot help.
    #[error("no blob {digest}")]
    Missing {
        /// Its name.
        digest: Digest,
    },
    /// Its content is not what its name says. Retrying cannot help.
    #[error("blob {digest} is damaged")]
    Damaged {
        /// Its name.
        digest: Digest,
    },
    /// More bytes than the caller takes. Retrying cannot help.
    #[error("blob {digest} has more than the {limit} bytes that are allowed")]
    TooLarge {
        /// Its name.
        digest: Digest,
        /// Allowed.
        limit: u64,
    },
    /// A file on this machine cannot be read or written: the disk is full, and the like. Retrying may help.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was to be stored broke off. Retrying may help.
    #[error("the bytes to be stored broke off: {source}")]
    Body {
        /// Why.
        source: io::Error,
    },
    /// The object store refuses or fails.
    #[error("{address}: {error}")]
    Objects {
        /// Without credentials.
        address: String,
        /// Why; not a `source`, for its text holds those below it already.
        error: Box<object_store::Error>,
    },
    /// The coordinator wants a token (401). Retrying cannot help.
    #[error("{address} asks for a token of role `{role}`: set SWEEP_TOKEN")]
    NoToken {
        /// Which coordinator.
        address: String,
        /// The smallest role that is enough.
        role: &'static str,
    },
    /// The coordinator does not let this token do it (403). Retrying cannot help.
    #[error("{address} does not let this token do that: role `{role}` is needed")]
    Role {
        /// Which coordinator.
        address: String,
        /// The smallest role that is enough.
        role: &'static str,
    },
    /// The coordinator answered with an error. Retrying helps when it is overloaded or failing (429, 5xx).
    #[error("{address} answered {status}{}{text}", if text.is_empty() { "" } else { ": " })]
    Status {
        /// Which coordinator.
        address: String,
        /// HTTP status.
        status: u16,
        /// What it says, at most 1 KiB.
        text: String,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// The coordinator cannot be reached or the connection broke. Retrying may help.
    #[error("{address} cannot be reached: {why}")]
    Unreachable {
        /// Which coordinator.
        address: String,
        /// Why.
        why: String,
    },
    /// The coordinator said nothing for too long. Retrying may help.
    #[error("{address} said nothing for {} s", waited.as_secs())]
    Silent {
        /// Which coordinator.
        address: String,
        /// How long.
        waited: Duration,
    },
    /// The coordinator broke the rules of HTTP or of its API. Retrying cannot help.
    #[error("{address} answered {what}")]
    Answer {
        /// Which coordinator.
        address: String,
        /// What was wrong with it.
        what: &'static str,
    },
    /// Only the directory or object store itself can do that. Retrying cannot help.
    #[error("{address} is a coordinator, which does not {what}")]
    Unsupported {
        /// Which coordinator.
        address: String,
        /// What it does not do.
        what: &'static str,
    },
}

impl BlobError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io { .. }
            | Self::Body { .. }
            | Self::Unreachable { .. }
            | Self::Silent { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Objects { error, .. } => !matches!(
                **error,
                object_store::Error::NotFound { .. }
                    | object_store::Error::PermissionDenied { .. }
                    | object_store::Error::Unauthenticated { .. }
                    | object_store::Error::NotSupported { .. }
                    | object_store::Error::NotImplemented { .. }
                    | object_store::Error::InvalidPath { .. }
            ),
            _ => false,
        }
    }
}
