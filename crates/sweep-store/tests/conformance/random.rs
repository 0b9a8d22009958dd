//! Any calls in any order, repeated at random, on a store and on the model: equal answers, equal states, no broken promise.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sweep_core::ids::{Fence, RunId};
use sweep_core::lifecycle::RunState;
use sweep_core::result::DeviceKind;
use sweep_core::run::Run;
use sweep_store::{
    Command, Counts, Holder, Leased, Now, Outcome, Policy, Progress, RequestId, Store, SweepState,
    Wish,
};

use crate::fixtures::{
    Backend, Harness, checkpoint, epoch, failed, keys, run_on, succeeded, sweep,
};
use crate::model::Model;

/// One call; `again` sends it a second time, as after a lost reply.
#[derive(Clone, Debug)]
struct Call {
    /// Seconds that pass before it; negative where the clock is set back.
    after: i64,
    what: What,
    again: bool,
}

#[derive(Clone, Debug)]
enum What {
    Submit { sweep: usize },
    Lease { worker: usize, only: Option<usize>, holds: Vec<usize> },
    Beat { lease: usize, epoch: u32 },
    Finish { lease: usize, outcome: usize },
    Control { command: usize, sweep: usize },
    Tick,
}

const SWEEPS: [&str; 3] = ["a", "b", "c"];
const SETS: [&str; 3] = ["x", "y", "z"];

/// Run number `n`, on one of the data sets.
fn run(n: u64) -> Run {
    run_on(SETS[n as usize % 3], n)
}

fn runs(numbers: std::ops::Range<u64>) -> Vec<Run> {
    numbers.map(run).collect()
}

fn call() -> impl Strategy<Value = Call> {
    let what = prop_oneof![
        2 => (0..3_usize).prop_map(|sweep| What::Submit { sweep }),
        6 => (0..3_usize, prop::option::weighted(0.25, 0..3_usize), prop::collection::vec(0..3_usize, 0..3))
            .prop_map(|(worker, only, holds)| What::Lease { worker, only, holds }),
        4 => (0..6_usize, 0..4_u32).prop_map(|(lease, epoch)| What::Beat { lease, epoch }),
        6 => (0..6_usize, 0..7_usize).prop_map(|(lease, outcome)| What::Finish { lease, outcome }),
        4 => (0..12_usize, 0..3_usize).prop_map(|(command, sweep)| What::Control { command, sweep }),
        4 => Just(What::Tick),
    ];
    let after = prop_oneof![6 => 0..3_i64, 3 => 5..25_i64, 1 => 31..200_i64, 1 => -400..0_i64];
    (after, what, prop::bool::weighted(0.3)).prop_map(|(after, what, again)| Call {
        after,
        what,
        again,
    })
}

/// Everything of a store that the model knows too.
#[derive(Debug, PartialEq)]
struct Dump {
    runs: Vec<(RunId, RunState, String)>,
    sweeps: Vec<(String, SweepState, Counts, f64)>,
}

/// Leases given so far; late words of lost ones are part of the game.
type Given = Vec<(RunId, Fence)>;

pub(crate) fn differential<B: Backend>(cases: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let calls = prop::collection::vec(call(), 1..60);
    TestRunner::new(config)
        .run(&calls, |calls| {
            let mut h = Harness::new::<B>();
            // Lines are short here.
            h.policy = Policy { affinity_window: 3, affinity_skips: 2, ..h.policy };
            runtime.block_on(play(&h, &calls));
            Ok(())
        })
        .unwrap();
}

async fn play<S: Store>(h: &Harness<S>, calls: &[Call]) {
    let (mut model, mut given, mut requests) = (Model::default(), Given::new(), 0);
    for call in calls {
        h.step_clock(call.after as f64);
        model.at(h.at().0);
        requests += 1;
        send(h, &mut model, &mut given, call, requests).await;
        let dumped = dump(h).await;
        assert_eq!(dumped, model_dump(&model));
        h.check().await;
        if call.again {
            send(h, &mut model, &mut given, call, requests).await;
            // Only an expiry may differ, and maintenance that the first call left: both are the model's too.
            assert_eq!(dump(h).await, model_dump(&model));
            if matches!(call.what, What::Submit { .. } | What::Finish { .. } | What::Control { .. })
            {
                assert_eq!(dump(h).await, dumped);
            }
            h.check().await;
        }
    }
}

