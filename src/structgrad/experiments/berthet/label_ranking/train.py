"""Train one shard of berthet Table 1 or 2: some outer folds of one arm on one data set."""

from __future__ import annotations

from structgrad.errors import UserError
from structgrad.experiments.berthet.label_ranking.data import fold, published
from structgrad.experiments.berthet.label_ranking.learner import Learner
from structgrad.experiments.berthet.rankings.objectives import objective
from structgrad.training.job import Job, Outcome
from structgrad.training.loop import train as run_loop


def train(job: Job) -> Outcome:
    """Train every fold of the job, select on its inner folds, score its test fold.

    Folds, shuffles and initial weights are shared by all arms; noise is the arm's own.

    Raises:
        UserError: another device than the CPU; data that is missing or damaged.
    """
    if job.device != "cpu":
        raise UserError(f"label ranking trains on the CPU only, not on {job.device}; set device: cpu in config.yaml")
    data = published(job.config, job.setting)
    seeds = {role: job.seeds(role, arm=None) for role in ("data", "init", "shuffle")}
    seeds["noise"] = job.seeds("noise", arm=job.arm)
    numbers = range(job.first, job.first + job.count)
    folds = [
        fold(len(data.features), cut, number, job.config["inner_folds"])
        for number, cut in zip(numbers, seeds["data"], strict=True)
    ]
    learner = Learner(job.config, data, folds, objective(job.config, data.ranks.shape[1]), seeds)
    resumed, before = run_loop(learner, job.checkpoint, job.limits, job.show)
    return Outcome(seeds, learner.results, learner.history, resumed, before)
