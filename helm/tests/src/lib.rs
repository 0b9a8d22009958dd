//! Renders the chart with the real `helm` and reads what it prints. Checks are in `tests/`.
//!
//! `SWEEP_HELM` names the binary; else the one that `./test.sh tools` installs, else `helm` of the path.
#![expect(clippy::expect_used, reason = "a helper of tests")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Name of the release in every rendering.
pub const RELEASE: &str = "r";
/// Namespace of it.
pub const NAMESPACE: &str = "demo";

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Says loudly that something is left out; in CI that is a failure.
///
/// # Panics
/// Where the environment holds `CI`.
pub fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "must not be left out in CI: {why}");
    // Not `eprintln`, which is swallowed where tests pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A chart in a folder, and the `helm` that renders it.
pub struct Chart {
    helm: PathBuf,
    /// Folder of the chart.
    pub dir: PathBuf,
}

/// The objects of one rendering.
#[derive(Debug)]
pub struct Objects(pub Vec<Value>);

impl Chart {
    /// The chart of this repository; nothing, with a loud word, where there is no `helm`.
    pub fn ours() -> Option<Self> {
        let installed = root().join("target/tools/bin/helm");
        let helm = match std::env::var_os("SWEEP_HELM") {
            Some(named) => named.into(),
            None if installed.exists() => installed,
            None => "helm".into(),
        };
        let found = Command::new(&helm).arg("version").stdout(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            skipped("no helm (./test.sh tools installs it, or name one in SWEEP_HELM)");
            return None;
        }
        Some(Self { helm, dir: root().join("helm/sweep") })
    }

    /// A copy in which one file was changed: a planted fault.
    ///
    /// # Panics
    /// When the file does not hold `from`.
    pub fn with(&self, file: &str, from: &str, to: &str) -> (Self, tempfile::TempDir) {
        let copy = tempfile::tempdir().expect("a temporary folder");
        let status = Command::new("cp").arg("-r").arg(&self.dir).arg(copy.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "the chart cannot be copied");
        let dir = copy.path().join("sweep");
        let text = std::fs::read_to_string(dir.join(file)).expect("a file of the chart");
        assert!(text.contains(from), "{file} does not hold {from:?}");
        std::fs::write(dir.join(file), text.replace(from, to)).expect("a copy can be written");
        (Self { helm: self.helm.clone(), dir }, copy)
    }

    /// A values file of `ci/`.
    pub fn ci(&self, name: &str) -> PathBuf {
        self.dir.join("ci").join(format!("{name}-values.yaml"))
    }

    /// Renders with a values file, if one is named, and values over it.
    ///
    /// # Errors
    /// What Helm says.
    pub fn render(&self, file: Option<&Path>, values: &Value) -> Result<Objects, String> {
        let mut over = tempfile::NamedTempFile::new().expect("a temporary file");
        write!(over, "{values}").expect("it can be written");
        let mut command = self.helm(&["template", RELEASE, ".", "-n", NAMESPACE]);
        if let Some(file) = file {
            command.arg("-f").arg(file);
        }
        let text = said(command.arg("-f").arg(over.path()))?;
        Ok(Objects::of(&text))
    }

    /// The notes shown after an installation.
    ///
    /// # Errors
    /// What Helm says.
    pub fn notes(&self, file: &Path, values: &Value) -> Result<String, String> {
        let mut over = tempfile::NamedTempFile::new().expect("a temporary file");
        write!(over, "{values}").expect("it can be written");
        let args = ["install", RELEASE, ".", "-n", NAMESPACE, "--dry-run=client"];
        let text = said(self.helm(&args).arg("-f").arg(file).arg("-f").arg(over.path()))?;
        Ok(text.split_once("NOTES:").map_or_else(String::new, |(_, notes)| notes.to_owned()))
    }

    /// `helm` in the chart's folder.
    pub fn helm(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.helm);
        command.args(args).current_dir(&self.dir).stdin(Stdio::null());
        // No cluster is asked, whatever this machine knows of one.
        command.env("KUBECONFIG", "/dev/null");
        command
    }
}

/// What a command printed.
///
/// # Errors
/// Its errors, when it failed.
pub fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A YAML document as JSON.
///
/// # Panics
/// When it is none.
pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

impl Objects {
    fn of(text: &str) -> Self {
        let mut documents = vec![String::new()];
        for line in text.lines() {
            match line {
                "---" => documents.push(String::new()),
                _ => {
                    let document = documents.last_mut().expect("there is always one");
                    document.push_str(line);
                    document.push('\n');
                }
            }
        }
        let full = |text: &&String| {
            text.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'))
        };
        Self(documents.iter().filter(full).map(|text| yaml(text)).collect())
    }

    /// `Kind/name` of each.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(name).collect()
    }

    /// The object `Kind/name`, if it is there.
    pub fn get(&self, which: &str) -> Option<&Value> {
        self.0.iter().find(|object| name(object) == which)
    }

    /// All objects of a kind.
    pub fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// Every pod or pod template, with `Kind/name` of what holds it.
    pub fn pods(&self) -> Vec<(String, &Value)> {
        let pod = |object: &Value| match object["kind"].as_str() {
            Some("Pod") => Some(""),
            Some("Deployment" | "StatefulSet") => Some("/spec/template"),
            Some("ScaledJob") => Some("/spec/jobTargetRef/template"),
            _ => None,
        };
        let found = self.0.iter().filter_map(|object| Some((object, pod(object)?)));
        found
            .map(|(object, at)| (name(object), object.pointer(at).expect("its place is known")))
            .collect()
    }
}

/// `Kind/name`.
pub fn name(object: &Value) -> String {
    let text = |at| object.pointer(at).and_then(Value::as_str).unwrap_or("?");
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}
