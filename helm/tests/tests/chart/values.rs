//! Every value has an effect, stands in the schema and in the README.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chart_tests::{Chart, yaml};
use serde_json::{Value, json};

/// A store and blobs, and nothing else.
const LEAST: &str = "least";

/// A value, the values file over which it is set, what to set, and what then stands in `Kind/name`, but did not before.
#[rustfmt::skip]
fn effects() -> Vec<(&'static str, &'static str, Value, &'static str, &'static str)> {
    let digest = format!("sha256:{}", "2".repeat(64));
    vec![
        ("nameOverride", LEAST, json!("other"), "Service/r-other-coordinator", r#""app.kubernetes.io/name":"other""#),
        ("fullnameOverride", LEAST, json!("whole"), "Service/whole-coordinator", r#""whole-coordinator""#),
        ("pool", LEAST, json!("a100"), "Deployment/r-sweep-worker", r#"{"name":"SWEEP_POOL","value":"a100"}"#),
        ("log", LEAST, json!("debug"), "Deployment/r-sweep-coordinator", r#"{"name":"SWEEP_LOG","value":"debug"}"#),
        ("image.registry", LEAST, json!("here.example.org/x"), "Deployment/r-sweep-worker", r#""image":"here.example.org/x/sweep-worker:0.1.0""#),
        ("image.pullPolicy", LEAST, json!("Always"), "Deployment/r-sweep-worker", r#""imagePullPolicy":"Always""#),
        ("image.pullSecrets", LEAST, json!(["login"]), "Deployment/r-sweep-worker", r#""imagePullSecrets":[{"name":"login"}]"#),
        ("image.coordinator.repository", LEAST, json!("mine"), "Deployment/r-sweep-coordinator", r#""image":"mine:0.1.0""#),
        ("image.coordinator.tag", LEAST, json!("9"), "Deployment/r-sweep-coordinator", r#""image":"sweep-coordinator:9""#),
        ("image.coordinator.digest", LEAST, json!(digest), "Deployment/r-sweep-coordinator", r#""image":"sweep-coordinator@sha256:2222"#),
        ("image.worker.repository", LEAST, json!("mine"), "Deployment/r-sweep-worker", r#""image":"mine:0.1.0""#),
        ("image.worker.tag", LEAST, json!("9"), "Deployment/r-sweep-worker", r#""image":"sweep-worker:9""#),
        ("image.worker.digest", LEAST, json!(digest), "Deployment/r-sweep-worker", r#""image":"sweep-worker@sha256:2222"#),
        ("redis.url", LEAST, json!("rediss://x:1"), "Deployment/r-sweep-worker", r#"{"name":"SWEEP_STORE","value":"rediss://x:1"}"#),
        ("redis.passwordSecret.name", LEAST, json!("hush"), "Deployment/r-sweep-worker", r#""items":[{"key":"password","path":"password"}],"secretName":"hush""#),
        ("redis.passwordSecret.key", "full", json!("word"), "ScaledJob/vision-worker", r#"{"key":"word","path":"password"}"#),
        ("redis.existingSecret", "spot", json!("hush"), "Deployment/r-sweep-coordinator", r#""secretKeyRef":{"key":"url","name":"hush"}"#),
        ("redis.existingSecretKey", "spot", json!("word"), "Deployment/r-sweep-coordinator", r#""secretKeyRef":{"key":"word","name":"sweep-store"}"#),
        ("redis.embedded.enabled", LEAST, json!(true), "Deployment/r-sweep-worker", "redis://r-sweep-redis:6379?password_file=/etc/sweep/redis/password"),
        ("redis.embedded.image", "first-try", json!("valkey:8"), "StatefulSet/r-sweep-redis", r#""image":"valkey:8""#),
        ("redis.embedded.storage", "first-try", json!("7Gi"), "StatefulSet/r-sweep-redis", r#""storage":"7Gi""#),
        ("redis.embedded.storageClassName", "first-try", json!("fast"), "StatefulSet/r-sweep-redis", r#""storageClassName":"fast""#),
        ("redis.embedded.resources", "first-try", json!({"limits": {"memory": "3Gi"}}), "StatefulSet/r-sweep-redis", r#""memory":"3Gi""#),
        ("auth.existingSecret", LEAST, json!("mine"), "Deployment/r-sweep-coordinator", r#""secretName":"mine""#),
        ("blobs.url", LEAST, json!("az://x/y"), "Deployment/r-sweep-worker", r#"{"name":"SWEEP_BLOBS","value":"az://x/y"}"#),
        ("blobs.existingSecret", LEAST, json!("keys"), "Deployment/r-sweep-worker", r#""envFrom":[{"secretRef":{"name":"keys"}}]"#),
        ("blobs.persistence.enabled", LEAST, json!(true), "Deployment/r-sweep-worker", r#"{"name":"SWEEP_BLOBS","value":"http://r-sweep-coordinator:8080"}"#),
        ("blobs.persistence.size", "first-try", json!("9Gi"), "PersistentVolumeClaim/r-sweep-coordinator", r#""storage":"9Gi""#),
        ("blobs.persistence.storageClassName", "first-try", json!("fast"), "PersistentVolumeClaim/r-sweep-coordinator", r#""storageClassName":"fast""#),
        ("blobs.persistence.existingClaim", "first-try", json!("mine"), "Deployment/r-sweep-coordinator", r#""claimName":"mine""#),
        ("serviceAccount.create", LEAST, json!(true), "ServiceAccount/r-sweep", r#""automountServiceAccountToken":false"#),
        ("serviceAccount.name", LEAST, json!("me"), "Deployment/r-sweep-worker", r#""serviceAccountName":"me""#),
        ("serviceAccount.annotations", "full", json!({"a": "b"}), "ServiceAccount/vision", r#""a":"b""#),
        ("coordinator.replicas", LEAST, json!(3), "Deployment/r-sweep-coordinator", r#""replicas":3"#),
        ("coordinator.resources", LEAST, json!({"limits": {"memory": "3Gi"}}), "Deployment/r-sweep-coordinator", r#""memory":"3Gi""#),
        ("coordinator.service.type", LEAST, json!("NodePort"), "Service/r-sweep-coordinator", r#""type":"NodePort""#),
        ("coordinator.service.port", LEAST, json!(81), "Service/r-sweep-coordinator", r#""port":81"#),
        ("coordinator.service.annotations", LEAST, json!({"a": "b"}), "Service/r-sweep-coordinator", r#""annotations":{"a":"b"}"#),
        ("coordinator.podDisruptionBudget.enabled", LEAST, json!(false), "PodDisruptionBudget/r-sweep-coordinator", ""),
        ("coordinator.extraArgs", LEAST, json!(["--max-body=1"]), "Deployment/r-sweep-coordinator", r#""args":["--max-body=1"]"#),
        ("coordinator.extraEnv", LEAST, json!([{"name": "A", "value": "b"}]), "Deployment/r-sweep-coordinator", r#"{"name":"A","value":"b"}"#),
        ("coordinator.podAnnotations", LEAST, json!({"a": "b"}), "Deployment/r-sweep-coordinator", r#""a":"b""#),
        ("coordinator.nodeSelector", LEAST, json!({"a": "b"}), "Deployment/r-sweep-coordinator", r#""nodeSelector":{"a":"b"}"#),
        ("coordinator.tolerations", LEAST, json!([{"key": "k"}]), "Deployment/r-sweep-coordinator", r#""tolerations":[{"key":"k"}]"#),
        ("coordinator.affinity", LEAST, json!({"nodeAffinity": {}}), "Deployment/r-sweep-coordinator", r#""affinity":{"nodeAffinity":{}}"#),
        ("coordinator.priorityClassName", LEAST, json!("high"), "Deployment/r-sweep-coordinator", r#""priorityClassName":"high""#),
        ("worker.kind", LEAST, json!("ScaledJob"), "ScaledJob/r-sweep-worker", r#""restartPolicy":"Never""#),
        ("worker.replicas", LEAST, json!(3), "Deployment/r-sweep-worker", r#""replicas":3"#),
        ("worker.device", LEAST, json!("cuda:1"), "Deployment/r-sweep-worker", "--device=cuda:1"),
        ("worker.slots", LEAST, json!(4), "Deployment/r-sweep-worker", "--slots=4"),
        ("worker.drainSeconds", LEAST, json!(7), "Deployment/r-sweep-worker", "--drain-seconds=7"),
        ("worker.terminationGracePeriodSeconds", LEAST, json!(170), "Deployment/r-sweep-worker", r#""terminationGracePeriodSeconds":170"#),
        ("worker.exitWhenIdleSeconds", "spot", json!(77), "ScaledJob/r-sweep-worker", "--exit-when-idle=77"),
        ("worker.gpu.resourceName", LEAST, json!("nvidia.com/gpu.shared"), "Deployment/r-sweep-worker", r#""nvidia.com/gpu.shared":"1""#),
        ("worker.gpu.count", LEAST, json!(2), "Deployment/r-sweep-worker", r#""nvidia.com/gpu":"2""#),
        ("worker.runtimeClassName", LEAST, json!("nvidia"), "Deployment/r-sweep-worker", r#""runtimeClassName":"nvidia""#),
        ("worker.cache.fetchedGB", LEAST, json!(5), "Deployment/r-sweep-worker", "--cache-gb=5"),
        ("worker.cache.sizeLimit", LEAST, json!("9Gi"), "Deployment/r-sweep-worker", r#"{"emptyDir":{"sizeLimit":"9Gi"},"name":"cache"}"#),
        ("worker.cache.existingClaim", LEAST, json!("mine"), "Deployment/r-sweep-worker", r#""claimName":"mine""#),
        ("worker.resources", LEAST, json!({"limits": {"memory": "3Gi"}}), "Deployment/r-sweep-worker", r#""memory":"3Gi","nvidia.com/gpu":"1""#),
        ("worker.extraArgs", LEAST, json!(["--trainer=fake"]), "Deployment/r-sweep-worker", "--trainer=fake"),
        ("worker.extraEnv", LEAST, json!([{"name": "A", "value": "b"}]), "Deployment/r-sweep-worker", r#"{"name":"A","value":"b"}"#),
        ("worker.podAnnotations", LEAST, json!({"a": "b"}), "Deployment/r-sweep-worker", r#""a":"b""#),
        ("worker.nodeSelector", LEAST, json!({"a": "b"}), "Deployment/r-sweep-worker", r#""nodeSelector":{"a":"b"}"#),
        ("worker.tolerations", LEAST, json!([{"key": "k"}]), "Deployment/r-sweep-worker", r#""tolerations":[{"key":"k"}]"#),
        ("worker.affinity", LEAST, json!({"nodeAffinity": {}}), "Deployment/r-sweep-worker", r#""affinity":{"nodeAffinity":{}}"#),
        ("worker.priorityClassName", LEAST, json!("low"), "Deployment/r-sweep-worker", r#""priorityClassName":"low""#),
        ("keda.namespace", "full", json!("autoscale"), "NetworkPolicy/vision-coordinator", r#""kubernetes.io/metadata.name":"autoscale""#),
        ("keda.pollingInterval", "spot", json!(61), "ScaledJob/r-sweep-worker", r#""pollingInterval":61"#),
        ("keda.minReplicas", "spot", json!(2), "ScaledJob/r-sweep-worker", r#""minReplicaCount":2"#),
        ("keda.maxReplicas", "spot", json!(5), "ScaledJob/r-sweep-worker", r#""maxReplicaCount":5"#),
        ("keda.runsPerPod", "spot", json!(9), "ScaledJob/r-sweep-worker", r#""targetValue":"9""#),
        ("networkPolicy.enabled", LEAST, json!(false), "NetworkPolicy/r-sweep-coordinator", ""),
        ("networkPolicy.ingressFrom", LEAST, json!([{"ipBlock": {"cidr": "10.1.0.0/16"}}]), "NetworkPolicy/r-sweep-coordinator", "10.1.0.0/16"),
        ("networkPolicy.metricsFrom", LEAST, json!([{"ipBlock": {"cidr": "10.1.0.0/16"}}]), "NetworkPolicy/r-sweep-worker", "10.1.0.0/16"),
        ("networkPolicy.egress", LEAST, json!([{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]), "NetworkPolicy/r-sweep-worker", "10.1.0.0/16"),
        ("metrics.serviceMonitor.enabled", LEAST, json!(true), "ServiceMonitor/r-sweep-coordinator", r#""path":"/metrics""#),
        ("metrics.serviceMonitor.labels", "full", json!({"a": "b"}), "ServiceMonitor/vision-coordinator", r#""a":"b""#),
        ("metrics.serviceMonitor.annotations", "full", json!({"a": "b"}), "ServiceMonitor/vision-coordinator", r#""annotations":{"a":"b"}"#),
        ("metrics.serviceMonitor.namespace", "full", json!("watch"), "ServiceMonitor/vision-coordinator", r#""namespace":"watch""#),
        ("metrics.serviceMonitor.interval", "full", json!("7s"), "ServiceMonitor/vision-coordinator", r#""interval":"7s""#),
        ("metrics.podMonitor.enabled", LEAST, json!(true), "PodMonitor/r-sweep-worker", r#""path":"/metrics""#),
        ("metrics.podMonitor.labels", "full", json!({"a": "b"}), "PodMonitor/vision-worker", r#""a":"b""#),
        ("metrics.podMonitor.annotations", "full", json!({"a": "b"}), "PodMonitor/vision-worker", r#""annotations":{"a":"b"}"#),
        ("metrics.podMonitor.namespace", "full", json!("watch"), "PodMonitor/vision-worker", r#""namespace":"watch""#),
        ("metrics.podMonitor.interval", "full", json!("7s"), "PodMonitor/vision-worker", r#""interval":"7s""#),
        ("metrics.prometheusRule.enabled", LEAST, json!(true), "PrometheusRule/r-sweep", r#""groups":["#),
        ("metrics.prometheusRule.labels", "full", json!({"a": "b"}), "PrometheusRule/vision", r#""a":"b""#),
        ("metrics.prometheusRule.annotations", "full", json!({"a": "b"}), "PrometheusRule/vision", r#""annotations":{"a":"b"}"#),
        ("metrics.prometheusRule.namespace", "full", json!("watch"), "PrometheusRule/vision", r#""namespace":"watch""#),
        ("metrics.dashboards.enabled", LEAST, json!(true), "ConfigMap/r-sweep-sweep-overview", r#""grafana_dashboard":"1""#),
        ("metrics.dashboards.labels", "full", json!({"a": "b"}), "ConfigMap/vision-sweep-overview", r#""a":"b""#),
        ("metrics.dashboards.annotations", "full", json!({"a": "b"}), "ConfigMap/vision-sweep-overview", r#""a":"b""#),
        ("metrics.dashboards.namespace", "full", json!("watch"), "ConfigMap/vision-sweep-overview", r#""namespace":"watch""#),
    ]
}

/// `a.b.c` = value as nested objects.
fn nested(path: &str, value: &Value) -> Value {
    path.rsplit('.').fold(value.clone(), |inner, key| json!({ key: inner }))
}

/// What must go with a value, so that the combination can work.
fn beside(path: &str) -> Value {
    match path {
        "redis.embedded.enabled" => json!({"redis": {"url": ""}}),
        "blobs.persistence.enabled" => json!({"blobs": {"url": ""}}),
        _ => json!({}),
    }
}

fn merged(into: Value, from: &Value) -> Value {
    match (into, from) {
        (Value::Object(mut into), Value::Object(from)) => {
            for (key, value) in from {
                let old = into.remove(key).unwrap_or(Value::Null);
                into.insert(key.clone(), merged(old, value));
            }
            Value::Object(into)
        }
        (_, from) => from.clone(),
    }
}

pub(crate) fn least() -> Value {
    json!({"redis": {"url": "redis://redis:6379"}, "blobs": {"url": "s3://b/p"}})
}

/// Which values of `which` (all, where empty) have no effect on what this chart renders.
fn without_effect(chart: &Chart, which: &[&str]) -> Vec<String> {
    let render = |base: &str, values: &Value| match base {
        LEAST => chart.render(None, &merged(least(), values)),
        _ => chart.render(Some(&chart.ci(base)), values),
    };
    let mut bases = BTreeMap::new();
    let mut without = Vec::new();
    for (path, base, value, object, holds) in effects() {
        if !which.is_empty() && !which.contains(&path) {
            continue;
        }
        let before = bases.entry(base).or_insert_with(|| render(base, &json!({})).unwrap());
        let after = render(base, &merged(beside(path), &nested(path, &value)));
        let after = after.unwrap_or_else(|error| panic!("{path}: {error}"));
        let before = before.get(object).map(Value::to_string);
        let after = after.get(object).map(Value::to_string);
        // Nothing to hold: the object goes.
        let works = if holds.is_empty() {
            before.is_some() && after.is_none()
        } else {
            after.is_some_and(|text| text.contains(holds))
                && !before.is_some_and(|text| text.contains(holds))
        };
        if !works {
            without.push(path.to_owned());
        }
    }
    without
}

/// Paths of all values, each with its default. A map that is empty or whose keys are a user's is one value.
fn leaves(values: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
    let open = ["resources", "labels", "annotations", "nodeSelector", "affinity", "podAnnotations"];
    match values {
        Value::Object(map)
            if !map.is_empty() && !open.iter().any(|o| at.rsplit('.').next() == Some(o)) =>
        {
            for (key, value) in map {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                leaves(value, &path, found);
            }
        }
        _ => {
            found.insert(at.to_owned(), values.clone());
        }
    }
}

fn defaults(chart: &Chart) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(chart.dir.join("values.yaml")).unwrap();
    let mut found = BTreeMap::new();
    leaves(&yaml(&text), "", &mut found);
    found
}

#[test]
fn every_value_has_an_effect() {
    let Some(chart) = Chart::ours() else { return };
    let known: BTreeSet<String> = defaults(&chart).into_keys().collect();
    let pinned: BTreeSet<String> = effects().iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(known, pinned, "values.yaml and the table above must hold the same values");
    assert_eq!(without_effect(&chart, &[]), Vec::<String>::new());
}

#[test]
fn a_value_forgotten_in_a_template_is_found() {
    let Some(chart) = Chart::ours() else { return };
    let faults = [
        ("worker.slots", "--slots={{ .Values.worker.slots }}", "--slots=1"),
        ("worker.gpu.count", "(toString .Values.worker.gpu.count)", "\"1\""),
        ("worker.affinity", "\"sweep.scheduling\" .Values.worker", "\"sweep.scheduling\" dict"),
    ];
    for (value, from, to) in faults {
        let (broken, _copy) = chart.with("templates/worker.yaml", from, to);
        assert_eq!(without_effect(&broken, &[value]), [value]);
    }
}

/// Every property of the schema, as paths.
fn properties(schema: &Value, root: &Value, at: &str, found: &mut BTreeSet<String>) {
    let schema = match schema["$ref"].as_str() {
        Some(to) => root.pointer(to.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    match schema["properties"].as_object() {
        Some(properties) if !at.ends_with("resources") => {
            assert_eq!(schema["additionalProperties"], false, "{at} must refuse what is misspelt");
            for (key, value) in properties {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                self::properties(value, root, &path, found);
            }
        }
        _ => {
            found.insert(at.to_owned());
        }
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    let Some(chart) = Chart::ours() else { return };
    let text = std::fs::read_to_string(chart.dir.join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut found = BTreeSet::new();
    properties(&schema, &schema, "", &mut found);
    // Helm hands it to every chart that another one includes.
    assert!(found.remove("global"));
    assert_eq!(found, defaults(&chart).into_keys().collect());
}

/// The comment of each value in `values.yaml`, in its order.
fn comments(text: &str) -> Vec<(String, String)> {
    let (mut at, mut comment, mut found) = (Vec::new(), String::new(), Vec::new());
    for line in text.lines() {
        let bare = line.trim_start();
        let depth = (line.len() - bare.len()) / 2;
        if let Some(text) = bare.strip_prefix("# -- ") {
            comment = text.to_owned();
        } else if let Some(text) = bare.strip_prefix("# ") {
            if !comment.is_empty() {
                comment = format!("{comment} {text}");
            }
        } else if let Some((key, _)) = bare.split_once(':')
            && key.chars().all(char::is_alphanumeric)
        {
            at.truncate(depth);
            at.push(key);
            if !comment.is_empty() {
                found.push((at.join("."), std::mem::take(&mut comment)));
            }
        }
    }
    found
}

fn table(chart: &Chart) -> String {
    let text = std::fs::read_to_string(chart.dir.join("values.yaml")).unwrap();
    let defaults = defaults(chart);
    let comments = comments(&text);
    let described: BTreeSet<_> = comments.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(described, defaults.keys().cloned().collect(), "each value needs a `# --` comment");
    let mut table = "| value | default | |\n| --- | --- | --- |\n".to_owned();
    for (path, comment) in comments {
        let comment = comment.replace('|', "\\|");
        table.push_str(&format!("| `{path}` | `{}` | {comment} |\n", defaults[&path]));
    }
    table
}

/// `SWEEP_WRITE=1` writes it.
#[test]
fn the_readme_lists_every_value() {
    let Some(chart) = Chart::ours() else { return };
    let path = chart.dir.join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- values -->\n", "<!-- end of values -->");
    let (before, rest) = readme.split_once(start).unwrap();
    let (now, after) = rest.split_once(end).unwrap();
    let table = table(&chart);
    if std::env::var_os("SWEEP_WRITE").is_some() {
        std::fs::write(Path::new(&path), format!("{before}{start}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(now, table, "SWEEP_WRITE=1 cargo test -p chart-tests readme writes it");
    }
}
