//! The `coordinator` binary: the service of the library, for images that hold nothing else.

use anyhow::{Context, Result};
use clap::Parser;
use coordinator::service::{self, ServiceArgs};
use sweep_store::AnyStore;
use sweep_store::blobs::Blobs;
use tokio_util::sync::CancellationToken;

/// HTTP API over a store of sweeps
#[derive(Debug, Parser)]
#[command(
    name = "coordinator",
    version,
    after_help = "SWEEP_LOG takes a filter of log lines: warn, debug, info,sweep_store=debug, …"
)]
struct Cli {
    /// Where sweeps, runs and results are kept
    #[arg(
        long,
        env = "SWEEP_STORE",
        value_name = "URL",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    store: String,
    /// The pool of workers: the namespace of a Redis store
    #[arg(long, env = "SWEEP_POOL", value_name = "NAME")]
    pool: Option<String>,
    /// Blobs: data sets, weights, checkpoints, in a directory or at s3://, gs://, az:// (several coordinators need the same)
    #[arg(
        long,
        env = "SWEEP_BLOBS",
        value_name = "PLACE",
        default_value = ".sweep/blobs",
        hide_env_values = true
    )]
    blobs: String,
    #[command(flatten)]
    service: ServiceArgs,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("SWEEP_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();

    let url = match &cli.pool {
        Some(pool) => AnyStore::with_pool(&cli.store, pool)?,
        None => cli.store.clone(),
    };
    let store = AnyStore::open(&url).context("cannot open the store")?;
    let blobs = Blobs::open(&cli.blobs, None).context("cannot open the blobs")?;
    let stop = CancellationToken::new();
    on_signals(stop.clone())?;
    service::serve(store, blobs, cli.service, stop, |_| {}).await?;
    Ok(())
}

/// The first SIGTERM or SIGINT stops, the second leaves at once.
fn on_signals(stop: CancellationToken) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!("stopping");
            stop.cancel();
        }
    });
    Ok(())
}
