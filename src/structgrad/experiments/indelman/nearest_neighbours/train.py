"""Train one shard of indelman Table 2: replicas that each select among the points of a grid."""

from __future__ import annotations

from structgrad.experiments.indelman.nearest_neighbours.data import make
from structgrad.experiments.indelman.nearest_neighbours.settings import points, resolved
from structgrad.experiments.indelman.nearest_neighbours.trial import NeighboursTrial
from structgrad.training.job import Job, Outcome
from structgrad.training.loop import train as run_loop
from structgrad.training.search import Search

SHARED = ("init", "queries", "candidates")  # by all arms


def train(job: Job) -> Outcome:
    """Train every replica of the job at every point of its grid; test the point that validates best.

    The split, initial weights and batches are shared by all arms and points; the noise is the arm's own.
    """
    config = resolved(job.config, job.setting)
    seeds = {role: job.seeds(role, arm=None) for role in ("data", *SHARED)} | {"noise": job.seeds("noise", job.arm)}
    data = make(job.config, job.setting, seeds["data"][0]).to(job.device)
    grid = points(config["grid"])
    steps = max(1, round(config["epochs"] * len(data.train) / config["queries"]))
    every = max(1, round(config["validate_every"] * len(data.train) / config["queries"]))

    def start(number: int) -> NeighboursTrial:
        replica, point = divmod(number, len(grid))
        own = {role: found[replica] for role, found in seeds.items()}
        return NeighboursTrial(config, data, grid[point], own, job.device)

    search = Search(start, job.count, steps, every, "accuracy", len(grid))
    resumed, before = run_loop(search, job.checkpoint, job.limits, job.show)
    return Outcome(seeds, search.results, search.history, resumed, before)
