//! One thread that writes: steps that arrive together share one transaction, and so one flush to disk.
//!
//! Each step has its own savepoint, so that one that fails takes nobody else along. Answers leave only after the commit.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::StoreError;

/// Steps that may wait before callers do: bounds memory, not throughput.
const QUEUE: usize = 1024;
/// Steps that share one commit at most: bounds the wait of the first of them.
const GROUP: usize = 256;

/// A step; without a connection it does nothing, and the answer tells why.
type Job = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;

/// The writing thread; dropping it lets the queue run empty and waits for the end.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    commits: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(conn: Connection) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (committed, commits) = watch::channel(0);
        let thread = std::thread::spawn(move || write(&conn, queue, &committed));
        Self { jobs: Some(jobs), commits, thread: Some(thread) }
    }

    /// Changes with every commit of this process.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Runs `step` in its own savepoint and answers when it is durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |conn| {
            let outcome = conn.map_or(Err(StoreError::Closed), |conn| in_savepoint(conn, step));
            Box::new(move |committed| {
                let outcome = committed.map_err(StoreError::Commit).and(outcome);
                // A caller that went away wants no answer.
                let _ = reply.send(outcome);
            })
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

fn write(conn: &Connection, mut queue: mpsc::Receiver<Job>, committed: &watch::Sender<u64>) {
    while let Some(first) = queue.blocking_recv() {
        let mut answers: Vec<Answer> = Vec::new();
        let begun = conn.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        if begun.is_ok() {
            answers.push(first(Some(conn)));
            // Some faults (a full disk) roll the whole transaction back; what came after would be on its own.
            while answers.len() < GROUP
                && !conn.is_autocommit()
                && let Ok(job) = queue.try_recv()
            {
                answers.push(job(Some(conn)));
            }
        } else {
            answers.push(first(None));
        }
        let ended = begun.and_then(|_| conn.prepare_cached("COMMIT")?.execute([]));
        let outcome = ended.map(|_| ()).map_err(Arc::new);
        if outcome.is_err() && !conn.is_autocommit() {
            // Whether it works or not, the next BEGIN tells.
            let _ = conn.execute_batch("ROLLBACK");
        }
        committed.send_modify(|n| *n += 1);
        for answer in answers {
            answer(outcome.clone());
        }
    }
}

fn in_savepoint<T>(
    conn: &Connection,
    step: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.prepare_cached("SAVEPOINT step")?.execute([])?;
    let outcome = step(conn);
    if outcome.is_err() {
        conn.prepare_cached("ROLLBACK TO step")?.execute([])?;
    }
    conn.prepare_cached("RELEASE step")?.execute([])?;
    outcome
}
