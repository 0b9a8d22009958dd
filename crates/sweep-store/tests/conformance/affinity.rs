//! Runs on pictures that a slot holds go before others of their sweep, within bounds.

use std::collections::BTreeMap;

use sweep_core::run::Run;
use sweep_store::{Command, Lease, Leased, NewSweep, Outcome, Policy, Store, Wish};

use crate::fixtures::{Harness, keys, run_on, succeeded, sweep};

async fn lease_holding<S: Store>(h: &Harness<S>, sets: &[&str]) -> Lease {
    match h.ask(&Wish { holds: keys(sets), ..h.wish("w") }).await {
        Leased::Lease(lease) => *lease,
        Leased::Nothing { .. } => panic!("there is a run to lease"),
    }
}

/// The place in line of the run that a slot gets which holds these data sets.
async fn next<S: Store>(h: &Harness<S>, sets: &[&str]) -> u64 {
    lease_holding(h, sets).await.spec.seed
}

/// A line that goes through these data sets in blocks of so many runs.
fn blocks(sets: &[&str], each: u64) -> Vec<Run> {
    let block = |(i, set): (usize, &&str)| {
        let (from, set) = (i as u64 * each, (*set).to_owned());
        (from..from + each).map(move |n| run_on(&set, n)).collect::<Vec<_>>()
    };
    sets.iter().enumerate().flat_map(block).collect()
}

pub(crate) async fn a_run_on_pictures_that_the_slot_holds_goes_first<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &blocks(&["x", "y", "z"], 3)).await;
    assert_eq!(next(&h, &["y"]).await, 3);
    assert_eq!(next(&h, &["z", "y"]).await, 4);
    assert_eq!(next(&h, &["z"]).await, 6);
    // The head's own pictures are held; and nobody's.
    assert_eq!(next(&h, &["z", "x"]).await, 0);
    assert_eq!(next(&h, &["elsewhere"]).await, 1);
}

pub(crate) async fn the_window_bounds_how_far_is_looked<S: Store>(mut h: Harness<S>) {
    h.submit(&sweep("a"), &blocks(&["x", "y"], 3)).await;
    h.policy = Policy { affinity_window: 3, ..h.policy };
    assert_eq!(next(&h, &["y"]).await, 0);
    // One place nearer now.
    assert_eq!(next(&h, &["y"]).await, 3);
    for off in [
        Policy { affinity_window: 1, ..h.policy.clone() },
        Policy { affinity_skips: 0, ..h.policy.clone() },
    ] {
        h.policy = off;
        let first = next(&h, &["y"]).await;
        assert!([1, 2].contains(&first), "{first}");
    }
}

pub(crate) async fn a_head_is_passed_over_a_bounded_number_of_times<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &blocks(&["x", "y", "z"], 10)).await;
    let mut taken = Vec::new();
    // Two slots with different pictures count together.
    for set in ["y", "z"].into_iter().cycle().take(10) {
        taken.push(next(&h, &[set]).await);
    }
    assert_eq!(taken, [10, 20, 11, 21, 0, 22, 12, 23, 13, 1]);
    // Taken early, the head of then has not been passed over any more.
    assert_eq!([next(&h, &["y"]).await, next(&h, &[]).await], [14, 2]);
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(next(&h, &["y"]).await);
    }
    assert_eq!(taken, [15, 16, 17, 18, 3]);
}

pub(crate) async fn a_run_that_came_back_is_never_passed_over<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &blocks(&["x", "y"], 8)).await;
    let held = lease_holding(&h, &[]).await;
    assert_eq!(held.spec.seed, 0);
    for expected in [8, 9] {
        assert_eq!(next(&h, &["y"]).await, expected);
    }
    h.finish(&held, &Outcome::Yielded { checkpoint: None }).await;
    assert_eq!(next(&h, &["y"]).await, 0);
    // Nor did it end the wait of the one behind it.
    for expected in [10, 11, 1, 12] {
        assert_eq!(next(&h, &["y"]).await, expected);
    }
}

pub(crate) async fn runs_of_one_data_set_leave_in_order_and_none_starves<S: Store>(h: Harness<S>) {
    let sets = ["x", "y", "z", "u"];
    let mut line = Vec::new();
    for repeat in 0..4 {
        for (i, set) in sets.iter().enumerate() {
            let from = repeat * 12 + i as u64 * 3;
            line.extend((from..from + 3).map(|n| run_on(set, n)));
        }
    }
    h.submit(&sweep("a"), &line).await;
    let mut last = BTreeMap::new();
    let (most, mut bits) = (u64::from(h.policy.affinity_skips) + 1, 1_u64);
    for pick in 1..=line.len() as u64 {
        // Any sequence of wishes, the same each time.
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let holds = |i: &usize| bits >> (40 + i) & 1 == 1;
        let held: Vec<_> = (0..4).filter(holds).map(|i| sets[i]).collect();
        let lease = lease_holding(&h, &held).await;
        let (place, data) = (lease.spec.seed, lease.spec.data_key());
        assert!(last.insert(data, place).is_none_or(|before| before < place));
        assert!(pick <= most * (place + 1), "run {place} was the {pick}th to leave");
    }
}

pub(crate) async fn without_pictures_held_a_line_keeps_its_order<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &blocks(&["x", "y"], 3)).await;
    for expected in 0..6 {
        assert_eq!(next(&h, &[]).await, expected);
    }
}

pub(crate) async fn a_wish_for_one_sweep_looks_at_no_pictures<S: Store>(h: Harness<S>) {
    let new = sweep("a");
    h.submit(&new, &blocks(&["x", "y"], 3)).await;
    for expected in 0..3 {
        let wish = Wish { only: Some(new.id.clone()), holds: keys(&["y"]), ..h.wish("w") };
        let Leased::Lease(lease) = h.ask(&wish).await else { panic!("there is a run to lease") };
        assert_eq!(lease.spec.seed, expected);
    }
}

pub(crate) async fn whose_turn_it_is_does_not_depend_on_pictures_held<S: Store>(h: Harness<S>) {
    // Each sweep on a data set of its own, so that every wish would rather have runs of one of them.
    let names = ["a", "b", "c"];
    let mut due = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let new = NewSweep { weight: f64::from(1 << i), ..sweep(name) };
        let runs: Vec<_> = (0..30).map(|n| run_on(name, 100 * i as u64 + n)).collect();
        h.submit(&new, &runs).await;
        due.push((0.0, new.id, new.weight));
    }
    let estimate = h.policy.first_estimate.as_secs_f64();
    for pick in 0..28 {
        let leased = lease_holding(&h, &[names[pick / 5 % 3]]).await;
        due.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let (account, id, weight) = &mut due[0];
        assert_eq!(leased.sweep, *id);
        *account += estimate / *weight;
    }
    // Nor does a paused sweep lend its runs.
    h.order(&Command::Pause(sweep("b").id)).await;
    assert_ne!(lease_holding(&h, &["b"]).await.sweep, sweep("b").id);
}

pub(crate) async fn a_wish_sent_again_counts_no_pass<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &blocks(&["x", "y"], 8)).await;
    let wish = Wish { holds: keys(&["y"]), ..h.wish("w") };
    let first = h.ask(&wish).await;
    for _ in 0..6 {
        assert_eq!(h.ask(&wish).await, first);
    }
    let Leased::Lease(lease) = first else { panic!("there is a run to lease") };
    assert_eq!(lease.spec.seed, 8);
    h.finish(&lease, &succeeded()).await;
    for expected in [9, 10, 11, 0] {
        assert_eq!(next(&h, &["y"]).await, expected);
    }
}
