//! What readers see.

use std::collections::BTreeMap;
use std::time::Duration;

use sweep_core::ids::{Digest, RunId, SweepId};
use sweep_core::lifecycle::StateName;
use sweep_core::record::RunRecord;
use sweep_store::{
    Command, Demand, EventCursor, EventKind, Events, Leased, NewSweep, Policy, Progress, Store,
};

use crate::fixtures::{Harness, epoch, failed, result, retry, run, runs, succeeded, sweep};

pub(crate) async fn pages_go_through_a_sweep_in_order<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..7)).await;
    for outcome in [succeeded(), failed(), succeeded()] {
        let lease = h.lease("w").await;
        h.finish(&lease, &outcome).await;
    }
    let id = sweep("a").id;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = h.store.runs(&id, &[], true, cursor.as_ref(), 3).await.unwrap();
        seen.extend(page.runs);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.iter().map(|record| record.run.clone()).collect::<Vec<_>>(), runs(0..7));
    assert_eq!(seen, h.store.results(&id).await.unwrap());
    assert_eq!(
        (seen[0].result.clone(), seen[0].attempts, seen[0].error.clone()),
        (Some(result()), 1, None)
    );
    assert_eq!((seen[1].result.clone(), seen[1].error.as_deref()), (None, Some("bad input")));
    assert_eq!((seen[3].state, seen[3].fence, seen[3].attempts), (StateName::Queued, None, 0));
    let ended = h
        .store
        .runs(&id, &[StateName::Succeeded, StateName::Failed], true, None, 100)
        .await
        .unwrap();
    assert_eq!(ended.runs, seen[..3]);
    let brief = h.store.runs(&id, &[], false, None, 100).await.unwrap().runs;
    assert!(brief.iter().all(|record| record.result.is_none()));
    for (brief, full) in brief.into_iter().zip(&seen) {
        assert_eq!(RunRecord { result: full.result.clone(), ..brief }, *full);
    }
    let states = h.store.states(&[run(1).id, run(50).id]).await.unwrap();
    assert_eq!(states, [Some(StateName::Failed), None]);
    let lease = h.lease("w").await;
    let leased = h.store.runs(&id, &[StateName::Leased], false, None, 9).await.unwrap();
    assert_eq!(
        (leased.runs[0].holder.as_deref(), leased.runs[0].fence),
        (Some("w/0"), Some(lease.fence))
    );
}

pub(crate) async fn an_unknown_name_is_none<S: Store>(h: Harness<S>) {
    let id = SweepId::of(&Digest::of(b"nobody"));
    assert!(h.store.sweep(&id).await.unwrap().is_none());
    assert!(h.store.run(&run(0).id).await.unwrap().is_none());
    assert!(h.store.results(&id).await.unwrap().is_empty());
    assert!(h.store.sweeps().await.unwrap().is_empty());
    assert!(
        h.store
            .runs(&id, &[], false, Some(&sweep_store::PageCursor("x".to_owned())), 5)
            .await
            .is_err()
    );
}

async fn events<S: Store>(h: &Harness<S>, from: &EventCursor) -> (Vec<EventKind>, EventCursor) {
    match h.store.events(from, Duration::ZERO).await.unwrap() {
        Events::Some { events, cursor } => {
            (events.into_iter().map(|event| event.kind).collect(), cursor)
        }
        Events::Reset => panic!("the cursor is good"),
    }
}

