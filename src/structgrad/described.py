"""What the public classes say of themselves."""

from __future__ import annotations

from inspect import ismethod, isroutine, signature
from typing import Any

from torch import Tensor


class Described:
    """Tells in its ``repr`` what it holds: the arguments of its constructor, read from attributes of their names.

    Those that are as by default are left out.
    """

    def __repr__(self) -> str:
        shown = []
        for name, parameter in signature(type(self).__init__).parameters.items():
            if name == "self" or parameter.kind is parameter.VAR_KEYWORD:
                continue
            value = self._held(name)
            if value is _ABSENT:
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                shown += map(told, value)
            elif _same(value, parameter.default):
                continue
            elif parameter.default is parameter.empty:
                shown.append(told(value))
            else:
                shown.append(f"{name}={told(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _held(self, name: str) -> Any:
        """What it holds of the argument of that name; a class that keeps it otherwise says how."""
        for attribute in (f"_{name}", name):
            value = getattr(self, attribute, _ABSENT)
            if value is not _ABSENT and not ismethod(value):
                return value
        return _ABSENT


_ABSENT = object()


def told(value: Any) -> str:
    """A value as a ``repr`` shows it: a tensor of several numbers by its shape, a function by its name."""
    if isinstance(value, Tensor):
        learns = " that learns" if value.requires_grad else ""
        if value.numel() == 1 and value.device.type != "meta":
            return f"{value.item():.6g}{learns}"
        return f"tensor of shape {tuple(value.shape)}{learns}"
    if isroutine(value) or isinstance(value, type):
        return value.__name__
    return repr(value)


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, Tensor):
        return False
    if isinstance(default, Described):
        return repr(value) == repr(default)
    return value is default or (type(value) is type(default) and value == default)
