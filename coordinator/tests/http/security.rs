//! Who may do what, and that nothing a client sends ends the service or finds a token.

use std::io::Write;
use std::sync::{Arc, Mutex};

use coordinator::service::{ServeError, serve};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sweep_store::AnyStore;
use sweep_store::blobs::Blobs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::world::{FILE, World, answer, flags};

const TOKENS: [(&str, &str); 3] = [
    ("read", "reader-tok-4f1d0a2b"),
    ("submit", "submit-tok-77aa01c9"),
    ("admin", "admins-tok-1e9b55d3"),
];

/// Every route by the smallest role that may use it, written down apart from the code.
const ROLES: &[(&str, &str, &str)] = &[
    ("", "get", "/api/v1/openapi.json"),
    ("", "get", "/healthz"),
    ("", "get", "/readyz"),
    ("read", "get", "/metrics"),
    ("read", "get", "/api/v1/sweeps"),
    ("read", "get", "/api/v1/sweeps/{sweep}"),
    ("read", "get", "/api/v1/sweeps/{sweep}/runs"),
    ("read", "get", "/api/v1/sweeps/{sweep}/report"),
    ("read", "get", "/api/v1/sweeps/{sweep}/events"),
    ("read", "post", "/api/v1/sweeps/{sweep}/reported"),
    ("read", "get", "/api/v1/events"),
    ("read", "get", "/api/v1/runs/{run}"),
    ("read", "get", "/api/v1/runs/{run}/curves"),
    ("read", "post", "/api/v1/states"),
    ("read", "get", "/api/v1/workers"),
    ("read", "get", "/api/v1/demand"),
    ("read", "head", "/api/v1/blobs/{digest}"),
    ("read", "get", "/api/v1/blobs/{digest}"),
    ("submit", "put", "/api/v1/blobs/{digest}"),
    ("submit", "delete", "/api/v1/blobs/{digest}"),
    ("submit", "post", "/api/v1/sweeps"),
    ("submit", "patch", "/api/v1/sweeps/{sweep}"),
    ("submit", "post", "/api/v1/sweeps/{sweep}/pause"),
    ("submit", "post", "/api/v1/sweeps/{sweep}/resume"),
    ("submit", "post", "/api/v1/sweeps/{sweep}/cancel"),
    ("submit", "post", "/api/v1/sweeps/{sweep}/retry"),
    ("admin", "post", "/api/v1/workers/{worker}/drain"),
];

fn token_file() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for (role, token) in TOKENS {
        writeln!(file, "{role} {token}").unwrap();
    }
    file
}

