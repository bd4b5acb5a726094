"""A run whose jobs the cluster no longer knows is ended, with a line, and the next one goes on."""

from __future__ import annotations

import pytest

from structgrad.repro.running.cluster.submission import KNOWS_NONE

ARMS = ("lost",)


@pytest.fixture(scope="module")
def forgotten(cluster, project):
    """The controller starts again and knows nothing of what was before."""
    done = project.command("cluster", "init", "--set", "patience=20", "--set", "partition=main")
    assert done.returncode == 0, done.stderr
    project.reproduce(cluster, "experiments=[walk]")
    project.wait(lambda: project.told("lost"), "the job to come half way")
    cluster.stop("slurmctld")
    cluster.start_controller("-c")
    project.code = project.end()
    return project


def test_it_is_ended_with_a_line(forgotten):
    assert forgotten.code == 2
    last = forgotten.said.splitlines()[-1]
    assert last.startswith(f"structgrad: {KNOWS_NONE.partition(';')[0]}")
    assert "Traceback" not in forgotten.said
