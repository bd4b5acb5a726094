"""Tables as a terminal shows them: what has a value, as many arms at a time as the width holds, then a tally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from structgrad.experiments import Arm
from structgrad.repro.judging.verdicts import VERDICTS
from structgrad.repro.tables.panels import Panel, Shown, Table, joined

STYLES = {"reproduced": "green", "shifted": "yellow", "differs": "red"}
GAP = 2  # characters between columns


def draw(table: Table, width: int, further: bool = False) -> Iterator[Any]:
    """What ``rich`` prints of a table in ``width`` characters: its heading, and per metric as many pieces as it takes.

    The answers to printed numbers; where ``further``, all other cells in their place. Settings and arms without any
    value are left out; nothing comes of a table without any. A table for which the paper prints nothing has no answers:
    it is shown as it is.
    """
    from rich.markup import escape
    from rich.padding import Padding

    pieces = [piece for panel in table.panels for piece in _panel(table, panel, width, further)]
    if pieces:
        more = ": further readings" if further and table.printed else ""
        yield f"[bold]{escape(table.heading + more)}[/]"
        yield f"[dim]{escape(table.scale_line)}[/]"
        yield from (Padding(piece, (1, 0, 0, 0)) for piece in pieces)
        yield ""


def tally(tables: Iterable[Table]) -> str:
    """How many of the answers have which verdict, with the mark that the tables have for it."""
    verdicts = Counter(cell.verdict for cell in _cells(tables) if cell.answer)
    parts = (f"{verdicts[name]} {verdict.mark} {name}" for name, verdict in VERDICTS.items() if verdicts[name])
    count = sum(verdicts.values())
    return f"{count} printed numbers: {', '.join(parts)}" if count else "the papers print no number for these"


def readings(tables: Iterable[Table]) -> int:
    """How many further readings have a value, beside the answers."""
    return sum(bool(cell.value) and not cell.answer for table in tables if table.printed for cell in _cells([table]))


def _cells(tables: Iterable[Table]) -> Iterator[Shown]:
    for table in tables:
        for panel in table.panels:
            for _, cells in panel.rows:
                yield from cells


def _panel(table: Table, panel: Panel, width: int, further: bool) -> Iterator[Any]:
    def shown(cell: Shown) -> bool:
        return bool(cell.value) and (cell.answer is not further if table.printed else not further)

    rows = [(name, cells) for name, cells in panel.rows if any(map(shown, cells))]
    places = [i for i in range(len(panel.arms)) if any(shown(cells[i]) for _, cells in rows)]
    texts = {i: [_lines(cells[i]) if shown(cells[i]) else [] for _, cells in rows] for i in places}
    widths = [_width(panel.arms[i], texts[i]) for i in places]
    first = max([len(table.axis), *(len(name) for name, _ in rows)], default=0)
    for piece in _packed(widths, width - first):
        yield _piece(table, panel, rows, [places[at] for at in piece], texts)


def _packed(widths: Sequence[int], room: int) -> Iterator[list[int]]:
    """The places of the columns of each piece, as many as its room holds and at least one."""
    piece: list[int] = []
    left = room
    for place, width in enumerate(widths):
        if piece and width + GAP > left:
            yield piece
            piece, left = [], room
        piece.append(place)
        left -= width + GAP
    if piece:
        yield piece


def _piece(
    table: Table,
    panel: Panel,
    rows: Sequence[tuple[str, Sequence[Shown]]],
    places: Sequence[int],
    texts: dict[int, list[list[str]]],
) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table as RichTable

    title = f"{escape(panel.metric.title)} ({escape(panel.metric.unit)})"
    drawn = RichTable(
        title=title, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=(0, GAP, 0, 0), pad_edge=False,
        show_edge=False,
    )  # fmt: skip
    drawn.add_column(escape(table.axis), no_wrap=True)
    for i in places:
        drawn.add_column(escape(panel.arms[i].column), min_width=max(map(len, _all(texts[i])), default=1))
    for row, (name, cells) in enumerate(rows):
        marked = (_marked_up(texts[i][row], cells[i], escape) for i in places)
        drawn.add_row(escape(name), *marked)
    return drawn


def _lines(cell: Shown) -> list[str]:
    """Ours with the verdict's mark, its interval, and the paper's number."""
    interval = cell.interval.strip("[]").replace(", ", "–")
    paper = f"paper {cell.published}" if cell.published else ""
    return [joined(cell.value, cell.mark), interval, paper]


def _marked_up(lines: Sequence[str], cell: Shown, escape: Any) -> str:
    if not lines:
        return ""
    value, interval, paper = map(escape, lines)
    shown = [f"[{STYLES.get(cell.verdict, 'dim')}]{value}[/]"]
    shown += [f"[dim]{interval}[/]"] if interval else []
    shown += [paper] if paper else []
    return "\n".join(shown)


def _all(texts: Sequence[Sequence[str]]) -> Iterator[str]:
    return (line for lines in texts for line in lines)


def _width(arm: Arm, texts: Sequence[Sequence[str]]) -> int:
    return max(len(word) for word in [*arm.column.split(), *_all(texts)])
