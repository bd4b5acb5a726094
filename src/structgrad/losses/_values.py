"""What a structure is worth under the true scores, and what losses that compare such worths have in common."""

from __future__ import annotations

from math import prod

from torch import Tensor, strided

from structgrad.arguments import kind
from structgrad.autograd import constant
from structgrad.polytopes.base import Polytope
from structgrad.portable import dots
from structgrad.transforms import concrete


def inner(polytope: Polytope, theta: Tensor, y: Tensor) -> Tensor:
    """``<theta, y>`` of every item, ``(...)`` float64, without gradient."""
    leading = theta.shape[: theta.dim() - len(polytope.event_shape)]
    rows = (prod(leading), prod(polytope.event_shape))
    return constant(dots, theta.detach().double().reshape(rows), y.detach().double().reshape(rows)).view(leading)


def heights(polytope: Polytope, y: Tensor) -> Tensor | None:
    """``h(y)`` of structures ``(..., *event)``, ``(...)`` float64, without gradient; None where there is no h."""
    if not polytope.has_offset:
        return None
    leading = y.shape[: y.dim() - len(polytope.event_shape)]
    flat = polytope.of_items(..., leading)
    return constant(flat.offset, y.reshape(prod(leading), *polytope.event_shape)).view(leading)


def gain(polytope: Polytope, theta: Tensor, better: Tensor, worse: Tensor) -> Tensor:
    """``<theta, better - worse> + h(better) - h(worse)``, ``(...)`` float64: exactly 0 for equal structures."""
    difference = inner(polytope, theta, better.double() - worse.double())
    above, below = heights(polytope, better), heights(polytope, worse)
    return difference if above is None or below is None else difference + (above - below)


def checked_pair(polytope: Polytope, theta_hat: Tensor, truth: Tensor, minimise: bool) -> tuple[Tensor, Tensor]:
    """Predicted and true scores to maximise, float64, of the predictions' shape; the true ones without gradient.

    Raises:
        ValueError: scores that are none of the polytope; true ones that do not broadcast to the predicted ones.
    """
    kind(polytope, "polytope", Polytope, "a polytope")._check(theta_hat, "theta_hat")
    kind(truth, "truth", Tensor, "a tensor of true scores")
    kind(minimise, "minimise", bool, "True or False")
    if truth.is_complex() or truth.layout != strided:
        held = f"{truth.dtype}, {truth.layout}"
        raise ValueError(f"truth of shape {tuple(truth.shape)} must hold dense real numbers, not {held}")
    try:
        known = truth.detach().double().expand(theta_hat.shape)
    except RuntimeError:
        raise ValueError(f"truth of shape {tuple(truth.shape)} does not fit scores {tuple(theta_hat.shape)}") from None
    polytope._check(known, "truth")
    scores = theta_hat.double()
    scores, known = (-scores, -known) if minimise else (scores, known)
    refuse_lifted(polytope, known, "truth")
    return scores, known


def refuse_lifted(polytope: Polytope, scores: Tensor, name: str) -> None:
    """Refuse scores above zero where they count as zero: what is found is then not what has the largest value.

    Raises:
        ValueError: there are some.
    """
    if polytope.nonpositive and bool(concrete(scores > 0).any()):
        raise ValueError(
            f"{name} of shape {tuple(scores.shape)} has scores above zero (costs below), which count as zero over "
            f"{type(polytope).__name__}; a BlackBox with a solver for both signs takes them"
        )
