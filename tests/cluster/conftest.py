"""A real Slurm of one node, and projects whose training jobs go through it with the profile that is shipped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import clones
import one_node
import pytest
import walk
from runs import Project


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there can be no cluster, its tests are skipped with the reason."""
    why = one_node.missing()
    if why is not None:
        for item in items:
            item.add_marker(pytest.mark.skip(why))


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder on a short path: sockets lie below it."""
    folder = Path(tempfile.mkdtemp(prefix="sg-"))
    folder.chmod(0o755)  # munge refuses a socket in a folder of nobody's
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(short_folder: Path) -> Iterator[one_node.OneNode]:
    """A cluster without accounting."""
    with one_node.OneNode(short_folder / "one") as node:
        yield node


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy of the project with the walk, whose arms the module names, its needs read from files."""
    folder = clones.copy_to(tmp_path_factory.mktemp("project"))
    clones.add_task(folder, "berthet", "walk", walk.modules(request.module.ARMS))
    for name in ("told", "open", "sleepy", "mistaken", "greedy", "minutes", "memory", "gpu"):
        (folder / name).mkdir()
    _edit(folder / "src/structgrad/repro/running/needs.py", walk.NEEDS)
    _edit(folder / "workflow/profiles/slurm/profile.v9+.yaml", walk.PROFILE)
    made = Project(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _edit(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text()
    for before, after in changes.items():
        assert text.count(before) == 1, f"{path} has no {before!r}"
        text = text.replace(before, after)
    path.write_text(text)
