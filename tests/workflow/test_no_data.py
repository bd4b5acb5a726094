"""Real data that is not to be had, through the whole workflow: its cells say so, all others are as ever."""

from __future__ import annotations

import csv
import hashlib
import re

import pytest
import tasks

TOY = {
    "spec": tasks.spec("toy", ["length"], settings=("n=1", "n=2")),
    "files": """from structgrad.data.store import DataFile

FILES = {
    name: DataFile(f"toy/{name}.txt", digest, (f"http://127.0.0.1:1/{name}.txt",))
    for name, digest in (("n=1", "ONE"), ("n=2", "TWO"))
}


def needed(config, setting):
    return (FILES[setting],)
""",
    "data": """from structgrad.data.store import fetch
from structgrad.experiments.berthet.toy.files import FILES


def digest(config, setting, seeds):
    fetch(FILES[setting])
    return FILES[setting].sha256
""",
    "train": """from structgrad.data.store import fetch
from structgrad.experiments.berthet.toy.files import FILES
from structgrad.training.job import Trained
from structgrad.training.results import Mean, Result


def train(job):
    score = Mean(float(len(fetch(FILES[job.setting]).content)), 1e9, 1)
    return Trained(job.seeds(["data"]), [Result(0, "untrained", {"score": score})] * job.count, {})
""",
}
CONTENT = {"one": b"one\n", "two": b"number two\n"}
ONLY = "experiments=[toy]"


@pytest.fixture(scope="module")
def toy(clone, add_task, tmp_path_factory):
    """The folder of the user's data; the clone has an experiment on two files of which only the second is there."""
    files = TOY["files"]
    for name, content in CONTENT.items():
        files = files.replace(name.upper(), hashlib.sha256(content).hexdigest())
    add_task(clone, "berthet", "toy", TOY | {"files": files})
    data = tmp_path_factory.mktemp("data")
    (data / "toy").mkdir()
    (data / "toy/n=2.txt").write_bytes(CONTENT["two"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTGRAD_DATA", str(data))
        patch.setenv("XDG_CACHE_HOME", str(data / "cache"))
        patch.setenv("no_proxy", "127.0.0.1")
        yield data


def rows(clone):
    with (clone / "results/smoke/tables/berthet_toy.csv").open() as stream:
        return {row["row"]: (row["value"], row["verdict"]) for row in csv.DictReader(stream)}


def planned(python):
    shown = python("-m", "snakemake", "--cores", "1", "--dry-run", "--config", ONLY).stdout
    shown = re.sub(r"^train_\w+_\d+", "train", shown, flags=re.MULTILINE)
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", shown, re.MULTILINE) if name != "total"}


def test_plain_snakemake_says_what_to_do(toy, clone, python):
    target = "results/smoke/data/toy.json"
    done = python("-m", "snakemake", target, "--cores", "1", "--config", ONLY, check=False)
    assert done.returncode != 0
    assert re.search(r"structgrad: toy/n=1\.txt is not at hand .*structgrad data fetch$", done.stdout, re.MULTILINE)
    assert not (clone / target).exists()


def test_the_rest_goes_on(toy, clone, python):
    said = python("-m", "structgrad", "reproduce", "--cores", "1", "--set", ONLY).stdout
    assert "left out: toy/n=1" in said
    assert rows(clone) == {"n=1": ("", "no_data"), "n=2": ("11.00", "not_comparable")}
    page = (clone / "results/smoke/report.html").read_text()
    assert "http://127.0.0.1:1/n=1.txt" in page
    python("-m", "structgrad", "audit", "--set", ONLY)
    assert planned(python) == {}


def test_data_that_comes_later_trains_only_what_waited_for_it(toy, clone, python):
    (toy / "toy/n=1.txt").write_bytes(CONTENT["one"])
    python("-m", "structgrad", "data", "fetch", "--set", ONLY)
    made = (
        "data",
        "train",
        "tables",
        "claims",
        "figures",
        "tracking",
        "report",
        "all",
    )  # data: its digest joins the others
    assert planned(python) == dict.fromkeys(made, 1)
