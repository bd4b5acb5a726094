"""Numbers as text, the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

SURE = 9  # decimals that no machine's summation order touches
MORE_DIGITS = 2  # of what machines read over what a reader is shown


def fixed(value: float | None, digits: int) -> str:
    """``value`` with that many decimals, empty for None.

    The last bits of a float may differ between machines; they are cut at the ninth decimal first, so that a
    value that lies on a border falls to the same side everywhere.
    """
    if value is None:
        return ""
    sure = Decimal(f"{value:.{SURE}f}")
    text = str(sure.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN))
    return text.lstrip("-") if not float(text) else text


def position(setting: str, settings: Sequence[str]) -> str:
    """The number in ``d=25``; the place in the list where a setting holds none."""
    tail = setting.partition("=")[2]
    return tail if tail.replace(".", "", 1).isdigit() else str(settings.index(setting) + 1)
