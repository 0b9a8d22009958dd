//! The way to the server: one connection that all calls share, made when first needed and again when it broke.
//!
//! Every call is one command, and may be sent again ([`Link::ask`]); those that may not are sent once.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::Mutex;

use super::Boxed;
use super::address::Address;
use crate::error::StoreError;

/// The layout of keys and rows that this version reads and writes.
pub(super) const SCHEMA: u32 = 2;
/// A reply takes milliseconds; a server that is silent for this long is asked again.
const REPLY: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
/// Pauses before a call is sent again. Short, for a caller with more patience repeats the whole call.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(250), Duration::from_millis(1000)];

/// How often a request may be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Until it is answered, within reason.
    Safe,
    /// Once: sent again it would count again.
    Never,
}

/// The way to one server and namespace.
pub(super) struct Link {
    pub(super) address: Address,
    /// Opened to read: changes nothing, not even the mark of the schema.
    reads_only: bool,
    shared: Mutex<Shared>,
    /// For reads that wait on the server: they would hold up everybody else on the shared one.
    pub(super) waiting: Mutex<Option<MultiplexedConnection>>,
}

#[derive(Default)]
struct Shared {
    connection: Option<MultiplexedConnection>,
    /// Counts connections, so that one failure drops one connection however many calls saw it.
    number: u64,
}

impl Link {
    pub(super) fn new(address: Address, reads_only: bool) -> Self {
        Self { address, reads_only, shared: Mutex::default(), waiting: Mutex::default() }
    }

    pub(super) fn error(&self, source: RedisError) -> StoreError {
        StoreError::Redis { store: self.address.to_string(), source: Box::new(source) }
    }

    /// Sends a request and, where it is safe, sends it again when the connection broke or the server cannot answer now.
    pub(super) fn ask<'a>(&'a self, request: &'a Cmd, repeat: Repeat) -> Boxed<'a, Value> {
        Box::pin(self.ask_until_answered(request, repeat))
    }

    async fn ask_until_answered(&self, request: &Cmd, repeat: Repeat) -> Result<Value, StoreError> {
        let mut pauses = PAUSES.iter();
        loop {
            let (failed, was_sent) = match self.shared().await {
                Err(error @ StoreError::Redis { .. }) => (error, false),
                Err(error) => return Err(error),
                Ok((mut connection, number)) => match request.query_async(&mut connection).await {
                    Ok(value) => return Ok(value),
                    Err(error) => {
                        if is_broken(&error) {
                            self.drop_shared(number).await;
                        }
                        (self.error(error), true)
                    }
                },
            };
            if !failed.is_retryable() || (was_sent && repeat == Repeat::Never) {
                return Err(failed);
            }
            let Some(pause) = pauses.next() else { return Err(failed) };
            tokio::time::sleep(pause.mul_f64(jitter())).await;
        }
    }

    async fn shared(&self) -> Result<(MultiplexedConnection, u64), StoreError> {
        let mut shared = self.shared.lock().await;
        if let Some(connection) = &shared.connection {
            return Ok((connection.clone(), shared.number));
        }
        let mut connection =
            self.connect(Some(REPLY)).await.map_err(|source| self.error(source))?;
        self.check_schema(&mut connection).await?;
        shared.connection = Some(connection.clone());
        shared.number += 1;
        Ok((connection, shared.number))
    }

    async fn drop_shared(&self, number: u64) {
        let mut shared = self.shared.lock().await;
        if shared.number == number {
            shared.connection = None;
        }
    }

    /// A further connection; `reply`: how long an answer may take.
    pub(super) async fn connect(
        &self,
        reply: Option<Duration>,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(reply);
        // Refused only where another part of the program chose one before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Asked each time: the sentinels may have made another server the master since.
        if let Some(mut sentinels) = self.address.sentinels()? {
            return sentinels.get_async_connection_with_config(&config).await;
        }
        let server = self.address.server()?.ok_or((ErrorKind::InvalidClientConfig, "no host"))?;
        Client::open(server)?.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn check_schema(&self, connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
        let meta = super::keys::meta(&self.address.namespace);
        let found: Option<u32> = Cmd::new()
            .arg("HGET")
            .arg(&meta)
            .arg("schema")
            .query_async(connection)
            .await
            .map_err(|source| self.error(source))?;
        match found {
            Some(found) if found > SCHEMA => Err(StoreError::SchemaTooNew { found, known: SCHEMA }),
            Some(found) if found < SCHEMA => Err(StoreError::SchemaTooOld { found, known: SCHEMA }),
            None if !self.reads_only => {
                let mark = Cmd::new().arg("HSETNX").arg(&meta).arg("schema").arg(SCHEMA).to_owned();
                mark.exec_async(connection).await.map_err(|source| self.error(source))
            }
            _ => Ok(()),
        }
    }
}

/// Whether another connection may fare better: this one is gone or hangs, or its server is a master no more.
fn is_broken(error: &RedisError) -> bool {
    match error.kind() {
        // Counted among the unrecoverable ones, which for a connection they are; but no other one fares better.
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => false,
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => true,
        _ => {
            error.is_io_error()
                || error.is_timeout()
                || error.is_connection_dropped()
                || error.is_unrecoverable_error()
        }
    }
}

/// Whether the same call may succeed later: the server is away, starting, full, or cannot write to its disk.
pub(crate) fn is_retryable(error: &RedisError) -> bool {
    is_broken(error)
        || error.is_connection_refusal()
        || matches!(error.code(), Some("LOADING" | "BUSY" | "OOM" | "MISCONF" | "TRYAGAIN"))
        || matches!(
            error.kind(),
            ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::NoValidReplicasFoundBySentinel
        )
}

/// 0.5..1.0, so that callers cut off together do not come back together.
fn jitter() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    0.5 + f64::from(since.unwrap_or_default().subsec_nanos() % 1000) / 2000.0
}
