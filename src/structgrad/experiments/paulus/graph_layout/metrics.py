"""Structure recovery and evidence of one hard draw of edges a graph (docs/protocols/paulus.md, 1.4 and 1.7)."""

from __future__ import annotations

import torch
from torch import Tensor

Report = dict[str, dict[str, float]]


def recovery(found: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall, ``(2, N)`` float64 each: of the found edges, then of all the others.

    Which type of edge means an edge is not identified, so both readings count. A graph in which nothing is found has
    no precision: NaN, which :func:`report` leaves out of the mean.

    Args:
        found: directed edges ``(N, n (n - 1))``, boolean.
        edges: the true ones.
    """
    both = torch.stack([found, ~found])
    right = (both & edges).sum(-1).double()
    return right / both.sum(-1), right / edges.sum(-1)


def report(precision: Tensor, recall: Tensor, elbo: Tensor | None = None) -> Report:
    """What a record holds: means over graphs, in the reading whose mean precision is the higher."""
    means = precision.nanmean(-1).nan_to_num(-torch.inf)
    reading = int(means.argmax())
    found = {"edge_precision": precision[reading], "edge_recall": recall[reading]}
    if elbo is not None:
        found["elbo"] = elbo.double()
    return {name: _sums(values[~values.isnan()]) for name, values in found.items()}


def averages(reports: Report) -> dict[str, float]:
    """The means themselves."""
    return {name: sums["sum"] / sums["count"] for name, sums in reports.items()}


def _sums(values: Tensor) -> dict[str, float]:
    return {"sum": float(values.sum()), "sum_squares": float(values.square().sum()), "count": len(values)}
