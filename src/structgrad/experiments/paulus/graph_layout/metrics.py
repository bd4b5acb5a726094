"""Structure recovery and evidence of one hard draw of edges a graph (docs/protocols/paulus.md, 1.4 and 1.7)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from structgrad.training.results import Mean


def recovery(chosen: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall, ``(2, N)`` float64 each: of the chosen edges, then of all the others.

    Which type of edge means an edge is not identified, so both readings count. A graph in which nothing is chosen has
    no precision: NaN, which :func:`report` leaves out of the mean.

    Args:
        chosen: directed edges ``(N, n (n - 1))``, boolean.
        edges: the true ones.
    """
    both = torch.stack([chosen, ~chosen])
    right = (both & edges).sum(-1).double()
    return right / both.sum(-1), right / edges.sum(-1)


def report(precision: Tensor, recall: Tensor, elbo: Tensor | None = None) -> dict[str, Mean]:
    """What a record holds: means over graphs, in the reading whose mean precision is the higher."""
    means = precision.nanmean(-1).nan_to_num(-torch.inf)
    reading = int(means.argmax())
    per_graph = {"edge_precision": precision[reading], "edge_recall": recall[reading]}
    if elbo is not None:
        per_graph["elbo"] = elbo.double()
    return {name: Mean.of(values[~values.isnan()].tolist()) for name, values in per_graph.items()}


def averages(reports: Mapping[str, Mean]) -> dict[str, float]:
    """The means themselves."""
    return {name: mean.value for name, mean in reports.items()}
