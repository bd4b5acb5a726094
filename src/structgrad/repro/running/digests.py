"""Digests of what a number depends on: the package's sources, and the lock of its libraries."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from functools import cache
from pathlib import Path

from structgrad.experiments import PAPERS, REGISTRY
from structgrad.files import sha256
from structgrad.repro.planning.paths import project_root
from structgrad.repro.running import essences

HERE = Path(__file__).parents[1]  # the package `repro`
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def source_digest(module: str, *data: str) -> str:
    """sha256 over ``module``, every module of the package that it imports, directly or not, and ``data``.

    Comments and docstrings do not count, so that explaining the code reruns nothing, and neither do the packages'
    ``__init__`` files on the way: what they import for convenience is not what the module uses. ``data`` names the
    files of this package that it reads, such as templates; of them every byte counts.
    """
    lines = [f"{name} {_file_digest(_file(name))}" for name in sorted(closure(module))]
    lines += [f"{name} {sha256(HERE / name)}" for name in data]
    essences.keep()
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def declared_digest(*files: str) -> str:
    """sha256 over what papers and experiments declare, which are read from their folders, not imported by name.

    That is each ``paper.py`` and ``spec.py`` with all that it imports, and the files below each paper's folder that
    match one of ``files``.
    """
    lines = [source_digest(f"{experiment.package}.spec") for experiment in REGISTRY.values()]
    for paper in PAPERS:
        lines.append(source_digest(f"structgrad.experiments.{paper}.paper"))
        for path in sorted(path for pattern in files for path in (HERE.parent / "experiments" / paper).glob(pattern)):
            lines.append(f"{paper} {path.name} {sha256(path)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def closure(module: str) -> frozenset[str]:
    """The names of ``module`` and all modules of structgrad that it imports."""
    return frozenset({module}) | _graph().find_upstream_modules(module)


@cache
def _graph():
    import grimp

    return grimp.build_graph("structgrad", cache_dir=None, exclude_type_checking_imports=True)


@cache
def _file(module: str) -> Path:
    """Where a module's source lies; nothing is imported, not even the packages on the way."""
    place = HERE.parents[1].joinpath(*module.split("."))
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    raise ModuleNotFoundError(module)


@cache
def _file_digest(path: Path) -> str:
    content = path.read_bytes()
    return essences.digest(content, lambda: essence(content.decode()))


def essence(source: str) -> str:
    """The source without comments, docstrings and blank lines."""
    lines = source.splitlines()
    drop: list[tuple[int, int, int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            drop.append((token.start[0], token.start[1], token.end[0], token.end[1]))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            drop.append((text.lineno, text.col_offset, text.end_lineno or 0, text.end_col_offset or 0))
    for top, left, bottom, right in sorted(drop, reverse=True):
        head, tail = lines[top - 1].encode()[:left], lines[bottom - 1].encode()[right:]
        lines[top - 1 : bottom] = [(head + tail).decode()] + [""] * (bottom - top)
    return "\n".join(stripped for line in lines if (stripped := line.rstrip()))


def lock_digest() -> str | None:
    """sha256 of ``requirements.lock``; None where there is none."""
    return _lock_digest(project_root() / "requirements.lock")


@cache
def _lock_digest(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None
