"""A real Prometheus with the shipped rules beside two coordinators, two workers and a real redis-server, all on loopback, during a small
sweep: every panel and rule is answered, what should have values has some, `/demand` and the metrics say the same, and demand neither
reaches zero while a run trains nor exceeds what is runnable or running.

    helm/tests/prometheus.py BINARY      # the `sweep` command
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import yaml

import metrics

NAMESPACE = "demo"
SWEEP = """\
name: small
datasets: [digits]
seeds: 6
baseline: softmax
losses: [softmax, {am_softmax: {margin: 0.2, scale: 10}}]
model: {backbone: small_cnn}
training: {epochs: 12, batch_size: 10, optimizer: {sgd: {learning_rate: 0.05}}}
"""
RUNS, FAILED = 12, 2
# Seed 2 fails once and is tried again, seed 3 fails for good after three tries.
TRAINER = "fake:epoch_ms=150,flaky=2,fail=3"
PATIENCE = 120
# Panels that may be empty here: there is no GPU.
MAY_BE_EMPTY = re.compile(r"sweep_gpu_")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def until(what: str, holds):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            value = holds()
            if value:
                return value
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit(f"never within {PATIENCE} s: {what}")
        time.sleep(0.1)


class Services:
    """Processes that end with this one."""

    def __init__(self, folder: Path, binary: Path):
        self.folder, self.binary, self.running = folder, binary, []

    def start(self, command: list, log: str) -> Path:
        path = self.folder / log
        env = {key: value for key, value in os.environ.items() if not key.startswith("SWEEP_")}
        env["XDG_CONFIG_HOME"] = str(self.folder)
        with path.open("w") as out:
            self.running.append(subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, cwd=self.folder, env=env))
        return path

    def sweep(self, args: list, log: str) -> str:
        """Starts a service of ours and says where it listens."""
        path = self.start([self.binary, *args], log)
        found = until(f"an address in {log}:\n{path.read_text()}", lambda: re.search(r"http://([\d.]+:\d+)", path.read_text()))
        return found.group(1)

    def stop(self):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


class Demand(threading.Thread):
    """Asks for the demand again and again, between two looks at the counts."""

    def __init__(self, coordinator: str):
        super().__init__(daemon=True)
        self.api, self.asked, self.problems, self.done, self.seen = f"http://{coordinator}/api/v1", 0, [], False, set()

    def look(self):
        before = json.loads(get(f"{self.api}/sweeps/small"))["counts"]
        demand = json.loads(get(f"{self.api}/demand"))
        after = json.loads(get(f"{self.api}/sweeps/small"))["counts"]
        self.problems += wrong_demand(before, demand, after)
        self.asked += 1
        self.seen.add(demand["wanted"])

    def run(self):
        while not self.done:
            self.look()
            time.sleep(0.02)


def wrong_demand(before: dict, demand: dict, after: dict) -> list[str]:
    """What is wrong with a demand that was told between two counts."""
    told, problems = f"{before} {demand} {after}", []
    if demand["wanted"] == 0 and before["leased"] and after["leased"]:
        problems.append(f"no demand while a run trains: {told}")
    # Delayed runs that came due in between may be in one count and not in the other.
    due = max(before["delayed"] - after["delayed"], 0)
    if demand["wanted"] > max(count["queued"] + count["leased"] for count in (before, after)) + due:
        problems.append(f"more demand than runs that could run: {told}")
    if demand["wanted"] != demand["ready"] + demand["leased"]:
        problems.append(f"the demand does not add up: {told}")
    return problems


def overlooked_demand() -> list[str]:
    counts = {"queued": 0, "leased": 2, "delayed": 0}
    planted = {
        "no demand while a run trains": {"wanted": 0, "ready": 0, "leased": 0},
        "more than is runnable": {"wanted": 3, "ready": 1, "leased": 2},
        "numbers that do not add up": {"wanted": 2, "ready": 2, "leased": 2},
    }
    return [f"this check overlooks {what}" for what, demand in planted.items() if not wrong_demand(counts, demand, counts)]


def value(page: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", page, re.M)
    return float(found.group(1)) if found else None


class Prometheus:
    def __init__(self, services: Services, targets: dict[str, str]):
        self.address = f"127.0.0.1:{free_port()}"
        scraped = [{"targets": [address], "labels": {"namespace": NAMESPACE, "pod": pod}} for pod, address in targets.items()]
        config = services.folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(metrics.RULES)],
            "scrape_configs": [{"job_name": "sweep", "static_configs": scraped}],
        }))
        services.start(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={services.folder / 'tsdb'}",
                        f"--web.listen-address={self.address}", "--log.level=warn"], "prometheus.log")
        until("Prometheus is ready", lambda: get(f"http://{self.address}/-/ready"))

    def query(self, expr: str) -> list:
        url = f"http://{self.address}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
        try:
            answer = json.loads(get(url))
        except urllib.error.HTTPError as error:
            answer = json.loads(error.read())
        if answer["status"] != "success":
            raise ValueError(answer.get("error", "no success"))
        return answer["data"]["result"]

    def problem(self, expr: str, may_be_empty: bool) -> str | None:
        try:
            found = self.query(expr)
        except ValueError as error:
            return f"{expr}: {error}"
        return f"{expr}: empty" if not found and not may_be_empty else None


def check_queries(prometheus: Prometheus) -> tuple[int, list[str]]:
    asked, problems = 0, []
    for name, dashboard in metrics.dashboards().items():
        for panel in metrics.panels(dashboard):
            for target in panel["targets"]:
                expr = metrics.plain(target["expr"], rate_interval="2m")
                problem = prometheus.problem(expr, bool(MAY_BE_EMPTY.search(expr)))
                asked += 1
                if problem:
                    problems.append(f"{name}, {panel['title']!r}: {problem}")
    for rule in metrics.rules():
        asked += 1
        if "alert" in rule:
            problems.append(prometheus.problem(rule["expr"], True))
        else:
            problems.append(prometheus.problem(rule["record"], False) or prometheus.problem(rule["expr"], False))
    answer = json.loads(get(f"http://{prometheus.address}/api/v1/rules"))
    evaluated = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    problems += [f"{rule['name']}: {rule.get('lastError')}" for rule in evaluated if rule["health"] != "ok"]
    if len(evaluated) != len(metrics.rules()):
        problems.append(f"{len(evaluated)} rules were evaluated")
    firing = {found["metric"]["alertname"] for found in prometheus.query('ALERTS{alertstate="firing"}')}
    if firing != {"SweepRunsFailed"}:
        problems.append(f"these alerts fire: {firing}")
    for fault in ("max(sweep_runs_wantd)", "max(sweep_runs_wanted", 'sweep_runs{state="qeued"}'):
        if not prometheus.problem(fault, False):
            problems.append(f"this check overlooks {fault}")
    return asked, [problem for problem in problems if problem]


def check_pages(pages: dict[str, str]) -> list[str]:
    problems, shown = [], set()
    for of, page in pages.items():
        linted = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True)
        if linted.returncode or linted.stdout + linted.stderr:
            problems.append(f"{of}: promtool check metrics: {linted.stdout}{linted.stderr}")
        shown |= set(re.findall(r"^# TYPE (\w+)", page, re.M))
    listed = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics.documented()}
    problems += [f"{name} is not in docs/metrics.md" for name in shown - listed if not name.startswith("process_")]
    problems += [f"{name} of docs/metrics.md is on no page" for name in listed - shown if not MAY_BE_EMPTY.search(name)]
    return problems


def run(services: Services) -> tuple[str, list[str]]:
    port = free_port()
    services.start([os.environ.get("SWEEP_REDIS_SERVER", "redis-server"), "--port", port, "--bind", "127.0.0.1", "--dir", services.folder, "--appendonly", "yes", "--save", ""], "redis.log")
    store = ["--store", f"redis://127.0.0.1:{port}"]
    coordinators = [services.sweep(["coordinator", *store, "--listen", "127.0.0.1:0"], f"coordinator-{i}.log") for i in (1, 2)]
    workers = [f"127.0.0.1:{free_port()}" for _ in (1, 2)]
    addresses = dict(zip(["coordinator-1", "coordinator-2", "worker-1", "worker-2"], coordinators + workers))
    prometheus = Prometheus(services, addresses)

    (services.folder / "small.yaml").write_text(SWEEP)
    submit = [services.binary, "submit", "small.yaml", "--coordinator", f"http://{coordinators[0]}"]
    submitted = subprocess.run(submit, cwd=services.folder, capture_output=True, text=True)
    if submitted.returncode:
        raise SystemExit(f"not submitted: {submitted.stderr}")

    def told(of: str) -> tuple:
        demand = json.loads(get(f"http://{of}/api/v1/demand"))["wanted"]
        return demand, value(get(f"http://{of}/metrics"), "sweep_runs_wanted")

    def counts() -> dict:
        return json.loads(get(f"http://{coordinators[1]}/api/v1/sweeps/small"))["counts"]

    for of in coordinators:
        until(f"demand and metric say {RUNS}: {told(of)}", lambda: told(of) == (RUNS, RUNS))
    until("the waiting sweep is scraped", lambda: prometheus.query("max(sweep_oldest_leasable_run_age_seconds) > 0"))
    demand = Demand(coordinators[0])
    demand.start()
    for i, address in enumerate(workers, 1):
        services.sweep(["worker", *store, "--trainer", TRAINER, "--slots", "2", "--metrics-listen", address], f"worker-{i}.log")
    until("every run ended", lambda: counts()["succeeded"] + counts()["failed"] == RUNS)
    demand.done = True
    demand.join()
    problems = overlooked_demand() + demand.problems[:5]
    if counts()["failed"] != FAILED:
        problems.append(f"{counts()}, but {FAILED} runs should have failed")
    if demand.asked < 50 or len(demand.seen) < 3:
        problems.append(f"the demand was asked for {demand.asked} times only and was {demand.seen}")

    for of in coordinators:
        until(f"demand and metric say 0: {told(of)}", lambda: told(of) == (0, 0))
    for expr in ("min(sweep_configurations_complete) == 2", "sweep:runs_failed:ratio30m > 0", 'ALERTS{alertstate="firing"}'):
        until(f"{expr} is scraped", lambda: prometheus.query(expr))
    asked, found = check_queries(prometheus)
    problems += found + check_pages({name: get(f"http://{address}/metrics") for name, address in addresses.items()})
    return f"{demand.asked} looks at the demand ({sorted(demand.seen)}), {asked} expressions answered", problems


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        services = Services(Path(folder), Path(sys.argv[1]).resolve())
        try:
            done, problems = run(services)
        except BaseException:
            for log in sorted(services.folder.glob("*.log")):
                print(f"-- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
            raise
        finally:
            services.stop()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{done}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
