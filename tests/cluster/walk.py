"""A task for clusters: a random walk in the project's own training loop, which waits half way for the test.

Its arms differ in nothing but their name, so that each can be disturbed in a way of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import tasks

TRAIN = '''"""Half way it says so in told/<arm> and steps on the spot until there is a file open/<arm>."""

import os
import time
from pathlib import Path

import torch

from structgrad.errors import UserError
from structgrad.training.results import Mean, Result
from structgrad.training.trainee import Trainee

STEPS = 20


class Walk(Trainee):
    kept = ("generators", "places", "at")
    roles = ("data",)

    def __init__(self, job, seeds):
        self.arm = job.arm
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds["data"]]
        self.places = [torch.zeros(3, dtype=torch.float64) for _ in self.generators]
        self.at = 0

    def step(self):
        waits = "open" if self.at == STEPS // 2 else None
        if waits and not Path("open", self.arm).exists():
            self.tell()
            if Path("sleepy", self.arm).exists():  # a step that is longer than any grace
                time.sleep(1000)
            time.sleep(0.05)
            return torch.zeros(len(self.places), dtype=torch.bool), {}
        self.at += 1
        self.places = [
            0.9 * place + torch.randn(3, generator=generator, dtype=torch.float64)
            for place, generator in zip(self.places, self.generators)
        ]
        return torch.full((len(self.places),), self.at == STEPS), {}

    def tell(self):
        job = os.environ.get("SLURM_JOB_ID", "0") + "." + str(os.getpid())
        path = Path("told", self.arm)
        if not path.exists() or job not in path.read_text():
            with path.open("a") as file:
                print(job, os.environ.get("CUDA_VISIBLE_DEVICES"), file=file, flush=True)

    def active(self):
        return len(self.places) if self.at < STEPS else 0

    def finish(self, done):
        self.history = {}
        self.results = [
            Result(self.at, "max_epochs", {"end": Mean(float(place.sum()), float((place**2).sum()), 3)})
            for place in self.places
        ]


def train(job):
    if Path("mistaken", job.arm).exists():
        raise UserError("there is a mistake in what was asked")
    if Path("greedy", job.arm).exists():
        hoard = b"x" * 1_000_000_000
        time.sleep(10)
        assert len(hoard)
    return job.run(Walk, ("data",))
'''


def modules(arms: Sequence[str]) -> dict[str, str]:
    """The task's modules, with these arms."""
    return {"spec": tasks.spec("walk", arms, metric="end", digits=3, level=1), "data": tasks.NO_DATA, "train": TRAIN}


# What a test asks for an arm, in minutes/<arm>, memory/<arm> and gpu/<arm>, comes before what the library says.
NEEDS = {
    "def needs(": """def asked(what: str, pack: Pack, otherwise: int) -> int:
    path = Path(what, pack.shards[0].arm)
    return int(path.read_text()) if path.exists() else otherwise


def needs(""",
    "    return Needs(memory, min(minutes, ceil(min(limits))), "
    'config["threads"], int(kind_of(config["device"]) == "cuda"))': (
        '    memory, minutes, gpu = asked("memory", pack, 4000), asked("minutes", pack, 720), asked("gpu", pack, 0)\n'
        "    return Needs(ceil(memory * more), ceil(minutes * more), 1, gpu)"
    ),
    "from dataclasses import dataclass\n": "from dataclasses import dataclass\nfrom pathlib import Path\n",
}
PROFILE = {
    "max-status-checks-per-second: 0.2": "max-status-checks-per-second: 1\nslurm-init-seconds-before-status-checks: 3"
}
