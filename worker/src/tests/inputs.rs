//! Files that runs need: fetched, kept, missed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::Digest;
use sweep_core::lifecycle::StateName;
use sweep_core::run::RunSpec;
use sweep_core::sweep::{Input, InputFile};
use sweep_core::trainer::{Checkpoint, Observer, Outcome, TrainError, Trainer};

use super::world::{Running, World, info, options};
use crate::attempt::Attempt;
use crate::cache::Cache;
use crate::calls::Calls;
use crate::fake::FakeTrainer;
use crate::inputs::Fetcher;
use crate::metrics::Metrics;
use crate::{CacheOptions, Inputs, Options, TrainerFactory, Worker};

const PACK: &[u8] = b"pictures";

fn pack(image_size: u32) -> InputFile {
    let DataSetInfo { content, split, .. } = info();
    let input = Input::Pack { content, split, image_size };
    InputFile { input, digest: Digest::of(PACK), bytes: PACK.len() as u64 }
}

pub(super) fn with_cache(world: &World) -> Options {
    let cache = CacheOptions { dir: world.dir.path().join("cache"), limit: 1 << 20 };
    Options { cache: Some(cache), slots: 2, ..options() }
}

/// A sweep whose file cannot be read, though it is there: the disk is to blame.
pub(super) async fn with_a_broken_blob() -> World {
    let world = World::with_inputs(2, &[pack(8)]).await;
    let name = Digest::of(PACK).to_string();
    let path = world.dir.path().join("blobs").join(&name[..2]).join(&name);
    std::fs::create_dir_all(path).unwrap();
    world
}

/// A trainer that looks at its pictures first.
struct Looking {
    inputs: Inputs,
    seen: Arc<Mutex<Vec<PathBuf>>>,
    fake: FakeTrainer,
}

