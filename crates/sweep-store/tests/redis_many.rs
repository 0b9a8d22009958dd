//! What many runs cost a server: memory per run, commands per call, and that cancelling is one write.
//!
//! `cargo test --release -p sweep-store --test redis_many -- --ignored --nocapture` measures a million; the suite checks 50,000.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Instant;

use sweep_core::loss::Loss;
use sweep_core::run::Run;
use sweep_store::{AnyStore, Command, Now, Policy, Reads, Store, Submitted};

#[path = "conformance/fixtures.rs"]
#[allow(
    dead_code,
    reason = "the fixtures of the conformance suite; only the builders are used here"
)]
mod fixtures;
mod server;

use fixtures::{spec, sweep};
use server::Server;

/// Configurations of the sweep; every other run is a further seed.
const CONFIGURATIONS: u32 = 20;
/// Bytes of server memory that a queued run may take.
const BYTES: u64 = 1000;

/// Seed-major, as a sweep file gives them.
fn run(ord: u32) -> Run {
    let mut spec = spec(u64::from(ord / CONFIGURATIONS));
    let margin = f64::from(ord % CONFIGURATIONS) / 100.0;
    spec.configuration.loss = Loss::AmSoftmax { margin, scale: 30.0 };
    Run { id: spec.id(), ord, spec }
}

struct Used {
    memory: u64,
    /// Seconds.
    cpu: f64,
    /// Of every command, those inside scripts included.
    commands: BTreeMap<String, u64>,
    wall: Instant,
}

async fn used(server: &Server) -> Used {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: String =
        redis::cmd("INFO").arg("everything").query_async(&mut connection).await.unwrap();
    let number = |name: &str| -> f64 {
        let found = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.unwrap().trim().parse().unwrap()
    };
    let command = |line: &str| {
        let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), numbers.split_once(',')?.0.parse().ok()?))
    };
    Used {
        memory: number("used_memory") as u64,
        cpu: number("used_cpu_user") + number("used_cpu_sys"),
        commands: info.lines().filter_map(command).collect(),
        wall: Instant::now(),
    }
}

/// Since `before`: calls of scripts, and all commands, of which those two looks are some.
fn calls(before: &Used, after: &Used) -> (u64, u64) {
    let all = |used: &Used| used.commands.values().sum::<u64>();
    let scripts = |used: &Used| {
        ["eval", "evalsha"].iter().filter_map(|name| used.commands.get(*name)).sum::<u64>()
    };
    (scripts(after) - scripts(before), all(after) - all(before))
}

fn tell(what: &str, count: u32, before: &Used, after: &Used) {
    let each = 1e6 / f64::from(count);
    println!(
        "{what:<24} {:>7.1} µs wall  {:>7.1} µs server CPU each  {:>7.0} bytes of memory each",
        after.wall.duration_since(before.wall).as_secs_f64() * each,
        (after.cpu - before.cpu) * each,
        (after.memory as f64 - before.memory as f64) / f64::from(count),
    );
}

async fn many(count: u32) {
    let Some(server) = Server::start(&[]) else { return };
    let store = AnyStore::open(&server.url("many")).unwrap();
    let new = sweep("a");
    store.submit(Now::Server, &new, &[], false).await.unwrap();
    // With room for the text of the other scripts.
    store.tick(Now::Server, &Policy::default()).await.unwrap();

    let empty = used(&server).await;
    let mut sum = Submitted::default();
    let chunks = count.div_ceil(500);
    for chunk in 0..chunks {
        let runs: Vec<_> = (chunk * 500..count.min((chunk + 1) * 500)).map(run).collect();
        sum += store.submit(Now::Server, &new, &runs, chunk + 1 == chunks).await.unwrap();
    }
    let full = used(&server).await;
    tell("submit", count, &empty, &full);
    assert_eq!(sum, Submitted { new: count, ..Submitted::default() });
    let each = (full.memory - empty.memory) / u64::from(count);
    assert!(each <= BYTES, "{each} bytes per queued run");
    let (scripts, commands) = calls(&empty, &full);
    assert_eq!(scripts, u64::from(chunks));
    assert!(commands < u64::from(chunks) * 50, "{commands} commands for {chunks} calls");

    let before = used(&server).await;
    store.control(Now::Server, &Command::Cancel(new.id.clone())).await.unwrap();
    let after = used(&server).await;
    tell("cancel, as a whole", 1, &before, &after);
    let (scripts, commands) = calls(&before, &after);
    assert!(commands < 20, "{commands} commands for {scripts} call");
    let status = store.sweep(&new.id).await.unwrap().unwrap().0;
    assert_eq!((status.counts.queued, status.walking), (count, true));

    let before = used(&server).await;
    while store.tick(Now::Server, &Policy::default()).await.unwrap().more {}
    tell("walk", count, &before, &used(&server).await);
    let status = store.sweep(&new.id).await.unwrap().unwrap().0;
    assert_eq!((status.counts.cancelled, status.counts.total()), (count, count));

    let before = used(&server).await;
    let (mut listed, mut after) = (0, None);
    loop {
        let page = store.runs(&new.id, &[], false, after.as_ref(), 1000).await.unwrap();
        listed += page.runs.len() as u32;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    tell("list", count, &before, &used(&server).await);
    assert_eq!(listed, count);
}

#[tokio::test]
async fn fifty_thousand_runs_take_little_memory_and_one_write_cancels_them() {
    many(50_000).await;
}

#[tokio::test]
#[ignore = "takes minutes and a gigabyte; for measurements"]
async fn a_million_runs_take_little_memory_and_one_write_cancels_them() {
    many(1_000_000).await;
}
