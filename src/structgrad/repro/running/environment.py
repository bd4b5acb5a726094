"""The environment of this process, the workflow and its jobs: variables and encodings are set here and nowhere else.

A notebook, a container, a cluster's prolog or a user's shell sets variables for purposes of its own; none of them may
change a number, break a step or a line that is printed. Whatever is set here is inherited by all that is started.
"""

from __future__ import annotations

import codecs
import getpass
import io
import os
import sys
from pathlib import Path

from structgrad import cache
from structgrad.errors import UserError
from structgrad.files import user_cache
from structgrad.repro.running import streams

# What people's shells, notebooks and schedulers set for other programs, and what it would do here.
UNSET = (
    "PYTHONWARNINGS",  # error: Snakemake's and MLflow's imports warn
    "BASH_ENV",  # is run before every job
    "SNAKEMAKE_PROFILE",  # options of another workflow
    "MATPLOTLIBRC",  # nobody's style shows in figures
)
# Our marks where an encoding has none of them, one character for one so that tables stay straight.
PLAIN = {"✓": "+", "≈": "~", "✗": "x", "·": ".", "–": "-", "—": "-", "±": "~", "×": "x", "σ": "s", "…": ".", "∅": "0"}
HANDLER = "structgrad"


def settle() -> None:
    """Set up this process; called before anything that is imported looks at the machine."""
    os.environ["MPLBACKEND"] = "agg"  # a notebook names one of its own, which is not installed here
    for name in UNSET:
        os.environ.pop(name, None)
    _settle_user()
    codecs.register_error(HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=HANDLER)
    streams.settle()


def for_workflow() -> dict[str, str]:
    """The variables of the workflow and its jobs: this Python first, and files and pipes in UTF-8.

    Jobs say `python` and must find this one; a job's log may be read on another machine.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return os.environ | {"PATH": path, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}


def sources(root: Path) -> dict[str, str]:
    """What lets a job's Python import this checkout, also one that a conda environment or a container brings along."""
    own = str(root / "src")
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != own]
    return {"PYTHONPATH": os.pathsep.join([own, *others])}


def check_place(root: Path) -> None:
    """Refuse a checkout in which the workflow cannot work.

    Raises:
        UserError: Snakemake would take a part of its path for a variable, or the shell for two folders.
    """
    if set("{}") & set(str(root)):
        raise UserError(f"Snakemake cannot work below a folder with a brace in its name ({root}); move the checkout")
    if os.pathsep in sys.executable:
        raise UserError(f"no shell finds {sys.executable}, because of the {os.pathsep!r} in it; move the checkout")


def snakemake_options() -> list[str]:
    """Options by which Snakemake keeps its cache among temporary files, where the user's cache cannot be written."""
    if cache.writable(user_cache() / "snakemake"):
        return []
    return [
        "--shared-fs-usage",
        "persistence",
        "software-deployment",
        "sources",
        "input-output",
        "storage-local-copies",
    ]


def _settle_user() -> None:
    """Give a user without a home or a name one: tools ask for both, and make a folder named ~ or end in a traceback."""
    try:
        home = Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(cache.private_folder("structgrad-home"))
        home = Path.home()
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = os.environ["LOGNAME"] = f"user{os.getuid()}"
    if not os.environ.get("MPLCONFIGDIR") and not cache.writable(home / ".config" / "matplotlib"):
        os.environ["MPLCONFIGDIR"] = str(cache.private_folder("structgrad-matplotlib"))


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unprintable = error.object[error.start : error.end]
    return "".join(PLAIN.get(mark, "?") for mark in unprintable), error.end
