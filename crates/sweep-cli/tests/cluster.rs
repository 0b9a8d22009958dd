//! The same sweep on several processes: another worker goes on where one was killed, data sets and checkpoints travel by way of the
//! coordinator, roles are asked for, and exit codes say how it ended.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "../../sweep-store/tests/server/mod.rs"]
mod server;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::cluster::{Service, coordinator, worker};
use common::{Place, SMALL};
use serde_json::Value;
use server::Server;

const PATIENCE: Duration = Duration::from_secs(120);

fn redis() -> Option<Server> {
    Server::start(&["--appendonly", "yes"])
}

fn counts(place: &Place, at: &[&str]) -> Value {
    let args = [&["status", "--json"], at].concat();
    let status: Value = serde_json::from_str(&place.expect(0, &args)).unwrap();
    status["counts"].clone()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Long enough to be met in the middle of a training.
fn long() -> String {
    SMALL.replace("epochs: 12", "epochs: 120")
}

#[test]
fn what_one_worker_began_another_ends_bit_for_bit() {
    let Some(redis) = redis() else { return };
    let (place, store) = (Place::new(), redis.url("handover"));
    place.write("small.yaml", long());
    let at = ["--store", &store];
    let _coordinator = coordinator(&place, &store);
    place.expect(0, &[&["submit", "small.yaml"], &at[..]].concat());

    // Asked to stop in the middle of a run: its checkpoint travels.
    let mut first = worker(&place, &store, &["--lease-ms", "1500"]);
    until("a run in training with epochs behind it", || {
        counts(&place, &at)["succeeded"].as_u64() >= Some(1) && counts(&place, &at)["leased"] == 1
    });
    std::thread::sleep(Duration::from_millis(200));
    first.signal("TERM");
    assert!(first.wait(PATIENCE).success());
    let runs: Vec<Value> =
        serde_json::from_str(&place.expect(0, &[&["runs", "small", "--json"], &at[..]].concat()))
            .unwrap();
    let begun = |run: &&Value| run["state"] == "queued" && run["attempts"] == 1;
    assert_eq!(runs.iter().filter(begun).count(), 1, "one run was handed back half-way");

    // Killed: whatever it held is taken over.
    let mut second = worker(&place, &store, &["--lease-ms", "1500"]);
    until("another run in training", || counts(&place, &at)["leased"] == 1);
    std::thread::sleep(Duration::from_millis(300));
    second.kill();
    let _third = worker(&place, &store, &["--lease-ms", "1500", "--slots", "2"]);
    until("the end", || counts(&place, &at)["succeeded"] == 6);
    place.expect(0, &[&["report", "small"], &at[..]].concat());
    let log = runs.iter().find(begun).unwrap()["run"]["id"].as_str().unwrap();
    let log = place.expect(0, &[&["logs", log], &at[..]].concat());
    assert!(log.contains("resumed after epoch"), "{log}");

    let unbroken = Place::new();
    unbroken.write("small.yaml", long());
    unbroken.expect(0, &["run", "small.yaml", "--quiet"]);
    assert_eq!(place.report("small"), unbroken.report("small"));
}

/// Digits under another name, so that workers do not have them built in.
fn own_images(place: &Place) {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweep-data/data");
    let manifest = std::fs::read_to_string(data.join("digits.yaml")).unwrap();
    assert!(manifest.contains("\nname: digits\n") || manifest.starts_with("name: digits\n"));
    place.write("images/own.yaml", manifest.replacen("name: digits", "name: own", 1));
    place.write("images/digits.csv.gz", std::fs::read(data.join("digits.csv.gz")).unwrap());
    place.write("small.yaml", SMALL.replace("[digits]", "[images/own.yaml]"));
}

fn without_times(report: &[u8]) -> Value {
    let mut report: Value = serde_json::from_slice(report).unwrap();
    assert!(report.as_object_mut().unwrap().remove("timing").is_some());
    report
}

fn token_file(place: &Place) -> String {
    for role in ["read", "submit", "admin"] {
        place.write(&format!("tokens/{role}"), format!("a-long-{role}-token-of-tests\n"));
    }
    place.path().join("tokens").display().to_string()
}

fn with_token(place: &Place, role: &str, args: &[&str]) -> Command {
    let mut command = place.command(args);
    command.env("SWEEP_TOKEN", format!("a-long-{role}-token-of-tests"));
    command
}

#[test]
fn images_travel_by_way_of_the_coordinator_and_roles_are_asked_for() {
    let Some(redis) = redis() else { return };
    let (laptop, server, node) = (Place::new(), Place::new(), Place::new());
    let store = redis.url("travel");
    own_images(&laptop);
    let tokens = token_file(&server);
    let listen = ["--listen", "127.0.0.1:0", "--tokens", &tokens];
    let coordinator = Service::start(
        &server,
        &[&["coordinator", "--store", &store], &listen[..]].concat(),
        "http://",
    );
    let address = coordinator.address.clone().unwrap();
    let at = ["--coordinator", &address];

    let submit = [&["submit", "small.yaml"], &at[..]].concat();
    laptop.expect(4, &submit);
    let refused = with_token(&laptop, "read", &submit).output().unwrap();
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("SWEEP_TOKEN") && !said.contains("a-long-read"), "{said}");

    let mut worker = with_token(
        &node,
        "submit",
        &[
            "worker",
            "--store",
            &store,
            "--slots",
            "2",
            "--blobs",
            &address,
            "--exit-when-idle",
            "3600",
        ],
    );
    let worker = Service::spawn(&mut worker, "slots");
    // What others on this machine can see of it.
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", worker.id())).unwrap();
    assert!(!line.contains("a-long"), "{line}");

    let waited = with_token(&laptop, "submit", &[&submit[..], &["--wait", "--quiet"]].concat())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&waited.stdout), String::from_utf8_lossy(&waited.stderr));
    assert_eq!(waited.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("sending own at 8 pixels"), "{err}");
    assert!(out.contains("am_softmax"), "{out}");

    let mut json =
        with_token(&laptop, "read", &[&["compare", "small", "--json"], &at[..]].concat());
    let there = without_times(&json.output().unwrap().stdout);
    let here = Place::new();
    own_images(&here);
    here.expect(0, &["run", "small.yaml", "--quiet"]);
    let here = without_times(here.expect(0, &["compare", "small", "--json"]).as_bytes());
    assert_eq!(there, here);

    // The same again changes nothing, and sends nothing.
    let again =
        with_token(&laptop, "submit", &[&submit[..], &["--json"]].concat()).output().unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&again["runs"]["new"], &again["runs"]["known"]), (&0.into(), &6.into()));
    assert_eq!(again["sent_bytes"], 0);
}

