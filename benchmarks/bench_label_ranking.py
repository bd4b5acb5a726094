"""Time and memory of berthet's nested cross-validation: ours against a plain loop of single models, in one run.

Ten outer folds, five inner folds and the final fit, three learning rates times three values of epsilon (lambda), 16
samples, batches of 32. Ours trains all 540 models (180 for the squared loss) for some epochs as the experiment does,
validation after every epoch included. The plain loop (``plain_label_ranking.py``) trains one ``nn.Linear`` at a time
for as many steps; it is timed on some of its models, spread over folds and grid, and scaled. ``work`` is the ratio for
all of those models; ``result`` leaves out those that the plain loop has no use for, the final fits at points of the
grid that were not selected. Times are CPU seconds of one thread, the two interleaved. Memory is the growth of the peak
of the resident set, of all of ours and of one model after another.

The sets are scikit-learn's iris and wine with ranks from naive Bayes, and random ones of the size of `vehicle`.

    python benchmarks/bench_label_ranking.py            the table
    python benchmarks/bench_label_ranking.py --jobs 2   with two of our jobs side by side (on a quiet machine)

Jobs are independent, so that a machine trains as many at once as it has cores. ``--jobs N`` starts N of ours together
and takes the wall time until the last has finished; the ratio is of N plain loops one after the other to that.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from measure import in_child, peak_growth
from parameters import parameters_of
from plain_label_ranking import Plain

from structgrad.data.label_ranking import LabelRanking, stand_in
from structgrad.experiments.berthet.label_ranking.data import OUTER_FOLDS, fold
from structgrad.experiments.berthet.label_ranking.hyper_parameters import LabelRankingParameters
from structgrad.experiments.berthet.label_ranking.rankers import FoldRankers
from structgrad.experiments.berthet.label_ranking.spec import BERTHET_2
from structgrad.experiments.berthet.rankings.grid import Grid
from structgrad.experiments.berthet.rankings.losses import LOSSES
from structgrad.noise import Normal
from structgrad.parallel import set_threads
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.training.adam import Adam
from structgrad.training.heap import keep_freed_memory
from structgrad.training.seeds import seed_for

ARMS = ("perturbed_fy", "perturbed_squared", "squared", "blackbox_tuned")
EPOCHS = {"iris": 2, "wine": 2, "vehicle": 1}
TURNS = 3
MODELS = 5  # of the plain loop, in each turn
TARGET = 50


def data_set(name: str) -> LabelRanking:
    if name != "vehicle":
        return stand_in(name)
    draw = np.random.default_rng(0)
    features = draw.uniform(-1, 1, (846, 18))
    scores = features @ draw.normal(size=(18, 4)) + draw.normal(size=(846, 4))
    return LabelRanking(features, scores.argsort(1).argsort(1))


def config_of(arm: str, epochs: int) -> LabelRankingParameters:
    return parameters_of(BERTHET_2, arm, "iris", epochs=epochs)


def rankers(data: LabelRanking, arm: str, epochs: int) -> FoldRankers:
    """Our batch of all models."""
    config = config_of(arm, epochs)
    seeds = {
        role: [seed_for("bench", "any", None, number, role) for number in range(OUTER_FOLDS)]
        for role in ("init", "shuffle", "noise")
    }
    folds = [fold(len(data.features), 0, number, config.inner_folds) for number in range(OUTER_FOLDS)]
    return FoldRankers(config, data, folds, LOSSES[config.loss](config, data.ranks.shape[1]), seeds)


def train(batch: FoldRankers) -> None:
    for _ in range(batch.epochs):
        batch.step()
    batch.finish(torch.ones(OUTER_FOLDS, dtype=torch.bool))


def ours(data: LabelRanking, arm: str, epochs: int) -> float:
    """CPU seconds for all models."""
    batch = rankers(data, arm, epochs)
    start = time.process_time()
    train(batch)
    return time.process_time() - start


def side_by_side(data: LabelRanking, arm: str, epochs: int, jobs: int) -> float:
    """Wall seconds of ``jobs`` processes that train all models each, from the moment when all are ready."""
    context = multiprocessing.get_context("fork")
    ready, times = context.Barrier(jobs), context.Queue()

    def work() -> None:
        batch = rankers(data, arm, epochs)
        gc.collect()  # else it falls into the measured fraction of a second
        ready.wait()
        start = time.perf_counter()
        train(batch)
        times.put(time.perf_counter() - start)

    processes = [context.Process(target=work) for _ in range(jobs)]
    for process in processes:
        process.start()
    seconds = [times.get() for _ in processes]
    for process in processes:
        process.join()
    return max(seconds)


def peer(data: LabelRanking, arm: str, epochs: int) -> Plain:
    config = config_of(arm, epochs)
    x, y = torch.from_numpy(data.features).float(), torch.from_numpy(data.ranks).float()
    values = list(config.epsilons or config.lambdas) or [0.0]
    return Plain(x, y, config.loss, list(config.learning_rates), values, epochs, config.inner_folds)


def some_models(plain: Plain, first: int) -> None:
    """Train and score ``MODELS`` of them, other folds and points of the grid for another ``first``."""
    for i in range(first, first + MODELS):
        point = (i % len(plain.rates), i // len(plain.rates) % len(plain.values))
        plain.evaluate(i % OUTER_FOLDS, i % (plain.inner + 1), point)


def seconds_a_model(plain: Plain, turn: int) -> float:
    start = time.process_time()
    some_models(plain, turn * MODELS)
    return (time.process_time() - start) / MODELS


def memory(data: LabelRanking, arm: str, of_ours: bool) -> float:
    """MiB by which an epoch of training raises the peak; one on a few rows has loaded the code."""
    small = LabelRanking(data.features[:60], data.ranks[:60])
    if of_ours:
        train(rankers(small, arm, 1))
        return peak_growth(lambda: train(rankers(data, arm, 1)))
    some_models(peer(small, arm, 1), 0)
    return peak_growth(lambda: some_models(peer(data, arm, 1), 0))


@contextmanager
def own_time(spent: dict[str, float], inside: list[float], name: str, owner: Any, attribute: str) -> Iterator[None]:
    """Add the CPU time of a function to ``spent[name]``, less that of timed functions that it calls."""
    inner = getattr(owner, attribute)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        inside.append(0.0)
        try:
            return inner(*args, **kwargs)
        finally:
            took = time.process_time() - start
            spent[name] += took - inside.pop()
            if inside:
                inside[-1] += took

    with patch.object(owner, attribute, wrapper):
        yield


def shares(data: LabelRanking, arm: str, epochs: int) -> str:
    """Where our time goes, in percent; ranks are those of training and of validation."""
    parts = (
        ("noise", Normal, "sample"),
        ("ranks", Permutahedron, "_argmax"),
        ("loss", Grid, "_gradient"),
        ("forward", Grid, "scores"),
        ("backward", torch.Tensor, "backward"),
        ("Adam", Adam, "step"),
        ("validation", FoldRankers, "validation"),
        ("shuffles", FoldRankers, "_order"),
    )
    spent: dict[str, float] = defaultdict(float)
    inside: list[float] = []
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(own_time(spent, inside, *part))
        total = ours(data, arm, epochs)
    spent["rest"] = total - sum(spent.values())
    return ", ".join(
        f"{name} {100 * seconds / total:.0f}" for name, seconds in sorted(spent.items(), key=lambda part: -part[1])
    )


def main() -> None:
    """Print one line for each data set and arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="add the wall time of so many of our jobs side by side")
    jobs = parser.parse_args().jobs
    set_threads(1)
    keep_freed_memory()  # as every job does; both sides may gain
    for arm in ARMS:
        ours(stand_in("iris"), arm, 1)  # compile and load
    print(f"ratios: target {TARGET}x; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    together = "  jobs s   ratio" if jobs > 1 else ""
    columns = f"{'plain s':>9}{'ours s':>8}{'work':>7}{'result':>8}{together}{'MiB plain/ours':>16}"
    print(f"{'set':<8}{'arm':<18}{'epochs':>6}{columns}  our time goes to (%)")
    for name, epochs in EPOCHS.items():
        data = data_set(name)
        for arm in ARMS:
            plain = peer(data, arm, epochs)
            points = len(plain.rates) * len(plain.values)
            every = OUTER_FOLDS * (plain.inner + 1) * points
            needed = OUTER_FOLDS * (plain.inner * points + 1)
            some_models(plain, 0)
            turns = [(seconds_a_model(plain, turn), ours(data, arm, epochs)) for turn in range(TURNS)]
            slow, fast = (median(column) for column in zip(*turns, strict=True))
            line = f"{name:<8}{arm:<18}{epochs:>6}{every * slow:>9.2f}{fast:>8.3f}"
            line += f"{every * slow / fast:>6.1f}x{needed * slow / fast:>7.1f}x"
            if jobs > 1:
                wall = median(side_by_side(data, arm, epochs, jobs) for _ in range(TURNS))
                line += f"{wall:>8.3f}{jobs * every * slow / wall:>7.1f}x"
            peaks = "/".join(f"{in_child(memory, data, arm, of_ours):.1f}" for of_ours in (False, True))
            print(f"{line}{peaks:>16}  {shares(data, arm, epochs)}", flush=True)


if __name__ == "__main__":
    main()
