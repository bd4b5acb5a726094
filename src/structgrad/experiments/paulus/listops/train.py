"""Train one shard of paulus Table 2: some trials of an arm's random search, or a parse that is not learned."""

from __future__ import annotations

from structgrad.experiments.paulus.listops.batches import sorted_batches
from structgrad.experiments.paulus.listops.data import Data, make
from structgrad.experiments.paulus.listops.hyper_parameters import ListOpsParameters
from structgrad.experiments.paulus.listops.metrics import Tally, averages, joined, report, tally
from structgrad.experiments.paulus.listops.references import edges_of
from structgrad.experiments.paulus.listops.trial import EVALUATED, ListOpsTrial
from structgrad.training.job import Job, Seeds, Trained
from structgrad.training.results import Result
from structgrad.training.search import Search
from structgrad.training.seeds import generators, of_replica
from structgrad.training.trainee import Trainee, Untrained

SHARED = ("data", "init", "shuffle", "dropout", "evaluation", "search")  # by all arms


def train(job: Job[ListOpsParameters]) -> Trained:
    """Train every trial of the job, or score the parse where the arm is a reference."""
    return job.run(trainee, SHARED, own=("noise",))


def trainee(job: Job[ListOpsParameters], seeds: Seeds) -> Trainee:
    """The trials of an arm, or a reference."""
    config, data = job.config, make(job.config, job.setting, seeds["data"])
    if config.model == "reference":
        return _scored(job.arm, data, seeds)

    def start(replica: int, _: int) -> ListOpsTrial:
        return ListOpsTrial(config, data, of_replica(seeds, replica), job.device)

    return Search(start, job.count, tuple(seeds), config.steps, config.validate_every, "task_accuracy")


def _scored(arm: str, data: Data, seeds: Seeds) -> Untrained:
    tallies = [_tally(arm, data, seed) for seed in seeds["evaluation"]]
    curve = {name: [value] for name, value in averages(tallies[-1]).items()}
    results = [Result(0, "untrained", report(whole)) for whole in tallies]
    history = {"step": [0.0], "active": [float(len(results))], **curve}
    return Untrained(results, history, roles=("data", "evaluation"))


def _tally(arm: str, data: Data, seed: int) -> Tally:
    (generator,) = generators([seed])
    batches = sorted_batches(data.test, EVALUATED)
    return joined(tally(batch, None, edges_of(arm, batch, generator)) for batch in batches)
