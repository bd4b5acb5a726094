"""What torch's transforms see of the library: the numbers behind wrapped tensors, and a line where one cannot work.

``torch.func`` wraps the tensors that it differentiates or maps; kernels and checks need the numbers inside. Kernels are
called in the ``forward`` of a node (:mod:`structgrad.autograd`), which gets them bare; checks take :func:`concrete`.
The names of torch that this module needs have no public counterpart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._C import _functorch  # type: ignore[attr-defined]
from torch._C._dynamo import eval_frame
from torch.autograd import forward_ad

F = TypeVar("F", bound=Callable[..., Any])
REASON = "structgrad's solvers and their checks look at numbers, which a graph does not have"

active: Callable[[], bool] = torch._C._are_functorch_transforms_active  # whether a transform of torch.func is running


def concrete(value: Tensor) -> Tensor:
    """The numbers behind what ``torch.func`` wrapped, mapped dimensions first; any other tensor itself."""
    while active() and _functorch.is_functorch_wrapped_tensor(value):
        place = _functorch.maybe_get_bdim(value)
        value = _functorch.get_unwrapped(value)
        value = value if place < 0 else value.movedim(place, 0)
    return value


def moves(value: Tensor) -> bool:
    """Whether a derivative in it may be asked for: backward, forward, or by a transform."""
    wrapped = active() and _functorch.is_functorch_wrapped_tensor(value)
    return value.requires_grad or wrapped or forward_ad.unpack_dual(value).tangent is not None


def check_export() -> None:
    """Refuse to run where there are no numbers to look at.

    Raises:
        NotImplementedError: within ``torch.export``.
    """
    if torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling():
        raise NotImplementedError(f"structgrad cannot be exported: {REASON}; export what comes before it and after it")


def _levels(kind: Any) -> list[Any]:
    """The transforms of one kind that are running, the outermost first."""
    return [level for level in _functorch.get_interpreter_stack() or () if level.key() == kind] if active() else []


def check_order() -> None:
    """Refuse a forward derivative of another one: in a node's ``jvp`` torch forgets the tangents of those around.

    Raises:
        RuntimeError: jvp within jvp.
    """
    if len(_levels(_functorch.TransformType.Jvp)) > 1:
        raise RuntimeError(
            "a forward derivative of a forward derivative is not known here: take hessian, or jacfwd(jacrev(f))"
        )


def derivatives() -> int:
    """How many derivatives by ``torch.func`` are running, one within the other."""
    return len(_levels(_functorch.TransformType.Jvp)) + len(_levels(_functorch.TransformType.Grad))


def check_draws() -> None:
    """Refuse draws that would differ among what is mapped: ``randomness="same"`` must be asked for.

    Raises:
        RuntimeError: ``torch.func.vmap`` was asked for something else.
    """
    for level in _levels(_functorch.TransformType.Vmap):
        if _functorch.CVmapInterpreterPtr(level).randomness() != _functorch.RandomnessType.Same:
            raise RuntimeError(
                "a layer that draws needs randomness='same' (one noise for all that is mapped) in vmap, jacfwd, and in "
                "jacfwd(jacrev(f)) for hessian; for noise of its own give theta another leading dimension instead"
            )


def opaque(function: F) -> F:
    """``function`` itself, which ``torch.compile`` runs as it is, between two graphs.

    What ``torch.compiler.disable(reason=...)`` does, without its import of all of the compiler and a frame per call.
    """
    function._torchdynamo_disable, function._torchdynamo_disable_msg = True, REASON  # type: ignore[attr-defined]
    skip = eval_frame._FrameAction.SKIP
    eval_frame.set_code_exec_strategy(function.__code__, eval_frame._FrameExecStrategy(skip, skip))
    return function
