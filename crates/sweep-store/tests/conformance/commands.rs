//! What people order, and rounds.

use sweep_core::adaptive::{Dropped, Round};
use sweep_core::lifecycle::StateName;
use sweep_store::{Command, NewSweep, Order, Outcome, Policy, Store, StoreError, SweepState};

use crate::fixtures::{Harness, failed, retry, run, runs, succeeded, sweep};

pub(crate) async fn a_paused_sweep_leases_nothing_and_its_runs_run_on<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let lease = h.lease("w").await;
    h.order(&Command::Pause(sweep("a").id)).await;
    assert_eq!(h.status(&sweep("a").id).await.state, SweepState::Paused);
    assert!(h.try_lease("v").await.is_none());
    assert_eq!(h.beat(&lease).await, Order::Continue);
    h.finish(&lease, &succeeded()).await;
    h.order(&Command::Resume(sweep("a").id)).await;
    assert_eq!(h.lease("v").await.run, run(1).id);
}

pub(crate) async fn pause_now_calls_runs_back<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.submit(&sweep("b"), &runs(1..2)).await;
    let (own, shared) = (h.lease("w").await, h.lease("v").await);
    let (own, shared) = if own.run == run(0).id { (own, shared) } else { (shared, own) };
    h.order(&Command::PauseNow(sweep("a").id)).await;
    assert_eq!((h.beat(&own).await, h.beat(&shared).await), (Order::Yield, Order::Continue));
    h.finish(&own, &Outcome::Yielded { checkpoint: None }).await;
    assert!(h.try_lease("w").await.is_none());
    h.order(&Command::Resume(sweep("a").id)).await;
    assert_eq!(h.lease("w").await.run, own.run);
}

pub(crate) async fn cancel_ends_waiting_runs_and_tells_the_others<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..5)).await;
    let (done, held) = (h.lease("w").await, h.lease("v").await);
    h.finish(&done, &succeeded()).await;
    // The command itself touches no run: nothing is leased any more, and the walk does the rest.
    h.control(&Command::Cancel(sweep("a").id)).await;
    assert_eq!(h.status(&sweep("a").id).await.counts.queued, 3);
    assert!(h.try_lease("w").await.is_none());
    assert_eq!(h.tick().await.walked, 5);
    let counts = h.status(&sweep("a").id).await.counts;
    assert_eq!((counts.succeeded, counts.leased, counts.cancelled), (1, 1, 3));
    assert_eq!(h.beat(&held).await, Order::Cancel);
    h.finish(&held, &Outcome::Cancelled).await;
    assert!(h.status(&sweep("a").id).await.is_done());
}

pub(crate) async fn a_cancelled_sweep_is_reopened_by_submitting_it<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let held = h.lease("w").await;
    h.order(&Command::Cancel(sweep("a").id)).await;
    let again = h.submit(&sweep("a"), &runs(0..3)).await;
    assert_eq!((again.new, again.requeued, again.joined), (0, 2, 1));
    assert_eq!(h.status(&sweep("a").id).await.state, SweepState::Active);
    // Told to cancel, but wanted again meanwhile: front of the line.
    h.finish(&held, &Outcome::Cancelled).await;
    assert_eq!(h.lease("w").await.run, held.run);
}

pub(crate) async fn a_cancelled_run_that_is_lost_is_not_queued_again<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..3)).await;
    let lost = h.lease("w").await;
    let (erred, yielded) = (h.lease("v").await, h.lease("u").await);
    h.order(&Command::Cancel(sweep("a").id)).await;
    h.pass(59).await;
    h.finish(&erred, &retry(10)).await;
    h.finish(&yielded, &Outcome::Yielded { checkpoint: None }).await;
    h.pass(1).await;
    for lease in [&lost, &erred, &yielded] {
        assert_eq!(h.state(&lease.run).await, StateName::Cancelled);
    }
}

pub(crate) async fn a_delayed_run_is_cancelled_too<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.finish(&lease, &retry(100)).await;
    h.order(&Command::Cancel(sweep("a").id)).await;
    assert_eq!(h.state(&lease.run).await, StateName::Cancelled);
}

pub(crate) async fn a_walk_goes_on_where_it_stopped<S: Store>(mut h: Harness<S>) {
    h.policy = Policy { walk: 2, ..h.policy };
    h.submit(&sweep("a"), &runs(0..5)).await;
    h.control(&Command::Cancel(sweep("a").id)).await;
    let mut walked = Vec::new();
    while h.status(&sweep("a").id).await.walking {
        walked.push(h.tick().await.walked);
    }
    assert_eq!(walked, [2, 2, 1]);
    assert_eq!(h.status(&sweep("a").id).await.counts.cancelled, 5);
}

pub(crate) async fn commands_to_unknown_or_cancelled_sweeps_are_refused<S: Store>(h: Harness<S>) {
    let send = async |command| h.store.control(h.now(), &command).await;
    let id = sweep("a").id;
    assert!(matches!(send(Command::Pause(id.clone())).await, Err(StoreError::UnknownSweep { .. })));
    h.submit(&sweep("a"), &runs([0])).await;
    assert!(matches!(send(Command::Weight(id.clone(), 0.0)).await, Err(StoreError::Weight { .. })));
    assert!(matches!(send(Command::Band(id.clone(), 8)).await, Err(StoreError::Band { band: 8 })));
    assert!(matches!(send(Command::Cap(id.clone(), Some(0))).await, Err(StoreError::Cap)));
    h.order(&Command::Cancel(id.clone())).await;
    for command in
        [Command::Resume(id.clone()), Command::Retry(id.clone()), Command::PauseNow(id.clone())]
    {
        assert!(matches!(send(command).await, Err(StoreError::CancelledSweep { .. })));
    }
    h.order(&Command::Cancel(id)).await;
}

