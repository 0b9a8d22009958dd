//! Promise 1 of the architecture, with real processes and a real redis-server: whatever is killed, frozen or cut off, every run
//! ends once, no accepted outcome changes, and the report is that of an undisturbed `sweep run`.
//!
//! Bounded for every day; `just soak` runs it longer (`SWEEP_CHAOS_RUNS`).

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "../../sweep-store/tests/server/mod.rs"]
mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::Place;
use common::cluster::{LossyProxy, Service, coordinator, get, worker};
use serde_json::Value;
use server::Server;

/// Workers at a time.
const WORKERS: usize = 8;
/// Leases this short expire within the test.
const TTL: &str = "1500";
/// Seeds per configuration.
const SEEDS: usize = 10;

fn sweep_file(runs: usize) -> String {
    let margins: Vec<_> =
        (0..runs / SEEDS / 2).map(|i| format!("{:.3}", 0.002 * i as f64)).collect();
    format!(
        "name: chaos\ndatasets: [digits]\nseeds: {SEEDS}\nlosses:\n  - am_softmax: {{ margin: [{}], scale: [10, 20] }}\n\
         model: {{ backbone: small_cnn }}\ntraining: {{ epochs: 4, batch_size: 10 }}\n",
        margins.join(", ")
    )
}

/// Chance that is the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn status(place: &Place, store: &str) -> Value {
    serde_json::from_str(&place.expect(0, &["status", "chaos", "--json", "--store", store]))
        .unwrap()
}

/// Late words of lost attempts that the workers at these addresses had refused, by their own count.
fn refused(workers: &[Service]) -> u64 {
    let of = |worker: &Service| {
        let page = get(worker.address.as_deref()?, "/metrics")?;
        let line = page.lines().find(|line| {
            line.starts_with("sweep_worker_attempts_total") && line.contains("outcome=\"stale\"")
        })?;
        line.rsplit_once(' ')?.1.parse::<u64>().ok()
    };
    workers.iter().filter_map(of).sum()
}

fn runs(place: &Place, store: &str) -> Vec<Value> {
    serde_json::from_str(&place.expect(0, &["runs", "chaos", "--json", "--store", store])).unwrap()
}

