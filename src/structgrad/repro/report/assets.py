"""The page's templates, styles and script: files of their own, which the page holds inline."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

FOLDER = "templates/report"  # within structgrad.repro
STYLES = ("page.css", "map.css", "tables.css", "panel.css", "pictures.css", "print.css")
SCRIPTS = ("start.js", "filter.js", "map.js", "strip.js", "panel.js", "scroll.js")


def names() -> list[str]:
    """All of these files, as the package ``repro`` names them: editing one builds the page anew."""
    return sorted(f"{FOLDER}/{file.name}" for file in files("structgrad.repro").joinpath(FOLDER).iterdir())


def style() -> str:
    """All styles, in order."""
    return "".join(map(_text, STYLES))


def script() -> str:
    """All of the script, as one function that is called at once: nothing becomes global."""
    return f'"use strict";\n(() => {{\n{"".join(map(_text, SCRIPTS))}}})();\n'


def digest(text: str) -> str:
    """How a content security policy names a script that may run: ``sha256-...``."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


@cache
def environment() -> Any:
    """The environment of the templates."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("structgrad.repro", FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _text(name: str) -> str:
    return (files("structgrad.repro") / FOLDER / name).read_text(encoding="utf-8")
