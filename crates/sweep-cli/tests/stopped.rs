//! Ctrl-C, going on, and the third time that trains nothing and prints the same bytes.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Place, SMALL};

fn interrupt(pid: u32) {
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn ctrl_c_then_the_same_command_then_the_same_bytes() {
    let place = Place::new();
    // Long enough to be met in the middle of a training, short enough to finish below.
    place.write("small.yaml", SMALL.replace("epochs: 12", "epochs: 150"));
    let mut child = place
        .command(&["run", "small.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its first line says that training begins, and that signals will soon be heard.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("slots") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    std::thread::sleep(Duration::from_millis(800));
    interrupt(child.id());
    stderr.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    assert!(output.stdout.is_empty());

    let runs: serde_json::Value =
        serde_json::from_str(&place.expect(0, &["runs", "small", "--json"])).unwrap();
    let queued = runs.as_array().unwrap().iter().filter(|run| run["state"] == "queued").count();
    assert!(queued > 0, "the sweep was stopped before its end");

    let second = place.expect(0, &["run", "small.yaml"]);
    let attempts = |place: &Place| {
        let runs: serde_json::Value =
            serde_json::from_str(&place.expect(0, &["runs", "small", "--json"])).unwrap();
        runs.as_array().unwrap().iter().map(|run| run["attempts"].as_u64().unwrap()).sum::<u64>()
    };
    let attempts_then = attempts(&place);
    let third = place.expect(0, &["run", "small.yaml"]);
    assert_eq!(second, third);
    assert_eq!(attempts(&place), attempts_then, "nothing was trained the third time");

    let unbroken = Place::new();
    unbroken.write("small.yaml", SMALL.replace("epochs: 12", "epochs: 150"));
    unbroken.expect(0, &["run", "small.yaml"]);
    assert_eq!(
        place.report("small"),
        unbroken.report("small"),
        "a yielded training ends as an unbroken one"
    );
}
