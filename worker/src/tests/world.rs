//! A store with a sweep in it, a place of blobs, and workers on them.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, SweepId};
use sweep_core::lifecycle::LossPolicy;
use sweep_core::record::RunRecord;
use sweep_core::result::RunResult;
use sweep_core::sweep::{InputFile, Plan, Sweep};
use sweep_core::trainer::Trainer;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Counts, NewSweep, Now, Policy, Reads, RunDetail, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::FakeTrainer;
use crate::{Options, TrainerFactory, Worker, WorkerError};

const FILE: &str = "name: t
datasets: [x]
baseline: softmax
losses: [softmax, cosine]
model: { backbone: small_cnn }
training: { epochs: 3, batch_size: 10 }
seeds: SEEDS
";

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// Quick leases and polls; losses of runs cost nothing, for a loaded machine may miss beats.
pub(super) fn policy(ttl: Duration) -> Policy {
    let poll = Duration::from_millis(10);
    Policy {
        ttl,
        beat: ttl / 6,
        retry_step: poll,
        losses: LossPolicy { limit: 100, step: poll },
        poll,
        poll_min: poll,
        poll_max: 4 * poll,
        ..Policy::default()
    }
}

pub(super) fn options() -> Options {
    Options {
        policy: policy(Duration::from_millis(600)),
        epoch_beat: Duration::from_millis(10),
        checkpoint_every: Duration::from_secs(3600),
        ..Options::default()
    }
}

/// The data set of the sweep.
pub(crate) fn info() -> DataSetInfo {
    DataSetInfo {
        name: "x".to_owned(),
        title: "x".to_owned(),
        classes: vec!["even".to_owned(), "odd".to_owned()],
        train: vec![50, 50],
        val: vec![20, 20],
        content: Digest::of(b"x"),
        split: Digest::of(b"x split"),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

pub(super) struct World {
    pub(super) store: AnyStore,
    pub(super) dir: tempfile::TempDir,
    pub(super) blobs: Blobs,
    pub(super) plan: Plan,
    pub(super) id: SweepId,
    pub(super) redis: Option<RedisServer>,
}

impl World {
    /// Two configurations and so many seeds in memory.
    pub(super) async fn new(seeds: u32) -> Self {
        Self::with(AnyStore::open("sqlite::memory:").unwrap(), None, seeds, &[], &[info()]).await
    }

    /// The same on a real server, or nothing where there is none.
    pub(super) async fn on_redis(seeds: u32) -> Option<Self> {
        let server = RedisServer::start()?;
        let store = AnyStore::open(&server.url()).unwrap();
        Some(Self::with(store, Some(server), seeds, &[], &[info()]).await)
    }

    /// With files that its runs need.
    pub(super) async fn with_inputs(seeds: u32, inputs: &[InputFile]) -> Self {
        let store = AnyStore::open("sqlite::memory:").unwrap();
        Self::with(store, None, seeds, inputs, &[info()]).await
    }

    /// On these data sets.
    pub(super) async fn on_datasets(seeds: u32, datasets: &[DataSetInfo]) -> Self {
        Self::with(AnyStore::open("sqlite::memory:").unwrap(), None, seeds, &[], datasets).await
    }

    async fn with(
        store: AnyStore,
        redis: Option<RedisServer>,
        seeds: u32,
        inputs: &[InputFile],
        datasets: &[DataSetInfo],
    ) -> Self {
        let names: Vec<_> = datasets.iter().map(|info| info.name.as_str()).collect();
        let text = FILE
            .replace("SEEDS", &seeds.to_string())
            .replace("[x]", &format!("[{}]", names.join(", ")));
        let sweep = Sweep::parse(&text, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
        let plan = sweep.plan(datasets).unwrap_or_else(|error| panic!("{error}"));
        let id = sweep.id(&plan);
        let mut document = sweep.document(plan.datasets.clone());
        document.inputs = inputs.to_vec();
        let new = NewSweep {
            id: id.clone(),
            name: "t".to_owned(),
            weight: 1.0,
            band: 4,
            cap: None,
            round: 0,
            seeds,
            document,
        };
        store.submit(Now::Server, &new, &plan.runs, true).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::directory(&dir.path().join("blobs")).unwrap();
        Self { store, dir, blobs, plan, id, redis }
    }

    /// A worker with a fake trainer, not running yet.
    pub(super) fn worker(&self, behaviour: &str, options: Options) -> Worker {
        let behaviour: crate::fake::FakeBehaviour = behaviour.parse().unwrap();
        let trainers: TrainerFactory = Arc::new(move |inputs| {
            Box::new(FakeTrainer::new(behaviour.clone(), inputs)) as Box<dyn Trainer>
        });
        Worker::new(self.store.clone(), self.blobs.clone(), trainers, options)
    }

    pub(super) async fn counts(&self) -> Counts {
        self.store.sweep(&self.id).await.unwrap().unwrap().0.counts
    }

    /// Waits until `reached` says yes of the sweep's counts.
    pub(super) async fn until(&self, what: &str, reached: impl Fn(&Counts) -> bool) {
        let waited = async {
            loop {
                let counts = self.counts().await;
                if reached(&counts) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            panic!("not reached: {what}: {:?}", self.counts().await);
        }
    }

    /// Works until no run is left.
    pub(super) async fn finish(&self, behaviour: &str, options: Options) {
        let running = Running::start(self.worker(behaviour, options));
        self.until("the end", |counts| counts.unfinished() == 0).await;
        running.stop().await.unwrap();
        assert_eq!(self.store.violations().await.unwrap(), Vec::<String>::new());
    }

    pub(super) async fn records(&self) -> Vec<RunRecord> {
        self.store.results(&self.id).await.unwrap()
    }

    /// What the runs came to, without times.
    pub(super) async fn results(&self) -> Vec<Option<RunResult>> {
        let records = self.records().await;
        records.into_iter().map(|r| r.result.map(|result| result.without_times())).collect()
    }

    /// The first run of the line.
    pub(super) async fn first_run(&self) -> RunDetail {
        self.store.run(&self.plan.runs[0].id).await.unwrap().unwrap()
    }
}

/// A worker that runs.
pub(super) struct Running {
    pub(super) task: JoinHandle<Result<(), WorkerError>>,
    pub(super) stop: CancellationToken,
}

impl Running {
    pub(super) fn start(worker: Worker) -> Self {
        let stop = CancellationToken::new();
        Self { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    /// Asks it to stop, and waits.
    pub(super) async fn stop(self) -> Result<(), WorkerError> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(self) -> Result<(), WorkerError> {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("the worker hangs").expect("the worker panicked")
    }
}

/// A real server on a free port, gone with the test.
pub(super) struct RedisServer {
    port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl RedisServer {
    fn start() -> Option<Self> {
        let binary =
            std::env::var_os("SWEEP_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(binary)
            .args(["--port", &port.to_string(), "--save", "", "--bind", "127.0.0.1", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            let word =
                b"SKIPPED: no redis-server (install it, or name one in SWEEP_REDIS_SERVER)\n";
            std::io::stderr().write_all(word).unwrap();
            return None;
        };
        let server = Self { port, child, _dir: dir };
        let began = std::time::Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// kill -9.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
