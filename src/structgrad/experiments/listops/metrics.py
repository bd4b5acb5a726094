"""Task accuracy, and how much of the parse the edges recover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.experiments.listops.batches import Batch


@dataclass(frozen=True)
class Tally:
    """Of each expression whether its value is right (None: nobody said), and how many scored edges are predicted,
    how many are in the parse, and how many are both (None: no edges), ``(N,)``.
    """

    right: Tensor | None
    predicted: Tensor | None = None
    true: Tensor | None = None
    common: Tensor | None = None


def tally(batch: Batch, logits: Tensor | None, edges: Tensor | None) -> Tally:
    """Score logits ``(B, 10)`` and hard edges ``(B, n, n)``.

    Every edge at a closing bracket is dropped from the prediction and from the parse (paulus, Table 2). A symmetric
    matrix predicts both directions of an edge, of which one at most is in the parse.
    """
    right = None if logits is None else logits.argmax(-1) == batch.values
    if edges is None:
        return Tally(right)
    predicted, true = (edges > 0.5) & batch.scored, batch.parse & batch.scored
    return Tally(right, *((pairs.sum((-2, -1))) for pairs in (predicted, true, predicted & true)))


def joined(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    columns = zip(*((t.right, t.predicted, t.true, t.common) for t in tallies), strict=True)
    return Tally(*(None if column[0] is None else torch.cat(column) for column in columns))


def report(found: Tally) -> dict[str, dict[str, float]]:
    """What a record holds: proportions of expressions and (micro) of edges, and means (macro) over expressions.

    The precision of an expression without a predicted edge counts as 0; its recall is 0 anyway.
    """
    reports: dict[str, dict[str, float]] = {}
    if found.right is not None:
        reports["task_accuracy"] = {"successes": int(found.right.sum()), "trials": len(found.right)}
    if found.common is None:
        return reports
    for name, among in (("edge_precision", found.predicted), ("edge_recall", found.true)):
        share = found.common.double() / among.clamp(min=1)
        reports[name] = {"sum": float(share.sum()), "sum_squares": float((share**2).sum()), "count": len(share)}
        reports[f"{name}_micro"] = {"successes": int(found.common.sum()), "trials": max(1, int(among.sum()))}
    return reports


def averages(found: Tally) -> dict[str, float]:
    """The same as fractions."""
    return {
        name: parts["sum"] / parts["count"] if "sum" in parts else parts["successes"] / parts["trials"]
        for name, parts in report(found).items()
    }
