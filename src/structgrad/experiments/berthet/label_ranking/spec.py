"""berthet Tables 1 and 2, drawn as Figure 3: what is run and compared.

Source: Berthet et al. (NeurIPS 2020; arXiv v2, appendix C.2). The text fixes the model (affine), the losses, the outer
ten and inner five folds and the grids; of batch size, epochs, optimiser, initial weights, number of perturbations, the
magnitude of the noise in Table 1 and the blackbox loss's lambda it says nothing. What stands here for those was chosen
before there were results.
"""

from __future__ import annotations

from structgrad.experiments.base import Arm, Experiment, Metric
from structgrad.experiments.berthet.label_ranking.hyper_parameters import LabelRankingParameters
from structgrad.experiments.figures import Scatter

SETTINGS = (
    "authorship", "bodyfat", "calhousing", "cold", "cpu-small", "diau", "dtt", "elevators", "fried", "glass", "heat",
    "housing", "iris", "pendigits", "segment", "spo", "stock", "vehicle", "vowel", "wine", "wisconsin",
)  # fmt: skip
FOLDS = 10
GRID = [0.001, 0.01, 0.1]

METRICS = (
    Metric(
        "spearman",
        "Spearman correlation",
        "mean",
        published="spearman",
        unit="corr",
        factor=1.0,
        digits=2,
        bounds=(-1.0, 1.0),
        spread="replicas",  # the printed "+-" is the deviation over the ten folds
        margin=0.03,
        why_margin="The paper calls correlations within 5 % of each other similar; at the mean of 0.61 that is 0.03.",
    ),
)

FENCHEL_YOUNG = {"loss": "fenchel_young"}
PERTURBED_SQUARED = {"loss": "perturbed_squared"}
PLAIN = {"loss": "perturbed_squared_plain"}

# Measured on the sets with three to nine partitions of the folds, in both tables (a test does so again): the deviation
# of a tenfold average between partitions, over that which one partition's folds suggest.
RATIO = {"squared": 0.45, "perturbed_fy": 0.52, "perturbed_squared_plain": 0.81, "blackbox_mirrored": 0.79}

SQUARED = Arm(
    "squared",
    "Squared loss",
    answers="Squared loss",
    note="no solver while training",
    config={"loss": "squared"},
    fold_ratio=RATIO["squared"],
)
# Neither lambda nor the side of the difference is stated. The released code of Vlastelica et al., whose "gradient
# proxy" the authors say they re-implemented, has lambda = 20 on the gradient of the batch's mean loss and moves costs
# by w + lambda g. Taken as it stands to scores and ascending ranks it looks to the other side than an argmax should;
# of all our readings this one has the printed column's pattern (docs/deviations.md).
BLACKBOX = Arm(
    "blackbox_mirrored",
    "Blackbox loss",
    answers="Blackbox loss",
    note="the released code as it stands: lambda = 20 on the batch's mean loss, theta + lambda g",
    config={"loss": "blackbox_mirrored_of_batch", "lambdas": [20.0]},
    fold_ratio=RATIO["blackbox_mirrored"],
)
BLACKBOX_OF_BATCH = Arm(
    "blackbox_of_batch",
    "Blackbox loss, argmax's side (ours)",
    answers="Blackbox loss",
    note="lambda = 20 on the batch's mean loss, theta - lambda g",
    config={"loss": "blackbox_of_batch", "lambdas": [20.0]},
    main=False,
)
# What stood for the printed column first: in trials on wine, authorship, stock and iris (three folds, lambda 0.1, 1, 10
# and 100) the printed column had been nearest to 10, at 0.10 (root mean square), against 0.14 for 1 and, between 10 and
# 100, 0.11 for 20.
BLACKBOX_OF_ITEM = Arm(
    "blackbox",
    "Blackbox loss, argmax's side, an item's lambda (ours)",
    answers="Blackbox loss",
    note="lambda = 20 on an item's own loss, theta - lambda g",
    config={"loss": "blackbox", "lambdas": [20.0]},
    main=False,
)
# The same grid as epsilon has, for a fair comparison, on an item's own gradient.
BLACKBOX_TUNED = Arm(
    "blackbox_tuned",
    "Blackbox loss, lambda tuned (ours)",
    answers="Blackbox loss",
    note="as the one before, lambda on the grid that epsilon has in Table 2",
    config={"loss": "blackbox", "lambdas": GRID},
    main=False,
)


