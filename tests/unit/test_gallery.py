"""The gallery runs as it is printed, and the library comes up without a compiler and without delay."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from structgrad.parallel import set_threads

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("polytopes", "regularizers", "noise", "layers", "losses")


def test_the_gallery_runs_as_it_is_printed():
    set_threads(1)
    found = doctest.testfile(str(ROOT / "docs" / "gallery.md"), module_relative=False)
    assert found.attempted > 40
    assert not found.failed


def test_the_first_solver_takes_ten_lines():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8"), re.DOTALL)
    own = [line for line in blocks[0].splitlines() if line.strip() and "import" not in line]
    assert len(own) <= 10


def test_importing_the_library_compiles_nothing():
    """Kernels are compiled when first called, and then kept."""
    code = "\n".join(
        [
            "import numba.core.compiler as compiler",
            "def refuse(*arguments, **options): raise AssertionError('something was compiled')",
            "compiler.compile_extra = refuse",
            *(f"import structgrad.{package}" for package in PACKAGES),
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_documented(package):
    """Every public class and function of the library says what it is."""
    module = __import__(f"structgrad.{package}", fromlist=["*"])
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    ]
    for name in names:
        value = getattr(module, name)
        if not name.startswith("_") and callable(value):
            assert value.__doc__, name
            methods = [m for n, m in vars(value).items() if callable(m) and not n.startswith("_")]
            assert all(inherited_doc(value, m) for m in methods), name


def inherited_doc(owner, method):
    """A method's own docstring, or the one of the method that it overrides."""
    return any(getattr(getattr(base, method.__name__, None), "__doc__", None) for base in owner.__mro__)
