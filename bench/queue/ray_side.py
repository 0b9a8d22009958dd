"""Ray Tune's side: ray_side.py run|read DIRECTORY N [loggers].

Two trials at a time on a local cluster of two CPUs without dashboard; actors are reused from trial to trial, results of
one are the next one's without a new process. Without `loggers` no per-trial result files are written: what persists is the
experiment's state, every ten seconds at most and at the end. With it Ray writes its default JSON, CSV and TensorBoard files.
"""
import json
import os
import sys

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0", RAY_enable_metrics_collection="0", RAY_AIR_NEW_OUTPUT="0")
if "loggers" not in sys.argv:
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"

import ray
from ray import tune

from points import POINTS, key, table


class Objective(tune.Trainable):
    def setup(self, config):
        self.values = table()
        self.point = config["point"]

    def reset_config(self, new_config):
        self.point = new_config["point"]
        return True

    def step(self):
        return {"value": self.values[key(*self.point)], "done": True}

    def save_checkpoint(self, checkpoint_dir):
        return None

    def load_checkpoint(self, checkpoint):
        pass


def rows(results):
    return [[key(*result.config["point"]), result.metrics["value"]] for result in results]


def main():
    role, place, n = sys.argv[1:4]
    path = os.path.join(place, "queue")
    if role == "read":
        ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False, _temp_dir=os.path.join(place, "r"))
        restored = tune.Tuner.restore(path, trainable=Objective)
        print(json.dumps(rows(restored.get_results())))
        return
    # Ray's sockets live below its directory and a path of one may hold 107 bytes: `place` is short
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False, _temp_dir=os.path.join(place, "r"),
             object_store_memory=100_000_000)
    tuner = tune.Tuner(
        Objective,
        param_space={"point": tune.grid_search(POINTS[: int(n)])},
        tune_config=tune.TuneConfig(max_concurrent_trials=2, reuse_actors=True),
        run_config=tune.RunConfig(
            name="queue", storage_path=place, verbose=0, checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False)
        ),
    )
    results = tuner.fit()
    assert not results.errors, results.errors
    ray.shutdown()


main()
