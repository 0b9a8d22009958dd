//! Servers that stand still, go away for longer than a lease, or answer nonsense.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use sweep_core::lifecycle::StateName;
use sweep_core::result::DeviceKind;
use sweep_store::{
    AnyStore, Applied, Command, EventCursor, Holder, Lease, Leased, Now, Order, Policy, Progress,
    Reads, RequestId, Store, Wish,
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

use fixtures::{runs, succeeded, sweep};
use server::Server;

/// Short leases, but long enough for a busy machine to beat in time.
fn policy() -> Policy {
    Policy { ttl: Duration::from_secs(3), ..Policy::default() }
}
const BEAT: Duration = Duration::from_millis(400);
/// Longer than a lease, its grace and the patience of the connection.
const OUTAGE: Duration = Duration::from_secs(8);

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

async fn lease(store: &AnyStore, slot: u32) -> Lease {
    match store.lease(Now::Server, &wish(slot, 1), &policy()).await.unwrap() {
        Leased::Lease(lease) => *lease,
        Leased::Nothing { .. } => panic!("there is a run to lease"),
    }
}

/// Repeats a call until the store answers it; what no repeat can help fails the test.
macro_rules! until_answered {
    ($call:expr) => {
        loop {
            match $call.await {
                Ok(answer) => break answer,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
}

/// Six holders beat, one is dead, others ask and reap all the while; in the midst of it `outage`.
async fn live_leases_outlast(server: &mut Server, outage: impl AsyncFnOnce(&mut Server)) {
    let store = AnyStore::open(&server.url("outage")).unwrap();
    store.submit(Now::Server, &sweep("a"), &runs(0..7), true).await.unwrap();
    let dead = lease(&store, 9).await;
    let over = Arc::new(AtomicBool::new(false));
    let beats = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for slot in 0..6 {
        let held = lease(&store, slot).await;
        let (store, over, beats) = (store.clone(), Arc::clone(&over), Arc::clone(&beats));
        tasks.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let progress = Progress::default();
                let order = until_answered!(store.beat(
                    Now::Server,
                    &held.run,
                    held.fence,
                    &progress,
                    &policy()
                ));
                assert_eq!(order, Order::Continue);
                beats.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(BEAT).await;
            }
            let outcome = succeeded();
            let applied = until_answered!(store.finish(
                Now::Server,
                &held.run,
                held.fence,
                &outcome,
                "",
                &policy()
            ));
            assert_ne!(applied, Applied::Stale);
        });
    }
    // Whoever comes first after the outage must not reap: neither a coordinator nor an idle slot.
    let (reaper, ended) = (store.clone(), Arc::clone(&over));
    tasks.spawn(async move {
        while !ended.load(Ordering::Relaxed) {
            until_answered!(reaper.tick(Now::Server, &policy()));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(BEAT).await;
    outage(server).await;
    let before = beats.load(Ordering::Relaxed);
    // The dead holder's lease is reaped as soon as the grace is over: then nobody else's will be any more.
    loop {
        let found = until_answered!(store.run(&dead.run)).unwrap();
        if found.state.name() != StateName::Leased {
            assert_eq!(found.state.tally.losses, 1);
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    over.store(true, Ordering::Relaxed);
    tasks.join_all().await;
    assert!(beats.load(Ordering::Relaxed) > before, "nobody beat after the outage");
    let records = store.results(&sweep("a").id).await.unwrap();
    let ended: Vec<_> =
        records.iter().filter(|record| record.state == StateName::Succeeded).collect();
    assert_eq!(ended.len(), 6);
    assert!(ended.iter().all(|record| record.attempts == 1));
    assert_eq!(store.violations().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_stands_still_for_longer_than_a_lease_costs_no_live_lease() {
    let Some(mut server) = Server::start(&[]) else { return };
    live_leases_outlast(&mut server, async |server| {
        let process = process(server).await;
        signal("STOP", &process);
        tokio::time::sleep(OUTAGE).await;
        signal("CONT", &process);
    })
    .await;
}

#[tokio::test]
async fn a_server_away_for_longer_than_a_lease_costs_no_live_lease() {
    let settings = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut server) = Server::start(&settings) else { return };
    live_leases_outlast(&mut server, async |server| {
        server.crash();
        tokio::time::sleep(OUTAGE).await;
        server.restart();
    })
    .await;
}

/// The server itself, not the shell that watches over it.
async fn process(server: &Server) -> String {
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", server.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
    let id = info.lines().find_map(|line| line.strip_prefix("process_id:")).unwrap();
    id.trim().to_owned()
}

fn signal(name: &str, process: &str) {
    let sent = std::process::Command::new("kill").arg(format!("-{name}")).arg(process).status();
    assert!(sent.unwrap().success());
}

/// Numbers that look random and are the same each time.
struct Dice(AtomicU64);

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        let add = |state: u64| {
            Some(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        };
        let state = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap();
        (state >> 33) % bound
    }
}

/// Passes commands on as they are, and every few replies changes one, then closes: half a reply is no reason to wait.
async fn lying_proxy(to: u16, dice: Arc<Dice>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(
                async move { tokio::io::copy(&mut from_client, &mut to_server).await.is_ok() },
            );
            let dice = Arc::clone(&dice);
            tokio::spawn(async move {
                let mut reply = vec![0; 1 << 16];
                while let Ok(bytes @ 1..) = from_server.read(&mut reply).await {
                    let lies = dice.below(4) == 0;
                    let told =
                        if lies { lie(&reply[..bytes], &dice) } else { reply[..bytes].to_vec() };
                    if to_client.write_all(&told).await.is_err() || lies {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn lie(reply: &[u8], dice: &Dice) -> Vec<u8> {
    let mut told = reply.to_vec();
    let at = |told: &[u8]| dice.below(told.len().max(1) as u64) as usize;
    match dice.below(5) {
        // One byte or several become others.
        0 => told[at(reply)] = dice.below(256) as u8,
        1 => {
            for _ in 0..8 {
                told[at(reply)] = dice.below(256) as u8;
            }
        }
        // Text that still is text: a digit becomes another.
        2 => {
            let digits: Vec<_> = (0..told.len()).filter(|i| told[*i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                told[digits[at(&vec![0; digits.len()])]] = b'0' + dice.below(10) as u8;
            }
        }
        3 => told.truncate(at(reply)),
        _ => {
            let answers: [&[u8]; 8] = [
                b"+OK\r\n",
                b":1\r\n",
                b"$-1\r\n",
                b"*0\r\n",
                b"*-1\r\n",
                b"-ERR no\r\n",
                b"*2\r\n$4\r\ndone\r\n$1\r\nx\r\n",
                b"*1\r\n*1\r\n*1\r\n:7\r\n",
            ];
            told = answers[dice.below(8) as usize].to_vec();
        }
    }
    told
}

#[tokio::test]
async fn replies_that_are_nonsense_are_errors_and_the_client_lives_on() {
    let Some(server) = Server::start(&[]) else { return };
    let dice = Arc::new(Dice(AtomicU64::new(7)));
    let proxy = lying_proxy(server.port, Arc::clone(&dice)).await;
    let honest = AnyStore::open(&server.url("lies")).unwrap();
    let store = AnyStore::open(&format!("redis://{proxy}?namespace=lies")).unwrap();
    honest.submit(Now::Server, &sweep("a"), &runs(0..40), true).await.unwrap();
    let (mut refused, mut answered, policy) = (0, 0, Policy::default());
    let mut held: Option<Lease> = None;
    for n in 0..160 {
        let id = sweep("a").id;
        let fine = match n % 12 {
            0 => store.sweeps().await.is_ok(),
            1 => store.sweep(&id).await.is_ok(),
            2 => store.runs(&id, &[], true, None, 50).await.is_ok(),
            3 => match store.lease(Now::Server, &wish(0, n), &policy).await {
                Ok(Leased::Lease(lease)) => {
                    held = Some(*lease);
                    true
                }
                other => other.is_ok(),
            },
            4 => store.tick(Now::Server, &policy).await.is_ok(),
            5 => store.demand().await.is_ok(),
            6 => store.workers().await.is_ok(),
            7 => store.states(&[runs([1])[0].id.clone()]).await.is_ok(),
            8 => {
                let from = store.event_cursor().await.unwrap_or(EventCursor("3".to_owned()));
                store.events(&from, Duration::ZERO).await.is_ok()
            }
            9 => store.control(Now::Server, &Command::Weight(id, 1.0 + n as f64)).await.is_ok(),
            10 => match &held {
                Some(held) => store
                    .beat(Now::Server, &held.run, held.fence, &Progress::default(), &policy)
                    .await
                    .is_ok(),
                None => store.run(&runs([2])[0].id).await.is_ok(),
            },
            _ => match held.take() {
                Some(held) => store
                    .finish(Now::Server, &held.run, held.fence, &succeeded(), "", &policy)
                    .await
                    .is_ok(),
                None => store.submit(Now::Server, &sweep("a"), &runs(0..40), true).await.is_ok(),
            },
        };
        (refused, answered) = (refused + u32::from(!fine), answered + u32::from(fine));
    }
    assert!(refused > 5 && answered > 5, "{refused} refused, {answered} answered");
    // Nothing of it reached the store.
    assert_eq!(honest.violations().await.unwrap(), Vec::<String>::new());
}
