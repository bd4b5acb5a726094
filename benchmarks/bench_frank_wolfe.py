"""What a projection by the maximiser alone costs, and how fast it converges, beside the exact projections.

Standard normal scores (minus their magnitudes over paths), temperature one. ``vertices`` are the active ones of an item
in the mean, ``calls`` the rounds of the slowest item of the batch; times are CPU milliseconds per item on one thread,
``exact`` those of ``Relaxed(polytope, Euclidean())`` where there is one, and ``error`` the largest difference to it.
Then the mean duality gap after so many rounds.

    python benchmarks/bench_frank_wolfe.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from measure import Candidate, take_turns
from torch import Tensor

from structgrad.layers import FrankWolfe, Relaxed
from structgrad.layers.base import Layer
from structgrad.parallel import set_threads
from structgrad.polytopes import (
    Arborescence,
    GridPath,
    Hypercube,
    Matching,
    Permutahedron,
    Simplex,
    SpanningTree,
    Subset,
)
from structgrad.polytopes.base import Polytope
from structgrad.regularizers import Euclidean

PROJECTED = [Simplex(50), Subset(50, 5), Subset(350, 10), Hypercube(60), Permutahedron(50)]
OTHERS = [Matching(10), Matching(25), SpanningTree(10), Arborescence(10), GridPath(12, 12)]
BATCH, SECONDS, TURNS = 32, 1.0, 3
ROUNDS = (1, 4, 16, 64)


def scores(polytope: Polytope) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    theta = torch.randn(BATCH, *polytope.event_shape, generator=draw, dtype=torch.float64)
    return -theta.abs() if polytope.nonpositive else theta


def forward_and_backward(layer: Layer, theta: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    leaf = theta.clone().requires_grad_()
    return lambda: layer(theta), lambda: torch.autograd.grad(layer(leaf), leaf, theta)


def milliseconds(calls: list[Callable[[], object]]) -> list[float]:
    for call in calls:
        call()  # loads its code
    turns = take_turns([Candidate(call, time.process_time) for call in calls], SECONDS, TURNS)
    return [1e3 * sorted(turn)[len(turn) // 2] / BATCH for turn in turns]


def rounds_and_gaps(polytope: Polytope, theta: Tensor) -> tuple[int, list[float]]:
    """The rounds of the slowest item, and the mean gap of what a limit of so many of them would leave."""
    enough = 1
    while not done(polytope, theta, enough):
        enough *= 2
    low = enough // 2
    while enough - low > 1:
        middle = (low + enough) // 2
        low, enough = (low, middle) if done(polytope, theta, middle) else (middle, enough)
    gaps = []
    for rounds in ROUNDS:
        tolerance = 1e-12  # the smallest that so many rounds reach, by factors of ten, is the largest gap
        while not done(polytope, theta, rounds, tolerance):
            tolerance *= 10
        gaps.append(float(FrankWolfe(polytope, 1.0, rounds, tolerance).decompose(theta).gap.mean()))
    return enough, gaps


def done(polytope: Polytope, theta: Tensor, rounds: int, tolerance: float = 1e-12) -> bool:
    try:
        FrankWolfe(polytope, 1.0, rounds, tolerance)(theta)
    except ValueError:
        return False
    return True


def main() -> None:
    set_threads(1)
    print("polytope                 calls vertices   value     VJP  exact value, VJP      error    gap after", *ROUNDS)
    for polytope in (*PROJECTED, *OTHERS):
        theta, layer = scores(polytope), FrankWolfe(polytope)
        calls, gaps = rounds_and_gaps(polytope, theta)
        active = float((layer.decompose(theta).weights > 0).sum(1).double().mean())
        exact, error = [], ""
        if polytope in PROJECTED:
            projection = Relaxed(polytope, Euclidean())
            exact = [*forward_and_backward(projection, theta)]
            error = f"{float((layer(theta) - projection(theta)).abs().max()):.0e}"
        times = milliseconds([*forward_and_backward(layer, theta), *exact])
        name = f"{type(polytope).__name__}{polytope.event_shape}"
        cells = " ".join(f"{t:7.3f}" for t in times).ljust(33)
        print(f"{name:25}{calls:5} {active:8.1f} {cells} {error:>9}   ", *(f"{gap:.0e}" for gap in gaps))


if __name__ == "__main__":
    main()
