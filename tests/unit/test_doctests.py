"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import structgrad

ROOT = Path(structgrad.__file__).parent
WITH_EXAMPLES = sorted(path for path in ROOT.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_of_docstrings(path):
    module = importlib.import_module(".".join(("structgrad", *path.relative_to(ROOT).with_suffix("").parts)))
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE, extraglobs={})
    assert found.attempted > 0
    assert found.failed == 0


def test_there_are_examples():
    assert WITH_EXAMPLES