#[test]
fn exit_codes_say_how_a_sweep_ended() {
    let Some(redis) = redis() else { return };
    let (place, store) = (Place::new(), redis.url("codes"));
    place.write("small.yaml", SMALL);
    place.write(
        "other.yaml",
        SMALL.replace("name: small", "name: other").replace("seeds: 3", "seeds: [5]"),
    );
    let at = ["--store", &store];
    let _coordinator = coordinator(&place, &store);
    let wait = |file| [&["submit", file, "--wait", "--quiet"], &at[..]].concat();

    let mut cancelled = Service::spawn(&mut place.command(&wait("other.yaml")), "other");
    place.expect(0, &[&["cancel", "other"], &at[..]].concat());
    assert_eq!(cancelled.wait(PATIENCE).code(), Some(1));

    let mut left = Service::spawn(&mut place.command(&wait("small.yaml")), "small");
    std::thread::sleep(Duration::from_millis(300));
    left.signal("INT");
    assert_eq!(left.wait(PATIENCE).code(), Some(130));
    assert_eq!(counts(&place, &at)["queued"], 6, "the sweep goes on without being watched");

    place.expect(0, &[&["pause", "small"], &at[..]].concat());
    let _worker = worker(&place, &store, &["--trainer", "fake:fail=2", "--lease-ms", "1000"]);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(counts(&place, &at)["queued"], 6, "a paused sweep waits");
    place.expect(0, &[&["resume", "small"], &at[..]].concat());
    place.expect(3, &wait("small.yaml"));
    let failed =
        place.expect(0, &[&["runs", "small", "--state", "failed", "--json"], &at[..]].concat());
    assert_eq!(serde_json::from_str::<Vec<Value>>(&failed).unwrap().len(), 2);

    place.expect(4, &["list", "--store", "redis://127.0.0.1:1"]);
    place.expect(4, &["watch", "small", "--coordinator", "http://127.0.0.1:1"]);
    place.expect(2, &["list", "--coordinator", "127.0.0.1:7878"]);
    place.expect(2, &["coordinator", "--store", &store, "--listen", "0.0.0.0:0"]);
}
