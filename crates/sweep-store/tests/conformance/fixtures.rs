//! A store under test with a virtual clock; the promises are checked after every call that changes something.

use std::any::Any;
use std::cell::Cell;
use std::time::Duration;

use sweep_core::analysis::Analysis;
use sweep_core::bits::Bits;
use sweep_core::dataset::DataSetRef;
use sweep_core::ids::{Digest, RunId, SweepId, Timestamp};
use sweep_core::lifecycle::{CheckpointPointer, Holder, StateName};
use sweep_core::loss::Loss;
use sweep_core::model::{Backbone, Model, Weights};
use sweep_core::result::{DeviceKind, EpochMetrics, RunResult, TrainingEnd, Validation};
use sweep_core::run::{Configuration, DataKey, Run, RunSpec};
use sweep_core::sweep::Document;
use sweep_core::training::{Augment, Mode, Optimizer, Precision, Schedule, Training};
use sweep_store::{
    Applied, Command, Lease, Leased, NewSweep, Now, Order, Outcome, Policy, Progress, RequestId,
    RunDetail, Store, StoreError, Submitted, SweepStatus, Ticked, Wish,
};

/// Where the virtual clock starts: later than any duration that is taken off it.
const START_MS: i64 = 1_700_000_000_000;

/// Something that makes fresh, empty stores.
pub(crate) trait Backend {
    /// What it makes.
    type Store: Store;

    /// Whether it can be had on this machine; where not it has said so.
    fn is_there() -> bool {
        true
    }

    /// An empty store, and what must live as long as it does.
    fn fresh() -> (Self::Store, Box<dyn Any>);
}

pub(crate) struct Harness<S> {
    pub(crate) store: S,
    pub(crate) policy: Policy,
    now: Cell<i64>,
    requests: Cell<u64>,
    _keep: Box<dyn Any>,
}

impl<S: Store> Harness<S> {
    pub(crate) fn new<B: Backend<Store = S>>() -> Self {
        Self::of(B::fresh())
    }

    /// On this store, and with what must live as long as it does.
    pub(crate) fn of((store, keep): (S, Box<dyn Any>)) -> Self {
        Self {
            store,
            policy: Policy::default(),
            now: Cell::new(START_MS),
            requests: Cell::new(0),
            _keep: keep,
        }
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp(self.now.get())
    }

    pub(crate) fn now(&self) -> Now {
        Now::At(self.at())
    }

    /// Moves the clock; negative seconds set it back.
    pub(crate) fn step_clock(&self, seconds: f64) {
        self.now.set(self.now.get() + (seconds * 1000.0) as i64);
    }

    /// Lets time pass as it does while somebody looks after the store: one tick each second.
    pub(crate) async fn pass(&self, seconds: u32) -> Ticked {
        let mut sum = Ticked::default();
        for _ in 0..seconds {
            self.step_clock(1.0);
            let ticked = self.tick().await;
            (sum.expired, sum.due, sum.walked) =
                (sum.expired + ticked.expired, sum.due + ticked.due, sum.walked + ticked.walked);
        }
        sum
    }

    pub(crate) async fn check(&self) {
        assert_eq!(self.store.violations().await.unwrap(), Vec::<String>::new());
    }

    pub(crate) async fn try_submit(
        &self,
        sweep: &NewSweep,
        runs: &[Run],
    ) -> Result<Submitted, StoreError> {
        let submitted = self.store.submit(self.now(), sweep, runs, true).await;
        self.check().await;
        submitted
    }

    pub(crate) async fn submit(&self, sweep: &NewSweep, runs: &[Run]) -> Submitted {
        self.try_submit(sweep, runs).await.unwrap()
    }

    pub(crate) fn wish(&self, worker: &str) -> Wish {
        self.requests.set(self.requests.get() + 1);
        let holder = Holder { worker: worker.to_owned(), slot: 0 };
        Wish {
            holder,
            request: RequestId(self.requests.get()),
            device: DeviceKind::Fake,
            only: None,
            holds: Vec::new(),
        }
    }

    pub(crate) async fn ask(&self, wish: &Wish) -> Leased {
        let leased = self.store.lease(self.now(), wish, &self.policy).await.unwrap();
        self.check().await;
        leased
    }

    pub(crate) async fn try_lease(&self, worker: &str) -> Option<Lease> {
        match self.ask(&self.wish(worker)).await {
            Leased::Lease(lease) => Some(*lease),
            Leased::Nothing { .. } => None,
        }
    }

    pub(crate) async fn lease(&self, worker: &str) -> Lease {
        self.try_lease(worker).await.expect("there is a run to lease")
    }

    pub(crate) async fn beat(&self, lease: &Lease) -> Order {
        self.beat_with(lease, &Progress::default()).await
    }

    pub(crate) async fn beat_with(&self, lease: &Lease, progress: &Progress) -> Order {
        let order = self
            .store
            .beat(self.now(), &lease.run, lease.fence, progress, &self.policy)
            .await
            .unwrap();
        self.check().await;
        order
    }

