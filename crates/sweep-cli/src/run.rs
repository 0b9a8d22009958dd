//! `sweep run`: coordinator and worker in one process over the embedded store.

use std::time::Duration;

use anyhow::{Context, Result};
use coordinator::View;
use coordinator::service::{Beside, ServeError};
use sweep_core::ids::SweepId;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Policy};
use tokio_util::sync::CancellationToken;
use worker::{Options, Worker};

use crate::args::{Global, RunArgs};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::live::Live;
use crate::load::{self, Loaded};
use crate::source::Source;
use crate::trainers::Trainers;
use crate::{out, report, source, stopping, stored, watch};

/// An idle slot of the same process may look often: no network is between.
const POLL_MAX: Duration = Duration::from_secs(1);
/// Checkpoint blobs younger than this may belong to a process beside this one that has not told their pointer yet.
const BLOB_GRACE: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn run(args: &RunArgs, global: &Global) -> Result<Ended> {
    let loaded = load::load(&args.file)?;
    for warning in &loaded.plan.warnings {
        eprintln!("warning: {warning}");
    }
    let home = Home::new(global);
    let trainers = Trainers::new(args, &loaded.plan, &loaded.datasets, &home)?;
    let policy = Policy { poll_max: POLL_MAX, ..Policy::default() };
    let store = stored::open(&source::store_url(global)?)?;
    let blobs = Blobs::directory(&home.blobs()).context("cannot open the directory of blobs")?;
    // One runtime to the end: a store's connections live in the runtime that made them.
    let (view, interrupted) = stored::block_on(async {
        let trained = train(args, &loaded, trainers, &policy, &store, blobs, &home).await?;
        let view = View::read(&store, &trained.id).await?;
        let interrupted = trained.interrupted && !view.status.is_done();
        if !interrupted {
            report::record_look(&Source::Store(store.clone()), &view).await;
        }
        Ok((view, interrupted))
    })?;
    if interrupted {
        let counts = &view.status.counts;
        eprintln!(
            "stopped: {} of {} runs have ended; the same command goes on",
            counts.total() - counts.unfinished(),
            counts.total()
        );
        return Ok(Ended::Interrupted);
    }
    show(args, &view, &home)?;
    Ok(watch::ended_how(&view.status))
}

struct Trained {
    id: SweepId,
    interrupted: bool,
}

/// Submits and trains until every run has ended or a signal came.
async fn train(
    args: &RunArgs,
    loaded: &Loaded,
    trainers: Trainers,
    policy: &Policy,
    store: &AnyStore,
    blobs: Blobs,
    home: &Home,
) -> Result<Trained> {
    let (id, _) = coordinator::submit(store, &loaded.sweep, &loaded.plan).await?;
    let mut status = watch::status(store, &id).await?;
    if status.is_done() {
        // Between two looks of an adaptive sweep nothing is queued, yet it is not at its end.
        if coordinator::rounds::extend(store, &id).await?.is_last() {
            return Ok(Trained { id, interrupted: false });
        }
        status = watch::status(store, &id).await?;
    }
    let dashboard = dashboard(args, store, &blobs, home).await?;
    let seen_at = dashboard
        .as_ref()
        .map(|beside| format!(" · dashboard http://{}/sweeps/{id}", beside.address()));
    eprintln!(
        "{}: {} runs, {} of them known · {} ({} slots){}",
        loaded.sweep.name(),
        status.counts.total(),
        status.counts.total() - status.counts.unfinished(),
        trainers.name,
        trainers.slots,
        seen_at.unwrap_or_default()
    );
    let mut live = Live::new(
        args.quiet,
        u64::from(status.counts.total()),
        u64::from(status.counts.total() - status.counts.unfinished()),
    );
    let speaker = live.speaker();
    let signalled = CancellationToken::new();
    stopping::on_signals(signalled.clone(), move || {
        speaker.say("stopping: saving the running trainings (once more to leave at once)");
    })
    .context("cannot listen for Ctrl-C")?;

    let stop = signalled.child_token();
    let options = Options {
        slots: trainers.slots,
        device: trainers.device,
        policy: policy.clone(),
        only: Some(id.clone()),
        ..Options::default()
    };
    collect_blobs(store, &blobs).await;
    let worker = Worker::new(store.clone(), blobs, trainers.factory, options);
    let mut work = tokio::spawn(worker.run(stop.clone()));
    let keeping = {
        let (store, policy, stop) = (store.clone(), policy.clone(), stop.clone());
        tokio::spawn(async move { coordinator::keep(&store, &policy, &stop).await })
    };
    let worked = tokio::select! {
        worked = &mut work => Some(worked),
        watched = watch::until_done(store, &id, &mut live, watch::NEAR) => { watched?; None }
    };
    stop.cancel();
    let worked = match worked {
        Some(worked) => worked,
        None => work.await,
    };
    live.finish();
    if let Some(dashboard) = dashboard {
        dashboard.end().await;
    }
    keeping.await.context("the tick ended unexpectedly")?;
    worked.context("the worker ended unexpectedly")??;
    Ok(Trained { id, interrupted: signalled.is_cancelled() })
}

/// The pages of this store while the sweep trains. Without an address asked for, a machine that gives none is no reason not to train.
async fn dashboard(
    args: &RunArgs,
    store: &AnyStore,
    blobs: &Blobs,
    home: &Home,
) -> Result<Option<Beside>> {
    if args.no_dashboard {
        return Ok(None);
    }
    match Beside::start(store.clone(), blobs.clone(), &home.cache(), args.listen).await {
        Ok(beside) => Ok(Some(beside)),
        Err(error @ ServeError::Open { .. }) => Err(WrongInput::error(format!(
            "{error}; `sweep run` has none: a coordinator with tokens shows a sweep to others"
        ))),
        Err(error) if args.listen.is_some() => Err(error.into()),
        Err(error) => {
            tracing::warn!("there is no dashboard: {error}");
            Ok(None)
        }
    }
}

/// Drops checkpoints that no unfinished run points to.
async fn collect_blobs(store: &AnyStore, blobs: &Blobs) {
    let collected = async {
        let live = sweep_store::blobs::live(store).await?;
        let before =
            std::time::SystemTime::now().checked_sub(BLOB_GRACE).unwrap_or(std::time::UNIX_EPOCH);
        blobs.collect(&live, before).await?;
        anyhow::Ok(())
    };
    if let Err(error) = collected.await {
        tracing::warn!("old checkpoints could not be removed: {error:#}");
    }
}

/// The tables on standard output and the report on disk. Nothing here depends on the clock or on how often it was run.
fn show(args: &RunArgs, view: &View, home: &Home) -> Result<()> {
    let dir = args.output.clone().unwrap_or_else(|| home.report(view.sweep.name()));
    report::write(view, &dir)?;
    watch::show(view, args.json)?;
    if !args.json {
        out::text(&format!("report: {}\n", dir.join("index.html").display()))?;
    }
    Ok(())
}