pub(crate) async fn events_tell_each_change_once_and_in_order<S: Store>(h: Harness<S>) {
    let start = h.store.event_cursor().await.unwrap();
    h.submit(&sweep("a"), &runs([0])).await;
    h.submit(&sweep("b"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.beat_with(&lease, &Progress { epochs: vec![epoch(1)], ..Progress::default() }).await;
    h.beat(&lease).await;
    h.finish(&lease, &succeeded()).await;
    h.control(&Command::Drain("w".to_owned())).await;
    let mut sweeps = vec![sweep("a").id, sweep("b").id];
    sweeps.sort();
    let moved = |state| EventKind::Run { run: run(0).id, sweeps: sweeps.clone(), state };
    let (told, cursor) = events(&h, &start).await;
    let expected = [
        EventKind::Submitted { sweep: sweep("a").id },
        EventKind::Submitted { sweep: sweep("b").id },
        moved(StateName::Leased),
        EventKind::Epoch { run: run(0).id, sweeps: sweeps.clone(), epoch: 1 },
        moved(StateName::Succeeded),
        EventKind::Drain { worker: "w".to_owned() },
    ];
    assert_eq!(told, expected);
    assert_eq!(events(&h, &cursor).await, (Vec::new(), cursor.clone()));
    assert_eq!(h.store.event_cursor().await.unwrap(), cursor);
}

pub(crate) async fn a_trimmed_cursor_is_reset<S: Store>(mut h: Harness<S>) {
    h.policy = Policy { events_kept: 3, ..h.policy };
    let start = h.store.event_cursor().await.unwrap();
    h.submit(&sweep("a"), &runs(0..5)).await;
    for _ in 0..5 {
        h.lease("w").await;
    }
    h.tick().await;
    assert_eq!(h.store.events(&start, Duration::ZERO).await.unwrap(), Events::Reset);
    let stranger = EventCursor("from elsewhere".to_owned());
    assert_eq!(h.store.events(&stranger, Duration::ZERO).await.unwrap(), Events::Reset);
    let end = h.store.event_cursor().await.unwrap();
    assert!(events(&h, &end).await.0.is_empty());
}

pub(crate) async fn a_waiting_reader_is_woken<S: Store>(h: Harness<S>) {
    let (store, start) = (h.store.clone(), h.store.event_cursor().await.unwrap());
    let reader =
        tokio::spawn(async move { store.events(&start, Duration::from_secs(20)).await.unwrap() });
    tokio::task::yield_now().await;
    h.submit(&sweep("a"), &runs([0])).await;
    let Events::Some { events, .. } = reader.await.unwrap() else { panic!("the cursor is good") };
    assert_eq!(events.len(), 1);
}

pub(crate) async fn events_replayed_over_a_snapshot_leave_no_gap<S: Store>(h: Harness<S>) {
    let id = sweep("a").id;
    h.submit(&sweep("a"), &runs(0..100)).await;
    let mut writers = tokio::task::JoinSet::new();
    for worker in ["u", "v", "w"] {
        let (store, now, policy) = (h.store.clone(), h.now(), h.policy.clone());
        let mut wish = h.wish(worker);
        writers.spawn(async move {
            let outcomes = [succeeded(), failed(), retry(60)];
            while let Leased::Lease(lease) = store.lease(now, &wish, &policy).await.unwrap() {
                let outcome = &outcomes[wish.request.0 as usize % outcomes.len()];
                store.finish(now, &lease.run, lease.fence, outcome, "", &policy).await.unwrap();
                wish.request.0 += 1;
            }
        });
    }
    // The cursor first, then pages, between which the writers go on.
    let (mut snapshots, mut moved) = (Vec::new(), 0);
    while !writers.is_empty() {
        let cursor = h.store.event_cursor().await.unwrap();
        let (mut states, mut after) = (BTreeMap::new(), None);
        loop {
            let page = h.store.runs(&id, &[], false, after.as_ref(), 9).await.unwrap();
            states.extend(page.runs.into_iter().map(|found| (found.run.id, found.state)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        snapshots.push((cursor, states));
        while writers.try_join_next().is_some_and(|done| done.is_ok()) {}
    }
    let states = all_states(&h).await;
    for (cursor, mut replayed) in snapshots {
        moved += usize::from(replayed != states);
        let (told, _) = events(&h, &cursor).await;
        for event in told {
            if let EventKind::Run { run, state, .. } = event {
                replayed.insert(run, state);
            }
        }
        assert_eq!(replayed, states);
    }
    assert!(moved > 0, "nothing happened while the snapshots were taken");
}

async fn all_states<S: Store>(h: &Harness<S>) -> BTreeMap<RunId, StateName> {
    let all = h.store.runs(&sweep("a").id, &[], false, None, 1000).await.unwrap().runs;
    all.into_iter().map(|found| (found.run.id, found.state)).collect()
}

pub(crate) async fn demand_counts_what_could_run<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs(0..4)).await;
    h.submit(&NewSweep { cap: Some(3), band: 0, ..sweep("b") }, &runs(10..18)).await;
    h.submit(&sweep("c"), &runs(20..29)).await;
    h.order(&Command::Pause(sweep("c").id)).await;
    let lease = h.lease("w").await;
    h.lease("w").await;
    h.finish(&lease, &retry(60)).await;
    // 4 of a, 3 − 1 of b, none of c; one leased.
    assert_eq!(
        h.store.demand().await.unwrap(),
        Demand { wanted: 7, ready: 6, leased: 1, delayed: 1 }
    );
}

pub(crate) async fn workers_are_shown_and_forgotten<S: Store>(h: Harness<S>) {
    h.submit(&sweep("a"), &runs([0])).await;
    let lease = h.lease("w").await;
    h.try_lease("v").await;
    h.control(&Command::Drain("v".to_owned())).await;
    let shown = |workers: Vec<sweep_store::WorkerStatus>| {
        workers.into_iter().map(|w| (w.holder.to_string(), w.run, w.drain)).collect::<Vec<_>>()
    };
    let workers = shown(h.store.workers().await.unwrap());
    assert_eq!(
        workers,
        [("v/0".to_owned(), None, true), ("w/0".to_owned(), Some(lease.run.clone()), false)]
    );
    h.step_clock(3000.0);
    h.beat(&lease).await;
    h.step_clock(1000.0);
    h.tick().await;
    assert_eq!(
        shown(h.store.workers().await.unwrap()),
        [("w/0".to_owned(), Some(lease.run), false)]
    );
}
