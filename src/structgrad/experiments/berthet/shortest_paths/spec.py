"""berthet Figure 6: costs of terrain learned from shortest paths on 12 x 12 maps.

Source: Berthet et al. (NeurIPS 2020), section 5.3: 10 000 images of Warcraft terrain, the first five layers of
ResNet18, Fenchel-Young loss at epsilon = 1 with one perturbation, batches of 70, 50 epochs; two baselines from
Vlastelica et al. (2020), whose code has Adam at 5e-4, a tenth of it after epochs 30 and 40, and lambda = 20. The figure
has no printed numbers. The published maps are the user's to add (``structgrad data add warcraft PATH``); the other
setting generates terrain, which is synthetic.
"""

from __future__ import annotations

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.berthet.shortest_paths.hyper_parameters import PathParameters
from structgrad.experiments.figures import LearningCurves, PathMaps

SETTINGS = ("Warcraft", "synthetic terrain")

ARMS = (
    Arm(
        "perturbed_fy",
        "Perturbed FY",
        note="epsilon = 1, one perturbation",
        config={"loss": "fenchel_young", "epsilon": 1.0},
    ),
    Arm(
        "perturbed_fy_cnn",
        "Perturbed FY, small network",
        note="the released configuration: three convolutions, epsilon = 0.1, three perturbations",
        config={"loss": "fenchel_young", "network": "cnn", "width": 32, "epsilon": 0.1, "samples": 3},
    ),
    Arm(
        "perturbed_fy_tenth",
        "Perturbed FY, a tenth of the noise",
        note="epsilon = 0.1, one perturbation; added after the results of epsilon = 1, to explain them",
        config={"loss": "fenchel_young", "epsilon": 0.1},
    ),
    Arm(
        "blackbox_of_batch",
        "Blackbox loss",
        note="lambda = 20 on the gradient of the batch's mean Hamming loss",
        config={"loss": "blackbox", "interpolation": 20.0},
    ),
    Arm("squared", "Squared loss", note="cells of the path by regression, no solver", config={"loss": "squared"}),
    Arm(
        "true_costs",
        "true costs",
        note="the library's solver on the costs behind the paths",
        config={"loss": "reference"},
        reference=True,
    ),
)

METRICS = (
    Metric("optimal", "optimal paths", "proportion", items="test"),
    Metric("optimal_early", "optimal paths after 5 epochs", "proportion", items="test"),
    Metric("exact", "paths as given", "proportion", items="test"),
    Metric("valid", "predictions that are paths", "proportion", items="test"),
    Metric(
        "cost_ratio",
        "cost over optimal cost",
        "mean",
        unit="ratio",
        factor=1.0,
        digits=3,
        higher_is_better=False,
        bounds=(1.0, 150.0),  # 144 of the dearest cells over 12 of the cheapest
    ),
)

LEARNERS = ["perturbed_fy", "perturbed_fy_cnn", "blackbox_of_batch", "squared"]

FIGURE_6 = Experiment(
    name="berthet_paths",
    paper="berthet",
    table="paths",
    title="Shortest paths on maps of 12 x 12 cells",
    axis="maps",
    settings=SETTINGS,
    arms=ARMS,
    metrics=METRICS,
    label="Figure 6",
    figures=(
        LearningCurves(
            name="fig6",
            title="Figure 6: paths against epochs",
            settings=SETTINGS,
            quantities=("optimal", "exact", "cost_ratio"),
        ),
        PathMaps(name="fig6_maps", title="Figure 6: two synthetic test maps", setting="synthetic terrain"),
    ),
    package=str(__package__),
    level=2,
    hyper_parameters=PathParameters,
    one_data_set=True,
    config={
        "network": "resnet",
        "width": 64,
        "train": 10_000,
        "test": 1_000,
        "batch_size": 70,
        "epochs": 50,
        "learning_rate": 5e-4,
        "decay_after": [30, 40],
        "early": 5,
    },
    scales={
        "smoke": {
            "comparable": False,
            "reason": "synthetic terrain in place of Warcraft maps: 350 of them, 5 epochs, a quarter of the width",
            "overrides": {"width": 16, "train": 350, "test": 100, "epochs": 5, "learning_rate": 5e-3},
            "blocks": [
                {
                    "settings": ["synthetic terrain"],
                    "arms": ["perturbed_fy", "blackbox_of_batch", "squared", "true_costs"],
                    "replicas": 1,
                }
            ],
        },
        "desktop": {
            "comparable": False,
            "reason": "synthetic terrain in place of Warcraft maps, 10 of 50 epochs; maps, network and batches in full",
            "overrides": {"epochs": 10},
            "blocks": [
                {
                    "settings": ["synthetic terrain"],
                    "arms": ["perturbed_fy", "blackbox_of_batch", "squared"],
                    "replicas": 3,
                    "slice": 1,
                    "cost": "10 epochs of 10 000 maps at 3.7 to 5.3 ms a map on one core: 6 to 9 minutes a replica",
                },
                {
                    "settings": ["synthetic terrain"],
                    "arms": ["perturbed_fy_tenth"],
                    "replicas": 1,
                    "cost": "as epsilon = 1",
                },
                {
                    "settings": ["synthetic terrain"],
                    "arms": ["perturbed_fy_cnn", "true_costs"],
                    "replicas": 3,
                    "cost": "10 epochs of 10 000 maps at 1.1 to 1.9 ms a map on one core: 2 to 3 minutes a replica",
                },
            ],
        },
        "paper": {
            "comparable": True,
            "reason": "the published protocol, uncut, 5 replicas; Warcraft maps where a user has added them",
            "blocks": [
                {
                    "settings": ["Warcraft"],
                    "arms": [*LEARNERS, "true_costs"],
                    "replicas": 5,
                    "slice": 1,
                    "cost": "50 epochs of 10 000 maps at 1.1 to 5.3 ms a map on one core: 10 to 45 minutes a replica",
                },
                {
                    "settings": ["synthetic terrain"],
                    "arms": [*LEARNERS, "true_costs"],
                    "replicas": 5,
                    "slice": 1,
                    "comparable": False,
                    "reason": "synthetic terrain in place of Warcraft maps; all else uncut",
                    "cost": "as on Warcraft maps",
                },
            ],
        },
    },
)
