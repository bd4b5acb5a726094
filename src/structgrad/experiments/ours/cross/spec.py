"""ours, cross: the papers' methods at equal maximiser calls.

Each paper compares its method with baselines of its own choice. Here every method has the same tasks, networks, number
of trials and number of maximiser calls. No paper prints any of it. How calls are counted, and what the boxes are:
docs/cross.md.
"""

from __future__ import annotations

from typing import Any

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.figures import LearningCurves
from structgrad.experiments.ours.cross.hyper_parameters import CrossParameters

SETTINGS = (
    "sort d=25",
    "rank iris",
    "rank wine",
    "rank vowel",
    "paths on generated terrain",
    "neighbours of packaged digits",
)

RATE: dict[str, list[float]] = {"learning_rate": [0.001, 0.1]}
NOISE: dict[str, list[float]] = {"noise": [0.05, 5.0]}
STEP: dict[str, list[float]] = {"step": [0.3, 30.0]}
TEMPERATURE: dict[str, list[float]] = {"temperature": [0.05, 5.0]}


def _arm(name: str, column: str, note: str, search: dict[str, list[float]], samples: int = 1) -> Arm:
    config: dict[str, Any] = {"method": name, "search": RATE | search, "samples": samples}
    return Arm(name, column, note=note, config=config)


ARMS = (
    _arm("fenchel_young", "Fenchel-Young", "berthet; 4 calls an example and step", NOISE, samples=4),
    _arm("direct", "Direct, learned noise", "indelman; 2 draws, 2 calls each", NOISE | STEP, samples=2),
    _arm("blackbox", "Blackbox", "Vlastelica et al.; 2 calls, no noise", STEP),
    _arm("squared", "Perturbed squared", "berthet; 4 calls, leave-one-out baseline", NOISE, samples=4),
    _arm("stochastic_softmax", "Stochastic softmax", "paulus; 4 relaxed solves", TEMPERATURE, samples=4),
    _arm("reinforce", "REINFORCE", "4 calls, leave-one-out baseline", NOISE, samples=4),
    Arm("unlearned", "No learning", note="scores that need none", reference=True),
    Arm("chance", "Chance", note="random scores", reference=True),
)

CROSS = Experiment(
    name="cross",
    paper="ours",
    table="cross",
    title="The papers' methods at equal maximiser calls (ours)",
    axis="task",
    settings=SETTINGS,
    arms=ARMS,
    metrics=(
        Metric("quality", "quality of the plain argmax", "mean", unit="", factor=1.0, digits=3, bounds=(-1.0, 1.0)),
    ),
    label="Cross table",
    figures=(
        LearningCurves(
            name="cross_curves",
            title="Cross table: quality against maximiser calls (ours)",
            settings=SETTINGS,
            quantities=("quality",),
            columns=3,
        ),
    ),
    package=str(__package__),
    level=2,
    hyper_parameters=CrossParameters,
    config={
        "source": "published",
        "train": 1000,
        "validation": 200,
        "test": 1000,
        "hidden": 32,
        "batch_size": 32,
        "budget": 2**19,
        "points": 12,
        "search": RATE,
    },
    selected_by="quality",
    one_data_set=True,
    clock="call",
    scales={
        "smoke": {
            "comparable": False,
            "reason": "256 times fewer maximiser calls, 2 trials, small data; a stand-in for iris (rebuilt offline)",
            "overrides": {"source": "stand_in", "budget": 2**11, "train": 200, "validation": 50, "test": 100},
            "blocks": [
                {"settings": ["rank iris"], "arms": [arm.name for arm in ARMS], "replicas": 2},
                {
                    "settings": ["paths on generated terrain", "neighbours of packaged digits"],
                    "arms": ["fenchel_young", "blackbox"],
                    "replicas": 2,
                },
            ],
        },
    },
)
