//! Blobs in a directory, and behind a server that breaks every promise HTTP servers make.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use secrecy::SecretString;
use sweep_core::ids::Digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::again::Patience;
use super::objects::PART;
use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const MIB: u64 = 1 << 20;

fn directory() -> (tempfile::TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::directory(&dir.path().join("deep/blobs")).unwrap();
    (dir, blobs)
}

/// Bytes that do not repeat, so that a piece in the wrong place shows.
fn bytes(len: usize) -> Bytes {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn path(blobs: &Blobs, digest: &Digest) -> PathBuf {
    blobs.file(digest).unwrap()
}

#[tokio::test]
async fn what_is_put_is_got_back_under_its_digest() {
    let (dir, blobs) = directory();
    let digest = blobs.put(&b"weights"[..]).await.unwrap();
    assert_eq!(digest, Digest::of(b"weights"));
    assert_eq!(blobs.get(&digest, MIB).await.unwrap(), &b"weights"[..]);
    assert_eq!(blobs.put(&b"weights"[..]).await.unwrap(), digest);
    assert_eq!(blobs.list().await.unwrap().len(), 1);
    assert_eq!(blobs.head(&digest).await.unwrap(), Some(7));
    let name = digest.to_string();
    assert!(dir.path().join("deep/blobs").join(&name[..2]).join(name).exists(), "the old layout");
}

#[tokio::test]
async fn a_blob_of_many_parts_is_whole_and_alone() {
    let (dir, blobs) = directory();
    let content = bytes(2 * PART + 12_345);
    let digest = blobs.put(content.clone()).await.unwrap();
    assert_eq!(blobs.get(&digest, 64 * MIB).await.unwrap(), content);
    let file = dir.path().join("large");
    fs::write(&file, &content).unwrap();
    assert_eq!(blobs.put_file(&file).await.unwrap(), (digest, content.len() as u64));
    let folder = path(&blobs, &digest).parent().unwrap().to_owned();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "no half-written file is left");
}

#[tokio::test]
async fn a_damaged_blob_is_refused_and_mended_by_putting_it_again() {
    let (_dir, blobs) = directory();
    let digest = blobs.put(&b"weights"[..]).await.unwrap();
    fs::write(path(&blobs, &digest), b"weighty").unwrap();
    assert!(matches!(blobs.get(&digest, MIB).await, Err(BlobError::Damaged { .. })));
    blobs.put(&b"weights"[..]).await.unwrap();
    assert_eq!(blobs.get(&digest, MIB).await.unwrap(), &b"weights"[..]);
}

#[tokio::test]
async fn a_missing_blob_is_told_apart_from_a_broken_disk() {
    let (_dir, blobs) = directory();
    let never = Digest::of(b"never");
    assert!(matches!(blobs.get(&never, MIB).await, Err(BlobError::Missing { .. })));
    assert_eq!(blobs.head(&never).await.unwrap(), None);
    assert!(!blobs.delete(&never).await.unwrap());
}

#[tokio::test]
async fn nobody_gets_more_than_they_take() {
    let (dir, blobs) = directory();
    let digest = blobs.put(bytes(1000)).await.unwrap();
    assert!(matches!(blobs.get(&digest, 999).await, Err(BlobError::TooLarge { .. })));
    assert_eq!(blobs.get(&digest, 1000).await.unwrap().len(), 1000);
    let target = dir.path().join("cache/file");
    let fetched = blobs.fetch_to(&digest, &target, 999, &mut |_| {}).await;
    assert!(matches!(fetched, Err(BlobError::TooLarge { .. })) && !target.exists());
}

