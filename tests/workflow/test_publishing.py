"""What archives, containers and catalogues read tells the story of the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from structgrad import __version__
from structgrad.experiments import PAPERS
from structgrad.repro.cli import COMMANDS

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


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("docker", "build --tag structgrad ."),
        ("podman", "build --tag structgrad ."),
        ("apptainer", "build structgrad.sif apptainer.def"),
    ],
)
def test_one_command_builds_each(tmp_path, engine, words):
    """The engine is one that writes down what it is told: there is no daemon here."""
    (tmp_path / engine).write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/told"\n', encoding="utf-8")
    (tmp_path / engine).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["make", "container", f"ENGINE={engine}"], cwd=ROOT, env=environment, check=True)
    assert (tmp_path / "told").read_text(encoding="utf-8").strip() == words


def test_an_engine_that_is_not_there():
    told = subprocess.run(["make", "container", "ENGINE=dokcer"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode != 0
    assert "there is no dokcer here" in told.stderr


def test_the_image_of_training_jobs_has_the_lock_and_names_what_is_in_it():
    """As far as that can be told without Apptainer: its sections, files that exist, modules that the lock has."""
    text = (ROOT / "apptainer.def").read_text(encoding="utf-8")
    assert re.findall(r"^%(\w+)", text, re.MULTILINE) == ["files", "post", "environment", "test"]
    (source, target), *more = re.findall(r"^    (\S+) (/\S+)$", text, re.MULTILINE)
    assert (ROOT / source).is_file()
    assert not more
    assert f"--require-hashes -r {target}" in text
    base = re.search(r"^From: (python:3\.\d+-slim-\w+)$", text, re.MULTILINE)
    assert base is not None
    assert f"FROM {base[1]}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE))
    (imported,) = re.findall(r"import ([\w, ]+);", text)
    assert set(imported.split(", ")) <= locked


# What a codechecker reads


def test_codecheck_names_files_that_exist_and_nobody_who_does_not():
    """By the rules of its specification 2.0, but for what only a codechecker, or an article of ours, can fill in."""
    text = (ROOT / "codecheck.yml").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    content = yaml.safe_load(text)
    assert content.keys() == {"version", "paper", "manifest"}  # no codechecker, report, summary or certificate
    assert content["version"] == "https://codecheck.org.uk/spec/config/2.0/"
    assert content["paper"]["title"] == CITATION["title"]
    assert content["paper"]["authors"] == [{"name": author["name"]} for author in PROJECT["authors"]]
    assert set(content["paper"]["reference-other"]) == set(PUBLISHED.values())
    files = [item["file"] for item in content["manifest"]]
    assert len(files) == len(set(files)) > 10
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert all(item["comment"] for item in content["manifest"])


# What an evaluator of the artifact reads


def test_commands_and_links_of_the_artifact_page_exist():
    text = (ROOT / "docs/artifact.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (ROOT / "docs" / target).exists(), target
    commands = set(
        re.findall(
            r"structgrad (\w+)",
            re.sub(r"--tag structgrad", "", " ".join(re.findall(r"`[^`]+`|^    .*$", text, re.MULTILINE))),
        )
    )
    assert commands <= set(COMMANDS)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= targets


def test_the_artifact_page_has_a_row_for_each_data_set():
    text = (ROOT / "docs/artifact.md").read_text(encoding="utf-8")
    data = text[text.index("## Data") : text.index("## ACM")]
    assert all(
        name in data for name in ("label ranking", "MNIST", "Fashion-MNIST", "CIFAR-10", "Warcraft", "BeerAdvocate")
    )
