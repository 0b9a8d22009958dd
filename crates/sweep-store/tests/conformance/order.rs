//! Which run is next: order inside a sweep, bands, shares, caps.

use std::collections::BTreeMap;

use sweep_core::ids::SweepId;
use sweep_store::{Command, Lease, Leased, NewSweep, Outcome, Progress, Store};

use crate::fixtures::{Harness, run, runs, succeeded, sweep};

pub(crate) async fn a_line_is_in_the_order_of_the_sweep_and_interrupted_runs_go_first<S: Store>(
    h: Harness<S>,
) {
    let mut backwards = runs(0..4);
    backwards.reverse();
    h.submit(&sweep("a"), &backwards).await;
    let first = h.lease("w").await;
    let second = h.lease("v").await;
    assert_eq!((&first.run, &second.run), (&run(0).id, &run(1).id));
    h.finish(&second, &Outcome::Yielded { checkpoint: None }).await;
    h.finish(&first, &Outcome::Yielded { checkpoint: None }).await;
    let next = [h.lease("w").await.run, h.lease("w").await.run, h.lease("w").await.run];
    assert_eq!(next, [run(0).id, run(1).id, run(2).id]);
}

pub(crate) async fn a_lower_band_goes_first<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..2)).await;
    h.submit(&NewSweep { band: 0, ..sweep("b") }, &runs(10..12)).await;
    h.submit(&sweep("c"), &runs(20..22)).await;
    assert_eq!(h.lease("w").await.sweep, sweep("b").id);
    h.control(&Command::Band(sweep("c").id, 0)).await;
    h.control(&Command::Band(sweep("b").id, 7)).await;
    let next = [h.lease("w").await.sweep, h.lease("w").await.sweep, h.lease("w").await.sweep];
    assert_eq!(next, [sweep("c").id, sweep("c").id, sweep("a").id]);
}

pub(crate) async fn a_cap_bounds_leased_runs<S: Store>(h: Harness<S>) {
    h.submit(&NewSweep { cap: Some(2), ..sweep("a") }, &runs(0..5)).await;
    let first = h.lease("w").await;
    h.lease("w").await;
    assert!(h.try_lease("w").await.is_none());
    h.finish(&first, &succeeded()).await;
    h.lease("w").await;
    assert!(h.try_lease("w").await.is_none());
    h.control(&Command::Cap(sweep("a").id, Some(3))).await;
    h.lease("w").await;
    assert!(h.try_lease("w").await.is_none());
    h.control(&Command::Cap(sweep("a").id, None)).await;
    h.lease("w").await;
}

/// Slots that work on and on, each run as long as `seconds` says of its sweep; slot-seconds per sweep.
async fn work<S: Store>(
    h: &Harness<S>,
    slots: usize,
    leases: usize,
    seconds: impl Fn(&SweepId) -> f64,
) -> BTreeMap<SweepId, f64> {
    let mut busy: Vec<(f64, Lease)> = Vec::new();
    let (mut clock, mut spent) = (0.0, BTreeMap::new());
    for _ in 0..leases {
        if busy.len() == slots {
            let next = (0..slots).min_by(|a, b| busy[*a].0.total_cmp(&busy[*b].0)).unwrap();
            let (end, lease) = busy.swap_remove(next);
            h.step_clock(end - clock);
            clock = end;
            h.store
                .finish(h.now(), &lease.run, lease.fence, &succeeded(), "", &h.policy)
                .await
                .unwrap();
        }
        let sweep_store::Leased::Lease(lease) =
            h.store.lease(h.now(), &h.wish("w"), &h.policy).await.unwrap()
        else {
            panic!("there is always a run to lease")
        };
        *spent.entry(lease.sweep.clone()).or_insert(0.0) += seconds(&lease.sweep);
        busy.push((clock + seconds(&lease.sweep), *lease));
        // Keeps every lease alive.
        for (_, lease) in &busy {
            h.store
                .beat(h.now(), &lease.run, lease.fence, &Default::default(), &h.policy)
                .await
                .unwrap();
        }
    }
    h.check().await;
    for (_, lease) in busy {
        h.finish(&lease, &succeeded()).await;
    }
    spent
}

