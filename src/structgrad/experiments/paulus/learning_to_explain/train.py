"""Train one shard of paulus Table 3: some trials of an arm's random search, or a linear model on counts of words."""

from __future__ import annotations

from structgrad.experiments.paulus.learning_to_explain import linear
from structgrad.experiments.paulus.learning_to_explain.data import make
from structgrad.experiments.paulus.learning_to_explain.hyper_parameters import ExplainParameters
from structgrad.experiments.paulus.learning_to_explain.trial import ExplainTrial
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.results import Result
from structgrad.training.search import Search
from structgrad.training.seeds import of_replica
from structgrad.training.trainee import Trainee, Untrained

SHARED = ("data", "init", "shuffle", "dropout", "evaluation", "search")  # by all arms


def train(job: Job[ExplainParameters]) -> Trained:
    """Train every trial of the job, or fit the linear model."""
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[ExplainParameters], seeds: Seeds) -> Trainee:
    """The trials of an arm, or what needs no search."""
    config, corpus = job.config, make(job.config, job.setting, seeds["data"])
    if config.model == "linear":
        error = linear.error(corpus)
        history = {"step": [0.0], "active": [1.0], "mse_x100": [error.value]}
        return Untrained([Result(0, "untrained", {"mse_x100": error})] * job.count, history)

    def start(replica: int, _: int) -> ExplainTrial:
        return ExplainTrial(config, corpus, of_replica(seeds, replica), job.device)

    return Search(start, job.count, tuple(seeds), config.steps, config.validate_every, "minus_mse")
