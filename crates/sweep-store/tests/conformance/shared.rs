//! Runs that several sweeps have.

use sweep_core::lifecycle::StateName;
use sweep_core::run::Run;
use sweep_store::{Applied, Command, Order, Store, StoreError};

use crate::fixtures::{Harness, run, runs, spec, succeeded, sweep};

pub(crate) async fn a_shared_run_is_trained_once_for_all<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    let second = h.submit(&sweep("b"), &runs(0..3)).await;
    assert_eq!((second.new, second.joined), (1, 2));
    for _ in 0..3 {
        let lease = h.lease("w").await;
        h.finish(&lease, &succeeded()).await;
    }
    assert!(h.try_lease("w").await.is_none());
    assert_eq!(h.status(&sweep("a").id).await.counts.succeeded, 2);
    assert_eq!(h.status(&sweep("b").id).await.counts.succeeded, 3);
    assert_eq!(h.submit(&sweep("c"), &runs(1..3)).await.known, 2);
    assert!(h.status(&sweep("c").id).await.is_done());
}

pub(crate) async fn a_run_is_cancelled_only_when_no_sweep_wants_it<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    h.submit(&sweep("b"), &runs(2..4)).await;
    let (both, only_a) = (run(2).id, run(0).id);
    let lease = h.lease("w").await;
    assert_eq!(lease.run, only_a);
    h.order(&Command::Cancel(sweep("a").id)).await;
    assert_eq!(h.state(&both).await, StateName::Queued);
    assert_eq!(h.detail(&both).await.home, sweep("b").id);
    assert_eq!(h.beat(&lease).await, Order::Cancel);
    let shared = h.lease("v").await;
    assert_eq!((shared.run.clone(), h.beat(&shared).await), (both.clone(), Order::Continue));
    h.order(&Command::Cancel(sweep("b").id)).await;
    assert_eq!(h.beat(&shared).await, Order::Cancel);
    assert_eq!(h.finish(&shared, &sweep_store::Outcome::Cancelled).await, Applied::Applied);
    assert_eq!(h.state(&both).await, StateName::Cancelled);
    assert_eq!(h.finish(&shared, &sweep_store::Outcome::Cancelled).await, Applied::Already);
}

pub(crate) async fn pausing_the_home_moves_a_shared_run_to_the_other_line<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.submit(&sweep("b"), &runs(1..3)).await;
    h.order(&Command::Pause(sweep("a").id)).await;
    let leased = [h.lease("w").await.run, h.lease("w").await.run];
    assert_eq!(leased, [run(1).id, run(2).id]);
    assert!(h.try_lease("w").await.is_none());
    // Resumed, it takes in what only waits for paused sweeps.
    h.order(&Command::Pause(sweep("b").id)).await;
    h.order(&Command::Resume(sweep("a").id)).await;
    assert_eq!(h.lease("w").await.run, run(0).id);
}

pub(crate) async fn a_shared_run_joined_while_its_home_is_paused_moves_at_once<S: Store>(
    h: Harness<S>,
) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.order(&Command::Pause(sweep("a").id)).await;
    assert_eq!(h.submit(&sweep("b"), &runs(1..2)).await.joined, 1);
    assert_eq!(h.lease("w").await.run, run(1).id);
    assert!(h.try_lease("w").await.is_none());
}

pub(crate) async fn the_same_id_with_other_content_is_refused<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let clash = Run { spec: spec(7), ..run(0) };
    let refused = h.try_submit(&sweep("b"), &[run(1), clash]).await;
    assert!(matches!(refused, Err(StoreError::RunClash { .. })));
    // Nothing of the refused call is left.
    assert_eq!(h.store.states(&[run(1).id]).await.unwrap(), [None]);
    assert!(h.store.sweep(&sweep("b").id).await.unwrap().is_none());
}

pub(crate) async fn a_data_set_under_another_name_is_the_same_run<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let mut other = run(0);
    other.spec.configuration.dataset.name = "toy_copy".to_owned();
    assert_eq!(h.submit(&sweep("b"), &[other]).await.joined, 1);
    // Twice in one submission, too: what came first stands.
    let mut twin = run(1);
    twin.spec.configuration.dataset.name = "toy_copy".to_owned();
    let submitted = h.submit(&sweep("c"), &[run(1), twin]).await;
    assert_eq!((submitted.new, submitted.joined), (1, 1));
    assert_eq!(h.detail(&run(1).id).await.spec, run(1).spec);
    let clash = Run { spec: spec(7), ..run(2) };
    let refused = h.try_submit(&sweep("d"), &[run(2), clash]).await;
    assert!(matches!(refused, Err(StoreError::RunClash { .. })));
}

pub(crate) async fn a_result_of_a_cancelled_run_is_an_answer<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.order(&Command::Cancel(sweep("a").id)).await;
    assert_eq!(h.finish(&lease, &succeeded()).await, Applied::Applied);
    assert_eq!(h.state(&lease.run).await, StateName::Succeeded);
}
