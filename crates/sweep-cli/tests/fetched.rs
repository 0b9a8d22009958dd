//! Weights and archives at an address: fetched once, verified, refused; and `sweep check`, which fetches nothing.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::Place;

/// A state dict that torch wrote; of a network that is none of ours.
const TINY: &[u8] = include_bytes!("../../sweep-train/tests/fixtures/tiny.pth");

/// Gives the same bytes to whoever asks; ends with the test's process.
struct Server {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn new(body: &'static [u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let _head: Vec<_> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                count.fetch_add(1, Ordering::SeqCst);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                // A client that goes away is no concern of the server.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A port where nobody listens.
fn silent_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// With a cache of its own.
fn sweep(place: &Place, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = place.command(args);
    command.env("SWEEP_CACHE", place.path().join("cache"));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn with_weights(place: &Place, port: u16) {
    let text = format!(
        "name: fetched\ndatasets: [digits]\nseeds: 1\nlosses: [softmax]\nmodel: {{ backbone: resnet18, weights: 'http://127.0.0.1:{port}/tiny.pth' }}\ntraining: {{ epochs: 1, batch_size: 25 }}\n"
    );
    place.write("fetched.yaml", text);
}

fn with_archive(place: &Place, port: u16, more: &str) {
    let manifest = format!(
        "name: far\nclasses: [a, b]\nsource: {{ archive: {{ url: 'http://127.0.0.1:{port}/far.zip'{more} }} }}\nlayout: folder_per_class\nsplit: {{ stratified: {{ train: 0.5, seed: 1 }} }}\n"
    );
    place.write("datasets/far.yaml", manifest);
    place.write(
        "far.yaml",
        "name: far\ndatasets: [far]\nseeds: 1\nlosses: [softmax]\nmodel: { backbone: resnet18 }\ntraining: { epochs: 1, batch_size: 2, image_size: 32 }\n",
    );
}

#[test]
fn weights_at_an_address_are_fetched_once_and_not_by_check() {
    let (place, server) = (Place::new(), Server::new(TINY));
    with_weights(&place, server.port);
    let (code, said, error) = sweep(&place, &["check", "fetched.yaml"]);
    assert_eq!((code, server.asked()), (Some(0), 0), "{error}");
    assert!(said.contains("not here yet") && said.contains("/tiny.pth"), "{said}");
    for _ in 0..2 {
        let (code, said, error) = sweep(&place, &["plan", "fetched.yaml"]);
        assert_eq!((code, server.asked()), (Some(0), 1), "{said}{error}");
    }
    let (code, said, _) = sweep(&place, &["check", "fetched.yaml"]);
    assert!(code == Some(0) && said.contains("1 runs"), "{said}");
    // What came is a state dict, but not one of a resnet18: its tensors are named.
    let (code, _, error) = sweep(&place, &["run", "fetched.yaml", "--quiet"]);
    assert!(code != Some(0), "{error}");
    let (_, runs, _) = sweep(&place, &["runs", "fetched", "--json"]);
    assert!((runs + &error).contains("conv1.weight"), "{error}");
}

#[test]
fn an_address_that_nobody_serves_ends_with_exit_code_4() {
    let place = Place::new();
    let port = silent_port();
    with_weights(&place, port);
    let (code, _, error) = sweep(&place, &["plan", "fetched.yaml"]);
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("127.0.0.1"), "{error}");
    with_archive(
        &place,
        port,
        ", sha256: '0000000000000000000000000000000000000000000000000000000000000000'",
    );
    let (code, said, error) = sweep(&place, &["check", "far.yaml"]);
    assert!(code == Some(0) && said.contains("not here yet"), "{said}{error}");
    let (code, _, error) = sweep(&place, &["plan", "far.yaml"]);
    assert_eq!(code, Some(4), "{error}");
}

#[test]
fn an_archive_with_another_hash_is_wrong_input() {
    let (place, server) = (Place::new(), Server::new(TINY));
    with_archive(
        &place,
        server.port,
        ", bytes: 3597, sha256: '0000000000000000000000000000000000000000000000000000000000000000'",
    );
    let (code, said, error) = sweep(&place, &["check", "far.yaml"]);
    assert_eq!((code, server.asked()), (Some(0), 0), "{said}{error}");
    assert!(said.contains("0.0 MB"), "the manifest says how much would be fetched: {said}");
    let (code, _, error) = sweep(&place, &["plan", "far.yaml"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("00000000"), "{error}");
}