impl Trainer for Looking {
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        let size = run.configuration.training.image_size;
        let of = &run.configuration.dataset;
        let path = self.inputs.pack(of, size).ok_or_else(|| TrainError::Input("no pack".into()))?;
        assert_eq!(std::fs::read(&path).unwrap(), PACK);
        assert_eq!(self.inputs.pack(of, size + 1), None);
        self.seen.lock().unwrap().push(path);
        self.fake.train(run, resume, observer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trainer_finds_the_files_of_its_run_fetched_once() {
    // The second one is of another size: no run of this sweep needs it, and nobody has it.
    let other = InputFile { digest: Digest::of(b"other"), ..pack(16) };
    let world = World::with_inputs(3, &[pack(8), other]).await;
    world.blobs.put(PACK).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let trainers: TrainerFactory = {
        let seen = seen.clone();
        Arc::new(move |inputs: Inputs| {
            let fake = FakeTrainer::new("fake".parse().unwrap(), inputs.clone());
            Box::new(Looking { inputs, seen: seen.clone(), fake }) as Box<dyn Trainer>
        })
    };
    let worker =
        Worker::new(world.store.clone(), world.blobs.clone(), trainers, with_cache(&world));
    let metrics = worker.context.metrics.clone();
    let running = Running::start(worker);
    world.until("the end", |counts| counts.succeeded == 6).await;
    running.stop().await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 6);
    assert_eq!(metrics.fetched_bytes.get(), PACK.len() as u64);
}

/// A trainer that notes on which data set it trains.
struct Noting {
    seen: Arc<Mutex<Vec<String>>>,
    fake: FakeTrainer,
}

impl Trainer for Noting {
    fn train(
        &mut self,
        run: &RunSpec,
        resume: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Outcome, TrainError> {
        self.seen.lock().unwrap().push(run.configuration.dataset.name.clone());
        self.fake.train(run, resume, observer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_stays_on_the_data_set_that_it_has() {
    let other = DataSetInfo {
        name: "y".to_owned(),
        content: Digest::of(b"y"),
        split: Digest::of(b"y split"),
        ..info()
    };
    let world = World::on_datasets(2, &[info(), other]).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let trainers: TrainerFactory = {
        let seen = seen.clone();
        Arc::new(move |inputs: Inputs| {
            let fake = FakeTrainer::new("fake".parse().unwrap(), inputs);
            Box::new(Noting { seen: seen.clone(), fake }) as Box<dyn Trainer>
        })
    };
    let running =
        Running::start(Worker::new(world.store.clone(), world.blobs.clone(), trainers, options()));
    world.until("the end", |counts| counts.succeeded == 8).await;
    running.stop().await.unwrap();
    // In line they stand as x x y y x x y y.
    assert_eq!(*seen.lock().unwrap(), ["x", "x", "x", "x", "y", "y", "y", "y"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetched_data_set_is_held_as_long_as_the_cache_has_it() {
    let world = World::with_inputs(1, &[pack(8)]).await;
    world.blobs.put(PACK).await.unwrap();
    let metrics = Arc::new(Metrics::new(1));
    let dir = world.dir.path().join("cache");
    let cache = CacheOptions { dir, limit: PACK.len() as u64 };
    let cache = Cache::open(&cache, metrics.clone()).unwrap();
    let calls = Calls::new(world.store.clone(), metrics.clone());
    let fetcher = Fetcher::new(calls, world.blobs.clone(), Some(cache.clone()));
    let run = world.plan.runs[0].spec.clone();
    let attempt = Attempt::new(metrics, 10);
    assert!(fetcher.held().is_empty());
    for _ in 0..2 {
        drop(fetcher.shelf(&world.id, &run, &attempt).await.unwrap());
        assert_eq!(fetcher.held(), [run.data_key()]);
    }
    let other = world.blobs.put(vec![7; PACK.len()]).await.unwrap();
    drop(cache.file(&world.blobs, other, PACK.len() as u64).await.unwrap());
    assert!(fetcher.held().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_file_fails_its_runs_with_what_to_do() {
    let world = World::with_inputs(1, &[pack(8)]).await;
    let running = Running::start(world.worker("fake", with_cache(&world)));
    world.until("the end", |counts| counts.failed == 2).await;
    running.stop().await.unwrap();
    let detail = world.first_run().await;
    assert_eq!(detail.state.name(), StateName::Failed);
    assert_eq!(detail.attempts.len(), 3, "somebody may bring it meanwhile");
    let error = detail.error.unwrap();
    for part in ["data set `x` at image size 8", &Digest::of(PACK).to_string(), "sweep submit"] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_comes_slowly_costs_no_lease() {
    let world = World::with_inputs(1, &[pack(8)]).await;
    // The coordinator takes longer to answer than a lease lasts.
    let blobs = SlowBlobs::start(PACK, Duration::from_millis(1500)).await;
    let mut worker = world.worker("fake", Options { slots: 1, ..with_cache(&world) });
    worker.context.blobs = blobs.open();
    let running = Running::start(worker);
    world.until("the end", |counts| counts.succeeded == 2).await;
    running.stop().await.unwrap();
    assert_eq!(world.first_run().await.attempts.len(), 1);
}

/// A coordinator that takes its time.
struct SlowBlobs {
    address: String,
    task: tokio::task::JoinHandle<()>,
}

impl SlowBlobs {
    async fn start(content: &'static [u8], pause: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answer = move || async move {
            tokio::time::sleep(pause).await;
            content
        };
        let pages = axum::Router::new().route("/api/v1/blobs/{digest}", axum::routing::get(answer));
        let task = tokio::spawn(async move { axum::serve(listener, pages).await.unwrap() });
        Self { address, task }
    }

    fn open(&self) -> sweep_store::blobs::Blobs {
        sweep_store::blobs::Blobs::open(&self.address, None).unwrap()
    }
}

impl Drop for SlowBlobs {
    fn drop(&mut self) {
        self.task.abort();
    }
}
