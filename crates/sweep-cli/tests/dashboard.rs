//! `sweep run` serves its dashboard while it trains.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

mod common;

use common::Place;
use common::cluster::Service;

const SWEEP: &str = "name: watched
datasets: [digits]
seeds: 2
baseline: softmax
losses: [softmax, cosine]
model: { backbone: small_cnn }
training: { epochs: 20, batch_size: 10 }
";

/// A page as text, status line first.
fn page(address: &str, path: &str) -> String {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: text/html\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// A run slow enough to be looked at; the address of its pages and the path of its sweep.
fn run(place: &Place, more: &[&str]) -> (Service, String, String) {
    place.write("watched.yaml", SWEEP);
    let args =
        [&["run", "watched.yaml", "--trainer", "fake:epoch_ms=500", "--quiet"], more].concat();
    let service = Service::start(place, &args, "slots)");
    let seen_at = service.address.clone().expect("the first line names the dashboard");
    let (address, path) = seen_at.split_once("/sweeps/").unwrap();
    (service, address.to_owned(), format!("/sweeps/{path}"))
}

#[test]
fn a_run_shows_itself_and_a_second_one_takes_another_port() {
    let (place, other) = (Place::new(), Place::new());
    let (mut first, address, path) = run(&place, &["--listen", "127.0.0.1:0"]);
    let text = page(&address, &path);
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.contains("<h1>watched</h1>") && text.contains("of 4 runs ended"), "{text}");
    // No token is asked for, so only this machine's own names are answered.
    let (mut second, beside, _) = run(&other, &[]);
    assert_ne!(address, beside);
    for service in [&mut first, &mut second] {
        service.signal("INT");
        assert_eq!(service.wait(Duration::from_secs(60)).code(), Some(130));
    }
    assert!(TcpStream::connect(address.trim_start_matches("http://")).is_err(), "it listens on");
}

#[test]
fn a_run_shows_itself_to_this_machine_alone_and_only_where_it_is_wanted() {
    let place = Place::new();
    place.write("watched.yaml", SWEEP);
    let fast = ["run", "watched.yaml", "--trainer", "fake"];
    let refused = place.sweep(&[&fast[..], &["--listen", "0.0.0.0:0"]].concat());
    assert_eq!(refused.status.code(), Some(2));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = place.sweep(&[&fast[..], &["--listen", &address]].concat());
    assert_eq!(refused.status.code(), Some(1));
    let silent = place.sweep(&[&fast[..], &["--no-dashboard"]].concat());
    assert_eq!(silent.status.code(), Some(0));
    assert!(!String::from_utf8_lossy(&silent.stderr).contains("http://"));
}
