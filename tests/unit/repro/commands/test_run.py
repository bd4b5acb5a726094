"""`structgrad run` and the record that is there: it is never replaced in silence."""

import json
import os

import pytest
import yaml
from click.testing import CliRunner

from structgrad.errors import UserError
from structgrad.repro.cli import COMMANDS, cli, main
from structgrad.repro.commands.training_bar import TrainingBar
from structgrad.repro.evidence import records
from structgrad.repro.planning import program
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running import finished
from structgrad.repro.running.comparison import compare
from structgrad.repro.running.journal import SILENT, last_line
from structgrad.repro.running.places import again
from structgrad.repro.running.run import key_of
from structgrad.training.loop import OutOfTimeError

SHARD, OTHER = (f"indelman_1a/d=5/{arm}/0-1" for arm in ("no_solver", "direct"))
SCALE = ("--scale", "smoke")


def run(*words):
    """(exit code, output) of the command; the output of both streams."""
    told = CliRunner().invoke(cli, ["run", *words, *SCALE])
    if told.exception is not None and not isinstance(told.exception, SystemExit):
        raise told.exception
    return told.exit_code, told.output


@pytest.fixture
def path(project):
    """The record of SHARD, short to train, as its first run writes it."""
    block = {"settings": ["d=5"], "arms": ["direct", "no_solver"], "replicas": 2}
    short = {"comparable": False, "reason": "short", "overrides": {"max_epochs": 3}, "blocks": [block]}
    scale = {"description": "one table", "experiments": {"indelman_1a": short}}
    (project / "workflow/scales/smoke.yaml").write_text(yaml.safe_dump(scale))
    assert run(SHARD)[0] == 0
    return load_plan("smoke").shard(SHARD).path


def change(path, change):
    """Another sound record in its place."""
    content = json.loads(path.read_text())
    change(content)
    records.save({key: value for key, value in content.items() if key != "digest"}, path)


def test_what_is_there_stays_and_the_options_are_named(path):
    before = path.read_bytes()
    code, told = run(SHARD)
    assert code == 0
    assert path.read_bytes() == before
    assert "has a record, which was left as it is" in told
    assert all(f" {option}" in told for option in ("--compare", "--into FOLDER", "--fresh"))
    assert "no_solver.0-1.json" in told
    code, told = run(SHARD, "--json")
    assert json.loads(told.splitlines()[-1]) == records.load(path)


def test_of_several_those_without_a_record_are_trained(path):
    before = path.read_bytes()
    code, told = run(SHARD, OTHER)
    assert code == 0
    assert path.read_bytes() == before
    assert f"training {OTHER} (2 of 2)" in told
    assert load_plan("smoke").shard(OTHER).path.is_file()


def test_fresh_replaces_it(path):
    change(path, lambda record: record["results"][0]["metrics"]["prop_wrong_mean"].update(sum=1.0))
    other = records.load(path)["digest"]
    assert run(SHARD, "--fresh")[0] == 0
    assert records.load(path)["digest"] != other


def test_a_damaged_one_is_not_replaced_either(path):
    path.write_text(path.read_text().replace("no_solver", "direct"))
    before = path.read_bytes()
    with pytest.raises(UserError, match="left as it is, --fresh replaces it"):
        run(SHARD)
    assert path.read_bytes() == before


def test_into_a_folder(path, tmp_path):
    before, elsewhere = path.read_bytes(), tmp_path / "else where"
    change(path, lambda record: record["results"][0]["metrics"]["prop_wrong_mean"].update(sum=1.0))
    assert run(SHARD, "--into", str(elsewhere))[0] == 0
    written = elsewhere / "indelman_1a/d=5/no_solver.0-1.json"
    assert records.load(written)["digest"] == json.loads(before)["digest"]
    assert [file for file in elsewhere.rglob("*") if file.is_file()] == [written]
    assert not finished.outdated(load_plan("smoke").shard(SHARD), "another key")  # the changed one is not its own
    at = written.stat().st_mtime_ns
    code, told = run(SHARD, "--into", str(elsewhere))
    assert (code, written.stat().st_mtime_ns) == (0, at)
    assert f"--into '{elsewhere}' --fresh" in told


