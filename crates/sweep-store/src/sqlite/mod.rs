//! The store in one `SQLite` file, or in memory: for one machine, never on a network file system.
//!
//! Reading order: [`schema`] (tables), [`open`] (file, lock, versions), [`writer`] (one thread, group commit), [`step`] (the few
//! doors through which state changes), then one file per call: [`submit`], [`lease`], [`finish`] (with beat), [`control`],
//! [`tick`]; [`reads`], [`events`], [`check`] (promises).

mod affinity;
mod check;
mod control;
mod events;
mod finish;
mod lease;
mod open;
mod reads;
mod row;
mod schema;
mod step;
mod submit;
mod tick;
mod writer;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use sweep_core::ids::{Digest, Fence, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_core::run::Run;
use sweep_core::sweep::Document;

use crate::error::StoreError;
use crate::policy::Policy;
use crate::read::{
    Demand, EventCursor, Events, PageCursor, RunDetail, RunPage, RunProgress, SweepStatus,
    WorkerStatus,
};
use crate::store::{Reads, Store};
use crate::words::{
    Applied, Command, Leased, NewSweep, Now, Order, Outcome, Progress, Submitted, Ticked, Wish,
};
use step::Step;
use writer::Writer;

/// A store in one `SQLite` file, or in memory. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    /// `None` where the store was opened to read.
    writer: Option<Writer>,
    /// `None` for memory: then the writer's connection is the only one and serves reads too.
    readers: Option<Readers>,
    /// Held while this process may hold leases; given up after the writer has ended, for fields drop in order.
    _lock: Option<File>,
}

/// Idle connections for reads; more are opened when more readers come at once.
struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sqlite").field(&self.place()).finish()
    }
}

impl Sqlite {
    /// A store that is gone with its last clone.
    ///
    /// # Errors
    /// [`StoreError::Sqlite`] when memory is short.
    pub fn in_memory() -> Result<Self, StoreError> {
        let conn = open::memory()?;
        Ok(Self(Arc::new(Inner { writer: Some(Writer::start(conn)), readers: None, _lock: None })))
    }

    /// Opens or makes the file at `path`, and its folder. A process that finds itself alone there reaps every lease at once,
    /// at no cost to the runs: whoever starts it again is a person (`docs/decisions/001-alone.md`).
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be had, is not a store, or is newer than this program.
    pub fn open(path: &Path, now: Now) -> Result<Self, StoreError> {
        let (lock, alone) = open::lock(path)?;
        let conn = open::write(path)?;
        if alone {
            open::reap_all(&conn, now)?;
        }
        let lock = open::share(path, lock, alone)?;
        let readers = Readers { path: path.to_owned(), idle: Mutex::default() };
        Ok(Self(Arc::new(Inner {
            writer: Some(Writer::start(conn)),
            readers: Some(readers),
            _lock: Some(lock),
        })))
    }

    /// Opens the file at `path` for reading only: takes no lock and reaps nothing.
    ///
    /// # Errors
    /// [`StoreError::Missing`], and as [`Self::open`].
    pub fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        let conn = open::read(path)?;
        let readers = Readers { path: path.to_owned(), idle: Mutex::new(vec![conn]) };
        Ok(Self(Arc::new(Inner { writer: None, readers: Some(readers), _lock: None })))
    }

    /// The file, or `:memory:`.
    pub(crate) fn place(&self) -> &Path {
        self.0.readers.as_ref().map_or(Path::new(":memory:"), |readers| &readers.path)
    }

    /// One atomic step on the writer's thread.
    async fn write<T: Send + 'static>(
        &self,
        now: Now,
        step: impl FnOnce(&Step<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let writer = self.0.writer.as_ref().ok_or(StoreError::ReadOnly)?;
        writer.run(move |conn| step(&Step::at(conn, now))).await
    }

    /// Reads on an own connection; what was answered to any caller before is seen.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.0.readers.is_none() {
            let writer = self.0.writer.as_ref().ok_or(StoreError::Closed)?;
            return writer.run(read).await;
        }
        let inner = Arc::clone(&self.0);
        let task = tokio::task::spawn_blocking(move || {
            let readers = inner.readers.as_ref().ok_or(StoreError::Closed)?;
            readers.with(read)
        });
        task.await.map_err(|_| StoreError::Closed)?
    }
}

impl Readers {
    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let conn = match taken {
            Some(conn) => conn,
            None => open::read(&self.path)?,
        };
        // One snapshot for all queries of a read.
        conn.execute_batch("BEGIN")?;
        let answer = read(&conn);
        conn.execute_batch("COMMIT")?;
        idle().push(conn);
        answer
    }
}

