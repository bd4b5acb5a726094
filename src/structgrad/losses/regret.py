r"""The regret of deciding by predicted scores: what the decision is worth less, by the true scores, than the best one.

    R(theta_hat, theta) = max_y f(theta, y) - f(theta, y*(theta_hat)),        f(theta, y) = <theta, y> + h(y)

(Elmachtoub and Grigas 2022, Definition 1, for costs ``-theta``; h is zero but for polytopes with an offset). Where the
predicted scores leave several structures equally good, it depends on which one the solver takes; the worst of them,
``max`` over all ``y`` in ``Argmax f(theta_hat, .)``, does not (their Definition 2, the unambiguous SPO loss).
"""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor

from structgrad.finite import in_range
from structgrad.losses._values import checked_pair, gain, heights, inner, refuse_lifted
from structgrad.polytopes.base import Polytope
from structgrad.transforms import concrete

SHIFTS = (10, 20, 30, 40)  # by which powers of two the truth is weakened against the prediction
ROUNDING = 2.0**-45  # of all terms' magnitudes: what values that are equal may differ by


@torch.no_grad()
def regret(
    polytope: Polytope,
    theta_hat: Tensor,
    truth: Tensor,
    minimise: bool = False,
    mask: Tensor | None = None,
    worst_ties: bool = False,
) -> Tensor:
    """The regret of each item, ``(...)``, in the dtype of ``theta_hat``, without gradient; never negative.

    Args:
        polytope: what is decided.
        theta_hat: predicted scores ``(..., *event)``.
        truth: true scores, broadcastable to them.
        minimise: whether both are costs.
        mask: the polytope's.
        worst_ties: False: the structure that the maximiser takes, ties broken its way. True: of the structures that the
            prediction finds equally good, the worst one. It is found by argmaxes at ``theta_hat - delta truth`` for
            falling ``delta``: such a maximiser that is still best by ``theta_hat`` is the worst of the best. Values
            count as equal up to the rounding of float64 sums; where others lie within 1e-12 of the best, the
            maximiser's own choice may be what is left.

    Raises:
        ValueError: scores that do not fit, a regret that is no float, what the polytope refuses; true scores above zero
            over a polytope where they count as zero (with ``worst_ties`` also moved ones).

    >>> from structgrad.polytopes import Simplex
    >>> predicted, true = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([3.0, 2.0, 1.0])
    >>> regret(Simplex(3), predicted, true).item(), regret(Simplex(3), predicted, true, worst_ties=True).item()
    (0.0, 1.0)
    """
    return in_range(_regret(polytope, theta_hat, truth, minimise, mask, worst_ties)[0], "a regret", theta_hat)


@torch.no_grad()
def normalised_regret(
    polytope: Polytope,
    theta_hat: Tensor,
    truth: Tensor,
    minimise: bool = False,
    mask: Tensor | None = None,
    worst_ties: bool = False,
) -> Tensor:
    """The sum of all regrets over the sum of the optimal values' magnitudes, a scalar; arguments as of :func:`regret`.

    Zero for perfect decisions; NaN for no items.

    Raises:
        ValueError: also where all optimal values are zero.

    >>> from structgrad.polytopes import Simplex
    >>> costs, predicted = torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([[5.0, 4.0], [5.0, 4.0]])
    >>> normalised_regret(Simplex(2), predicted, costs, minimise=True).item()  # (1 + 0) / (1 + 1)
    0.5
    """
    regrets, best, known = _regret(polytope, theta_hat, truth, minimise, mask, worst_ties)
    if not regrets.numel():
        return theta_hat.new_full((), nan)
    values, offsets = inner(polytope, known, best), heights(polytope, best)
    size = (values if offsets is None else values + offsets).abs().sum()
    if not bool(concrete(size > 0).all()):
        raise ValueError(f"truth of shape {tuple(truth.shape)} has optimal values of zero only: nothing to divide by")
    return in_range(regrets.sum() / size, "a regret", theta_hat)


def _regret(
    polytope: Polytope, theta_hat: Tensor, truth: Tensor, minimise: bool, mask: Tensor | None, worst_ties: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Regrets, the best structures, and the true scores to maximise, all float64."""
    scores, known = checked_pair(polytope, theta_hat, truth, minimise)
    taken, best = polytope.argmax(scores, mask), polytope.argmax(known, mask)
    if worst_ties:
        taken = _worst(polytope, scores, known, mask, taken)
    return gain(polytope, known, best, taken).clamp_min(0.0), best, known


def _worst(polytope: Polytope, scores: Tensor, known: Tensor, mask: Tensor | None, taken: Tensor) -> Tensor:
    """Of the structures as good as those ``taken`` by the ``scores``, the worst by the known ones."""
    event = tuple(range(-len(polytope.event_shape), 0))
    offset = heights(polytope, taken)
    scores, known = (x if mask is None else x.masked_fill(~mask, 0.0) for x in (scores, known))
    exponents = [x.abs().amax(event, keepdim=True).frexp().exponent.double() for x in (scores, known)]
    most = 1000 if offset is None else 0
    share = (exponents[0] - exponents[1]).clamp(-1000, most).exp2()  # makes the truth as large as the prediction
    unit = (-exponents[0]).clamp(-1000, 0).exp2()  # sums of scores at the end of float64 are no floats
    small = scores * unit
    undecided = torch.ones(scores.shape[: scores.dim() - len(event)], dtype=torch.bool, device=scores.device)
    for shift in SHIFTS:
        delta = share * 2.0**-shift
        moved = scores - delta * known
        if offset is not None:  # f(theta_hat) - delta f(theta), divided so that it holds h once
            moved = moved / (1 - delta)
        refuse_lifted(polytope, moved, "theta_hat - delta truth")
        structures = polytope.argmax(moved, mask)
        lead = inner(polytope, small, taken - structures)
        size = inner(polytope, small.abs(), taken.abs() + structures.abs())
        below = heights(polytope, structures)
        if offset is not None and below is not None:
            high, low = (unit.view(lead.shape) * h for h in (offset, below))
            lead, size = lead + high - low, size + high.abs() + low.abs()
        tied = undecided & (lead <= ROUNDING * size)
        taken = torch.where(tied.view(*tied.shape, *(1,) * len(event)), structures, taken)
        undecided = undecided & ~tied
        if not bool(concrete(undecided).any()):
            break
    return taken
