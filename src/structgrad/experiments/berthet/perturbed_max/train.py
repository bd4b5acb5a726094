"""Train one shard of berthet Figure 2: some networks of one arm at one epsilon."""

from __future__ import annotations

from structgrad.experiments.berthet.perturbed_max.data import make
from structgrad.experiments.berthet.perturbed_max.hyper_parameters import MaxParameters
from structgrad.experiments.berthet.perturbed_max.trial import MaxTrial
from structgrad.training.epochs import Epochs
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.seeds import of_replica

SHARED = ("data", "init", "shuffle", "evaluation")  # by all arms


def train(job: Job[MaxParameters]) -> Trained:
    """Train every replica of the job: initial weights and batches are shared by all arms, noise is the arm's own."""
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[MaxParameters], seeds: Seeds) -> Epochs:
    """The networks of an arm."""
    config, data = job.config, make(job.config, job.setting, seeds["data"]).to(job.device)

    def start(replica: int) -> MaxTrial:
        return MaxTrial(config, data, of_replica(seeds, replica), job.device)

    steps = -(-len(data.train) // config.batch_size)
    return Epochs(start, job.count, tuple(seeds), config.epochs, steps)
