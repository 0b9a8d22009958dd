//! Adaptive sweeps end to end: real store, real worker loop, fake trainer, coordinators that come and go.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use coordinator::rounds::{Extended, Next, extend, next_round};
use coordinator::{View, submit};
use sweep_core::adaptive::{Round, StopReason};
use sweep_core::dataset::DataSetInfo;
use sweep_core::ids::{Digest, RunId, SweepId};
use sweep_core::lifecycle::LossPolicy;
use sweep_core::result::RunResult;
use sweep_core::sweep::{Plan, Sweep};
use sweep_core::trainer::Trainer;
use sweep_store::blobs::Blobs;
use sweep_store::{AnyStore, Command, NewSweep, Now, Policy, Reads, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::fake::{FakeBehaviour, FakeTrainer};
use worker::{Options, Worker};

const FILE: &str = "name: t
datasets: [x, y]
baseline: softmax
losses: [softmax, cosine, bce, am_softmax: { margin: [0.1, 0.2, 0.35], scale: [10, 30] }]
model: { backbone: small_cnn }
training: { epochs: 3, batch_size: 10 }
adaptive: { max_seeds: 14, look_every: 4, confirm: 2 }
";

/// Long enough for a thread that is waited for, short enough for a test that waits for lost leases.
const TTL: Duration = Duration::from_millis(500);

fn policy() -> Policy {
    let poll = Duration::from_millis(5);
    Policy {
        ttl: TTL,
        beat: TTL / 5,
        retry_step: poll,
        // A loaded machine may miss beats; that must not fail a run.
        losses: LossPolicy { limit: 100, step: poll },
        poll,
        poll_min: poll,
        poll_max: 4 * poll,
        ..Policy::default()
    }
}

fn info(name: &str, n_val: u32) -> DataSetInfo {
    DataSetInfo {
        name: name.to_owned(),
        title: name.to_owned(),
        classes: vec!["even".to_owned(), "odd".to_owned()],
        train: vec![50, 50],
        val: vec![n_val / 2, n_val / 2],
        content: Digest::of(name.as_bytes()),
        split: Digest::of(format!("{name} split").as_bytes()),
        channels: 1,
        fixed_size: Some(8),
        warnings: Vec::new(),
    }
}

/// A store with the sweep in it, and what a worker needs.
struct World {
    store: AnyStore,
    blobs: tempfile::TempDir,
    sweep: Sweep,
    plan: Plan,
    id: SweepId,
    behaviour: FakeBehaviour,
}

async fn world(behaviour: &str) -> World {
    let store = AnyStore::open("sqlite::memory:").unwrap();
    let sweep = Sweep::parse(FILE, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
    let plan =
        sweep.plan(&[info("x", 400), info("y", 60)]).unwrap_or_else(|error| panic!("{error}"));
    let (id, submitted) = submit(&store, &sweep, &plan).await.unwrap();
    assert_eq!(submitted.new, 2 * 9 * 4);
    let blobs = tempfile::tempdir().unwrap();
    World { store, blobs, sweep, plan, id, behaviour: behaviour.parse().unwrap() }
}

/// What a sweep left: its decisions, and each run with its place and result.
type Left = (Vec<Round>, Vec<(u32, RunId, Option<RunResult>)>);

impl World {
    fn worker(&self) -> (JoinHandle<Result<(), worker::WorkerError>>, CancellationToken) {
        let behaviour = self.behaviour.clone();
        let trainers = Arc::new(move |inputs| {
            Box::new(FakeTrainer::new(behaviour.clone(), inputs)) as Box<dyn Trainer>
        });
        let options = Options { slots: 2, policy: policy(), ..Options::default() };
        let blobs = Blobs::directory(self.blobs.path()).unwrap();
        let stop = CancellationToken::new();
        let worker = Worker::new(self.store.clone(), blobs, trainers, options);
        (tokio::spawn(worker.run(stop.clone())), stop)
    }

    async fn ended(&self) -> u32 {
        let (status, _) = self.store.sweep(&self.id).await.unwrap().unwrap();
        status.counts.total() - status.counts.unfinished()
    }

    /// What `sweep run` does: waits until `until` runs have ended, or the sweep is done.
    async fn watch(&self, until: u32) {
        let watched = async {
            loop {
                let (status, _) = self.store.sweep(&self.id).await.unwrap().unwrap();
                if status.counts.total() - status.counts.unfinished() >= until {
                    return;
                }
                if status.is_done() && extend(&self.store, &self.id).await.unwrap().is_last() {
                    return;
                }
                self.store.tick(Now::Server, &policy()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), watched).await.expect("the sweep hangs");
    }

    /// Works until `until` runs have ended, then stops in an orderly way.
    async fn work(&self, until: u32) {
        let (work, stop) = self.worker();
        self.watch(until).await;
        stop.cancel();
        work.await.unwrap().unwrap();
    }

    async fn left(&self) -> Left {
        let (_, document) = self.store.sweep(&self.id).await.unwrap().unwrap();
        let records = self.store.results(&self.id).await.unwrap();
        let results = records
            .into_iter()
            .map(|r| (r.run.ord, r.run.id, r.result.map(|result| result.without_times())))
            .collect();
        assert_eq!(self.store.violations().await.unwrap(), Vec::<String>::new());
        (document.rounds, results)
    }
}

async fn unbroken(behaviour: &str) -> (World, Left) {
    let world = world(behaviour).await;
    world.work(u32::MAX).await;
    let left = world.left().await;
    (world, left)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_go_where_a_comparison_is_open_and_the_report_sees_them() {
    let (world, (rounds, runs)) = unbroken("fake").await;
    assert!(
        rounds[0].dropped.len() >= 4,
        "levels of the fake trainer lie 15 points apart: {rounds:?}"
    );
    let view = View::read(&world.store, &world.id).await.unwrap();
    assert!(view.plan.is_complete(&view.sweep));
    assert_eq!(view.plan.runs.len(), runs.len());
    assert!(view.plan.runs.len() < 2 * 9 * 16, "nothing was saved");
    let report = view.report();
    assert_eq!((report.sweep.id.clone(), report.runs.len()), (world.id.clone(), runs.len()));
    assert!(report.finished());
    for dataset in 0..2 {
        let survivors = view.plan.alive(dataset);
        let by_configuration = view.plan.by_configuration();
        for (c, planned) in
            view.plan.configurations.iter().enumerate().filter(|(_, p)| p.dataset == dataset)
        {
            let seeds: Vec<u64> = by_configuration[c].iter().map(|run| run.spec.seed).collect();
            let confirmed = seeds.ends_with(&[15, 16]);
            assert_eq!(confirmed, survivors.contains(&c), "{seeds:?}");
            // Confirmation seeds are reported run by run, but choose nothing.
            let summary = &report.datasets[dataset].summaries[planned.candidate];
            assert_eq!(summary.n, seeds.len() - if confirmed { 2 } else { 0 });
        }
        let (_, reason) = view.plan.stopped(dataset).unwrap();
        assert_eq!(reason == StopReason::OneLeft, survivors.len() == 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rounds_are_those_of_a_plain_loop_over_the_results() {
    let (world, (rounds, _)) = unbroken("fake").await;
    let records = world.store.results(&world.id).await.unwrap();
    let (sweep, mut plan) = (&world.sweep, world.plan.clone());
    while let Next::Decided(round) = next_round(sweep, &plan, &records) {
        plan.add_round(sweep.adaptive().unwrap(), round);
    }
    assert_eq!(plan.rounds, rounds);
    assert_eq!(next_round(sweep, &plan, &records), Next::Complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_killed_half_way_ends_with_the_same_rounds() {
    let behaviour = "fake:epoch_ms=2,diverge=3";
    let (_, whole) = unbroken(behaviour).await;
    let world = world(behaviour).await;
    for until in [10, 40, 80] {
        let (work, _) = world.worker();
        world.watch(until).await;
        // Killed: no hand-back, no last word; its leases expire.
        work.abort();
        assert!(work.await.unwrap_err().is_cancelled());
    }
    assert!(world.ended().await < whole.1.len() as u32, "killed before the end");
    world.work(u32::MAX).await;
    assert_eq!(world.left().await, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_runs_hold_no_look_up() {
    let (world, (rounds, _)) = unbroken("fake:panic=2").await;
    let (status, _) = world.store.sweep(&world.id).await.unwrap().unwrap();
    assert_eq!(status.counts.failed, 18, "seed 2 of every configuration");
    assert!(rounds.iter().flat_map(|round| &round.dropped).all(|dropped| dropped.n >= 3));
    assert_eq!(rounds[0].dropped.iter().map(|d| d.n).max(), Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_coordinators_one_wins_each_round() {
    let world = world("fake").await;
    world.work(72).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (store, id) = (world.store.clone(), world.id.clone());
            tokio::spawn(async move { extend(&store, &id).await.unwrap() })
        })
        .collect();
    let mut added = Vec::new();
    for task in tasks {
        if let Extended::Added { decided, runs } = task.await.unwrap() {
            added.push((decided, runs));
        }
    }
    let (status, document) = world.store.sweep(&world.id).await.unwrap().unwrap();
    assert_eq!((status.round, status.sealed, status.submissions.len()), (1, true, 2));
    assert_eq!(status.counts.total() as usize, 72 + added[0].1);
    assert!(added.iter().all(|(decided, _)| *decided == document.rounds[0]));
    assert_eq!(world.store.violations().await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_submitted_half_way_is_mended_by_anybody() {
    let (_, whole) = unbroken("fake").await;
    let world = world("fake").await;
    world.work(72).await;
    let (_, mut document) = world.store.sweep(&world.id).await.unwrap().unwrap();
    let records = world.store.results(&world.id).await.unwrap();
    let mut plan = world.plan.clone();
    let Next::Decided(round) = next_round(&world.sweep, &plan, &records) else { panic!("no look") };
    document.rounds.push(round.clone());
    let runs = plan.add_round(world.sweep.adaptive().unwrap(), round).to_vec();
    let half = NewSweep {
        id: world.id.clone(),
        name: "t".to_owned(),
        weight: 1.0,
        band: 4,
        cap: None,
        round: 1,
        seeds: 8,
        document,
    };
    world.store.submit(Now::Server, &half, &runs[..3], false).await.unwrap();
    // The same command again, as after a crash.
    let (_, again) = submit(&world.store, &world.sweep, &world.plan).await.unwrap();
    assert_eq!((again.new, again.known), (0, 72));
    let mended = extend(&world.store, &world.id).await.unwrap();
    assert!(matches!(mended, Extended::Added { runs: all, .. } if all == runs.len()), "{mended:?}");
    world.work(u32::MAX).await;
    assert_eq!(world.left().await, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_sweep_is_not_extended_and_goes_on_when_submitted_again() {
    let (_, whole) = unbroken("fake").await;
    let world = world("fake").await;
    world.work(80).await;
    world.store.control(Now::Server, &Command::Cancel(world.id.clone())).await.unwrap();
    while world.store.tick(Now::Server, &policy()).await.unwrap().more {}
    assert_eq!(extend(&world.store, &world.id).await.unwrap(), Extended::Cancelled);
    let (status, _) = world.store.sweep(&world.id).await.unwrap().unwrap();
    assert!(status.counts.cancelled > 0 && status.round == 1);
    let (id, again) = submit(&world.store, &world.sweep, &world.plan).await.unwrap();
    assert_eq!((id, again.requeued), (world.id.clone(), status.counts.cancelled));
    world.work(u32::MAX).await;
    assert_eq!(world.left().await, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tick_extends_a_sweep_by_itself() {
    let world = world("fake").await;
    world.work(72).await;
    let stop = CancellationToken::new();
    let keeping = {
        let (store, stop) = (world.store.clone(), stop.clone());
        tokio::spawn(async move { coordinator::keep(&store, &policy(), &stop).await })
    };
    let extended = async {
        while world.store.sweep(&world.id).await.unwrap().unwrap().0.round == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), extended).await.expect("no round was added");
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adaptive_sweep_after_a_look_at_fewer_planned_seeds_is_an_extension() {
    let world = world("fake").await;
    // More seeds than the first look, fewer than the cap: going on from them is what counts.
    let planned =
        FILE.replace("adaptive: { max_seeds: 14, look_every: 4, confirm: 2 }", "seeds: 6");
    let earlier = Sweep::parse(&planned, "t.yaml").unwrap_or_else(|error| panic!("{error}"));
    let plan = earlier.plan(&world.plan.datasets).unwrap();
    let store = AnyStore::open("sqlite::memory:").unwrap();
    let (id, _) = submit(&store, &earlier, &plan).await.unwrap();
    store.control(Now::Server, &Command::Reported(id)).await.unwrap();
    let (id, _) = submit(&store, &world.sweep, &world.plan).await.unwrap();
    let report = View::read(&store, &id).await.unwrap().report();
    let extended = report.notes.iter().any(|n| n.text.contains("extended from 6 to 14 seeds"));
    assert!(extended, "{:?}", report.notes);
}
