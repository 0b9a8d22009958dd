//! What cannot work, and what is misspelt, is refused in words.

use chart_tests::Chart;
use serde_json::{Value, json};

/// Values over a store and blobs, and what must be said.
#[rustfmt::skip]
fn refused() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"redis": {"url": ""}}), "no store: give redis.url, redis.existingSecret, or for a first try redis.embedded.enabled=true"),
        (json!({"redis": {"embedded": {"enabled": true}}}), "several stores: give only one"),
        (json!({"redis": {"existingSecret": "x"}}), "several stores: give only one"),
        (json!({"redis": {"url": "", "existingSecret": "x", "passwordSecret": {"name": "y"}}}), "redis.passwordSecret belongs to redis.url"),
        (json!({"blobs": {"url": ""}}), "no place for data sets and checkpoints"),
        (json!({"blobs": {"persistence": {"enabled": true}}}), "two places for data sets and checkpoints"),
        (json!({"blobs": {"url": "", "persistence": {"enabled": true}}, "coordinator": {"replicas": 2}}), "several coordinators need shared blobs"),
        (json!({"worker": {"drainSeconds": 120}}), "worker.drainSeconds must be less than worker.terminationGracePeriodSeconds"),
        (json!({"worker": {"device": "cpu"}}), "workers on the cpu would hold a GPU idle"),
        (json!({"worker": {"gpu": {"count": 0}}}), "worker.device is a GPU, but worker.gpu.count is 0"),
        (json!({"keda": {"minReplicas": 9}}), "keda.minReplicas must not be more than keda.maxReplicas"),
        // The schema.
        (json!({"redis": {"urll": "redis://x"}}), "'urll' not allowed"),
        (json!({"workers": {}}), "'workers' not allowed"),
        (json!({"networkPolicy": {"ingressFrom": [{"podSelecter": {}}]}}), "'podSelecter' not allowed"),
        (json!({"worker": {"kind": "Job"}}), "/worker/kind"),
        (json!({"worker": {"slots": "two"}}), "/worker/slots"),
        (json!({"worker": {"device": "gpu"}}), "/worker/device"),
        (json!({"worker": {"cache": {"sizeLimit": "30 GB"}}}), "/worker/cache/sizeLimit"),
        (json!({"pool": "CUDA"}), "/pool"),
        (json!({"redis": {"url": "redis://:secret@x"}}), "/redis/url"),
        (json!({"redis": {"url": "http://x"}}), "/redis/url"),
        (json!({"blobs": {"url": "file:///x"}}), "/blobs/url"),
        (json!({"image": {"worker": {"digest": "sha256:1"}}}), "/image/worker/digest"),
        (json!({"metrics": {"podMonitor": {"interval": "30"}}}), "/metrics/podMonitor/interval"),
        (json!({"metrics": {"dashboards": {"labels": {"grafana_dashboard": 1}}}}), "/metrics/dashboards/labels"),
    ]
}

fn over(mut base: Value, values: &Value) -> Value {
    for (group, value) in values.as_object().unwrap() {
        match (base.get_mut(group).and_then(Value::as_object_mut), value.as_object()) {
            (Some(into), Some(from)) => into.extend(from.clone()),
            _ => base[group] = value.clone(),
        }
    }
    base
}

#[test]
fn what_cannot_work_is_refused_in_words() {
    let Some(chart) = Chart::ours() else { return };
    chart.render(None, &crate::values::least()).unwrap();
    for (values, says) in refused() {
        match chart.render(None, &over(crate::values::least(), &values)) {
            Ok(_) => panic!("{values} must be refused"),
            Err(said) => assert!(said.contains(says), "{values}: {said}"),
        }
    }
}

#[test]
fn every_refusal_of_the_templates_is_tested() {
    let Some(chart) = Chart::ours() else { return };
    let helpers = std::fs::read_to_string(chart.dir.join("templates/_helpers.tpl")).unwrap();
    let sentences: Vec<_> =
        helpers.split("fail \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(sentences.len(), 10);
    for sentence in sentences {
        let tested = refused().iter().any(|(_, says)| sentence.contains(says));
        assert!(tested, "no values above lead to: {sentence}");
    }
}
