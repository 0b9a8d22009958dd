//! Opening the store, finding the sweep a person means, and the commands that change a stored sweep.

use std::path::Path;

use anyhow::{Context, Result};
use sweep_core::ids::SweepId;
use sweep_store::{AnyStore, Command, Now, Policy, Reads, Store, SweepStatus};

use crate::args::{Global, SweepArgs};
use crate::exit::{Ended, WrongInput};
use crate::{load, out};

/// A runtime for commands that only talk to the store.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(future)
}

/// The store, to read.
pub(crate) fn open_to_read(global: &Global) -> Result<AnyStore> {
    AnyStore::open_to_read(&global.store).map_err(wrong_store)
}

/// The store, to change.
pub(crate) fn open(global: &Global) -> Result<AnyStore> {
    AnyStore::open(&global.store).map_err(wrong_store)
}

fn wrong_store(error: sweep_store::StoreError) -> anyhow::Error {
    use sweep_store::StoreError::{Missing, RedisUrl, Url};
    match error {
        Missing { .. } => WrongInput::error(format!(
            "{error} (`sweep run FILE` makes one; --store or SWEEP_STORE names another)"
        )),
        Url { .. } | RedisUrl { .. } => WrongInput::error(error),
        other => anyhow::Error::new(other).context("cannot open the store"),
    }
}

/// The sweep that `text` means: a sweep file, else what [`coordinator::find`] knows.
pub(crate) async fn find(store: &impl Store, text: Option<&str>) -> Result<SweepStatus> {
    if let Some(text) = text {
        let path = Path::new(text);
        let looks_like_a_file = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
        if looks_like_a_file {
            let loaded = load::load(path)?;
            let id = loaded.sweep.id(&loaded.plan);
            let found = store.sweep(&id).await.context("cannot read the store")?;
            return found.map(|(status, _)| status).ok_or_else(|| {
                WrongInput::error(format!("{text} has not been run as it stands now (`sweep run {text}` runs it; `sweep list` shows what was run)"))
            });
        }
    }
    coordinator::find(store, text).await.map_err(|error| match error {
        coordinator::FindError::Store(_) => error.into(),
        _ => WrongInput::error(error),
    })
}

pub(crate) fn retry(args: &SweepArgs, global: &Global) -> Result<Ended> {
    change(args, global, Command::Retry, |before| {
        format!("{} failed runs are queued again; `sweep run` trains them", before.counts.failed)
    })
}

pub(crate) fn cancel(args: &SweepArgs, global: &Global) -> Result<Ended> {
    change(args, global, Command::Cancel, |before| {
        format!("{} unfinished runs are cancelled; results stay", before.counts.unfinished())
    })
}

fn change(
    args: &SweepArgs,
    global: &Global,
    command: fn(SweepId) -> Command,
    say: fn(&SweepStatus) -> String,
) -> Result<Ended> {
    let policy = Policy::default();
    let store = open(global)?;
    block_on(async {
        let before = find(&store, Some(&args.sweep)).await?;
        store
            .control(Now::Server, &command(before.id.clone()))
            .await
            .context("the store refused")?;
        while store.tick(Now::Server, &policy).await.context("the store refused")?.more {}
        let (after, _) = store
            .sweep(&before.id)
            .await
            .context("cannot read the store")?
            .context("the sweep has vanished")?;
        if args.json {
            out::json(&after)
        } else {
            out::text(&format!("{}: {}\n", after.name, say(&before)))
        }
    })?;
    Ok(Ended::Done)
}
