//! Opening stores, and one runtime per command.

use anyhow::{Context, Result};
use sweep_store::AnyStore;

use crate::args::Global;
use crate::exit::WrongInput;

/// A runtime for commands that only talk to the store.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(future)
}

/// The store of this directory.
pub(crate) fn embedded(global: &Global) -> String {
    format!("sqlite:{}", global.dir.join("sweep.db").display())
}

/// A store, to read.
pub(crate) fn open_to_read(url: &str) -> Result<AnyStore> {
    AnyStore::open_to_read(url).map_err(wrong)
}

/// A store, to change.
pub(crate) fn open(url: &str) -> Result<AnyStore> {
    AnyStore::open(url).map_err(wrong)
}

pub(crate) fn wrong(error: sweep_store::StoreError) -> anyhow::Error {
    use sweep_store::StoreError::{Missing, Pool, RedisUrl, Url};
    match error {
        Missing { .. } => WrongInput::error(format!(
            "{error} (`sweep run FILE` makes one; --store or --coordinator names another place)"
        )),
        Url { .. } | RedisUrl { .. } | Pool { .. } => WrongInput::error(error),
        other => anyhow::Error::new(other).context("cannot open the store"),
    }
}
