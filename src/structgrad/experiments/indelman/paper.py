"""Whose tables these are."""

from structgrad.experiments.paper import Paper

PAPER = Paper(
    name="indelman",
    title="Learning Randomly Perturbed Structured Predictors for Direct Loss Minimization",
    authors=("Hedda Cohen Indelman", "Tamir Hazan"),
    year=2021,
    venue="International Conference on Machine Learning (ICML 2021)",
    url="https://arxiv.org/abs/2007.05724",
    data_licence="MNIST and CIFAR-10 (cite Krizhevsky 2009): none stated by their authors; Fashion-MNIST: MIT",
)
