"""The share of a training step of learning to explain that the choice of words takes, arm by arm.

A step is the loss of a batch, the gradient of every weight and Adam. The choice is what
:class:`structgrad.experiments.paulus.learning_to_explain.subsets.Sampler` does of it, forward and backward, timed by
itself at scores of the same shape. Both take turns, on one thread, in CPU seconds. ``paper``: 100 reviews of 350 words
and 200 numbers a word, 100 and 200 filters; ``desktop``: of about 100 words and 50 numbers, 32 and 48 filters. k = 15.

    python benchmarks/bench_learning_to_explain.py                 the table
    python benchmarks/bench_learning_to_explain.py --case corr     arms whose names contain this
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np
import torch
from measure import Candidate, Spread, in_child, take_turns
from parameters import parameters_of

from structgrad.experiments.paulus.learning_to_explain.batches import batch_of
from structgrad.experiments.paulus.learning_to_explain.choosers import Learned
from structgrad.experiments.paulus.learning_to_explain.data import make
from structgrad.experiments.paulus.learning_to_explain.reviews import Corpus, padded
from structgrad.experiments.paulus.learning_to_explain.spec import RELAXATIONS, TABLE_3
from structgrad.experiments.paulus.learning_to_explain.trial import ExplainTrial
from structgrad.parallel import set_threads
from structgrad.training.heap import keep_freed_memory

PLACE, K, SIZE = "synthetic aroma k=15", 15, 100
POINT = {"learning_rate": 1e-3, "weight_decay": 1e-6, "decay": 0.1, "temperature": 0.5}
ROLES = ("init", "shuffle", "noise", "dropout", "evaluation", "search")
FILTERS = {
    "paper": {"scorer_width": 100, "predictor_width": 200},
    "desktop": {"scorer_width": 32, "predictor_width": 48},
}
WORDS, NUMBERS = 350, 200  # of the paper


def corpus_of(sizes: str) -> Corpus:
    """One batch of reviews."""
    if sizes == "desktop":
        return make(parameters_of(TABLE_3, "linear", PLACE, train=SIZE, validation=5, test=5), PLACE, [0])
    draw = np.random.default_rng(0)
    reviews = padded(draw.integers(1, 5000, (SIZE, WORDS)).tolist(), draw.random(SIZE).tolist(), None)
    vectors = draw.standard_normal((5000, NUMBERS)).astype(np.float32)
    return Corpus(reviews, reviews, reviews, reviews, vectors, None)


def times(sizes: str, arm: str, seconds: float) -> list[float]:
    """Median CPU seconds of a step, and of the choice of words in it."""
    boxes = {name: [value, value] for name, value in POINT.items()}
    corpus = corpus_of(sizes)
    config = parameters_of(TABLE_3, arm, PLACE, search=boxes, train=SIZE, **FILTERS[sizes])
    trial = ExplainTrial(config, corpus, dict.fromkeys(ROLES, 1))
    batch = batch_of(corpus.train, np.arange(SIZE), K)
    generator, chooser = torch.Generator().manual_seed(0), trial.explainer.chooser
    assert isinstance(chooser, Learned)
    n = batch.tokens.shape[1]
    words = torch.randn(SIZE, n, generator=generator).requires_grad_()
    pairs = torch.randn(SIZE, n - 1, generator=generator).requires_grad_() if arm.endswith("correlated") else None
    direction = torch.randn(SIZE, n, generator=generator)

    def choice() -> None:
        chooser.sampler(words, pairs, batch.choosable(K), generator, soft=True).backward(direction)

    candidates = []
    for call in (trial.update, choice):
        call()  # load and compile
        candidates.append(Candidate(call, time.process_time))
    return [Spread.of(turns).median for turns in take_turns(candidates, seconds, 5)]


def main() -> None:
    """Print one line for each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each line's times")
    parser.add_argument("--case", default="", help="arms whose names contain this")
    options = parser.parse_args()
    set_threads(1)
    keep_freed_memory()  # as every job does
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'sizes':<9}{'arm':<22}{'step ms':>9}{'choice ms':>11}{'share':>7}")
    for sizes in FILTERS:
        for arm in (f"{model}_{relaxation}" for relaxation in RELAXATIONS for model in ("simple", "complex")):
            if options.case in arm:
                step, choice = (1e3 * each for each in in_child(times, sizes, arm, options.seconds))
                print(f"{sizes:<9}{arm:<22}{step:>9.1f}{choice:>11.1f}{choice / step:>7.0%}", flush=True)


if __name__ == "__main__":
    main()
