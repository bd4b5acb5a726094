"""Numbers as text, the same on every machine."""

from __future__ import annotations

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


def number(setting: str) -> str:
    """The number in ``d=25``.

    Raises:
        ValueError: the setting is a name: it has no place on an axis.
    """
    tail = setting.partition("=")[2]
    if not tail.replace(".", "", 1).isdigit():
        raise ValueError(f"setting {setting!r} holds no number")
    return tail
