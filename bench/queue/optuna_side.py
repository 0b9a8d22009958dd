"""Optuna's side, one role per process.

  optuna_side.py alone    STORAGE N   a study of N trials in this process: a sampler hands out the list of points
  optuna_side.py submit   STORAGE N   enqueues the first N points
  optuna_side.py work     STORAGE N   pops and finishes N of them
  optuna_side.py read     STORAGE     prints the finished trials as JSON, read back from what was persisted

STORAGE is memory, sqlite:///FILE, journal:FILE or redis://HOST:PORT. A list sampler instead of GridSampler, because
that reads all trials before each trial (35 ms at 1,000 trials), and no queue, because it does not need one alone: this is
the least that Optuna can be made to cost. Several processes share the queue of `enqueue_trial`; GridSampler's own
documentation says that it may hand a point out twice there.
"""
import itertools
import json
import sys
import warnings

import optuna
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalRedisBackend

from points import POINTS, key, table


class ListSampler(optuna.samplers.BaseSampler):
    """Hands out points one after the other."""

    def __init__(self, points):
        self.points = iter(points)

    def before_trial(self, study, trial):
        self.point = dict(zip(("margin", "scale", "seed"), next(self.points)))

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self.point[param_name]


def storage_of(name):
    if name == "memory":
        return InMemoryStorage()
    if name.startswith("sqlite:"):
        # its default engine with a longer wait for the writer's lock, or two processes lose trials to "database is locked"
        return RDBStorage(name, engine_kwargs={"connect_args": {"timeout": 120}})
    if name.startswith("journal:"):
        return JournalStorage(JournalFileBackend(name.removeprefix("journal:")))
    return JournalStorage(JournalRedisBackend(name))


def show(study):
    rows = []
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        rows.append([key(**trial.params), trial.value])
    print(json.dumps(rows))


def main():
    role, where, *count = sys.argv[1:]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    storage, values = storage_of(where), table()

    def objective(trial):
        margin = trial.suggest_float("margin", 0.0, 0.45)
        scale, seed = trial.suggest_int("scale", 10, 28), trial.suggest_int("seed", 1, 10)
        return values[key(margin, scale, seed)]

    if role == "read":
        return show(optuna.load_study(study_name="queue", storage=storage))
    n = int(count[0])
    if role == "submit":
        study = optuna.create_study(study_name="queue", storage=storage)
        for margin, scale, seed in POINTS[:n]:
            study.enqueue_trial({"margin": margin, "scale": scale, "seed": seed})
        return None
    if role == "work":
        # what is asked for is always in the queue: no sampler gets to draw
        study = optuna.load_study(study_name="queue", storage=storage, sampler=optuna.samplers.RandomSampler())
        return study.optimize(objective, n_trials=n)
    study = optuna.create_study(study_name="queue", storage=storage, sampler=ListSampler(itertools.islice(POINTS, n)))
    study.optimize(objective, n_trials=n)
    return show(study) if where == "memory" else None


main()
