//! The life of pods without a cluster: the rendered commands, as processes of the real binaries against a real redis-server, with the
//! chart's environment and no other, secrets as files, and nothing writable but the chart's writable mounts.
//!
//! The binaries are those beside this test's own (`target/debug/coordinator`, `target/release/sweep`), or named by
//! `SWEEP_COORDINATOR_BINARY` and `SWEEP_BINARY`. Read-only file systems need root and `unshare`; elsewhere a loud word, and the rest.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use chart_tests::{Chart, Objects, root, said, skipped};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

/// The real binaries.
struct Binaries {
    coordinator: PathBuf,
    sweep: PathBuf,
}

impl Binaries {
    fn built() -> Option<Self> {
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
    fn at(&self, path: &str) -> &Path {
        match path {
            "/usr/local/bin/coordinator" => &self.coordinator,
            "/usr/local/bin/sweep" => &self.sweep,
            other => panic!("no image has {other}"),
        }
    }
}

/// A process that is killed when the test ends, however it ends.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        said(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()])).unwrap();
    }

    fn wait(&mut self, at_most: Duration) -> Option<ExitStatus> {
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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

/// Status and body of a page.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// The node of the pods: their files, ports and Redis.
struct Node {
    dir: tempfile::TempDir,
    redis: u16,
    /// Of the coordinator: its API and its probes.
    api: u16,
    probes: u16,
    password: String,
    confined: bool,
}

/// What one container is started with.
struct Container {
    command: Vec<String>,
    env: BTreeMap<String, String>,
    /// Path in the pod and on this machine, and whether the pod may write there.
    mounts: Vec<(String, PathBuf, bool)>,
}

impl Node {
    fn new() -> Self {
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

    fn redis(&self) -> Option<Process> {
        let binary =
            std::env::var_os("SWEEP_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let data = self.dir.path().join("redis");
        std::fs::create_dir_all(&data).unwrap();
        // The embedded server's own arguments.
        let started = Command::new(binary)
            .args(["--port", &self.redis.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(&data)
            .args("--appendonly yes --appendfsync always --maxmemory-policy noeviction".split(' '))
            .args(["--save", "", "--requirepass", &self.password])
            .stdout(Stdio::null())
            .spawn();
        match started {
            Ok(child) => Some(Process(child)),
            Err(_) => {
                skipped("no redis-server: the pods' lives are not lived");
                None
            }
        }
    }

    /// What Secrets hold: those of the rendering, else what an operator would bring.
    fn secret(&self, objects: &Objects, name: &str, key: &str) -> String {
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
    fn container(
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
    fn start(&self, mut container: Container, metrics: u16, more: &[&str]) -> Process {
        for value in container.env.values_mut() {
            *value = value.replace("0.0.0.0:9100", &format!("127.0.0.1:{metrics}"));
        }
        container.command.extend(more.iter().map(|word| (*word).to_owned()));
        let mut command = if self.confined {
            // The folders of mounts are made in a tmpfs over /etc/sweep and its like; then everything else is read-only.
            let mut script = "set -e; mount --make-rprivate /\n".to_owned();
            let hold = self.dir.path().display();
            // The files of this node are held where the pod's own /tmp does not hide them.
            script.push_str(&format!("mount -t tmpfs none /mnt; mkdir /mnt/node /mnt/bin; mount --rbind {hold} /mnt/node\n"));
            script.push_str(&format!("cp {} /mnt/bin/it\n", container.command[0]));
            script.push_str("for dir in etc var/cache; do mkdir -p /mnt/over/$dir; cp -a /$dir/. /mnt/over/$dir/ 2>/dev/null || true; done\n");
            script.push_str("mount --bind /mnt/over/etc /etc; mkdir -p /var/cache; mount --bind /mnt/over/var/cache /var/cache; mkdir -p /data\n");
            for (path, here, _) in &container.mounts {
                let here = here.strip_prefix(self.dir.path()).unwrap().display();
                script
                    .push_str(&format!("mkdir -p {path}; mount --bind /mnt/node/{here} {path}\n"));
            }
            script.push_str("mount -o remount,bind,ro /; mount -o remount,bind,ro /etc; mount -o remount,bind,ro /var/cache\n");
            for (path, _, writable) in &container.mounts {
                if !writable {
                    script.push_str(&format!("mount -o remount,bind,ro {path}\n"));
                }
            }
            script.push_str("! touch /etc/x 2>/dev/null; ! touch /x 2>/dev/null\ncd /; exec /mnt/bin/it \"$@\"\n");
            let mut command = Command::new("unshare");
            command.args(["-m", "bash", "-c", &script, "it"]).args(&container.command[1..]);
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
    fn laptop(&self, binaries: &Binaries, token: &str, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new(&binaries.sweep);
        command.args(args).args(["--coordinator", &format!("http://127.0.0.1:{}", self.api)]);
        command
            .current_dir(self.dir.path())
            .env("SWEEP_TOKEN", token)
            .env("XDG_CONFIG_HOME", self.dir.path());
        said(&mut command)
    }

    fn runs(&self, binaries: &Binaries, token: &str) -> Vec<Value> {
        let text = self.laptop(binaries, token, &["runs", "small", "--json"]).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

fn first_try(chart: &Chart, values: &Value) -> Objects {
    chart.render(Some(&chart.ci("first-try")), values).unwrap()
}

#[test]
fn a_pod_that_is_told_to_end_hands_its_run_on_uncharged() {
    let (Some(chart), Some(binaries)) = (Chart::ours(), Binaries::built()) else { return };
    let node = Node::new();
    let objects = first_try(
        &chart,
        &json!({"worker": {"slots": 1, "drainSeconds": 15, "terminationGracePeriodSeconds": 25}}),
    );
    let token = node.secret(&objects, "r-sweep-auth", "submit");

    // Pods start before their Redis: they are alive and not ready.
    let pod = node.container(&objects, "Deployment/r-sweep-coordinator", "coordinator", &binaries);
    let mut coordinator = node.start(pod, node.probes, &[]);
    until("probes are answered", || get(node.probes, "/healthz").is_some());
    assert_eq!(get(node.probes, "/healthz").unwrap().0, 200);
    assert_eq!(get(node.probes, "/readyz").unwrap().0, 503);
    let trainer = ["--trainer", "fake:epoch=300ms"];
    let metrics = free_port();
    let pod = node.container(&objects, "Deployment/r-sweep-worker", "first", &binaries);
    let mut first = node.start(pod, metrics, &trainer);
    until("a worker's probe is answered", || {
        get(metrics, "/healthz").is_some_and(|page| page.0 == 200)
    });
    let Some(_redis) = node.redis() else { return };
    until("the coordinator is ready", || {
        get(node.probes, "/readyz").is_some_and(|page| page.0 == 200)
    });
    assert!(
        get(node.probes, "/metrics")
            .unwrap()
            .1
            .contains("sweep_build_info{component=\"coordinator\"")
    );
    assert_eq!(
        get(node.api, "/metrics").unwrap().0,
        401,
        "where an ingress leads a token is asked for"
    );

    let sweep = "name: small\ndatasets: [digits]\nseeds: 3\nbaseline: softmax\nlosses: [softmax]\n\
        model: { backbone: small_cnn }\ntraining: { epochs: 12, batch_size: 10, optimizer: { sgd: { learning_rate: 0.05 } } }\n";
    std::fs::write(node.dir.path().join("small.yaml"), sweep).unwrap();
    node.laptop(&binaries, &token, &["submit", "small.yaml"]).unwrap();
    let in_training = || {
        let runs = node.runs(&binaries, &token);
        runs.iter().any(|run| run["state"] == "leased" && run["epochs"].as_u64() >= Some(2))
    };
    until("a run in the midst of its epochs", in_training);

    // As a kubelet does.
    let told = Instant::now();
    first.signal("TERM");
    let grace = Duration::from_secs(25);
    let status = first.wait(grace).expect("it ended within the grace time");
    println!("ended after {:?}", told.elapsed());
    assert!(status.success(), "{status}");
    let runs = node.runs(&binaries, &token);
    assert!(runs.iter().all(|run| run["state"] != "leased"), "{runs:?}");
    let begun: Vec<_> = runs
        .iter()
        .filter(|run| run["state"] == "queued" && run["attempts"].as_u64() >= Some(1))
        .collect();
    assert_eq!(begun.len(), 1, "one run was handed back: {runs:?}");
    let id = begun[0]["run"]["id"].as_str().unwrap().to_owned();

    let pod = node.container(&objects, "Deployment/r-sweep-worker", "second", &binaries);
    let mut second = node.start(pod, free_port(), &["--trainer", "fake"]);
    let ended = |run: &Value| run["state"] == "succeeded";
    until("all runs have ended well", || node.runs(&binaries, &token).iter().all(ended));
    let log = node.laptop(&binaries, &token, &["logs", &id]).unwrap();
    assert!(log.contains("resumed after epoch"), "{log}");
    for process in [&mut second, &mut coordinator] {
        process.signal("TERM");
        assert!(process.wait(Duration::from_secs(30)).is_some_and(|status| status.success()));
    }
}

#[test]
fn a_pod_of_a_scaled_job_ends_by_itself_when_nothing_is_left() {
    let (Some(chart), Some(binaries)) = (Chart::ours(), Binaries::built()) else { return };
    let node = Node::new();
    let Some(_redis) = node.redis() else { return };
    let objects =
        first_try(&chart, &json!({"worker": {"kind": "ScaledJob", "exitWhenIdleSeconds": 1}}));
    let pod = node.container(&objects, "ScaledJob/r-sweep-worker", "job", &binaries);
    let mut worker = node.start(pod, free_port(), &["--trainer", "fake"]);
    assert!(worker.wait(PATIENCE).is_some_and(|status| status.success()));
}

/// Whatever a chart gives the binaries, in every leg.
fn given(objects: &Objects) -> impl Iterator<Item = (String, Vec<String>, Vec<String>)> + '_ {
    objects.pods().into_iter().filter_map(|(who, pod)| {
        let container = &pod["spec"]["containers"][0];
        let texts = |of: &Value| -> Vec<String> {
            of.as_array()
                .into_iter()
                .flatten()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        let command = [texts(&container["command"]), texts(&container["args"])].concat();
        if !command[0].starts_with("/usr/local/bin/") {
            return None;
        }
        let names = container["env"].as_array().unwrap().iter();
        let names = names.map(|variable| variable["name"].as_str().unwrap().to_owned());
        Some((who, command, names.filter(|name| name.starts_with("SWEEP_")).collect()))
    })
}

/// What the binaries do not take of what a rendering gives them.
fn unknown(objects: &Objects, binaries: &Binaries) -> Vec<String> {
    let mut unknown = Vec::new();
    for (who, command, variables) in given(objects) {
        // Arguments are read in their order, so that a wrong one is refused before help is given.
        let mut help = Command::new(binaries.at(&command[0]));
        match said(help.args(&command[1..]).arg("--help")) {
            Err(error) => unknown.push(format!("{who}: {error}")),
            Ok(help) => {
                let words: Vec<_> =
                    help.split(|c: char| !c.is_ascii_uppercase() && c != '_').collect();
                let missing = variables.iter().filter(|name| !words.contains(&name.as_str()));
                unknown.extend(missing.map(|name| format!("{who}: {name} is in no help")));
            }
        }
    }
    unknown
}

#[test]
fn the_binaries_know_every_flag_and_variable_of_the_chart() {
    let (Some(chart), Some(binaries)) = (Chart::ours(), Binaries::built()) else { return };
    for leg in ["first-try", "full", "spot"] {
        let objects = chart.render(Some(&chart.ci(leg)), &json!({})).unwrap();
        assert!(given(&objects).count() >= 3, "coordinator, worker and test");
        assert_eq!(unknown(&objects, &binaries), Vec::<String>::new());
    }
    for (from, to) in
        [("--drain-seconds", "--drain-second"), ("SWEEP_METRICS_LISTEN", "SWEEP_METRIC_LISTEN")]
    {
        let (broken, _copy) = chart.with("templates/worker.yaml", from, to);
        assert!(!unknown(&first_try(&broken, &json!({})), &binaries).is_empty(), "not found: {to}");
    }
    // What images start is what the chart starts.
    for (file, path) in [
        ("coordinator/Dockerfile", "/usr/local/bin/coordinator"),
        ("worker/Dockerfile", "/usr/local/bin/sweep"),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(
            text.contains(&format!("ENTRYPOINT [\"{path}\"]")) && text.contains("USER 65532:65532"),
            "{file}"
        );
    }
}
