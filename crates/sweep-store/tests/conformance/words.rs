//! What a holder says: beats and ends.

use std::time::Duration;

use sweep_core::lifecycle::{Phase, StateName};
use sweep_core::result::EpochMetrics;
use sweep_store::{Applied, AttemptEnding, Command, Order, Outcome, Progress, Store, StoreError};

use crate::fixtures::{
    Harness, checkpoint, epoch, failed, result, retry, run, runs, succeeded, sweep, told,
};

pub(crate) async fn a_finish_sent_twice_counts_once<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    for outcome in [succeeded(), failed()] {
        let lease = h.lease("w").await;
        assert_eq!(h.finish(&lease, &outcome).await, Applied::Applied);
        let (before, seconds) =
            (h.detail(&lease.run).await, h.status(&sweep("a").id).await.seconds);
        h.step_clock(5.0);
        assert_eq!(h.finish(&lease, &outcome).await, Applied::Already);
        assert_eq!(
            (h.detail(&lease.run).await, h.status(&sweep("a").id).await.seconds),
            (before, seconds)
        );
        assert_eq!(h.beat(&lease).await, Order::Lost);
    }
}

pub(crate) async fn a_late_result_of_a_lost_attempt_is_refused<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let first = h.lease("w").await;
    assert_eq!(h.pass(60).await.expired, 1);
    // Nobody has it now, and still the old fence is worth nothing.
    assert_eq!(h.finish(&first, &succeeded()).await, Applied::Stale);
    assert_eq!(h.beat(&first).await, Order::Lost);
    let second = h.lease("v").await;
    assert_eq!(h.finish(&first, &succeeded()).await, Applied::Stale);
    assert_eq!(h.finish(&second, &succeeded()).await, Applied::Applied);
    assert_eq!(h.finish(&first, &succeeded()).await, Applied::Stale);
    let detail = h.detail(&second.run).await;
    assert_eq!((detail.state.tally.attempts, detail.state.tally.losses), (2, 1));
    assert_eq!(
        detail.attempts.iter().map(|a| a.ending).collect::<Vec<_>>(),
        [Some(AttemptEnding::Lost), Some(AttemptEnding::Succeeded)]
    );
}

pub(crate) async fn a_word_before_the_reaper_comes_counts<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.step_clock(500.0);
    assert_eq!(h.beat(&lease).await, Order::Continue);
    h.step_clock(500.0);
    assert_eq!(h.finish(&lease, &succeeded()).await, Applied::Applied);
}

pub(crate) async fn beats_carry_epochs_and_checkpoints<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    let progress =
        Progress { epochs: vec![epoch(1), epoch(2)], step: 40, checkpoint: Some(checkpoint(1, 3)) };
    assert_eq!(h.beat_with(&lease, &progress).await, Order::Continue);
    h.beat_with(&lease, &told(checkpoint(2, 0))).await;
    let live = h.store.live(&lease.run).await.unwrap();
    assert_eq!(live.epochs, [epoch(1), epoch(2)]);
    // The next attempt is told both checkpoints, and overwrites epochs by number.
    h.finish(&lease, &Outcome::Yielded { checkpoint: Some(checkpoint(2, 5)) }).await;
    let again = h.lease("v").await;
    assert_eq!(
        (again.checkpoint, again.previous),
        (Some(checkpoint(2, 5)), Some(checkpoint(2, 0)))
    );
    let better = EpochMetrics { val_accuracy: 0.9, ..epoch(2) };
    h.beat_with(&again, &Progress { epochs: vec![better.clone()], ..Progress::default() }).await;
    assert_eq!(h.store.live(&lease.run).await.unwrap().epochs, [epoch(1), better]);
    let live = h.store.checkpoints().await.unwrap();
    assert_eq!(live, [checkpoint(2, 5).digest, checkpoint(2, 0).digest].into());
}

pub(crate) async fn checkpoints_and_live_metrics_are_freed_at_the_end<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.beat_with(
        &lease,
        &Progress { epochs: vec![epoch(1)], step: 3, checkpoint: Some(checkpoint(1, 0)) },
    )
    .await;
    h.finish(&lease, &succeeded()).await;
    assert!(h.store.checkpoints().await.unwrap().is_empty());
    assert!(h.store.live(&lease.run).await.unwrap().epochs.is_empty());
}

