"""Whose tables and figures these are."""

from structgrad.experiments.paper import Paper

PAPER = Paper(
    name="berthet",
    title="Learning with Differentiable Perturbed Optimizers",
    authors=(
        "Quentin Berthet",
        "Mathieu Blondel",
        "Olivier Teboul",
        "Marco Cuturi",
        "Jean-Philippe Vert",
        "Francis Bach",
    ),
    year=2020,
    venue="Conference on Neural Information Processing Systems (NeurIPS 2020)",
    url="https://arxiv.org/abs/2002.08676",
    data_licence="the label-ranking sets of Cheng et al.: no licence stated, cite Cheng, Huehn and Huellermeier (2009)"
    "; CIFAR-10: none stated, cite Krizhevsky (2009); Warcraft maps: only where a user has added them",
)
