"""Records: sealed, checked, written whole or not at all."""

import errno
import json
from dataclasses import replace

import pytest

from structgrad import files
from structgrad.errors import UserError
from structgrad.experiments import REGISTRY, Experiment
from structgrad.repro.evidence import records
from structgrad.repro.planning.plan import load_plan

METRICS = {
    "percent_sequences_perfect": {"successes": 1, "trials": 1},
    "prop_wrong_mean": {"sum": 0.0, "sum_squares": 0.0, "count": 1},
}


@pytest.fixture
def record(project, fabricate):
    plan = load_plan("paper")
    shard = plan.shard("indelman_1b/d=5/direct/0-4")
    return fabricate(plan, shard, [METRICS] * 5), shard.path


def test_round_trip(record):
    content, path = record
    assert records.load(path) == content
    assert records.digest(content) == content["digest"]


def test_every_changed_digit_is_noticed(record):
    """Each digit of the file outside ``run`` is changed in turn."""
    _, path = record
    text = path.read_text()
    run = text.index('"run"')
    end = text.index("\n", run)
    changed = 0
    for i, character in enumerate(text):
        if character.isdigit() and not run < i < end and changed < 150:
            path.write_text(text[:i] + str((int(character) + 1) % 10) + text[i + 1 :])
            with pytest.raises(records.RecordError, match=path.name):
                records.load(path)
            changed += 1
    assert changed > 100


def test_times_and_machine_are_outside_the_digest(record):
    content, _ = record
    assert records.digest(content | {"run": {}}) == content["digest"]


def test_the_level_is_inside_the_digest(record):
    content, path = record
    assert content["level"] == 1
    path.write_text(path.read_text().replace('"level": 1', '"level": 2'))
    with pytest.raises(records.RecordError, match="does not match its digest"):
        records.load(path)


@pytest.mark.parametrize(
    ("level", "told"),
    [
        (4, "4 is greater than the maximum of 3"),
        (0, "0 is less than the minimum of 1"),
        ("1", "'1' is not of type 'integer'"),
        (1.5, "1.5 is not of type 'integer'"),
        (True, "True is not of type 'integer'"),
        (None, "None is not of type 'integer'"),
    ],
)
def test_a_level_is_1_2_or_3(record, level, told):
    content, path = record
    for right in (1, 2, 3):
        assert records.save(content | {"level": right}, path)["level"] == right
    with pytest.raises(records.RecordError, match=f"level: {told}$"):
        records.save(content | {"level": level}, path)


def test_a_record_from_before_levels_is_sound(record):
    content, path = record
    del content["level"]
    assert records.load(path).pop("level") == 1
    records.save(content, path)
    assert "level" not in records.load(path)


def test_every_experiment_declares_its_level():
    """A contract: whoever changes a line here takes back, or gives, a promise about records that are out there."""
    assert {name: experiment.level for name, experiment in REGISTRY.items()} == {
        "indelman_1a": 1,
        "indelman_1b": 1,
        "indelman_2": 2,
        "berthet_1": 1,
        "berthet_2": 1,
        "berthet_artificial": 1,
        "berthet_2fig": 2,
        "berthet_2fig_digits": 2,
        "berthet_paths": 2,
        "paulus_1": 2,
        "paulus_2": 2,
        "paulus_3": 2,
        "cross": 2,
    }
    declared = {key: value for key, value in vars(REGISTRY["paulus_1"]).items() if key != "level"}
    with pytest.raises(TypeError, match="'level'"):
        Experiment(**declared)


@pytest.mark.parametrize(
    ("device", "machine", "promised"),
    [
        ("cpu", "x86_64", (1, 2, 3)),
        ("cpu", "aarch64", (2, 2, 3)),
        ("cpu", "arm64", (2, 2, 3)),
        ("cuda", "x86_64", (3, 3, 3)),
        ("cuda:1", "aarch64", (3, 3, 3)),
    ],
)
def test_what_a_device_and_a_machine_leave_of_a_level(device, machine, promised):
    levels = [replace(REGISTRY["paulus_1"], level=level) for level in (1, 2, 3)]
    assert tuple(experiment.level_on(device, machine) for experiment in levels) == promised


def test_missing_field_and_broken_json_are_named(record):
    content, path = record
    del content["seeds"]
    path.write_text(json.dumps(content))
    with pytest.raises(records.RecordError, match="'seeds' is a required property"):
        records.load(path)
    path.write_text("{")
    with pytest.raises(records.RecordError, match="not JSON"):
        records.load(path)
    path.unlink()
    with pytest.raises(records.RecordError, match="cannot be read"):
        records.load(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_every_number_in_a_record_is_finite(record, number):
    content, path = record
    whole = path.read_bytes()
    result = content["results"][2]
    run = content["run"] | {"hardware": {"load": number}}  # outside the digest, but not outside the rule
    for field, changes in (
        ("history.loss.1", {"history": {"loss": [1.0, number]}}),
        ("results.0.final.validation", {"results": [result | {"final": {"validation": number}}]}),
        ("config.rate", {"config": {"rate": number}}),
        ("run.hardware.load", {"run": run}),
    ):
        with pytest.raises(records.RecordError, match=f"{field}: {number} is not a finite number"):
            records.save(content | changes, path)
        assert path.read_bytes() == whole
        path.write_text(json.dumps(content | changes))  # JSON that is none: NaN, Infinity
        with pytest.raises(records.RecordError, match=f"{field}: {number} is not a finite number"):
            records.load(path)
        path.write_bytes(whole)


def test_a_result_counts_epochs_or_steps(record):
    content, path = record
    counted = [{key: value for key, value in result.items() if key != "epochs"} for result in content["results"]]
    steps = [result | {"steps": 400, "stopped": "diverged"} for result in counted]
    assert records.save(content | {"results": steps}, path)["results"] == steps
    for wrong in (counted, [result | {"steps": 400} for result in content["results"]]):
        with pytest.raises(records.RecordError, match=r"results\.0"):
            records.save(content | {"results": wrong}, path)
    with pytest.raises(records.RecordError, match="stopped"):
        records.save(content | {"results": [result | {"stopped": "bored"} for result in steps]}, path)


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    files.write_text(path, "old")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match=r"no space left to write .*table\.csv; free some and run again"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