/// Slot-seconds per sweep between `from` and `until`, with slots that work on and on; each run as long as `seconds` says.
async fn spent_between<S: Store>(
    h: &Harness<S>,
    slots: usize,
    (from, until): (f64, f64),
    seconds: impl Fn(&Lease) -> f64,
) -> BTreeMap<SweepId, f64> {
    let mut busy: Vec<(f64, Lease)> = Vec::new();
    let (mut clock, mut beaten, mut spent) = (0.0, 0.0, BTreeMap::new());
    while clock < until {
        if busy.len() == slots {
            let next = (0..slots).min_by(|a, b| busy[*a].0.total_cmp(&busy[*b].0)).unwrap();
            let (end, lease) = busy.swap_remove(next);
            h.step_clock(end - clock);
            clock = end;
            h.store
                .finish(h.now(), &lease.run, lease.fence, &succeeded(), "", &h.policy)
                .await
                .unwrap();
        }
        let wish = h.wish("w");
        let Leased::Lease(lease) = h.store.lease(h.now(), &wish, &h.policy).await.unwrap() else {
            panic!("there is always a run to lease")
        };
        let end = clock + seconds(&lease);
        *spent.entry(lease.sweep.clone()).or_insert(0.0) +=
            (end.min(until) - clock.max(from)).max(0.0);
        busy.push((end, *lease));
        if clock - beaten > 15.0 {
            beaten = clock;
            for (_, lease) in &busy {
                let progress = Progress::default();
                h.store.beat(h.now(), &lease.run, lease.fence, &progress, &h.policy).await.unwrap();
            }
        }
    }
    h.check().await;
    spent
}

/// Three sweeps of weights 1, 2 and 4; the runs of the last are four times as long, and no two in a row are equally long.
async fn shares_follow_weights<S: Store>(h: Harness<S>, slots: usize, until: f64) {
    let names = ["a", "b", "c"];
    for (i, name) in names.iter().enumerate() {
        let weighted = NewSweep { weight: f64::from(1 << i), ..sweep(name) };
        let all = runs(10_000 * i as u64..10_000 * i as u64 + 2000);
        for chunk in all.chunks(500) {
            h.store.submit(h.now(), &weighted, chunk, false).await.unwrap();
        }
    }
    let heavy = sweep("c").id;
    let length = |lease: &Lease| {
        let uneven = 0.5 + (lease.spec.seed % 5) as f64 / 4.0;
        uneven * if lease.sweep == heavy { 20.0 } else { 5.0 }
    };
    // What the first attempts cost is not known beforehand: the shares are right from when they have ended.
    let spent = spent_between(&h, slots, (60.0, until), length).await;
    let total: f64 = spent.values().sum();
    for (i, name) in names.iter().enumerate() {
        let (share, due) = (spent[&sweep(name).id] / total, f64::from(1 << i) / 7.0);
        assert!((share - due).abs() < 0.05 * due, "{name}: {share} of {due}");
    }
}

pub(crate) async fn shares_follow_weights_with_one_slot<S: Store>(h: Harness<S>) {
    shares_follow_weights(h, 1, 6000.0).await;
}

pub(crate) async fn shares_follow_weights_with_seven_slots<S: Store>(h: Harness<S>) {
    shares_follow_weights(h, 7, 1200.0).await;
}

pub(crate) async fn shares_follow_weights_with_a_hundred_slots<S: Store>(h: Harness<S>) {
    shares_follow_weights(h, 100, 300.0).await;
}

pub(crate) async fn a_newcomer_gets_no_monopoly<S: Store>(h: Harness<S>) {
    h.submit(&sweep("old"), &runs(0..100)).await;
    work(&h, 1, 40, |_| 10.0).await;
    h.submit(&sweep("new"), &runs(200..300)).await;
    let spent = work(&h, 1, 20, |_| 10.0).await;
    // The newcomer's first attempts are thought to cost 60 s each, so it may get less at first, but never more than one ahead.
    assert!(spent[&sweep("new").id] <= 110.0, "{spent:?}");
    assert!(spent[&sweep("new").id] >= 70.0, "{spent:?}");
}

pub(crate) async fn a_sweep_that_was_idle_hoards_no_credit<S: Store>(h: Harness<S>) {
    h.submit(&sweep("idle"), &runs(0..50)).await;
    h.submit(&sweep("busy"), &runs(100..200)).await;
    work(&h, 1, 4, |_| 10.0).await;
    h.order(&Command::Pause(sweep("idle").id)).await;
    work(&h, 1, 40, |_| 10.0).await;
    h.order(&Command::Resume(sweep("idle").id)).await;
    let spent = work(&h, 1, 20, |_| 10.0).await;
    assert!(spent[&sweep("idle").id] <= 110.0, "{spent:?}");
    assert!(spent[&sweep("idle").id] >= 90.0, "{spent:?}");
}

pub(crate) async fn a_lease_lost_brings_its_sweep_back_to_the_schedule<S: Store>(h: Harness<S>) {
    // The line runs empty, the sweep leaves the schedule; then its only run comes back.
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    assert!(h.try_lease("v").await.is_none());
    h.pass(60).await;
    assert_eq!(h.lease("v").await.run, lease.run);
}
