"""Train one shard of paulus Table 1: some trials of an arm's random search, or score a reference."""

from __future__ import annotations

from dataclasses import replace

import torch

from structgrad.experiments.paulus.graph_layout.data import Data, Graphs, make
from structgrad.experiments.paulus.graph_layout.metrics import averages
from structgrad.experiments.paulus.graph_layout.references import reference
from structgrad.experiments.paulus.graph_layout.trial import LayoutTrial
from structgrad.training.job import Job, Outcome
from structgrad.training.loop import train as run_loop
from structgrad.training.search import Search, draw


def train(job: Job) -> Outcome:
    """Train every trial of the job.

    Data, initial weights, points of the search and the noise of evaluation are shared by all arms; the noise of
    training is the arm's own.
    """
    config = job.config
    seeds = {role: job.seeds(role, arm=None) for role in ("data", "init", "search", "evaluation")}
    data = make(config, job.setting, seeds["data"][0])
    if config["estimator"] == "reference":
        generators = [torch.Generator().manual_seed(seed) for seed in seeds["evaluation"]]
        scored = [reference(job.arm, data.test, generator) for generator in generators]
        results = [{"steps": 0, "stopped": "untrained", "metrics": metrics, "final": {}} for metrics in scored]
        curve = {name: [value] for name, value in averages(scored[0]).items()}
        return Outcome({"data": seeds["data"]}, results, {"step": [0.0], "active": [float(job.count)], **curve})
    seeds["noise"] = job.seeds("noise", arm=job.arm)
    data = on_device(data, job.device)

    def start(number: int) -> LayoutTrial:
        point = draw({name: config["search"][name] for name in config["searched"]}, seeds["search"][number])
        return LayoutTrial(config, data, point, {role: found[number] for role, found in seeds.items()}, job.device)

    search = Search(start, job.count, config["steps"], config["validate_every"], "elbo")
    resumed, before = run_loop(search, job.checkpoint, job.limits, job.show)
    return Outcome(seeds, search.results, search.history, resumed, before)


def on_device(data: Data, device: str) -> Data:
    def moved(graphs: Graphs) -> Graphs:
        return replace(graphs, frames=graphs.frames.to(device))

    return Data(moved(data.train), moved(data.validation), moved(data.test))
