//! What only a real server can show: crashes, lost replies, full memory, versions, settings, several readers and slots at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sweep_core::lifecycle::StateName;
use sweep_core::result::DeviceKind;
use sweep_store::{
    AnyStore, Applied, Command, Events, Holder, Lease, Leased, Now, Outcome, Policy, Progress,
    Reads, RequestId, Store, StoreError, Submitted, Wish,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[path = "conformance/fixtures.rs"]
#[allow(
    dead_code,
    reason = "the fixtures of the conformance suite; only the builders are used here"
)]
mod fixtures;
mod server;

use fixtures::{failed, run, runs, succeeded, sweep};
use server::Server;

fn wish(slot: u32, request: u64) -> Wish {
    let holder = Holder { worker: "w".to_owned(), slot };
    Wish {
        holder,
        request: RequestId(request),
        device: DeviceKind::Fake,
        only: None,
        holds: Vec::new(),
    }
}

async fn lease(store: &AnyStore, slot: u32, request: u64) -> Option<Lease> {
    match store.lease(Now::Server, &wish(slot, request), &Policy::default()).await.unwrap() {
        Leased::Lease(lease) => Some(*lease),
        Leased::Nothing { .. } => None,
    }
}

async fn finish(store: &AnyStore, lease: &Lease, outcome: &Outcome) -> Applied {
    let policy = Policy::default();
    store.finish(Now::Server, &lease.run, lease.fence, outcome, "log\n", &policy).await.unwrap()
}

/// A raw command, for what the store itself never does.
async fn command(server: &Server, words: &[&str]) -> redis::Value {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut cmd = redis::cmd(words[0]);
    cmd.arg(&words[1..]);
    cmd.query_async(&mut connection).await.unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash_and_the_same_handle_goes_on() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut server) = Server::start(&settings) else { return };
    let store = AnyStore::open(&server.url("crash")).unwrap();
    store.submit(Now::Server, &sweep("a"), &runs(0..20), true).await.unwrap();
    let mut last = None;
    for n in 0..3 {
        for i in 0..5 {
            let lease = lease(&store, 0, 10 * n + i).await.unwrap();
            assert!(last < Some(lease.fence));
            last = Some(lease.fence);
            assert_eq!(finish(&store, &lease, &succeeded()).await, Applied::Applied);
            // Sent again after the crash: the reply might have got lost in it.
            if i == 4 {
                server.crash_and_restart();
                assert_eq!(finish(&store, &lease, &succeeded()).await, Applied::Already);
            }
        }
    }
    assert_eq!(store.sweep(&sweep("a").id).await.unwrap().unwrap().0.counts.succeeded, 15);
    assert_eq!(store.violations().await.unwrap(), Vec::<String>::new());
}

