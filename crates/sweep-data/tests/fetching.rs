//! Downloads from a server that misbehaves: breaks off, lies, knows no ranges, sends too much.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in its helpers")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sweep_data::fetch::{self, FetchError, Fetched};
use sweep_data::{DataSet, LoadError, Opening, Sha256, Sha256OrPrefix};
use tempfile::TempDir;

/// How the server answers the requests it gets, by their number from 0; the `u64` is where the asked range begins.
type Script = dyn Fn(usize, Option<u64>) -> Answer + Send + Sync;

/// Bytes for the wire; the connection is closed after them.
struct Answer(Vec<u8>);

impl Answer {
    fn new(status: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
        Self([head.as_bytes(), body].concat())
    }

    fn whole(body: &[u8]) -> Self {
        Self::new("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
    }

    /// The whole is promised and `sent` bytes come.
    fn broken(body: &[u8], sent: usize) -> Self {
        Self::new("200 OK", &format!("Content-Length: {}\r\n", body.len()), &body[..sent])
    }

    /// What lies from `from`, of which `sent` bytes come.
    fn rest(body: &[u8], from: u64, sent: usize) -> Self {
        let (len, from) = (body.len(), from as usize);
        let headers = format!(
            "Content-Length: {}\r\nContent-Range: bytes {from}-{}/{len}\r\n",
            len - from,
            len - 1
        );
        Self::new("206 Partial Content", &headers, &body[from..(from + sent).min(len)])
    }
}

/// A server on this machine; it ends with the test's process, each connection with its answer.
struct Server {
    address: String,
    /// The `Range` of each request.
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

impl Server {
    fn new(script: impl Fn(usize, Option<u64>) -> Answer + Send + Sync + 'static) -> Self {
        let script: Box<Script> = Box::new(script);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                // A client that goes away is a part of these tests.
                let _ = answer(stream, &log, &*script);
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("{}/data/pets.zip?token=secret", self.address)
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    stream: TcpStream,
    log: &Mutex<Vec<Option<String>>>,
    script: &Script,
) -> std::io::Result<()> {
    let mut range = None;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    for line in &mut lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.to_owned());
        }
    }
    let from =
        range.as_deref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let number = {
        let mut log = log.lock().unwrap();
        log.push(range);
        log.len() - 1
    };
    let mut stream = stream;
    stream.write_all(&script(number, from).0)?;
    stream.flush()
}

/// 300 kB that do not repeat.
fn body() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..300_000).map(|_| next()).collect()
}

struct Target {
    root: TempDir,
}

impl Target {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("new/folder/pets.zip")
    }

    fn part(&self) -> PathBuf {
        self.root.path().join("new/folder/pets.zip.part")
    }

    fn fetch(
        &self,
        server: &Server,
        expected: Option<&Sha256OrPrefix>,
    ) -> Result<Fetched, FetchError> {
        self.fetch_up_to(server, expected, 1 << 20)
    }

    fn fetch_up_to(
        &self,
        server: &Server,
        expected: Option<&Sha256OrPrefix>,
        limit: u64,
    ) -> Result<Fetched, FetchError> {
        let done = fetch::file(&server.url(), expected, &self.path(), limit, &|_| {});
        if let Err(error) = &done {
            println!("--- {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        done
    }

    fn holds(&self, wanted: &[u8]) {
        assert_eq!(std::fs::read(self.path()).unwrap(), wanted);
        assert!(!self.part().exists(), "the part file is gone");
    }
}

fn expected() -> Sha256OrPrefix {
    Sha256::of(&body()).into()
}

#[test]
fn a_whole_file_is_fetched_once_and_never_again() {
    let server = Server::new(|_, _| Answer::whole(&body()));
    let target = Target::new();
    let seen = Mutex::new(Vec::new());
    let fetched = fetch::file(&server.url(), Some(&expected()), &target.path(), 300_000, &|p| {
        assert!(!p.url.contains("secret"));
        seen.lock().unwrap().push((p.done, p.total));
    });
    assert_eq!(fetched.unwrap(), Fetched { sha256: Sha256::of(&body()), bytes: 300_000 });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.first(), Some(&(0, Some(300_000))));
    assert_eq!(seen.last(), Some(&(300_000, Some(300_000))));
    assert!(seen.is_sorted());
    target.holds(&body());
    target.fetch(&server, Some(&expected())).unwrap();
    assert_eq!(server.asked(), [None], "the second time nothing is asked");
}