def test_compared_it_is_the_same_to_the_bit(path):
    before = path.read_bytes()
    code, told = run(SHARD, "--compare")
    assert (code, path.read_bytes()) == (0, before)
    assert f"{SHARD}: same bits" in told
    shard = load_plan("smoke").shard(SHARD)
    assert records.canonical(records.load(again(shard).record)) == records.canonical(records.load(path))
    assert finished.kept(shard, key_of(load_plan("smoke"), shard)) == records.load(path)


def test_compared_it_has_equal_results_of_another_commit(path):
    change(path, lambda record: record["provenance"].update(git_commit="f" * 40))
    code, told = run(SHARD, "--compare")
    assert code == 0
    assert f"{SHARD}: equal results" in told
    assert f"made of other     provenance.git_commit: {'f' * 40} before" in told


def test_compared_it_is_different_and_says_where(path):
    def worse(record):
        record["results"][1]["metrics"]["percent_sequences_perfect"].update(successes=0)

    change(path, worse)
    before = path.read_bytes()
    code, told = run(SHARD, "--compare")
    assert (code, path.read_bytes()) == (1, before)
    assert "first difference  results.1.metrics.percent_sequences_perfect.successes: 0 before, 1 now" in told
    assert "percent_sequences_perfect: 50 before, 100 now (+50 %), other in 1 of 2 replicas" in told
    code, told = run(SHARD, "--compare", "--json")
    found = json.loads(told.splitlines()[-1])
    assert (code, found["verdict"], [moved["replicas"] for moved in found["metrics"]]) == (1, "different", [1])


def test_a_comparison_names_fields_that_one_record_lacks(searched):
    record = records.load(next(shard for shard in searched.shards if shard.arm == "tree").path)
    part = searched.experiments["fake"].experiment
    assert compare(record, record, part).verdict == "same bits"
    shorter = {**record, "results": []}
    assert str(compare(record, shorter, part).first).startswith("results: [{'replica': 0")
    older = {key: value for key, value in record.items() if key != "level"}
    assert [str(each) for each in compare(record, older, part).made_of] == ["level: 2 before, none now"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((SHARD, "--compare"), "has no record of scale smoke to compare with"),
        ((SHARD, "--compare", "--fresh"), "--compare writes no record"),
        ((SHARD, "--into", "x", "--go-on"), "which --into does not write"),
    ],
)
def test_what_cannot_be_asked(project, capsys, words, line):
    with pytest.raises(SystemExit) as left:
        main(["run", *words, *SCALE])
    error = capsys.readouterr().err
    assert (left.value.code, error.count("\n")) == (2, 1)
    assert line in error


