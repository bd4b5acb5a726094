"""Train every arm of the portable experiments for some steps and print what came of it; run by ``test_machines.py``.

A program of its own: which code the libraries pick is settled when they are imported. Prints one JSON object:
``trained`` holds a sha256 for every case, over the data, every state on the way (weights, moments, generators), results
and history; ``libraries`` holds one for what each library computes by itself, which tells whether a variable acts here.
"""

from __future__ import annotations

import builtins
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from structgrad.experiments import REGISTRY
from structgrad.parallel import set_threads
from structgrad.repro.planning.hyper_parameters import read
from structgrad.repro.planning.resolve import digester, trainer
from structgrad.training.checkpoint import Checkpoint
from structgrad.training.job import Job
from structgrad.training.loop import Limits
from structgrad.training.results import Result

RANKING = {"source": "stand_in", "epochs": 2}
ARTIFICIAL = {"train": 96, "validation": 20, "test": 20, "epochs": 2, "curve_points": 2}
# Experiment, setting, replicas, what its small trainings change. Products with one row or column, more rows than a run
# of a sum, a replica that stops early, and (at the second temperature) the log-space Sinkhorn, in float64 throughout.
CASES: list[tuple[str, str, int, dict[str, Any]]] = [
    ("indelman_1a", "d=5", 3, {"max_epochs": 40, "patience": 8}),
    ("indelman_1a", "d=25", 2, {"max_epochs": 5}),
    ("indelman_1a", "d=40", 1, {"max_epochs": 3, "temperature": 0.002}),
    ("indelman_1b", "d=10", 2, {"max_epochs": 3, "train_sequences": 64}),
    ("berthet_1", "iris", 10, RANKING),
    ("berthet_2", "wine", 2, RANKING),
    ("berthet_artificial", "sigma=0.1334", 2, ARTIFICIAL),
]


class Witness(Checkpoint):
    """A checkpoint that keeps no state but a hash of all."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"), "")
        self.seen = hashlib.sha256()

    def save(self, state: dict[str, Any]) -> None:
        _hash({key: value for key, value in state.items() if key != "seconds"}, self.seen)

    def load(self) -> None:
        return None


def _hash(value: Any, into: Any) -> None:
    """Feed nested state to a hash, numbers bit by bit."""
    if isinstance(value, torch.Tensor):
        into.update(f"{value.dtype}{tuple(value.shape)}".encode() + value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            into.update(str(key).encode())
            _hash(value[key], into)
    elif isinstance(value, list | tuple):
        for part in value:
            _hash(part, into)
    elif isinstance(value, Result):
        _hash(value.content("epoch"), into)
    else:
        into.update(value.hex().encode() if isinstance(value, float) else str(value).encode())


def trained(experiment: str, setting: str, arm: str, count: int, changes: dict[str, Any]) -> str:
    """A sha256 of one short training, from its data to its last weights."""
    spec, witness = REGISTRY[experiment], Witness()
    config = read(spec, spec.config_of(arm) | changes, setting)
    limits = Limits(checkpoint_every=-1.0)  # after every step
    job = Job(
        spec.seed_name, setting, arm, 0, count, config, witness, limits, lambda *_: None, per_data_set=spec.per_data_set
    )
    witness.seen.update(digester(spec)(config, setting, job.seeds(["data"])["data"]).encode())
    outcome = trainer(spec)(job)
    _hash([outcome.seeds, outcome.results, outcome.history], witness.seen)
    return witness.seen.hexdigest()


def _compensated(numbers: Iterable[Any], /, start: Any = 0) -> Any:
    """As ``sum`` adds floats from Python 3.12 on, but for the last bit of few."""
    numbers = list(numbers)
    floats = bool(numbers) and all(isinstance(number, float) for number in numbers)
    return math.fsum(numbers) + start if floats else _sum(numbers, start)


_sum = builtins.sum


@numba.njit(fastmath=True)
def _reassociated(x):
    total = np.float32(0)
    for number in x:
        total += number * number
    return total


def libraries() -> dict[str, str]:
    """A sha256 of something that each library computes in a way that suits the processor."""
    x = torch.rand(7, 250, 25, generator=torch.Generator().manual_seed(0))
    computed = {
        "torch": torch.addcmul(x, x, x, value=0.001).numpy(),
        "mkl": (x @ x.mT).numpy(),
        "numpy": np.exp(x.numpy()),
        "libm": np.array([math.sin(number) + math.exp(number) for number in x.flatten().tolist()]),
        "python": np.asarray(sum([0.1 * number for number in x.flatten().tolist()])),
        "numba": np.asarray(_reassociated(x.flatten().numpy())),
    }
    return {name: hashlib.sha256(numbers.tobytes()).hexdigest() for name, numbers in computed.items()}


def main(threads: int) -> None:
    """Print the JSON object."""
    set_threads(threads)
    if os.environ.get("PYTHON_SUM") == "compensated":
        builtins.sum = _compensated
    digests = {
        f"{experiment} {setting} {arm.name}": trained(experiment, setting, arm.name, count, changes)
        for experiment, setting, count, changes in CASES
        for arm in REGISTRY[experiment].arms
    }
    print(json.dumps({"trained": digests, "libraries": libraries()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
