"""Time of a replica-epoch of indelman's direct stochastic learning: ours against a plain loop, in one run.

Both do the same work: 10 sequences, five perturbations, two assignment problems each, one optimiser step, from
initial weights through the same number of epochs. The plain loop (``plain_sorting.py``) trains one replica at a time
with nn.Module and scipy's solver; ours trains replicas side by side. Times are CPU seconds of one thread, the two
interleaved, so that a busy machine disturbs the ratio little; ``--wall`` adds ours on all cores by the clock.

    python benchmarks/bench_sorting.py            the table
    python benchmarks/bench_sorting.py --wall     with wall time on all cores (on a quiet machine)
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from parameters import parameters_of
from plain_sorting import PlainDirect

from structgrad import noise as noise_module
from structgrad.experiments.indelman.sorting import direct as direct_module
from structgrad.experiments.indelman.sorting.data import make
from structgrad.experiments.indelman.sorting.direct import DirectSorters
from structgrad.experiments.indelman.sorting.model import MeanScores
from structgrad.experiments.indelman.sorting.spec import TABLE_1A
from structgrad.parallel import set_threads
from structgrad.polytopes import matching as matching_module
from structgrad.training.seeds import seed_for

ROLES = ("data", "init", "init_sigma", "noise")
WORK = {5: (100, 100), 10: (100, 100), 25: (40, 100), 40: (20, 100), 60: (10, 100), 100: (4, 100)}


def sorters(d: int, replicas: int) -> DirectSorters:
    """Our batch of replicas, patience off."""
    config = parameters_of(TABLE_1A, "direct_stochastic", f"d={d}", patience=None, extra_test_sequences=1)
    seeds = {role: [seed_for("bench", f"d={d}", None, r, role) for r in range(replicas)] for role in ROLES}
    return DirectSorters(config, make(config, f"d={d}", seeds["data"]), seeds)


def ours(d: int, replicas: int, epochs: int, clock: Callable[[], float] = time.process_time) -> float:
    """Milliseconds a replica-epoch."""
    batch = sorters(d, replicas)
    start = clock()
    for _ in range(epochs):
        batch.step()
    return 1e3 * (clock() - start) / (replicas * epochs)


def plain(d: int, epochs: int, seed: int) -> float:
    """Milliseconds an epoch of one replica."""
    model = PlainDirect(d, 10, seed, samples=5)
    start = time.process_time()
    for _ in range(epochs):
        model.epoch()
    return 1e3 * (time.process_time() - start) / epochs


@contextmanager
def timed(spent: dict[str, float], name: str, owner: Any, attribute: str) -> Iterator[None]:
    """Add the CPU time of a function to ``spent[name]``."""
    inner = getattr(owner, attribute)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        try:
            return inner(*args, **kwargs)
        finally:
            spent[name] += time.process_time() - start

    with patch.object(owner, attribute, wrapper):
        yield


def shares(d: int, replicas: int, epochs: int) -> str:
    """Where the time of our step goes, in percent."""
    spent: dict[str, float] = defaultdict(float)
    with (
        timed(spent, "assignment", matching_module, "assign_pair"),
        timed(spent, "noise", noise_module.Gumbel, "sample"),
        timed(spent, "network forward", MeanScores, "__call__"),
        timed(spent, "backward", torch.Tensor, "backward"),
        timed(spent, "task loss", direct_module.DirectSorters, "_task_loss"),
    ):
        total = ours(d, replicas, epochs) * replicas * epochs / 1e3
    spent["rest"] = total - sum(spent.values())
    return ", ".join(
        f"{name} {100 * seconds / total:.0f}" for name, seconds in sorted(spent.items(), key=lambda part: -part[1])
    )


def main() -> None:
    """Print one line a width."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wall", action="store_true", help="add wall time of ours on all cores")
    wall = parser.parse_args().wall
    set_threads(1)
    ours(5, 2, 2)  # compile
    print(f"{'d':>4} {'plain ms':>10} {'ours ms':>9} {'ratio':>7}{'  wall ms' if wall else ''}  our time goes to (%)")
    for d, (replicas, epochs) in WORK.items():
        rounds = [(plain(d, epochs, seed), ours(d, replicas, epochs)) for seed in range(3 if d < 100 else 1)]
        slow, fast = (sorted(column)[len(rounds) // 2] for column in zip(*rounds, strict=True))
        line = f"{d:>4} {slow:>10.2f} {fast:>9.3f} {slow / fast:>6.1f}x"
        if wall:
            set_threads(os.cpu_count() or 1)
            line += f"{ours(d, replicas, epochs, time.perf_counter):>9.3f}"
            set_threads(1)
        print(f"{line}  {shares(d, replicas, epochs)}", flush=True)


if __name__ == "__main__":
    main()
