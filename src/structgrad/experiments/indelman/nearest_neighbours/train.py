"""Train one shard of indelman Table 2: replicas that each select among the points of a grid."""

from __future__ import annotations

from structgrad.experiments.indelman.nearest_neighbours.data import make
from structgrad.experiments.indelman.nearest_neighbours.hyper_parameters import NeighboursParameters
from structgrad.experiments.indelman.nearest_neighbours.settings import points
from structgrad.experiments.indelman.nearest_neighbours.trial import NeighboursTrial
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.search import Search
from structgrad.training.seeds import of_replica
from structgrad.training.trainee import Trainee

SHARED = ("data", "init", "queries", "candidates")  # by all arms


def train(job: Job[NeighboursParameters]) -> Trained:
    """Train every replica of the job at every point of its grid; test the point that validates best.

    The split, initial weights and batches are shared by all arms and points; the noise is the arm's own.
    """
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[NeighboursParameters], seeds: Seeds) -> Trainee:
    """The trials of an arm."""
    config = job.config
    data = make(config, job.setting, seeds["data"]).to(job.device)
    grid = points(config.grid)
    steps = max(1, round(config.epochs * len(data.train) / config.queries))
    every = max(1, round(config.validate_every * len(data.train) / config.queries))

    def start(replica: int, point: int) -> NeighboursTrial:
        return NeighboursTrial(config, data, grid[point], of_replica(seeds, replica), job.device)

    return Search(start, job.count, tuple(seeds), steps, every, "accuracy", len(grid))
