"""Syne Tune's side: syne_side.py run|read DIRECTORY N.

Its LocalBackend starts a process per trial (`syne_trial.py`), two at a time. PythonBackend is the same with the function
pickled beside it. Sleeps between polls are 0.1 s instead of 5 s. The tuner's state is saved every 10 s and at the end.
"""
import json
import logging
import os
import pathlib
import sys

os.environ["SYNETUNE_FOLDER"] = sys.argv[2]
logging.disable(logging.WARNING)

import pandas
from syne_tune import Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import finrange, randint
from syne_tune.optimizer.baselines import RandomSearch

from points import POINTS, key

HERE = pathlib.Path(__file__).resolve().parent


def main():
    role, place, n = sys.argv[1:4]
    if role == "read":
        (found,) = pathlib.Path(place).glob("**/results.csv.zip")
        table = pandas.read_csv(found)
        print(json.dumps([[key(r.config_margin, r.config_scale, r.config_seed), r.value] for r in table.itertuples()]))
        return
    space = {"margin": finrange(0.0, 0.45, 10), "scale": finrange(10, 28, 10, cast_int=True), "seed": randint(1, 10)}
    points = [{"margin": m, "scale": s, "seed": k} for m, s, k in POINTS[: int(n)]]
    scheduler = RandomSearch(space, metrics=["value"], points_to_evaluate=points, random_seed=1)
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(HERE / "syne_trial.py"), rotate_gpus=False),
        scheduler=scheduler,
        # StoppingCriterion(max_num_trials_started=n) stops after n + 1
        stop_criterion=lambda status: status.num_trials_started >= int(n),
        wait_trial_completion_when_stopping=True,
        n_workers=2,
        sleep_time=0.1,
        tuner_name="queue",
        suffix_tuner_name=False,
    )
    tuner.run()


main()
