//! `sweep coordinator`: the coordinator's library as a command.

use std::time::Duration;

use anyhow::{Context, Result};
use coordinator::service::{self, ServeError};
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Reads, StoreError};
use tokio_util::sync::CancellationToken;

use crate::args::{CoordinatorArgs, Global, Services};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::{source, stopping, stored};

/// Between two tries at a store that is not up yet.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) fn coordinator(args: &CoordinatorArgs, global: &Global) -> Result<Ended> {
    let services = &args.services;
    runtime()?.block_on(async {
        let store = services.store(global)?;
        let blobs = services.blobs(global)?;
        let stop = CancellationToken::new();
        stopping::on_signals(stop.clone(), || eprintln!("stopping (once more to leave at once)"))
            .context("cannot listen for Ctrl-C")?;
        if !wait_for(&store, &stop).await? {
            return Ok(Ended::Done);
        }
        let name = store.to_string();
        let ready = |address| {
            eprintln!(
                "coordinator on http://{address} · store {name} · dashboard http://{address}/"
            );
        };
        let mut service = args.service.clone();
        // What was packed here can be shown, too.
        service.packs.get_or_insert_with(|| Home::new(global).cache());
        service::serve(store, blobs, service, stop, ready).await.map_err(wrong)?;
        Ok(Ended::Done)
    })
}

/// Wrong flags and tokens are the person's, the rest is not.
fn wrong(error: ServeError) -> anyhow::Error {
    match error {
        ServeError::Listen { .. } | ServeError::Ended { .. } => error.into(),
        _ => WrongInput::error(error),
    }
}

impl Services {
    /// The store of this pool.
    pub(crate) fn store(&self, global: &Global) -> Result<AnyStore> {
        let url = source::store_url(global)?;
        match &self.pool {
            None => stored::open(&url),
            Some(pool) => stored::open(&AnyStore::with_pool(&url, pool).map_err(stored::wrong)?),
        }
    }

    /// Where data sets, weights and checkpoints are.
    pub(crate) fn blobs(&self, global: &Global) -> Result<Blobs> {
        let opened = match &self.blobs {
            Some(address) => Blobs::open(address, source::token()?),
            None => Blobs::directory(&Home::new(global).blobs()),
        };
        opened.map_err(WrongInput::error)
    }
}

/// A runtime for services.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// Services and their store are started together: waits until the store answers; whether it did before `stop`.
pub(crate) async fn wait_for(store: &AnyStore, stop: &CancellationToken) -> Result<bool> {
    let mut said = false;
    loop {
        let error: StoreError = match store.demand().await {
            Ok(_) => return Ok(true),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error.into()),
        };
        if !said {
            eprintln!("waiting for the store: {error}");
            said = true;
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return Ok(false),
        }
    }
}
