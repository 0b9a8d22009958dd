//! Opening: is it ours, is it of our version, and are we alone with it?

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema::{APPLICATION_ID, MIGRATIONS, READABLE};
use super::step::Step;
use super::tick;
use crate::error::StoreError;
use crate::words::Now;

/// How long a further process waits for the one that writes.
const BUSY: Duration = Duration::from_secs(30);
/// Distinct statements of a store, rounded up: all stay prepared.
const STATEMENTS: usize = 128;

/// A store in memory.
pub(super) fn memory() -> Result<Connection, StoreError> {
    let mut conn = Connection::open_in_memory()?;
    migrate(&mut conn, Path::new(":memory:"))?;
    prepare(&conn)?;
    Ok(conn)
}

/// The writer's connection to a file, made if missing.
pub(super) fn write(path: &Path) -> Result<Connection, StoreError> {
    let mut conn = Connection::open(path)?;
    conn.busy_timeout(BUSY)?;
    migrate(&mut conn, path)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: an acknowledged step survives a power loss; group commit makes it cheap.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cache_size", -32_000)?;
    // What a savepoint would need to roll back stays out of temporary files.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Pages change often: copying them back to the file four times less often saves writes and flushes.
    conn.pragma_update(None, "wal_autocheckpoint", 4000)?;
    prepare(&conn)?;
    Ok(conn)
}

/// A reader's connection to a file that is there.
pub(super) fn read(path: &Path) -> Result<Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing { path: path.to_owned() });
    }
    // Not SQLITE_OPEN_READ_ONLY: the first reader after a crash must be able to recover the log.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    if version(&conn, path)? < READABLE {
        drop(conn);
        return Err(StoreError::NotAStore { path: path.to_owned() });
    }
    conn.pragma_update(None, "query_only", true)?;
    prepare(&conn)?;
    Ok(conn)
}

fn prepare(conn: &Connection) -> Result<(), StoreError> {
    // Without this promise some statements are compiled again for each new bound value (this build of the library has STAT4).
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// The lock beside the file: exclusive when this process is alone, and then `true`; else shared.
///
/// Taken before the file is touched, so that of two processes that start together only one can think itself alone.
pub(super) fn lock(path: &Path) -> Result<(File, bool), StoreError> {
    let path = lock_path(path);
    let io = |source| StoreError::Io { path: path.clone(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => {
            file.lock_shared().map_err(io)?;
            Ok((file, false))
        }
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}

/// From alone to one of many. Somebody may get in between and reap too: we hold no lease yet.
pub(super) fn share(path: &Path, lock: File, alone: bool) -> Result<File, StoreError> {
    let io = |source: io::Error| StoreError::Io { path: lock_path(path), source };
    if alone {
        lock.unlock().and_then(|()| lock.lock_shared()).map_err(io)?;
    }
    Ok(lock)
}

/// Reaps every lease, whatever its expiry: nobody is left to hold it.
pub(super) fn reap_all(conn: &Connection, now: Now) -> Result<(), StoreError> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let reaped = tick::reap_all(&Step::at(conn, now));
    conn.execute_batch(if reaped.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    let reaped = reaped?;
    if reaped > 0 {
        tracing::warn!(
            reaped,
            "took back the leases of a process that ended without giving them back"
        );
    }
    Ok(())
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The schema version: 0 of an empty file.
fn version(conn: &Connection, path: &Path) -> Result<usize, StoreError> {
    let foreign = || StoreError::NotAStore { path: path.to_owned() };
    let application: i32 = match conn.pragma_query_value(None, "application_id", |row| row.get(0)) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(foreign());
        }
        other => other?,
    };
    let found: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(foreign());
    }
    let known = MIGRATIONS.len();
    let version = found as usize;
    if version > known {
        Err(StoreError::SchemaTooNew { found, known: known as u32 })
    } else {
        Ok(version)
    }
}

fn migrate(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    if version(conn, path)? == MIGRATIONS.len() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Asked again inside: another process may have done it meanwhile.
    for step in &MIGRATIONS[version(&tx, path)?..] {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    tx.commit()?;
    Ok(())
}
