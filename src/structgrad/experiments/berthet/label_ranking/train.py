"""Train one shard of berthet Table 1 or 2: some outer folds of one arm on one data set."""

from __future__ import annotations

from structgrad.errors import UserError
from structgrad.experiments.berthet.label_ranking.data import OUTER_FOLDS, fold, published
from structgrad.experiments.berthet.label_ranking.hyper_parameters import LabelRankingParameters
from structgrad.experiments.berthet.label_ranking.rankers import FoldRankers
from structgrad.experiments.berthet.rankings.losses import LOSSES
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.trainee import Trainee


def train(job: Job[LabelRankingParameters]) -> Trained:
    """Train every fold of the job, select on its inner folds, score its test fold.

    Folds, shuffles and initial weights are shared by all arms; noise is the arm's own.

    Raises:
        UserError: another device than the CPU; data that is missing or damaged.
    """
    if job.device != "cpu":
        raise UserError(f"label ranking trains on the CPU only, not on {job.device}; set device: cpu in config.yaml")
    return job.run(trainee, shared=("data", "init", "shuffle"), own=("noise",))


def trainee(job: Job[LabelRankingParameters], seeds: Seeds) -> Trainee:
    """The folds of an arm, of one partition or of several."""
    config, data = job.config, published(job.config, job.setting)
    numbers = (replica % OUTER_FOLDS for replica in range(job.first, job.first + job.count))
    cuts = zip(numbers, seeds["data"], strict=True)
    folds = [fold(len(data.features), cut, number, config.inner_folds) for number, cut in cuts]
    return FoldRankers(config, data, folds, LOSSES[config.loss](config, data.ranks.shape[1]), seeds)
