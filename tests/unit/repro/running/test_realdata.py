"""Experiments on real data: fetched, left out with a note where it cannot be had, refused where it is damaged."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import yaml
from click.testing import CliRunner

from structgrad.data import store
from structgrad.errors import UserError
from structgrad.experiments import REGISTRY, Arm, Experiment, Metric
from structgrad.experiments.hyper_parameters import Count, HyperParameters
from structgrad.repro import audit
from structgrad.repro.audit.places import records_are_in_place
from structgrad.repro.audit.records import data_is_the_same
from structgrad.repro.cli import cli, main
from structgrad.repro.judging.cells import collect
from structgrad.repro.planning.paths import results
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running import datasets, doctor
from structgrad.repro.running.realdata import data_folder, fetch

OVERRIDES = {"experiments": ["tiny"]}
OPTIONS = ["--scale", "paper", "--set", "experiments=[tiny]"]
CONTENT = {name: f"the set {name}\n".encode() for name in ("one", "two")}
FILES = {
    name: store.DataFile(f"tiny/{name}.txt", hashlib.sha256(text).hexdigest(), (f"http://127.0.0.1:1/{name}.txt",))
    for name, text in CONTENT.items()
}


@dataclass(frozen=True, kw_only=True)
class TinyParameters(HyperParameters):
    """Of nothing.

    Attributes:
        epochs: of no training.
    """

    epochs: Count


TINY = Experiment(
    name="tiny",
    paper="berthet",
    table="tiny",
    title="Two real sets and a generated one",
    axis="set",
    settings=("one", "two", "made"),
    arms=(Arm("a", "A"), Arm("b", "B")),
    metrics=(Metric("score", "score", "mean", unit="corr", factor=1.0, digits=2),),
    package="tiny_experiment",
    level=2,
    hyper_parameters=TinyParameters,
    config={"epochs": 1},
)
SCORE = {"score": {"sum": 1.0, "sum_squares": 0.5, "count": 2}}


def needed(parameters, setting):
    assert parameters == TinyParameters(epochs=1)
    return (FILES[setting],) if setting in FILES else ()


def digest(parameters, setting, seeds):
    assert parameters == TinyParameters(epochs=1)
    content = store.fetch(FILES[setting]).content if setting in FILES else b"generated"
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def tiny(project, monkeypatch, tmp_path):
    """An experiment on two files that nobody serves, in a project of its own."""
    package, files, data = (ModuleType(f"tiny_experiment{name}") for name in ("", ".files", ".data"))
    package.__path__ = []
    files.__spec__ = ModuleSpec(files.__name__, None)
    vars(files)["needed"] = needed
    vars(data)["digest"] = digest
    for module in (package, files, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(REGISTRY, "tiny", TINY)
    path = project / "workflow/scales/paper.yaml"
    scale = yaml.safe_load(path.read_text())
    block = {"settings": list(TINY.settings), "arms": ["a", "b"], "replicas": 2}
    scale["experiments"]["tiny"] = {"comparable": True, "reason": "nothing is cut", "blocks": [block]}
    path.write_text(yaml.safe_dump(scale))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("STRUCTGRAD_DATA", raising=False)
    monkeypatch.setattr(store, "PAUSE", 0.0)


@pytest.fixture
def plan(tiny):
    return load_plan("paper", OVERRIDES)


def put(folder, *names):
    for name in names:
        path = folder / FILES[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[name])


def verdicts(plan):
    return {f"{cell.setting}/{cell.arm.name}": cell.judgement.verdict for cell in collect(plan, "tiny")}


def state(findings):
    return {finding.what: finding.state for finding in findings}


def test_what_cannot_be_had_is_noted_and_the_rest_goes_on(plan):
    put(store.cache(), "two")
    found = fetch(plan, plan.shards)
    assert (found.at_hand, found.downloaded, list(found.missing)) == (("tiny/two.txt",), (), ["tiny/one.txt"])
    assert [shard.id for shard in found.left_out] == ["tiny/one/a/0-1", "tiny/one/b/0-1"]
    assert verdicts(plan) == {
        "one/a": "no_data",
        "one/b": "no_data",
        **dict.fromkeys(("two/a", "two/b", "made/a", "made/b"), "not_attempted"),
    }
    note = plan.shards[0].note.read_text()
    assert note.count("\n") == 1
    assert all(word in note for word in ("tiny/one.txt", "http://127.0.0.1:1/one.txt", "STRUCTGRAD_DATA"))
    assert str(store.cache()) not in note  # tables repeat it: the same on every machine
    assert next(cell.judgement.reason for cell in collect(plan, "tiny")) == note.strip()
    assert list(datasets.make(plan, "tiny")) == ["two/0-1", "made/0-1"]


def test_a_note_goes_when_the_data_comes(plan, tmp_path):
    fetch(plan, plan.shards)
    note = plan.shards[0].note
    before = note.stat().st_mtime_ns
    fetch(plan, plan.shards)
    assert note.stat().st_mtime_ns == before  # the same words are not written again: tables would be built anew
    put(store.cache(), "one")
    found = fetch(plan, plan.shards)
    assert (found.at_hand, {shard.setting for shard in found.left_out}) == (("tiny/one.txt",), {"two"})
    assert not note.exists()
    assert list(datasets.make(plan, "tiny")) == ["one/0-1", "made/0-1"]


def test_a_record_is_not_left_out_for_want_of_its_data(plan, fabricate):
    fetch(plan, plan.shards)
    shard = plan.shards_of("tiny", "one", "a")[0]
    fabricate(plan, shard, [SCORE, SCORE])
    assert verdicts(plan)["one/a"] == "not_comparable"  # nothing is published for it
    found = fetch(plan, plan.shards)
    assert [left.id for left in found.left_out if left.setting == "one"] == ["tiny/one/b/0-1"]
    assert not shard.note.exists()
    assert list(datasets.make(plan, "tiny")) == ["made/0-1"]  # its digest cannot be made here, and is not needed


def test_missing_data_stops_the_digests_with_the_way_out(plan):
    with pytest.raises(UserError, match=r"tiny/one\.txt is not at hand .* structgrad data fetch$"):
        datasets.make(plan, "tiny")
    assert not datasets.path_of("paper", "tiny").exists()


def test_the_configured_folder_wins_and_does_not_stay_set(plan, project, monkeypatch):
    put(project / "elsewhere", "one", "two")
    plan = load_plan("paper", OVERRIDES | {"data_folder": "elsewhere"})  # from the project's root
    for before in (None, "/nowhere"):
        if before:
            monkeypatch.setenv("STRUCTGRAD_DATA", before)
        assert fetch(plan, plan.shards).missing == {}
        assert len(datasets.make(plan, "tiny")) == 3
        assert store.named() == (before and store.Path(before))
        with data_folder(plan):
            assert store.named() == project / "elsewhere"
        assert store.named() == (before and store.Path(before))


def test_a_damaged_file_stops_everything_with_exit_code_2(plan, project, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STRUCTGRAD_DATA", str(tmp_path / "mine"))
    put(tmp_path / "mine", "one", "two")
    path = tmp_path / "mine" / FILES["two"].path
    path.write_bytes(CONTENT["two"][:-3])
    for words in (["data", "fetch"], ["data", "make", "tiny"], ["data", "status"], ["reproduce", "--cores", "1"]):
        with pytest.raises(SystemExit) as left:
            main([*words, *OPTIONS])
        said = capsys.readouterr().err
        assert left.value.code == 2
        assert said.splitlines()[-1].startswith("structgrad: ")
        assert said.count("structgrad: ") == 1
        assert str(path) in said
        assert "sha256" in said
    assert not results("paper").exists()
    assert path.read_bytes() == CONTENT["two"][:-3]


@pytest.mark.parametrize("spoil", [lambda text: text[:-9], lambda text: text.replace(b"1", b"7", 1)])
def test_nothing_is_trained_on_a_damaged_published_set(tmp_path, monkeypatch, capsys, spoil):
    path = tmp_path / "mine/label_ranking/iris.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(spoil(b"A1,A2,A3,A4,ranking\n-0.555556,0.25,-0.864407,-0.916667,a>b>c\n"))
    monkeypatch.setenv("STRUCTGRAD_DATA", str(tmp_path / "mine"))
    with pytest.raises(SystemExit) as left:
        main(["run", "berthet_1/iris/squared/0-1", "--scale", "paper"])
    assert left.value.code == 2
    assert f"{path} is damaged or another version" in capsys.readouterr().err
    assert not (results("paper") / "records").exists()


def test_the_command_tells_people_and_machines(plan):
    put(store.cache(), "two")
    told = CliRunner().invoke(cli, ["data", "fetch", "tiny", *OPTIONS, "--json"], catch_exceptions=False)
    found = json.loads(told.output)
    assert (told.exit_code, found["at_hand"], found["left_out"]) == (
        0, ["tiny/two.txt"], ["tiny/one/a/0-1", "tiny/one/b/0-1"],
    )  # fmt: skip
    said = CliRunner().invoke(cli, ["data", "fetch", *OPTIONS], catch_exceptions=False).stdout.splitlines()
    assert said[0] == "data: 1 files at hand, 0 downloaded"
    assert re.fullmatch(r"not to be had \(127\.0\.0\.1:1: .+\): tiny/one\.txt", said[1])
    assert said[2] == "left out: tiny/one"
    assert "STRUCTGRAD_DATA" in said[3]
    status = json.loads(CliRunner().invoke(cli, ["data", "status", *OPTIONS, "--json"]).output)
    assert status == {"tiny": {"files": {"tiny/one.txt": False, "tiny/two.txt": True}, "digests": False}}
    assert "1 of 2 files at hand" in CliRunner().invoke(cli, ["data", "status", *OPTIONS]).output
    listed = CliRunner().invoke(cli, ["list", "--shards", *OPTIONS]).output
    assert "no data tiny/one/a/0-1" in listed
    assert "to do   tiny/two/a/0-1" in listed
    none = CliRunner().invoke(cli, ["data", "fetch", "--set", "experiments=[indelman_1a]"]).stdout
    assert none == "scale paper needs no real data\n"


def test_an_unknown_experiment_is_named(capsys):
    with pytest.raises(SystemExit):
        main(["data", "fetch", "tini", *OPTIONS])
    assert "unknown experiment 'tini'; did you mean 'tiny'?" in capsys.readouterr().err


def test_the_doctor_says_which_files_are_there(plan, tmp_path, monkeypatch):
    put(store.cache(), "two")
    (finding,) = doctor.data(plan)
    assert (finding.state, finding.advice.partition(",")[0]) == ("warn", "structgrad data fetch")
    assert finding.seen.startswith("1 of 2 files are not at hand: tiny/one.txt; looked for in ")
    put(store.cache(), "one")
    assert [f.seen.partition(";")[0] for f in doctor.data(plan)] == ["all 2 files are there"]
    (store.cache() / FILES["two"].path).write_bytes(b"")
    assert state(doctor.data(plan)) == {"data": "fail"}


def test_the_audit_compares_data_where_it_is_and_notes_where_it_is_not(plan, fabricate):
    put(store.cache(), "one", "two")
    digests = datasets.make(plan, "tiny")
    for shard in plan.shards:
        record = fabricate(plan, shard, [SCORE, SCORE])
        made = record["provenance"] | {"data_digest": digests[f"{shard.setting}/0-1"]}
        fabricate(plan, shard, [SCORE, SCORE], changes={"provenance": made})
    scene = audit.Scene(plan)
    assert list(data_is_the_same(scene)) == []
    assert scene.notes == []
    (store.cache() / FILES["one"].path).unlink()
    assert list(data_is_the_same(scene)) == []
    assert [str(note).partition(":")[0] for note in scene.notes] == [
        "2 records learned from real data that is not at hand"
    ]
    (store.cache() / FILES["two"].path).write_bytes(b"")
    damaged = [str(finding) for finding in data_is_the_same(audit.Scene(plan))]
    assert len(damaged) == 2
    assert all("tiny/two/" in told and "sha256" in told for told in damaged)
    assert not (store.cache() / FILES["one"].path).exists()  # an audit downloads nothing


def test_the_audit_takes_notes_for_what_they_are(plan):
    fetch(plan, plan.shards)
    assert list(records_are_in_place(audit.Scene(plan))) == []
    (told,) = [str(note) for note in audit._notes(audit.Scene(plan)) if "no data" in str(note)]
    assert told == "4 of 6 training jobs have no record (no data)"


def test_what_nobody_may_pass_on_is_no_data_on_every_machine(project):
    """Without a note too: whether somebody added it here changes no table."""
    chosen = {"experiments": ["paulus_3"], "arms": ["simple_l2x"], "settings": ["aroma k=5", "synthetic aroma k=5"]}
    cells = [cell for cell in collect(load_plan("desktop", chosen), "paulus_3") if cell.arm.name == "simple_l2x"]
    by_setting = {cell.setting: cell.judgement for cell in cells if cell.metric.name == "mse_x100"}
    assert by_setting["aroma k=5"].verdict == "no_data"
    assert "structgrad data add beer PATH" in by_setting["aroma k=5"].reason
    assert by_setting["synthetic aroma k=5"].verdict == "not_attempted"