/// Passes every byte on, but instead of every eleventh reply it closes the connection: the call has counted, nobody knows.
async fn forgetful_proxy(to: u16) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let replies = Arc::new(AtomicU32::new(0));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let replies = Arc::clone(&replies);
            tokio::spawn(
                async move { tokio::io::copy(&mut from_client, &mut to_server).await.is_ok() },
            );
            tokio::spawn(async move {
                let mut reply = vec![0; 1 << 20];
                while let Ok(bytes @ 1..) = from_server.read(&mut reply).await {
                    if replies.fetch_add(1, Ordering::Relaxed) % 11 == 10
                        || to_client.write_all(&reply[..bytes]).await.is_err()
                    {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn lost_replies_cost_no_attempt_and_count_nothing_twice() {
    let Some(server) = Server::start(&[]) else { return };
    let proxy = forgetful_proxy(server.port).await;
    let store = AnyStore::open(&format!("redis://{proxy}?namespace=lost")).unwrap();
    let new = store.submit(Now::Server, &sweep("a"), &runs(0..40), true).await.unwrap();
    assert_eq!(new.new + new.joined, 40);
    let mut repeated = 0;
    for n in 0..40 {
        let lease = lease(&store, 0, n).await.unwrap();
        let progress = Progress { step: n + 1, ..Progress::default() };
        store
            .beat(Now::Server, &lease.run, lease.fence, &progress, &Policy::default())
            .await
            .unwrap();
        if n % 10 == 9 {
            // A retry that was counted already is stale when it is sent again.
            let retry = Outcome::Retry { due_in: Duration::from_secs(60), error: "e".to_owned() };
            assert_ne!(finish(&store, &lease, &retry).await, Applied::Already);
        } else {
            let applied = finish(&store, &lease, &succeeded()).await;
            assert_ne!(applied, Applied::Stale);
            repeated += u32::from(applied == Applied::Already);
        }
    }
    assert!(repeated > 0, "the proxy lost no reply to a finish");
    let status = store.sweep(&sweep("a").id).await.unwrap().unwrap().0;
    assert_eq!(
        (status.counts.succeeded, status.counts.delayed, status.ended_attempts),
        (36, 4, 40)
    );
    for record in store.results(&sweep("a").id).await.unwrap() {
        assert_eq!(record.attempts, 1);
    }
    assert_eq!(store.violations().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_server_refuses_whole_calls() {
    let Some(server) = Server::start(&[]) else { return };
    let store = AnyStore::open(&server.url("full")).unwrap();
    store.submit(Now::Server, &sweep("a"), &runs(0..5), true).await.unwrap();
    let held = lease(&store, 0, 1).await.unwrap();
    let policy = Policy::default();
    let before = (store.sweeps().await.unwrap(), store.event_cursor().await.unwrap());
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let full = |answer: Result<(), StoreError>| {
        let error = answer.expect_err("a full server takes nothing");
        assert!(error.is_retryable() && error.to_string().contains("OOM"), "{error}");
    };
    let progress = Progress { step: 1, epochs: vec![fixtures::epoch(1)], checkpoint: None };
    let (other, others, wish, outcome) = (sweep("b"), runs(3..9), wish(1, 2), succeeded());
    let calls = tokio::join!(
        store.submit(Now::Server, &other, &others, true),
        store.lease(Now::Server, &wish, &policy),
        store.beat(Now::Server, &held.run, held.fence, &progress, &policy),
        store.finish(Now::Server, &held.run, held.fence, &outcome, "", &policy),
        store.tick(Now::Server, &policy),
        async {
            let id = sweep("a").id;
            let commands = [
                Command::Pause(id.clone()),
                Command::Cancel(id.clone()),
                Command::Retry(id.clone()),
                Command::Weight(id.clone(), 3.0),
                Command::Band(id.clone(), 1),
                Command::Cap(id.clone(), Some(1)),
                Command::Reported(id),
                Command::Drain("w".to_owned()),
            ];
            for command in &commands {
                full(store.control(Now::Server, command).await);
            }
        },
    );
    full(calls.0.map(drop));
    full(calls.1.map(drop));
    full(calls.2.map(drop));
    full(calls.3.map(drop));
    full(calls.4.map(drop));
    assert_eq!((store.sweeps().await.unwrap(), store.event_cursor().await.unwrap()), before);
    assert!(store.sweep(&sweep("b").id).await.unwrap().is_none());
    command(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(store.violations().await.unwrap(), Vec::<String>::new());
    assert_eq!(finish(&store, &held, &failed()).await, Applied::Applied);
}

#[tokio::test]
async fn many_slots_on_one_connection_end_every_run_once() {
    let Some(server) = Server::start(&[]) else { return };
    let store = AnyStore::open(&server.url("slots")).unwrap();
    for chunk in runs(0..300).chunks(100) {
        store.submit(Now::Server, &sweep("a"), chunk, false).await.unwrap();
    }
    let mut slots = tokio::task::JoinSet::new();
    for slot in 0..16 {
        let store = store.clone();
        slots.spawn(async move {
            let mut applied = 0;
            for request in 0.. {
                let Some(held) = lease(&store, slot, request).await else { break };
                applied += u32::from(finish(&store, &held, &succeeded()).await == Applied::Applied);
            }
            applied
        });
    }
    assert_eq!(slots.join_all().await.iter().sum::<u32>(), 300);
    assert_eq!(store.violations().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn two_readers_that_wait_are_both_woken_and_hold_up_nobody() {
    let Some(server) = Server::start(&[]) else { return };
    let store = AnyStore::open(&server.url("readers")).unwrap();
    let start = store.event_cursor().await.unwrap();
    let wait = |start: &sweep_store::EventCursor| {
        let (store, start) = (store.clone(), start.clone());
        tokio::spawn(async move { store.events(&start, Duration::from_secs(20)).await.unwrap() })
    };
    let (one, other, given_up) = (wait(&start), wait(&start), wait(&start));
    tokio::time::sleep(Duration::from_millis(100)).await;
    given_up.abort();
    let asked = tokio::time::Instant::now();
    store.submit(Now::Server, &sweep("a"), &runs(0..2), true).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(2));
    for reader in [one, other] {
        let Events::Some { events, .. } = reader.await.unwrap() else {
            panic!("the cursor is good")
        };
        assert_eq!(events.len(), 1);
    }
}

#[tokio::test]
async fn namespaces_on_one_server_do_not_meet() {
    let Some(server) = Server::start(&[]) else { return };
    let [cuda, cpu] = ["cuda", "cpu"].map(|name| AnyStore::open(&server.url(name)).unwrap());
    cuda.submit(Now::Server, &sweep("a"), &runs(0..2), true).await.unwrap();
    assert!(cpu.sweeps().await.unwrap().is_empty());
    assert!(lease(&cpu, 0, 1).await.is_none());
    let found = cpu.states(&[run(0).id]).await.unwrap();
    assert_eq!(
        (found, cuda.states(&[run(0).id]).await.unwrap()),
        (vec![None], vec![Some(StateName::Queued)])
    );
}

#[tokio::test]
async fn another_layout_and_a_reader_that_writes_are_refused() {
    let Some(server) = Server::start(&[]) else { return };
    let url = server.url("old");
    let reader = AnyStore::open_to_read(&url).unwrap();
    let refused = reader.submit(Now::Server, &sweep("a"), &runs(0..1), true).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)));
    assert!(reader.sweeps().await.unwrap().is_empty());
    command(&server, &["HSET", "sweep:{old}:meta", "schema", "99"]).await;
    let refused = AnyStore::open(&url).unwrap().sweeps().await;
    assert!(matches!(refused, Err(StoreError::SchemaTooNew { found: 99, .. })));
    // Layout 1 kept whole specs with every run; no release wrote it, so that nothing reads it.
    command(&server, &["HSET", "sweep:{old}:meta", "schema", "1"]).await;
    for store in [AnyStore::open(&url).unwrap(), AnyStore::open_to_read(&url).unwrap()] {
        let refused = store.sweeps().await.unwrap_err();
        assert!(!refused.is_retryable());
        assert_eq!(
            refused.to_string(),
            "the store has schema 1, but this version knows 2 only: take another namespace, or finish its sweeps with the version that wrote it"
        );
    }
}

#[tokio::test]
async fn an_absent_server_is_an_error_that_may_pass() {
    let store = AnyStore::open("redis://127.0.0.1:1").unwrap();
    let error = store.sweeps().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains("redis://127.0.0.1:1/0?namespace=default"), "{error}");
}

#[tokio::test]
async fn a_password_is_asked_for_and_not_shown() {
    let Some(server) = Server::start(&["--requirepass", "s@cret"]) else { return };
    let url = |user: &str| format!("redis://{user}127.0.0.1:{}", server.port);
    let error = AnyStore::open(&url(":wr0ng@")).unwrap().sweeps().await.unwrap_err();
    assert!(!error.is_retryable() && !error.to_string().contains("wr0ng"), "{error}");
    assert!(AnyStore::open(&url(":s%40cret@")).unwrap().sweeps().await.unwrap().is_empty());
}

#[tokio::test]
async fn settings_that_lose_work_are_told() {
    let safe = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(server) = Server::start(&safe) else { return };
    let store = AnyStore::open(&server.url("x")).unwrap();
    assert_eq!(store.durability().await.unwrap(), []);
    command(&server, &["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    command(&server, &["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let warnings = store.durability().await.unwrap();
    let told: Vec<_> = warnings.iter().map(|warning| (warning.setting, warning.refuse)).collect();
    assert_eq!(told, [("maxmemory-policy", true), ("appendfsync", false)]);
    command(&server, &["ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", "-config"]).await;
    let store = AnyStore::open(&format!("redis://app:p@127.0.0.1:{}", server.port)).unwrap();
    let warnings = store.durability().await.unwrap();
    assert!(warnings.iter().any(|w| w.setting == "appendfsync" && w.text.contains("unknown")));
}

#[tokio::test]
async fn no_script_takes_long_at_its_bound() {
    let Some(server) = Server::start(&["--slowlog-log-slower-than", "50000"]) else { return };
    let store = AnyStore::open(&server.url("bounds")).unwrap();
    let all = runs(0..2000);
    let mut sum = Submitted::default();
    for chunk in all.chunks(500) {
        sum += store.submit(Now::Server, &sweep("a"), chunk, false).await.unwrap();
        store.submit(Now::Server, &sweep("b"), chunk, false).await.unwrap();
    }
    assert_eq!(sum.new, 2000);
    store.control(Now::Server, &Command::Cancel(sweep("a").id)).await.unwrap();
    store.control(Now::Server, &Command::Cancel(sweep("b").id)).await.unwrap();
    while store.tick(Now::Server, &Policy::default()).await.unwrap().more {}
    let status = store.sweep(&sweep("a").id).await.unwrap().unwrap().0;
    assert_eq!(status.counts.cancelled, 2000);
    assert_eq!(store.results(&sweep("a").id).await.unwrap().len(), 2000);
    // 50 ms on a busy machine; 10 ms are meant on a quiet one.
    let slow = command(&server, &["SLOWLOG", "LEN"]).await;
    assert_eq!(slow, redis::Value::Int(0), "{:?}", command(&server, &["SLOWLOG", "GET"]).await);
    assert_eq!(store.violations().await.unwrap(), Vec::<String>::new());
}

#[test]
fn a_handle_goes_on_in_another_runtime() {
    let Some(server) = Server::start(&[]) else { return };
    let store = AnyStore::open(&server.url("runtimes")).unwrap();
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            store.submit(Now::Server, &sweep("a"), &runs(0..3), true).await.unwrap();
            let start = store.event_cursor().await.unwrap();
            let events = store.events(&start, Duration::from_millis(20)).await.unwrap();
            assert!(matches!(events, Events::Some { events, .. } if events.is_empty()));
        });
    }
}

#[tokio::test]
async fn a_store_behind_sentinels_is_found_again_after_a_fail_over() {
    let Some(first) = Server::start(&[]) else { return };
    let master = ["127.0.0.1".to_owned(), first.port.to_string()].join(" ");
    let Some(second) = Server::start(&["--replicaof", &master]) else { return };
    let Some(sentinel) = Server::sentinel(first.port) else { return };
    let url = format!("redis+sentinel://127.0.0.1:{}/main?namespace=ha", sentinel.port);
    let store = AnyStore::open(&url).unwrap();
    store.submit(Now::Server, &sweep("a"), &runs(0..3), true).await.unwrap();
    let held = lease(&store, 0, 1).await.unwrap();
    wait_for(&first, |info| info.contains("connected_slaves:1") && info.contains("state=online"))
        .await;
    let copied = redis::Value::Int(1);
    assert_eq!(command(&first, &["WAIT", "1", "5000"]).await, copied);
    wait_for(&sentinel, |info| info.contains("slaves=1")).await;
    command(&sentinel, &["SENTINEL", "FAILOVER", "main"]).await;
    wait_for(&second, |info| info.contains("role:master")).await;
    wait_for(&first, |info| info.contains("role:slave")).await;
    // The connection still leads to the first server, which takes no writes any more.
    assert_eq!(finish(&store, &held, &succeeded()).await, Applied::Applied);
    let counts = store.sweep(&sweep("a").id).await.unwrap().unwrap().0.counts;
    assert_eq!((counts.succeeded, counts.queued), (1, 2));
}

/// Asks a server until its `INFO` says so.
async fn wait_for(server: &Server, holds: impl Fn(&str) -> bool) {
    for _ in 0..300 {
        let redis::Value::BulkString(info) = command(server, &["INFO", "everything"]).await else {
            panic!("INFO is a text")
        };
        if holds(&String::from_utf8_lossy(&info)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the servers did not come to it in 30 s");
}

#[tokio::test]
async fn an_address_with_tls_begins_with_a_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", listener.local_addr().unwrap());
    let heard = tokio::spawn(async move {
        let mut first = [0];
        let (mut client, _) = listener.accept().await.unwrap();
        client.read_exact(&mut first).await.unwrap();
        first[0]
    });
    assert!(AnyStore::open(&url).unwrap().sweeps().await.is_err());
    // The type of a TLS record that carries a handshake; a plain client would begin with `*`.
    assert_eq!(heard.await.unwrap(), 0x16);
}