impl Store for Sqlite {
    async fn submit(
        &self,
        now: Now,
        sweep: &NewSweep,
        runs: &[Run],
        last: bool,
    ) -> Result<Submitted, StoreError> {
        let prepared = submit::Prepared::new(sweep, runs, last)?;
        self.write(now, move |step| submit::submit(step, &prepared)).await
    }

    async fn lease(&self, now: Now, wish: &Wish, policy: &Policy) -> Result<Leased, StoreError> {
        let (wish, policy) = (wish.clone(), policy.clone());
        self.write(now, move |step| lease::lease(step, &wish, &policy)).await
    }

    async fn beat(
        &self,
        now: Now,
        run: &RunId,
        fence: Fence,
        progress: &Progress,
        policy: &Policy,
    ) -> Result<Order, StoreError> {
        let (run, progress, policy) = (run.clone(), progress.clone(), policy.clone());
        self.write(now, move |step| finish::beat(step, &run, fence, &progress, &policy)).await
    }

    async fn finish(
        &self,
        now: Now,
        run: &RunId,
        fence: Fence,
        outcome: &Outcome,
        log: &str,
        policy: &Policy,
    ) -> Result<Applied, StoreError> {
        let (run, policy) = (run.clone(), policy.clone());
        let word = finish::Word::new(outcome, log)?;
        self.write(now, move |step| finish::finish(step, &run, fence, &word, &policy)).await
    }

    async fn control(&self, now: Now, command: &Command) -> Result<(), StoreError> {
        let command = command.clone();
        self.write(now, move |step| control::control(step, &command)).await
    }

    async fn tick(&self, now: Now, policy: &Policy) -> Result<Ticked, StoreError> {
        let policy = policy.clone();
        self.write(now, move |step| tick::tick(step, &policy)).await
    }

    async fn live(&self, run: &RunId) -> Result<RunProgress, StoreError> {
        let run = run.clone();
        self.read(move |conn| reads::live(conn, &run)).await
    }

    async fn checkpoints(&self) -> Result<BTreeSet<Digest>, StoreError> {
        self.read(reads::checkpoints).await
    }

    async fn violations(&self) -> Result<Vec<String>, StoreError> {
        self.read(check::violations).await
    }

    async fn event_cursor(&self) -> Result<EventCursor, StoreError> {
        self.read(events::end).await
    }

    async fn events(&self, after: &EventCursor, wait: Duration) -> Result<Events, StoreError> {
        // Looked for before the first read, so that nothing falls between a read and the wait for the next commit.
        let mut commits = self.0.writer.as_ref().map(Writer::commits);
        let deadline = tokio::time::Instant::now() + wait.min(crate::read::EVENT_WAIT_MAX);
        loop {
            let cursor = after.clone();
            let events = self.read(move |conn| events::after(conn, &cursor)).await?;
            let empty = matches!(&events, Events::Some { events, .. } if events.is_empty());
            if !empty || tokio::time::Instant::now() >= deadline {
                return Ok(events);
            }
            events::wait(commits.as_mut(), deadline).await;
        }
    }
}

impl Reads for Sqlite {
    async fn sweeps(&self) -> Result<Vec<SweepStatus>, StoreError> {
        self.read(reads::sweeps).await
    }

    async fn sweep(&self, sweep: &SweepId) -> Result<Option<(SweepStatus, Document)>, StoreError> {
        let sweep = sweep.clone();
        self.read(move |conn| reads::sweep(conn, &sweep)).await
    }

    async fn runs(
        &self,
        sweep: &SweepId,
        states: &[StateName],
        with_results: bool,
        after: Option<&PageCursor>,
        limit: u32,
    ) -> Result<RunPage, StoreError> {
        let (sweep, states, after) = (sweep.clone(), states.to_vec(), after.cloned());
        self.read(move |conn| {
            reads::runs(conn, &sweep, &states, with_results, after.as_ref(), Some(limit))
        })
        .await
    }

    async fn results(&self, sweep: &SweepId) -> Result<Vec<RunRecord>, StoreError> {
        let sweep = sweep.clone();
        self.read(move |conn| Ok(reads::runs(conn, &sweep, &[], true, None, None)?.runs)).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunDetail>, StoreError> {
        let run = run.clone();
        self.read(move |conn| reads::run(conn, &run)).await
    }

    async fn states(&self, runs: &[RunId]) -> Result<Vec<Option<StateName>>, StoreError> {
        let runs = runs.to_vec();
        self.read(move |conn| reads::states(conn, &runs)).await
    }

    async fn demand(&self) -> Result<Demand, StoreError> {
        self.read(reads::demand).await
    }

    async fn workers(&self) -> Result<Vec<WorkerStatus>, StoreError> {
        self.read(reads::workers).await
    }
}
