"""Error of the rating, and where the chosen words lie (docs/protocols/paulus.md, 4.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from structgrad.experiments.paulus.learning_to_explain.batches import Batch
from structgrad.training.results import Mean, Proportion, Report


@dataclass(frozen=True, eq=False)
class Tally:
    """Of each review the squared error, how many words are chosen, how many of these are annotated (None: nobody
    annotated), and in how many runs of neighbours they come: ``(N,)``, in the order of the reviews.
    """

    errors: np.ndarray
    chosen: np.ndarray
    inside: np.ndarray | None
    runs: np.ndarray


def tally(batch: Batch, ratings: Tensor, weights: Tensor) -> Tally:
    """Score ratings ``(B,)`` and hard weights ``(B, n)``. Padding that had to be chosen is in no annotated range."""
    words = weights > 0.5
    inside = None if batch.inside is None else (words & batch.inside).sum(-1).cpu().numpy()
    starts = words.sum(-1) - (words[:, 1:] & words[:, :-1]).sum(-1)
    errors = (ratings - batch.ratings).double().square()
    return Tally(errors.cpu().numpy(), words.sum(-1).cpu().numpy(), inside, starts.cpu().numpy())


def joined(rows: list[np.ndarray], tallies: list[Tally]) -> Tally:
    """All of them as one, back in the order of the reviews."""
    order = np.argsort(np.concatenate(rows))

    def column(parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts)[order]

    inside = [part.inside for part in tallies if part.inside is not None]
    return Tally(
        column([part.errors for part in tallies]),
        column([part.chosen for part in tallies]),
        column(inside) if inside else None,
        column([part.runs for part in tallies]),
    )


def error(whole: Tally) -> Mean:
    """The mean squared error."""
    return Mean.of(whole.errors.tolist())


def choice(whole: Tally) -> dict[str, Report]:
    """Of chosen words: the share of annotated ones (micro), and how long a run of neighbours is on average."""
    reports: dict[str, Report] = {"run_length": Mean.of((whole.chosen / np.maximum(whole.runs, 1)).tolist())}
    if whole.inside is not None:
        reports["subset_precision"] = Proportion(int(whole.inside.sum()), int(whole.chosen.sum()))
    return reports
