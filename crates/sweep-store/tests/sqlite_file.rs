//! What only a file can show: opening again, crashes, strangers, versions, several processes' worth of handles.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use sweep_core::ids::{RunId, Timestamp};
use sweep_core::lifecycle::StateName;
use sweep_core::result::DeviceKind;
use sweep_store::sqlite::Sqlite;
use sweep_store::{
    AnyStore, Command, Event, EventKind, Events, Holder, Lease, Leased, NewSweep, Now, Outcome,
    Policy, Reads, RequestId, Store, StoreError, Wish,
};

#[path = "conformance/fixtures.rs"]
#[allow(
    dead_code,
    reason = "the fixtures of the conformance suite; only the builders are used here"
)]
mod fixtures;

use fixtures::{keys, run, run_on, runs, sweep};

const NOW: Now = Now::At(Timestamp(1_700_000_000_000));

struct Scene {
    _dir: tempfile::TempDir,
    path: PathBuf,
    policy: Policy,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            path: dir.path().join("some").join("sweep.db"),
            _dir: dir,
            policy: Policy::default(),
        }
    }

    fn open(&self) -> Sqlite {
        Sqlite::open(&self.path, NOW).unwrap()
    }

    async fn lease(&self, store: &Sqlite, request: u64) -> Lease {
        let holder = Holder { worker: "w".to_owned(), slot: request as u32 };
        let wish = Wish {
            holder,
            request: RequestId(request),
            device: DeviceKind::Fake,
            only: None,
            holds: Vec::new(),
        };
        match store.lease(NOW, &wish, &self.policy).await.unwrap() {
            Leased::Lease(lease) => *lease,
            Leased::Nothing { .. } => panic!("there is a run to lease"),
        }
    }
}

async fn state(store: &Sqlite, run: &RunId) -> StateName {
    store.run(run).await.unwrap().unwrap().state.name()
}

#[tokio::test]
async fn a_process_that_finds_itself_alone_takes_every_lease_back_at_once() {
    let scene = Scene::new();
    let store = scene.open();
    store.submit(NOW, &sweep("a"), &runs(0..3), true).await.unwrap();
    let lease = scene.lease(&store, 1).await;
    drop(store);
    let store = scene.open();
    let found = store.run(&lease.run).await.unwrap().unwrap();
    assert_eq!(
        (found.state.name(), found.state.tally.losses, found.state.tally.stuck),
        (StateName::Queued, 0, 0)
    );
    assert_eq!(scene.lease(&store, 2).await.run, lease.run);
    assert!(store.violations().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_process_that_joins_another_takes_nothing() {
    let scene = Scene::new();
    let first = scene.open();
    first.submit(NOW, &sweep("a"), &runs(0..3), true).await.unwrap();
    let lease = scene.lease(&first, 1).await;
    let second = scene.open();
    assert_eq!(state(&second, &lease.run).await, StateName::Leased);
    // The first goes, the second stays: it is not the one that starts, so a third finds company.
    drop(first);
    let third = scene.open();
    assert_eq!(state(&third, &lease.run).await, StateName::Leased);
}

#[tokio::test]
async fn a_reader_takes_no_lease_and_changes_nothing() {
    let scene = Scene::new();
    assert!(matches!(Sqlite::open_to_read(&scene.path), Err(StoreError::Missing { .. })));
    let store = scene.open();
    store.submit(NOW, &sweep("a"), &runs(0..3), true).await.unwrap();
    let lease = scene.lease(&store, 1).await;
    drop(store);
    let reader = Sqlite::open_to_read(&scene.path).unwrap();
    assert_eq!(state(&reader, &lease.run).await, StateName::Leased);
    let refused = reader.control(NOW, &Command::Cancel(sweep("a").id)).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)));
    // It is no company either.
    let store = scene.open();
    assert_eq!(state(&store, &lease.run).await, StateName::Queued);
    // And sees what others write.
    store.control(NOW, &Command::Pause(sweep("a").id)).await.unwrap();
    assert_eq!(reader.sweeps().await.unwrap(), store.sweeps().await.unwrap());
}

