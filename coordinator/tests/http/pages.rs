//! The pages of a run, of workers and of a comparison over real HTTP, their pictures, and that texts stay texts there.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sweep_core::ids::Digest;
use sweep_core::lifecycle::Holder;
use sweep_core::result::DeviceKind;
use sweep_data::DataSet;
use sweep_store::{Leased, Now, Outcome, Policy, RequestId, Store, Wish};

use crate::world::{FILE, World, answer, info, on_both};

async fn page(world: &World, path: &str) -> String {
    let answer =
        world.request(Method::GET, path).header("accept", "text/html").send().await.unwrap();
    let (status, policy) =
        (answer.status(), answer.headers().get("content-security-policy").cloned());
    let text = answer.text().await.unwrap();
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    let policy = policy.unwrap();
    assert!(
        policy.to_str().unwrap().starts_with("default-src 'none'; script-src 'self'"),
        "{path}"
    );
    for forbidden in ["style=", "<style", "onclick", "http://", "https://", "<script>"] {
        assert!(!text.contains(forbidden), "{path} has {forbidden}");
    }
    text
}

async fn runs(world: &World, sweep: &str) -> Vec<Value> {
    let page = world.json(&format!("/api/v1/sweeps/{sweep}/runs?results=true&limit=100")).await;
    page["runs"].as_array().unwrap().clone()
}

/// A wish of the first slot of `worker`.
fn wish(worker: &str) -> Wish {
    let holder = Holder { worker: worker.to_owned(), slot: 0 };
    Wish { holder, request: RequestId(1), device: DeviceKind::Cpu, only: None, holds: Vec::new() }
}

