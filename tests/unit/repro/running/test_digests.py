"""Source digests: what they see and what they do not."""

import pytest

from structgrad.repro.running import essences
from structgrad.repro.running.digests import closure, essence, source_digest

TRAINER = "structgrad.experiments.indelman.sorting.train"

SOURCE = '''"""Module."""
# a comment
import math  # why


def area(r):  # another
    """Docstring
    of two lines."""
    text = "# not a comment"
    return math.pi * r**2, text


class A:
    """Only a docstring."""

    x = """not a docstring"""
'''


def test_comments_and_docstrings_do_not_count():
    for old, new in (
        ("# a comment\n", ""),
        ("  # why", ""),
        ('"""Module."""', '"""Another text altogether."""'),
        ("Docstring\n    of two lines.", "One line."),
        ("Only a docstring.", "Other words, ümläuts too."),
        ("\n\n\nclass", "\n\n\n\n\nclass"),
    ):
        assert old in SOURCE
        assert essence(SOURCE.replace(old, new)) == essence(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("r**2", "r**3"), ("# not a comment", "# no comment"), ("not a docstring", "x"), ("import math", "import cmath")],
)
def test_code_and_strings_count(old, new):
    assert old in SOURCE
    assert essence(SOURCE.replace(old, new)) != essence(SOURCE)


def test_what_is_left_compiles():
    compile(essence(SOURCE.replace('    """Only a docstring."""\n', "")), "essence", "exec")


def test_a_trainer_depends_on_the_library_and_not_on_the_evidence():
    names = closure(TRAINER)
    assert {"structgrad.polytopes.matching", "structgrad.losses.direct", "structgrad.training.loop"} <= names
    assert not any(name.startswith("structgrad.repro") for name in names)
    assert "structgrad.experiments.indelman.sorting.spec" not in names, "settings reach the trainer through its config"


def test_looking_imports_nothing():
    """Planning takes digests of everything; packages on the way to a module may import what is heavy."""
    import subprocess
    import sys

    code = (
        "import sys\nfrom structgrad.repro.running.digests import source_digest\n"
        f"digests = [source_digest(name) for name in ({TRAINER!r}, 'structgrad.repro.claims')]\n"
        "bad = {'torch', 'scipy', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(source_digest(TRAINER)) == 64


def test_the_library_imports_no_workflow_package():
    """A GPU node needs torch, numpy, scipy, numba and pandas, no more."""
    import subprocess
    import sys

    code = (
        f"import sys, {TRAINER}\n"
        "bad = {'snakemake', 'mlflow', 'click', 'matplotlib', 'grimp', 'jsonschema'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_tables_depend_on_their_layouts_and_the_figures_do_not():
    assert {"structgrad.repro.tables.layouts", "structgrad.repro.tables.panels"} <= closure(
        "structgrad.repro.tables.files"
    )
    assert "structgrad.repro.tables.panels" in closure("structgrad.repro.report.page")  # the page lays cells out itself
    assert "structgrad.repro.tables.layouts" not in closure("structgrad.repro.figures.files")
    assert {"structgrad.repro.figures.lines", "structgrad.repro.figures.scatter"} <= closure(
        "structgrad.repro.figures.files"
    )
    assert "structgrad.repro.claims.share" in closure("structgrad.repro.claims")
    assert "structgrad.repro.tracking.mlflow_store" in closure("structgrad.repro.tracking.ingestion")


def test_what_a_source_comes_down_to_is_asked_for_once(project, monkeypatch):
    """Another content is another question; a damaged file of answers is none."""
    asked = []

    def ask(content):
        return essences.digest(content, lambda: asked.append(content) or "essence of " + content.decode())

    def fresh():
        monkeypatch.setattr(essences, "_new", {})
        essences._known.cache_clear()

    fresh()
    first = ask(b"one")
    assert first == ask(b"one") != ask(b"two")
    essences.keep()
    fresh()
    assert ask(b"one") == first
    assert asked == [b"one", b"two"]
    (project / ".work/essences.json").write_text("{")
    fresh()
    assert ask(b"one") == first
    assert asked == [b"one", b"two", b"one"]
    essences._known.cache_clear()
