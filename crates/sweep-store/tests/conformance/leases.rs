//! Taking a lease.

use std::time::Duration;

use sweep_core::lifecycle::StateName;
use sweep_store::{Applied, Command, Leased, Order, Store, Wish};

use crate::fixtures::{Harness, result, retry, run, runs, succeeded, sweep};

pub(crate) async fn a_run_is_leased_once_and_its_result_kept<S: Store>(h: Harness<S>) {
    let submitted = h.submit(&sweep("a"), &runs([0])).await;
    assert_eq!((submitted.new, submitted.known), (1, 0));
    let lease = h.lease("w").await;
    assert_eq!((lease.run.clone(), lease.attempt.0, lease.errors), (run(0).id, 1, 0));
    assert_eq!(
        (lease.spec.clone(), lease.sweep.clone(), lease.ttl),
        (run(0).spec, sweep("a").id, h.policy.ttl)
    );
    assert_eq!(h.state(&lease.run).await, StateName::Leased);
    assert!(h.try_lease("v").await.is_none());
    assert_eq!(h.finish(&lease, &succeeded()).await, Applied::Applied);
    let detail = h.detail(&lease.run).await;
    assert_eq!((detail.state.name(), detail.result), (StateName::Succeeded, Some(result())));
    assert_eq!(detail.state.ended_by(), Some(lease.fence));
    assert!(h.status(&sweep("a").id).await.is_done());
}

pub(crate) async fn the_same_wish_gets_the_same_lease<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let wish = h.wish("w");
    let first = h.ask(&wish).await;
    h.step_clock(3.0);
    assert_eq!(h.ask(&wish).await, first);
    assert_eq!(h.status(&sweep("a").id).await.counts.leased, 1);
    // Another wish of the same slot is another lease.
    assert_ne!(h.ask(&h.wish("w")).await, first);
}

pub(crate) async fn a_first_lease_says_how_long_its_run_waited<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.step_clock(7.5);
    let wish = h.wish("w");
    let first = h.ask(&wish).await;
    let Leased::Lease(lease) = &first else { panic!("a lease") };
    assert_eq!(lease.waited, Some(Duration::from_millis(7500)));
    assert_eq!(h.status(&sweep("a").id).await.submitted(), h.at().plus(-7500));
    // Asked again the answer is the same, and what has trained before did not wait from the submission.
    h.step_clock(1.0);
    assert_eq!(h.ask(&wish).await, first);
    h.finish(lease, &retry(0)).await;
    let again = h.lease("w").await;
    assert_eq!((again.attempt.0, again.waited), (2, None));
    // Given up and wanted again it waits anew.
    h.order(&Command::Cancel(sweep("a").id)).await;
    h.step_clock(60.0);
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.step_clock(2.0);
    assert_eq!(h.lease("v").await.waited, Some(Duration::from_secs(2)));
}

pub(crate) async fn a_wish_sent_again_after_the_end_is_a_new_one<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    let wish = h.wish("w");
    let Leased::Lease(first) = h.ask(&wish).await else { panic!("a lease") };
    h.finish(&first, &succeeded()).await;
    let Leased::Lease(second) = h.ask(&wish).await else { panic!("a lease") };
    assert_ne!(first.run, second.run);
}

pub(crate) async fn fences_grow_even_when_the_clock_goes_back<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let mut last = None;
    for _ in 0..3 {
        let fence = h.lease("w").await.fence;
        assert!(last < Some(fence));
        last = Some(fence);
        h.step_clock(-1000.0);
    }
}

pub(crate) async fn an_idle_slot_waits_until_the_next_run_is_due<S: Store>(h: Harness<S>) {
    let nothing = |wait| Leased::Nothing { wait, drain: false };
    assert_eq!(h.ask(&h.wish("w")).await, nothing(h.policy.poll));
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.finish(&lease, &retry(7)).await;
    assert_eq!(h.ask(&h.wish("w")).await, nothing(Duration::from_secs(7)));
    h.step_clock(5.0);
    assert_eq!(h.ask(&h.wish("w")).await, nothing(Duration::from_secs(2)));
    h.step_clock(2.0);
    // The asking itself puts due runs in line: no daemon is needed.
    let lease = h.lease("w").await;
    assert_eq!((lease.attempt.0, lease.errors), (2, 1));
}

pub(crate) async fn a_drained_worker_gets_nothing_and_hands_back<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let (held, other) = (h.lease("w").await, h.lease("v").await);
    h.control(&Command::Drain("w".to_owned())).await;
    assert!(matches!(h.ask(&h.wish("w")).await, Leased::Nothing { drain: true, .. }));
    assert_eq!((h.beat(&held).await, h.beat(&other).await), (Order::Yield, Order::Continue));
    assert!(h.try_lease("v").await.is_some());
}

pub(crate) async fn a_wish_for_one_sweep_gets_its_runs_only<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    h.submit(&sweep("b"), &runs([2, 10])).await;
    h.submit(&sweep("c"), &runs(20..30)).await;
    let ask = async || {
        let wish = Wish { only: Some(sweep("b").id), ..h.wish("w") };
        match h.ask(&wish).await {
            Leased::Lease(lease) => Some((lease.run, lease.sweep)),
            Leased::Nothing { .. } => None,
        }
    };
    // First its own line, then what it shares with another sweep that is at home there and pays; never a stranger's.
    assert_eq!(ask().await, Some((run(10).id, sweep("b").id)));
    assert_eq!(ask().await, Some((run(2).id, sweep("a").id)));
    assert_eq!(ask().await, None);
    h.order(&Command::Pause(sweep("b").id)).await;
    assert_eq!(ask().await, None);
}
