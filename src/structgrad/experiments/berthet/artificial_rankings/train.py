"""Train one shard of the artificial rankings: some data sets of one arm at one noise level."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from structgrad.errors import UserError
from structgrad.experiments.berthet.artificial_rankings.data import Data, linear_scores, make
from structgrad.experiments.berthet.artificial_rankings.learner import Learner
from structgrad.experiments.berthet.artificial_rankings.scores import METRICS, averages, report, right_labels
from structgrad.experiments.berthet.rankings.objectives import objective
from structgrad.portable import norm
from structgrad.training.job import Job, Outcome
from structgrad.training.loop import train as run_loop


def train(job: Job) -> Outcome:
    """Train every data set of the job, or score its true weights where the arm is the reference.

    Data, shuffles and initial weights are shared by all arms; noise is the arm's own.

    Raises:
        UserError: another device than the CPU.
    """
    if job.device != "cpu":
        raise UserError(
            f"artificial rankings train on the CPU only, not on {job.device}; set device: cpu in config.yaml"
        )
    seeds = {role: job.seeds(role, arm=None) for role in ("data", "init", "shuffle")}
    data = make(job.config, job.setting, seeds["data"])
    if job.config["loss"] == "reference":
        return Outcome({"data": seeds["data"]}, *reference(data))
    seeds["noise"] = job.seeds("noise", arm=job.arm)
    learner = Learner(job.config, data, objective(job.config, job.config["labels"]), seeds)
    resumed, before = run_loop(learner, job.checkpoint, job.limits, job.show)
    return Outcome(seeds, learner.results, learner.history, resumed, before)


def reference(data: Data) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """Results and history of ``w0`` itself, the Bayes predictor of the most probable ranking."""
    labels, test = data.w0.shape[-1], data.test
    rights: list[Tensor] = [
        right_labels(linear_scores(x, w0), clean, noisy)
        for x, w0, clean, noisy in zip(test.x, data.w0, test.clean, test.noisy, strict=True)
    ]
    results = [
        {
            "epochs": 0,
            "stopped": "untrained",
            "metrics": report(right, labels),
            "final": {"weight_norm": norm(w0)},
        }
        for right, w0 in zip(rights, data.w0, strict=True)
    ]
    mean = (reduce(torch.add, [averages(right, labels) for right in rights]) / len(rights)).tolist()
    curve = {name: [value] for name, value in zip(METRICS, mean, strict=True)}
    return results, {"epoch": [0.0], "active": [float(len(rights))], **curve}