#[test]
fn eight_digits_of_the_sha256_are_enough_to_tell_another_file() {
    let server = Server::new(|_, _| Answer::whole(&body()));
    let target = Target::new();
    let prefix = |text: &str| text[..8].parse::<Sha256OrPrefix>().unwrap();
    target.fetch(&server, Some(&prefix(&Sha256::of(&body()).to_string()))).unwrap();
    let error = Target::new().fetch(&server, Some(&prefix("0123456789"))).unwrap_err();
    assert!(
        matches!(error, FetchError::OtherFile { .. }) && error.to_string().contains("01234567…")
    );
}

#[test]
fn a_connection_that_breaks_is_resumed_where_it_broke() {
    let server = Server::new(|number, from| match (number, from) {
        (0, None) => Answer::broken(&body(), 100_000),
        (1, Some(from)) => Answer::rest(&body(), from, 50_000),
        (_, Some(from)) => Answer::rest(&body(), from, 300_000),
        (_, None) => Answer::new("400 Bad Request", "", b""),
    });
    let target = Target::new();
    target.fetch(&server, Some(&expected())).unwrap();
    target.holds(&body());
    let ranges = server.asked();
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[2].as_deref(), Some("bytes=150000-"));
}

#[test]
fn a_server_without_ranges_starts_over_and_ends_right() {
    let server = Server::new(|number, _| match number {
        0 => Answer::broken(&body(), 100_000),
        _ => Answer::whole(&body()),
    });
    let target = Target::new();
    target.fetch(&server, Some(&expected())).unwrap();
    target.holds(&body());
}

#[test]
fn another_process_goes_on_where_the_last_one_ended() {
    let gives_up = Server::new(|number, _| match number {
        0 => Answer::broken(&body(), 120_000),
        _ => Answer::new("503 Service Unavailable", "", b""),
    });
    let target = Target::new();
    let error = target.fetch(&gives_up, Some(&expected())).unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("503") && error.is_unreachable() && !error.is_input());
    assert!(!target.path().exists());
    assert_eq!(std::fs::metadata(target.part()).unwrap().len(), 120_000);
    let server = Server::new(|_, from| Answer::rest(&body(), from.unwrap(), 300_000));
    target.fetch(&server, Some(&expected())).unwrap();
    assert_eq!(server.asked(), [Some("bytes=120000-".to_owned())]);
    target.holds(&body());
}

#[test]
fn a_part_of_another_file_is_thrown_away_and_the_whole_fetched() {
    let target = Target::new();
    std::fs::create_dir_all(target.path().parent().unwrap()).unwrap();
    for earlier in [vec![9; 1000], vec![9; 300_000], vec![9; 400_000]] {
        let _ = std::fs::remove_file(target.path());
        std::fs::write(target.part(), &earlier).unwrap();
        let server = Server::new(|_, from| match from {
            None => Answer::whole(&body()),
            Some(from) if from < 300_000 => Answer::rest(&body(), from, 300_000),
            Some(_) => Answer::new(
                "416 Range Not Satisfiable",
                "Content-Range: bytes */300000\r\nContent-Length: 0\r\n",
                b"",
            ),
        });
        target.fetch(&server, Some(&expected())).unwrap();
        target.holds(&body());
    }
}

