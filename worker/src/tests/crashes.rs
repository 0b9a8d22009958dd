//! A worker dies before or after any word that matters: another one ends the sweep as if nothing had been.

use std::time::Duration;

use sweep_store::Reads;

use super::world::{Running, World, options, policy};
use crate::Options;
use crate::crash::Point;

/// 15 batches of a run last 0.6 s: even a loaded machine stores and tells a checkpoint in that time.
const BEHAVIOUR: &str = "fake:step_ms=40";

const POINTS: [Point; 7] = [
    Point::BeforeBlob,
    Point::BlobDurable,
    Point::BeforePointer,
    Point::PointerSent,
    Point::BeforeFinish,
    Point::FinishSent,
    Point::ReplyRead,
];

fn with_checkpoints() -> Options {
    Options {
        slots: 2,
        checkpoint_every: Duration::from_millis(20),
        policy: policy(Duration::from_millis(400)),
        ..options()
    }
}

async fn dies_at(world: &World, point: Point) {
    let mut worker = world.worker(BEHAVIOUR, with_checkpoints());
    worker.context.crash.at = Some(point);
    let died = worker.context.crash.died.clone();
    let running = Running::start(worker);
    tokio::time::timeout(Duration::from_secs(30), died.cancelled()).await.expect("it never died");
    // The runtime of a process that died does nothing more either.
    running.task.abort();
    let _ = running.task.await;
    world.finish(BEHAVIOUR, with_checkpoints()).await;
}

async fn every_point(worlds: Vec<(Point, World)>, whole: &World) {
    let whole = whole.results().await;
    assert!(whole.iter().all(Option::is_some));
    for (point, world) in worlds {
        dies_at(&world, point).await;
        assert_eq!(world.results().await, whole, "{point:?}");
        assert_eq!(world.counts().await.succeeded, 4, "{point:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_point_changes_no_result_in_sqlite() {
    let whole = World::new(2).await;
    whole.finish(BEHAVIOUR, options()).await;
    let mut worlds = Vec::new();
    for point in POINTS {
        worlds.push((point, World::new(2).await));
    }
    every_point(worlds, &whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_at_any_point_changes_no_result_in_redis() {
    let whole = World::new(2).await;
    whole.finish(BEHAVIOUR, options()).await;
    let mut worlds = Vec::new();
    for point in POINTS {
        let Some(world) = World::on_redis(2).await else { return };
        worlds.push((point, world));
    }
    every_point(worlds, &whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_on_on_another_worker_where_it_was_handed_back() {
    let whole = World::new(1).await;
    whole.finish("fake", options()).await;
    let world = World::new(1).await;
    let slow = world.worker("fake:step_ms=40", options());
    let running = Running::start(slow);
    world.until("a run in training", |counts| counts.leased == 1).await;
    let trained = async {
        while world
            .store
            .run(&world.plan.runs[0].id)
            .await
            .unwrap()
            .unwrap()
            .progress
            .is_none_or(|p| p.epochs.is_empty())
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), trained).await.expect("no epoch ended");
    running.stop().await.unwrap();
    let detail = world.first_run().await;
    let pointer = detail.state.checkpoint.expect("it yielded with a checkpoint");
    assert!(pointer.epoch >= 1, "{pointer:?}");
    assert_eq!(world.blobs.list().await.unwrap().len(), 1);
    world.finish("fake", options()).await;
    let detail = world.first_run().await;
    assert_eq!(detail.attempts.len(), 2);
    let resumed = format!("resumed after epoch {}, batch {}", pointer.epoch, pointer.batch);
    assert!(detail.attempts[1].log.contains(&resumed), "{detail:?}");
    assert_eq!(world.results().await, whole.results().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_run_the_two_newest_checkpoints_are_kept_and_none_after_its_end() {
    let world = World::new(1).await;
    let options = Options { checkpoint_every: Duration::from_millis(10), ..with_checkpoints() };
    let running = Running::start(world.worker("fake:step_ms=80", Options { slots: 1, ..options }));
    let mut most = 0;
    let mut moved = std::collections::BTreeSet::new();
    let watched = async {
        while world.counts().await.unfinished() > 0 {
            most = most.max(world.blobs.list().await.unwrap().len());
            moved.extend(world.first_run().await.state.checkpoint.map(|c| c.digest));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), watched).await.expect("the sweep hangs");
    running.stop().await.unwrap();
    assert!(moved.len() > 6, "{} checkpoints", moved.len());
    // Two kept, one just written, and those being removed, which takes a slow disk more than a batch.
    assert!(most <= 5, "{most} blobs");
    let none = async {
        while !world.blobs.list().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), none).await.expect("blobs are left");
}
