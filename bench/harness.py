"""What every benchmark shares: taking turns, what is recorded beside the numbers, one form of result.

A benchmark writes bench/results/NAME.json: `about` (commit, versions, cores, load before and after), `settings`, `checked` (what was
compared before a time counted) and `rows`. A row has `sides`, each a list of values, one per turn, and may have a `ratio` with its goal.
`bench/table` makes the tables of docs/performance.md from these files. Standard library only: it runs in any Python 3.9.
"""

import argparse
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.dont_write_bytecode = True

SCHEMA = 1


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def parser(doc, name):
    """Arguments that every benchmark takes."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--turns", type=int, default=5, help="measurements per side, in turns")
    made.add_argument("--target", type=pathlib.Path, default=target(), help="folder of the release build")
    made.add_argument("--out", type=pathlib.Path, default=HERE / "results" / f"{name}.json")
    made.add_argument("--python", default=os.environ.get("SWEEP_BENCH_PYTHON"), help="an interpreter with torch and torchvision")
    made.add_argument("--install", action="store_true", help="put torch and torchvision into bench/.venv, several GB")
    return made


def interpreter(options):
    """The interpreter with torch; ends the program with advice where there is none."""
    found = python_with_torch(options)
    if found is None:
        sys.exit("no interpreter with torch: name one with --python or SWEEP_BENCH_PYTHON, or ask for --install")
    return found


def python_with_torch(options):
    if options.python:
        return options.python
    local = HERE / ".venv" / "bin" / "python"
    if options.install:
        if not local.exists():
            subprocess.run([sys.executable, "-m", "venv", str(HERE / ".venv")], check=True)
        subprocess.run([str(local), "-m", "pip", "install", "--quiet", "torch", "torchvision", "numpy", "Pillow"], check=True)
    for python in (str(local), sys.executable):
        if pathlib.Path(python).exists() and subprocess.run([python, "-c", "import torch, torchvision"], capture_output=True).returncode == 0:
            return python
    return None


def needed(path, how):
    if not pathlib.Path(path).exists():
        sys.exit(f"{path} is missing: {how}")
    return path


def words(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def about(python=None):
    """What a reader must know to believe the numbers. To be taken before the first turn."""
    commit = words("git", "rev-parse", "--short=12", "HEAD")
    if commit and words("git", "status", "--porcelain", "--untracked-files=no"):
        commit += ", changed"
    model = None
    if pathlib.Path("/proc/cpuinfo").exists():
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    told = {"commit": commit, "date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "cpu": model, "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 1), "busy_before": busy_cores()}
    gpu = words("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    if gpu:
        told["gpu"] = gpu.splitlines()[0]
    if python:
        told["torch"] = words(python, "-c", "import torch; print(torch.__version__)")
    return told


def busy_cores(seconds=1.0):
    """How many cores are busy right now, this process idle; a load average still remembers the benchmark before. `None` where unknown."""
    def ticks():
        try:
            fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        except (OSError, ValueError, IndexError):
            return None
        return sum(fields) - fields[3] - fields[4]
    before = ticks()
    time.sleep(seconds)
    after = ticks()
    return None if before is None or after is None else round((after - before) / os.sysconf("SC_CLK_TCK") / seconds, 2)


class Peer:
    """A process that answers each line with one line of JSON; its first line is its own."""

    def __init__(self, name, command, threads=None, environment=None):
        merged = dict(os.environ, **(environment or {}))
        if threads:
            merged.update({key: str(threads) for key in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")})
        self.name = name
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=merged)
        self.first = self.read()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise Void(f"{self.name} ended early")

    def ask(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.read()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Void(Exception):
    """Outputs differ, or a side failed: its times would mean nothing."""


def in_turns(turns, sides, say=True):
    """`sides`: name → a function that measures once. A B A B …; every second round the other way round. name → values."""
    values = {name: [] for name in sides}
    for turn in range(turns):
        order = list(sides.items())
        for name, measure in order if turn % 2 == 0 else reversed(order):
            values[name].append(measure())
        if say:
            now = ", ".join(f"{name} {values[name][-1]:.4g}" for name in sides)
            print(f"turn {turn + 1}: {now}; load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)
    return values


def row(name, unit, sides, ratio=None):
    """`ratio`: (over, under, goal or None, "at least" or "at most"), names of sides; taken turn by turn."""
    made = {"name": name, "unit": unit, "sides": {side: [round(v, 6) for v in values] for side, values in sides.items()}}
    if ratio:
        over, under, goal, kind = ratio
        made["ratio"] = {"of": [over, under], "values": [round(a / b, 4) for a, b in zip(sides[over], sides[under])], "goal": goal, "kind": kind}
    return made


def write(options, name, told, settings, checked, rows):
    told = dict(told, load_after=round(os.getloadavg()[0], 1))
    told["busy_after"] = busy_cores()
    told["loaded"] = max(told["busy_before"] or 0, told["busy_after"] or 0) > 0.3
    text = {"schema": SCHEMA, "name": name, "about": told, "settings": settings, "checked": checked, "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(text, indent=1) + "\n")
    print(table(text))
    print(f"-> {options.out}; then bench/table for docs/performance.md", file=sys.stderr)


def number(value):
    magnitude = abs(value)
    return f"{value:.0f}" if magnitude >= 1000 else f"{value:.1f}" if magnitude >= 100 else f"{value:.2f}" if magnitude >= 1 else f"{value:.3f}"


def spread(values):
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} [{number(min(values))}, {number(max(values))}]"


def table(result):
    """One result as Markdown."""
    told, lines = result["about"], []
    lines.append("| what | side | median [min, max] | turns | ratio | goal |")
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for r in result["rows"]:
        ratio = r.get("ratio")
        for index, (side, values) in enumerate(r["sides"].items()):
            shown, goal = "", ""
            if ratio and index == 0:
                shown = f"{spread(ratio['values'])} ({ratio['of'][0]} / {ratio['of'][1]})"
                if ratio["goal"] is not None:
                    median = statistics.median(ratio["values"])
                    met = median >= ratio["goal"] if ratio["kind"] == "at least" else median <= ratio["goal"]
                    goal = f"{ratio['kind']} {ratio['goal']}: {'met' if met else '**missed**'}"
            lines.append(f"| {r['name'] if index == 0 else ''} | {side} | {spread(values)} {r['unit']} | {len(values)} | {shown} | {goal} |")
    of = [f"commit {told['commit']}", told["date"], f"{told['cores']} cores" + (f" ({told['cpu']})" if told.get("cpu") else "")]
    of += [f"{key} {told[key]}" for key in ("gpu", "torch") if told.get(key)]
    of.append(f"load {told['load_before']} before and {told['load_after']} after" + (": **other work was running**" if told["loaded"] else ""))
    lines += ["", "; ".join(of) + f". Checked first: {result['checked']}."]
    return "\n".join(lines)


def ended_by_signals():
    """SIGTERM ends like any exit, so that what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def main(run):
    """Runs a benchmark; a void one says so and ends with 1."""
    ended_by_signals()
    try:
        sys.exit(run() or 0)
    except Void as void:
        sys.exit(f"VOID: {void}")