#[test]
fn every_run_ends_once_whatever_is_killed_frozen_or_cut_off() {
    let runs_wanted: usize =
        std::env::var("SWEEP_CHAOS_RUNS").map_or(2000, |text| text.parse().unwrap());
    let Some(mut redis) = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let place = Place::new();
    place.write("chaos.yaml", sweep_file(runs_wanted));
    let proxy = LossyProxy::start(redis.port, 400);
    // Half of the workers sit behind the proxy; people and coordinators do not.
    let direct = redis.url("chaos");
    let lossy = format!("redis://127.0.0.1:{}?namespace=chaos", proxy.port);
    let start = |i: usize| {
        let store = if i.is_multiple_of(2) { &lossy } else { &direct };
        let fake = [
            "--slots",
            "2",
            "--trainer",
            "fake:epoch_ms=80",
            "--lease-ms",
            TTL,
            "--metrics-listen",
            "127.0.0.1:0",
        ];
        worker(&place, store, &fake)
    };
    let mut coordinators: Vec<Service> = (0..2).map(|_| coordinator(&place, &direct)).collect();
    place.expect(0, &["submit", "chaos.yaml", "--store", &direct]);
    let mut workers: Vec<Service> = (0..WORKERS).map(start).collect();

    let mut dice = Dice(1);
    let mut accepted: BTreeMap<String, Value> = BTreeMap::new();
    let (mut kills, mut freezes, mut yields, mut outages) = (0, 0, 0, 0);
    let mut frozen: Vec<(usize, Instant)> = Vec::new();
    let began = Instant::now();
    let mut acts = 0;
    // Of the workers that are gone; the others are asked at the end.
    let mut stale = 0;
    loop {
        std::thread::sleep(Duration::from_millis(250));
        frozen.retain(|(i, until)| {
            if *until > Instant::now() {
                return true;
            }
            workers[*i].signal("CONT");
            false
        });
        acts += 1;
        let who = dice.below(WORKERS);
        let is_frozen = frozen.iter().any(|(i, _)| *i == who);
        match acts % 8 {
            _ if is_frozen => {}
            0 | 4 => {
                stale += refused(&workers[who..=who]);
                workers[who].kill();
                workers[who] = start(who);
                kills += 1;
            }
            // Longer than a lease: its runs go elsewhere, and its late words must be refused.
            2 | 6 if frozen.len() < 2 => {
                workers[who].signal("STOP");
                frozen.push((who, Instant::now() + Duration::from_millis(2500)));
                freezes += 1;
            }
            3 => {
                stale += refused(&workers[who..=who]);
                workers[who].signal("TERM");
                let ended = workers[who].wait(Duration::from_secs(20));
                assert!(ended.success(), "a worker asked to stop ended with {ended}");
                workers[who] = start(who);
                yields += 1;
            }
            5 => {
                let which = dice.below(2);
                coordinators[which].kill();
                coordinators[which] = coordinator(&place, &direct);
            }
            7 if acts % 24 == 7 => {
                redis.crash_and_restart();
                outages += 1;
            }
            _ => {}
        }
        if acts % 12 == 0 {
            for run in runs(&place, &direct) {
                if run["state"] == "succeeded" {
                    let id = run["run"]["id"].as_str().unwrap().to_owned();
                    let now = (run["fence"].clone(), run["result"].clone());
                    let now = serde_json::to_value(now).unwrap();
                    let before = accepted.insert(id, now.clone());
                    assert!(
                        before.is_none_or(|before| before == now),
                        "an accepted outcome changed"
                    );
                } else {
                    let id = run["run"]["id"].as_str().unwrap();
                    assert!(
                        !accepted.contains_key(id),
                        "an accepted outcome was taken back: {run}"
                    );
                }
            }
        }
        let now = status(&place, &direct);
        let counts = &now["counts"];
        if counts["succeeded"] == runs_wanted {
            break;
        }
        assert_eq!(counts["failed"], 0, "{now}");
        assert!(
            began.elapsed() < Duration::from_secs(300 + runs_wanted as u64 / 4),
            "stuck: {now}"
        );
    }
    for (i, _) in frozen {
        workers[i].signal("CONT");
    }
    std::thread::sleep(Duration::from_secs(1));
    stale += refused(&workers);
    eprintln!(
        "{runs_wanted} runs in {:.0} s: {kills} kills, {freezes} freezes, {yields} yields, {outages} restarts of Redis, {} replies lost, {stale} late words refused",
        began.elapsed().as_secs_f64(),
        proxy.lost()
    );
    assert!(kills > 3 && freezes > 1 && outages > 0 && proxy.lost() > 3, "the chaos was tame");

    let all = runs(&place, &direct);
    assert_eq!(all.len(), runs_wanted);
    let attempts: u64 = all.iter().map(|run| run["attempts"].as_u64().unwrap()).sum();
    assert!(attempts > runs_wanted as u64, "no attempt was lost");
    assert!(stale > 0, "no late word of a frozen worker was refused and counted");

    place.expect(0, &["report", "chaos", "--store", &direct]);
    let undisturbed = Place::new();
    undisturbed.write("chaos.yaml", sweep_file(runs_wanted));
    undisturbed.expect(0, &["run", "chaos.yaml", "--quiet", "--trainer", "fake"]);
    assert_eq!(place.report("chaos"), undisturbed.report("chaos"));
    for service in &mut workers {
        service.signal("CONT");
        service.signal("TERM");
    }
    for service in &mut workers {
        assert!(service.wait(Duration::from_secs(20)).success());
    }
}
