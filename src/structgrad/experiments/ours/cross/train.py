"""Train one shard of the comparison: the trials of a method on a task, or what learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from structgrad.errors import UserError
from structgrad.experiments.ours.cross.data import Data, make
from structgrad.experiments.ours.cross.hyper_parameters import CrossParameters
from structgrad.experiments.ours.cross.neighbours import Neighbours
from structgrad.experiments.ours.cross.paths import Paths
from structgrad.experiments.ours.cross.rank import Rank
from structgrad.experiments.ours.cross.references import reference
from structgrad.experiments.ours.cross.sort import Sort
from structgrad.experiments.ours.cross.task import Task
from structgrad.experiments.ours.cross.trials import Trials
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.trainee import Trainee

TASKS: Mapping[str, Callable[[Data, int], Task]] = {
    "sort": Sort, "rank": Rank, "paths": Paths, "neighbours": Neighbours,
}  # fmt: skip
SHARED = ("data", "init", "shuffle", "search", "evaluation")  # by all arms


def train(job: Job[CrossParameters]) -> Trained:
    """Train every trial of the job, or judge a reference.

    Raises:
        UserError: another device than the CPU; data that is missing or damaged; a budget that is no number of steps;
            a polytope without a relaxation.
    """
    if job.device != "cpu":
        raise UserError(f"cross trains on the CPU only, not on {job.device}; set device: cpu in config.yaml")
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[CrossParameters], seeds: Seeds) -> Trainee:
    """The trials of an arm, or a reference."""
    config = job.config
    task = task_of(config, job.setting, make(config, job.setting, seeds["data"]))
    if config.method == "stochastic_softmax" and task.regularizer is None:
        raise UserError(f"stochastic_softmax: there is no relaxation for {job.setting!r}; leave this arm out there")
    return reference(job.arm, task, seeds) if config.method is None else Trials(config, task, seeds)


def task_of(config: CrossParameters, setting: str, data: Data) -> Task:
    """The task of a setting on its data."""
    return TASKS[setting.split()[0]](data, config.hidden)
