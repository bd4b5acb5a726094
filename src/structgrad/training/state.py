"""What a checkpoint holds of an object: the attributes that its class names."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn


class Stateful:
    """Saved and restored by the attributes named in ``kept``.

    Generators, networks, optimisers and other stateful objects are saved by what they hold and restored in place, also
    in lists and dictionaries; everything else is saved as it is and set again. A subclass adds to its base's names:
    ``kept = (*Base.kept, "epsilon")``.
    """

    kept: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """Everything that later steps and results depend on, as a checkpoint can hold it."""
        return {name: _saved(getattr(self, name)) for name in self.kept}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        for name in self.kept:
            current = getattr(self, name)
            restored = _restored(current, state[name])
            if restored is not current:
                setattr(self, name, restored)


def _saved(value: Any) -> Any:
    match value:
        case torch.Generator():
            return value.get_state()
        case nn.Module() | torch.optim.Optimizer():
            return value.state_dict()
        case Stateful():
            return value.state()
        case Tensor():
            return value.detach()
        case list():
            return [_saved(part) for part in value]
        case tuple():
            return tuple(map(_saved, value))
        case dict():
            return {key: _saved(part) for key, part in value.items()}
    return value


def _restored(current: Any, saved: Any) -> Any:
    match current:
        case torch.Generator():
            current.set_state(saved)
        case nn.Module() | torch.optim.Optimizer():
            current.load_state_dict(saved)
        case Stateful():
            current.restore(saved)
        case list() | tuple() if any(map(_in_place, current)):
            for part, of_part in zip(current, saved, strict=True):
                _restored(part, of_part)
        case dict() if any(map(_in_place, current.values())):
            for key, part in current.items():
                _restored(part, saved[key])
        case _:
            return saved
    return current


def _in_place(value: Any) -> bool:
    """Whether it is restored in place, or holds what is."""
    if isinstance(value, list | tuple):
        return any(map(_in_place, value))
    if isinstance(value, dict):
        return any(map(_in_place, value.values()))
    return isinstance(value, torch.Generator | nn.Module | torch.optim.Optimizer | Stateful)
