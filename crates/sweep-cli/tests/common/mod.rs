//! The binary as a user runs it, in a directory of its own.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

pub(crate) mod cluster;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory with sweep files; the store lies in `.sweep` below it.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path().join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.path());
        for name in ["STORE", "DIR", "LOG", "COORDINATOR", "TOKEN", "BLOBS", "POOL"] {
            command.env_remove(format!("SWEEP_{name}"));
        }
        command
    }

    pub(crate) fn sweep(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `sweep` and returns what it printed; fails the test when its exit code is not `code`.
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> String {
        let output = self.sweep(args);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "sweep {args:?}\nstdout: {stdout}\nstderr: {stderr}"
        );
        stdout
    }

    /// `report.json` of the sweep `name`, without the one object that holds times.
    pub(crate) fn report(&self, name: &str) -> serde_json::Value {
        let mut report: serde_json::Value =
            serde_json::from_str(&self.read(&format!(".sweep/reports/{name}/report.json")))
                .unwrap();
        let timing = report.as_object_mut().unwrap().remove("timing");
        assert!(timing.is_some(), "the report says how long things took");
        report
    }
}

/// A small sweep on the built-in digits: 2 losses × 3 seeds.
pub(crate) const SMALL: &str = "\
name: small
datasets: [digits]
seeds: 3
baseline: softmax
losses:
  - softmax
  - am_softmax: { margin: 0.2, scale: 10 }
model: { backbone: small_cnn }
training: { epochs: 12, batch_size: 10, optimizer: { sgd: { learning_rate: 0.05 } } }
";
