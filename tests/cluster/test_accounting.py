"""A cluster with accounting whose controller forgets jobs almost at once: sacct says what became of them."""

from __future__ import annotations

import json

import one_node
import pytest

ARMS = ("walk",)


@pytest.fixture(scope="module")
def accounted(short_folder):
    with one_node.OneNode(short_folder / "books", accounting=True, min_job_age=2) as node:
        yield node


@pytest.fixture(scope="module")
def ready(project, accounted):
    """The doctor's table, from the cluster's own words."""
    words = "account=group", "partition=main", f"kernels={project.folder}/kernels"
    made = project.command("cluster", "init", *(word for pair in words for word in ("--set", pair)))
    assert made.returncode == 0, made.stderr
    done = project.command("doctor", "--cluster", "--json", environment=accounted.variables)
    return {row["what"]: row for row in json.loads(done.stdout)}


def test_the_doctor_says_what_will_be_used(ready, project):
    assert ready["controller"]["state"] == "ok"
    assert ready["controller"]["seen"] == "what becomes of jobs is asked of the accounting (sacct)"
    assert ready["partition"]["seen"] == "main, at most 1-00:00:00, GPUs gpu:2"
    assert ready["trial job"]["state"] == "ok"
    assert ready["trial job"]["seen"].endswith(f"which shares {project.folder}")
    assert ready["site.yaml"]["seen"].startswith("account group, partition main, ")


def test_a_run_ends_with_its_tables(ready, project, accounted):
    project.mark("open", ARMS)
    project.reproduce(accounted, "experiments=[walk]")
    assert project.end() == 0, project.said
    assert "what becomes of jobs is asked of the accounting (sacct)" in project.said
    assert (project.folder / "results/smoke/tables/berthet_walk.csv").is_file()
    accounts = accounted.run("sacct", "--noheader", "--allocations", "--parsable2", "--format=Account,Partition,State")
    assert accounts.splitlines() == ["group|main|COMPLETED"] * 3  # the doctor's trial, the kernels and the training
    assert project.said.index("(Rule: kernels)") < project.said.index("(Rule: train_walk_1)")
