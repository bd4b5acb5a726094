"""A replica's numbers are the same, to the bit, whatever trains beside it and on however many threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from importlib import import_module
from typing import Any

import pytest
import torch
from trainings import job_of

from structgrad.experiments import REGISTRY
from structgrad.parallel import set_threads
from structgrad.repro.planning.resolve import trainer
from structgrad.training.epochs import Epochs
from structgrad.training.search import Search


@dataclass(frozen=True)
class Small:
    """What an experiment is cut to: all of its arms in seconds, of several replicas and, where it has them, blocks.

    ``arms`` overrides ``config`` for some arms, ``blocks`` the module's constant of that name.
    """

    setting: str
    count: int
    slices: tuple[tuple[int, int], ...]  # first and count, to be trained alone
    config: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    blocks: Mapping[str, int] = field(default_factory=dict)


ONE_BY_ONE = Search, Epochs  # what trains one replica after the other
SEVEN = 7, ((0, 1), (3, 1), (6, 1), (2, 3))
THREE = 3, ((0, 1), (2, 1), (1, 1))
ONE_POINT = {"learning_rate": [1e-3]}
EPSILON, TEMPERATURE = {"epsilon": [-0.2]}, {"temperature": [4.0]}
SINKHORN = ("gumbel_sinkhorn", "gumbel_sinkhorn_fixed")
NO_PATIENCE = {arm: {"patience": None, "max_epochs": 30} for arm in SINKHORN}
LABELS = {"source": "stand_in", "epochs": 1, "inner_folds": 2, "samples": 4, "memory_mb": 0.05}
IMAGES = {"source": "stand_in", "train": 70, "test": 20, "scored": 30, "width": 3, "batch_size": 32, "epochs": 2}
NO_RELAXATION = {"method": "reinforce", "search": {"learning_rate": [1e-3, 0.1], "noise": [0.1, 1.0]}}  # of grid paths
CALLS = {"train": 50, "validation": 9, "test": 11, "hidden": 13, "batch_size": 7, "budget": 84, "points": 1}
ROUND = "structgrad.experiments.berthet.rankings.grid.ROUND"

SMALL: dict[str, tuple[Small, ...]] = {
    "indelman_1a": (
        Small("d=5", *SEVEN, {"extra_test_sequences": 7, "max_epochs": 90, "patience": 12}, NO_PATIENCE),
        Small("d=10", *SEVEN, {"extra_test_sequences": 7, "max_epochs": 25}),
        Small("d=25", *SEVEN, {"extra_test_sequences": 7, "max_epochs": 6}),
    ),
    "indelman_1b": (
        Small(
            "d=40", *SEVEN, {"extra_test_sequences": 7, "max_epochs": 2, "train_sequences": 64},
            {arm: {"max_epochs": 1} for arm in SINKHORN},
        ),
        Small("d=5", *SEVEN, {"extra_test_sequences": 7, "max_epochs": 4, "train_sequences": 37}),
    ),
    "indelman_2": (
        Small(
            "MNIST k=3", *THREE,
            {"source": "stand_in", "train": 60, "validation": 30, "test": 20, "queries": 20, "candidates": 30,
             "epochs": 1},
            {arm: {"grid": ONE_POINT | more} for arm, more in {
                "direct": {"epsilon": [-0.2, -0.1]},  # a grid of two points
                "direct_stochastic_1": EPSILON | {"sigma_learning_rate": [1e-3]},
                "direct_stochastic_5": EPSILON | {"sigma_learning_rate": [1e-3]},
                "fixed_sigma": EPSILON,
                "direct_additive": EPSILON,
                "direct_stochastic_additive": EPSILON | {"sigma_learning_rate": [1e-3]},
                "neural_sort": TEMPERATURE,
                "neural_sort_stochastic": TEMPERATURE,
                "relax_subsample": TEMPERATURE,
            }.items()},
            {"structgrad.losses.direct.BLOCK": 1000},
        ),
    ),
    "berthet_1": (Small("iris", *SEVEN, LABELS, blocks={ROUND: 8000}),),
    "berthet_2": (Small("wine", *SEVEN, LABELS, blocks={ROUND: 25_000}),),
    "berthet_artificial": (
        Small(
            "sigma=0.1334", 5, ((0, 1), (4, 1), (1, 2)),
            {"labels": 37, "features": 23, "train": 100, "validation": 20, "test": 30, "epochs": 2, "samples": 2},
            blocks={ROUND: 60_000},
        ),
    ),
    "berthet_2fig": (Small("epsilon=0.1", *THREE, IMAGES),),
    "berthet_2fig_digits": (Small("epsilon=1", *THREE, IMAGES),),
    "berthet_paths": (
        Small(
            "synthetic terrain", *THREE,
            {"width": 5, "train": 23, "test": 7, "batch_size": 10, "epochs": 2, "early": 1},
        ),
    ),
    "paulus_1": (
        Small(
            "T=10", *THREE,
            {"train": 40, "validation": 10, "test": 20, "validation_graphs": 10, "vertices": 6, "width": 13,
             "batch_size": 20, "steps": 3, "validate_every": 2},
            blocks={"structgrad.experiments.paulus.graph_layout.messages.BLOCK": 30 * 13 * 4},
        ),
    ),
    "paulus_2": (
        Small(
            "ListOps", *THREE,
            {"train": 100, "validation": 20, "test": 30, "max_depth": 2, "max_length": 16, "width": 13, "rounds": 2,
             "batch_size": 20, "steps": 3, "validate_every": 2},
        ),
    ),
    "paulus_3": (
        Small(
            "synthetic aroma k=5", *THREE,
            {"train": 60, "validation": 20, "test": 30, "validation_reviews": 20, "scorer_width": 7,
             "predictor_width": 9, "batch_size": 20, "pool": 2, "steps": 3, "validate_every": 2},
        ),
    ),
    "cross": (
        Small("neighbours of packaged digits", *THREE, CALLS),
        Small("paths on generated terrain", *THREE, CALLS, {"stochastic_softmax": NO_RELAXATION}),
        Small("rank wine", *THREE, CALLS | {"source": "stand_in"}),
        Small("sort d=25", *SEVEN, CALLS),
    ),
}  # fmt: skip


def cells(experiments):
    """Every arm of the experiments in each of their small forms; ``None`` for one that has none."""
    return [
        pytest.param(name, small, arm.name, id="-".join((name, small.setting if small else "none", arm.name)))
        for name in experiments
        for small in SMALL.get(name, (None,))
        for arm in REGISTRY[name].arms
    ]


@pytest.fixture(autouse=True)
def _one_thread_again():
    set_threads(1)
    yield
    set_threads(1)


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A function that trains replicas ``first``, ... of a cell: its outcome, and digests of last weights one by one."""
    digests = []

    def watch(kind):
        finish = kind.finish

        def watched(trials, done):
            weights = trials.trial.network.state_dict().values()
            digests.append(sha256(b"".join(each.numpy().tobytes() for each in weights)).hexdigest())
            finish(trials, done)

        monkeypatch.setattr(kind, "finish", watched)

    for kind in ONE_BY_ONE:
        watch(kind)

    def run(name, small, arm, first, count):
        assert small is not None, f"{name} is new: give it an entry in SMALL, so that its replicas are compared"
        experiment = REGISTRY[name]
        changes = {**small.config, **small.arms.get(arm, {})}
        for constant, value in small.blocks.items():
            monkeypatch.setattr(constant, value)
        job = job_of(experiment, arm, small.setting, tmp_path / "none", changes, first, count)
        digests.clear()
        return trainer(experiment)(job), list(digests)

    return run


