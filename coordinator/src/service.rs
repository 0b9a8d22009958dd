//! The coordinator as a service: its HTTP API, its probes, and the upkeep of the store.
//!
//! It holds no state of its own: any number may run on one store and one set of blobs. Reading order: [`ServiceArgs`] and [`serve`],
//! `routes` (the table), `gate` (who may ask), the handlers (`submission`, `sweeps`, `runs`, `reports`, `events`, `blobs`, `health`),
//! `feed` (one reader of events for all), `upkeep`, `listener`. `problem` has everything that can go wrong, `openapi` the description.
//! Not here: the store's semantics (`sweep-store`), statistics (`sweep-report`).

mod app;
mod blobs;
mod datasets;
mod events;
mod extract;
mod feed;
mod gate;
mod health;
mod leftover;
mod listener;
mod metrics;
mod openapi;
mod problem;
mod reports;
mod routes;
mod runs;
mod schema;
mod submission;
mod sweeps;
mod tokens;
mod upkeep;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Policy, StoreError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use tokens::{Role, TOKEN_MIN, Tokens, TokensError};
pub use upkeep::check_durability;

use app::{App, Given};
use metrics::{Metrics, Timed};

/// Connections of the port for probes.
const PROBES: usize = 64;

/// Flags of the service.
#[derive(Args, Clone, Debug)]
pub struct ServiceArgs {
    /// Address of the API; beyond this machine only with --tokens
    #[arg(long, env = "SWEEP_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:7878")]
    pub listen: SocketAddr,
    /// Address of /metrics, /healthz and /readyz, without a token [default: on --listen]
    #[arg(long, env = "SWEEP_METRICS_LISTEN", value_name = "HOST:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// Directory with the files read, submit, admin (a token per line), or a file with lines ROLE TOKEN
    #[arg(long, env = "SWEEP_TOKENS", value_name = "PATH")]
    pub tokens: Option<PathBuf>,
    /// Manifests of data sets that a sweep file sent alone may name
    #[arg(long, env = "SWEEP_DATASETS", value_name = "DIR")]
    pub datasets: Option<PathBuf>,
    /// Largest sweep taken in, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub max_body: u64,
    /// Largest blob taken in, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30)]
    pub max_blob: u64,
    /// Connections at a time; further ones wait
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub max_connections: usize,
}

/// Why the service did not start, or ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Wrong tokens. Retrying cannot help.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Everybody could do everything. Retrying cannot help.
    #[error(
        "{listen} can be reached from other machines, but there are no tokens: give --tokens, or listen on 127.0.0.1"
    )]
    Open {
        /// The address.
        listen: SocketAddr,
    },
    /// The address is taken or not one of this machine. Retrying may help.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The store answers, but not to us: a wrong password, a layout of another version. Retrying cannot help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store would drop runs by itself. Retrying cannot help.
    #[error("the store {store} must not be used: {why}")]
    Unsafe {
        /// Without credentials.
        store: String,
        /// Each setting, what it is and what to set instead.
        why: String,
    },
    /// Blobs behind another coordinator: take its own place instead. Retrying cannot help.
    #[error(
        "the blobs are at {blobs}, but a coordinator needs a directory or a bucket (s3://, gs://, az://)"
    )]
    Blobs {
        /// Where they are.
        blobs: String,
    },
    /// The metrics cannot be made. A fault of ours.
    #[error("cannot make the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A part that runs until the stop ended before. A fault of ours.
    #[error("the {part} ended unasked")]
    Ended {
        /// Which.
        part: &'static str,
    },
}

/// Serves until `stop`, then ends what is in hand within 10 s.
///
/// A store that is not up yet is waited for; probes are answered from the beginning. `ready` is told the address of the API once both are there.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    store: AnyStore,
    blobs: Blobs,
    args: ServiceArgs,
    stop: CancellationToken,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let tokens = args.tokens.as_deref().map(Tokens::read).transpose()?.unwrap_or_default();
    if tokens.is_empty() && !args.listen.ip().is_loopback() {
        return Err(ServeError::Open { listen: args.listen });
    }
    if !blobs.is_own() {
        return Err(ServeError::Blobs { blobs: blobs.to_string() });
    }
    let api = bind(args.listen).await?;
    let probes = match args.metrics_listen {
        Some(listen) => Some(bind(listen).await?),
        None => None,
    };
    let address = api.local_addr().unwrap_or(args.listen);
    // A part that ends unasked ends the others.
    let parts = stop.child_token();
    let metrics = Metrics::new()?;
    let app = App::new(Given {
        pool: store.pool().to_owned(),
        store: Timed::new(store.clone(), metrics.clone()),
        metrics,
        blobs,
        tokens,
        datasets: args.datasets,
        max_body: args.max_body,
        max_blob: args.max_blob,
        stop: parts.clone(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(part(
        "API",
        listener::serve(api, routes::router(&app), args.max_connections, parts.clone()),
    ));
    if let Some(probes) = probes {
        tasks.spawn(part(
            "port for probes",
            listener::serve(probes, routes::probes(&app), PROBES, parts.clone()),
        ));
    }
    // The process is well meanwhile, and not ready: the probes say both.
    let looked = async {
        let there = crate::wait_for(&app.store, &parts).await?;
        if there {
            upkeep::check_durability(&store).await?;
        }
        Ok::<_, ServeError>(there)
    };
    match looked.await {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) => return Err(error),
    }
    let of = app.clone();
    tasks.spawn(part("reader of events", async move { of.feed.run(&of.store, &of.stop).await }));
    let of = app.clone();
    tasks.spawn(part("upkeep", async move {
        crate::keep(&of.store, &Policy::default(), &of.stop).await;
    }));
    let of = app.clone();
    tasks.spawn(part("collector of blobs", async move { upkeep::collect(&of).await }));
    let of = app.clone();
    tasks.spawn(part("look at the store", async move { metrics::watch(&of).await }));
    let of = app.clone();
    tasks.spawn(part("counter of events", async move { metrics::count(&of).await }));
    tracing::info!(store = %app.store, listen = %address, pool = app.pool, "the coordinator listens on http://{address}, store {}", app.store);
    ready(address);
    let mut ended = Ok(());
    while let Some(done) = tasks.join_next().await {
        if !parts.is_cancelled() {
            ended = Err(ServeError::Ended { part: done.unwrap_or("service") });
            parts.cancel();
        }
    }
    ended
}

/// A part's name when it ends.
async fn part<T>(name: &'static str, work: impl Future<Output = T>) -> &'static str {
    work.await;
    name
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(listen).await.map_err(|source| ServeError::Listen { listen, source })
}
