"""What the same bits everywhere cost: each operation of ``structgrad.portable`` against torch's own, in one run.

Shapes are those of the experiments: replicas x items x inputs x outputs of the layers of the sorting networks (Tables
1a and 1b of indelman) and of the linear models of berthet, for the layer's output and both its gradients; a block of
noise; the parameters of 200 networks. Time is CPU time of one thread, the two by turns; a ratio above one says that
ours is faster. Memory is the growth of the peak of the resident set during one call.

    python benchmarks/bench_portable.py
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch
from measure import Candidate, in_child, peak_growth, take_turns
from torch import Tensor

from structgrad.noise import Gumbel, Normal
from structgrad.parallel import set_threads
from structgrad.portable import column_sums, exp, log, product, row_sums
from structgrad.training.adam import Adam
from structgrad.training.replicas import Parameters

LAYERS = {
    "1a, d = 5, first layer": (200, 50, 1, 32),
    "1a, d = 5, second layer": (200, 50, 32, 5),
    "1a, d = 25, second layer": (200, 250, 32, 25),
    "1a, d = 100, second layer": (20, 1000, 32, 100),
    "1b, d = 10, first layer": (5, 5120, 1, 32),
    "1b, d = 40, second layer": (5, 20480, 32, 40),
    "1a, d = 25, sigma": (200, 10, 25, 1),
    "iris": (60, 32, 4, 9),
    "authorship": (60, 32, 70, 12),
    "artificial rankings": (3, 32, 50, 400),
}
SECONDS, TURNS = 0.5, 5
Pair = tuple[str, Callable[[], object], Callable[[], object]]


def products() -> Iterator[Pair]:
    """Output and gradients of each layer."""
    for name, (replicas, items, inputs, outputs) in LAYERS.items():
        x, w = torch.rand(replicas, items, inputs), torch.rand(replicas, inputs, outputs)
        g = torch.rand(replicas, items, outputs)
        for part, a, b in (("output", x, w), ("gradient in weights", x.mT, g), ("gradient in inputs", g, w.mT)):
            if inputs > 1 or part != "gradient in inputs":
                yield f"{name}: {part}", lambda a=a, b=b: product(a, b), lambda a=a, b=b: a @ b


def others() -> Iterator[Pair]:
    """Sums, functions, draws and an optimiser's step."""
    block, doubles = torch.rand(1 << 17), torch.rand(1 << 17, dtype=torch.float64)
    rows = torch.rand(2000, 625)
    yield "sums of 625", lambda: row_sums(rows), lambda: rows.sum(-1, dtype=torch.float64)
    columns = torch.rand(200, 250, 32)
    yield "sums of 250 rows", lambda: column_sums(columns), lambda: columns.sum(1)
    for name, values in (("float32", block), ("float64", doubles)):
        yield f"log, {name}", lambda v=values: log(v), lambda v=values: v.log()
        yield f"exp, {name}", lambda v=values: exp(v), lambda v=values: v.exp()
    draw = torch.Generator().manual_seed(0)
    yield "Gumbel", lambda: Gumbel().sample((1 << 17,), draw), lambda: gumbels(draw)
    yield "Normal", lambda: Normal().sample((1 << 17,), draw), lambda: torch.randn(1 << 17, generator=draw)
    yield "Adam", ours(), torchs()


def gumbels(draw: torch.Generator) -> Tensor:
    """Gumbel noise by torch's logarithms."""
    return torch.rand(1 << 17, generator=draw).clamp_min_(1e-38).log_().neg_().log_().neg_()


def ours() -> Callable[[], None]:
    """A step of our Adam on the networks of 200 replicas."""
    parameters = Parameters({"all": (900,)}, 200)
    parameters.flat.grad = torch.rand(200, 900)
    return Adam([parameters], [0.1]).step


def torchs() -> Callable[[], object]:
    """The same by the fastest of torch's forms on a CPU."""
    weights = torch.zeros(200, 900, requires_grad=True)
    weights.grad = torch.rand(200, 900)
    return torch.optim.Adam([weights], lr=0.1, fused=True).step


def compare(pair: Pair) -> tuple[float, float, float, float, float]:
    """Milliseconds of both, and the median, least and largest ratio over turns."""
    _, mine, theirs = pair
    candidates = [Candidate(call, time.process_time) for call in (mine, theirs)]
    for candidate in candidates:
        candidate.call()  # compile
    fast, slow = take_turns(candidates, SECONDS, TURNS)
    ratios = [there / here for here, there in zip(fast, slow, strict=True)]
    return 1e3 * median(fast), 1e3 * median(slow), median(ratios), min(ratios), max(ratios)


def main() -> None:
    """Print one line an operation."""
    set_threads(1)
    torch.manual_seed(0)
    print(f"{'':<44}{'ours ms':>9}{'torch ms':>10}{'ratio':>7}{'range':>14}{'MiB':>7}{'torch':>7}")
    for pair in (*products(), *others()):
        here, there, ratio, low, high = compare(pair)
        memory = [in_child(peak_growth, call) for call in pair[1:]]
        print(
            f"{pair[0]:<44}{here:>9.3f}{there:>10.3f}{ratio:>6.2f}x{f'{low:.2f} - {high:.2f}':>14}"
            f"{memory[0]:>7.1f}{memory[1]:>7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
