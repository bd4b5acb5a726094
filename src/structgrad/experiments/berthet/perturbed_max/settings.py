"""What a setting such as ``epsilon=0.1`` makes of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def resolved(config: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """The configuration with the setting's epsilon."""
    return {**config, "epsilon": float(setting.removeprefix("epsilon="))}
