//! Why a store did not do what it was asked.

use std::path::PathBuf;

use sweep_core::ids::{IdError, RunId, SweepId};

/// Why a store did not do what it was asked. Nothing has changed then, except after [`StoreError::Closed`], where nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not a store address. Retrying cannot help.
    #[error(
        "`{url}` is not a store (known: sqlite:PATH, sqlite::memory:, redis://HOST, rediss://HOST, redis+sentinel://HOST/SERVICE)"
    )]
    Url {
        /// As given, without credentials.
        url: String,
    },
    /// The address of a Redis store is not one. Retrying cannot help.
    #[error("`{url}` is not the address of a Redis store: {why}")]
    RedisUrl {
        /// As given, without credentials.
        url: String,
        /// What is wrong with it and what is allowed.
        why: &'static str,
    },
    /// A pool that the store at this address cannot be. Retrying cannot help.
    #[error("pool `{pool}` is not possible with `{url}`: {why}")]
    Pool {
        /// As asked for.
        pool: String,
        /// As given, without credentials.
        url: String,
        /// What stands against it and what is allowed.
        why: String,
    },
    /// The Redis server cannot be reached, refuses or fails. Retrying helps when it is away, starting, full or a replica.
    #[error("store {store}: {source}")]
    Redis {
        /// Its address, without credentials.
        store: String,
        /// Why.
        source: Box<redis::RedisError>,
    },
    /// A server or script answered what it never should. Retrying cannot help.
    #[error("the store answered {what}")]
    Reply {
        /// What was wrong with it.
        what: &'static str,
    },
    /// A packed row that breaks the layout's promises. Retrying cannot help.
    #[error("the store is damaged: {what} of {of}")]
    DamagedRow {
        /// The run, sweep or slot whose row it is.
        of: String,
        /// Which field.
        what: &'static str,
    },
    /// Opened to read, but there is no such file. Retrying cannot help.
    #[error("no store at {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The store was written by a newer version. Retrying cannot help.
    #[error(
        "the store has schema {found}, but this version knows {known} and older: use a newer version of sweep"
    )]
    SchemaTooNew {
        /// In the store.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// The store was written by an older version in a layout that this one does not read. Retrying cannot help.
    #[error(
        "the store has schema {found}, but this version knows {known} only: take another namespace, or finish its sweeps with the version that wrote it"
    )]
    SchemaTooOld {
        /// In the store.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// The file is a database, but not a store. Retrying cannot help.
    #[error("{} is a database of another program", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The store was opened to read. Retrying cannot help.
    #[error("the store was opened to read only")]
    ReadOnly,
    /// More runs in one call than [`crate::words::SUBMIT_MAX`]. Retrying cannot help.
    #[error("{count} runs in one submission, but at most {max} are allowed")]
    TooManyRuns {
        /// Sent.
        count: usize,
        /// Allowed.
        max: usize,
    },
    /// A coordinator, asked instead of the store, did not do it either.
    #[error("{text}")]
    Coordinator {
        /// For people.
        text: String,
        /// Of what kind.
        why: Refusal,
    },
    /// The same run id with other content. Retrying cannot help.
    #[error("run {run} is known with another content than the one submitted")]
    RunClash {
        /// Which.
        run: RunId,
    },
    /// New runs for a round that is complete or of another decision, or a round out of order. Retrying cannot help; reading
    /// the sweep anew may.
    #[error("round {round} of sweep {sweep} is refused: round {current} is {}", if *.sealed { "complete" } else { "not complete yet" })]
    Round {
        /// Which sweep.
        sweep: SweepId,
        /// As submitted.
        round: u32,
        /// In the store.
        current: u32,
        /// Whether the store has all runs of its round.
        sealed: bool,
    },
    /// No such sweep. Retrying cannot help.
    #[error("unknown sweep {sweep}")]
    UnknownSweep {
        /// Which.
        sweep: SweepId,
    },
    /// The sweep was cancelled. Retrying cannot help.
    #[error("sweep {sweep} is cancelled: submit it again to reopen it")]
    CancelledSweep {
        /// Which.
        sweep: SweepId,
    },
    /// A weight that is not a share. Retrying cannot help.
    #[error("weight is {weight}, but must be finite and greater than 0")]
    Weight {
        /// As given.
        weight: f64,
    },
    /// No such band. Retrying cannot help.
    #[error("band is {band}, but must be in 0..=7")]
    Band {
        /// As given.
        band: u8,
    },
    /// A cap that would never lease. Retrying cannot help.
    #[error("cap is 0, but must be at least 1 (pause the sweep instead)")]
    Cap,
    /// A result above [`crate::words::RESULT_MAX`]. Retrying cannot help.
    #[error("the result has {bytes} bytes, but at most {max} are allowed")]
    ResultTooLarge {
        /// As JSON.
        bytes: usize,
        /// Allowed.
        max: usize,
    },
    /// A cursor that this store did not give. Retrying cannot help.
    #[error("`{0}` is not a cursor of this listing")]
    Cursor(String),
    /// The store went away before the answer; the call may have counted. Retrying helps once it is open again.
    #[error("the store is closed")]
    Closed,
    /// Another process holds the file too long, the disk is full, and the like. Retrying may help.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The group of steps this one was in could not be made durable. Retrying may help.
    #[error("database: {0}")]
    Commit(std::sync::Arc<rusqlite::Error>),
    /// The file or its lock cannot be had. Retrying may help.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Stored JSON that this version cannot read. Retrying cannot help.
    #[error("stored {what} cannot be read: {source}")]
    Json {
        /// Which column.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A stored id that is none. Retrying cannot help.
    #[error("stored id: {0}")]
    Id(#[from] IdError),
    /// A row that breaks the schema's promises. Retrying cannot help.
    #[error("the store is damaged: {what} of run {run}")]
    Damaged {
        /// Which run.
        run: RunId,
        /// Which promise.
        what: &'static str,
    },
}

/// Why a coordinator did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be reached, or cannot reach its store. Retrying helps.
    Unreachable,
    /// Without a token, or with one of too small a role. Retrying cannot help.
    NotAllowed,
    /// What was asked is wrong. Retrying cannot help.
    Wrong,
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Closed | Self::Sqlite(_) | Self::Commit(_) | Self::Io { .. } => true,
            Self::Redis { source, .. } => crate::redis::is_retryable(source),
            Self::Coordinator { why, .. } => *why == Refusal::Unreachable,
            _ => false,
        }
    }
}
