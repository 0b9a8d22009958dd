"""What a piece of work costs: CPU time of every process it started, wall time, peak memory.

The work runs in a process of its own (`measured`), which adopts whatever is orphaned below it (Linux' child subreaper), so that
daemons of a system are waited for like children. Another process (`watch`) samples memory from outside, so that looking
costs the measured nothing. CPU time is read in three ways, the first that is to be had counts:
- a control group of the measured process, less its own time: exact, needs the right to make one (root, as a rule);
- the kernel's account of finished children: exact to a microsecond, but it lacks children of parents that ignore their end
  (Ray's are such: half of Ray is missing there);
- the sum of every process' last sample: lacks up to one period of each process. The larger of these two stands in for the first.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import resource
import select
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
PAGE, TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
PERIOD = 0.05  # seconds between samples
ACCOUNTS = (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), ("/sys/fs/cgroup", "cpu.stat"))


def descendants(root):
    """Processes below `root`: id and start tell them apart; with their own CPU seconds so far."""
    children, seconds = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(entry)
            children.setdefault(int(fields[1]), []).append(pid)
            seconds[pid] = ((pid, fields[19]), (int(fields[11]) + int(fields[12])) / TICK)
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return {pid: seconds[pid] for pid in found}


def resident(pid):
    """Bytes resident, shared pages counted in full, and with each shared page divided by its users."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            rss = int(file.read().split()[1]) * PAGE
        with open(f"/proc/{pid}/smaps_rollup") as file:
            pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
    except (OSError, StopIteration, IndexError):
        return 0, 0
    return rss, pss


@contextlib.contextmanager
def account():
    """A control group of our own whose CPU time can be read; None where we may not make one."""
    for root, file in ACCOUNTS:
        place = pathlib.Path(root) / f"sweep-bench-{os.getpid()}"
        try:
            place.mkdir()
        except OSError:
            continue
        try:
            if (place / file).exists():
                yield place / file
                return
        finally:
            for _ in range(100):  # the last of the killed may still be leaving
                try:
                    place.rmdir()
                    break
                except OSError:
                    time.sleep(0.05)
    yield None


def used(file):
    """Seconds in a control group's account."""
    text = file.read_text()
    if file.name == "cpu.stat":
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6
    return int(text) / 1e9


def watch(command):
    """Runs a command that ends with `report`, samples what is below it until it says so; its report with the samples' figures."""
    rss = pss = samples = 0
    seconds = {}
    with account() as file:
        process = subprocess.Popen([*command, str(file or "")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if file:
            (file.parent / "cgroup.procs").write_text(str(process.pid))
        try:
            process.stdin.write("go\n")
            process.stdin.flush()
            while not select.select([process.stdout], [], [], PERIOD)[0]:
                below = descendants(process.pid)
                seconds.update(below.values())
                both = [resident(pid) for pid in below]
                rss, pss, samples = max(rss, sum(b[0] for b in both)), max(pss, sum(b[1] for b in both)), samples + 1
            out, err = process.communicate()
            if process.returncode != 0:
                raise RuntimeError(f"the measuring process ended with {process.returncode}: {err[-500:]}")
        finally:
            if process.poll() is None:
                end_below(process.pid)
                process.kill()
                process.wait()
    told = json.loads(out.removeprefix("measured\n"))
    if "failure" in told:
        raise RuntimeError(told["failure"])
    told |= {"rss_bytes": rss, "pss_bytes": pss, "samples": samples, "cpu_sampled_s": sum(seconds.values())}
    told["cpu_s"] = max(told["cpu_children_s"], told["cpu_sampled_s"]) if told["cpu_group_s"] is None else told["cpu_group_s"]
    return told


def wait_for_go():
    sys.stdin.readline()


def report(work):
    """Prints what `work` returns for `watch`, or how it failed."""
    try:
        print(json.dumps(work()))
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as failure:
        print(json.dumps({"failure": " | ".join(str(failure).splitlines())}))


class Cost:
    """`with Cost(file) as cost:` around everything of a system, servers included; `start_clock`, `stop_clock` around what a user waits for."""

    def __init__(self, file):
        self.file = pathlib.Path(file) if file else None

    def __enter__(self):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot become the reaper of orphans")
        self.before = self.now()
        return self

    def now(self):
        """CPU seconds of finished children, and of the group without this process."""
        children, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
        group = used(self.file) - own.ru_utime - own.ru_stime if self.file else None
        return children.ru_utime + children.ru_stime, group

    def start_clock(self):
        self.began = time.monotonic()

    def stop_clock(self):
        self.wall = time.monotonic() - self.began

    def __exit__(self, kind, failure, trace):
        reap(60 if failure is None else 0)
        self.after = self.now()
        print("measured", flush=True)

    def figures(self):
        children, group = (None if a is None else a - b for a, b in zip(self.after, self.before))
        return {"cpu_children_s": children, "cpu_group_s": group, "wall_s": self.wall}


def end_below(root):
    for left in descendants(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


def reap(patience):
    """Waits for every adopted process; ends after `patience` seconds those that stay."""
    end = time.monotonic() + patience
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            if time.monotonic() > end:
                end_below(os.getpid())
            time.sleep(0.01)


def run(command, **how):
    """Runs a command to its end and gives what it printed; its error output is part of the exception when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **how)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
