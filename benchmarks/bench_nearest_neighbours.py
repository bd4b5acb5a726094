"""Time and memory of a training step on nearest neighbours of images: ours against the plain form, in one run.

Both take the same steps (``tests/reference/test_nearest_neighbours_against_plain.py``): 100 queries, their candidates,
the ConvNet on 28 x 28, the loss, the gradient of every weight, the optimiser. For direct losses ours embeds all images
without a graph and once more those few that have a gradient, in channels-last memory, and selects by a compiled kernel;
NeuralSort makes the k rows that it needs. The plain form (``plain_nearest_neighbours.py``) does none of that. How many
embeddings have a gradient depends on the weights: they are random, or those that our direct stochastic learning has
after some hundred steps, and stay as they are (learning rates are zero). Times are CPU seconds of one thread, the two
in turns (with more threads those of the clock; ours then gives torch one thread, as jobs do); memory is the growth of
the peak of the resident set in one step. ``objective`` is the part of our step for distances, noise, solver, loss and
their derivatives, ``outside`` that and all else but the networks' forward and backward passes; ``moved`` are the
embeddings that have a gradient.

    python benchmarks/bench_nearest_neighbours.py                       the table, on packaged digits
    python benchmarks/bench_nearest_neighbours.py --source published    on MNIST
    python benchmarks/bench_nearest_neighbours.py --case direct         rows whose names contain this
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from bench_label_ranking import own_time
from measure import Candidate, Spread, in_child, peak_growth, take_turns
from parameters import parameters_of
from plain_nearest_neighbours import Plain

from structgrad.experiments.indelman.nearest_neighbours import losses
from structgrad.experiments.indelman.nearest_neighbours.data import Data, Labelled, make
from structgrad.experiments.indelman.nearest_neighbours.losses import Batch, NeighbourLoss
from structgrad.experiments.indelman.nearest_neighbours.spec import TABLE_2
from structgrad.experiments.indelman.nearest_neighbours.stream import Stream
from structgrad.experiments.indelman.nearest_neighbours.trial import NeighboursTrial
from structgrad.layers.neural_sort import NeuralSort
from structgrad.layers.soft_sub import SoftSub
from structgrad.noise import Gumbel
from structgrad.parallel import set_threads
from structgrad.polytopes.subset import Subset
from structgrad.training.heap import keep_freed_memory

DIRECT = ("direct", "direct_stochastic_1", "direct_stochastic_5")
RELAXED = ("neural_sort", "neural_sort_stochastic", "relax_subsample")
TEACHER = "direct_stochastic_1"  # trains the weights that are not random
NEIGHBOURS = (1, 5)
QUERIES, MANY, FEW = 100, 800, 100  # FEW candidates is what the relaxations train with
HEAVY = ("neural_sort_stochastic", MANY)  # the plain form takes half a minute and 6 GB
POINT = {"learning_rate": 1e-3, "epsilon": -0.1, "sigma_learning_rate": 1e-5, "temperature": 16.0}
STILL = POINT | {"learning_rate": 0.0, "sigma_learning_rate": 0.0}
SEEDS = {"init": 1, "queries": 2, "candidates": 3, "noise": 4}
SIZES = {  # the stand-in has 1497 images but for those to test on
    "stand_in": {"train": None, "validation": 100, "test": 100},
    "published": {"train": None, "validation": 5000, "test": 100},
}
NETWORK = ("network forward", "network backward")
OBJECTIVE = ("distances", "noise", "solver", "relaxation", "loss", "loss backward")
PARTS: tuple[tuple[str, Any, str], ...] = (  # what is timed, without what is timed inside; all else is the rest
    ("network forward", NeighboursTrial, "_embeddings"),
    ("network backward", torch.Tensor, "backward"),
    ("distances", losses, "euclidean"),
    ("distances", losses, "squared"),
    ("noise", Gumbel, "sample"),
    ("solver", Subset, "argmax_pair"),
    ("solver", Subset, "argmax"),
    ("relaxation", NeuralSort, "forward"),
    ("relaxation", SoftSub, "forward"),
    ("optimiser", torch.optim.Adam, "step"),
    ("optimiser", torch.optim.SGD, "step"),
    ("optimiser", torch.nn.Module, "zero_grad"),
    ("batches", Stream, "next"),
    ("batches", Labelled, "__getitem__"),
    ("batches", Data, "normalised"),
)


@dataclass(frozen=True)
class Weights:
    """Those to start from, under the names of either form, and how far epsilon has grown with them."""

    values: dict[str, np.ndarray]
    epsilon: float

    def load(self, network: torch.nn.Module) -> None:
        """Put those that the network has into it."""
        known = {name: torch.from_numpy(self.values[name]) for name in network.state_dict()}
        network.load_state_dict(known)


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    arm: str
    k: int
    candidates: int
    start: str

    @property
    def name(self) -> str:
        return f"{self.arm} k={self.k} {self.candidates} {self.start}"


Step = Callable[[], Any]
Form = Callable[[Case, Data, Weights], Step]


def trial_of(arm: str, k: int, candidates: int, data: Data, point: dict[str, float]) -> NeighboursTrial:
    config = parameters_of(TABLE_2, arm, f"MNIST k={k}", queries=QUERIES, candidates=candidates)
    return NeighboursTrial(config, data, point, SEEDS)


def trained(k: int, data: Data, steps: int) -> Weights:
    """The weights of our teacher after so many steps."""
    trial = trial_of(TEACHER, k, min(MANY, len(data.train)), data, POINT)
    for _ in range(steps):
        trial.update()
    values = {name: value.contiguous().numpy() for name, value in trial.network.state_dict().items()}
    return Weights(values, trial.objective.final()["epsilon"])


def still(case: Case, data: Data, weights: Weights) -> NeighboursTrial:
    """Our trial at these weights, which it keeps."""
    trial = trial_of(case.arm, case.k, case.candidates, data, STILL)
    weights.load(trial.network)
    if case.arm in DIRECT:
        trial.objective.restore({"epsilon": torch.tensor([weights.epsilon], dtype=torch.float64)})
    return trial


def ours(case: Case, data: Data, weights: Weights) -> Step:
    """A step of ours."""
    return still(case, data, weights).update


def plain(case: Case, data: Data, weights: Weights) -> Step:
    """A step of the plain form, from drawing its batch on."""
    model = Plain(case.arm, case.k, STILL | {"epsilon": weights.epsilon})
    weights.load(model)
    draws = torch.Generator().manual_seed(1)

    def step() -> float:
        rows = torch.randint(len(data.train), (QUERIES + case.candidates,), generator=draws)
        images = data.train.images[rows].float() / 255
        return model.step(images, data.train.labels[rows], QUERIES, draws)

    return step


def times(case: Case, data: Data, weights: Weights, seconds: float, threads: int) -> tuple[float, float]:
    """Median seconds of a step: plain, ours."""
    set_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    candidates = []
    for form, torch_threads in ((plain, threads), (ours, 1)):
        step = form(case, data, weights)
        step()  # load and compile
        candidates.append(Candidate(step, clock, torch_threads))
    slow, fast = (Spread.of(turns).median for turns in take_turns(candidates, seconds, 3))
    return slow, fast


def memory(case: Case, data: Data, weights: Weights, form: Form) -> float:
    """MiB by which a step raises the peak; one with few candidates has loaded the code."""
    form(Case(case.arm, case.k, case.k, case.start), data, weights)()
    return peak_growth(form(case, data, weights))


class Apart(NeighbourLoss):
    """Another loss with its gradient taken at once, apart from that of the networks, and its moved embeddings."""

    def __init__(self, objective: NeighbourLoss) -> None:
        self.objective, self.sparse = objective, objective.sparse
        self.moved: list[int] = []

    def __call__(
        self, batch: Batch, sigma: torch.Tensor | None, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = [batch.embeddings, *(() if sigma is None else (sigma,))]
        leaves = [value.detach().requires_grad_() for value in inputs]
        total, loss = self.objective(Batch(leaves[0], batch.labels, batch.count), (*leaves, None)[1], generator)
        gradients = self.back(total, leaves)
        self.moved.append(int(gradients[0].any(-1).sum()))
        pairs = zip(inputs, gradients, strict=True)
        return torch.stack([(value * gradient).sum() for value, gradient in pairs]).sum(), loss

    def back(self, total: torch.Tensor, leaves: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(total, leaves)


def shares(case: Case, data: Data, weights: Weights, seconds: float) -> tuple[dict[str, float], float]:
    """Where our time goes, in percent, and how many embeddings move."""
    trial = still(case, data, weights)
    trial.objective = apart = Apart(trial.objective)
    trial.update()
    spent: dict[str, float] = defaultdict(float)
    inside: list[float] = []
    parts = [*PARTS, ("loss", Apart, "__call__"), ("loss backward", Apart, "back")]
    if trial.network.sigma is not None:
        parts.append(("network forward", trial.network.sigma, "forward"))
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(own_time(spent, inside, *part))
        start = time.process_time()
        for count in range(1, 1000):
            trial.update()
            if count >= 3 and time.process_time() - start > seconds / 3:
                break
        total = time.process_time() - start
    parts_of_it = dict(spent) | {"rest": total - sum(spent.values())}
    return {name: 100 * part / total for name, part in parts_of_it.items()}, float(np.mean(apart.moved))


def row(case: Case, data: Data, weights: Weights, seconds: float, threads: int) -> list[str]:
    slow, fast = in_child(times, case, data, weights, seconds, threads)
    spent, moved = in_child(shares, case, data, weights, seconds)
    peaks = "/".join(f"{in_child(memory, case, data, weights, form):.0f}" for form in (plain, ours))
    objective, network = (sum(spent.get(name, 0.0) for name in names) for names in (OBJECTIVE, NETWORK))
    parts = ", ".join(
        f"{name} {share:.1f}" for name, share in sorted(spent.items(), key=lambda item: -item[1]) if share >= 0.05
    )
    return [
        case.arm, str(case.k), str(case.candidates), case.start, f"{1e3 * slow:.0f}", f"{1e3 * fast:.0f}",
        f"{slow / fast:.2f}x", f"{objective:.1f}", f"{100 - network:.1f}",
        f"{moved:.0f} of {QUERIES + case.candidates}", peaks, parts,
    ]  # fmt: skip


HEADERS = (
    "arm", "k", "candidates", "weights", "plain ms", "ours ms", "ratio", "objective %", "outside %", "moved",
    "MiB plain/ours", "our time goes to (%)",
)  # fmt: skip


def cases(steps: int, heavy: bool) -> list[Case]:
    """Direct arms with random and trained weights; the relaxations also with the candidates that they train with."""
    starts = ("random", *((f"{steps} steps",) if steps else ()))
    rows = [Case(arm, k, MANY, start) for arm in DIRECT for k in NEIGHBOURS for start in starts]
    rows += [Case(arm, k, count, starts[-1]) for arm in RELAXED for count in (FEW, MANY) for k in NEIGHBOURS]
    return [case for case in rows if heavy or (case.arm, case.candidates) != HEAVY]


def main() -> None:
    """Print one row for each arm, number of neighbours and start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=SIZES, default="stand_in", help="packaged digits, or MNIST as published")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each row's times")
    parser.add_argument("--steps", type=int, default=300, help="of training before the second start (0: none)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--heavy", action="store_true", help="add NeuralSort with five samples and 800 candidates")
    parser.add_argument("--case", default="", help="rows whose names, such as `direct k=1 800 random`, contain this")
    options = parser.parse_args()
    set_threads(1)
    keep_freed_memory()  # as every job does; both sides gain
    config = parameters_of(TABLE_2, TEACHER, "MNIST k=1", source=options.source, **SIZES[options.source])
    data = make(config, "MNIST k=1", [0])
    print(f"{options.source}; {options.threads} threads; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    chosen = [case for case in cases(options.steps, options.heavy) if options.case in case.name]
    weights = {
        (k, start): in_child(trained, k, data, 0 if start == "random" else options.steps)
        for k, start in sorted({(case.k, case.start) for case in chosen})
    }
    for line in (HEADERS, ["---"] * len(HEADERS)):
        print(f"| {' | '.join(line)} |")
    for case in chosen:
        line = row(case, data, weights[case.k, case.start], options.seconds, options.threads)
        print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
