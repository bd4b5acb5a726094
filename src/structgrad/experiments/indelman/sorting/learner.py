"""What all learning arms share: the scores' network and its Adam, patience, evaluation, state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import fsum
from typing import Any

import torch
from torch import Tensor

from structgrad.experiments.indelman.sorting.data import Data, Sequences
from structgrad.experiments.indelman.sorting.model import MeanScores
from structgrad.parallel import map_blocks
from structgrad.polytopes.matching import Matching
from structgrad.portable import mean
from structgrad.training.adam import Adam
from structgrad.training.patience import Patience
from structgrad.training.seeds import generators


class Learner(ABC):
    """R replicas of one arm; a :class:`structgrad.training.loop.Trainee`.

    The weights that are evaluated are the last ones, whatever stopped the training (the authors' code).
    """

    noise_roles: tuple[str, ...] = ()

    def __init__(self, config: dict[str, Any], data: Data, seeds: dict[str, list[int]], device: str = "cpu") -> None:
        self.config, self.data, self.device = config, data.to(device), device
        self.d = data.train.x.shape[-1]
        self.matching = Matching(self.d)
        self.replicas = torch.arange(len(data.train.x))
        self.mean = MeanScores(self.d, config["hidden"], generators(seeds["init"]), device)
        self.adam = Adam([self.mean.parameters], [config["learning_rate"]])
        self.patience = Patience(len(self.replicas), config["patience"])
        self.noise = {role: generators(seeds[role], device) for role in self.noise_roles}
        self.epoch = 0
        self.results: dict[int, dict[str, Any]] = {}
        self.history: dict[str, list[float]] = {"epoch": [], "active": [], "loss": []}

    @abstractmethod
    def update(self) -> Tensor:
        """One optimiser step on every replica; the monitored loss (R,) float64 before it."""

    def final(self) -> dict[str, Tensor]:
        """Numbers (R,) to record when a replica is done."""
        return {}

    def step(self) -> tuple[Tensor, dict[str, float]]:
        loss = self.update().cpu()
        self.epoch += 1
        stopped = self.patience.update(loss)
        numbers = {"loss": mean(loss)} | {k: mean(v) for k, v in self.final().items()}
        for key, value in {"epoch": self.epoch, "active": self.active(), **numbers}.items():
            self.history.setdefault(key, []).append(value)
        return stopped | (self.epoch >= self.config["max_epochs"]), numbers

    def active(self) -> int:
        return len(self.replicas)

    def finish(self, done: Tensor) -> None:
        final = {key: value[done].tolist() for key, value in self.final().items()}
        waited = self.patience.waited[done].tolist()
        wrong = [self._wrong(part, done).cpu() for part in (self.data.test, self.data.extra)]
        for i, replica in enumerate(self.replicas[done].tolist()):
            out_of_patience = self.config["patience"] is not None and waited[i] >= self.config["patience"]
            self.results[replica] = {
                "epochs": self.epoch,
                "stopped": "patience" if out_of_patience else "max_epochs",
                "metrics": metrics(wrong[0][i], wrong[1][i], self.d),
                "final": {key: values[i] for key, values in final.items()},
            }
        self.keep(~done)

    def keep(self, mask: Tensor) -> None:
        """Drop finished replicas from every tensor, so that they cost nothing."""
        self.replicas = self.replicas[mask]
        self.data = self.data[mask]
        self.adam.keep(mask)
        self.patience.keep(mask)
        kept = mask.nonzero().flatten().tolist()
        self.noise = {role: [gs[i] for i in kept] for role, gs in self.noise.items()}

    def _wrong(self, part: Sequences, done: Tensor) -> Tensor:
        """Misplaced elements of each sequence ``(replicas done, sequences)`` by the argmax of mu, without noise."""
        chosen = part[done]
        parameters = self.mean.parameters.select(done)

        @torch.no_grad()
        def misplaced(rows: slice) -> Tensor:
            columns = self.matching.columns(self.mean(chosen.x[rows], parameters.select(rows)))
            return (columns != chosen.order[rows].argsort(-1)).sum(-1)

        return torch.cat(map_blocks(misplaced, len(chosen.x), 1))

    def state(self) -> dict[str, Any]:
        return {
            "replicas": self.replicas,
            "adam": self.adam.state(),
            "best": self.patience.best,
            "waited": self.patience.waited,
            "noise": {role: [g.get_state() for g in gs] for role, gs in self.noise.items()},
            "epoch": self.epoch,
            "results": self.results,
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        mask = torch.isin(self.replicas, state["replicas"])
        self.keep(mask)
        self.adam.restore(state["adam"])
        self.patience.best, self.patience.waited = state["best"], state["waited"]
        for role, states in state["noise"].items():
            for generator, saved in zip(self.noise[role], states, strict=True):
                generator.set_state(saved)
        self.epoch, self.results, self.history = state["epoch"], state["results"], state["history"]


def metrics(wrong: Tensor, wrong_extra: Tensor, d: int) -> dict[str, dict[str, float]]:
    """One replica's metrics from the misplaced elements of each test sequence (docs/protocols/indelman.md, 2.6)."""
    found = {}
    for suffix, counts in (("", wrong), ("_100", wrong_extra)):
        share = counts.double() / d
        found[f"percent_sequences_perfect{suffix}"] = {
            "successes": int((counts == 0).sum()),
            "trials": len(counts),
        }
        found[f"prop_wrong_mean{suffix}"] = {
            "sum": fsum(share.tolist()),
            "sum_squares": fsum((share**2).tolist()),
            "count": len(counts),
        }
    return found
