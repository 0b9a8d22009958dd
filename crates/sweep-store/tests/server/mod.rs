//! A real server for tests: spawned on a free port with a folder of its own, gone with the process that asked for it.
//!
//! `SWEEP_REDIS_SERVER` names the binary (default `redis-server`). Where there is none, tests that need one say so and pass.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

const SENTINEL: &str = "sentinel.conf";

/// A running server; dropping it stops it and removes its folder.
pub(crate) struct Server {
    pub(crate) port: u16,
    shell: Child,
    /// Kept from one start to the next, so that a server may come back with what it wrote.
    pub(crate) dir: tempfile::TempDir,
    settings: Vec<String>,
}

/// The binary, if it is there.
fn binary() -> Option<PathBuf> {
    let name = std::env::var_os("SWEEP_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let found = Command::new(&name).arg("--version").stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success()).then(|| name.into())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// A server with these further settings, or nothing where there is no binary: then with a loud word.
    pub(crate) fn start(settings: &[&str]) -> Option<Self> {
        if binary().is_none() {
            // Not `eprintln`, which is swallowed where tests pass.
            let word =
                b"SKIPPED: no redis-server (install it, or name one in SWEEP_REDIS_SERVER)\n";
            std::io::stderr().write_all(word).unwrap();
            return None;
        }
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|text| (*text).to_owned()).collect();
        let shell = spawn(port, &dir, &settings);
        Some(Self { port, shell, dir, settings })
    }

    /// A sentinel that watches the server on this port under the name `main`.
    #[allow(dead_code, reason = "not every test that includes this file does so")]
    pub(crate) fn sentinel(watched: u16) -> Option<Self> {
        binary()?;
        let port = free_port();
        let dir = tempfile::tempdir().unwrap();
        let text = format!("port {port}\nsentinel monitor main 127.0.0.1 {watched} 1\n");
        // Sentinels keep what they learn in their file, and start with no other settings.
        std::fs::write(dir.path().join(SENTINEL), text).unwrap();
        let shell = spawn(port, &dir, &[]);
        Some(Self { port, shell, dir, settings: Vec::new() })
    }

    /// The address of a namespace on it.
    pub(crate) fn url(&self, namespace: &str) -> String {
        format!("redis://127.0.0.1:{}?namespace={namespace}", self.port)
    }

    /// Kills the server outright and starts it again on what it left.
    #[allow(dead_code, reason = "not every test that includes this file does so")]
    pub(crate) fn crash_and_restart(&mut self) {
        self.crash();
        self.restart();
    }

    /// Kills the server outright.
    #[allow(dead_code, reason = "not every test that includes this file does so")]
    pub(crate) fn crash(&mut self) {
        let mut input = self.shell.stdin.take().unwrap();
        input.write_all(b"stay\n").unwrap();
        self.stop();
    }

    /// Starts the server again on what it left.
    #[allow(dead_code, reason = "not every test that includes this file does so")]
    pub(crate) fn restart(&mut self) {
        self.shell = spawn(self.port, &self.dir, &self.settings);
    }

    fn stop(&mut self) {
        // The shell that watches over the server kills it when its input ends, and without a word removes its folder too.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A shell that kills the server when this process ends, however it ends: its input closes then.
fn spawn(port: u16, dir: &tempfile::TempDir, settings: &[String]) -> Child {
    let mut command = Command::new("sh");
    command.arg("-c").arg(r#""$0" "$@" </dev/null & server=$!; read -r word; kill -9 $server; wait $server; [ "$word" ] || rm -rf "$DIR""#)
        .env("DIR", dir.path());
    command.arg(binary().unwrap());
    let sentinel = dir.path().join(SENTINEL);
    if sentinel.exists() {
        command.arg(sentinel).arg("--sentinel");
    } else {
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--dir").arg(dir.path()).args(["--save", ""]).args(settings);
    }
    let mut shell =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    let ready = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains("Ready to accept") || line.contains("+monitor"));
    assert!(ready.is_some(), "the server did not start");
    // Read on, or its next line would meet a closed pipe.
    std::thread::spawn(move || lines.for_each(drop));
    shell
}