#[tokio::test]
async fn collection_spares_live_and_young_blobs_and_sweeps_half_written_files() {
    let (_dir, blobs) = directory();
    let mut digests = Vec::new();
    for content in [&b"live"[..], b"old!", b"new!", b"old, but written again"] {
        digests.push(blobs.put(content).await.unwrap());
    }
    let folder = path(&blobs, &digests[0]).parent().unwrap().to_owned();
    let halves = [folder.join("x.part"), folder.join(format!("{}#1", digests[0]))];
    for half in &halves {
        fs::write(half, b"half").unwrap();
    }
    let past = SystemTime::now() - 2 * DAY;
    let aged = [0, 1, 3].map(|i: usize| path(&blobs, &digests[i]));
    for path in aged.iter().chain(&halves) {
        File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
    }
    blobs.put(&b"old, but written again"[..]).await.unwrap();
    let live = BTreeSet::from([digests[0]]);
    let collected = blobs.collect(&live, SystemTime::now() - DAY).await.unwrap();
    assert_eq!(collected, Collected { deleted: 1, bytes: 4 });
    let left: BTreeSet<_> =
        blobs.list().await.unwrap().into_iter().map(|blob| blob.digest).collect();
    assert_eq!(left, BTreeSet::from([digests[0], digests[2], digests[3]]));
    assert!(!halves.iter().any(|half| half.exists()));
}

#[tokio::test]
async fn files_that_are_no_blobs_are_neither_listed_nor_collected() {
    let (_dir, blobs) = directory();
    let digest = blobs.put(&b"weights"[..]).await.unwrap();
    let stranger = path(&blobs, &digest).with_file_name("README");
    fs::write(&stranger, b"hello").unwrap();
    blobs.collect(&BTreeSet::new(), SystemTime::now() + DAY).await.unwrap();
    assert!(blobs.list().await.unwrap().is_empty() && stranger.exists());
}

#[tokio::test]
async fn an_upload_with_wrong_bytes_leaves_nothing() {
    let (dir, blobs) = directory();
    let big = bytes(PART + 1);
    let digest = Digest::of(&big);
    let upload = |chunks: Vec<std::io::Result<Bytes>>| stream::iter(chunks);
    let wrong = upload(vec![Ok(big.slice(1..)), Ok(big.slice(..1))]);
    assert!(matches!(
        blobs.receive(&digest, 64 * MIB, wrong).await,
        Err(BlobError::Damaged { .. })
    ));
    let long = upload(vec![Ok(big.clone()), Ok(big.clone())]);
    assert!(matches!(
        blobs.receive(&digest, big.len() as u64, long).await,
        Err(BlobError::TooLarge { .. })
    ));
    let broken = upload(vec![Ok(big.clone()), Err(std::io::ErrorKind::ConnectionReset.into())]);
    assert!(matches!(blobs.receive(&digest, 64 * MIB, broken).await, Err(BlobError::Body { .. })));
    assert!(blobs.list().await.unwrap().is_empty());
    assert!(!files(dir.path()).iter().any(|file| file.to_string_lossy().contains('#')));
    let right = upload(vec![Ok(big.clone())]);
    assert_eq!(blobs.receive(&digest, 64 * MIB, right).await.unwrap(), big.len() as u64);
}

#[tokio::test]
async fn a_part_of_a_blob_can_be_read() {
    let (_dir, blobs) = directory();
    let content = bytes(1_000_000);
    let digest = blobs.put(content.clone()).await.unwrap();
    for range in [0..1, 10..999_999, 500_000..u64::MAX] {
        let reading = blobs.read(&digest, Some(range.clone())).await.unwrap();
        let end = range.end.min(1_000_000);
        assert_eq!((reading.size, reading.range), (1_000_000, range.start..end));
        let got: Vec<_> =
            reading.bytes.map(|chunk| chunk.unwrap()).collect::<Vec<_>>().await.concat();
        assert_eq!(got, &content[range.start as usize..end as usize]);
    }
}

