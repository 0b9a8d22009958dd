//! `sweep worker`: the worker's library as a command.

use std::time::Duration;

use anyhow::{Context, Result};
use sweep_store::{LossPolicy, Policy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{CacheOptions, Options, Worker};

use crate::args::{Global, WorkerArgs};
use crate::exit::{Ended, WrongInput};
use crate::home::Home;
use crate::serve::runtime;
use crate::stopping;
use crate::trainers::Trainers;

const GB: u64 = 1_000_000_000;
/// A lease lasts four beats.
const BEATS: u32 = 4;

pub(crate) fn worker(args: &WorkerArgs, global: &Global) -> Result<Ended> {
    let home = Home::new(global);
    let trainers = Trainers::of_worker(args, &home)?;
    runtime()?.block_on(async {
        let store = args.services.store(global)?;
        let blobs = args.services.blobs(global)?;
        let stop = CancellationToken::new();
        stopping::on_signals(stop.clone(), || {
            eprintln!("stopping: saving the running trainings (once more to leave at once)");
        })
        .context("cannot listen for Ctrl-C")?;
        let options = Options {
            slots: trainers.slots,
            device: trainers.device,
            policy: policy(args.lease_ms),
            epoch_beat: args.lease_ms.map_or(Options::default().epoch_beat, |ms| {
                Duration::from_millis(ms) / (2 * BEATS)
            }),
            cache: Some(CacheOptions {
                dir: home.cache().join("fetched"),
                limit: args.cache_gb.saturating_mul(GB),
            }),
            exit_when_idle: args.exit_when_idle.map(Duration::from_secs),
            drain: Duration::from_secs(args.drain_seconds),
            ..Options::default()
        };
        let name = store.to_string();
        let worker = Worker::new(store.clone(), blobs, trainers.factory, options);
        let pages = match args.metrics_listen {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address)
                    .await
                    .with_context(|| format!("cannot listen on {address}"))?;
                let address = listener.local_addr().unwrap_or(address);
                eprintln!("metrics on http://{address}");
                // Answered from before the store is there to the very end: a probe sees the worker wait, and drain.
                Some(tokio::spawn(worker.monitor().serve(listener, CancellationToken::new())))
            }
        };
        if !coordinator::wait_for(&store, &stop).await? {
            return Ok(Ended::Done);
        }
        coordinator::service::check_durability(&store).await.map_err(WrongInput::error)?;
        eprintln!(
            "worker {} · store {name} · {} · {} slots",
            worker.name(),
            trainers.name,
            trainers.slots
        );
        let ended = worker.run(stop).await;
        if let Some(pages) = pages {
            pages.abort();
        }
        ended?;
        Ok(Ended::Done)
    })
}

/// The usual numbers, or for leases this short: everything shrinks with them.
fn policy(lease_ms: Option<u64>) -> Policy {
    let usual = Policy::default();
    let Some(ms) = lease_ms else { return usual };
    let ttl = Duration::from_millis(ms);
    Policy {
        ttl,
        beat: ttl / BEATS,
        // A test that kills workers must not make its runs dead letters.
        losses: LossPolicy { step: ttl / 8, limit: u32::MAX },
        poll_max: ttl / BEATS,
        ..usual
    }
}