fn id(run: &Value) -> String {
    run["run"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_shows_its_settings_curves_mistakes_and_attempts() {
    on_both(async |world: &World| {
        world.submit(FILE).await;
        let first = id(&runs(world, "small").await[0]);
        let before = page(world, &format!("/runs/{first}")).await;
        assert!(before.contains("data-refresh=\"2\"") && before.contains("Nobody has begun it."));
        assert!(before.contains("No epoch has ended yet."));

        world.train().await;
        let text = page(world, &format!("/runs/{}", &first[..12])).await;
        assert!(!text.contains("data-refresh"), "a run that has ended is not read again");
        for holds in [
            "softmax · seed 1",
            "optimizer.sgd.learning_rate",
            "<code>small_cnn</code>",
            "2 of 2",
            "epoch 2: validation ",
            "taken for",
            "with a result",
            "none (fake)",
            "Wilson",
        ] {
            assert!(text.contains(holds), "no `{holds}` in {text}");
        }
        let result = &runs(world, "small").await[0]["result"];
        let n = result["validation"]["correct"]["len"].as_u64().unwrap();
        assert!(text.contains(&format!(" of {n} images are wrong")));
        assert_eq!(text.matches("/images/").count(), 48, "a page of pictures");
        let confused = result["validation"]["confusion"][3][4].as_u64().unwrap();
        let filtered = page(world, &format!("/runs/{first}?truth=3&taken=4")).await;
        assert!(filtered.contains(&format!(
            "; {confused} of them are <strong>3</strong> and were taken for <strong>4</strong>"
        )));
        assert_eq!(filtered.matches("<li><img").count() as u64, confused.min(48));
        assert!(page(world, &format!("/runs/{first}?page=2")).await.contains("Page 2 of "));
        let unknown = world.get(&format!("/runs/{}", "a".repeat(20))).await;
        assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
        let wrong = world.get(&format!("/runs/{first}?x=1")).await;
        assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_small_kept_by_browsers_and_bounded() {
    let world = World::in_memory(&[]).await;
    world.submit(FILE).await;
    let run = id(&runs(&world, "small").await[0]);
    let answer = world.get(&format!("/runs/{run}/images/0")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let png = answer.bytes().await.unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() < 1000);
    let again = world.get(&format!("/runs/{run}/images/0")).await.bytes().await.unwrap();
    assert_eq!(png, again);
    for (image, status) in
        [("1746", 200), ("1747", 404), ("-1", 400), ("x", 400), ("99999999999999999999", 400)]
    {
        let answer = world.get(&format!("/runs/{run}/images/{image}")).await;
        assert_eq!(answer.status().as_u16(), status, "{image}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_come_from_the_blobs_and_a_page_says_when_there_are_none() {
    let world = World::in_memory(&[]).await;
    // Digits under another name and digest: as a data set of one's own that `sweep submit` packed.
    let digits = DataSet::builtin("digits").unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let packed = digits.pack(8, dir.path(), &|_| {}).unwrap();
    let bytes = std::fs::read(packed.path()).unwrap();
    let mut own = digits.info().clone();
    own.name = "mine".to_owned();
    own.content = Digest::of(b"mine");
    let submit = async |name: &str, inputs: Value| {
        let document = json!({"file": "mine.yaml", "text": FILE.replace("digits", "mine").replace("name: small", &format!("name: {name}")), "datasets": [own], "inputs": inputs});
        answer(world.request(Method::POST, "/api/v1/sweeps").json(&document)).await
    };
    submit("without", json!([])).await;
    world.train().await;
    let run = id(&runs(&world, "without").await[0]);
    let text = page(&world, &format!("/runs/{run}")).await;
    assert!(text.contains("No pictures: the packed pictures of this data set were not sent here"));
    assert!(!text.contains("<img"), "no broken picture");
    assert!(text.contains("→ <strong>"), "but what each was taken for");
    assert_eq!(world.get(&format!("/runs/{run}/images/0")).await.status(), StatusCode::NOT_FOUND);

    let digest = Digest::of(&bytes);
    let put = world.request(Method::PUT, &format!("/api/v1/blobs/{digest}")).body(bytes.clone());
    assert_eq!(put.send().await.unwrap().status(), StatusCode::CREATED);
    let inputs = json!([{"input": {"pack": {"content": own.content, "split": own.split, "image_size": 8}}, "digest": digest, "bytes": bytes.len()}]);
    let (status, _) = submit("with", inputs).await;
    assert_eq!(status, StatusCode::CREATED);
    let text = page(&world, &format!("/runs/{run}")).await;
    assert!(
        text.contains("<img") && !text.contains("No pictures"),
        "a later sweep with the same runs brought them"
    );
    assert_eq!(world.get(&format!("/runs/{run}/images/0")).await.status(), StatusCode::OK);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_workers_and_sweeps_stay_texts() {
    const EVIL: &str = "<script>alert(1)</script>";
    let world = World::in_memory(&[]).await;
    let mut evil = info("evil");
    evil.classes = vec![EVIL.to_owned(), "\"><img src=x>".to_owned()];
    evil.warnings = vec![EVIL.to_owned()];
    let document =
        json!({"file": "x.yaml", "text": FILE.replace("digits", "evil"), "datasets": [evil]});
    let (status, receipt) =
        answer(world.request(Method::POST, "/api/v1/sweeps").json(&document)).await;
    assert_eq!(status, StatusCode::CREATED, "{receipt}");
    let policy = Policy::default();
    let leased = world.store.lease(Now::Server, &wish(EVIL), &policy).await.unwrap();
    let Leased::Lease(lease) = leased else { panic!("{leased:?}") };
    let text = page(&world, "/workers").await;
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;/0") && text.contains("training"));
    assert!(text.contains("/workers/%3Cscript%3Ealert%281%29%3C%2Fscript%3E/drain"), "{text}");
    let outcome = Outcome::Failed { error: EVIL.to_owned() };
    world
        .store
        .finish(Now::Server, &lease.run, lease.fence, &outcome, EVIL, &policy)
        .await
        .unwrap();
    let text = page(&world, &format!("/runs/{}", lease.run)).await;
    assert!(text.matches("&lt;script&gt;").count() >= 3, "error, log and worker: {text}");
    world.train().await;
    let ended = runs(&world, "small").await;
    let ended = ended.iter().find(|run| run["state"] == "succeeded").unwrap();
    let text = page(&world, &format!("/runs/{}", id(ended))).await;
    assert!(
        text.contains("&lt;script&gt;alert(1)&lt;/script&gt;")
            && text.contains("&quot;&gt;&lt;img src=x&gt;")
    );
    let sweep = receipt["id"].as_str().unwrap();
    page(&world, &format!("/compare?sweep={sweep}")).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_drained_from_its_page() {
    let world = World::in_memory(&[]).await;
    assert!(page(&world, "/workers").await.contains("No worker was heard of"));
    world.submit(FILE).await;
    world.store.lease(Now::Server, &wish("box/1"), &Policy::default()).await.unwrap();
    let drain = world.request(Method::POST, "/workers/box%2F1/drain").send().await.unwrap();
    assert_eq!(drain.status(), StatusCode::OK, "led back to the workers");
    let text = page(&world, "/workers").await;
    assert!(text.contains("draining") && !text.contains("/drain\""), "{text}");
    let unknown = world.request(Method::POST, "/workers/nobody/drain").send().await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configurations_of_two_sweeps_are_compared_where_they_share_their_images() {
    let world = World::in_memory(&[]).await;
    let other = FILE
        .replace("name: small", "name: other")
        .replace("seeds: 3", "seeds: 6")
        .replace("[softmax, cosine]", "[softmax, hinge]");
    let sweep = async |file: &str| world.submit(file).await.1["id"].as_str().unwrap().to_owned();
    let (small, other) = (sweep(FILE).await, sweep(&other).await);
    world.train().await;
    let text = page(&world, "/compare").await;
    assert!(
        text.contains(&format!("value=\"{small}\""))
            && text.contains(&format!("value=\"{other}\""))
    );
    let text = page(&world, &format!("/compare?sweep={small}&sweep={other}")).await;
    let picks: Vec<String> =
        text.split("name=\"pick\" value=\"").skip(1).map(|rest| rest[..41].to_owned()).collect();
    assert_eq!(picks.len(), 4, "{text}");
    let of = |sweep: &str, label: &str| {
        let pick = picks.iter().find(|pick| {
            let at = text.find(&format!("name=\"pick\" value=\"{pick}\"")).unwrap();
            pick.starts_with(sweep) && text[at..].split("</label>").next().unwrap().contains(label)
        });
        pick.unwrap().clone()
    };
    let (cosine, hinge, softmax) =
        (of(&small, "cosine"), of(&other, "hinge"), of(&other, "softmax"));
    let text =
        page(&world, &format!("/compare?pick={cosine}&pick={hinge}&reference={softmax}")).await;
    assert!(text.contains("Differences from <strong>other: softmax</strong>"), "{text}");
    assert!(
        text.contains("post hoc")
            && text.contains("small: cosine")
            && text.contains("other: hinge")
    );
    let rows: Vec<&str> = text
        .split("id=\"differences\"")
        .nth(1)
        .unwrap()
        .split("</table>")
        .next()
        .unwrap()
        .split("<tr>")
        .collect();
    assert!(rows.iter().any(|row| row.contains("small: cosine") && row.contains("<td class=\"number\">3</td>")), "three seeds are shared");
    assert!(
        rows.iter()
            .any(|row| row.contains("other: hinge") && row.contains("<td class=\"number\">6</td>"))
    );

    // The same name, other images.
    let mut apart = DataSet::builtin("digits").unwrap().unwrap().info().clone();
    apart.split = Digest::of(b"another split");
    let document = json!({"file": "x.yaml", "text": FILE.replace("name: small", "name: apart"), "datasets": [apart]});
    let (_, receipt) = answer(world.request(Method::POST, "/api/v1/sweeps").json(&document)).await;
    let apart = receipt["id"].as_str().unwrap();
    let text = page(&world, &format!("/compare?sweep={small}&sweep={apart}")).await;
    assert!(
        text.contains("2 different sets of validation images") && text.contains("split otherwise"),
        "{text}"
    );
    let foreign = text
        .split("name=\"pick\" value=\"")
        .skip(1)
        .map(|rest| &rest[..41])
        .find(|pick| pick.starts_with(apart))
        .unwrap();
    let text = page(&world, &format!("/compare?pick={cosine}&pick={foreign}")).await;
    assert!(
        text.contains("Not compared: ") && text.contains("not measured on the same images"),
        "{text}"
    );
    assert!(!text.contains("id=\"differences\""));
    let one = page(&world, &format!("/compare?pick={cosine}")).await;
    assert!(one.contains("pick at least two configurations"));
    for (query, status) in
        [("sweep=x", 400), ("other=1", 400), (&*format!("sweep={}", "a".repeat(20)), 404)]
    {
        assert_eq!(
            world.get(&format!("/compare?{query}")).await.status().as_u16(),
            status,
            "{query}"
        );
    }
    world.end().await;
}
