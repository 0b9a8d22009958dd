//! The life of pods without a cluster: the rendered commands, as processes of the real binaries against a real redis-server.

use std::process::Command;
use std::time::{Duration, Instant};

use chart_tests::{Chart, Objects, root, said};
use serde_json::{Value, json};

use crate::node::{Binaries, Node, PATIENCE, free_port, get, get_with, until};

fn first_try(chart: &Chart, values: &Value) -> Objects {
    chart.render(Some(&chart.ci("first-try")), values).unwrap()
}

#[test]
fn a_pod_that_is_told_to_end_hands_its_run_on_uncharged() {
    let (Some(chart), Some(binaries)) = (Chart::ours(), Binaries::built()) else { return };
    let node = Node::new();
    let objects = first_try(
        &chart,
        &json!({"worker": {"slots": 1, "drainSeconds": 15, "terminationGracePeriodSeconds": 25}}),
    );
    let token = node.secret(&objects, "r-sweep-auth", "submit");

    // Pods start before their Redis: they are alive and not ready.
    let pod = node.container(&objects, "Deployment/r-sweep-coordinator", "coordinator", &binaries);
    let mut coordinator = node.start(pod, node.probes, &[]);
    until("probes are answered", || get(node.probes, "/healthz").is_some());
    assert_eq!(get(node.probes, "/healthz").unwrap().0, 200);
    assert_eq!(get(node.probes, "/readyz").unwrap().0, 503);
    let trainer = ["--trainer", "fake:epoch_ms=300"];
    let metrics = free_port();
    let pod = node.container(&objects, "Deployment/r-sweep-worker", "first", &binaries);
    let mut first = node.start(pod, metrics, &trainer);
    until("a worker's probe is answered", || {
        get(metrics, "/healthz").is_some_and(|page| page.0 == 200)
    });
    let Some(_redis) = node.redis(&objects) else { return };
    until("the coordinator is ready", || {
        get(node.probes, "/readyz").is_some_and(|page| page.0 == 200)
    });
    assert!(
        get(node.probes, "/metrics")
            .unwrap()
            .1
            .contains("sweep_build_info{component=\"coordinator\"")
    );
    assert_eq!(
        get(node.api, "/metrics").unwrap().0,
        401,
        "where an ingress leads a token is asked for"
    );

    let sweep = "name: small\ndatasets: [digits]\nseeds: 3\nbaseline: softmax\nlosses: [softmax]\n\
        model: { backbone: small_cnn }\ntraining: { epochs: 12, batch_size: 10, optimizer: { sgd: { learning_rate: 0.05 } } }\n";
    std::fs::write(node.dir.path().join("small.yaml"), sweep).unwrap();
    node.laptop(&binaries, &token, &["submit", "small.yaml"]).unwrap();
    until("a run in the midst of its epochs", || {
        let page = get(metrics, "/metrics").map(|page| page.1).unwrap_or_default();
        let epochs = page.lines().find_map(|line| line.strip_prefix("sweep_worker_epochs_total "));
        epochs.and_then(|count| count.parse::<u32>().ok()) >= Some(2)
    });

    // As a kubelet does.
    let told = Instant::now();
    first.signal("TERM");
    let grace = Duration::from_secs(25);
    let status = first.wait(grace).expect("it ended within the grace time");
    println!("ended after {:?}", told.elapsed());
    assert!(status.success(), "{status}");
    let runs = node.runs(&binaries, &token);
    assert!(runs.iter().all(|run| run["state"] != "leased"), "{runs:?}");
    let begun: Vec<_> = runs
        .iter()
        .filter(|run| run["state"] == "queued" && run["attempts"].as_u64() >= Some(1))
        .collect();
    assert_eq!(begun.len(), 1, "one run was handed back: {runs:?}");
    let id = begun[0]["run"]["id"].as_str().unwrap().to_owned();

    let pod = node.container(&objects, "Deployment/r-sweep-worker", "second", &binaries);
    let mut second = node.start(pod, free_port(), &["--trainer", "fake"]);
    let ended = |run: &Value| run["state"] == "succeeded";
    until("all runs have ended well", || node.runs(&binaries, &token).iter().all(ended));
    let log = node.laptop(&binaries, &token, &["logs", &id]).unwrap();
    assert!(log.contains("resumed after epoch"), "{log}");
    let (_, run) = get_with(node.api, &format!("/api/v1/runs/{id}"), &token).unwrap();
    let tally = |what: &str| run.contains(what);
    assert!(tally("\"yields\":1") && tally("\"errors\":0") && tally("\"losses\":0"), "{run}");
    for process in [&mut second, &mut coordinator] {
        process.signal("TERM");
        assert!(process.wait(Duration::from_secs(30)).is_some_and(|status| status.success()));
    }
}

