"""A project with real records, trained once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from structgrad.repro.cli import cli
from structgrad.repro.evidence import attestations

TINY = ["--scale", "smoke", "--set", "experiments=[indelman_1a]", "--set", "arms=[direct, no_solver]"]
TINY += ["--set", "settings=['d=5']", "--set", "replicas=2"]


@pytest.fixture
def tiny() -> list[str]:
    """The options of the plan of :func:`trained`."""
    return TINY


@pytest.fixture(scope="session")
def _kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what one test made waits for the next."""
    return tmp_path_factory.mktemp("kept")


def _made_once(kept: Path, results: Path, make: Callable[[], None]) -> None:
    if kept.is_dir():
        shutil.rmtree(results, ignore_errors=True)
        shutil.copytree(kept, results)
    else:
        make()
        shutil.copytree(results, kept)


@pytest.fixture
def trained(project: Path, _kept: Path) -> Path:
    """A project with two real records."""

    def train() -> None:
        done = CliRunner().invoke(
            cli, ["run", *(f"indelman_1a/d=5/{arm}/0-1" for arm in ("direct", "no_solver")), *TINY]
        )
        assert done.exit_code == 0, done.output

    _made_once(_kept / "trained", project / "results", train)
    return project


@pytest.fixture
def attestation(trained: Path, _kept: Path) -> Path:
    """What `structgrad attest` writes of both."""

    def attest() -> None:
        told = CliRunner().invoke(cli, ["attest", "--replay", "2", "--seed", "abc", *TINY])
        assert told.exit_code == 0, told.output

    _made_once(_kept / "attested", trained / "results", attest)
    (path,) = attestations.paths_of("smoke")
    return path
