"""The workflow in one file: what a crate has for its main entity, because what a crate names lies within its folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from structgrad.repro.documents import read_text
from structgrad.repro.planning.paths import project_root, results

NAME = "workflow.smk"
INCLUDE = re.compile(r'^include: "([^"]+)"$', re.MULTILINE)
HEAD = "# The Snakefile of this repository with the rules that it includes in their places, to read; it runs there.\n"


def text() -> str:
    """The Snakefile, with the text of every file that it includes.

    Raises:
        DocumentError: one of them cannot be read.
    """
    root = project_root()
    return HEAD + INCLUDE.sub(lambda found: read_text(root / found[1]).rstrip("\n"), read_text(root / "Snakefile"))


def digest() -> str:
    """sha256 of :func:`text`."""
    return hashlib.sha256(text().encode("utf-8")).hexdigest()


def path_of(scale: str) -> Path:
    """Where it lies among a scale's results."""
    return results(scale) / NAME
