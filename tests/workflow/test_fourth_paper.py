"""The guide's fourth paper, as a stranger would add it: one folder, and nothing outside of it is touched."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs/extending.md"
ONLY = ("--scale", "smoke", "--set", "experiments=[example_1]")
CELL = "example/1/n=6/Perturbed FY/trees_right"


@pytest.fixture(scope="module")
def added(clone):
    """A clone with the files that the guide shows."""
    files = re.findall(r"^`(example/\S+)`\n\n```\w+\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    for name, text in files:
        path = clone / "src/structgrad/experiments" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in ("example", "example/spanning"):
        (clone / "src/structgrad/experiments" / folder / "__init__.py").touch()
    return [name for name, _ in files]


@pytest.fixture(scope="module")
def reproduced(added, python):
    return python("-m", "structgrad", "reproduce", "--cores", "2", *ONLY)


def test_the_guide_shows_a_whole_paper(added):
    assert added == [
        "example/paper.py",
        "example/published_numbers.csv",
        "example/claims.yaml",
        "example/spanning/hyper_parameters.py",
        "example/spanning/spec.py",
        "example/spanning/data.py",
        "example/spanning/train.py",
        "example/spanning/example_1.rst",
    ]


def test_it_is_listed(added, python):
    assert "example_1  example Table 1: Learning to span" in python("-m", "structgrad", "list").stdout
    told = python("-m", "structgrad", "list", "--scale", "paper").stdout
    assert "example_1  not run at scale paper: neither the scale's file in workflow/scales nor" in told


def test_it_is_not_run_where_it_has_no_block(added, python):
    words = ("-m", "structgrad", "list", "--scale", "paper", "--set", "experiments=[example_1]")
    done = python(*words, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("structgrad: example_1 is not run at scale paper: neither")


def test_its_table_stands_beside_the_printed_number(reproduced, clone):
    with (clone / "results/smoke/tables/example_1.csv").open() as stream:
        rows = {(row["row"], row["column"]): row for row in csv.DictReader(stream)}
    assert len(rows) == 4
    cell = rows["n=6", "Perturbed FY"]
    assert (cell["published"], cell["n"]) == ("93.0", "3")
    assert cell["verdict"] in ("reproduced", "inconclusive", "shifted", "differs")
    assert rows["n=4", "Perturbed FY"]["verdict"] == "not_comparable"  # the paper prints none
    assert float(cell["value"]) > 50 > 100 / 16  # of 6^4 trees chance finds one in 1296


def test_it_has_a_figure_a_claim_and_a_place_in_the_report(reproduced, clone):
    results = clone / "results/smoke"
    assert (results / "figures/example_1.svg").is_file()
    (claim,) = json.loads((results / "claims.json").read_text())["claims"]
    assert claim["verdict"] in ("supported", "not_supported", "undecided")
    page = (results / "report.html").read_text()
    assert "Learning to span" in page
    assert "the tree is the heaviest under weights that have to be learned" in page.replace("\n", " ")
    assert "https://example.org/spanning" in (results / "ro-crate-metadata.json").read_text()


def test_it_is_explained_and_audited(reproduced, python):
    assert "n=6/perturbed" in python("-m", "structgrad", "explain", CELL, "--scale", "smoke").stdout
    python("-m", "structgrad", "audit", *ONLY)


@pytest.mark.slow
def test_a_killed_one_goes_on(added, clone, python):
    """Handed back after each step's save, the record of a shard is the same to the bit."""
    shard = "example_1/n=4/perturbed/0-2"
    record = clone / "results/smoke/records/example_1/n=4/perturbed.0-2.json"
    words = ("-m", "structgrad", "run", shard, "--scale", "smoke")
    python(*words)
    whole = json.loads(record.read_text())["digest"]
    record.unlink()
    assert python(*words, "--time-budget", "1e-9", check=False).returncode == 75
    python(*words)
    again = json.loads(record.read_text())
    assert (again["digest"], again["run"]["resumed"]) == (whole, 1)