pub(crate) async fn a_complete_round_takes_no_new_runs<S: Store>(h: Harness<S>) {
    let round = |round| NewSweep { round, ..sweep("a") };
    h.submit(&round(0), &runs(0..2)).await;
    let refused = h.try_submit(&round(0), &runs(0..3)).await;
    assert!(matches!(refused, Err(StoreError::Round { round: 0, current: 0, sealed: true, .. })));
    h.submit(&round(1), &runs(2..4)).await;
    // A second coordinator that decided otherwise has lost; one that decided the same is told the same.
    assert!(matches!(h.try_submit(&round(1), &runs(4..6)).await, Err(StoreError::Round { .. })));
    assert_eq!(h.submit(&round(1), &runs(2..4)).await.joined, 2);
    assert!(matches!(h.try_submit(&round(3), &runs(4..6)).await, Err(StoreError::Round { .. })));
    let status = h.status(&sweep("a").id).await;
    assert_eq!((status.round, status.counts.total(), status.submissions.len()), (1, 4, 2));
}

/// As [`sweep`], in round `round`, decided so that this configuration was dropped at the last look.
fn decided(round: u32, dropped: usize) -> NewSweep {
    let mut new = NewSweep { round, ..sweep("a") };
    for look in 1..=round {
        new.document.rounds.push(Round {
            look,
            seeds: 5 * look,
            level: Some(0.01),
            confidence: Some(0.975),
            dropped: vec![Dropped { configuration: dropped, by: 0, n: 5, p: 0.1 + 0.2 }],
            stopped: Vec::new(),
        });
    }
    new
}

pub(crate) async fn an_open_round_takes_only_runs_of_the_decision_that_opened_it<S: Store>(
    h: Harness<S>,
) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.store.submit(h.now(), &decided(1, 1), &runs(2..3), false).await.unwrap();
    let (_, document) = h.store.sweep(&sweep("a").id).await.unwrap().unwrap();
    assert_eq!(
        document,
        decided(1, 1).document,
        "the decision stands from the first run of its round"
    );
    let other = h.try_submit(&decided(1, 2), &runs(3..5)).await;
    assert!(matches!(other, Err(StoreError::Round { round: 1, current: 1, sealed: false, .. })));
    h.submit(&decided(1, 1), &runs(2..4)).await;
    assert_eq!(h.submit(&NewSweep { round: 0, ..sweep("a") }, &runs(0..2)).await.joined, 2);
    let (status, after) = h.store.sweep(&sweep("a").id).await.unwrap().unwrap();
    assert_eq!((status.round, status.sealed, status.counts.total()), (1, true, 4));
    assert_eq!(after, document, "joining again does not take a decision back");
}

pub(crate) async fn a_cancelled_sweep_takes_no_new_round<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.order(&Command::Cancel(sweep("a").id)).await;
    let late = h.try_submit(&decided(1, 1), &runs(2..4)).await;
    assert!(matches!(late, Err(StoreError::CancelledSweep { .. })));
    let status = h.status(&sweep("a").id).await;
    assert_eq!((status.state, status.round, status.counts.total()), (SweepState::Cancelled, 0, 2));
}

pub(crate) async fn reopening_leaves_a_half_submitted_round_open<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.store.submit(h.now(), &decided(1, 1), &runs(2..3), false).await.unwrap();
    h.order(&Command::Cancel(sweep("a").id)).await;
    assert_eq!(h.submit(&sweep("a"), &runs(0..2)).await.requeued, 2);
    assert!(!h.status(&sweep("a").id).await.sealed);
    h.submit(&decided(1, 1), &runs(2..4)).await;
    assert!(h.status(&sweep("a").id).await.sealed);
}

pub(crate) async fn submitting_again_changes_nothing<S: Store>(h: Harness<S>) {
    // In two calls, the first of them twice: as after a crash half-way.
    for chunk in [0..2, 0..2] {
        h.store.submit(h.now(), &sweep("a"), &runs(chunk), false).await.unwrap();
        h.check().await;
    }
    assert!(!h.status(&sweep("a").id).await.sealed);
    h.submit(&sweep("a"), &runs(2..4)).await;
    let lease = h.lease("w").await;
    h.finish(&lease, &failed()).await;
    let (before, cursor) = (h.status(&sweep("a").id).await, h.store.event_cursor().await.unwrap());
    h.step_clock(9.0);
    let again = h.submit(&sweep("a"), &runs(0..4)).await;
    assert_eq!((again.new, again.known, again.joined, again.requeued), (0, 1, 3, 0));
    assert_eq!(
        (h.status(&sweep("a").id).await, h.store.event_cursor().await.unwrap()),
        (before, cursor)
    );
}

pub(crate) async fn submissions_and_reports_are_remembered<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    let first = h.at();
    h.control(&Command::Reported(sweep("a").id)).await;
    h.step_clock(60.0);
    h.submit(&NewSweep { round: 1, seeds: 20, ..sweep("a") }, &runs(2..4)).await;
    let status = h.status(&sweep("a").id).await;
    let told: Vec<_> =
        status.submissions.iter().map(|s| (s.at, s.seeds, s.runs, s.reports)).collect();
    assert_eq!(told, [(first, 10, 2, 0), (first.plus(60_000), 20, 4, 1)]);
    let (_, document) = h.store.sweep(&sweep("a").id).await.unwrap().unwrap();
    assert_eq!(document, sweep("a").document);
}
