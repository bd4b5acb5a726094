"""Run one arm: its trials one after the other, or a parse that is not learned."""

from __future__ import annotations

from typing import Any

from structgrad.experiments.paulus.listops.batches import sorted_batches
from structgrad.experiments.paulus.listops.data import Data, make
from structgrad.experiments.paulus.listops.metrics import averages, joined, report, tally
from structgrad.experiments.paulus.listops.references import edges_of
from structgrad.experiments.paulus.listops.trial import EVALUATED, ListOpsTrial
from structgrad.training.job import Job, Outcome
from structgrad.training.loop import train as run_loop
from structgrad.training.search import Search
from structgrad.training.seeds import generators

SHARED = ("init", "shuffle", "dropout", "evaluation", "search")  # by all arms


def train(job: Job) -> Outcome:
    """Train every trial of the job, or score the parse where the arm is a reference."""
    data = make(job.config, job.seeds("data", arm=None))
    if job.config["model"] == "reference":
        return _reference(job, data)
    seeds = {role: job.seeds(role, arm=None) for role in SHARED} | {"noise": job.seeds("noise", arm=job.arm)}

    def start(trial: int) -> ListOpsTrial:
        own = {role: each[trial] for role, each in seeds.items()}
        return ListOpsTrial(job.config, data, own, job.device)

    search = Search(start, job.count, job.config["steps"], job.config["validate_every"], "task_accuracy")
    resumed, before = run_loop(search, job.checkpoint, job.limits, job.show)
    seeds["data"] = job.seeds("data", arm=None)
    return Outcome(seeds, search.results, search.history, resumed, before)


def _reference(job: Job, data: Data) -> Outcome:
    seeds = {"data": job.seeds("data", arm=None), "evaluation": job.seeds("evaluation", arm=None)}
    results: list[dict[str, Any]] = []
    curve: dict[str, list[float]] = {}
    for generator in generators(seeds["evaluation"]):
        found = joined(
            tally(batch, None, edges_of(job.arm, batch, generator)) for batch in sorted_batches(data.test, EVALUATED)
        )
        results.append({"steps": 0, "stopped": "untrained", "metrics": report(found), "final": {}})
        curve = {name: [value] for name, value in averages(found).items()}
    return Outcome(seeds, results, {"step": [0.0], "active": [float(len(results))], **curve})
