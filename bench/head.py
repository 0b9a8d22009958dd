"""One hundred whole runs of head mode (10 losses x 10 seeds) on cached features, ours against PyTorch's.

    cargo build --release -p sweep-train --example bench_head
    python3 bench/head.py --images FOLDER_WITH_FRUITS [--folder target/bench_head] [--python PYTHON_WITH_TORCH | --install]

The features have the shape of Fruits through a ResNet-50, 300 x 2048; their numbers are drawn, since the time does not depend on them.
Both sides hold them in memory and train the same runs from the same weights in the same order of batches: 30 epochs, batch
32, SGD with momentum, weight decay, clipping, cosine schedule, evaluation after every epoch. PyTorch is one process looping over the
runs, written as one would write it (autograd, torch.nn.functional, torch.optim, clip_grad_norm_). The losses of every epoch of every
run are compared before any time counts; then both sides take turns (A B A B ...).
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import sys

from step import HERE, ROOT, interpreter


def torch_side(options):
    import glob
    import time

    import torch
    import torch.nn.functional as F

    torch.set_num_threads(options.threads)
    folder = pathlib.Path(options.folder)
    task = json.loads((folder / "task.json").read_text())
    dim, classes, training = task["dim"], task["classes"], task["training"]
    sgd = training["optimizer"]["sgd"]
    labels = torch.tensor(task["train_labels"] + task["val_labels"])
    count, train = len(labels), len(task["train_labels"])
    (path,) = glob.glob(str(folder / "features-*.bin"))
    raw = pathlib.Path(path).read_bytes()[8 + 32 :]  # magic and digest
    features = torch.frombuffer(bytearray(raw), dtype=torch.float32).reshape(count, dim)
    x, y, x_val, y_val = features[:train], labels[:train], features[train:], labels[train:]
    starts = torch.frombuffer(bytearray((folder / "starts.f32").read_bytes()), dtype=torch.float32)
    orders = [[[torch.tensor(batch) for batch in epoch] for epoch in seed] for seed in task["orders"]]

    def others(z, y):
        return F.one_hot(y, classes).bool()

    def am_softmax(cos, y, scale, margin):
        return F.cross_entropy(scale * (cos - margin * F.one_hot(y, classes)), y)

    def arcface(cos, y, scale, margin):
        c = cos.gather(1, y[:, None])
        sine = (1 - c * c).clamp_min(1e-6).sqrt()
        target = torch.where(c > math.cos(math.pi - margin), c * math.cos(margin) - sine * math.sin(margin), c - margin * math.sin(margin))
        return F.cross_entropy(scale * cos.scatter(1, y[:, None], target), y)

    def focal(z, y, gamma, alpha):
        log_p = F.log_softmax(z, 1).gather(1, y[:, None])[:, 0]
        return (alpha * (1 - log_p.exp()) ** gamma * -log_p).mean()

    def hinge_cs(z, y, margin):
        target = z.gather(1, y[:, None])[:, 0]
        return F.relu(margin + z.masked_fill(others(z, y), -1e9).amax(1) - target).mean()

    def hinge_ww(z, y, margin, power):
        violations = F.relu(margin + z - z.gather(1, y[:, None])).masked_fill(others(z, y), 0)
        return (violations**power).sum(1).mean()

    def l2_sigma(z, y):
        return (F.one_hot(y, classes) - F.softmax(z, 1)).square().sum(1).mean()

    def bce(z, y):
        return F.binary_cross_entropy_with_logits(z, F.one_hot(y, classes).float(), reduction="none").sum(1).mean()

    def cosine(e, y):
        return (1 - F.normalize(e).gather(1, y[:, None])[:, 0]).mean()

    def objective(loss):
        name, p = next(iter(loss.items()))
        return {
            "softmax": lambda z, y: F.cross_entropy(z, y, label_smoothing=p["label_smoothing"]),
            "focal": lambda z, y: focal(z, y, p["gamma"], p["alpha"]),
            "bce": bce,
            "hinge_cs": lambda z, y: hinge_cs(z, y, p["margin"]),
            "hinge_ww": lambda z, y: hinge_ww(z, y, p["margin"], p["power"]),
            "l2_sigma": l2_sigma,
            "am_softmax": lambda z, y: am_softmax(z, y, p["scale"], p["margin"]),
            "arcface": lambda z, y: arcface(z, y, p["scale"], p["margin"]),
            "cosine": cosine,
        }[name]

    def trained(run, start):
        weight = start[: classes * dim].reshape(classes, dim).clone().requires_grad_()
        bias = start[classes * dim :].clone().requires_grad_() if run["bias"] else None
        parameters = [weight] if bias is None else [weight, bias]
        optimizer = torch.optim.SGD(parameters, lr=sgd["learning_rate"], momentum=sgd["momentum"], weight_decay=sgd["weight_decay"])
        steps = training["epochs"] * len(orders[run["seed"] - 1][0])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
        loss_of = objective(run["loss"])

        def logits(x):
            if bias is None:  # the losses without bias here are those on cosines
                return F.linear(F.normalize(x), F.normalize(weight))
            return F.linear(x, weight, bias)

        curve = []
        for epoch in orders[run["seed"] - 1]:
            total = 0.0
            for batch in epoch:
                loss = loss_of(logits(x[batch]), y[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, training["clip_norm"])
                optimizer.step()
                schedule.step()
                total += loss.item()
            with torch.no_grad():
                z = logits(x_val)
                right = (z.argmax(1) == y_val).float().mean().item()
                curve.append([total / len(epoch), loss_of(z, y_val).item(), right])
        return curve

    def all_runs():
        curves, at = [], 0
        for run in task["runs"]:
            length = classes * dim + (classes if run["bias"] else 0)
            curves.append(trained(run, starts[at : at + length]))
            at += length
        return curves

    print(json.dumps({"curves": all_runs()}), flush=True)
    for _ in range(options.turns):
        if not sys.stdin.readline():
            break
        start = time.perf_counter()
        runs = len(all_runs())
        print(json.dumps({"seconds": time.perf_counter() - start, "runs": runs}), flush=True)
    sys.stderr.write(f"torch {torch.__version__}, {torch.__config__.show().splitlines()[4].strip()}\n")


class Side:
    def __init__(self, name, command, threads):
        import subprocess

        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        self.name, self.times, self.cpu = name, [], []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.curves = self.read()["curves"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early")
        return json.loads(line)

    def turn(self):
        before = self.cpu_seconds()
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(self.read()["seconds"])
        self.cpu.append(self.cpu_seconds() - before)

    def cpu_seconds(self):
        """User and system time of all threads: on a busy machine a fairer figure than the clock."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", help="the pictures of sweeps/datasets/fruits.yaml")
    parser.add_argument("--folder", default=str(ROOT / "target" / "bench_head"))
    parser.add_argument("--python", default=os.environ.get("SWEEP_BENCH_PYTHON"))
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch's; ours trains a head on one")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "examples" / "bench_head"))
    parser.add_argument("--torch-side", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch_side:
        return torch_side(options)

    ours = Side("ours", [options.binary, options.images, options.folder, str(options.turns)], 1)
    peer = [interpreter(options), str(HERE / "head.py"), "--torch-side", "--folder", options.folder]
    peer += ["--threads", str(options.threads), "--turns", str(options.turns)]
    torch = Side("torch", peer, options.threads)
    apart, off = 0.0, 0
    for mine, theirs in zip(ours.curves, torch.curves, strict=True):
        for (train, val, right), (their_train, their_val, their_right) in zip(mine, theirs, strict=True):
            for a, b in ((train, their_train), (val, their_val)):
                apart = max(apart, abs(a - b) / max(1.0, abs(b)))
            off += abs(right - their_right) > 1e-6
    total = sum(len(curve) for curve in ours.curves)
    print(f"losses of {total} epochs differ by at most {apart:.1e}; accuracies differ in {off} epochs")
    if not apart <= 1e-4:
        sys.exit("the losses differ by more than 1e-4: times would mean nothing")
    for _ in range(options.turns):
        ours.turn()
        torch.turn()
    for side in (ours, torch):
        per_run = sorted(1000 * seconds / len(ours.curves) for seconds in side.times)
        side.median = statistics.median(per_run)
        side.median_cpu = statistics.median(1000 * seconds / len(ours.curves) for seconds in side.cpu)
        print(f"{side.name:>6}: {side.median:8.2f} ms/run (min {per_run[0]:.2f}, max {per_run[-1]:.2f}, n {len(per_run)}), CPU {side.median_cpu:.2f}")
    ratios = sorted(theirs / mine for mine, theirs in zip(ours.cpu, torch.cpu, strict=True))
    print(f"torch / ours: CPU {torch.median_cpu / ours.median_cpu:.1f}x (by turn {ratios[0]:.1f} to {ratios[-1]:.1f}), "
          f"clock {torch.median / ours.median:.1f}x  ({len(ours.curves)} runs, PyTorch on {options.threads} threads, ours on 1, "
          f"load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
