"""The packaging files tell one story: pyproject, lock, conda twin, Makefile, citation and CI."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
MARKER_ENVIRONMENTS = [
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0", "sys_platform": platform}
    for minor in (11, 12, 13)
    for platform in ("linux", "darwin")
]


def lock_entries() -> list[tuple[Requirement, list[str]]]:
    """Every pinned requirement of the lock with its hashes."""
    entries = []
    for entry in re.split(r"\n(?=\S)", LOCK.replace("\\\n", "")):
        line = entry.splitlines()[0]
        if not line.startswith("#"):
            requirement, *hashes = line.split("--hash=")
            entries.append((Requirement(requirement), [digest.strip() for digest in hashes]))
    return entries


def direct_dependencies() -> list[Requirement]:
    """What pyproject.toml asks for, in the core and in every extra."""
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(line) for line in (*project["dependencies"], *(line for extra in extras for line in extra))]


def conda_environment() -> tuple[list[str], list[str]]:
    """The conda packages and the pip requirements of environment.yml."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return [entry for entry in dependencies if isinstance(entry, str)], pip


def pinned_version(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_every_lock_entry_is_pinned_and_hashed() -> None:
    entries = lock_entries()
    assert len(entries) > 100
    for requirement, hashes in entries:
        assert pinned_version(requirement), requirement
        assert requirement.url is None, requirement
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


def test_the_lock_names_no_address_and_no_folder() -> None:
    suspect = re.compile(r"\w+://|--(extra-)?index|--find-links|\.whl|(?<![\w.])/\w+/")
    for file in ("requirements.lock", "environment.yml"):
        found = [line for line in (ROOT / file).read_text().splitlines() if suspect.search(line)]
        assert not found, f"{file}: {found[:3]}"


@pytest.mark.parametrize("environment", MARKER_ENVIRONMENTS, ids=lambda e: "-".join(e.values()))
def test_the_lock_satisfies_every_direct_dependency_once(environment: dict[str, str]) -> None:
    pins: dict[str, list[str]] = {}
    for requirement, _ in lock_entries():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            pins.setdefault(canonicalize_name(requirement.name), []).append(pinned_version(requirement))
    for requirement in direct_dependencies():
        versions = pins.get(canonicalize_name(requirement.name), [])
        assert len(versions) == 1, f"{requirement}: {versions}; run `make lock`"
        assert requirement.specifier.contains(versions[0]), f"{requirement}: {versions[0]}; run `make lock`"


def test_torch_is_the_ordinary_build_that_the_design_pins() -> None:
    pins = {requirement.name: pinned_version(requirement) for requirement, _ in lock_entries()}
    assert (pins["torch"], pins["torchvision"]) == ("2.11.0", "0.26.0")  # no local part such as +cpu


def test_the_conda_twin_is_the_lock() -> None:
    conda, pip = conda_environment()
    assert "pip" in conda
    twin = {str(Requirement(line)) for line in pip}
    lock = {str(requirement) for requirement, _ in lock_entries()}
    assert twin == lock, f"differs in {sorted(twin ^ lock)}; run `make lock`"
    names = {canonicalize_name(Requirement(line).name) for line in pip}
    missing = [str(need) for need in direct_dependencies() if canonicalize_name(need.name) not in names]
    assert not missing


def test_the_conda_twin_has_a_python_that_the_package_allows() -> None:
    (python,) = (entry for entry in conda_environment()[0] if entry.startswith("python"))
    minor = python.removeprefix("python=")
    required = PYPROJECT["project"]["requires-python"]
    assert SpecifierSet(required).contains(minor)


def test_help_lists_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY:(.*)$", MAKEFILE, re.MULTILINE)
    documented = re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.MULTILINE)
    assert sorted(documented) == sorted(phony.split())
    promised = {
        "setup",
        "reproduce",
        "test",
        "test-slow",
        "lint",
        "bench",
        "audit",
        "report",
        "ui",
        "lock",
        "clean",
    }
    assert promised <= set(documented)


def test_every_target_that_runs_something_sets_itself_up() -> None:
    targets = dict(re.findall(r"^([a-z-]+):(.*?)##", MAKEFILE, re.MULTILINE))
    assert {name for name, needs in targets.items() if "$(READY)" not in needs} == {"help", "clean", "container"}


def test_the_stamp_is_the_last_step_of_the_set_up() -> None:
    """Else an interrupted set-up would pass for a finished one."""
    (recipe,) = re.findall(r"^\$\(READY\):.*\n((?:\t.*\n?)+)", MAKEFILE, re.MULTILINE)
    assert recipe.rstrip().splitlines()[-1].strip() == "@touch $@"
    assert recipe.count("$@") == 1


def test_ci_runs_the_promised_stages() -> None:
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    text = ci.read_text()
    for stage in ("make lint", "make test", "make reproduce SCALE=smoke", "make audit SCALE=smoke"):
        assert f"stage {stage}\n" in text


def test_the_citation_names_the_three_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format requires
    assert citation["license"] == PYPROJECT["project"]["license"] == "MIT"
    leads = {paper["authors"][0]["family-names"]: paper["title"] for paper in citation["references"]}
    assert leads == {
        "Cohen Indelman": "Learning Randomly Perturbed Structured Predictors for Direct Loss Minimization",
        "Berthet": "Learning with Differentiable Perturbed Optimizers",
        "Paulus": "Gradient Estimation with Stochastic Softmax Tricks",
    }
    for paper in citation["references"]:
        assert all(author["family-names"] and author["given-names"] for author in paper["authors"])
        assert paper["type"] == "conference-paper"
        assert paper["year"] in (2020, 2021)


def test_the_wheel_brings_the_command_and_its_data(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("structgrad-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("structgrad/")}
        (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "structgrad = structgrad.__main__:main" in archive.read(entry_points).decode()
    source = ROOT / "src"
    needed = {
        path.relative_to(source).as_posix()
        for path in (source / "structgrad").rglob("*")
        if path.suffix in {".py", ".json", ".csv", ".yaml", ".j2"}
    }
    assert "structgrad/repro/evidence/record.schema.json" in needed
    assert needed <= shipped, sorted(needed - shipped)