pub(crate) async fn a_result_above_the_bound_is_refused<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    let mut large = result();
    large.epochs = (1..1000).map(epoch).collect();
    let outcome = Outcome::Succeeded(Box::new(large));
    let refused = h.store.finish(h.now(), &lease.run, lease.fence, &outcome, "", &h.policy).await;
    assert!(matches!(refused, Err(StoreError::ResultTooLarge { .. })));
    assert_eq!(h.state(&lease.run).await, StateName::Leased);
}

pub(crate) async fn a_log_keeps_its_end_and_an_error_its_beginning<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    let outcome =
        Outcome::Retry { due_in: Duration::ZERO, error: format!("first\n{}", "ö".repeat(4096)) };
    let log = format!("{}last", "ü".repeat(64 * 1024));
    h.store.finish(h.now(), &lease.run, lease.fence, &outcome, &log, &h.policy).await.unwrap();
    let detail = h.detail(&lease.run).await;
    let attempt = &detail.attempts[0];
    assert!(
        attempt.log.ends_with("last")
            && attempt.log.len() <= 64 * 1024
            && attempt.log.len() > 64 * 1024 - 4
    );
    let error = attempt.error.as_deref().unwrap();
    assert!(error.starts_with("first\nö") && error.len() <= 4096 && error.len() > 4092);
    let page = h.store.results(&sweep("a").id).await.unwrap();
    assert_eq!(page[0].error.as_deref(), Some("first"));
}

pub(crate) async fn an_error_delays_the_run_then_puts_it_in_front<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let lease = h.lease("w").await;
    h.finish(&lease, &retry(10)).await;
    let state = h.detail(&lease.run).await.state;
    assert_eq!((state.phase, state.tally.errors), (Phase::Delayed { due: h.at().plus(10_000) }, 1));
    // For outcomes that requeue, a repeat after a lost reply is harmless.
    assert_eq!(h.finish(&lease, &retry(10)).await, Applied::Stale);
    assert_eq!(h.pass(9).await.due, 0);
    assert_eq!(h.pass(1).await.due, 1);
    assert_eq!(h.lease("w").await.run, lease.run);
}

pub(crate) async fn a_yield_charges_nothing_and_goes_in_front<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let (first, second) = (h.lease("w").await, h.lease("v").await);
    h.finish(&second, &Outcome::Yielded { checkpoint: None }).await;
    let tally = h.detail(&second.run).await.state.tally;
    assert_eq!((tally.errors, tally.losses, tally.stuck, tally.yields), (0, 0, 0, 1));
    assert_eq!(h.finish(&second, &Outcome::Yielded { checkpoint: None }).await, Applied::Stale);
    h.finish(&first, &succeeded()).await;
    assert_eq!(h.lease("w").await.run, second.run);
}

pub(crate) async fn a_failed_run_is_tried_again_only_by_command<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.finish(&lease, &retry(0)).await;
    let lease = h.lease("w").await;
    h.finish(&lease, &failed()).await;
    h.pass(100).await;
    assert_eq!(h.submit(&sweep("b"), &runs([0])).await.known, 1);
    assert_eq!(h.state(&lease.run).await, StateName::Failed);
    h.order(&Command::Retry(sweep("a").id)).await;
    let tally = h.detail(&run(0).id).await.state.tally;
    assert_eq!((tally.attempts, tally.errors, tally.losses), (2, 0, 0));
    assert_eq!(h.finish(&lease, &failed()).await, Applied::Stale);
    let lease = h.lease("w").await;
    assert_eq!((lease.attempt.0, lease.errors), (3, 0));
    h.finish(&lease, &succeeded()).await;
    // Nothing leaves succeeded.
    h.order(&Command::Retry(sweep("a").id)).await;
    h.order(&Command::Cancel(sweep("a").id)).await;
    assert_eq!(h.state(&lease.run).await, StateName::Succeeded);
}

pub(crate) async fn a_beat_sent_twice_changes_only_the_expiry<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    let progress = Progress { epochs: vec![epoch(1)], step: 9, checkpoint: Some(checkpoint(1, 0)) };
    h.beat_with(&lease, &progress).await;
    let (before, cursor) = (h.detail(&lease.run).await, h.store.event_cursor().await.unwrap());
    h.step_clock(4.0);
    h.beat_with(&lease, &progress).await;
    let mut after = h.detail(&lease.run).await;
    if let Phase::Leased { expires, .. } = &mut after.state.phase {
        *expires = expires.plus(-4000);
    }
    assert_eq!(after, before);
    assert_eq!(h.store.event_cursor().await.unwrap(), cursor);
}
