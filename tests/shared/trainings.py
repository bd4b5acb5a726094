"""Small trainings of the experiments: an arm's hyper-parameters with some changed, a job of them, what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from structgrad.experiments import Experiment
from structgrad.repro.planning.hyper_parameters import read
from structgrad.training.checkpoint import Checkpoint
from structgrad.training.job import Job
from structgrad.training.loop import Limits
from structgrad.training.results import Mean, Proportion, Report


def silent(steps: int, active: int, numbers: Mapping[str, float]) -> None:
    """Show nothing."""


def parameters(experiment: Experiment, arm: str, setting: str, changes: Mapping[str, Any]) -> Any:
    """The typed hyper-parameters of an arm at a setting, as a plan reads them."""
    return read(experiment, {**experiment.config_of(arm), **changes}, setting)


def job_of(
    experiment: Experiment,
    arm: str,
    setting: str,
    folder: Path,
    changes: Mapping[str, Any],
    first: int = 0,
    count: int = 2,
    budget: float | None = None,
    show: Callable[[int, int, dict[str, float]], None] = silent,
    device: str = "cpu",
) -> Job[Any]:
    """Replicas of an arm as a plan's job has them; the checkpoint lies in the folder."""
    config, checkpoint = parameters(experiment, arm, setting, changes), Checkpoint(folder / "checkpoint.pt", "key")
    return Job(
        experiment.seed_name, setting, arm, first, count, config, checkpoint, Limits(1e9, budget), show, device,
        experiment.per_data_set,
    )  # fmt: skip


def gradient(tensor: Tensor) -> Tensor:
    """That of a tensor which has one."""
    assert tensor.grad is not None
    return tensor.grad


def mean(report: Report) -> Mean:
    """The report itself, which is a mean."""
    assert isinstance(report, Mean)
    return report


def proportion(report: Report) -> Proportion:
    """The report itself, which is a proportion."""
    assert isinstance(report, Proportion)
    return report