def test_the_small_forms_are_of_experiments_arms_and_hyper_parameters_that_there_are():
    for name, forms in SMALL.items():
        arms = {arm.name for arm in REGISTRY[name].arms}
        known = {field.name for field in fields(REGISTRY[name].hyper_parameters)}
        for small in forms:
            assert small.setting in REGISTRY[name].settings
            assert set(small.arms) <= arms
            assert set(small.config).union(*small.arms.values()) <= known
            assert all(first >= 0 and first + count <= small.count for first, count in small.slices)


@pytest.mark.parametrize(("name", "small", "arm"), cells(REGISTRY))
def test_alone_or_beside_others(trained, name, small, arm):
    together, weights = trained(name, small, arm, 0, small.count if small else 1)
    set_threads(2)
    assert trained(name, small, arm, 0, small.count) == (together, weights)
    set_threads(1)
    for first, count in small.slices:
        some = slice(first, first + count)
        alone, of_alone = trained(name, small, arm, first, count)
        assert alone.results == together.results[some]
        assert of_alone == weights[some]


class Caught(Exception):  # noqa: N818
    """What would have been trained."""


def module_of(name):
    return import_module(f"{REGISTRY[name].package}.train")


def learners(experiment):
    return [arm.name for arm in experiment.arms if not arm.reference and arm.name != "no_solver"]


BATCHED = [name for name in SMALL if not any(hasattr(module_of(name), kind.__name__) for kind in ONE_BY_ONE)]


@pytest.mark.parametrize(("name", "arm"), [(name, arm) for name in BATCHED for arm in learners(REGISTRY[name])])
def test_weights_are_the_same_bits(monkeypatch, trained, name, arm):
    """Test metrics are coarse; the weights after some steps are not (elsewhere they are compared above)."""

    def catch(trainee, *_):
        raise Caught(trainee)

    monkeypatch.setattr("structgrad.training.job.train", catch)

    def weights(first, count):
        with pytest.raises(Caught) as caught:
            trained(name, SMALL[name][-1], arm, first, count)
        (trainee,) = caught.value.args
        grid = hasattr(trainee, "grid")
        for _ in range(2 if grid else 8):  # a grid's step is an epoch
            trainee.step()
        if grid:
            models = torch.stack([model.flat.detach() for model in trainee.grid.models], 1)
            return models.view(count, -1), {}
        if hasattr(trainee, "networks"):
            return torch.cat([model.flat.detach() for model in trainee.networks.models]), {}
        return trainee.mean.parameters.flat.detach(), trainee.final()

    flat, final = weights(0, 9)
    for first, count in ((0, 1), (1, 1), (4, 2), (3, 5)):
        part, part_final = weights(first, count)
        assert part.equal(flat[first : first + count])
        for key, value in part_final.items():
            assert value.equal(final[key][first : first + count])