    pub(crate) async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Applied {
        let applied = self
            .store
            .finish(self.now(), &lease.run, lease.fence, outcome, "log\n", &self.policy)
            .await
            .unwrap();
        self.check().await;
        applied
    }

    pub(crate) async fn control(&self, command: &Command) {
        self.store.control(self.now(), command).await.unwrap();
        self.check().await;
    }

    /// The command and the walk it starts.
    pub(crate) async fn order(&self, command: &Command) {
        self.control(command).await;
        while self.tick().await.more {}
    }

    pub(crate) async fn tick(&self) -> Ticked {
        let ticked = self.store.tick(self.now(), &self.policy).await.unwrap();
        self.check().await;
        ticked
    }

    pub(crate) async fn detail(&self, run: &RunId) -> RunDetail {
        self.store.run(run).await.unwrap().expect("the run is known")
    }

    pub(crate) async fn state(&self, run: &RunId) -> StateName {
        self.detail(run).await.state.name()
    }

    pub(crate) async fn status(&self, sweep: &SweepId) -> SweepStatus {
        self.store.sweep(sweep).await.unwrap().expect("the sweep is known").0
    }
}

/// Run number `n`: its seed.
pub(crate) fn run(n: u64) -> Run {
    Run { id: spec(n).id(), ord: n as u32, spec: spec(n) }
}

/// Run number `n` on the data set of this name.
pub(crate) fn run_on(set: &str, n: u64) -> Run {
    let mut spec = spec(n);
    spec.configuration.dataset.content = Digest::of(set.as_bytes());
    Run { id: spec.id(), ord: n as u32, spec }
}

/// What a slot that holds these data sets says.
pub(crate) fn keys(sets: &[&str]) -> Vec<DataKey> {
    sets.iter().map(|set| run_on(set, 0).spec.data_key()).collect()
}

/// Runs of these numbers.
pub(crate) fn runs(numbers: impl IntoIterator<Item = u64>) -> Vec<Run> {
    numbers.into_iter().map(run).collect()
}

pub(crate) fn spec(seed: u64) -> RunSpec {
    let dataset = DataSetRef {
        name: "toy".to_owned(),
        content: Digest::of(b"content"),
        split: Digest::of(b"split"),
    };
    let model = Model { backbone: Backbone::SmallCnn, weights: Weights::Random, neck: None };
    let optimizer =
        Optimizer::Sgd { learning_rate: 0.1, momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let training = Training {
        mode: Mode::Full,
        epochs: 2,
        batch_size: 8,
        image_size: 8,
        optimizer,
        schedule: Schedule::Constant,
        warmup_epochs: 0,
        clip_norm: None,
        augment: Augment::None,
        precision: Precision::F32,
    };
    RunSpec { configuration: Configuration { dataset, loss: Loss::Bce {}, model, training }, seed }
}

/// A sweep named by a letter; ids are in the order of the letters' digests, not of the letters.
pub(crate) fn sweep(name: &str) -> NewSweep {
    let document = Document {
        file: format!("{name}.yaml"),
        text: "name: …".to_owned(),
        datasets: Vec::new(),
        analysis: Analysis::default().digest(),
        rounds: Vec::new(),
        inputs: Vec::new(),
        weights: Vec::new(),
    };
    NewSweep {
        id: SweepId::of(&Digest::of(name.as_bytes())),
        name: name.to_owned(),
        weight: 1.0,
        band: 4,
        cap: None,
        round: 0,
        seeds: 10,
        document,
    }
}

pub(crate) fn epoch(epoch: u32) -> EpochMetrics {
    let share = f64::from(epoch) / 10.0;
    EpochMetrics {
        epoch,
        train_loss: Some(1.0 - share),
        train_accuracy: share,
        val_loss: None,
        val_accuracy: share,
        learning_rate: 0.1,
        lambda: None,
        seconds: 1.5,
    }
}

pub(crate) fn result() -> RunResult {
    RunResult {
        end: TrainingEnd::Completed,
        epochs: vec![epoch(1), epoch(2)],
        validation: Some(Validation {
            correct: [true, false, true].into_iter().collect::<Bits>(),
            confusion: vec![vec![2, 1], vec![0, 0]],
            mistakes: Some([Some(1)].into_iter().collect()),
        }),
        device: DeviceKind::Fake,
        seconds: 3.0,
    }
}

pub(crate) fn succeeded() -> Outcome {
    Outcome::Succeeded(Box::new(result()))
}

pub(crate) fn retry(seconds: u64) -> Outcome {
    Outcome::Retry {
        due_in: Duration::from_secs(seconds),
        error: "out of memory\nat batch 7".to_owned(),
    }
}

pub(crate) fn failed() -> Outcome {
    Outcome::Failed { error: "bad input".to_owned() }
}

pub(crate) fn checkpoint(epoch: u32, batch: u32) -> CheckpointPointer {
    CheckpointPointer {
        digest: Digest::of(format!("{epoch}/{batch}").as_bytes()),
        epoch,
        batch,
        bytes: 100,
    }
}

pub(crate) fn told(checkpoint: CheckpointPointer) -> Progress {
    Progress { checkpoint: Some(checkpoint), ..Progress::default() }
}
