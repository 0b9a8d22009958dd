"""One trial of Syne Tune: a process that reports once."""
import argparse

from syne_tune import Reporter

from points import key, table

parser = argparse.ArgumentParser()
for name in ("margin", "scale", "seed"):
    parser.add_argument(f"--{name}", type=float)
point, _ = parser.parse_known_args()
Reporter()(value=table()[key(point.margin, point.scale, point.seed)])
