//! `sweep coordinator`: the coordinator's library as a command.

use anyhow::{Context, Result};
use coordinator::service::{self, ServeError};
use sweep_store::AnyStore;
use sweep_store::blobs::Blobs;
use tokio_util::sync::CancellationToken;

use crate::args::{CoordinatorArgs, Global, Services};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::{source, stopping, stored};

pub(crate) fn coordinator(args: &CoordinatorArgs, global: &Global) -> Result<Ended> {
    let services = &args.services;
    runtime()?.block_on(async {
        let store = services.store(global)?;
        let blobs = services.blobs(global)?;
        let stop = CancellationToken::new();
        stopping::on_signals(stop.clone(), || eprintln!("stopping (once more to leave at once)"))
            .context("cannot listen for Ctrl-C")?;
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
        ServeError::Store(error) => error.into(),
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
