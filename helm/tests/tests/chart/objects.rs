//! What is true of every rendering.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chart_tests::{Chart, Objects, name, said, yaml};
use serde_json::{Value, json};

const LEGS: [&str; 3] = ["first-try", "full", "spot"];

fn renderings(chart: &Chart) -> Vec<Objects> {
    let ci = LEGS.iter().map(|leg| chart.render(Some(&chart.ci(leg)), &json!({})).unwrap());
    let least = chart.render(None, &crate::values::least()).unwrap();
    std::iter::once(least).chain(ci).collect()
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// What is not as it should be, in words.
fn faults(objects: &Objects) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    for object in &objects.0 {
        let who = name(object);
        let length = at(object, "/metadata/name").as_str().unwrap().len();
        check(length <= 63, format!("{who}: a name of {length} characters"));
        let labels = at(object, "/metadata/labels").as_object().unwrap();
        for label in ["name", "instance", "component", "version", "managed-by", "part-of"] {
            check(
                labels.contains_key(&format!("app.kubernetes.io/{label}")),
                format!("{who}: {label}"),
            );
        }
        if let Some(selector) = at(object, "/spec/selector/matchLabels").as_object() {
            let immutable =
                ["name", "instance", "component"].map(|l| format!("app.kubernetes.io/{l}"));
            let keys: BTreeSet<_> = selector.keys().cloned().collect();
            check(keys == immutable.into(), format!("{who}: selects by {keys:?}"));
        }
    }
    for (who, pod) in objects.pods() {
        let spec = &pod["spec"];
        let wanted = json!({"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}});
        check(spec["securityContext"] == wanted, format!("{who}: the pod's security context"));
        check(spec["automountServiceAccountToken"] == false, format!("{who}: a token of the API"));
        check(spec["enableServiceLinks"] == false, format!("{who}: variables of Services"));
        let volumes: BTreeSet<_> =
            spec["volumes"].as_array().unwrap().iter().map(|v| v["name"].to_string()).collect();
        let claims = objects
            .get(&who)
            .unwrap()
            .pointer("/spec/volumeClaimTemplates")
            .and_then(Value::as_array);
        let claims =
            claims.into_iter().flatten().map(|claim| claim["metadata"]["name"].to_string());
        let volumes: BTreeSet<_> = volumes.into_iter().chain(claims).collect();
        for volume in spec["volumes"].as_array().unwrap() {
            let bounded = volume.get("emptyDir").is_none_or(|dir| dir["sizeLimit"].is_string());
            check(bounded, format!("{who}: an unbounded {}", volume["name"]));
        }
        for container in spec["containers"].as_array().unwrap() {
            let hard = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
            check(
                container["securityContext"] == hard,
                format!("{who}: the container's security context"),
            );
            check(
                at(container, "/resources/limits/memory").is_string(),
                format!("{who}: no limit of memory"),
            );
            check(
                at(container, "/resources/limits/cpu").is_null(),
                format!("{who}: a limit of CPU"),
            );
            let mounts: BTreeSet<_> = container["volumeMounts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|m| m["name"].to_string())
                .collect();
            check(mounts == volumes, format!("{who}: mounts {mounts:?} of {volumes:?}"));
            for port in container["ports"].as_array().into_iter().flatten() {
                check(port["protocol"] == "TCP", format!("{who}: a port without protocol"));
            }
            let env = container["env"].as_array().into_iter().flatten();
            let names: Vec<_> = env.map(|variable| variable["name"].as_str().unwrap()).collect();
            let distinct: BTreeSet<_> = names.iter().collect();
            check(distinct.len() == names.len(), format!("{who}: a variable twice in {names:?}"));
        }
    }
    faults
}

#[test]
fn every_pod_is_hardened_and_every_object_labelled() {
    let Some(chart) = Chart::ours() else { return };
    for objects in renderings(&chart) {
        assert_eq!(faults(&objects), Vec::<String>::new());
    }
    let planted = [
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        ("enableServiceLinks: false", "enableServiceLinks: true"),
        ("app.kubernetes.io/part-of: sweep", ""),
        (
            "app.kubernetes.io/component: {{ index . 1 }}",
            "app.kubernetes.io/component: {{ index . 1 }}\nextra: x",
        ),
    ];
    for (from, to) in planted {
        let (broken, _copy) = chart.with("templates/_helpers.tpl", from, to);
        let found = broken
            .render(Some(&broken.ci("first-try")), &json!({}))
            .map(|objects| faults(&objects));
        assert!(
            found.is_err() || found.is_ok_and(|faults| !faults.is_empty()),
            "not found: {to:?}"
        );
    }
}

#[test]
fn nothing_of_operators_is_made_unasked() {
    let Some(chart) = Chart::ours() else { return };
    let least = chart.render(None, &crate::values::least()).unwrap();
    let names = least.names();
    let expected = [
        "Deployment/r-sweep-coordinator",
        "Deployment/r-sweep-worker",
        "NetworkPolicy/r-sweep-coordinator",
        "NetworkPolicy/r-sweep-worker",
        "Pod/r-sweep-test",
        "PodDisruptionBudget/r-sweep-coordinator",
        "Secret/r-sweep-auth",
        "Service/r-sweep-coordinator",
    ];
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected.into());
    // A token stands in its Secret alone.
    let token = least.get("Secret/r-sweep-auth").unwrap()["data"]["submit"].as_str().unwrap();
    assert_eq!(least.0.iter().filter(|object| object.to_string().contains(token)).count(), 1);
}

#[test]
fn rules_and_dashboards_ship_as_they_are_tested() {
    let Some(chart) = Chart::ours() else { return };
    let full = chart.render(Some(&chart.ci("full")), &json!({})).unwrap();
    let file = |path: &Path| std::fs::read_to_string(path).unwrap();
    let rule = full.get("PrometheusRule/vision").unwrap();
    assert_eq!(rule["spec"], yaml(&file(&chart.dir.join("rules/rules.yaml"))));
    assert!(rule["spec"].to_string().contains("{{ $labels."), "templates of alerts are left alone");
    let dashboards: Vec<PathBuf> = std::fs::read_dir(chart.dir.join("dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(full.kind("ConfigMap").count(), dashboards.len());
    for path in dashboards {
        let (stem, file_name) = (path.file_stem().unwrap(), path.file_name().unwrap());
        let map = full.get(&format!("ConfigMap/vision-{}", stem.to_string_lossy())).unwrap();
        assert_eq!(map["data"][&*file_name.to_string_lossy()], file(&path));
        assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    }
}

#[test]
fn the_package_holds_the_chart_and_no_tests() {
    let Some(chart) = Chart::ours() else { return };
    let to = tempfile::tempdir().unwrap();
    said(chart.helm(&["package", ".", "-d"]).arg(to.path())).unwrap();
    let list =
        said(std::process::Command::new("tar").arg("tzf").arg(to.path().join("sweep-0.1.0.tgz")))
            .unwrap();
    let files: BTreeSet<_> =
        list.lines().map(|line| line.strip_prefix("sweep/").unwrap()).collect();
    for file in [
        "README.md",
        "values.schema.json",
        "rules/rules.yaml",
        "dashboards/sweep-overview.json",
        "templates/tests/ready.yaml",
    ] {
        assert!(files.contains(file), "{file} is missing of {files:?}");
    }
    assert!(
        !files.iter().any(|file| file.starts_with("ci/") || file.contains("_test.")),
        "{files:?}"
    );
}

#[test]
fn workers_that_follow_the_queue_do_so_as_keda_wants() {
    let Some(chart) = Chart::ours() else { return };
    let spot = chart.render(Some(&chart.ci("spot")), &json!({})).unwrap();
    let job = spot.get("ScaledJob/r-sweep-worker").unwrap();
    assert_eq!(at(job, "/spec/rollout/strategy"), "gradual");
    assert_eq!(at(job, "/spec/jobTargetRef/backoffLimit"), 0);
    assert_eq!(at(job, "/spec/jobTargetRef/template/spec/restartPolicy"), "Never");
    assert_eq!(
        at(job, "/spec/triggers/0/metadata/url"),
        "http://r-sweep-coordinator.demo.svc:8080/api/v1/demand?pool=cuda"
    );
    assert_eq!(at(job, "/spec/triggers/0/metadata/valueLocation"), "wanted");
    let grace = at(job, "/spec/jobTargetRef/template/spec/terminationGracePeriodSeconds");
    assert_eq!(grace, 25);
    // Its token reads and no more.
    let ask = spot.get(&format!(
        "TriggerAuthentication/{}",
        at(job, "/spec/triggers/0/authenticationRef/name").as_str().unwrap()
    ));
    assert_eq!(
        at(ask.unwrap(), "/spec/secretTargetRef"),
        &json!([{"parameter": "token", "name": "r-sweep-auth", "key": "read"}])
    );
    let full = chart.render(Some(&chart.ci("full")), &json!({})).unwrap();
    let job = full.get("ScaledJob/vision-worker").unwrap();
    assert_eq!(at(job, "/spec/triggers/0/metadata/targetValue"), "2", "as many runs as slots");
    let limits = at(job, "/spec/jobTargetRef/template/spec/containers/0/resources");
    assert_eq!(
        (
            &limits["limits"]["nvidia.com/mig-1g.10gb"],
            &limits["requests"]["nvidia.com/mig-1g.10gb"]
        ),
        (&json!("1"), &json!("1"))
    );
}

#[test]
fn metrics_are_not_on_the_service_that_an_ingress_shows() {
    let Some(chart) = Chart::ours() else { return };
    let full = chart.render(Some(&chart.ci("full")), &json!({})).unwrap();
    let service = full.get("Service/vision-coordinator").unwrap();
    assert_eq!(
        at(service, "/spec/ports"),
        &json!([{"name": "http", "port": 443, "targetPort": "http", "protocol": "TCP"}])
    );
    let monitor = full.get("ServiceMonitor/vision-coordinator").unwrap();
    let selected = full.get("Service/vision-coordinator-metrics").unwrap();
    let (wanted, labels) = (
        at(monitor, "/spec/selector/matchLabels").as_object().unwrap(),
        &selected["metadata"]["labels"],
    );
    assert!(wanted.iter().all(|(key, value)| labels[key] == *value), "{labels}");
    assert!(
        !wanted.iter().all(|(key, value)| service["metadata"]["labels"][key] == *value),
        "only that Service"
    );
    let pods = full.get("Deployment/vision-coordinator").unwrap();
    let selector = at(selected, "/spec/selector").as_object().unwrap();
    assert!(
        selector
            .iter()
            .all(|(key, value)| at(pods, "/spec/template/metadata/labels")[key] == *value)
    );
}

#[test]
fn notes_warn_of_what_is_for_a_first_try_only() {
    let Some(chart) = Chart::ours() else { return };
    let notes = |leg, values| chart.notes(&chart.ci(leg), &values).unwrap();
    let first = notes("first-try", json!({}));
    assert!(
        first.contains("WARNING: the embedded Redis")
            && first.contains("port-forward service/r-sweep-coordinator"),
        "{first}"
    );
    assert!(!notes("spot", json!({})).contains("WARNING"));
    assert!(
        notes("spot", json!({"keda": {"minReplicas": 2}}))
            .contains("WARNING: keda.minReplicas is 2")
    );
}
