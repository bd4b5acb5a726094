"""A figure of maps with paths on them: the terrain, its true costs, and what each arm predicts and finds."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from math import isqrt
from typing import Any

from structgrad.experiments import Experiment, PathMaps
from structgrad.repro.figures.drawing import COLOURS, headline, nothing, picture
from structgrad.repro.judging.cells import Cell
from structgrad.repro.tables.comma_separated import comma_separated

COLUMNS = ("map", "arm", "column", "part", "row", "place", "value")
TRUE, TERRAIN = "true costs", "terrain"
PANEL = 1.9  # inches
SIDE, SEAM = 12.0, 0.03  # of a frame, and how far a patch reaches below its neighbours: no ground shows between them
SHADES = "cividis"  # told apart with any colour vision, and in grey


def reading(figure: PathMaps, experiment: Experiment) -> str:
    """How to read the picture."""
    return (
        "Each row is a test map: its terrain and its true costs with the true path, then what each arm predicts per "
        "cell with the path that it finds (first replica). Dark is cheap; each panel has its own scale, since only "
        "ratios of costs matter. For the squared loss a cell's number is its predicted place on the path."
    )


def data(figure: PathMaps, experiment: Experiment, cells: Iterable[Cell]) -> bytes:
    """The csv under :data:`COLUMNS`: one line per map, arm, part and cell.

    Parts of the terrain (no arm): ``image``, a colour of a patch, finer than cells; ``costs`` and ``path``, the true
    ones. Parts of an arm: ``predicted`` and ``found``. They are those of the arm's first replica.
    """
    shown_by = _examples(figure, experiment, cells)
    rows: list[Sequence[Any]] = []
    for number, shown in enumerate(next(iter(shown_by.values()), ())):
        rows += _cells(number, "", "", "image", _hexadecimal(shown["image"]))
        rows += [row for part in ("costs", "path") for row in _cells(number, "", "", part, shown[part])]
        for arm, examples in shown_by.items():
            for part in ("predicted", "found"):
                column = experiment.arm(arm).column
                rows += _cells(number, arm, column, part, examples[number][part])
    return comma_separated(COLUMNS, rows).encode("utf-8")


def has_ours(content: bytes) -> bool:
    """Whether there is any map in :func:`data`."""
    return content.count(b"\n") > 1


def draw(content: bytes, figure: PathMaps, experiment: Experiment, title: str) -> bytes:
    """The svg of :func:`data`."""
    parts = _parts(content)
    maps = list(dict.fromkeys(number for number, *_ in parts))
    arms = [(arm, column) for _, arm, column, part in parts if part == "found"]
    arms = list(dict.fromkeys(arms))
    across, down = 2 + len(arms), max(1, len(maps))
    with picture(PANEL * across, (PANEL + 0.1) * down + 0.5) as (canvas, drawn):
        for i, number in enumerate(maps):
            panels = [canvas.add_subplot(down, across, i * across + j + 1) for j in range(across)]
            true = parts[number, "", "", "path"]
            _patches(panels[0], parts[number, "", "", "image"])
            _walk(panels[0], true)
            _shades(panels[1], parts[number, "", "", "costs"])
            _walk(panels[1], true)
            for axes, (arm, column) in zip(panels[2:], arms, strict=True):
                _shades(axes, parts[number, arm, column, "predicted"])
                _walk(axes, parts[number, arm, column, "found"])
            if i == 0:
                for axes, name in zip(panels, (TERRAIN, TRUE, *(column for _, column in arms)), strict=True):
                    axes.set_title(name, fontsize=8)
        if not maps:
            nothing(canvas)
        headline(canvas, title)
    return drawn.getvalue()


def _examples(figure: PathMaps, experiment: Experiment, cells: Iterable[Cell]) -> dict[str, Sequence[Any]]:
    """By arm, the examples of its first replica at the setting, where that has any."""
    found: dict[str, Sequence[Any]] = {}
    for cell in cells:
        for piece in cell.evidence:
            first = piece.record["results"][0]
            if cell.setting == figure.setting and first["replica"] == 0 and first.get("examples"):
                found[cell.arm.name] = first["examples"]
    return {arm.name: found[arm.name] for arm in experiment.arms if arm.name in found}


def _cells(number: int, arm: str, column: str, part: str, values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    side = isqrt(len(values))
    for at, value in enumerate(values):
        shown = value if isinstance(value, str) else f"{value:.6g}"
        yield number, arm, column, part, *divmod(at, side), shown


def _hexadecimal(image: Sequence[int]) -> list[str]:
    return ["#" + "".join(f"{int(part):02x}" for part in image[at : at + 3]) for at in range(0, len(image), 3)]


def _parts(content: bytes) -> dict[tuple[str, str, str, str], list[list[str]]]:
    """The values of each map, arm, column and part as a square."""
    squares: dict[tuple[str, str, str, str], list[list[str]]] = {}
    for row in csv.DictReader(content.decode("utf-8").splitlines()):
        square = squares.setdefault((row["map"], row["arm"], row["column"], row["part"]), [])
        if row["place"] == "0":
            square.append([])
        square[-1].append(row["value"])
    return squares


def _patches(axes: Any, colours: Sequence[Sequence[str]]) -> None:
    """Squares of one colour each, in a frame of 12 x 12 whatever their number.

    Patches and no image: an svg holds an image packed, which not every machine packs alike.
    """
    from matplotlib.patches import Rectangle

    size = SIDE / len(colours)
    wide = size + SEAM, size + SEAM
    for i, row in enumerate(colours):
        for j, colour in enumerate(row):
            patch = Rectangle((j * size, i * size), *wide, facecolor=colour, linewidth=0, antialiased=False)
            patch.set_in_layout(False)
            axes.add_patch(patch)
            patch.set_clip_on(False)
    axes.set(xlim=(0, SIDE), ylim=(SIDE, 0), aspect="equal", xticks=[], yticks=[])
    axes.grid(False)


def _shades(axes: Any, numbers: Sequence[Sequence[str]]) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    values = [[float(number) for number in row] for row in numbers]
    low, high = min(map(min, values)), max(map(max, values))
    shade = colormaps[SHADES]
    _patches(axes, [[to_hex(shade((value - low) / ((high - low) or 1.0))) for value in row] for row in values])


def _walk(axes: Any, path: Sequence[Sequence[str]]) -> None:
    """The cells of a path, which need no order: a dot in each."""
    cells = [(j + 0.5, i + 0.5) for i, row in enumerate(path) for j, value in enumerate(row) if value == "1"]
    if cells:
        axes.plot(*zip(*cells, strict=True), "o", color="white", markeredgecolor=COLOURS[1], markersize=4.2)