#[tokio::test]
async fn events_of_one_handle_reach_a_reader_on_another() {
    let scene = Scene::new();
    let store = scene.open();
    store.submit(NOW, &sweep("a"), &runs(0..1), true).await.unwrap();
    let reader = Sqlite::open_to_read(&scene.path).unwrap();
    let cursor = reader.event_cursor().await.unwrap();
    let waiting =
        tokio::spawn(async move { reader.events(&cursor, Duration::from_secs(20)).await.unwrap() });
    tokio::task::yield_now().await;
    scene.lease(&store, 1).await;
    let Events::Some { events, .. } = waiting.await.unwrap() else { panic!("the cursor is good") };
    assert!(matches!(
        &events[..],
        [Event { kind: EventKind::Run { state: StateName::Leased, .. }, .. }]
    ));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let scene = Scene::new();
    drop(scene.open());
    Connection::open(&scene.path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    for refused in [Sqlite::open(&scene.path, NOW), Sqlite::open_to_read(&scene.path)] {
        let message = refused.unwrap_err().to_string();
        assert_eq!(
            message,
            "the store has schema 99, but this version knows 2 and older: use a newer version of sweep"
        );
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_left_alone() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.path.parent().unwrap()).unwrap();
    Connection::open(&scene.path).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    let before = std::fs::read(&scene.path).unwrap();
    for refused in [Sqlite::open(&scene.path, NOW), Sqlite::open_to_read(&scene.path)] {
        assert!(matches!(refused, Err(StoreError::NotAStore { .. })));
    }
    assert_eq!(std::fs::read(&scene.path).unwrap(), before);
    std::fs::write(&scene.path, "not a database at all, but long enough to look at; ".repeat(40))
        .unwrap();
    assert!(matches!(Sqlite::open(&scene.path, NOW), Err(StoreError::NotAStore { .. })));
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read_and_then_migrated() {
    let scene = Scene::new();
    let store = scene.open();
    store.submit(NOW, &sweep("a"), &[run_on("x", 0), run_on("y", 1)], true).await.unwrap();
    drop(store);
    Connection::open(&scene.path)
        .unwrap()
        .execute_batch(
            "ALTER TABLE run DROP COLUMN data; ALTER TABLE sweep DROP COLUMN skipped; PRAGMA user_version = 1",
        )
        .unwrap();
    assert_eq!(Sqlite::open_to_read(&scene.path).unwrap().sweeps().await.unwrap().len(), 1);
    let store = scene.open();
    store.submit(NOW, &sweep("b"), &[run_on("x", 10), run_on("y", 11)], true).await.unwrap();
    let mut seeds = Vec::new();
    for request in 1..5 {
        let holder = Holder { worker: "w".to_owned(), slot: request as u32 };
        let (request, device) = (RequestId(request), DeviceKind::Fake);
        let wish = Wish { holder, request, device, only: None, holds: keys(&["y"]) };
        let Leased::Lease(lease) = store.lease(NOW, &wish, &scene.policy).await.unwrap() else {
            panic!("there is a run to lease")
        };
        seeds.push(lease.spec.seed);
    }
    // Which pictures the runs of before are on was not noted: they go in their order.
    seeds.sort_by_key(|seed| seed / 10);
    assert_eq!(seeds, [0, 1, 11, 10]);
}

#[tokio::test]
async fn a_url_with_a_path_opens_the_file() {
    let scene = Scene::new();
    let url = format!("sqlite:{}", scene.path.display());
    assert!(matches!(AnyStore::open_to_read(&url), Err(StoreError::Missing { .. })));
    let store = AnyStore::open(&url).unwrap();
    store.submit(Now::Server, &sweep("a"), &runs(0..2), true).await.unwrap();
    assert_eq!(AnyStore::open_to_read(&url).unwrap().sweeps().await.unwrap().len(), 1);
}

/// Slots that really run beside each other, on two handles as of two processes: each run ends once, no promise breaks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_slots_at_once_end_each_run_once() {
    const RUNS: u64 = 120;
    let scene = Scene::new();
    let stores = [scene.open(), scene.open()];
    let new = NewSweep { cap: Some(9), ..sweep("a") };
    stores[0].submit(Now::Server, &new, &runs(0..RUNS), true).await.unwrap();
    let mut slots = tokio::task::JoinSet::new();
    for slot in 0..12_u32 {
        let (store, policy) = (stores[slot as usize % 2].clone(), scene.policy.clone());
        slots.spawn(async move {
            let mut ended = 0;
            loop {
                let request = RequestId(u64::from(slot) << 32 | ended);
                let holder = Holder { worker: "w".to_owned(), slot };
                let wish = Wish {
                    holder,
                    request,
                    device: DeviceKind::Fake,
                    only: None,
                    holds: Vec::new(),
                };
                match store.lease(Now::Server, &wish, &policy).await.unwrap() {
                    Leased::Lease(lease) => {
                        let outcome = if ended % 5 == 4 {
                            Outcome::Yielded { checkpoint: None }
                        } else {
                            fixtures::succeeded()
                        };
                        store
                            .finish(Now::Server, &lease.run, lease.fence, &outcome, "", &policy)
                            .await
                            .unwrap();
                        ended += 1;
                    }
                    Leased::Nothing { .. } => {
                        let counts = store.sweeps().await.unwrap()[0].counts;
                        if counts.unfinished() == 0 {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
    }
    slots.join_all().await;
    let counts = stores[1].sweeps().await.unwrap()[0].counts;
    assert_eq!((counts.succeeded, counts.total()), (RUNS as u32, RUNS as u32));
    assert_eq!(stores[0].violations().await.unwrap(), Vec::<String>::new());
    assert_eq!(state(&stores[0], &run(0).id).await, StateName::Succeeded);
}
