"""berthet Figure 2: images classified through a perturbed maximum, at several epsilon.

Source: Berthet et al. (NeurIPS 2020), section 5.1 and appendix C.1: a "vanilla CNN" on CIFAR-10 with ten outputs, the
Fenchel-Young loss with normal noise against cross entropy, M in {1, 1000}, 600 epochs, batches of 32. The values of
epsilon and all results stand in the figure's axes alone, which has no printed numbers. The experiment stands twice: on
CIFAR-10, and on packaged digits, a stand-in for runs without a network.
"""

from __future__ import annotations

from typing import Any

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.berthet.perturbed_max.hyper_parameters import MaxParameters
from structgrad.experiments.figures import LearningCurves, Lines

SETTINGS = tuple(f"epsilon={level}" for level in ("0.001", "0.01", "0.1", "1", "10", "100"))

ARMS = (
    Arm("perturbed_fy", "Perturbed FY, M = 1", note="one perturbation", config={"loss": "fenchel_young"}),
    Arm(
        "perturbed_fy_1000",
        "Perturbed FY, M = 1000",
        note="a thousand perturbations",
        config={"loss": "fenchel_young", "samples": 1000},
    ),
    Arm(
        "cross_entropy",
        "Cross entropy",
        note="of the softmax at temperature epsilon",
        config={"loss": "cross_entropy"},
    ),
)


def _squared(name: str, title: str) -> Metric:
    """The squared distance of what an arm predicts, smoothed, to the label: from 0 to 2."""
    return Metric(name, title, "mean", unit="distance", factor=1.0, digits=3, higher_is_better=False, bounds=(0.0, 2.0))


METRICS = (
    Metric("train_accuracy", "training accuracy", "proportion"),
    Metric("test_accuracy", "test accuracy", "proportion"),
    _squared("train_squared", "training squared loss"),
    _squared("test_squared", "test squared loss"),
)

CONFIG = {
    "source": "published",
    "width": 32,
    "train": None,
    "test": None,
    "scored": 10_000,
    "batch_size": 32,
    "epochs": 600,
    "learning_rate": 1e-4,
}


def _figures(name: str, title: str, of: str) -> tuple[LearningCurves, Lines]:
    """Left and centre, and the right panel."""
    return (
        LearningCurves(
            name=name,
            title=f"{title}: accuracy against epochs{of}",
            settings=("epsilon=0.01", "epsilon=1", "epsilon=100"),
            quantities=("train_accuracy", "test_accuracy"),
        ),
        Lines(
            name=f"{name}_epsilon",
            title=f"{title}: accuracy and squared loss against epsilon{of}",
            metrics=tuple(metric.name for metric in METRICS),
            base=10,
            columns=2,
        ),
    )


def _experiment(**own: Any) -> Experiment:
    return Experiment(
        paper="berthet",
        axis="epsilon",
        settings=SETTINGS,
        arms=ARMS,
        metrics=METRICS,
        package=str(__package__),
        level=2,
        hyper_parameters=MaxParameters,
        one_data_set=True,
        **own,
    )


EVERYTHING = {"settings": list(SETTINGS), "arms": [arm.name for arm in ARMS]}

FIGURE_2 = _experiment(
    name="berthet_2fig",
    table="2fig",
    title="A perturbed maximum on CIFAR-10",
    label="Figure 2",
    figures=_figures("fig2", "Figure 2", ""),
    config=CONFIG,
    scales={
        "desktop": {
            "comparable": False,
            "reason": "10 000 of 50 000 images, 20 of 600 epochs at ten times the learning rate, half the width",
            "overrides": {
                "width": 16, "train": 10_000, "test": 5_000, "scored": 2_000, "epochs": 20, "learning_rate": 1e-3,
            },
            "blocks": [
                {
                    **EVERYTHING,
                    "replicas": 3,
                    "cost": "20 epochs of 10 000 images at 0.34 to 0.46 ms an image on one core, 7000 scored after "
                    "each: 80 to 110 seconds a replica",
                }
            ],
        },
        "paper": {
            "comparable": True,
            "reason": "the published protocol, uncut, 3 replicas",
            "blocks": [
                {
                    **EVERYTHING,
                    "replicas": 3,
                    "slice": 1,
                    "cost": "600 epochs of 50 000 images at 1 ms an image on one core: 8 hours a replica",
                }
            ],
        },
    },
)  # fmt: skip

FIGURE_2_DIGITS = _experiment(
    name="berthet_2fig_digits",
    table="2fig_digits",
    title="A perturbed maximum on packaged digits, a stand-in for CIFAR-10",
    label="Figure 2 on a stand-in",
    figures=_figures("fig2_digits", "Figure 2 on a stand-in", " (digits)"),
    config={**CONFIG, "source": "stand_in", "width": 8, "scored": 300, "epochs": 60, "learning_rate": 1e-3},
    scales={
        "smoke": {
            "comparable": False,
            "reason": "packaged digits, scaled up, stand in for CIFAR-10: 320 of them, 5 epochs; a narrow network",
            "overrides": {"train": 320, "epochs": 5},
            "blocks": [
                {
                    "settings": ["epsilon=0.01", "epsilon=1", "epsilon=100"],
                    "arms": [arm.name for arm in ARMS],
                    "replicas": 1,
                }
            ],
        },
    },
)
