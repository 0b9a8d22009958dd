//! Events as they happen: filtered, resumed, over two coordinators, over a coordinator that is killed.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use eventsource_stream::{Event, Eventsource};
use futures_util::{Stream, StreamExt};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sweep_store::{AnyStore, EventCursor, Events, Now, Store};

use crate::server::Server;
use crate::world::{FILE, PATIENCE, World, client, on_both};

/// The events of a stream; its end ends them.
async fn follow(
    client: &Client,
    url: &str,
    after: Option<&str>,
) -> impl Stream<Item = Event> + use<> {
    let mut request = client.get(url);
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    answer
        .bytes_stream()
        .eventsource()
        .take_while(|event| std::future::ready(event.is_ok()))
        .filter_map(async |event| event.ok())
}

async fn next(stream: &mut (impl Stream<Item = Event> + Unpin)) -> Event {
    tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("no event comes")
        .expect("the stream ended")
}

/// Everything the store has to tell, by cursor.
async fn all(store: &AnyStore) -> Vec<String> {
    let (mut cursor, mut found) = (EventCursor("0".to_owned()), Vec::new());
    loop {
        match store.events(&cursor, Duration::ZERO).await.unwrap() {
            Events::Some { events, .. } if events.is_empty() => return found,
            Events::Some { events, cursor: after } => {
                found.extend(events.into_iter().map(|event| event.cursor.0));
                cursor = after;
            }
            Events::Reset => panic!("events are gone"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_what_happens_and_goes_on_where_it_stopped() {
    on_both(async |world: &World| {
        let client = client();
        let mut live = Box::pin(follow(&client, &world.url("/api/v1/events"), None).await);
        let (_, receipt) = world.submit(FILE).await;
        let first = next(&mut live).await;
        assert_eq!(first.event, "submitted");
        let data: Value = serde_json::from_str(&first.data).unwrap();
        assert_eq!(
            (&data["cursor"], &data["kind"]),
            (&json!(first.id), &json!({"submitted": {"sweep": receipt["id"]}}))
        );
        world
            .submit(&FILE.replace("name: small", "name: second").replace("seeds: 3", "seeds: [8]"))
            .await;
        world.train().await;

        // From the beginning, from the middle, from the end: each event once and in order.
        let expected = all(&world.store).await;
        for at in [0, 3, expected.len() - 1] {
            let after = if at == 0 { "0" } else { &expected[at - 1] };
            let mut stream =
                Box::pin(follow(&client, &world.url("/api/v1/events"), Some(after)).await);
            for cursor in &expected[at..] {
                assert_eq!(next(&mut stream).await.id, *cursor);
            }
        }
        // One sweep alone.
        let url = world.url("/api/v1/sweeps/second/events?after=0");
        let mut stream = Box::pin(follow(&client, &url, None).await);
        assert_eq!(next(&mut stream).await.event, "submitted");
        for _ in 0..2 * (1 + 2 + 1) - 1 {
            let event = next(&mut stream).await;
            let data: Value = serde_json::from_str(&event.data).unwrap();
            let about = data["kind"]["run"]["sweeps"]
                .as_array()
                .or(data["kind"]["epoch"]["sweeps"].as_array());
            if let Some(about) = about {
                assert_eq!(about.len(), 1, "{data}");
            }
            if data["kind"]["run"]["state"] == "succeeded" {
                break;
            }
        }
        // What nobody knows begins anew.
        for nonsense in ["99999999", "x"] {
            let mut stream =
                Box::pin(follow(&client, &world.url("/api/v1/events"), Some(nonsense)).await);
            let reset = next(&mut stream).await;
            assert_eq!((reset.event.as_str(), &reset.id), ("reset", expected.last().unwrap()));
            world.post("/api/v1/sweeps/small/reported").await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_coordinators_on_one_store_show_the_same() {
    let Some(server) = Server::start(&[]) else { return };
    let url = server.url("pair");
    let blobs = tempfile::tempdir().unwrap();
    let one = World::beside(AnyStore::open(&url).unwrap(), blobs.path().to_owned(), &[]).await;
    let two = World::beside(AnyStore::open(&url).unwrap(), blobs.path().to_owned(), &[]).await;
    let client = client();
    let mut live = Box::pin(follow(&client, &two.url("/api/v1/events?after=0"), None).await);
    // The same file at the same time: one sweep, each run once.
    let ((a, first), (b, second)) = tokio::join!(one.submit(FILE), two.submit(FILE));
    assert!(a.is_success() && b.is_success());
    assert_eq!(first["id"], second["id"]);
    let new = |receipt: &Value| receipt["runs"]["new"].as_u64().unwrap();
    assert_eq!(new(&first) + new(&second), 6);
    one.train().await;
    for path in [
        "/api/v1/sweeps",
        "/api/v1/demand",
        "/api/v1/sweeps/small/runs?results=true",
        "/api/v1/sweeps/small/report",
    ] {
        assert_eq!(one.json(path).await, two.json(path).await);
    }
    for cursor in all(&one.store).await {
        assert_eq!(next(&mut live).await.id, cursor);
    }
    assert_eq!(one.store.violations().await.unwrap(), Vec::<String>::new());
    one.end().await;
    two.end().await;
}

/// The real binary; killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn coordinator(store: &str, port: u16, blobs: &std::path::Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coordinator"));
    command
        .args(["--store", store, "--listen", &format!("127.0.0.1:{port}"), "--blobs"])
        .arg(blobs);
    Process(
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_goes_on_without_gap_or_repeat_over_a_killed_coordinator() {
    let Some(server) = Server::start(&[]) else { return };
    let store = AnyStore::open(&server.url("killed")).unwrap();
    let blobs = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // A second coordinator in this process keeps things happening while the first is gone.
    let beside = World::beside(store.clone(), blobs.path().to_owned(), &[]).await;
    let (_, receipt) = beside.submit(FILE).await;
    let sweep: sweep_core::ids::SweepId = receipt["id"].as_str().unwrap().parse().unwrap();
    let weight = std::sync::atomic::AtomicU32::new(1);
    let happen = async || {
        let weight = f64::from(weight.fetch_add(1, Ordering::Relaxed) + 1);
        let moved = sweep_store::Command::Weight(sweep.clone(), weight);
        store.control(Now::Server, &moved).await.unwrap();
    };

    let (client, url) = (client(), format!("http://127.0.0.1:{port}/api/v1/events"));
    let (mut last, mut seen) = ("0".to_owned(), Vec::new());
    for _ in 0..3 {
        let process = coordinator(&server.url("killed"), port, blobs.path());
        let up = async {
            while !client
                .get(format!("http://127.0.0.1:{port}/readyz"))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, up).await.expect("the coordinator does not start");
        let mut stream = Box::pin(follow(&client, &url, Some(&last)).await);
        for _ in 0..10 {
            happen().await;
        }
        for _ in 0..8 {
            let event = next(&mut stream).await;
            assert_ne!(event.event, "reset");
            last.clone_from(&event.id);
            seen.push(event.id);
        }
        // kill -9, with events on the way.
        drop(process);
        happen().await;
        while let Some(event) = stream.next().await {
            last.clone_from(&event.id);
            seen.push(event.id);
        }
    }
    let expected = all(&store).await;
    assert!(seen.len() >= 24);
    assert_eq!(seen, expected[..seen.len()]);
    beside.end().await;
}
