"""Every arm that can train on a GPU does, for some steps: it goes on from a checkpoint, and ends as on the CPU."""

from math import isfinite

import pytest
import torch
from trainings import job_of

from structgrad.experiments import REGISTRY
from structgrad.repro.planning.resolve import trainer

POINT = {"learning_rate": [1e-3], "epsilon": [-0.2], "sigma_learning_rate": [1e-3], "temperature": [16.0]}
# Of each experiment a setting, and what makes its trainings small.
SMALL = {
    "indelman_1a": ("d=5", {"max_epochs": 6}),
    "indelman_1b": ("d=5", {"max_epochs": 6, "train_sequences": 64}),
    "indelman_2": (
        "MNIST k=3",
        {
            **{"source": "stand_in", "train": 120, "validation": 40, "test": 40, "queries": 10, "candidates": 20},
            **{"epochs": 1, "validate_every": 0.5, "grid": POINT},
        },
    ),
    "paulus_1": (
        "T=10",
        {
            **{"vertices": 5, "train": 20, "validation": 12, "test": 16, "validation_graphs": 10, "width": 6},
            **{"batch_size": 8, "steps": 6, "validate_every": 2},
        },
    ),
    "paulus_2": (
        "ListOps",
        {
            **{"train": 300, "validation": 60, "test": 60, "max_depth": 2, "max_length": 12, "width": 8, "rounds": 2},
            **{"batch_size": 20, "pool": 3, "steps": 6, "validate_every": 3},
        },
    ),
    "paulus_3": (
        "synthetic aroma k=5",
        {
            **{"train": 120, "validation": 40, "test": 40, "validation_reviews": 40, "scorer_width": 6},
            **{"predictor_width": 8, "batch_size": 20, "pool": 3, "steps": 6, "validate_every": 3},
        },
    ),
}
ARMS = [
    (name, arm.name) for name in SMALL for arm in REGISTRY[name].arms if not arm.reference and arm.name != "no_solver"
]
WITHOUT_NOISE = [("indelman_1a", "direct"), ("indelman_1b", "direct"), ("indelman_2", "direct"), ("paulus_2", "lstm")]


def job(folder, experiment, arm, device, stop=None):
    spec, (setting, changes) = REGISTRY[experiment], SMALL[experiment]

    def show(step, active, numbers):
        if step == stop:
            raise KeyboardInterrupt

    return job_of(spec, arm, setting, folder, changes, show=show, device=device)


# What is counted, of 40 images or 10 queries, of 160 edges: where two are about as near, rounding decides about some.
COUNTED = {"indelman_2": 0.1, "paulus_1": 0.03}


def close(experiment, one, other):
    apart = COUNTED.get(experiment, 1e-3)
    assert one.keys() == other.keys()
    for name in one:
        assert all(isfinite(number) for number in one[name])
        assert one[name] == pytest.approx(other[name], rel=1e-2, abs=apart), name


@pytest.mark.cuda
@pytest.mark.parametrize(("experiment", "arm"), ARMS)
def test_a_resumed_training_on_a_gpu_is_close_to_an_uninterrupted_one(experiment, arm, tmp_path):
    train = trainer(REGISTRY[experiment])
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    plain = train(job(tmp_path / "plain", experiment, arm, "cuda"))
    assert torch.cuda.max_memory_allocated() > held
    with pytest.raises(KeyboardInterrupt):
        train(job(tmp_path / "resumed", experiment, arm, "cuda", stop=2))
    resumed = train(job(tmp_path / "resumed", experiment, arm, "cuda"))
    assert resumed.resumed == 1
    assert resumed.seeds == plain.seeds
    close(experiment, resumed.history, plain.history)


@pytest.mark.cuda
@pytest.mark.parametrize(("experiment", "arm"), WITHOUT_NOISE)
def test_what_draws_nothing_trains_on_a_gpu_as_on_the_cpu(experiment, arm, tmp_path):
    train = trainer(REGISTRY[experiment])
    here, there = (train(job(tmp_path / device, experiment, arm, device)) for device in ("cpu", "cuda"))
    close(experiment, there.history, here.history)
