"""Training steps, ours against PyTorch's, side by side on equal threads.

    cargo build --release -p sweep-train --example bench_step
    python3 bench/step.py [--python PYTHON_WITH_TORCH | --install] [--model resnet50] [--side 64] [--batch 32] [--threads 2]

Both sides start from the same weights and images (an integer hash), run the same steps (forward, softmax cross entropy, backward, plain
SGD), and their first losses are compared before any time counts. They then take turns (A B A B ...) while both processes stay warm.
`--install` puts torch and torchvision into bench/.venv, several GB, only when asked. The interpreter may also be named by the
environment variable SWEEP_BENCH_PYTHON.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

RATE = 1e-6  # small: a fresh ResNet-50 has a gradient norm of some 400, and two exact-to-rounding sides would part within steps
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent


def hashed(tensor, count):
    """The numbers in [-1, 1) that examples/bench_step.rs makes."""
    import numpy as np

    with np.errstate(over="ignore"):
        z = np.uint32(tensor) * np.uint32(0x9E3779B1) ^ np.arange(count, dtype=np.uint32) * np.uint32(0x85EBCA77)
        z = (z ^ (z >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
        z = (z ^ (z >> np.uint32(12))) * np.uint32(0x297A2D39)
        z ^= z >> np.uint32(15)
    return (z >> np.uint32(8)).astype(np.float32) / np.float32(8388608.0) - np.float32(1.0)


def network(model):
    """The PyTorch model, and its parameters' names as ours has them."""
    import torch
    import torchvision

    if model != "small_cnn":
        return getattr(torchvision.models, model)(num_classes=10)

    class SmallCnn(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = torch.nn.Conv2d(1, 16, 3, padding=1, bias=False), torch.nn.BatchNorm2d(16)
            self.conv2, self.bn2 = torch.nn.Conv2d(16, 32, 3, padding=1, bias=False), torch.nn.BatchNorm2d(32)
            self.linear, self.fc = torch.nn.Linear(128, 32), torch.nn.Linear(32, 10)

        def forward(self, x):
            pool, relu = torch.nn.functional.max_pool2d, torch.nn.functional.relu
            x = pool(relu(self.bn1(self.conv1(x))), 2)
            x = pool(relu(self.bn2(self.conv2(x))), 2)
            # Ours flattens pixels first, channels last.
            return self.fc(self.linear(x.permute(0, 2, 3, 1).flatten(1)))

    return SmallCnn()


def torch_side(options):
    """Runs in the interpreter that has torch; speaks the protocol of examples/bench_step.rs."""
    import time

    import torch

    torch.set_num_threads(options.threads)
    net = network(options.model)
    state = net.state_dict()
    names = {("" if name.startswith("fc.") else "backbone.") + name: name for name in state if "num_batches" not in name}
    for number, ours in enumerate(sorted(names)):
        value = state[names[ours]]
        if ours.endswith("running_mean") or (value.dim() == 1 and ours.endswith("bias")):
            value.zero_()
        elif value.dim() == 1:
            value.fill_(1)
        else:
            scale = (3.0 / value[0].numel()) ** 0.5
            value.copy_(torch.from_numpy(hashed(number, value.numel())).mul(scale).reshape(value.shape))
    if options.channels_last:
        net = net.to(memory_format=torch.channels_last)
    net.train()
    channels = 1 if options.model == "small_cnn" else 3
    shape = (options.batch, channels, options.side, options.side)
    device = torch.device(options.device)
    net = net.to(device)
    images = torch.from_numpy(hashed(1_000_000, options.batch * channels * options.side**2)).reshape(shape)
    if options.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    images = images.to(device)
    targets = (torch.arange(options.batch) % 10).to(device)
    timed_net = torch.compile(net) if options.compile else net
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=options.amp):
            loss = torch.nn.functional.cross_entropy(timed_net(images), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    print(json.dumps({"losses": [step() for _ in range(3)]}), flush=True)
    for _ in range(options.repetitions):
        if not sys.stdin.readline():
            break
        start = time.perf_counter()
        for _ in range(options.steps):
            step()
        print(json.dumps({"seconds_per_step": (time.perf_counter() - start) / options.steps}), flush=True)
    sys.stderr.write(f"torch {torch.__version__}, {torch.__config__.show().splitlines()[4].strip()}\n")


def interpreter(options):
    if options.python:
        return options.python
    local = HERE / ".venv" / "bin" / "python"
    if options.install and not local.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HERE / ".venv")], check=True)
        subprocess.run([str(local), "-m", "pip", "install", "--quiet", "torch", "torchvision", "numpy"], check=True)
    if local.exists():
        return str(local)
    sys.exit("no interpreter with torch: name one with --python or SWEEP_BENCH_PYTHON, or ask for --install")


class Side:
    def __init__(self, name, command, threads):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        self.name, self.times = name, []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.losses = self.read()["losses"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early")
        return json.loads(line)

    def turn(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.times.append(self.read()["seconds_per_step"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=os.environ.get("SWEEP_BENCH_PYTHON"))
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--model", default="resnet50", choices=["small_cnn", "resnet18", "resnet34", "resnet50"])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's other memory format")
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "examples" / "bench_step"))
    parser.add_argument("--device", default="cpu", help="of PyTorch's side alone; bench/step/run sets both")
    parser.add_argument("--amp", action="store_true", help="PyTorch's side in bf16 where autocast allows it")
    parser.add_argument("--compile", action="store_true", help="PyTorch's side compiled")
    parser.add_argument("--torch-side", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch_side:
        return torch_side(options)

    sizes = [options.model, *map(str, (options.side, options.batch, options.steps, options.repetitions))]
    peer = [interpreter(options), str(HERE / "step.py"), "--torch-side", "--model", options.model]
    for name in ("side", "batch", "threads", "steps", "repetitions"):
        peer += [f"--{name}", str(getattr(options, name))]
    if options.channels_last:
        peer.append("--channels-last")
    ours = Side("ours", [options.binary, *sizes], options.threads)
    torch = Side("torch", peer, options.threads)
    print(f"first losses: ours {ours.losses}, torch {torch.losses}")
    apart = max(abs(a - b) / max(1e-3, abs(b)) for a, b in zip(ours.losses, torch.losses))
    if not apart < 1e-3:
        sys.exit(f"the losses differ by {apart:.1e} relative: times would mean nothing")
    for _ in range(options.repetitions):
        ours.turn()
        torch.turn()
    for side in (ours, torch):
        per_second = sorted(options.batch / seconds for seconds in side.times)
        side.median = statistics.median(per_second)
        print(f"{side.name:>6}: {side.median:8.1f} images/s (min {per_second[0]:.1f}, max {per_second[-1]:.1f}, n {len(per_second)})")
    print(f"ours / torch: {ours.median / torch.median:.2f}x  ({options.model}, side {options.side}, batch {options.batch}, "
          f"{options.threads} threads, load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