async fn send<S: Store>(
    h: &Harness<S>,
    model: &mut Model,
    given: &mut Given,
    call: &Call,
    request: u64,
) {
    let (now, policy) = (h.now(), &h.policy);
    match &call.what {
        What::Submit { sweep: which } => {
            let new = sweep(SWEEPS[*which]);
            let runs = members(*which);
            assert_eq!(
                h.store.submit(now, &new, &runs, true).await.unwrap(),
                model.submit(&new, &runs)
            );
        }
        What::Lease { worker, only, holds } => {
            let holder = Holder { worker: format!("w{worker}"), slot: 0 };
            let only = only.map(|which| sweep(SWEEPS[which]).id);
            let holds = holds.iter().map(|set| keys(&[SETS[*set]]).remove(0)).collect();
            let request = RequestId(request);
            let wish = Wish { holder, request, device: DeviceKind::Fake, only, holds };
            let leased = h.store.lease(now, &wish, policy).await.unwrap();
            assert_eq!(leased, model.lease(&wish, policy));
            if let Leased::Lease(lease) = leased {
                given.push((lease.run, lease.fence));
            }
        }
        What::Beat { lease, epoch: reached } => {
            let Some((run, fence)) = pick(given, *lease) else { return };
            let checkpoint = (*reached > 0).then(|| checkpoint(*reached, 0));
            let progress =
                Progress { epochs: vec![epoch(*reached)], step: u64::from(*reached), checkpoint };
            let order = h.store.beat(now, &run, fence, &progress, policy).await.unwrap();
            assert_eq!(order, model.beat(&run, fence, &progress, policy));
        }
        What::Finish { lease, outcome } => {
            let Some((run, fence)) = pick(given, *lease) else { return };
            let outcome = outcome_of(*outcome);
            let applied = h.store.finish(now, &run, fence, &outcome, "", policy).await.unwrap();
            assert_eq!(applied, model.finish(&run, fence, &outcome, policy));
        }
        What::Control { command, sweep } => control(h, model, now, *command, *sweep).await,
        What::Tick => {
            let mut ticked = h.store.tick(now, policy).await.unwrap();
            ticked.more = false;
            assert_eq!(ticked, model.tick(policy));
        }
    }
}

async fn control<S: Store>(
    h: &Harness<S>,
    model: &mut Model,
    now: Now,
    command: usize,
    which: usize,
) {
    let id = sweep(SWEEPS[which]).id;
    let command = match command {
        0 => Command::Pause(id),
        1 => Command::PauseNow(id),
        2 | 3 => Command::Resume(id),
        4 => Command::Cancel(id),
        5 | 6 => Command::Retry(id),
        7 => Command::Weight(id, 2.0),
        8 => Command::Band(id, 3 + which as u8),
        9 => Command::Cap(id, Some(1)),
        10 => Command::Cap(id, None),
        _ => Command::Drain(format!("w{which}")),
    };
    assert_eq!(h.store.control(now, &command).await.is_ok(), model.control(&command));
}

/// Overlapping sweeps, the third with the shared runs at other places.
fn members(which: usize) -> Vec<Run> {
    match which {
        0 => runs(0..4),
        1 => runs(2..6),
        _ => (0..3).map(|ord| Run { ord, ..run(5 - 2 * u64::from(ord)) }).collect(),
    }
}

fn outcome_of(which: usize) -> Outcome {
    match which {
        0 | 1 => succeeded(),
        2 => Outcome::Retry { due_in: Duration::from_secs(20), error: "e".to_owned() },
        3 => failed(),
        4 => Outcome::Yielded { checkpoint: Some(checkpoint(2, 1)) },
        5 => Outcome::Faulted { error: "f".to_owned() },
        _ => Outcome::Cancelled,
    }
}

/// Counted from the newest.
fn pick(given: &Given, back: usize) -> Option<(RunId, Fence)> {
    given.iter().rev().nth(back).cloned()
}

async fn dump<S: Store>(h: &Harness<S>) -> Dump {
    let mut runs = Vec::new();
    for n in 0..6 {
        if let Some(found) = h.store.run(&run(n).id).await.unwrap() {
            runs.push((found.id, found.state, home(found.home.as_str())));
        }
    }
    let all = h.store.sweeps().await.unwrap();
    let mut sweeps: Vec<_> =
        all.into_iter().map(|s| (s.id.to_string(), s.state, s.counts, s.seconds)).collect();
    sweeps.sort_by(|a, b| a.0.cmp(&b.0));
    runs.sort_by(|a, b| a.0.cmp(&b.0));
    Dump { runs, sweeps }
}

fn model_dump(model: &Model) -> Dump {
    let runs = model
        .runs
        .values()
        .map(|run| (run.run.id.clone(), run.state.clone(), home(run.home.as_str())))
        .collect();
    let sweeps = model
        .sweeps
        .iter()
        .map(|(id, s)| (id.to_string(), s.state, model.counts(id), s.seconds))
        .collect();
    Dump { runs, sweeps }
}

fn home(id: &str) -> String {
    SWEEPS.iter().find(|name| sweep(name).id.as_str() == id).map_or("?", |name| name).to_owned()
}