fn rank(role: &str) -> usize {
    ["", "read", "submit", "admin"].iter().position(|known| *known == role).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_asks_for_its_role() {
    let file = token_file();
    let world = World::in_memory(&["--tokens", &file.path().display().to_string()]).await;
    let described = world.json("/api/v1/openapi.json").await;
    let mut known: Vec<_> =
        ROLES.iter().map(|(_, method, path)| format!("{method} {path}")).collect();
    let mut found = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        found.extend(item.as_object().unwrap().keys().map(|method| format!("{method} {path}")));
    }
    known.sort();
    found.sort();
    assert_eq!(known, found, "the description and this table differ");

    let mut credentials = vec![
        ("", None),
        ("", Some("Bearer wrong-tok-00000000".to_owned())),
        ("", Some("Basic cmVhZDpyZWFk".to_owned())),
        ("", Some("Bearer ".to_owned())),
    ];
    credentials.extend(TOKENS.map(|(role, token)| (role, Some(format!("Bearer {token}")))));
    for (needed, method, path) in ROLES {
        let path_asked = path
            .replace("{sweep}", "nothing")
            .replace("{run}", "nothing")
            .replace("{worker}", "nothing")
            .replace("{digest}", &"0".repeat(64));
        let method: Method = method.to_uppercase().parse().unwrap();
        for (role, header) in &credentials {
            let mut request = world.request(method.clone(), &path_asked);
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let answer = request.send().await.unwrap();
            let (status, challenge) =
                (answer.status(), answer.headers().contains_key("www-authenticate"));
            let allowed = rank(role) >= rank(needed);
            let refused =
                if role.is_empty() { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            if allowed {
                assert!(
                    !matches!(status.as_u16(), 401 | 403 | 405),
                    "{method} {path} as `{role}`: {status}"
                );
            } else {
                assert_eq!(status, refused, "{method} {path} as `{role}`");
                assert_eq!(challenge, role.is_empty());
            }
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_others_reach_needs_tokens() {
    let begin = async |listen: &str, more: &[&str]| {
        let blobs = tempfile::tempdir().unwrap();
        let mut args = flags(more);
        args.listen = listen.parse().unwrap();
        let store = AnyStore::open("sqlite::memory:").unwrap();
        let stop = CancellationToken::new();
        let at_once = stop.clone();
        serve(store, Blobs::directory(blobs.path()).unwrap(), args, stop, move |_| at_once.cancel())
            .await
    };
    assert!(matches!(begin("0.0.0.0:0", &[]).await, Err(ServeError::Open { .. })));
    assert!(matches!(begin("[::]:0", &[]).await, Err(ServeError::Open { .. })));
    begin("127.0.0.1:0", &[]).await.unwrap();
    let file = token_file();
    begin("0.0.0.0:0", &["--tokens", &file.path().display().to_string()]).await.unwrap();
    std::fs::write(file.path(), "read short").unwrap();
    let refused = begin("127.0.0.1:0", &["--tokens", &file.path().display().to_string()]).await;
    assert!(matches!(refused, Err(ServeError::Tokens(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tokens_names_and_pages_of_elsewhere_are_refused() {
    let world = World::in_memory(&[]).await;
    let rebound = world.request(Method::GET, "/api/v1/sweeps").header("host", "evil.example");
    assert_eq!(answer(rebound).await.0, StatusCode::FORBIDDEN);
    let page = world
        .request(Method::POST, "/api/v1/sweeps/x/cancel")
        .header("origin", "http://evil.example");
    let (status, problem) = answer(page).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::FORBIDDEN, &Value::from("/problems/origin"))
    );
    world.end().await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_ever_shown() {
    let log = Log::default();
    let writer = log.clone();
    // Whatever other tests of this process log is looked through as well.
    tracing_subscriber::fmt()
        .with_env_filter("trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let file = token_file();
    let world = World::in_memory(&["--tokens", &file.path().display().to_string()]).await;
    let mut shown = String::new();
    for token in TOKENS.map(|(_, token)| token).into_iter().chain(["unknown-tok-999999"]) {
        for path in [
            "/api/v1/sweeps",
            "/api/v1/runs/none",
            "/metrics",
            "/api/v1/workers/none/drain",
            "/none",
            "/api/v1/demand?pool=x",
        ] {
            for method in [Method::GET, Method::POST] {
                let request = world.request(method, path).bearer_auth(token);
                let answer = request.send().await.unwrap();
                shown.push_str(&format!("{:?}", answer.headers()));
                shown.push_str(&answer.text().await.unwrap());
            }
        }
    }
    let admin = TOKENS[2].1;
    let request = world.request(Method::POST, "/api/v1/sweeps").bearer_auth(admin);
    let (status, _) = answer(request.header("content-type", "application/yaml").body(FILE)).await;
    assert_eq!(status, StatusCode::CREATED);
    world.end().await;
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("the coordinator listens"), "nothing was logged");
    for token in TOKENS.map(|(_, token)| token).into_iter().chain(["unknown-tok-999999"]) {
        assert!(!shown.contains(token) && !logged.contains(token), "{token}");
    }
}

/// A fixed row of numbers that looks random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.roll() % 3000;
        (0..length).map(|_| self.roll() as u8).collect()
    }

    /// A sweep file with something else in some places.
    fn mutated(&mut self, text: &str) -> Vec<u8> {
        const ODD: &[&str] = &[
            "&a",
            "*a",
            "[",
            "]",
            "{",
            "}",
            ": ",
            "\n",
            "\t",
            "1e999",
            "-",
            "\u{0}",
            "!!binary",
            "18446744073709551616",
            "null",
            "\"",
            "<<",
            "~",
        ];
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..1 + self.roll() % 4 {
            let at = self.roll() as usize % bytes.len();
            let end = (at + self.roll() as usize % 6).min(bytes.len());
            let odd = ODD[self.roll() as usize % ODD.len()];
            bytes.splice(at..end, odd.bytes());
        }
        bytes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_ends_the_service() {
    let world = World::in_memory(&[]).await;
    let document = r#"{"file":"f","text":"name: x","datasets":[{"name":"d","title":"","classes":["a","b"],"train":[4294967295,4294967295],"val":[1,1],"content":"CCC","split":"CCC","channels":1,"fixed_size":8,"warnings":[]}]}"#
        .replace("CCC", &"0".repeat(64));
    let mut dice = Dice(0x5eed);
    let mut bodies: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"null".to_vec(),
        vec![b'['; 200_000],
        "{\"a\":".repeat(50_000).into_bytes(),
        "a: &a [*a, *a]\n".repeat(1000).into_bytes(),
        "- ".repeat(50_000).into_bytes(),
        document.clone().into_bytes(),
        document.replace("name: x", &FILE.replace('\n', "\\n").replace("digits", "d")).into_bytes(),
    ];
    for _ in 0..60 {
        bodies.push(dice.bytes());
        bodies.push(dice.mutated(FILE));
        bodies.push(dice.mutated(&document));
    }
    for body in bodies {
        for kind in ["application/yaml", "application/json"] {
            for (method, path) in [
                (Method::POST, "/api/v1/sweeps"),
                (Method::POST, "/api/v1/states"),
                (Method::PATCH, "/api/v1/sweeps/x"),
            ] {
                let request =
                    world.request(method, path).header("content-type", kind).body(body.clone());
                let (status, problem) = answer(request).await;
                assert!(
                    status.as_u16() < 500,
                    "{path}: {status} {problem} for {:?}",
                    String::from_utf8_lossy(&body)
                );
                assert_eq!(problem["status"].is_number(), status.is_client_error(), "{problem}");
            }
        }
    }
    assert_eq!(world.get("/healthz").await.status(), StatusCode::OK);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_are_answered_with_problem_documents() {
    let world = World::in_memory(&["--max-body", "2000"]).await;
    world.submit(FILE).await;
    let yaml = |body: String| {
        world.request(Method::POST, "/api/v1/sweeps").header("content-type", "text/yaml").body(body)
    };
    let get = |path: &str| world.request(Method::GET, path);
    let plain = world
        .request(Method::POST, "/api/v1/sweeps")
        .header("content-type", "text/plain")
        .body("x");
    let packed = world
        .request(Method::POST, "/api/v1/sweeps")
        .header("content-type", "text/yaml")
        .header("content-encoding", "gzip")
        .body("x");
    let long = "x".repeat(3000);
    for (request, status, kind) in [
        (get("/nothing"), 404, "route"),
        (get("/api/v1/nothing"), 404, "route"),
        (get("/api/v1/sweeps/none"), 404, "unknown-sweep"),
        (get("/api/v1/sweeps/%ff"), 400, "path"),
        (get("/api/v1/runs/none"), 404, "unknown-run"),
        (get("/api/v1/demand?pool=none"), 404, "unknown-pool"),
        (get("/api/v1/demand?pol=none"), 400, "query"),
        (get("/api/v1/sweeps?limit=0"), 400, "query"),
        (get("/api/v1/sweeps?limit=x"), 400, "query"),
        (get("/api/v1/sweeps?cursor=x"), 400, "query"),
        (get("/api/v1/sweeps/small/runs?cursor=x"), 400, "query"),
        (get("/api/v1/sweeps/small/runs?state=new"), 400, "query"),
        (get("/api/v1/sweeps/small/report?format=pdf"), 400, "query"),
        (world.request(Method::DELETE, "/api/v1/sweeps/small"), 405, "method"),
        (world.request(Method::POST, "/healthz"), 405, "method"),
        (world.request(Method::POST, "/api/v1/workers/none/drain"), 404, "unknown-worker"),
        (plain, 415, "media-type"),
        (packed, 415, "media-type"),
        (yaml(long), 413, "too-large"),
        (yaml("name: x".to_owned()), 422, "sweep-file"),
        (yaml(FILE.replace("digits", "unknown")), 422, "sweep-file"),
        (yaml(FILE.replace("digits", "../../etc/passwd.yaml")), 422, "sweep-file"),
        (
            world
                .request(Method::POST, "/api/v1/sweeps?weight=-1")
                .header("content-type", "text/yaml")
                .body(FILE),
            422,
            "value",
        ),
        (world.request(Method::POST, "/api/v1/states").json(&["x"]), 400, "body"),
    ] {
        let built = request.build().unwrap();
        let shown = format!("{} {}", built.method(), built.url());
        let answer = crate::world::client().execute(built).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{shown}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers()[name], value, "{shown}");
        }
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(
            (problem["status"].as_u64(), problem["type"].as_str()),
            (Some(status), Some(format!("/problems/{kind}").as_str())),
            "{shown}: {problem}"
        );
        assert!(
            problem["detail"].as_str().is_some_and(|text| !text.is_empty())
                && problem["instance"].is_string(),
            "{problem}"
        );
    }
    let (_, problem) = answer(yaml("name: x".to_owned())).await;
    assert_eq!(
        (&problem["errors"][0]["line"], &problem["errors"][0]["column"]),
        (&1.into(), &1.into())
    );
    assert!(problem["detail"].as_str().unwrap().starts_with("sweep.yaml:1:1: "));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_nonsense_and_announced_floods_harm_nothing() {
    let world = World::in_memory(&[]).await;
    let say = async |text: String| {
        let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut head = vec![0; 200];
        let read = stream.read(&mut head).await.unwrap_or(0);
        String::from_utf8_lossy(&head[..read]).into_owned()
    };
    let host = format!("host: {}", world.address);
    let flood = format!(
        "POST /api/v1/sweeps HTTP/1.1\r\n{host}\r\ncontent-type: text/yaml\r\ncontent-length: 18446744073709551615\r\n\r\n"
    );
    let answered = say(flood).await;
    assert!(answered.starts_with("HTTP/1.1 4"), "{answered}");
    let flood = format!(
        "PUT /api/v1/blobs/{} HTTP/1.1\r\n{host}\r\ncontent-length: 99999999999999\r\n\r\n",
        "0".repeat(64)
    );
    assert!(say(flood).await.starts_with("HTTP/1.1 413"));
    let headers = format!("GET /healthz HTTP/1.1\r\n{host}\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert!(say(headers).await.starts_with("HTTP/1.1 431"));
    let answered = say("\u{0}\u{1}nonsense\r\n\r\n".to_owned()).await;
    assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 400"), "{answered}");
    assert_eq!(world.get("/healthz").await.status(), StatusCode::OK);
    world.end().await;
}
