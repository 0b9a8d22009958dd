//! Services as processes on loopback: a real redis-server, coordinators, workers, and a proxy that loses replies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Place;

/// A child that is killed when the test ends, however it ends.
pub(crate) struct Service {
    child: Child,
    /// What it said that it listens on.
    pub(crate) address: Option<String>,
}

impl Service {
    /// Starts `sweep ARGS` and waits for the first line on standard error that holds `ready`.
    pub(crate) fn start(place: &Place, args: &[&str], ready: &str) -> Self {
        let mut command = place.command(args);
        Self::spawn(&mut command, ready)
    }

    pub(crate) fn spawn(command: &mut Command, ready: &str) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.lines().any(|line| line.contains(ready)) {
            assert_ne!(
                lines.read_line(&mut said).unwrap(),
                0,
                "it ended before `{ready}`:\n{said}"
            );
        }
        let address = said
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .map(|word| word.trim_end_matches(['/', ',', ')', ';']).to_owned());
        // Read on, or its next line would meet a full pipe. `SWEEP_TEST_SHOW` shows it.
        let show = std::env::var_os("SWEEP_TEST_SHOW").is_some();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if show {
                    eprintln!("  | {line}");
                }
            }
        });
        Self { child, address }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: `KILL`, `STOP`, `CONT`, `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.unwrap().success(), "kill -{name}");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self, at_most: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < at_most, "it did not end within {at_most:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `kill -9`, and its end.
    pub(crate) fn kill(&mut self) {
        // A stopped process is killed all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Stands before a server and now and then executes a command, then loses its reply with the connection.
pub(crate) struct LossyProxy {
    pub(crate) port: u16,
    lost: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
}

impl LossyProxy {
    /// Loses about one of `of` replies.
    pub(crate) fn start(server: u16, of: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lost, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let dice = Arc::new(AtomicU32::new(1));
        let (lost_, closed_) = (lost.clone(), closed.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if closed_.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (mut to, mut from) =
                    (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let (lost, dice) = (lost_.clone(), dice.clone());
                std::thread::spawn(move || replies(upstream, client, of, &lost, &dice));
            }
        });
        Self { port, lost, closed }
    }

    /// Replies lost so far.
    pub(crate) fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn replies(mut from: TcpStream, mut to: TcpStream, of: u32, lost: &AtomicUsize, dice: &AtomicU32) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut bytes) {
        // A linear congruential generator is chance enough here.
        let roll = dice
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |x| {
                Some(x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
            })
            .unwrap();
        if read > 0 && (roll >> 8).is_multiple_of(of) {
            lost.fetch_add(1, Ordering::SeqCst);
            break;
        }
        if read == 0 || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// The body of a page, where there is one.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let host = address.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(host).ok()?;
    // A frozen process accepts and never answers.
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.to_owned())
}

/// A coordinator on a free port of loopback.
pub(crate) fn coordinator(place: &Place, store: &str) -> Service {
    Service::start(place, &["coordinator", "--store", store, "--listen", "127.0.0.1:0"], "http://")
}

/// A worker with the fake trainer, or whatever `more` says.
pub(crate) fn worker(place: &Place, store: &str, more: &[&str]) -> Service {
    let mut args = vec!["worker", "--store", store];
    args.extend(more);
    Service::start(place, &args, "slots")
}
