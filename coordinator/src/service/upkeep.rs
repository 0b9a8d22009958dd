//! What a coordinator does unasked: looks at the store's settings, collects old checkpoints.

use std::time::{Duration, SystemTime};

use sweep_store::{AnyStore, Store};

use super::ServeError;
use super::app::App;

/// A checkpoint is written before the store is told of it: younger ones may belong to a worker about to do so.
const YOUNG: Duration = Duration::from_secs(24 * 3600);
/// How often old ones are looked for.
const COLLECT: Duration = Duration::from_secs(3600);
/// How long the store may take to tell its settings.
const SETTINGS: Duration = Duration::from_secs(10);

/// Warns of a store that may lose data, refuses one that drops it on purpose.
///
/// # Errors
/// [`ServeError::Unsafe`]. A store that cannot be reached yet is no error: `/readyz` tells.
pub(crate) async fn check_durability(store: &AnyStore) -> Result<(), ServeError> {
    let told = tokio::time::timeout(SETTINGS, store.durability()).await;
    let warnings = match told {
        Ok(Ok(warnings)) => warnings,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the settings of the store {store} cannot be read");
            return Ok(());
        }
        Err(_) => {
            tracing::warn!("the store {store} does not tell its settings");
            return Ok(());
        }
    };
    let (refused, rest): (Vec<_>, Vec<_>) =
        warnings.into_iter().partition(|warning| warning.refuse);
    for warning in rest {
        tracing::warn!(setting = warning.setting, "store {store}: {warning}");
    }
    if refused.is_empty() {
        return Ok(());
    }
    let why = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Err(ServeError::Unsafe { store: store.to_string(), why })
}

/// The pool of workers that a store is for: its namespace.
pub(crate) fn pool(store: &AnyStore) -> String {
    let shown = store.to_string();
    shown.split_once("namespace=").map_or("default", |(_, name)| name).to_owned()
}

/// Removes old checkpoints each hour until the stop.
pub(crate) async fn collect(app: &App) {
    loop {
        match app.store.checkpoints().await {
            Ok(live) => {
                let before = SystemTime::now().checked_sub(YOUNG).unwrap_or(SystemTime::UNIX_EPOCH);
                match app.shelf.collect(live, before).await {
                    Ok(collected) if collected.deleted > 0 => {
                        tracing::info!(
                            blobs = collected.deleted,
                            bytes = collected.bytes,
                            "old checkpoints removed"
                        );
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "old checkpoints cannot be removed; trying again in an hour")
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the checkpoints in use cannot be read; trying again in an hour")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(COLLECT) => {}
            () = app.stop.cancelled() => return,
        }
    }
}

/// The URL of a store with the pool in it.
///
/// # Errors
/// When the URL names another one, or the store has no pools.
pub fn store_url(url: &str, pool: Option<&str>) -> Result<String, ServeError> {
    let Some(pool) = pool else { return Ok(url.to_owned()) };
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    if !address.starts_with("redis") {
        return if pool == "default" {
            Ok(url.to_owned())
        } else {
            Err(ServeError::Pool { pool: pool.to_owned() })
        };
    }
    let named = options.split('&').find_map(|option| option.strip_prefix("namespace="));
    match named {
        Some(named) if named == pool => Ok(url.to_owned()),
        Some(_) => Err(ServeError::Pool { pool: pool.to_owned() }),
        None if options.is_empty() => Ok(format!("{address}?namespace={pool}")),
        None => Ok(format!("{address}?{options}&namespace={pool}")),
    }
}