#[tokio::test]
async fn a_blob_on_the_same_disk_is_linked_and_checked() {
    let (dir, blobs) = directory();
    let digest = blobs.put(bytes(1000)).await.unwrap();
    let target = dir.path().join("cache/file");
    let mut seen = Vec::new();
    let size = blobs.fetch_to(&digest, &target, MIB, &mut |at| seen.push(at)).await.unwrap();
    assert_eq!((size, fs::read(&target).unwrap().len()), (1000, 1000));
    assert_eq!(seen, [Fetched { done: 1000, size: 1000 }]);
    let other = blobs.put(bytes(2000)).await.unwrap();
    fs::write(path(&blobs, &other), b"damaged").unwrap();
    let fetched = blobs.fetch_to(&other, &dir.path().join("cache/other"), MIB, &mut |_| {}).await;
    assert!(matches!(fetched, Err(BlobError::Damaged { .. })));
    assert!(!dir.path().join("cache/other").exists());
}

/// All files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// A request as a server of a test sees it.
#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// First byte asked for.
    fn from(&self) -> usize {
        let range = self.header("range").and_then(|r| r.strip_prefix("bytes="));
        range.map_or(0, |r| r.split('-').next().unwrap().parse().unwrap())
    }
}

/// A server on a free port: each connection brings one request, and `answer` writes what it likes before the connection ends.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start<F: Future<Output = ()> + Send>(
        answer: impl Fn(usize, Request, TcpStream) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let Some(request) = read_request(&mut stream).await else { continue };
                let number = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(request.clone());
                    seen.len() - 1
                };
                answer(number, request, stream).await;
            }
        });
        Self { address, requests, task }
    }

    fn blobs(&self, token: Option<&str>) -> Blobs {
        let patience = Patience {
            tries: 4,
            first: Duration::from_millis(5),
            longest: Duration::from_millis(20),
            quiet: Duration::from_millis(500),
        };
        let token = token.map(|token| SecretString::from(token.to_owned()));
        Blobs::open_with(&self.address, token, &[], patience).unwrap()
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let (line, headers) = text.split_once("\r\n").unwrap_or((&text, ""));
    let mut words = line.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        headers: headers.to_owned(),
        body: bytes[head + 4..].to_vec(),
    };
    let length: usize = request.header("content-length").map_or(0, |v| v.parse().unwrap());
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

async fn say(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n");
    // A client that has heard enough may be gone.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let _ = stream.flush().await;
}

