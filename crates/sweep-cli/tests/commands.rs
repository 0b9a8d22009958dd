//! Every command on one finished sweep, and how failures are told.

mod common;

use common::{Place, SMALL};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text)
        .unwrap_or_else(|error| panic!("not one JSON document ({error}): {text}"))
}

#[test]
fn a_finished_sweep_can_be_read_in_every_way() {
    let place = Place::new();
    place.write("small.yaml", SMALL);
    let plan = json(&place.expect(0, &["plan", "small.yaml", "--json"]));
    assert_eq!(plan["runs"]["new"], 6);
    place.expect(0, &["run", "small.yaml", "--trainer", "fake"]);
    let plan = json(&place.expect(0, &["plan", "small.yaml", "--json"]));
    assert_eq!(plan["runs"]["known"], 6);

    assert_eq!(json(&place.expect(0, &["list", "--json"]))[0]["name"], "small");
    assert!(place.expect(0, &["list"]).contains("small"));
    assert_eq!(json(&place.expect(0, &["status", "--json"]))["counts"]["succeeded"], 6);
    assert!(place.expect(0, &["status", "small"]).contains("am_softmax"));

    let runs = json(&place.expect(0, &["runs", "small", "--json"]));
    assert_eq!(runs.as_array().unwrap().len(), 6);
    let table = place.expect(0, &["runs", "small"]);
    assert_eq!(table.lines().count(), 7, "{table}");
    let id = runs[0]["run"]["id"].as_str().unwrap();
    let curves = json(&place.expect(0, &["curves", &id[..10], "--json"]));
    assert_eq!(curves["epochs"].as_array().unwrap().len(), 12);
    assert_eq!(place.expect(0, &["curves", id]).lines().count(), 14);
    assert!(place.expect(0, &["logs", id]).contains("epoch 12:"));

    let compared = json(&place.expect(0, &["compare", "small.yaml", "--json"]));
    assert_eq!(compared["sweep"]["name"], "small");
    assert!(place.expect(0, &["compare", "small"]).contains("softmax"));
    place.expect(0, &["report", "small", "-o", "out"]);
    let html = place.read("out/index.html");
    assert!(
        html.starts_with("<!DOCTYPE html>") && html.contains("<svg") && !html.contains("<script")
    );
    assert!(
        !html.contains("http://") || !html.contains("src=\"http"),
        "the report asks nobody for anything"
    );

    let csv = place.expect(0, &["export", "small", "--format", "csv"]);
    assert_eq!(csv.lines().count(), 7, "{csv}");
    let epochs = place.expect(0, &["export", "small", "--epochs"]);
    assert_eq!(epochs.lines().count(), 1 + 6 * 12);
    assert_eq!(
        json(&place.expect(0, &["export", "small", "--format", "json"])).as_array().unwrap().len(),
        6
    );
    place.expect(0, &["doctor", "small.yaml"]);
    assert!(place.expect(0, &["completions", "bash"]).contains("sweep"));
    assert!(place.expect(0, &["losses", "am_softmax"]).contains("margin"));
    assert_eq!(json(&place.expect(0, &["losses", "--json"])).as_array().unwrap().len(), 15);
    assert!(place.expect(0, &["data", "check", "digits"]).contains("1797"));
}

#[test]
fn failed_runs_are_told_kept_and_can_be_queued_again() {
    let place = Place::new();
    place.write("small.yaml", SMALL);
    let failing = ["run", "small.yaml", "--trainer", "fake:panic=2", "--quiet"];
    // A panic is retried after some seconds; the third one ends the run.
    let output = place.sweep(&failing);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let failed = json(&place.expect(0, &["runs", "small", "--state", "failed", "--json"]));
    assert_eq!(failed.as_array().unwrap().len(), 2);
    assert!(
        failed[0]["error"].as_str().unwrap().contains("panic: the fake trainer panics on seed 2")
    );
    assert_eq!(failed[0]["attempts"], 3);
    assert!(place.read(".sweep/reports/small/index.html").contains("panics on seed 2"));

    place.expect(0, &["retry", "small"]);
    place.expect(0, &["run", "small.yaml", "--trainer", "fake"]);
    assert_eq!(json(&place.expect(0, &["status", "small", "--json"]))["counts"]["succeeded"], 6);
}

#[test]
fn unknown_names_are_wrong_input() {
    let place = Place::new();
    for args in [
        &["status", "nothing"][..],
        &["compare", "nothing"],
        &["losses", "hinge_loss"],
        &["data", "check", "digit"],
        &["run", "none.yaml"],
    ] {
        let output = place.sweep(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
    assert!(!place.path().join(".sweep").exists(), "nothing was made");
}

#[test]
fn an_adaptive_sweep_runs_to_its_last_look_and_stays_there() {
    let place = Place::new();
    place.write(
        "race.yaml",
        SMALL
            .replace("name: small", "name: race")
            .replace("seeds: 3", "adaptive: { max_seeds: 9, look_every: 3, confirm: 2 }"),
    );
    let first = place.expect(0, &["run", "race.yaml", "--trainer", "fake"]);
    let runs = json(&place.expect(0, &["runs", "race", "--json"])).as_array().unwrap().len();
    assert!(runs > 6, "more than the first look was trained: {runs}");
    assert_eq!(place.expect(0, &["run", "race.yaml", "--trainer", "fake"]), first);
    assert_eq!(json(&place.expect(0, &["runs", "race", "--json"])).as_array().unwrap().len(), runs);
}

#[test]
fn a_published_table_is_told_what_it_supports() {
    let place = Place::new();
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sweeps/study_published.yaml");
    let text = place.expect(0, &["report", "--from-table", table]);
    assert!(text.contains("not distinguishable (cannot be, with these counts)"), "{text}");
    json(&place.expect(0, &["report", "--from-table", table, "--json"]));
    place.write("wrong.csv", "data set,n_val\n");
    place.expect(2, &["report", "--from-table", "wrong.csv"]);
}
