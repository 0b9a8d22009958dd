//! How a worker stops: asked, drained, idle, broken, or without its store.

use std::time::Duration;

use sweep_core::lifecycle::StateName;
use sweep_store::{AttemptEnding, Command, Now, Store};

use super::world::{Running, World, options};
use crate::{Options, WorkerError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_drain_deadline_a_run_is_handed_back_with_its_last_checkpoint() {
    let world = World::new(1).await;
    let options = Options {
        checkpoint_every: Duration::from_millis(10),
        drain: Duration::from_millis(100),
        ..options()
    };
    // A batch that lasts longer than the drain.
    let running = Running::start(world.worker("fake:step_ms=700", options));
    let pointed = async {
        while world.first_run().await.state.checkpoint.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), pointed).await.expect("no checkpoint");
    running.stop().await.unwrap();
    let detail = world.first_run().await;
    assert_eq!(detail.state.name(), StateName::Queued);
    assert_eq!(detail.attempts[0].ending, Some(AttemptEnding::Yielded));
    assert!(detail.state.checkpoint.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_worker_hands_its_runs_back_and_ends() {
    let world = World::new(2).await;
    let worker = world.worker("fake:step_ms=30", Options { slots: 2, ..options() });
    let (name, monitor) = (worker.name().to_owned(), worker.monitor());
    let running = Running::start(worker);
    world.until("two runs in training", |counts| counts.leased == 2).await;
    world.store.control(Now::Server, &Command::Drain(name)).await.unwrap();
    running.ended().await.unwrap();
    assert_eq!(monitor.ready().unwrap_err(), "it is draining");
    let counts = world.counts().await;
    assert_eq!((counts.queued, counts.leased), (4 - counts.succeeded, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_ends_when_nothing_came_for_long_enough() {
    let world = World::new(2).await;
    let options =
        Options { slots: 2, exit_when_idle: Some(Duration::from_millis(100)), ..options() };
    Running::start(world.worker("fake:step_ms=5", options)).ended().await.unwrap();
    assert_eq!(world.counts().await.succeeded, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_keeps_no_worker_that_has_to_go() {
    let Some(mut world) = World::on_redis(1).await else { return };
    let running = Running::start(world.worker("fake:step_ms=20", options()));
    world.until("a run in training", |counts| counts.leased == 1).await;
    world.redis.as_mut().unwrap().kill();
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_breaks_each_attempt_takes_no_more_runs() {
    let world = super::inputs::with_a_broken_blob().await;
    let worker = world.worker("fake", super::inputs::with_cache(&world));
    let monitor = worker.monitor();
    let running = Running::start(worker);
    let broken = async {
        while monitor.ready().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), broken).await.expect("it goes on");
    assert!(monitor.ready().unwrap_err().starts_with("3 faults in a row"), "{:?}", monitor.ready());
    let attempts = world.first_run().await.attempts.len();
    assert!(attempts <= 3, "one worker eats the queue: {attempts}");
    running.stop().await.unwrap();
    // A pod that is to end by itself tells of it by its exit code.
    let mut options = super::inputs::with_cache(&world);
    options.exit_when_idle = Some(Duration::from_secs(3600));
    let error = Running::start(world.worker("fake", options)).ended().await.unwrap_err();
    assert!(matches!(error, WorkerError::Broken { faults: 3, .. }), "{error}");
    assert_eq!(world.counts().await.failed, 0, "no run is to blame");
}
