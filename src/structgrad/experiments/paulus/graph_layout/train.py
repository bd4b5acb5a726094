"""Train one shard of paulus Table 1: some trials of an arm's random search, or score a reference."""

from __future__ import annotations

from dataclasses import replace

from structgrad.experiments.paulus.graph_layout.data import Data, Graphs, make
from structgrad.experiments.paulus.graph_layout.hyper_parameters import LayoutParameters
from structgrad.experiments.paulus.graph_layout.metrics import averages
from structgrad.experiments.paulus.graph_layout.references import reference
from structgrad.experiments.paulus.graph_layout.trial import LayoutTrial
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.results import Result
from structgrad.training.search import Search, draw
from structgrad.training.seeds import generators, of_replica
from structgrad.training.trainee import Trainee, Untrained

SHARED = ("data", "init", "search", "evaluation")  # by all arms


def train(job: Job[LayoutParameters]) -> Trained:
    """Train every trial of the job.

    Data, initial weights, points of the search and the noise of evaluation are shared by all arms; the noise of
    training is the arm's own.
    """
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[LayoutParameters], seeds: Seeds) -> Trainee:
    """The trials of an arm, or a reference."""
    config, data = job.config, make(job.config, job.setting, seeds["data"])
    if config.estimator == "reference":
        return _scored(job.arm, data, seeds)
    data = on_device(data, job.device)

    def start(replica: int, _: int) -> LayoutTrial:
        own = of_replica(seeds, replica)
        point = draw({name: config.search[name] for name in config.searched}, own["search"])
        return LayoutTrial(config, data, point, own, job.device)

    return Search(start, job.count, tuple(seeds), config.steps, config.validate_every, "elbo")


def on_device(data: Data, device: str) -> Data:
    def moved(graphs: Graphs) -> Graphs:
        return replace(graphs, frames=graphs.frames.to(device))

    return Data(moved(data.train), moved(data.validation), moved(data.test))


def _scored(arm: str, data: Data, seeds: Seeds) -> Untrained:
    reports = [reference(arm, data.test, generator) for generator in generators(seeds["evaluation"])]
    curve = {name: [value] for name, value in averages(reports[0]).items()}
    results = [Result(0, "untrained", metrics) for metrics in reports]
    return Untrained(results, {"step": [0.0], "active": [float(len(results))], **curve})
