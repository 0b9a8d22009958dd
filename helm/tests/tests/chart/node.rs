//! A node for pods without a cluster: containers of a rendering as processes of this machine, with their environment and no other, their secrets
//! as files, and nothing writable but their writable mounts.
//!
//! The binaries are those beside this test's own (`target/debug/coordinator`, `target/release/sweep`), or named by
//! `SWEEP_COORDINATOR_BINARY` and `SWEEP_BINARY`. Read-only file systems need root and `unshare`; elsewhere a loud word, and the rest.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chart_tests::{Objects, said, skipped};
use serde_json::{Value, json};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The real binaries.
pub(crate) struct Binaries {
    coordinator: PathBuf,
    sweep: PathBuf,
}

impl Binaries {
    pub(crate) fn built() -> Option<Self> {
        let test = std::env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let named = |variable, built: &str| {
            std::env::var_os(variable).map_or_else(|| target.join(built), PathBuf::from)
        };
        let found = Self {
            coordinator: named("SWEEP_COORDINATOR_BINARY", "debug/coordinator"),
            sweep: named("SWEEP_BINARY", "release/sweep"),
        };
        for path in [&found.coordinator, &found.sweep] {
            if !path.exists() {
                skipped(&format!("no {} (./test.sh chart builds it)", path.display()));
                return None;
            }
        }
        Some(found)
    }

    /// The binary that is at this path of an image.
    pub(crate) fn at(&self, path: &str) -> &Path {
        match path {
            "/usr/local/bin/coordinator" => &self.coordinator,
            "/usr/local/bin/sweep" => &self.sweep,
            other => panic!("no image has {other}"),
        }
    }
}

