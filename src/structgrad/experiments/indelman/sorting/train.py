"""Train one shard of indelman Table 1a or 1b."""

from __future__ import annotations

from typing import Any

import torch

from structgrad.experiments.indelman.sorting.data import Data, make
from structgrad.experiments.indelman.sorting.direct import DirectLearner
from structgrad.experiments.indelman.sorting.learner import Learner, metrics
from structgrad.experiments.indelman.sorting.sinkhorn import SinkhornLearner
from structgrad.training.job import Job, Outcome
from structgrad.training.loop import train as run_loop

LEARNERS: dict[str, type[Learner]] = {
    "direct": DirectLearner,
    "direct_stochastic": DirectLearner,
    "fixed_sigma": DirectLearner,
    "gumbel_sinkhorn": SinkhornLearner,
    "gumbel_sinkhorn_fixed": SinkhornLearner,
}


def train(job: Job) -> Outcome:
    """Train every replica of the job and evaluate each when it stops."""
    seeds = {role: job.seeds(role, arm=None) for role in ("data", "init", "init_sigma")}
    seeds |= {role: job.seeds(role, arm=job.arm) for role in ("noise", "fresh")}
    data = make(job.config, job.setting, seeds["data"])
    if job.arm == "no_solver":
        return Outcome({"data": seeds["data"]}, _sort_directly(data), {})
    learner = LEARNERS[job.arm](job.config, data, seeds, job.device)
    resumed, before = run_loop(learner, job.checkpoint, job.limits, job.show)
    used = {role: seeds[role] for role in ("data", "init", "init_sigma", *learner.noise_roles)}
    results = [learner.results[replica] for replica in range(len(data.train.x))]
    return Outcome(used, results, _thin(learner.history), resumed, before)


def _sort_directly(data: Data) -> list[dict[str, Any]]:
    """The reference that learns nothing: place each number by its rank among the others."""
    results = []
    for test, extra in zip(_misplaced(data.test), _misplaced(data.extra), strict=True):
        results.append(
            {
                "epochs": 0,
                "stopped": "untrained",
                "metrics": metrics(test, extra, data.train.x.shape[-1]),
                "final": {},
            }
        )
    return results


def _misplaced(part: Any) -> torch.Tensor:
    ranks = (part.x.unsqueeze(-1) < part.x.unsqueeze(-2)).sum(-1)  # how many are larger: descending
    return (ranks != part.order.argsort(-1)).sum(-1)


def _thin(history: dict[str, list[float]], points: int = 100) -> dict[str, list[float]]:
    """At most so many points of each curve, evenly spaced, the last one always."""
    count = len(history["epoch"])
    chosen = sorted({round(i * (count - 1) / (points - 1)) for i in range(points)}) if count > points else range(count)
    return {key: [float(f"{values[i]:.6g}") for i in chosen] for key, values in history.items()}