def test_a_bar_counts_the_clock_not_the_replicas(searched, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = TrainingBar("fake/T=10/tree/0-3", 4, searched.experiments["fake"].experiment)
    bar.expects(1600)
    bar(401, 3, {"elbo": -1.0})  # of a checkpoint
    assert (bar.bar.n, bar.bar.total, bar.bar.initial) == (401, 1600, 400)
    bar(402, 3, {})
    bar.close()
    told = capsys.readouterr().err
    assert "402/1600" in told
    assert "3 of 4 trials train" in told


def test_a_log_counts_it_too(searched, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    bar = TrainingBar("fake/T=10/tree/0-3", 4, searched.experiments["fake"].experiment, every=0.0)
    bar.expects(1600)
    bar(450, 3, {"trial": 2.0})
    bar.close()
    told = "fake/T=10/tree/0-3: step 450 of 1600, 3 of 4 trials train, trial 2"
    assert capsys.readouterr().err.strip() == told


def test_the_loop_is_told_how_long_it_may_take(path, monkeypatch):
    told = []
    monkeypatch.setattr(TrainingBar, "expects", lambda _, steps: told.append(steps))
    run(OTHER)
    assert told == [3]


def test_hints_can_be_typed(project, monkeypatch, tmp_path):
    assert program.NAMES.split("|") == list(COMMANDS)
    script = tmp_path / "a b/structgrad"
    script.parent.mkdir()
    script.touch()
    monkeypatch.setattr("sys.executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    assert (
        program.typed("run: structgrad tables; import structgrad") == "run: 'a b/structgrad' tables; import structgrad"
    )
    plan = load_plan("smoke", {"replicas": 2})
    words = """'a b/structgrad' explain 'a b' --scale smoke --set-json '{"replicas": 2}'"""
    assert program.command_line(plan, "explain", "a b") == words
    script.unlink()
    assert program.program() == f"'{tmp_path}/a b/python' -m structgrad"


def test_slices_have_the_bytes_of_the_whole_and_count_as_it_does(path):
    """Two slices in place of a shard: the same results, and tables see all replicas."""
    plan = load_plan("smoke")
    whole = records.load(plan.shard(SHARD).path)
    path.unlink()
    first, second = SHARD.replace("0-1", "0-0"), SHARD.replace("0-1", "1-1")
    assert run(second)[0] == 0
    assert [shard.span for shard in load_plan("smoke").shards_of("indelman_1a", arm="no_solver")] == ["0-0", "1-1"]
    assert run(first)[0] == 0
    shards = load_plan("smoke").shards_of("indelman_1a", arm="no_solver")
    assert [json.dumps(result) for shard in shards for result in records.load(shard.path)["results"]] == [
        json.dumps(result) for result in whole["results"]
    ]
    code, told = run(SHARD)
    assert code == 0
    assert "no table will count this record: no_solver.0-0.json and no_solver.1-1.json have some" in told


def test_a_shard_has_a_log_of_its_own_that_ends_with_what_became_of_it(path, monkeypatch):
    shard = load_plan("smoke").shard(SHARD)
    lines = shard.log.read_text().splitlines()
    assert lines[0].split(" ", 1)[1].startswith("training on ")
    assert f"process {os.getpid()}" in lines[0]
    assert last_line(shard).startswith(f"done: {SHARD}: ")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with monkeypatch.context() as patch:
        patch.setattr("structgrad.repro.running.run.run_shard", _raise(RuntimeError("the toy crashes")))
        with pytest.raises(RuntimeError):
            run(SHARD, "--fresh")
    added = shard.log.read_text().splitlines()[len(lines) :]
    assert "Slurm job 77" in added[0]
    assert any("Traceback" in line for line in added)
    assert last_line(shard) == "RuntimeError: the toy crashes"
    with monkeypatch.context() as patch:
        patch.setattr("structgrad.repro.running.run.run_shard", _raise(UserError("no disk")))
        with pytest.raises(UserError):
            run(SHARD, "--fresh")
    assert last_line(shard) == "no disk"
    with monkeypatch.context() as patch:
        patch.setattr("structgrad.repro.running.run.run_shard", _raise(OutOfTimeError()))
        assert run(SHARD, "--fresh")[0] == 75
    assert last_line(shard) == "out of time: a checkpoint waits"
    before = shard.log.read_bytes()
    assert run(SHARD, "--compare")[0] == 0  # writes no record, and no log
    assert shard.log.read_bytes() == before
    shard.log.write_text(shard.log.read_text() + "2030-01-01T00:00:00+00:00 training on far, process 1, cpu\n")
    assert last_line(shard) == SILENT


def test_a_log_that_cannot_be_written_stops_no_training(path):
    shard = load_plan("smoke").shard(OTHER)
    shard.log.parent.rename(shard.log.parent.with_name("elsewhere"))
    shard.log.parent.write_text("a file in its place")
    assert run(OTHER)[0] == 0
    assert last_line(shard) == SILENT


def _raise(error):
    def run_shard(*_, **__):
        raise error

    return run_shard
