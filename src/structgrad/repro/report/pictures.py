"""Pictures within a page: ids of their own, a label, colours that follow the page's light or dark."""

from __future__ import annotations

import re
from collections import Counter

from structgrad.repro.figures.drawing import COLOURS, GREY, GRID

# What a drawing's colours are called in the page's style sheet, which knows each of them in light and dark.
NAMES = {"#ffffff": "--paper", "#000000": "--pen", GRID: "--grid", GREY: "--grey"} | {
    colour.lower(): f"--c{place}" for place, colour in enumerate(COLOURS) if colour != "#000000"
}
PICTURE = re.compile(r'<svg role="img".*?</svg>', re.DOTALL)
STYLED = re.compile(r' style="([^"]*)"')
COLOUR = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})")


def inline(svg: bytes, prefix: str, label: str) -> str:
    """An svg file as an element of a page: no prolog, ids that are its own, a label for screen readers.

    The font's name, which the page gives, goes from every letter.
    """
    from html import escape

    text = svg.decode("utf-8")
    text = re.sub(r"; font-family: '[^']*'", "", text[text.index("<svg") :])
    text = re.sub(r'( id="|href="#|url\(#)', rf"\1{prefix}", text)
    text = COLOUR.sub(lambda match: f"{match[1]}: {_followed(match[2])}", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label, quote=True)}"', 1)


def share_styles(page: str) -> str:
    """The page with every style that its pictures use more than once as a class, which its style sheet ends with.

    Matplotlib writes each element's style out, some 160 different ones thousands of times: a fifth of the page.
    """
    counts = Counter(STYLED.findall("".join(PICTURE.findall(page))))
    names = {style: f"k{place}" for place, style in enumerate(style for style, count in counts.items() if count > 1)}

    def named(match: re.Match[str]) -> str:
        return f' class="{names[match[1]]}"' if match[1] in names else match[0]

    page = PICTURE.sub(lambda picture: STYLED.sub(named, picture[0]), page)
    # as specific as it takes to come before what the sheet says of all texts of pictures
    rules = "".join(f".picture .{name}{{{style}}}\n" for style, name in names.items())
    return page.replace("</style>", f"{rules}</style>", 1)


def _followed(colour: str) -> str:
    return f"var({NAMES[colour]})" if colour in NAMES else colour
