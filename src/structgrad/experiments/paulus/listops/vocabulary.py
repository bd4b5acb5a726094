"""The symbols of ListOps: digits, operators, the closing bracket, and padding."""

from __future__ import annotations

OPERATORS = ("MIN", "MAX", "MED", "SM")  # SM, the sum modulo 10, stands in the original data only
SYMBOLS = (*map(str, range(10)), *(f"[{name}" for name in OPERATORS), "]")
IDS = {symbol: number for number, symbol in enumerate(SYMBOLS)}

MIN, MAX, MED, SM = range(10, 14)
CLOSE = 14
PAD = 15
COUNT = 16  # below 256: symbols are held in bytes
CLASSES = 10  # the value of every expression is a digit
