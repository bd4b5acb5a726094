"""Train one shard of the artificial rankings: some data sets of one arm at one noise level."""

from __future__ import annotations

from functools import reduce

import torch

from structgrad.errors import UserError
from structgrad.experiments.berthet.artificial_rankings.data import Data, linear_scores, make
from structgrad.experiments.berthet.artificial_rankings.hyper_parameters import ArtificialParameters
from structgrad.experiments.berthet.artificial_rankings.rankers import ArtificialRankers
from structgrad.experiments.berthet.artificial_rankings.scores import METRICS, averages, report, right_labels
from structgrad.experiments.berthet.rankings.losses import LOSSES
from structgrad.portable import norm
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.results import Result
from structgrad.training.trainee import Trainee, Untrained


def train(job: Job[ArtificialParameters]) -> Trained:
    """Train every data set of the job, or score its true weights where the arm is the reference.

    Data, shuffles and initial weights are shared by all arms; noise is the arm's own.

    Raises:
        UserError: another device than the CPU.
    """
    if job.device != "cpu":
        raise UserError(
            f"artificial rankings train on the CPU only, not on {job.device}; set device: cpu in config.yaml"
        )
    return job.run(trainee, shared=("data", "init", "shuffle"), own=("noise",))


def trainee(job: Job[ArtificialParameters], seeds: Seeds) -> Trainee:
    """The data sets of an arm."""
    config, data = job.config, make(job.config, job.setting, seeds["data"])
    if config.loss == "reference":
        return reference(data)
    return ArtificialRankers(config, data, LOSSES[config.loss](config, config.labels), seeds)


def reference(data: Data) -> Untrained:
    """``w0`` itself, the Bayes predictor of the most probable ranking."""
    labels, test = data.w0.shape[-1], data.test
    rights = [
        right_labels(linear_scores(x, w0), clean, noisy)
        for x, w0, clean, noisy in zip(test.x, data.w0, test.clean, test.noisy, strict=True)
    ]
    results = [
        Result(0, "untrained", report(right, labels), {"weight_norm": norm(w0)})
        for right, w0 in zip(rights, data.w0, strict=True)
    ]
    mean = (reduce(torch.add, [averages(right, labels) for right in rights]) / len(rights)).tolist()
    curve = {name: [value] for name, value in zip(METRICS, mean, strict=True)}
    return Untrained(results, {"epoch": [0.0], "active": [float(len(rights))], **curve})
