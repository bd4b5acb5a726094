"""The tables of the library's benchmark, for the terminal and for docs/performance.md."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from math import floor, log10
from pathlib import Path

from measure import Spread
from rich import box
from rich.console import Console
from rich.table import Table as RichTable

MISS = "MISS"


@dataclass
class Table:
    """Rows of text under a title, and notes below them."""

    title: str
    headers: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, console: Console) -> None:
        table = RichTable(*self.headers, title=self.title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
        for row in self.rows:
            missed = MISS in row
            table.add_row(*row, style="bold red" if missed else None)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", highlight=False)

    def markdown(self) -> str:
        grid = [self.headers, ["---"] * len(self.headers), *self.rows]
        lines = [f"**{self.title}**", "", *(f"| {' | '.join(row)} |".replace("\n", "<br>") for row in grid)]
        if self.notes:
            lines += ["", *(f"* {note}" for note in self.notes)]
        return "\n".join(lines)


def rewrite(page: Path, name: str, tables: list[Table]) -> None:
    """Put the tables between the page's markers of that name.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    body = "\n\n".join([begin, *(table.markdown() for table in tables), end])
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    text, count = pattern.subn(lambda _: body, page.read_text(encoding="utf-8"))
    if count != 1:
        raise ValueError(f"{page.name} must hold {begin} and {end} once, not {count} times")
    page.write_text(text, encoding="utf-8")


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    digits = max(0, 2 - floor(log10(value))) if value > 0 else 0
    return f"{value:.{digits}f}"


def spread(values: Spread, unit: str = "") -> str:
    """Median (min..max)."""
    return f"{number(values.median)}{unit} ({number(values.low)}..{number(values.high)})"


def machine() -> str:
    """Processor, cores and versions, in a line."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.+)$", cpuinfo.read_text() if cpuinfo.exists() else "", re.MULTILINE)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "numba", "scipy", "networkx"))
    return f"{(*names, platform.machine())[0]}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}"
