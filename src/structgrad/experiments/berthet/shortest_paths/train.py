"""Train one shard of berthet Figure 6: some networks of one arm."""

from __future__ import annotations

from structgrad.data.maps import cheapest
from structgrad.experiments.berthet.shortest_paths.data import Data, make
from structgrad.experiments.berthet.shortest_paths.hyper_parameters import PathParameters
from structgrad.experiments.berthet.shortest_paths.scores import scores
from structgrad.experiments.berthet.shortest_paths.trial import PathTrial
from structgrad.training.epochs import Epochs
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.results import Result
from structgrad.training.seeds import of_replica
from structgrad.training.trainee import Trainee, Untrained

SHARED = ("data", "init", "shuffle")  # by all arms


def train(job: Job[PathParameters]) -> Trained:
    """Train every replica of the job, or solve with the true costs where the arm is the reference.

    Maps, initial weights and batches are shared by all arms; the noise is the arm's own.
    """
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[PathParameters], seeds: Seeds) -> Trainee:
    """The networks of an arm, or the reference."""
    config, data = job.config, make(job.config, job.setting, seeds["data"])
    if config.loss == "reference":
        return reference(data, job.count)
    data = data.to(job.device)

    def start(replica: int) -> PathTrial:
        return PathTrial(config, data, of_replica(seeds, replica), job.device)

    steps = -(-len(data.train) // config.batch_size)
    return Epochs(start, job.count, tuple(seeds), config.epochs, steps)


def reference(data: Data, count: int) -> Untrained:
    """Cheapest paths by the true costs: what no predicted costs can better."""
    reports = scores(cheapest(data.test.costs), data.test).report(solved=True)
    history = {name: [report.value] for name, report in reports.items()}
    results = [Result(0, "untrained", reports)] * count
    return Untrained(results, {"epoch": [0.0], "active": [float(count)], **history})
