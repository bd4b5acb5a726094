"""What archives, containers and catalogues read tells the story of the code."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from structgrad import __version__
from structgrad.experiments import PAPERS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CODEMETA = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
ZENODO = json.loads((ROOT / ".zenodo.json").read_text(encoding="utf-8"))
PUBLISHED = {paper.title: paper.url for paper in PAPERS.values() if not paper.ours}


def test_version_licence_and_words_are_the_packages():
    assert {CITATION["version"], CODEMETA["version"], ZENODO["version"]} == {__version__}
    assert CODEMETA["license"].rpartition("/")[2] == ZENODO["license"] == CITATION["license"] == PROJECT["license"]
    assert CODEMETA["keywords"] == ZENODO["keywords"] == PROJECT["keywords"]
    assert CODEMETA["description"] == PROJECT["description"]
    assert CODEMETA["runtimePlatform"].replace(" ", "") == f"Python{PROJECT['requires-python']}"
    assert date.fromisoformat(CITATION["date-released"]) <= date.today()


def test_authors_are_the_packages_and_nobody_is_invented():
    (author,) = PROJECT["authors"]
    assert [creator["name"] for creator in ZENODO["creators"]] == [author["name"]]
    assert [creator["name"] for creator in CODEMETA["author"]] == [author["name"]]
    assert "doi" not in ZENODO
    assert "orcid" not in json.dumps([ZENODO, CODEMETA]).lower()


def test_the_papers_are_those_of_the_papers_folders():
    assert {paper["name"]: paper["url"] for paper in CODEMETA["referencePublication"]} == PUBLISHED
    numbers = {f"arXiv:{url.rpartition('/')[2]}" for url in PUBLISHED.values()}
    assert {related["identifier"] for related in ZENODO["related_identifiers"]} == numbers


# Containers


@pytest.fixture(scope="module")
def instructions():
    """The Dockerfile's instructions, each with its words; what a backslash continues is one of them."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_every_instruction_is_one_that_docker_knows(instructions):
    assert instructions[0][0] == "FROM"
    assert {name for name, _ in instructions} <= {"FROM", "RUN", "WORKDIR", "COPY", "CMD"}
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", instructions[0][1])  # a version, never "latest"


def test_what_is_copied_is_there(instructions):
    copied = [words.split() for name, words in instructions if name == "COPY"]
    assert copied[-1] == [".", "."]
    for *sources, target in copied[:-1]:
        assert target.endswith("/")
        assert all((ROOT / source).is_file() for source in sources)


def test_what_is_run_are_targets_of_make(instructions):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    told = " ".join(words for name, words in instructions if name in ("RUN", "CMD"))
    used = set(re.findall(r"\bmake (\w[\w-]*)", re.sub(r'[\[\]",\s]+', " ", told)))
    assert used == {"setup", "reproduce"}
    assert used <= targets


def test_packages_are_left_without_their_lists(instructions):
    for name, words in instructions:
        if name == "RUN" and "apt-get install" in words:
            assert "--no-install-recommends" in words
            assert words.endswith("rm -rf /var/lib/apt/lists/*")


def test_the_first_copy_is_all_that_the_set_up_needs(instructions, tmp_path):
    """The package's version is read without anything else of it: that is what an editable install asks for."""
    sources = {source for name, words in instructions if name == "COPY" for source in words.split()[:-1]} - {"."}
    assert {"requirements.lock", "pyproject.toml", "Makefile", PROJECT["readme"], *PROJECT["license-files"]} <= sources
    assert "src/structgrad/__init__.py" in sources


def test_what_a_build_need_not_see():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".venv", ".work", ".snakemake", "results/smoke"} <= set(ignored)
    assert ".git" not in ignored  # records name the commit
