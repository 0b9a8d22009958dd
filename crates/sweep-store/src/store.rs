//! The trait every store fulfils, and [`AnyStore`], which picks one by its URL.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use sweep_core::ids::{Digest, Fence, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_core::sweep::Document;

use crate::durability::Warning;
use crate::error::StoreError;
use crate::policy::Policy;
use crate::read::{
    Demand, EventCursor, Events, PageCursor, RunDetail, RunPage, RunProgress, SweepStatus,
    WorkerStatus,
};
use crate::redis::Redis;
use crate::sqlite::Sqlite;
use crate::words::{
    Applied, Command, Leased, NewSweep, Now, Order, Outcome, Progress, Submitted, Ticked, Wish,
};

macro_rules! store_trait {
    ($(#[$of:meta])* trait $trait:ident: $above:path;
     $($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $type:ty)* $(,)?) -> $reply:ty;)*) => {
        $(#[$of])*
        pub trait $trait: $above + Clone + Send + Sync + 'static {
            $($(#[$doc])* fn $name(&self $(, $arg: $type)*) -> impl Future<Output = Result<$reply, StoreError>> + Send;)*
        }

        impl $trait for AnyStore {
            $(async fn $name(&self $(, $arg: $type)*) -> Result<$reply, StoreError> {
                match self {
                    Self::Sqlite(store) => store.$name($($arg),*).await,
                    Self::Redis(store) => store.$name($($arg),*).await,
                }
            })*
        }
    };
}

store_trait! {
    /// What people see of a store, directly or through a coordinator. Nothing here changes it.
    trait Reads: Send;

    /// All sweeps, newest first.
    fn sweeps(&self) -> Vec<SweepStatus>;
    /// One sweep with its document.
    fn sweep(&self, sweep: &SweepId) -> Option<(SweepStatus, Document)>;
    /// A page of a sweep's runs in the order of the sweep, of all states or those in `states`; `after`: where the last page ended.
    /// Without `with_results` no result is read and every `result` is `None`: for lists, which show none of it.
    fn runs(&self, sweep: &SweepId, states: &[StateName], with_results: bool, after: Option<&PageCursor>, limit: u32) -> RunPage;
    /// All runs of a sweep with their results, in the order of the sweep: what a report is made of.
    fn results(&self, sweep: &SweepId) -> Vec<RunRecord>;
    /// One run with its attempts, their errors and the ends of their logs.
    fn run(&self, run: &RunId) -> Option<RunDetail>;
    /// States of these runs, in their order; `None` where unknown. For "new against known" before submitting.
    fn states(&self, runs: &[RunId]) -> Vec<Option<StateName>>;
    /// What an autoscaler needs.
    fn demand(&self) -> Demand;
    /// Slots heard of in the last hour.
    fn workers(&self) -> Vec<WorkerStatus>;
}

store_trait! {
    /// Where sweeps, runs and leases live.
    ///
    /// Every changing call is one atomic step and may be sent again: the reply may get lost, the effect does not double.
    /// The future may be dropped at any time; the step then happens or not, but never by half.
    trait Store: Reads;

    /// Adds runs (at most 500) to a sweep and the sweep to the store; `last` says that all runs of the round have arrived.
    /// A new round is taken only when the present one is complete, and by a cancelled sweep never: round 0 reopens it.
    fn submit(&self, now: Now, sweep: &NewSweep, runs: &[Run], last: bool) -> Submitted;
    /// Takes the next run by band, fair share and order. Sends again with the same request id until answered.
    fn lease(&self, now: Now, wish: &Wish, policy: &Policy) -> Leased;
    /// Extends a lease, hands over progress, and brings back the only orders a worker gets.
    fn beat(&self, now: Now, run: &RunId, fence: Fence, progress: &Progress, policy: &Policy) -> Order;
    /// Ends a lease. `log`: the attempt's log, of which the last 64 KiB are kept. Send again until answered.
    fn finish(&self, now: Now, run: &RunId, fence: Fence, outcome: &Outcome, log: &str, policy: &Policy) -> Applied;
    /// A person's command to a sweep or worker.
    fn control(&self, now: Now, command: &Command) -> ();
    /// Maintenance: expired leases, due runs, walks, pruning. Each second by any number of callers; again at once on `more`.
    fn tick(&self, now: Now, policy: &Policy) -> Ticked;
    /// Epoch metrics of a run that has not ended; empty once it has.
    fn live(&self, run: &RunId) -> RunProgress;
    /// Blobs that unfinished runs point to: never collect these.
    fn checkpoints(&self) -> BTreeSet<Digest>;
    /// The end of the event stream. Take it first, then read: replay from it leaves no gap.
    fn event_cursor(&self) -> EventCursor;
    /// What happened after `after`; waits up to `wait` for something to happen.
    fn events(&self, after: &EventCursor, wait: Duration) -> Events;
    /// Promises that do not hold: empty on a sound store. Reads everything; for tests and a deep doctor.
    fn violations(&self) -> Vec<String>;
}

/// The store behind a URL. Cheap to clone; the last clone closes it.
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// One file, or memory, on this machine.
    Sqlite(Sqlite),
    /// One namespace of a Redis or Valkey server.
    Redis(Redis),
}