#[test]
fn a_part_of_unknown_origin_is_not_resumed_where_no_sha256_could_tell() {
    let target = Target::new();
    std::fs::create_dir_all(target.path().parent().unwrap()).unwrap();
    std::fs::write(target.part(), vec![9; 1000]).unwrap();
    let server = Server::new(|_, from| match from {
        None => Answer::whole(&body()),
        Some(from) => Answer::rest(&body(), from, 300_000),
    });
    target.fetch(&server, None).unwrap();
    target.holds(&body());
    assert_eq!(server.asked(), [None]);
}

#[test]
fn wrong_bytes_are_refused_and_nothing_is_kept() {
    let mut wrong = body();
    wrong[77] ^= 1;
    let found = Sha256::of(&wrong).to_string();
    let server = Server::new(move |_, _| Answer::whole(&wrong));
    let target = Target::new();
    let error = target.fetch(&server, Some(&expected())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&found) && text.contains(&expected().to_string()) && error.is_input(),
        "{text}"
    );
    assert!(!target.path().exists() && !target.part().exists());
    assert_eq!(server.asked().len(), 1, "the same wrong bytes are not fetched again");
}

#[test]
fn more_than_the_limit_is_refused_whether_promised_or_not() {
    let promised = Server::new(|_, _| Answer::whole(&body()));
    let silent = Server::new(|_, _| Answer::new("200 OK", "", &body()));
    for server in [promised, silent] {
        let target = Target::new();
        let error = target.fetch_up_to(&server, Some(&expected()), 299_999).unwrap_err();
        assert!(matches!(error, FetchError::TooLong { limit: 299_999, .. }), "{error}");
        assert!(!target.path().exists() && !target.part().exists());
    }
}

#[test]
fn a_length_that_is_not_told_is_read_to_the_end() {
    let server = Server::new(|_, _| Answer::new("200 OK", "", &body()));
    let target = Target::new();
    target.fetch(&server, Some(&expected())).unwrap();
    target.holds(&body());
}

#[test]
fn a_server_that_answers_another_range_is_not_believed() {
    let server = Server::new(|number, from| match (number, from) {
        (0, _) => Answer::broken(&body(), 100_000),
        (_, Some(_)) => Answer::rest(&body(), 5, 300_000),
        (_, None) => Answer::whole(&body()),
    });
    let target = Target::new();
    target.fetch(&server, Some(&expected())).unwrap();
    target.holds(&body());
}

#[test]
fn a_refusal_says_where_the_file_belongs() {
    let server = Server::new(|_, _| Answer::new("404 Not Found", "Content-Length: 0\r\n", b""));
    let target = Target::new();
    let error = target.fetch(&server, Some(&expected())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("404 Not Found") && text.contains(&target.path().display().to_string()),
        "{text}"
    );
    assert!(text.contains(&expected().to_string()) && !target.part().exists());
    assert_eq!(server.asked().len(), 1, "a refusal is not asked again");
}

#[test]
fn without_a_network_the_message_says_what_to_do() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/pets.zip", listener.local_addr().unwrap());
    drop(listener);
    let target = Target::new();
    let error = fetch::file(&url, Some(&expected()), &target.path(), 1, &|_| {}).unwrap_err();
    let text = error.to_string();
    println!("{text}");
    assert!(error.is_unreachable());
    assert!(text.contains("without a network, get the file elsewhere and put it at"), "{text}");
    assert!(
        text.contains(&target.path().display().to_string()) && text.contains("sha256"),
        "{text}"
    );
    assert!(!target.part().exists());
}

#[test]
fn redirects_are_followed_and_endless_ones_are_not() {
    let server = Server::new(|number, _| match number {
        0 => Answer::new("302 Found", "Location: /elsewhere\r\nContent-Length: 0\r\n", b""),
        _ => Answer::whole(&body()),
    });
    let target = Target::new();
    target.fetch(&server, Some(&expected())).unwrap();
    target.holds(&body());
    let round =
        Server::new(|_, _| Answer::new("302 Found", "Location: /x\r\nContent-Length: 0\r\n", b""));
    let error = Target::new().fetch(&round, Some(&expected())).unwrap_err().to_string();
    assert!(error.contains("too many redirects"), "{error}");
}

