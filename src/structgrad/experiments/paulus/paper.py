"""Whose tables these are."""

from structgrad.experiments.paper import Paper

PAPER = Paper(
    name="paulus",
    title="Gradient Estimation with Stochastic Softmax Tricks",
    authors=("Max B. Paulus", "Dami Choi", "Daniel Tarlow", "Andreas Krause", "Chris J. Maddison"),
    year=2020,
    venue="Conference on Neural Information Processing Systems (NeurIPS 2020)",
    url="https://arxiv.org/abs/2006.08063",
)