def _fenchel_young(note: str, epsilons: list[float]) -> Arm:
    return Arm(
        "perturbed_fy",
        "Perturbed FY",
        answers="Perturbed FY",
        note=note,
        config=FENCHEL_YOUNG | {"epsilons": epsilons},
        fold_ratio=RATIO["perturbed_fy"],
    )


def _perturbed_squared(note: str, epsilons: list[float]) -> Arm:
    """The authors' estimator: their code has no baseline."""
    return Arm(
        "perturbed_squared_plain",
        "Perturbed + Squared loss",
        answers="Perturbed + Squared loss",
        note=note,
        config=PLAIN | {"epsilons": epsilons},
        fold_ratio=RATIO["perturbed_squared_plain"],
    )


def _with_baseline(note: str, epsilons: list[float]) -> Arm:
    return Arm(
        "perturbed_squared",
        "Perturbed + Squared loss, baseline (ours)",
        answers="Perturbed + Squared loss",
        note=f"leave-one-out baseline, {note}",
        config=PERTURBED_SQUARED | {"epsilons": epsilons},
        main=False,
    )


BLACKBOXES = (BLACKBOX, BLACKBOX_OF_BATCH, BLACKBOX_OF_ITEM, BLACKBOX_TUNED)

COMMON = {
    "source": "published",  # stand_in: rebuilt offline, for the smoke scale
    "learning_rates": GRID,
    "inner_folds": 5,
    "epochs": 100,
    # Of the optimiser: ends the training of sets with more than some 700 rows before their epochs. Least squares on
    # calhousing and elevators gained 0.005 and 0.002 from 500 to 2000 steps.
    "max_steps": 2000,
    "batch_size": 32,  # what the text says of its artificial rankings
    "samples": 16,
    "memory_mb": 1000,  # for what grows with the data; changes no number
}


def _table(table: str, title: str, perturbed: tuple[Arm, ...], further: tuple[Arm, ...] = ()) -> Experiment:
    return Experiment(
        name=f"berthet_{table}",
        paper="berthet",
        table=table,
        title=title,
        axis="data set",
        settings=SETTINGS,
        arms=(*perturbed, SQUARED, *BLACKBOXES, *further),
        metrics=METRICS,
        package=str(__package__),
        level=1,
        hyper_parameters=LabelRankingParameters,
        config=COMMON,
        published_items={"spearman": FOLDS},
        published_replicas=FOLDS,
        # Figure 3: the left panel is the first row, the NeurIPS version's right panel the second.
        figures=(
            Scatter(
                tuple(
                    (ours, other)
                    for ours, others in (
                        ("perturbed_fy", ("squared", "blackbox_mirrored", "blackbox_tuned")),
                        ("perturbed_squared_plain", ("perturbed_fy", "blackbox_mirrored", "blackbox_tuned")),
                    )
                    for other in others
                ),
                band=0.05,
            ),
        ),
        folds=FOLDS,
        seeded_as="label_ranking",
    )


BERTHET_1 = _table(
    "1",
    "Label ranking, learning rate tuned",
    # The magnitudes that the authors' code falls back on: Table 1 tunes none and names none.
    (
        _fenchel_young("epsilon = 0.01, the code's default", [0.01]),
        _perturbed_squared("epsilon = 0.05, the code's default", [0.05]),
        _with_baseline("epsilon = 0.05", [0.05]),
    ),
    (
        Arm(
            "perturbed_fy_1",
            "Perturbed FY, eps = 1 (ours)",
            answers="Perturbed FY",
            note="noise as large as a rank",
            config=FENCHEL_YOUNG | {"epsilons": [1.0]},
            main=False,
        ),
        Arm(
            "perturbed_squared_1",
            "Perturbed + Squared loss, baseline, eps = 1 (ours)",
            answers="Perturbed + Squared loss",
            note="leave-one-out baseline, noise as large as a rank",
            config=PERTURBED_SQUARED | {"epsilons": [1.0]},
            main=False,
        ),
    ),
)

TUNED = "epsilon tuned with the learning rate"
BERTHET_2 = _table(
    "2",
    "Label ranking, learning rate and epsilon tuned",
    (_fenchel_young(TUNED, GRID), _perturbed_squared(TUNED, GRID), _with_baseline(TUNED, GRID)),
)
