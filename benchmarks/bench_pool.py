"""A solver in Python over two processes, two threads and one: what a pool of processes gains and costs.

The solver is the knapsack's dynamic programme in plain Python, which holds the interpreter's lock throughout: about a
millisecond per problem. Also one whose work is nothing, so that what is left is the pool's own cost. Time is the
wall's, the three by turns; a ratio above one says that processes are faster. Starting the pool is timed by itself.

    python benchmarks/bench_pool.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from measure import Candidate, take_turns

from structgrad.parallel import set_threads
from structgrad.polytopes import BlackBox
from structgrad.pool import STARTS, SolverPool

ITEMS, CAPACITY = 20, 320
BATCHES = (1, 8, 64, 512)
SECONDS, TURNS = 4.0, 7


def knapsack(values: np.ndarray, sizes: list[int]) -> list[int]:
    """The best set of things that fit, by a table over capacities."""
    best, taken = [0.0] * (CAPACITY + 1), []
    for value, size in zip(values.tolist(), sizes, strict=True):
        row = [False] * (CAPACITY + 1)
        for room in range(CAPACITY, size - 1, -1):
            if best[room - size] + value > best[room]:
                best[room], row[room] = best[room - size] + value, True
        taken.append(row)
    y, room = [0] * len(sizes), CAPACITY
    for i in range(len(sizes) - 1, -1, -1):
        if taken[i][room]:
            y[i], room = 1, room - sizes[i]
    return y


def nothing(values: np.ndarray, sizes: list[int]) -> np.ndarray:
    """No work."""
    return values


def candidates(solver: Callable[..., object], pool: SolverPool, batch: int) -> list[Candidate]:
    """One batch by the pool, by two threads and by one."""
    draw = np.random.default_rng(0)
    theta = torch.from_numpy(draw.random((batch, ITEMS)))
    sizes = [draw.integers(10, 60, ITEMS).tolist() for _ in range(batch)]
    plain = BlackBox(solver, (ITEMS,)).given(sizes)
    pooled = BlackBox(pool, (ITEMS,), batched=True).given(sizes)
    if not torch.equal(plain.argmax(theta), pooled.argmax(theta)):
        raise ValueError("the pool's answers are not the solver's")

    def call(polytope: BlackBox, threads: int) -> Callable[[], object]:
        def solve() -> object:
            set_threads(threads)
            return polytope.argmax(theta)

        return solve

    calls = (call(pooled, 1), call(plain, 2), call(plain, 1))
    return [Candidate(one, time.perf_counter) for one in calls]


def main() -> None:
    """Print one line a batch."""
    print(f"{'':<26}{'processes ms':>14}{'threads ms':>12}{'one ms':>9}{'against threads':>24}{'against one':>20}")
    for solver in (knapsack, nothing):
        for start in STARTS:
            begin = time.perf_counter()
            with SolverPool(solver, 2, start) as pool:
                pool(np.zeros((8, ITEMS)), [[10] * ITEMS] * 8)
                first = time.perf_counter() - begin
                for batch in BATCHES:
                    turns = take_turns(candidates(solver, pool, batch), SECONDS, TURNS)
                    ours, threads, one = turns
                    shown = ""
                    for other, width in ((threads, 24), (one, 20)):
                        ratios = [there / here for here, there in zip(ours, other, strict=True)]
                        span = f"{median(ratios):.2f}x ({min(ratios):.2f} - {max(ratios):.2f})"
                        shown += f"{span:>{width}}"
                    name = f"{solver.__name__}, {start}, {batch}"
                    times = f"{1e3 * median(ours):>14.2f}{1e3 * median(threads):>12.2f}{1e3 * median(one):>9.2f}"
                    print(f"{name:<26}{times}{shown}", flush=True)
            print(f"{solver.__name__}, {start}: first batch after {first:.2f} s", flush=True)


if __name__ == "__main__":
    main()
