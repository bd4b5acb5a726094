"""berthet Figures 4, 7 and 8: artificial rankings under label noise.

Source: Berthet et al. (NeurIPS 2020; arXiv v2, appendix C.2): 100 labels, 50 features, w0 of signs, x and the label
noise standard normal, sigma in [1e-2, 1e3], a linear model without bias, 2000 epochs, batches of 32, three data sets;
perfect ranks (all of them right) and partial ranks (the share that is). Not stated: the number of rows, learning rates,
epsilon, the number of perturbations, lambda, and whether test labels are noisy. The figures have no printed numbers.
"""

from __future__ import annotations

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.berthet.artificial_rankings.hyper_parameters import ArtificialParameters
from structgrad.experiments.figures import LearningCurves, Lines

# Half decades, but for the two levels whose curves the paper shows, which stand for 0.1 and 1.
SETTINGS = tuple(
    f"sigma={level}"
    for level in ("0.01", "0.0316", "0.1334", "0.316", "0.7449", "3.16", "10", "31.6", "100", "316", "1000")
)
# The tables' grid for epsilon two decades further, with 0.01 and 0.1 in common: scores are sums of 50 products, and in
# trials at sigma = 0.01 Fenchel-Young did best with 1 and 10. Lambda has the same grid; there 0.01 was the best.
GRID = [0.01, 0.1, 1.0, 10.0]

ARMS = (
    Arm(
        "perturbed_fy",
        "Perturbed FY",
        note="epsilon tuned with the learning rate",
        config={"loss": "fenchel_young", "epsilons": GRID},
    ),
    Arm(
        "perturbed_squared",
        "Perturbed + Squared loss, baseline (ours)",
        note="leave-one-out baseline, epsilon tuned with the learning rate",
        config={"loss": "perturbed_squared", "epsilons": GRID},
    ),
    Arm("squared", "Squared loss", note="no solver while training", config={"loss": "squared"}),
    Arm(
        "blackbox_mirrored",
        "Blackbox loss",
        note="the released code as it stands, as in Tables 1 and 2",
        config={"loss": "blackbox_mirrored_of_batch", "lambdas": [20.0]},
    ),
    Arm(
        "blackbox",
        "Blackbox loss, argmax's side (ours)",
        note="lambda = 20 on the gradient of an item's own loss",
        config={"loss": "blackbox", "lambdas": [20.0]},
    ),
    Arm(
        "blackbox_tuned",
        "Blackbox loss, argmax's side, lambda tuned (ours)",
        note="lambda on the grid that epsilon has",
        config={"loss": "blackbox", "lambdas": GRID},
    ),
    Arm(
        "bayes",
        "w0",
        note="the weights behind the labels: the most probable ranking",
        config={"loss": "reference"},
        reference=True,
    ),
)


def _ranks(name: str, labels: str) -> tuple[Metric, Metric]:
    """Whole rankings that are right, and single ranks: of a whole one that is right every one is."""
    perfect, title = f"perfect_{name}", f"ranks, {labels} labels"
    of_all = (perfect, 1.0)
    return (
        Metric(perfect, f"perfect {title}", "proportion", digits=2, items="test"),
        Metric(
            f"partial_{name}", f"partial {title}", "mean", digits=2, spread="replicas", items="test", at_success=of_all
        ),
    )


METRICS = (*_ranks("clean", "noise-free"), *_ranks("noisy", "noisy"))

ARTIFICIAL = Experiment(
    name="berthet_artificial",
    paper="berthet",
    table="artificial",
    title="Artificial rankings",
    axis="sigma",
    settings=SETTINGS,
    arms=ARMS,
    metrics=METRICS,
    label="Figures 4, 7 and 8",
    figures=(
        Lines(
            name="fig4",
            title="Figure 4: perfect ranks",
            metrics=("perfect_clean", "perfect_noisy"),
            base=10,
            from_zero=True,
        ),
        Lines(
            name="fig7",
            title="Figure 7: perfect and partial ranks",
            metrics=tuple(m.name for m in METRICS),
            base=10,
            columns=2,
            from_zero=True,
        ),
        LearningCurves(
            name="fig8",
            title="Figure 8: ranks against epochs",
            settings=("sigma=0.1334", "sigma=0.7449"),
            quantities=("perfect_clean", "partial_clean", "partial_noisy"),
            from_zero=True,
        ),
    ),
    package=str(__package__),
    level=1,
    hyper_parameters=ArtificialParameters,
    config={
        "labels": 100,
        "features": 50,
        "train": 5000,  # as many as there are weights; trials with 1000 rows came nearly as far
        "validation": 1000,
        "test": 1000,
        "learning_rates": [0.001, 0.01, 0.1],
        "epochs": 2000,
        "batch_size": 32,
        "samples": 4,
        "curve_points": 40,
    },
)