/// Answers as it should, but ends after `most` bytes of the body.
async fn serve(request: &Request, mut stream: TcpStream, content: &[u8], most: usize) {
    let from = request.from();
    let rest = &content[from..];
    let (status, range) = if from > 0 {
        let range =
            format!("content-range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len());
        ("206 Partial Content", range)
    } else {
        ("200 OK", String::new())
    };
    let headers = format!("content-length: {}\r\n{range}", rest.len());
    let body = if request.method == "HEAD" { &[] } else { &rest[..most.min(rest.len())] };
    say(&mut stream, status, &headers, body).await;
}

#[tokio::test]
async fn a_fetch_goes_on_where_the_connection_broke() {
    let content = bytes(300_000);
    let served = content.clone();
    let server = Server::start(move |number, request, stream| {
        let served = served.clone();
        async move {
            serve(&request, stream, &served, if number < 2 { 100_000 } else { usize::MAX }).await
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("x/file");
    let digest = Digest::of(&content);
    let mut last = None;
    let blobs = server.blobs(Some("hush"));
    let size = blobs.fetch_to(&digest, &target, MIB, &mut |at| last = Some(at)).await.unwrap();
    assert_eq!((size, fs::read(&target).unwrap()), (300_000, content.to_vec()));
    assert_eq!(last, Some(Fetched { done: 300_000, size: 300_000 }));
    assert_eq!(files(dir.path()), [target]);
    let requests = server.requests();
    assert_eq!(requests.iter().map(Request::from).collect::<Vec<_>>(), [0, 100_000, 200_000]);
    assert!(requests.iter().all(|r| r.path == format!("/api/v1/blobs/{digest}")));
    assert!(requests.iter().all(|r| r.header("authorization") == Some("Bearer hush")));
    assert!(!format!("{blobs:?} {blobs}").contains("hush"));
}

#[tokio::test]
async fn a_fetch_goes_on_in_another_process_where_it_was_given_up() {
    let content = bytes(300_000);
    let served = content.clone();
    let server = Server::start(move |number, request, stream| {
        let served = served.clone();
        async move {
            serve(
                &request,
                stream,
                &served,
                [100_000, 0, 0, 0].get(number).copied().unwrap_or(usize::MAX),
            )
            .await
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let digest = Digest::of(&content);
    let error = server.blobs(None).fetch_to(&digest, &target, MIB, &mut |_| {}).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(!target.exists());
    server.blobs(None).fetch_to(&digest, &target, MIB, &mut |_| {}).await.unwrap();
    assert_eq!(fs::read(&target).unwrap(), content);
    let asked: Vec<_> =
        server.requests().iter().map(|r| (r.method.clone(), r.from())).skip(4).collect();
    assert_eq!(asked, [("HEAD".to_owned(), 0), ("GET".to_owned(), 100_000)]);
}

#[tokio::test]
async fn a_wrong_remainder_of_an_earlier_fetch_is_fetched_anew() {
    let content = bytes(300_000);
    let served = content.clone();
    let server = Server::start(move |_, request, stream| {
        let served = served.clone();
        async move { serve(&request, stream, &served, usize::MAX).await }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    for (name, left) in
        [("short", vec![7; 5]), ("full", vec![7; 300_000]), ("long", vec![7; 400_000])]
    {
        let target = dir.path().join(name);
        fs::write(dir.path().join(format!("{name}.part")), left).unwrap();
        let digest = Digest::of(&content);
        server.blobs(None).fetch_to(&digest, &target, MIB, &mut |_| {}).await.unwrap();
        assert_eq!(fs::read(&target).unwrap(), content);
    }
}

#[tokio::test]
async fn wrong_bytes_never_become_a_file() {
    let content = bytes(300_000);
    let digest = Digest::of(&content);
    let mut wrong = content.to_vec();
    wrong[299_999] ^= 1;
    let server = Server::start(move |_, request, stream| {
        let wrong = wrong.clone();
        async move { serve(&request, stream, &wrong, usize::MAX).await }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let fetched = server.blobs(None).fetch_to(&digest, &target, MIB, &mut |_| {}).await;
    assert!(matches!(fetched, Err(BlobError::Damaged { .. })));
    assert!(!target.exists());
    assert_eq!(fs::metadata(dir.path().join("file.part")).unwrap().len(), 0);
    assert!(matches!(server.blobs(None).get(&digest, MIB).await, Err(BlobError::Damaged { .. })));
    assert_eq!(server.requests().len(), 2, "asking again would not help");
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_sends_all_again() {
    let content = bytes(300_000);
    let served = content.clone();
    let server = Server::start(move |number, _, mut stream| {
        let served = served.clone();
        async move {
            let most = if number == 0 { 123_456 } else { 300_000 };
            say(&mut stream, "200 OK", "content-length: 300000\r\n", &served[..most]).await;
        }
    })
    .await;
    assert_eq!(server.blobs(None).get(&Digest::of(&content), MIB).await.unwrap(), content);
}

#[tokio::test]
async fn a_server_that_lies_about_the_length_is_found_out() {
    let content = bytes(1000);
    for announced in [900, 1100, 2 << 20] {
        let served = content.clone();
        let server = Server::start(move |_, _, mut stream| {
            let served = served.clone();
            async move {
                let length = format!("content-length: {announced}\r\n");
                say(&mut stream, "200 OK", &length, &served).await;
            }
        })
        .await;
        let error = server.blobs(None).get(&Digest::of(&content), MIB).await.unwrap_err();
        let expected = match announced {
            900 => matches!(error, BlobError::Damaged { .. }),
            1100 => matches!(error, BlobError::Unreachable { .. } | BlobError::Damaged { .. }),
            _ => matches!(error, BlobError::TooLarge { .. }),
        };
        assert!(expected, "{announced}: {error}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_a_busy_one_asked_again() {
    let content = bytes(1000);
    let served = content.clone();
    let busy = Server::start(move |number, request, mut stream| {
        let served = served.clone();
        async move {
            match number {
                0 => say(&mut stream, "503 Service Unavailable", "retry-after: 0\r\n", b"").await,
                1 => drop(stream),
                _ => serve(&request, stream, &served, usize::MAX).await,
            }
        }
    })
    .await;
    assert_eq!(busy.blobs(None).get(&Digest::of(&content), MIB).await.unwrap(), content);
    assert_eq!(busy.requests().len(), 3);
    // Says that it will answer, and never does.
    let silent = Server::start(|_, _, mut stream| async move {
        tokio::spawn(async move {
            say(&mut stream, "200 OK", "content-length: 1000\r\n", b"begun").await;
            std::future::pending::<()>().await;
        });
    })
    .await;
    let error = silent.blobs(None).get(&Digest::of(&content), MIB).await.unwrap_err();
    assert!(matches!(error, BlobError::Silent { .. }), "{error}");
}

#[tokio::test]
async fn a_refused_token_is_told_with_the_role_that_is_needed() {
    for (status, expected) in [("401 Unauthorized", "SWEEP_TOKEN"), ("403 Forbidden", "this token")]
    {
        let server = Server::start(move |_, _, mut stream| async move {
            say(&mut stream, status, "content-length: 0\r\n", b"").await;
        })
        .await;
        let blobs = server.blobs(Some("hush"));
        let put = blobs.put(&b"x"[..]).await.unwrap_err().to_string();
        assert!(put.contains("`submit`") && put.contains(expected), "{put}");
        let got = blobs.get(&Digest::of(b"x"), MIB).await.unwrap_err().to_string();
        assert!(got.contains("`read`") && !got.contains("hush"), "{got}");
        assert_eq!(server.requests().len(), 2, "asking again would not help");
    }
}

#[tokio::test]
async fn an_upload_is_sent_again_whole_after_the_connection_broke() {
    let server = Server::start(|number, _, mut stream| async move {
        match number {
            0 => drop(stream),
            _ => say(&mut stream, "201 Created", "content-length: 0\r\n", b"").await,
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let content = bytes(700_000);
    fs::write(&file, &content).unwrap();
    let blobs = server.blobs(None);
    assert_eq!(blobs.put(content.clone()).await.unwrap(), Digest::of(&content));
    assert_eq!(blobs.put_file(&file).await.unwrap(), (Digest::of(&content), 700_000));
    for request in server.requests() {
        assert_eq!((request.method.as_str(), request.body.len()), ("PUT", 700_000));
        assert_eq!(request.body, content);
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn what_a_server_says_of_an_error_is_passed_on_in_one_bounded_line() {
    let server = Server::start(|_, _, mut stream| async move {
        let text = format!("{{\"detail\":\"no room\\nat all{}\"}}", "!".repeat(1500));
        let headers = format!("content-length: {}\r\n", text.len());
        say(&mut stream, "418 Teapot", &headers, text.as_bytes()).await;
    })
    .await;
    let text = server.blobs(None).put(&b"x"[..]).await.unwrap_err().to_string();
    assert!(text.contains("answered 418: no room at all!") && text.len() < 1200, "{text}");
}

#[tokio::test]
async fn many_fetches_of_one_blob_at_once_end_with_one_file() {
    let content = bytes(200_000);
    let served = content.clone();
    let server = Server::start(move |_, request, stream| {
        let served = served.clone();
        async move { serve(&request, stream, &served, usize::MAX).await }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let digest = Digest::of(&content);
    let fetches = (0..4).map(|_| {
        let (blobs, target) = (server.blobs(None), target.clone());
        tokio::spawn(async move { blobs.fetch_to(&digest, &target, MIB, &mut |_| {}).await })
    });
    for fetch in fetches.collect::<Vec<_>>() {
        assert_eq!(fetch.await.unwrap().unwrap(), 200_000);
    }
    assert_eq!(fs::read(&target).unwrap(), content);
    assert_eq!(files(dir.path()), [target]);
    assert_eq!(server.requests().len(), 1);
}