impl AnyStore {
    /// Opens `sqlite:PATH` (made if missing), `sqlite::memory:`, or a Redis store ([`mod@crate::redis`] has its addresses).
    ///
    /// A Redis server is not asked before the first call: whether it is there shows then.
    /// A process that finds itself alone on a file reaps every lease left there, so that work goes on at once after a crash.
    ///
    /// # Errors
    /// [`StoreError`] when the URL is of no known kind or wrong, or the file cannot be opened or is newer than this program.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        match parse(url)? {
            Address::Memory => Sqlite::in_memory().map(Self::Sqlite),
            Address::File(path) => Sqlite::open(&path, Now::Server).map(Self::Sqlite),
            Address::Redis => Redis::open(url).map(Self::Redis),
        }
    }

    /// Opens an existing `sqlite:PATH` for reading: reaps nothing, and does not count as a process that may hold leases.
    ///
    /// # Errors
    /// As [`Self::open`], and [`StoreError::Missing`] where there is no file.
    pub fn open_to_read(url: &str) -> Result<Self, StoreError> {
        match parse(url)? {
            Address::Memory => Sqlite::in_memory().map(Self::Sqlite),
            Address::File(path) => Sqlite::open_to_read(&path).map(Self::Sqlite),
            Address::Redis => Redis::open_to_read(url).map(Self::Redis),
        }
    }

    /// The address of pool `pool` on the store at `url`, to be opened: workers of one pool share runs, fair share and duplicates.
    ///
    /// On a Redis server a pool is a namespace. A file is one pool by itself, `default`.
    ///
    /// # Errors
    /// [`StoreError::Pool`] when `url` names another namespace, is a file and the pool not `default`, or the pool's name is not
    /// 1 to 32 characters of a-z, 0-9 and `-`; [`StoreError::Url`].
    pub fn with_pool(url: &str, pool: &str) -> Result<String, StoreError> {
        match parse(url)? {
            Address::Redis => crate::redis::with_pool(url, pool),
            Address::Memory | Address::File(_) if pool == crate::redis::NAMESPACE => {
                Ok(url.to_owned())
            }
            Address::Memory | Address::File(_) => {
                let why = "a file is one pool, `default`: take another file, or a Redis server";
                Err(StoreError::Pool {
                    pool: pool.to_owned(),
                    url: url.to_owned(),
                    why: why.to_owned(),
                })
            }
        }
    }

    /// The pool whose runs it holds: the namespace on a Redis server, `default` for a file.
    pub fn pool(&self) -> &str {
        match self {
            Self::Sqlite(_) => crate::redis::NAMESPACE,
            Self::Redis(store) => store.pool(),
        }
    }

    /// What stands between this store and its promises: nothing for a file, the settings of a Redis server otherwise.
    ///
    /// # Errors
    /// [`StoreError::Redis`] when the server cannot be reached.
    pub async fn durability(&self) -> Result<Vec<Warning>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Redis(store) => store.durability().await,
        }
    }
}

impl fmt::Display for AnyStore {
    /// Its URL, without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(store) => write!(f, "sqlite:{}", store.place().display()),
            Self::Redis(store) => write!(f, "{}", store.address()),
        }
    }
}

enum Address {
    Memory,
    File(PathBuf),
    Redis,
}

fn parse(url: &str) -> Result<Address, StoreError> {
    let unknown = || {
        // Whatever stands before an `@` may be a password.
        let shown = url.rsplit_once('@').map_or(url.to_owned(), |(_, rest)| format!("…@{rest}"));
        StoreError::Url { url: shown }
    };
    let (scheme, rest) = url.split_once(':').ok_or_else(unknown)?;
    match scheme {
        "sqlite" if rest == ":memory:" => Ok(Address::Memory),
        "sqlite" if !rest.is_empty() => {
            Ok(Address::File(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest))))
        }
        "redis" | "rediss" | "redis+sentinel" => Ok(Address::Redis),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_store_is_opened_by_its_url_and_shown_without_credentials() {
        let store = AnyStore::open("redis://user:secret@host:6379/1?namespace=cuda").unwrap();
        let shown = format!("{store:?}");
        assert!(shown.contains("redis://host:6379/1?namespace=cuda"), "{shown}");
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn a_pool_is_a_namespace_of_a_server_and_a_file_is_one_by_itself() {
        let pool = |url: &str, pool: &str| {
            AnyStore::with_pool(url, pool).map_err(|error| error.to_string())
        };
        let url = pool("redis://:secret@host/1?password_file=x", "cuda").unwrap();
        assert_eq!(url, "redis://:secret@host/1?password_file=x&namespace=cuda");
        assert_eq!(pool(&url, "cuda"), Ok(url.clone()));
        assert_eq!(pool("redis://host?", "cpu").unwrap(), "redis://host?namespace=cpu");
        assert_eq!(AnyStore::open(&pool("redis://host", "cuda").unwrap()).unwrap().pool(), "cuda");
        assert_eq!(AnyStore::open("redis://host").unwrap().pool(), "default");
        assert_eq!(
            pool(&url, "cpu").unwrap_err(),
            "pool `cpu` is not possible with `redis://…@host/1?password_file=x&namespace=cuda`: \
             the address names the namespace `cuda`: leave one of them out"
        );
        assert!(pool("redis://host", "Big Pool").is_err());
        assert_eq!(pool("sqlite:a.db", "default").unwrap(), "sqlite:a.db");
        assert_eq!(
            pool("sqlite:a.db", "cuda").unwrap_err(),
            "pool `cuda` is not possible with `sqlite:a.db`: a file is one pool, `default`: take another file, or a Redis server"
        );
        assert_eq!(AnyStore::open("sqlite::memory:").unwrap().pool(), "default");
    }

    #[test]
    fn an_unknown_url_is_shown_without_its_password() {
        let error = AnyStore::open("mysql://me:secret@host").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`…@host` is not a store (known: sqlite:PATH, sqlite::memory:, redis://HOST, rediss://HOST, redis+sentinel://HOST/SERVICE)"
        );
        assert!(AnyStore::open("sqlite:").is_err());
        assert!(AnyStore::open("nothing").is_err());
    }
}
