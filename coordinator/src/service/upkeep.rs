//! What a coordinator does unasked: looks at the store's settings, collects old blobs.

use std::time::{Duration, SystemTime};

use sweep_store::AnyStore;
use sweep_store::blobs::live;

use super::ServeError;
use super::app::App;

/// A blob is written before the store is told of it: younger ones may belong to a worker or client about to do so.
const YOUNG: Duration = Duration::from_secs(24 * 3600);
/// How often old ones are looked for.
const COLLECT: Duration = Duration::from_secs(3600);
/// How long the store may take to tell its settings.
const SETTINGS: Duration = Duration::from_secs(10);

/// Warns of a store that may lose data, refuses one that drops it on purpose. For every program that works on one.
///
/// # Errors
/// [`ServeError::Unsafe`]. A store that cannot be reached yet is no error: `/readyz` tells.
pub async fn check_durability(store: &AnyStore) -> Result<(), ServeError> {
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

/// Removes old blobs that nothing needs each hour until the stop.
pub(crate) async fn collect(app: &App) {
    loop {
        match live(&app.store).await {
            Ok(live) => {
                let before = SystemTime::now().checked_sub(YOUNG).unwrap_or(SystemTime::UNIX_EPOCH);
                match app.blobs.collect(&live, before).await {
                    Ok(collected) if collected.deleted > 0 => {
                        tracing::info!(
                            blobs = collected.deleted,
                            bytes = collected.bytes,
                            "old blobs removed"
                        );
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "old blobs cannot be removed; trying again in an hour")
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the blobs in use cannot be read; trying again in an hour")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(COLLECT) => {}
            () = app.stop.cancelled() => return,
        }
    }
}
