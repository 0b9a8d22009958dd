//! The way of a sweep over HTTP: submitted, listed, trained, read, reported.

use reqwest::{Method, StatusCode};
use serde_json::json;
use sweep_core::ids::Digest;

use crate::world::{FILE, World, answer, info, on_both};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_is_submitted_trained_and_reported() {
    on_both(async |world: &World| {
        let (status, receipt) = world.submit(FILE).await;
        assert_eq!(status, StatusCode::CREATED, "{receipt}");
        let runs = json!({"total": 6, "new": 6, "known": 0, "joined": 0, "requeued": 0});
        assert_eq!((&receipt["runs"], &receipt["name"]), (&runs, &json!("small")));
        let id = receipt["id"].as_str().unwrap();

        let (status, again) = world.submit(FILE).await;
        let joined = json!({"total": 6, "new": 0, "known": 0, "joined": 6, "requeued": 0});
        assert_eq!(
            (status, &again["id"], &again["runs"]),
            (StatusCode::OK, &receipt["id"], &joined)
        );

        let listed = world.json("/api/v1/sweeps").await;
        assert_eq!((&listed["sweeps"][0]["id"], &listed["next"]), (&receipt["id"], &json!(null)));
        let sweep = world.json(&format!("/api/v1/sweeps/{}", &id[..8])).await;
        assert_eq!((&sweep["name"], &sweep["document"]["text"]), (&json!("small"), &json!(FILE)));

        world.train().await;
        let page =
            world.json("/api/v1/sweeps/small/runs?state=succeeded&limit=4&results=true").await;
        assert_eq!(page["runs"].as_array().unwrap().len(), 4);
        assert_eq!(page["runs"][0]["result"]["device"], "fake");
        let next = page["next"].as_str().unwrap();
        let rest = world.json(&format!("/api/v1/sweeps/small/runs?limit=4&cursor={next}")).await;
        assert_eq!((rest["runs"].as_array().unwrap().len(), &rest["next"]), (2, &json!(null)));
        assert_eq!(rest["runs"][0]["result"], json!(null));

        let run = page["runs"][0]["run"]["id"].as_str().unwrap();
        let detail = world.json(&format!("/api/v1/runs/{}", &run[..10])).await;
        assert_eq!((&detail["id"], detail["attempts"].as_array().unwrap().len()), (&json!(run), 1));
        let curves = world.json(&format!("/api/v1/runs/{run}/curves")).await;
        assert_eq!(
            (curves["epochs"].as_array().unwrap().len(), &curves["ended"]),
            (2, &json!(true))
        );
        let asked =
            world.request(Method::POST, "/api/v1/states").json(&json!([run, "a".repeat(20)]));
        assert_eq!(answer(asked).await, (StatusCode::OK, json!(["succeeded", null])));

        let report = world.json("/api/v1/sweeps/small/report").await;
        assert_eq!(
            (&report["sweep"]["id"], &report["progress"]["succeeded"]),
            (&json!(id), &json!(6))
        );
        let (status, counted) = world.post("/api/v1/sweeps/small/reported").await;
        assert_eq!((status, &counted["reports"]), (StatusCode::OK, &json!(1)));
        for (format, kind, holds) in [
            ("html", "text/html; charset=utf-8", "<!DOCTYPE html>"),
            ("markdown", "text/markdown; charset=utf-8", "# small"),
            ("latex", "application/x-tex; charset=utf-8", "\\begin"),
            ("runs_csv", "text/csv; charset=utf-8", "softmax"),
            ("epochs_csv", "text/csv; charset=utf-8", "epoch"),
            ("summaries_csv", "text/csv; charset=utf-8", "softmax"),
            ("comparisons_csv", "text/csv; charset=utf-8", "cosine"),
        ] {
            let answer = world.get(&format!("/api/v1/sweeps/small/report?format={format}")).await;
            assert_eq!(answer.headers()["content-type"], kind);
            let text = answer.text().await.unwrap();
            assert!(text.contains(holds), "{format}: {}", &text[..text.len().min(300)]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_is_paused_moved_cancelled_and_reopened() {
    on_both(async |world: &World| {
        world.submit(FILE).await;
        let state = async |what: &str| {
            world.post(&format!("/api/v1/sweeps/small/{what}")).await.1["state"].clone()
        };
        assert_eq!(state("pause").await, "paused");
        assert_eq!(world.json("/api/v1/demand").await["wanted"], 0);
        assert_eq!(state("pause?now=true").await, "paused_now");
        assert_eq!(state("resume").await, "active");
        assert_eq!(
            world.json("/api/v1/demand").await,
            json!({"wanted": 6, "ready": 6, "leased": 0, "delayed": 0})
        );
        let change = async |change| {
            answer(world.request(Method::PATCH, "/api/v1/sweeps/small").json(&change)).await
        };
        let (_, moved) = change(json!({"weight": 2.5, "band": 1, "cap": 2})).await;
        assert_eq!(
            (&moved["weight"], &moved["band"], &moved["cap"]),
            (&json!(2.5), &json!(1), &json!(2))
        );
        assert_eq!(world.json("/api/v1/demand").await["wanted"], 2);
        let (_, freed) = change(json!({"cap": null})).await;
        assert_eq!((&freed["weight"], &freed["cap"]), (&json!(2.5), &json!(null)));
        let (status, refused) = change(json!({"weight": 3.0, "band": 9})).await;
        assert_eq!(
            (status, &refused["detail"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("band is 9, but must be in 0..=7"))
        );
        assert_eq!(world.json("/api/v1/sweeps/small").await["weight"], 2.5);
        assert_eq!(state("cancel").await, "cancelled");
        let (status, reopened) = world.submit(FILE).await;
        assert_eq!((status, &reopened["runs"]["total"]), (StatusCode::OK, &json!(6)));
        assert_eq!(world.json("/api/v1/sweeps/small").await["state"], "active");
        assert_eq!(state("retry").await, "active");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_with_files_of_its_own_is_taken_once_they_are_there() {
    on_both(async |world: &World| {
        let (bytes, pictures) = (b"packed pictures", info("mine"));
        let digest = Digest::of(bytes);
        let document = json!({
            "file": "mine.yaml",
            "text": FILE.replace("digits", "mine"),
            "datasets": [pictures],
            "inputs": [{"input": {"pack": {"content": pictures.content, "split": pictures.split, "image_size": 8}}, "digest": digest, "bytes": bytes.len()}],
        });
        let submit = async |query: &str| answer(world.request(Method::POST, &format!("/api/v1/sweeps{query}")).json(&document)).await;
        let (status, problem) = submit("").await;
        assert_eq!((status, &problem["type"]), (StatusCode::CONFLICT, &json!("/problems/missing-inputs")));
        assert_eq!(problem["missing"], json!([digest]));
        assert_eq!(world.json("/api/v1/sweeps").await["sweeps"], json!([]));

        let put = world.request(Method::PUT, &format!("/api/v1/blobs/{digest}")).body(&bytes[..]);
        assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
        let (status, receipt) = submit("?weight=3&band=2&cap=5").await;
        assert_eq!((status, &receipt["warnings"]), (StatusCode::CREATED, &receipt["warnings"]));
        assert!(!receipt["warnings"].to_string().contains("without its packed pictures"));
        let stored = world.json("/api/v1/sweeps/small").await;
        assert_eq!((&stored["weight"], &stored["band"], &stored["cap"]), (&json!(3.0), &json!(2), &json!(5)));
        assert_eq!(stored["document"]["inputs"], document["inputs"]);

        // Another sweep on the same data set may come as a file alone: the stored one describes it, files included.
        let (status, other) = world.submit(&FILE.replace("digits", "mine").replace("name: small", "name: other")).await;
        assert_eq!((status, &other["runs"]["joined"]), (StatusCode::CREATED, &json!(6)), "{other}");
        assert_eq!(world.json("/api/v1/sweeps/other").await["document"]["inputs"], document["inputs"]);
    })
    .await;
}
