"""What a notebook, a container or a user's shell has set breaks no step and no line that is printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["experiments=[indelman_1a]", "arms=[no_solver]", "settings=[d=5]", "replicas=2"]
NOBODY = '''"""A user whom no passwd entry names."""
import pwd


def _nobody(*_):
    raise KeyError("no such user")


pwd.getpwuid = pwd.getpwnam = _nobody
'''
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": "/nowhere"}
LATIN = {"PYTHONIOENCODING": "latin-1"}
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
STRICT = {"PYTHONWARNINGS": "error", "BASH_ENV": "/nowhere", "SNAKEMAKE_PROFILE": "/nowhere"}
HOMELESS = dict.fromkeys(("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "MPLCONFIGDIR"))


def project(root):
    root.mkdir(parents=True)
    for name in ("src", "workflow"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml", "environment.yml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, root / name)
    (root / "site").mkdir()
    (root / "site/sitecustomize.py").write_text(NOBODY)
    return root


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return project(tmp_path_factory.mktemp("ordinary") / "project")


def run(root, changes, *words):
    """A structgrad command there, with variables set, or unset where they are None."""
    temporary = root.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    paths = [root / "src"] + ([root / "site"] if "HOME" in changes else [])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "TMPDIR": str(temporary)} | changes
    environment.pop("STRUCTGRAD_ROOT", None)
    environment = {key: value for key, value in environment.items() if value is not None}
    return subprocess.run([sys.executable, "-m", "structgrad", *words], cwd=root, env=environment, capture_output=True)


STAGES = ["judging the records of scale smoke (36 cells)", "writing the tables", "drawing the figures"]
TABLES = ("tables", *(word for pair in SMALL[:1] for word in ("--set", pair)))


def written(root):
    """What lies under ``results``, which is then taken away."""
    found = {path: path.read_bytes() for path in (root / "results").rglob("*.*")}
    shutil.rmtree(root / "results")
    return found


@pytest.fixture(scope="module")
def plain(ordinary):
    """The tables and figures of a shell without any of it."""
    done = run(ordinary, {"PYTHONIOENCODING": "utf-8"}, *TABLES)
    assert done.returncode == 0, done.stderr.decode()
    return written(ordinary)


@pytest.mark.parametrize("changes", [NOTEBOOK, LATIN, {"PYTHONIOENCODING": "ascii"}, PLAIN_C, HOMELESS])
def test_tables_and_figures_come_out_the_same(ordinary, plain, changes):
    done = run(ordinary, changes, *TABLES)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode().splitlines() == STAGES
    assert written(ordinary) == plain != {}
    # no mark is lost, and none takes another's place
    shown = done.stdout.decode("latin-1")
    assert re.search(r"36 printed numbers: 36 [^\s?]+ not_attempted", shown)
    assert "?" not in shown
    assert not (ordinary / "~").exists()


def test_the_workflow_plans_under_all_of_it_at_once(ordinary):
    everything = {**NOTEBOOK, **LATIN, **STRICT, **HOMELESS, "LC_ALL": "C"}
    everything["PYTHONWARNINGS"] = "error::ImportWarning"  # an error at once would end the first Python before us
    done = run(ordinary, everything, "reproduce", "--dry-run", *(w for pair in SMALL for w in ("--set", pair)))
    assert done.returncode == 0, done.stderr.decode()
    assert b"train" in done.stdout
    assert not (ordinary / "~").exists()


@pytest.mark.slow
def test_the_whole_chain_in_a_folder_of_any_name(tmp_path):
    root = project(tmp_path / "a?b#c%20d [e] 'f' & \u00e9")
    done = run(root, {**NOTEBOOK, **LATIN, **HOMELESS}, "reproduce", *(w for p in SMALL for w in ("--set", p)))
    assert done.returncode == 0, done.stderr.decode()
    for name in ("mlflow.db", "report.html", "tables/indelman_1a.csv", "figures/indelman_1a.svg"):
        assert (root / "results/smoke" / name).is_file(), name
    assert sorted(path.name for path in tmp_path.iterdir()) == [root.name, "tmp"]


def test_a_folder_in_which_snakemake_cannot_work_is_refused_in_a_line(tmp_path):
    root = project(tmp_path / "a{b}")
    done = run(root, {}, "reproduce", "--dry-run")
    assert done.returncode == 2
    assert re.fullmatch(r"structgrad: Snakemake cannot work below .*; move the checkout\n", done.stderr.decode())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_packages_go_into_the_projects_own_environment(tmp_path):
    """With PIP_USER=1 pip refuses to install into a venv, with PIP_TARGET it installs elsewhere."""
    shown = subprocess.run(
        ["make", "-n", "-B", ".venv/.ready", f"PYTHON={sys.executable}"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    (setting,) = set(re.findall(r"unset PIP_TARGET.*?; export [^;]*", shown))
    told = "import os, pip._internal.cli.main_parser as p; from pip._internal.commands import create_command as c; "
    told += "o, _ = c('install').parse_args([]); print(o.use_user_site, o.target_dir)"
    environment = os.environ | {"PIP_USER": "1", "PIP_TARGET": str(tmp_path)}
    command = f'{setting}; "{sys.executable}" -c "{told}"'
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True)
    if "No module named 'pip'" in done.stderr:
        pytest.skip("no pip here")
    assert done.stdout.split() in (["0", "None"], ["False", "None"]), done.stderr
