//! Blobs: whole, in ranges, wrong, too long, broken off.

use reqwest::{Method, StatusCode};
use serde_json::json;
use sweep_core::ids::Digest;
use sweep_store::blobs::Blobs;
use tokio::io::AsyncWriteExt;

use crate::world::{FILE, World, answer, info};

fn path(digest: &Digest) -> String {
    format!("/api/v1/blobs/{digest}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_is_handed_out_whole_in_ranges_and_by_its_tag() {
    let world = World::in_memory(&[]).await;
    let bytes: Vec<u8> = (0..700_000_u32).map(|i| (i % 251) as u8).collect();
    let digest = Digest::of(&bytes);
    let head = async || world.request(Method::HEAD, &path(&digest)).send().await.unwrap();
    assert_eq!(head().await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.get(&path(&digest)).await.status(), StatusCode::NOT_FOUND);
    let put = async || {
        world
            .request(Method::PUT, &path(&digest))
            .body(bytes.clone())
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(put().await, StatusCode::CREATED);
    assert_eq!(put().await, StatusCode::OK);
    let found = head().await;
    assert_eq!(
        (found.status(), &found.headers()["content-length"]),
        (StatusCode::OK, &"700000".parse().unwrap())
    );
    let whole = world.get(&path(&digest)).await;
    let tag = whole.headers()["etag"].clone();
    assert_eq!(
        (whole.status(), whole.bytes().await.unwrap().as_ref()),
        (StatusCode::OK, bytes.as_slice())
    );

    let ranged = async |range: &str| {
        let answer =
            world.request(Method::GET, &path(&digest)).header("range", range).send().await.unwrap();
        let told =
            answer.headers().get("content-range").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), told.unwrap_or_default(), answer.bytes().await.unwrap().to_vec())
    };
    assert_eq!(
        ranged("bytes=699990-").await,
        (206, "bytes 699990-699999/700000".to_owned(), bytes[699_990..].to_vec())
    );
    assert_eq!(
        ranged("bytes=5-300004").await,
        (206, "bytes 5-300004/700000".to_owned(), bytes[5..=300_004].to_vec())
    );
    assert_eq!(
        ranged("bytes=-3").await,
        (206, "bytes 699997-699999/700000".to_owned(), bytes[699_997..].to_vec())
    );
    let (status, told, _) = ranged("bytes=700000-").await;
    assert_eq!((status, told.as_str()), (416, "bytes */700000"));
    let known = world
        .request(Method::GET, &path(&digest))
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_long_and_broken_uploads_leave_nothing() {
    let world = World::in_memory(&["--max-blob", "1000"]).await;
    let put = async |name: &str, bytes: Vec<u8>| {
        let (status, problem) =
            answer(world.request(Method::PUT, &format!("/api/v1/blobs/{name}")).body(bytes)).await;
        (status.as_u16(), problem["type"].as_str().unwrap_or_default().to_owned())
    };
    let digest = Digest::of(b"right");
    assert_eq!(
        put(&digest.to_string(), b"wrong".to_vec()).await,
        (422, "/problems/digest".to_owned())
    );
    assert_eq!(
        put(&digest.to_string(), vec![0; 1001]).await,
        (413, "/problems/too-large".to_owned())
    );
    // Without a length it is cut off where it is too long.
    let pieces =
        futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![0_u8; 100])));
    let streamed =
        world.request(Method::PUT, &path(&digest)).body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(answer(streamed).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for name in [
        "..%2F..%2Fetc%2Fpasswd",
        "x",
        &"A".repeat(64),
        &"0".repeat(63),
        &format!("{}%00", "0".repeat(63)),
    ] {
        assert_eq!(
            put(name, b"right".to_vec()).await,
            (400, "/problems/path".to_owned()),
            "{name}"
        );
        assert_eq!(
            world.get(&format!("/api/v1/blobs/{name}")).await.status(),
            StatusCode::BAD_REQUEST
        );
    }
    // Half of it, then gone.
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {}\r\ncontent-length: 5\r\n\r\nri",
        path(&digest),
        world.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    let blobs = world.blobs.clone();
    world.end().await;
    let found = Blobs::directory(&blobs).unwrap().list().await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_blob_that_nothing_needs_is_freed() {
    let world = World::in_memory(&[]).await;
    let (needed, other) = (Digest::of(b"needed"), Digest::of(b"other"));
    for (digest, bytes) in [(&needed, "needed"), (&other, "other")] {
        world.request(Method::PUT, &path(digest)).body(bytes).send().await.unwrap();
    }
    let mine = info("mine");
    let pack = json!({"pack": {"content": mine.content, "split": mine.split, "image_size": 8}});
    let document = json!({
        "file": "mine.yaml",
        "text": FILE.replace("digits", "mine"),
        "datasets": [mine],
        "inputs": [{"input": pack, "digest": needed, "bytes": 6}],
    });
    let sent = world.request(Method::POST, "/api/v1/sweeps").json(&document);
    assert_eq!(answer(sent).await.0, StatusCode::CREATED);
    let delete = async |digest| answer(world.request(Method::DELETE, &path(digest))).await.0;
    assert_eq!(delete(&needed).await, StatusCode::CONFLICT);
    assert_eq!(delete(&other).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&other).await, StatusCode::NOT_FOUND);
    assert_eq!(world.get(&path(&needed)).await.status(), StatusCode::OK);
    world.end().await;
}
