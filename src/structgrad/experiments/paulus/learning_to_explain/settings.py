"""What a setting such as ``synthetic aroma k=5`` makes of a configuration: its corpus, its aspect and its k."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structgrad.errors import UserError

SYNTHETIC = "synthetic "


def resolved(config: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """The configuration with one value where there is one for each corpus (``synthetic``, ``beer``), and the setting's
    corpus, aspect and k.

    Raises:
        UserError: a mapping by corpus lacks the setting's.
    """
    corpus = "synthetic" if setting.startswith(SYNTHETIC) else "beer"
    aspect, _, k = setting.removeprefix(SYNTHETIC).partition(" k=")

    def value(name: str, given: Any) -> Any:
        if name == "search" or not isinstance(given, Mapping):
            return given
        if corpus not in given:
            raise UserError(f"{name} has no value for the corpus {corpus}, only for {', '.join(given)}")
        return given[corpus]

    return {name: value(name, given) for name, given in config.items()} | {
        "corpus": corpus,
        "aspect": aspect,
        "k": int(k),
    }
