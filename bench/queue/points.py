"""The grid that every system runs, and its objective: a look-up of what sweep's fake trainer reported for the same point.

A point is (margin, scale, seed); scales are outermost, so that the first 100, 200, ... points are a grid for sweep's file too.
"""
import json
import os

MARGINS = [round(0.05 * i, 2) for i in range(10)]
SCALES = list(range(10, 30, 2))
SEEDS = list(range(1, 11))
POINTS = [(margin, scale, seed) for scale in SCALES for seed in SEEDS for margin in MARGINS]


def key(margin, scale, seed):
    return f"{float(margin):.2f} {int(scale)} {int(seed)}"


def table():
    """Objective by key, from the file named by SWEEP_BENCH_OBJECTIVE."""
    with open(os.environ["SWEEP_BENCH_OBJECTIVE"]) as file:
        return json.load(file)


def sweep_file(n):
    """A sweep file whose runs are the first n points."""
    scales, rest = divmod(n, len(MARGINS) * len(SEEDS))
    assert rest == 0 and 1 <= scales <= len(SCALES), f"{n} runs are no whole number of scales"
    margins = ", ".join(f"{m:.2f}" for m in MARGINS)
    return f"""\
name: queue
datasets: [digits]
seeds: {len(SEEDS)}
baseline: am_softmax
losses:
  - am_softmax: {{ margin: [{margins}], scale: [{", ".join(map(str, SCALES[:scales]))}] }}
model: {{ backbone: small_cnn }}
training: {{ epochs: 1, batch_size: 10 }}
"""
