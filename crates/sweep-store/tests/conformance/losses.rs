//! Vanished workers, outages and clocks.

use sweep_core::lifecycle::{Phase, StateName};
use sweep_store::{Applied, Order, Outcome, Policy, Store};

use crate::fixtures::{Harness, checkpoint, runs, succeeded, sweep, told};

pub(crate) async fn losses_without_progress_end_a_run<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    // The first requeues at once, later ones after 30 · 2^(n−2) seconds, the fifth ends it.
    for delay in [0, 30, 60, 120] {
        let lease = h.lease("w").await;
        assert_eq!(h.pass(60).await.expired, 1);
        let state = h.detail(&lease.run).await.state;
        if delay == 0 {
            assert_eq!(state.phase, Phase::Queued { front: true });
        } else {
            assert_eq!(state.phase, Phase::Delayed { due: h.at().plus(delay * 1000) });
            h.pass(delay as u32).await;
        }
    }
    let last = h.lease("w").await;
    h.pass(60).await;
    let detail = h.detail(&last.run).await;
    assert_eq!((detail.state.name(), detail.state.tally.losses), (StateName::Failed, 5));
    assert_eq!(
        detail.error.as_deref(),
        Some("lost: 5 workers in a row vanished while training it")
    );
    // It was taken away, not ended: its old word is stale, not accepted.
    assert_eq!(h.finish(&last, &succeeded()).await, Applied::Stale);
}

pub(crate) async fn a_run_that_progresses_may_be_lost_without_limit<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    for epoch in 1..=8 {
        let lease = h.lease("w").await;
        h.beat_with(&lease, &told(checkpoint(epoch, 0))).await;
        assert_eq!(h.pass(60).await.expired, 1);
    }
    let tally = h.detail(&h.lease("w").await.run).await.state.tally;
    assert_eq!((tally.losses, tally.stuck), (8, 1));
}

pub(crate) async fn an_equal_epoch_is_no_progress<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.beat_with(&lease, &told(checkpoint(1, 0))).await;
    h.pass(60).await;
    for batch in 1..=2 {
        let lease = h.lease("w").await;
        h.beat_with(&lease, &told(checkpoint(1, batch))).await;
        h.pass(60).await;
        h.pass(60).await;
    }
    let tally = h.detail(&lease.run).await.state.tally;
    assert_eq!((tally.losses, tally.stuck), (3, 3));
}

pub(crate) async fn a_fault_is_charged_like_a_loss_at_once<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let faulted = Outcome::Faulted { error: "device lost".to_owned() };
    for _ in 0..5 {
        h.pass(120).await;
        let lease = h.lease("w").await;
        assert_eq!(h.finish(&lease, &faulted).await, Applied::Applied);
    }
    let detail = h.detail(&runs([0])[0].id).await;
    let tally = detail.state.tally;
    assert_eq!((detail.state.name(), tally.errors, tally.losses), (StateName::Failed, 0, 5));
    assert_eq!(detail.error.as_deref(), Some("device lost"));
}

pub(crate) async fn an_outage_expires_no_lease<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let (live, dead) = (h.lease("w").await, h.lease("v").await);
    h.step_clock(3600.0);
    // Whoever calls first opens the grace: here a tick, before any holder could beat.
    assert_eq!(h.tick().await.expired, 0);
    assert_eq!(h.beat(&live).await, Order::Continue);
    assert_eq!(h.pass(59).await.expired, 0);
    assert_eq!(h.beat(&live).await, Order::Continue);
    assert_eq!(h.pass(1).await.expired, 1);
    assert_eq!(
        (h.state(&dead.run).await, h.state(&live.run).await),
        (StateName::Queued, StateName::Leased)
    );
}

pub(crate) async fn beats_keep_a_store_without_ticks_from_opening_a_grace_each_time<S: Store>(
    h: Harness<S>,
) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    let (live, dead) = (h.lease("w").await, h.lease("v").await);
    for _ in 0..6 {
        h.step_clock(15.0);
        h.beat(&live).await;
    }
    // No coordinator at all: the next slot that asks reaps and takes over.
    assert_eq!(h.lease("u").await.run, dead.run);
}

pub(crate) async fn a_clock_set_back_delays_nobody_for_long<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    let (lease, erred) = (h.lease("w").await, h.lease("v").await);
    h.finish(
        &erred,
        &Outcome::Retry { due_in: std::time::Duration::from_secs(600), error: String::new() },
    )
    .await;
    h.step_clock(-1e6);
    h.tick().await;
    let Phase::Leased { expires, .. } = h.detail(&lease.run).await.state.phase else {
        panic!("it is leased")
    };
    assert_eq!(expires, h.at().plus(120_000));
    let Phase::Delayed { due } = h.detail(&erred.run).await.state.phase else {
        panic!("it is delayed")
    };
    assert_eq!(due, h.at().plus(600_000));
}

pub(crate) async fn one_lease_call_reaps_no_more_than_its_bound<S: Store>(mut h: Harness<S>) {
    h.policy = Policy { lease_expired: 2, lease_due: 2, tick_expired: 3, ..h.policy };
    h.submit(&sweep("a"), &runs(0..8)).await;
    for _ in 0..8 {
        h.lease("w").await;
    }
    for _ in 0..4 {
        h.step_clock(15.0);
        // A worker whose lease is gone keeps the store from seeing an outage.
        h.store
            .beat(
                h.now(),
                &runs([99])[0].id,
                sweep_core::ids::Fence(1),
                &sweep_store::Progress::default(),
                &h.policy,
            )
            .await
            .unwrap();
    }
    h.lease("v").await;
    let counts = h.status(&sweep("a").id).await.counts;
    assert_eq!((counts.queued, counts.leased), (1, 7));
    let ticked = h.tick().await;
    assert_eq!((ticked.expired, ticked.more), (3, true));
}
