"""Train one shard of indelman Table 1a or 1b."""

from __future__ import annotations

import torch

from structgrad.experiments.indelman.sorting.data import Data, Sequences, make
from structgrad.experiments.indelman.sorting.direct import DirectSorters
from structgrad.experiments.indelman.sorting.hyper_parameters import SortingParameters
from structgrad.experiments.indelman.sorting.sinkhorn import SinkhornSorters
from structgrad.experiments.indelman.sorting.sorters import Sorters, metrics
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.results import Result
from structgrad.training.trainee import Trainee, Untrained

METHODS: dict[str, type[Sorters]] = {"direct": DirectSorters, "gumbel_sinkhorn": SinkhornSorters}


def train(job: Job[SortingParameters]) -> Trained:
    """Train every replica of the job and evaluate each when it stops."""
    return job.run(trainee, shared=("data", "init", "init_sigma"), own=("noise", "fresh"))


def trainee(job: Job[SortingParameters], seeds: Seeds) -> Trainee:
    """The replicas of an arm; the reference sorts at once."""
    data = make(job.config, job.setting, seeds["data"])
    if job.config.method == "no_solver":
        return Untrained(_sort_directly(data), {})
    return METHODS[job.config.method](job.config, data, seeds, job.device)


def _sort_directly(data: Data) -> list[Result]:
    """The reference that learns nothing: place each number by its rank among the others."""
    d = data.train.x.shape[-1]
    wrong = zip(_misplaced(data.test), _misplaced(data.extra), strict=True)
    return [Result(0, "untrained", metrics(test, extra, d)) for test, extra in wrong]


def _misplaced(part: Sequences) -> torch.Tensor:
    ranks = (part.x.unsqueeze(-1) < part.x.unsqueeze(-2)).sum(-1)  # how many are larger: descending
    return (ranks != part.order.argsort(-1)).sum(-1)
