"""How all pictures look, and how one becomes bytes that are the same on every machine."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

# Okabe & Ito's palette, told apart by readers with any colour vision, its light colours darkened until a thin line
# shows on white (3:1); markers and dashes repeat what it says. The page's style sheet has each for dark grounds, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B8609A", "#A87000", "#000000", "#2E8FC7", "#8A7D00")
MARKERS = ("o", "s", "^", "D", "v", "x", "P", "*")
DASHES = ("-", "-", "--", "-", "--", ":", "-.", "-.")
# The palette's second, third, ... round: dashes that its first does not have.
ROUNDS = ((0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (9, 3)))

# How arms that do not learn are drawn, in their order: what the others are held against.
GREY = "#777777"
GRID = "#dddddd"
REFERENCES: Any = ("--", ":", "-.", (0, (8, 3)))

ATTRIBUTE = re.compile(r'="[^"]*"')
LONG = re.compile(r"(\.\d{4})\d+")
HASHED = re.compile(r"\b([mp])([0-9a-f]{10})\b")  # a marker's or a clip path's name
NAMED = re.compile(r' id="(?!axes_)([^"]+)"')  # panels keep their names
BARE = re.compile(r"<g>\n((?:(?!</?g\b).)*)</g>\n", re.DOTALL)  # a group that groups nothing

WIDTH = 6.4  # inches that a title needs
LETTERS = 13.5  # of a title, in an inch

STYLE: Any = {
    "svg.hashsalt": "structgrad",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
}


def stroke(place: int) -> tuple[str, Any]:
    """Colour and dashes of the line at a place among others; 32 places have looks of their own."""
    lap, index = divmod(place, len(COLOURS))
    return COLOURS[index], DASHES[index] if lap == 0 else ROUNDS[(lap - 1) % len(ROUNDS)]


def reference(place: int) -> dict[str, Any]:
    """Colour, dashes and width of the line at a place among those of arms that do not learn."""
    return {"color": GREY, "linestyle": REFERENCES[place % len(REFERENCES)], "linewidth": 0.9}


def start_at_zero(axes: Any) -> None:
    """Let the vertical axis start at 0, with room for the half of a mark that lies below."""
    top = axes.get_ylim()[1]
    axes.set_ylim(-0.02 * top, top)


@contextmanager
def picture(width: float, height: float) -> Iterator[tuple[Any, io.BytesIO]]:
    """A figure of that size in inches to draw on; once the block is left the buffer holds its svg.

    Coordinates are cut to four decimals, of which nobody sees the last two; with four the audit knows a coordinate.
    What nobody sees goes: comments, indentation, names of all but panels that nothing
    points at, groups that group nothing, turns by zero.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    content = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # nobody's own style shows
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, content
        if figure.axes and (engine := figure.get_layout_engine()):
            engine.execute(figure)
        figure.set_layout_engine(None)  # matplotlib would draw everything once more to lay it out
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        svg = ATTRIBUTE.sub(lambda match: LONG.sub(r"\1", match[0]), drawn.getvalue().decode("utf-8"))
        content.write(_slim(_numbered(svg)).encode("utf-8"))


def _numbered(svg: str) -> str:
    """Markers and clip paths named by their order of appearance.

    Matplotlib names them by a hash of their coordinates, all digits included; the last ones differ between machines.
    """
    places: dict[str, int] = {}
    return HASHED.sub(lambda match: f"{match[1]}{places.setdefault(match[0], len(places) + 1)}", svg)


def _slim(svg: str) -> str:
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r" transform=\"rotate\(-0 [^\"]*\"|(?<=\n) +| (?=\n)", "", svg)
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", svg))
    svg = NAMED.sub(lambda match: match[0] if match[1] in used else "", svg)
    while (lighter := BARE.sub(r"\1", svg)) != svg:
        svg = lighter
    return svg


def legend(figure: Any, handles: Mapping[str, Any], columns: int) -> None:
    """What each name looks like, below the panels; nothing where nothing was drawn."""
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False)


def headline(figure: Any, title: str, below: str = "") -> None:
    """The title over all panels, in as many lines as the figure's width asks for."""
    lines = wrap(title, int(LETTERS * figure.get_figwidth()))
    figure.suptitle("\n".join([*lines, *filter(None, [below])]), fontsize=10)


def nothing(figure: Any) -> None:
    """Say that there is nothing to draw yet."""
    figure.text(0.5, 0.5, "no record yet", ha="center", va="center", color=GREY)