/// A process that is killed when the test ends, however it ends.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        said(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()])).unwrap();
    }

    pub(crate) fn wait(&mut self, at_most: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        while began.elapsed() < at_most {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Status and body of a page that asks for no token.
pub(crate) fn get(port: u16, path: &str) -> Option<(u16, String)> {
    get_with(port, path, "none")
}

pub(crate) fn get_with(port: u16, path: &str, token: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// The node of the pods: their files, ports and Redis.
pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    redis: u16,
    /// Of the coordinator: its API and its probes.
    pub(crate) api: u16,
    pub(crate) probes: u16,
    password: String,
    confined: bool,
}

/// Inside a mount namespace of its own: a root that holds what an image does (libraries, certificates), devices, and the binary that is the first argument.
const PREPARE: &str = "set -euo pipefail
sealed() { for dir; do if touch $dir/x 2>/dev/null; then echo $dir can be written >&2; exit 97; fi; done; }
mount --make-rprivate /
mount -t tmpfs none /mnt
root=/mnt/root; mkdir -p $root/app; cp $0 $root/app/it
for dir in lib lib64 usr dev proc etc/ssl; do [ ! -e /$dir ] || { mkdir -p $root/$dir; mount --rbind /$dir $root/$dir; }; done
for dir in lib lib64 usr etc/ssl; do [ ! -e /$dir ] || mount -o remount,bind,ro $root/$dir; done
";
/// Nothing but the writable mounts can be written from here on, and the process is nobody.
const SEAL_AND_START: &str = "mount -o remount,ro /mnt; sealed $root $root/usr $root/app
exec chroot --userspec=65532:65532 $root /app/it \"$@\"
";

/// What one container is started with.
pub(crate) struct Container {
    command: Vec<String>,
    env: BTreeMap<String, String>,
    /// Path in the pod and on this machine, and whether the pod may write there.
    mounts: Vec<(String, PathBuf, bool)>,
}

impl Node {
    pub(crate) fn new() -> Self {
        // A mount namespace of its own, in which nothing can be written.
        let can = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
        let confined = can.is_ok_and(|status| status.success());
        if !confined {
            skipped("read-only file systems of pods: they need root and unshare");
        }
        let password = "an0therSecret".to_owned();
        let [redis, api, probes] = [free_port(), free_port(), free_port()];
        Self { dir: tempfile::tempdir().unwrap(), redis, api, probes, password, confined }
    }

    /// The embedded server by its own script, at a port and in folders of this machine.
    pub(crate) fn redis(&self, objects: &Objects) -> Option<Process> {
        let binary =
            std::env::var_os("SWEEP_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let there = Command::new(&binary).arg("--version").stdout(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            skipped("no redis-server: the pods' lives are not lived");
            return None;
        }
        let here = |name: &str| self.dir.path().join(name).display().to_string();
        std::fs::create_dir_all(here("redis")).unwrap();
        std::fs::write(here("password"), &self.password).unwrap();
        let pod = objects.get("StatefulSet/r-sweep-redis").unwrap();
        let container = pod.pointer("/spec/template/spec/containers/0").unwrap();
        assert_eq!(container["command"], json!(["sh", "-euc"]));
        let script = container["args"][0].as_str().unwrap();
        let script = script
            .replace("/etc/sweep/redis/password", &here("password"))
            .replace("/tmp/redis.conf", &here("redis.conf"))
            .replace(
                "--dir /data",
                &format!("--port {} --bind 127.0.0.1 --dir {}", self.redis, here("redis")),
            )
            .replace("exec redis-server", &format!("exec {}", binary.display()));
        let mut command = Command::new("sh");
        command.args(["-euc", &script]).stdout(Stdio::null());
        Some(Process(command.spawn().unwrap()))
    }

    /// What Secrets hold: those of the rendering, else what an operator would bring.
    pub(crate) fn secret(&self, objects: &Objects, name: &str, key: &str) -> String {
        if name.ends_with("-redis") {
            return self.password.clone();
        }
        let secret = objects.get(&format!("Secret/{name}")).unwrap();
        let encoded = secret["data"][key].as_str().unwrap();
        let mut decode = Command::new("base64");
        decode.arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = decode.spawn().unwrap();
        child.stdin.take().unwrap().write_all(encoded.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    /// The first container of a pod, with its secrets and folders laid out here, and names of the cluster made ports of this machine.
    pub(crate) fn container(
        &self,
        objects: &Objects,
        pod: &str,
        copy: &str,
        binaries: &Binaries,
    ) -> Container {
        let (who, pod) = objects.pods().into_iter().find(|(name, _)| name == pod).unwrap();
        let container = &pod["spec"]["containers"][0];
        let mut mounts = Vec::new();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let volumes = pod["spec"]["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let here = self.dir.path().join(copy).join(mount["name"].as_str().unwrap());
            std::fs::create_dir_all(&here).unwrap();
            let secret = &volume["secret"];
            if secret.is_object() {
                let name = secret["secretName"].as_str().unwrap();
                let all =
                    json!(["read", "submit", "admin"].map(|key| json!({"key": key, "path": key})));
                let items = secret.get("items").unwrap_or(&all);
                for item in items.as_array().unwrap() {
                    let text = self.secret(objects, name, item["key"].as_str().unwrap());
                    std::fs::write(here.join(item["path"].as_str().unwrap()), text).unwrap();
                }
            }
            let writable = mount.get("readOnly").is_none_or(|only| only != true);
            mounts.push((mount["mountPath"].as_str().unwrap().to_owned(), here, writable));
        }
        let mut env = BTreeMap::new();
        for variable in container["env"].as_array().unwrap() {
            let value = variable["value"].as_str().unwrap_or_else(|| panic!("{who}: {variable}"));
            let value = value
                .replace("r-sweep-redis:6379", &format!("127.0.0.1:{}", self.redis))
                .replace("r-sweep-coordinator:8080", &format!("127.0.0.1:{}", self.api))
                .replace("0.0.0.0:8080", &format!("0.0.0.0:{}", self.api));
            env.insert(variable["name"].as_str().unwrap().to_owned(), value);
        }
        let words = ["command", "args"]
            .iter()
            .flat_map(|part| container[*part].as_array().into_iter().flatten());
        let mut command: Vec<_> = words.map(|word| word.as_str().unwrap().to_owned()).collect();
        command[0] = binaries.at(&command[0]).display().to_string();
        Container { command, env, mounts }
    }

    /// Starts it: with its environment alone, and where that can be had nothing writable but its writable mounts.
    pub(crate) fn start(&self, mut container: Container, metrics: u16, more: &[&str]) -> Process {
        for value in container.env.values_mut() {
            *value = value.replace("0.0.0.0:9100", &format!("127.0.0.1:{metrics}"));
        }
        container.command.extend(more.iter().map(|word| (*word).to_owned()));
        let mut command = if self.confined {
            let mut script = PREPARE.to_owned();
            for (path, here, writable) in &container.mounts {
                let here = here.display();
                script
                    .push_str(&format!("mkdir -p $root{path}; mount --bind {here} $root{path}\n"));
                script.push_str(&match writable {
                    true => format!("chown 65532:65532 {here}\n"),
                    false => format!(
                        "chown -R 0:65532 {here}; chmod 440 {here}/*; mount -o remount,bind,ro $root{path}; sealed $root{path}\n"
                    ),
                });
            }
            script.push_str(SEAL_AND_START);
            let mut command = Command::new("unshare");
            command.args(["-m", "bash", "-c", &script]).args(&container.command);
            command
        } else {
            // Without mounts the paths of the pod are those of this machine.
            for value in container.env.values_mut() {
                for (path, here, _) in &container.mounts {
                    *value = value.replace(path, &here.display().to_string());
                }
            }
            let mut command = Command::new(&container.command[0]);
            command.args(&container.command[1..]).current_dir(self.dir.path());
            command
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .envs(&container.env);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        if std::env::var_os("SWEEP_TEST_SHOW").is_none() {
            command.stderr(Stdio::null());
        }
        Process(command.spawn().unwrap())
    }

    /// `sweep` on a laptop, by way of a forwarded port, with the token for submitting.
    pub(crate) fn laptop(
        &self,
        binaries: &Binaries,
        token: &str,
        args: &[&str],
    ) -> Result<String, String> {
        let mut command = Command::new(&binaries.sweep);
        command.args(args).args(["--coordinator", &format!("http://127.0.0.1:{}", self.api)]);
        command
            .current_dir(self.dir.path())
            .env("SWEEP_TOKEN", token)
            .env("XDG_CONFIG_HOME", self.dir.path());
        said(&mut command)
    }

    pub(crate) fn runs(&self, binaries: &Binaries, token: &str) -> Vec<Value> {
        let text = self.laptop(binaries, token, &["runs", "small", "--json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}
