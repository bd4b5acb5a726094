"""Time and memory of a training step on graph layouts: ours against the plain form, in one run.

Both do the same step (``tests/reference/test_graph_layout_against_plain.py``): a batch, its loss, the gradient of every
weight, Adam. Ours splits layers on pairs into layers on vertices, sends the decoder's edges through the cache block by
block, and takes the derivative of the marginals from the library's kernels; the plain form (``plain_graph_layout.py``)
concatenates pairs and differentiates a log-determinant twice. Times are CPU seconds of one thread, the two in turns;
memory is the growth of the peak of the resident set in one step. ``batched`` is what two trials take as one model with
a batch of trials, over what they take one after the other, for the products that most of a step goes to.

    python benchmarks/bench_graph_layout.py                 the table
    python benchmarks/bench_graph_layout.py --width 256     another width
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable

import torch
from measure import Candidate, Spread, in_child, peak_growth, take_turns
from parameters import parameters_of
from plain_graph_layout import Plain

from structgrad.experiments.paulus.graph_layout.data import make
from structgrad.experiments.paulus.graph_layout.objective import Softmax
from structgrad.experiments.paulus.graph_layout.spec import TABLE_1
from structgrad.noise import Gumbel
from structgrad.parallel import set_threads
from structgrad.training.heap import keep_freed_memory

KINDS = ("indep_directed", "top_k", "spanning_tree")
CASES = (("T=10", "teacher_forced"), ("T=10", "unrolled"), ("T=20", "teacher_forced"))
PARTS = {  # of the profiler's names, what they are called here; all else is the rest
    "mm": "matrix products",
    "addmm": "matrix products",
    "addmm_": "matrix products",
    "bmm": "matrix products",
    "_Messages": "edge kernels",
    "_MessagesBackward": "edge kernels",
    "_Marginals": "marginals",
    "_MarginalsBackward": "marginals",
    "elu": "ELU and norm",
    "elu_backward": "ELU and norm",
    "native_batch_norm": "ELU and norm",
    "native_batch_norm_backward": "ELU and norm",
    "index_select": "encoder's pairs",
    "index_add_": "encoder's pairs",
    "Optimizer.step#Adam.step": "Adam",
}


def frames_of(setting: str, batch: int) -> torch.Tensor:
    config = parameters_of(TABLE_1, "spanning_tree", setting, train=batch, validation=1, test=1)
    return make(config, setting, [0]).train.frames


def ours(kind: str, setting: str, rollout: str, width: int, batch: int) -> Callable[[], None]:
    """A step of ours."""
    config, frames = parameters_of(TABLE_1, kind, setting, width=width), frames_of(setting, batch)
    steps = config.rollout_steps[setting] if rollout == "unrolled" else 1
    model = Softmax(config, frames.shape[2], steps, 1.0, torch.Generator().manual_seed(1))
    optimizer, noise = torch.optim.Adam(model.parameters(), 5e-4), torch.Generator().manual_seed(2)

    def step() -> None:
        optimizer.zero_grad()
        model(frames, noise).backward()
        optimizer.step()

    return step


def plain(kind: str, setting: str, rollout: str, width: int, batch: int) -> Callable[[], None]:
    """A step of the plain form."""
    frames = frames_of(setting, batch)
    steps = TABLE_1.config["rollout_steps"][setting] if rollout == "unrolled" else 1
    model = Plain(kind, frames.shape[1], frames.shape[2], width, 1.0)
    optimizer, generator = torch.optim.Adam(model.parameters(), 5e-4), torch.Generator().manual_seed(2)

    def step() -> None:
        n = frames.shape[1]
        shape = (batch, n * (n - 1), 2) if kind == "indep_directed" else (batch, n, n)
        noise = Gumbel(centred=False).sample(shape, generator)
        noise = noise if kind == "indep_directed" else noise.triu(1) + noise.triu(1).mT
        optimizer.zero_grad()
        model.loss(frames, noise, steps).backward()
        optimizer.step()

    return step


def times(case: tuple, seconds: float) -> tuple[float, float]:
    """Median CPU seconds of a step: plain, ours."""
    candidates = []
    for make_step in (plain, ours):
        step = make_step(*case)
        step()  # load and compile
        candidates.append(Candidate(step, time.process_time))
    slow, fast = (Spread.of(turns).median for turns in take_turns(candidates, seconds, 5))
    return slow, fast


def memory(case: tuple, make_step: Callable[..., Callable[[], None]]) -> float:
    """MiB by which a step raises the peak; one of four graphs has loaded the code."""
    make_step(*case[:-1], 4)()
    return peak_growth(make_step(*case))


def shares(case: tuple) -> str:
    """Where our time goes, in percent."""
    step = ours(*case)
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
        for _ in range(3):
            step()
    spent: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        spent[PARTS.get(event.key.removeprefix("aten::"), "rest")] += event.self_cpu_time_total
    total, ordered = sum(spent.values()), sorted(spent.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {100 * part / total:.0f}" for name, part in ordered)


def batched(width: int, trials: int = 2, rows: int = 2880) -> float:
    """The time of a batch of products over that of the products one by one, of as many edges as a block has."""
    x, w, out = torch.randn(trials, rows, width), torch.randn(trials, width, width), torch.empty(trials, rows, width)

    def one_by_one() -> None:
        for r in range(trials):
            torch.mm(x[r], w[r], out=out[r])

    candidates = [Candidate(call, time.process_time) for call in (lambda: torch.bmm(x, w, out=out), one_by_one)]
    together, apart = (Spread.of(turns).median for turns in take_turns(candidates, 1.0, 7))
    return together / apart


def main() -> None:
    """Print one line for each rollout and edge distribution."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each line's times")
    parser.add_argument("--case", help="lines whose names contain this")
    options = parser.parse_args()
    set_threads(1)
    keep_freed_memory()  # as every job does; both sides gain
    print(f"width {options.width}, batch {options.batch}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"two trials' products batched over one by one: {in_child(batched, options.width):.2f}")
    print(f"{'step':<36}{'plain ms':>9}{'ours ms':>8}{'ratio':>7}{'MiB plain/ours':>16}  our time goes to (%)")
    for setting, rollout in CASES:
        for kind in KINDS:
            name = f"{setting} {rollout} {kind}"
            if options.case and options.case not in name:
                continue
            case = (kind, setting, rollout, options.width, options.batch)
            slow, fast = in_child(times, case, options.seconds)
            peaks = "/".join(f"{in_child(memory, case, make_step):.0f}" for make_step in (plain, ours))
            line = f"{name:<36}{1e3 * slow:>9.1f}{1e3 * fast:>8.1f}{slow / fast:>6.1f}x{peaks:>16}"
            print(f"{line}  {in_child(shares, case)}", flush=True)


if __name__ == "__main__":
    main()
