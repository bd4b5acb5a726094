"""What a command is told besides config.yaml arrives at a job as it was given."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from structgrad.repro.planning import overrides
from structgrad.repro.planning.plan import load_plan

# A job's `python` that writes down what it is told, and the file that its rule promises.
PROBE = """#!{python}
import os, pathlib
pathlib.Path("told.json").write_text(os.environ["{variable}"])
made = pathlib.Path("results/smoke/data/indelman_1a.json")
made.parent.mkdir(parents=True, exist_ok=True)
made.write_text("{{}}")
"""
NASTY = "/data/a #b: \"c\" 'd' {e} {{f}} {wildcards.x} [g] ~ & $HOME `h` \\ %s ! \u00e9\U0001f600\nsecond line"
VALUES = [NASTY, "~", "null", "123", " spaces ", "{wildcards.x}", "/plain/path", "a=b,c"]


@pytest.fixture(scope="module")
def probe(clone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    (folder / "python").write_text(PROBE.format(python=sys.executable, variable=overrides.VARIABLE))
    (folder / "python").chmod(0o755)
    return folder


@pytest.mark.parametrize("value", [NASTY, "null"])
def test_a_job_is_told_the_value_as_it_was_given(clone, probe, monkeypatch, value):
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(clone))
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    given = {"data_folder": value, "replicas": 2, "experiments": ["indelman_1a"]}
    told = overrides.for_snakemake(overrides.differing(load_plan("smoke", given).config))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--force", "results/smoke/data/indelman_1a.json"]
    environment = os.environ | {"PATH": os.pathsep.join([str(probe), os.environ["PATH"]])}
    done = subprocess.run([*command, *told], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert overrides.parse((clone / "told.json").read_text()) == given


@pytest.mark.parametrize("value", VALUES)
def test_every_way_gives_the_value_back(monkeypatch, clone, value):
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(clone))
    from snakemake.cli import parse_config

    given = {"data_folder": value, "replicas": None}
    option, pair = overrides.for_snakemake(given)
    assert option == "--config"
    assert overrides.from_snakemake({"replicas": 3} | parse_config([pair])) == given
    assert repr(pair) == f"'{pair}'" == f"'{shlex.quote(pair)}'"  # as Snakemake writes it for a cluster's job
    monkeypatch.setenv(overrides.VARIABLE, overrides.variables(load_plan("smoke", given).config)[overrides.VARIABLE])
    assert overrides.from_environment() == {key: value for key, value in given.items() if value is not None}
