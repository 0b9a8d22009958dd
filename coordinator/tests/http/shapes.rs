//! Real answers against the API's own description, and the metrics against what the API says.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{FILE, PATIENCE, World, answer, on_both};

/// Holds `answer` against the shape that the description gives for it.
fn check(document: &Value, method: &str, path: &str, status: &str, answer: &Value) {
    let response = &document["paths"][path][method]["responses"][status];
    let content = &response["content"];
    let kind = if status == "default" { "application/problem+json" } else { "application/json" };
    let shape = &content[kind]["schema"];
    assert!(!shape.is_null(), "{method} {path} {status} has no shape: {response}");
    let schema = json!({"allOf": [shape], "components": document["components"]});
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<_> = validator.iter_errors(answer).map(|error| format!("{error}")).collect();
    assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:?}\n{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_have_the_shapes_that_are_described() {
    let world = World::in_memory(&[]).await;
    let document = world.json("/api/v1/openapi.json").await;
    let (_, receipt) = world.submit(FILE).await;
    check(&document, "post", "/api/v1/sweeps", "201", &receipt);
    let problem = answer(world.request(Method::GET, "/api/v1/sweeps/none")).await.1;
    check(&document, "get", "/api/v1/sweeps/{sweep}", "default", &problem);
    let problem = world.submit("name: x").await.1;
    check(&document, "post", "/api/v1/sweeps", "default", &problem);
    let before = world.json("/api/v1/sweeps/small/runs").await;
    check(&document, "get", "/api/v1/sweeps/{sweep}/runs", "200", &before);
    world.train().await;
    let run = before["runs"][0]["run"]["id"].as_str().unwrap();
    for (shape, path) in [
        ("/api/v1/sweeps", "/api/v1/sweeps"),
        ("/api/v1/sweeps/{sweep}", "/api/v1/sweeps/small"),
        ("/api/v1/sweeps/{sweep}/runs", "/api/v1/sweeps/small/runs?results=true"),
        ("/api/v1/sweeps/{sweep}/report", "/api/v1/sweeps/small/report"),
        ("/api/v1/runs/{run}", &format!("/api/v1/runs/{run}")),
        ("/api/v1/runs/{run}/curves", &format!("/api/v1/runs/{run}/curves")),
        ("/api/v1/workers", "/api/v1/workers"),
        ("/api/v1/demand", "/api/v1/demand"),
    ] {
        check(&document, "get", shape, "200", &world.json(path).await);
    }
    let states = world.request(Method::POST, "/api/v1/states").json(&json!([run, "a".repeat(20)]));
    check(&document, "post", "/api/v1/states", "200", &answer(states).await.1);
    let (_, paused) = world.post("/api/v1/sweeps/small/pause").await;
    check(&document, "post", "/api/v1/sweeps/{sweep}/pause", "200", &paused);
    world.end().await;
}

/// The series of a page of metrics.
async fn series(world: &World) -> BTreeMap<String, f64> {
    let text = world.get("/metrics").await.text().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_say_what_the_api_says() {
    on_both(async |world: &World| {
        let (_, receipt) = world.submit(FILE).await;
        let label = format!("small-{}", &receipt["id"].as_str().unwrap()[..6]);
        let until = async |name: String, value: f64| {
            let waiting = async {
                while series(world).await.get(&name) != Some(&value) {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            };
            let shown = tokio::time::timeout(PATIENCE, waiting).await;
            if shown.is_err() {
                panic!("{name} is not {value}: {:#?}", series(world).await);
            }
        };
        let wanted = world.json("/api/v1/demand").await["wanted"].as_f64().unwrap();
        until("sweep_runs_wanted".to_owned(), wanted).await;
        until(format!("sweep_runs{{state=\"queued\",sweep=\"{label}\"}}"), 6.0).await;
        until(format!("sweep_runs_leasable{{sweep=\"{label}\"}}"), 6.0).await;
        // There from the beginning, or the first failure could not be seen as a change.
        let failed = format!("sweep_runs_finished_total{{state=\"failed\",sweep=\"{label}\"}}");
        assert_eq!(series(world).await.get(&failed), Some(&0.0));
        world.train().await;
        until(format!("sweep_runs_started_total{{sweep=\"{label}\"}}"), 6.0).await;
        until(format!("sweep_runs_finished_total{{state=\"succeeded\",sweep=\"{label}\"}}"), 6.0).await;
        until("sweep_runs_wanted".to_owned(), 0.0).await;
        until(format!("sweep_runs{{state=\"succeeded\",sweep=\"{label}\"}}"), 6.0).await;
        let configurations = |name: &str| format!("sweep_configurations{name}{{sweep=\"{label}\"}}");
        until(configurations("_complete"), 2.0).await;
        until(configurations(""), 2.0).await;
        let seen = series(world).await;
        let answered = "sweep_http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/sweeps\",status=\"2xx\"}";
        assert_eq!(seen.get(answered), Some(&1.0));
        assert!(seen.keys().any(|name| name.starts_with("sweep_store_request_duration_seconds_count{op=\"submit\"")));
        assert!(seen.len() < 2000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_have_a_port_of_their_own_without_tokens() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tokens = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(tokens.path(), "read 0123456789abcdef").unwrap();
    let listen = format!("127.0.0.1:{port}");
    let flags = ["--metrics-listen", &listen, "--tokens", &tokens.path().display().to_string()];
    let world = World::in_memory(&flags).await;
    let client = crate::world::client();
    let status = async |path: &str| {
        client.get(format!("http://{listen}{path}")).send().await.unwrap().status()
    };
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(status(path).await, StatusCode::OK, "{path}");
    }
    assert_eq!(status("/api/v1/sweeps").await, StatusCode::NOT_FOUND);
    assert_eq!(world.get("/metrics").await.status(), StatusCode::UNAUTHORIZED);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_texts_are_packed_for_those_who_can_unpack() {
    let world = World::in_memory(&[]).await;
    let asked = async |encoding: &str| {
        let request = world.request(Method::GET, "/api/v1/openapi.json");
        let answer = request.header("accept-encoding", encoding).send().await.unwrap();
        answer.headers().get("content-encoding").map(|how| how.to_str().unwrap().to_owned())
    };
    assert_eq!(asked("gzip").await.as_deref(), Some("gzip"));
    assert_eq!(asked("identity").await, None);
    world.end().await;
}
