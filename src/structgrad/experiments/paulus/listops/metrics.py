"""Task accuracy, and how much of the parse the edges recover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from structgrad.experiments.paulus.listops.batches import Batch
from structgrad.training.results import Mean, Proportion, Report


@dataclass(frozen=True)
class Tally:
    """Of each expression whether its value is right ``(N,)`` (None: nobody said), and how many scored edges are
    predicted, how many are in the parse, and how many are both, the columns of ``edges`` ``(N, 3)`` (None: no edges).
    """

    right: Tensor | None
    edges: Tensor | None


def tally(batch: Batch, logits: Tensor | None, edges: Tensor | None) -> Tally:
    """Score logits ``(B, 10)`` and hard edges ``(B, n, n)``.

    Every edge at a closing bracket is dropped from the prediction and from the parse (paulus, Table 2). A symmetric
    matrix predicts both directions of an edge, of which one at most is in the parse.
    """
    right = None if logits is None else logits.argmax(-1) == batch.values
    if edges is None:
        return Tally(right, None)
    predicted, true = (edges > 0.5) & batch.scored, batch.parse & batch.scored
    return Tally(right, torch.stack([pairs.sum((-2, -1)) for pairs in (predicted, true, predicted & true)], -1))


def joined(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    rights, edges = zip(*((part.right, part.edges) for part in tallies), strict=True)
    return Tally(*(None if column[0] is None else torch.cat(column) for column in (rights, edges)))


def report(whole: Tally) -> dict[str, Report]:
    """What a record holds: proportions of expressions and (micro) of edges, and means (macro) over expressions.

    The precision of an expression without a predicted edge counts as 0; its recall is 0 anyway.
    """
    reports: dict[str, Report] = {}
    if whole.right is not None:
        reports["task_accuracy"] = Proportion(int(whole.right.sum()), len(whole.right))
    if whole.edges is None:
        return reports
    predicted, true, common = whole.edges.unbind(-1)
    for name, among in (("edge_precision", predicted), ("edge_recall", true)):
        reports[name] = Mean.of((common.double() / among.clamp(min=1)).tolist())
        reports[f"{name}_micro"] = Proportion(int(common.sum()), max(1, int(among.sum())))
    return reports


def averages(whole: Tally) -> dict[str, float]:
    """The same as fractions."""
    return {name: part.value for name, part in report(whole).items()}