#[test]
fn a_pod_of_a_scaled_job_ends_by_itself_when_nothing_is_left() {
    let (Some(chart), Some(binaries)) = (Chart::ours(), Binaries::built()) else { return };
    let node = Node::new();
    let objects =
        first_try(&chart, &json!({"worker": {"kind": "ScaledJob", "exitWhenIdleSeconds": 1}}));
    let Some(_redis) = node.redis(&objects) else { return };
    let pod = node.container(&objects, "ScaledJob/r-sweep-worker", "job", &binaries);
    let mut worker = node.start(pod, free_port(), &["--trainer", "fake"]);
    assert!(worker.wait(PATIENCE).is_some_and(|status| status.success()));
}

/// Whatever a chart gives the binaries, in every leg.
fn given(objects: &Objects) -> impl Iterator<Item = (String, Vec<String>, Vec<String>)> + '_ {
    objects.pods().into_iter().filter_map(|(who, pod)| {
        let container = &pod["spec"]["containers"][0];
        let texts = |of: &Value| -> Vec<String> {
            of.as_array()
                .into_iter()
                .flatten()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        let command = [texts(&container["command"]), texts(&container["args"])].concat();
        if !command[0].starts_with("/usr/local/bin/") {
            return None;
        }
        let names = container["env"].as_array().unwrap().iter();
        let names = names.map(|variable| variable["name"].as_str().unwrap().to_owned());
        Some((who, command, names.filter(|name| name.starts_with("SWEEP_")).collect()))
    })
}

/// What the binaries do not take of what a rendering gives them.
fn unknown(objects: &Objects, binaries: &Binaries) -> Vec<String> {
    let mut unknown = Vec::new();
    for (who, command, variables) in given(objects) {
        // Arguments are read in their order, so that a wrong one is refused before help is given.
        let mut help = Command::new(binaries.at(&command[0]));
        match said(help.args(&command[1..]).arg("--help")) {
            Err(error) => unknown.push(format!("{who}: {error}")),
            Ok(help) => {
                let words: Vec<_> =
                    help.split(|c: char| !c.is_ascii_uppercase() && c != '_').collect();
                let missing = variables.iter().filter(|name| !words.contains(&name.as_str()));
                unknown.extend(missing.map(|name| format!("{who}: {name} is in no help")));
            }
        }
    }
    unknown
}

#[test]
fn the_binaries_know_every_flag_and_variable_of_the_chart() {
    let (Some(chart), Some(binaries)) = (Chart::ours(), Binaries::built()) else { return };
    for leg in ["first-try", "full", "spot"] {
        let objects = chart.render(Some(&chart.ci(leg)), &json!({})).unwrap();
        assert!(given(&objects).count() >= 3, "coordinator, worker and test");
        assert_eq!(unknown(&objects, &binaries), Vec::<String>::new());
    }
    for (from, to) in
        [("--drain-seconds", "--drain-second"), ("SWEEP_METRICS_LISTEN", "SWEEP_METRIC_LISTEN")]
    {
        let (broken, _copy) = chart.with("templates/worker.yaml", from, to);
        assert!(!unknown(&first_try(&broken, &json!({})), &binaries).is_empty(), "not found: {to}");
    }
    // What images start is what the chart starts.
    for (file, path) in [
        ("coordinator/Dockerfile", "/usr/local/bin/coordinator"),
        ("worker/Dockerfile", "/usr/local/bin/sweep"),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(
            text.contains(&format!("ENTRYPOINT [\"{path}\"]")) && text.contains("USER 65532:65532"),
            "{file}"
        );
    }
}
