"""Time and memory of a training step on ListOps expressions: ours against the plain form, in one run.

Both take the same steps (``tests/reference/test_listops_against_plain.py``): batches of 100 expressions up to depth 5
and length 50, the loss, the gradient of every weight, AdamW. Ours runs all LSTMs side by side, compiled between their
products, and all rounds of messages as one node of autograd each; it takes trees' marginals and their derivatives from
compiled kernels, on a parse only the symbols that are heard in time, and puts expressions of about the same length in a
batch; the plain form (``plain_listops.py``) does none of that. In the column ``batches`` the plain form gets our
batches, in ``plain`` those of a random order. ``two`` is what a step on twice the batch takes over two steps: what two
trials in one batched model could save at most, if their batches were as long as each other. Times are CPU seconds of
one thread for an epoch of ten batches, over ten, all in turns; memory is the growth of the peak of the resident set in
an epoch.

    python benchmarks/bench_listops.py                 the table
    python benchmarks/bench_listops.py --case tree     arms whose names contain this
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from bench_label_ranking import own_time
from measure import Candidate, Spread, in_child, peak_growth, take_turns
from parameters import parameters_of
from plain_listops import plain as plain_network

from structgrad.experiments.paulus.listops import trial as trials
from structgrad.experiments.paulus.listops.batches import Shuffle, batch_of
from structgrad.experiments.paulus.listops.data import Data, make
from structgrad.experiments.paulus.listops.edges import NOISES, Sampler
from structgrad.experiments.paulus.listops.lstm import _Compiled
from structgrad.experiments.paulus.listops.rounds import _Rounds
from structgrad.experiments.paulus.listops.spec import TABLE_2
from structgrad.noise import Gumbel, Logistic
from structgrad.parallel import set_threads
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.matrix_tree import MatrixTree
from structgrad.training.heap import keep_freed_memory

ARMS = ("lstm", "ground_truth", "indep_directed", "spanning_tree", "arborescence_gumbel")
POINT = {"learning_rate": 1e-3, "weight_decay": 1e-6, "temperature": 1.0}
SIZE, STEPS = TABLE_2.config["batch_size"], TABLE_2.config["pool"]  # an epoch is one pool
SIZES = {"train": SIZE * STEPS, "validation": 5, "test": 5}
ROLES = ("init", "shuffle", "noise", "dropout", "evaluation", "search")
PARTS: tuple[tuple[str, Any, str], ...] = (  # what is timed, without what is timed inside; all else is the rest
    ("LSTMs forward", _Compiled, "forward"),
    ("LSTMs backward", _Compiled, "backward"),
    ("messages forward", _Rounds, "forward"),
    ("messages backward", _Rounds, "backward"),
    ("noise", Gumbel, "sample"),
    ("noise", Logistic, "sample"),
    ("marginals", MatrixTree, "_kernel_marginals"),
    ("marginals", MatrixTree, "_kernel_product"),
    ("marginals", Hypercube, "_kernel_marginals"),
    ("marginals", Hypercube, "_kernel_product"),
    ("rest of edges", Sampler, "__call__"),
    ("other backward", torch.Tensor, "backward"),
    ("AdamW", torch.optim.AdamW, "step"),
    ("batches", trials, "batch_of"),
    ("batches", Shuffle, "next"),
)


def data_of(expressions: int = SIZES["train"]) -> Data:
    whole = make(parameters_of(TABLE_2, "lstm", "ListOps", **SIZES), "ListOps", [0])
    return Data(whole.train[:expressions], whole.validation, whole.test)


def ours(arm: str, data: Data, at_once: int = 1) -> Callable[[], None]:
    """An epoch of ours, in steps on so many batches at once."""
    boxes = {name: [value, value] for name, value in POINT.items()}
    sizes = {"batch_size": SIZE * at_once, "pool": STEPS // at_once}
    config = parameters_of(TABLE_2, arm, "ListOps", search=boxes, **sizes)
    trial = trials.ListOpsTrial(config, data, dict.fromkeys(ROLES, 1))

    def epoch() -> None:
        for _ in range(-(-len(data.train) // (SIZE * at_once))):
            trial.update()

    return epoch


def plain(arm: str, data: Data, pooled: bool = False) -> Callable[[], None]:
    """An epoch of the plain form."""
    config, draws = parameters_of(TABLE_2, arm, "ListOps"), torch.Generator().manual_seed(1)
    network = plain_network(arm, config.width, config.rounds, POINT["temperature"])
    optimizer = torch.optim.AdamW(network.parameters(), POINT["learning_rate"], weight_decay=POINT["weight_decay"])
    order = Shuffle(data.train.lengths, SIZE, STEPS if pooled else 1, draws)
    noise, kept = NOISES.get(config.noise), 1 - config.dropout

    def epoch() -> None:
        for _ in range(-(-len(data.train) // SIZE)):
            batch = batch_of(data.train, order.next())
            rows, n = batch.tokens.shape
            z = None if noise is None else noise.sample((rows, n, n), draws)
            if z is not None and arm == "spanning_tree":
                z = z.triu(1) + z.triu(1).mT
            factors = torch.ones(rows, 1, config.width).bernoulli_(kept, generator=draws) / kept
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(batch, z, factors), batch.values).backward()
            optimizer.step()

    return epoch


FORMS = (
    plain, lambda arm, data: plain(arm, data, pooled=True), ours, lambda arm, data: ours(arm, data, at_once=2)
)  # fmt: skip


def times(arm: str, seconds: float) -> list[float]:
    """Median CPU seconds of a step: plain, plain in our batches, ours, ours on two batches at once."""
    candidates = []
    for form in FORMS:
        epoch = form(arm, data_of())
        epoch()  # load and compile
        candidates.append(Candidate(epoch, time.process_time))
    return [Spread.of(turns).median / STEPS for turns in take_turns(candidates, seconds, 5)]


def memory(arm: str, form: Callable[[str, Data], Callable[[], None]]) -> float:
    """MiB by which an epoch raises the peak; a step on four expressions has loaded the code."""
    form(arm, data_of(4))()
    return peak_growth(form(arm, data_of()))


def shares(arm: str) -> str:
    """Where our time goes, in percent."""
    epoch = ours(arm, data_of())
    epoch()
    spent: dict[str, float] = defaultdict(float)
    inside: list[float] = []
    with ExitStack() as stack:
        for part in PARTS:
            stack.enter_context(own_time(spent, inside, *part))
        start = time.process_time()
        for _ in range(3):
            epoch()
        total = time.process_time() - start
    spent["rest"] = total - sum(spent.values())
    return ", ".join(
        f"{name} {100 * part / total:.0f}" for name, part in sorted(spent.items(), key=lambda part: -part[1])
    )


def main() -> None:
    """Print one line for each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each line's times")
    parser.add_argument("--case", default="", help="arms whose names contain this")
    options = parser.parse_args()
    set_threads(1)
    keep_freed_memory()  # as every job does; all sides gain
    lengths = data_of().train.lengths
    print(f"mean length {lengths.mean():.1f}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    columns = f"{'plain ms':>9}{'batches':>8}{'ours ms':>8}{'ratio':>7}{'two':>6}{'MiB plain/ours':>16}"
    print(f"{'arm':<22}{columns}  our time goes to (%)")
    for arm in ARMS:
        if options.case not in arm:
            continue
        slow, sorted_by_length, fast, two = (1e3 * each for each in in_child(times, arm, options.seconds))
        peaks = "/".join(f"{in_child(memory, arm, form):.1f}" for form in (plain, ours))
        line = f"{arm:<22}{slow:>9.1f}{sorted_by_length:>8.1f}{fast:>8.1f}{slow / fast:>6.1f}x{two / fast:>6.2f}"
        print(f"{line}{peaks:>16}  {in_child(shares, arm)}", flush=True)


if __name__ == "__main__":
    main()