#[test]
fn a_file_that_is_in_the_way_is_not_touched() {
    let server = Server::new(|_, _| Answer::whole(&body()));
    let target = Target::new();
    std::fs::create_dir_all(target.path().parent().unwrap()).unwrap();
    std::fs::write(target.path(), b"mine").unwrap();
    let error = target.fetch(&server, Some(&expected())).unwrap_err();
    assert!(matches!(error, FetchError::InTheWay { .. }), "{error}");
    assert_eq!(std::fs::read(target.path()).unwrap(), b"mine");
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn several_that_fetch_at_once_all_end_well_and_ask_once() {
    let server = Server::new(|_, _| Answer::whole(&body()));
    let target = Target::new();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| target.fetch(&server, Some(&expected())).unwrap());
        }
    });
    target.holds(&body());
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn it_may_be_called_from_within_a_runtime() {
    let server = Server::new(|_, _| Answer::whole(&body()));
    let target = Target::new();
    target.fetch(&server, Some(&expected())).unwrap();
    target.holds(&body());
}

/// A zip of two classes, stored.
fn archive() -> Vec<u8> {
    use zip::write::SimpleFileOptions;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (c, class) in (0..).zip(["cat", "dog"]) {
        for i in 0..5 {
            zip.start_file(format!("{class}/{i}.jpg"), SimpleFileOptions::default()).unwrap();
            zip.write_all(&support::jpeg(1000 * c + i, 40, 32)).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn open(root: &Path, url: &str, sha256: &str) -> Result<DataSet, LoadError> {
    let manifest =
        format!("name: pets\nsource:\n  archive: {{ url: '{url}', sha256: '{sha256}' }}\n");
    support::write(root, "pets.yaml", manifest.as_bytes());
    let cache = root.join("cache");
    let opening = Opening { cache: Some(&cache), ..Opening::default() };
    DataSet::load_with("pets.yaml", root, &opening)
}

#[test]
fn a_data_set_comes_from_a_url_and_the_second_time_from_the_cache() {
    let bytes = archive();
    let sha256 = Sha256::of(&bytes).to_string();
    let server = Server::new(move |_, _| Answer::whole(&bytes));
    let root = tempfile::tempdir().unwrap();
    let set = open(root.path(), &server.url(), &sha256).unwrap();
    assert_eq!(set.info().train, [4, 4]);
    assert!(set.origin().unwrap().archive.as_ref().unwrap().verified);
    assert_eq!(open(root.path(), &server.url(), &sha256).unwrap().info(), set.info());
    assert_eq!(server.asked().len(), 1);
    let error = open(root.path(), &server.url(), &"0".repeat(64)).unwrap_err();
    assert!(error.is_input() && error.to_string().contains("has sha256"), "{error}");
}

#[test]
fn where_a_download_is_one_place_of_several_all_of_them_are_named() {
    let server = Server::new(|_, _| Answer::new("404 Not Found", "Content-Length: 0\r\n", b""));
    let root = tempfile::tempdir().unwrap();
    let sha256 = "0".repeat(64);
    let manifest = format!(
        "name: pets\nclasses: [cat, dog]\nobtain: ask a vet\nsources:\n  - folder: pets\n  - archive: {{ url: '{}', sha256: '{sha256}' }}\nexpect: {{ train: {{ cat: 4 }}, val: {{ cat: 1 }} }}\n",
        server.url()
    );
    support::write(root.path(), "pets.yaml", manifest.as_bytes());
    let cache = root.path().join("cache");
    let opening = Opening { cache: Some(&cache), ..Opening::default() };
    let error = DataSet::load_with("pets.yaml", root.path(), &opening).unwrap_err().to_string();
    println!("{error}");
    for words in [
        "pets.yaml:5:",
        "in none of the 2 places",
        "pets` is not there",
        "the server says 404 Not Found; get the file elsewhere and put it at",
        "it must hold 5 images",
        "to obtain it: ask a vet",
    ] {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
}
