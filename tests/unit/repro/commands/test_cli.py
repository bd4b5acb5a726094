"""The command line: teaches, answers machines, and turns mistakes into one line and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from structgrad.experiments import REGISTRY
from structgrad.repro.cli import COMMANDS, cli, main
from structgrad.repro.evidence.records import digest

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert len(result.output) > 200


def test_front_page_lists_every_command_without_loading_torch():
    code = (
        "import sys\nfrom structgrad.repro.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as left:\n    assert not left.code\n"
        "assert 'torch' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lst"], "unknown command 'lst'; did you mean 'list'?"),
        (["list", "--scale", "smol"], "unknown scale 'smol'; did you mean 'smoke'?"),
        (["list", "--set", "arm=[direct]"], "config.yaml: unknown key 'arm'; did you mean 'arms'?"),
        (["run", "indelman_1a/d=5/dircet/0-9"], "unknown arm 'dircet'; did you mean 'direct'?"),
        (["run", "indelman_1a/d=5/direct/0-\u0669"], "unknown"),  # an Arabic nine
        (["run", "indelman_1a/d=5/direct/0-9", "--set", "device=cuda:7"], "device cuda:7 asked for"),
        (["run", "indelman_1a/d=5/direct/0-9", "--time-budget", "nan"], "--time-budget takes seconds, more than 0"),
        (["run", "indelman_1a/d=5/direct/0-9", "--checkpoint-every", "-1"], "--checkpoint-every takes seconds"),
        (["reproduce", "--cores", "0"], "--cores takes a number of cores or all, not '0'"),
        (["reproduce", "--cores", "1.5"], "--cores takes a number of cores or all, not '1.5'"),
        (["reproduce", "--profile", ".."], "no profile '..'"),
        (["list", "--set-json", "[1]"], "--set-json takes a JSON object"),
        (["list", "--set-json", "{"], "--set-json: '{': not JSON"),
        (["data", "status", "--set", "data_folder=~nobody-of-that-name"], "the home of a user who is not here"),
        (["run"], "Missing argument 'SHARD...'"),
        (["reproduce", "--profile", "slrum"], "no profile 'slrum'"),
        (["explain", "indelman/1a/d=5/Dirct/percent_sequences_perfect"], "Direct"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(project, capsys, arguments, line):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "STRUCTGRAD_DATA",
            "~nobody-of-that-name/data",
            "STRUCTGRAD_DATA: '~nobody-of-that-name/data' names the home",
        ),
        ("XDG_CACHE_HOME", "~nobody-of-that-name", "XDG_CACHE_HOME: '~nobody-of-that-name' names the home of a user"),
        ("STRUCTGRAD_ROOT", "{ring}", "no structgrad project at or above"),
        ("STRUCTGRAD_ROOT", "x" * 300, "no structgrad project at or above"),
    ],
)
def test_places_that_cannot_be_are_one_line_and_exit_2(project, tmp_path, monkeypatch, capsys, variable, value, line):
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    monkeypatch.setenv(variable, value.format(ring=tmp_path / "ring"))
    with pytest.raises(SystemExit) as left:
        main(["data", "status", "--scale", "desktop"])
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert line in error
    assert error.count("\n") == 1


def test_outside_a_project(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STRUCTGRAD_ROOT", raising=False)
    with pytest.raises(SystemExit) as left:
        main(["list"])
    assert left.value.code == 2
    assert "no structgrad project at or above" in capsys.readouterr().err


def test_list_for_machines(project):
    shown = json.loads(CliRunner().invoke(cli, ["list", "--json", "--scale", "smoke"]).output)
    assert [row["name"] for row in shown] == [name for name in REGISTRY if name != "berthet_2fig"]  # not at smoke
    assert [row["level"] for row in shown] == [REGISTRY[row["name"]].level for row in shown]
    shards = json.loads(CliRunner().invoke(cli, ["list", "--json", "--shards", "--scale", "smoke"]).output)
    assert {"shard": "indelman_1a/d=5/direct/0-199", "record": False} in shards
    cells = CliRunner().invoke(cli, ["list", "--cells", "--scale", "paper"]).output.splitlines()
    assert "indelman/1a/d=25/Direct/percent_sequences_perfect" in cells
    assert "berthet/2/cpu-small/Perturbed + Squared loss/spearman" in cells
    sizes = {"indelman_1a": 6 * 6 * 4, "indelman_2": 16 * 10, "berthet_1": 21 * 10, "berthet_artificial": 11 * 7 * 4}
    sizes |= {"paulus_1": 2 * 17 * 3, "paulus_2": 12 * 5}
    for name, size in sizes.items():
        start = f"{REGISTRY[name].paper}/{REGISTRY[name].table}/"
        assert sum(cell.startswith(start) for cell in cells) == size


@pytest.mark.parametrize(("machine", "level"), [("x86_64", 1), ("aarch64", 2)])
def test_a_new_record_says_its_level(project, monkeypatch, machine, level):
    monkeypatch.setattr("structgrad.repro.running.run.hardware", lambda device: {"machine": machine})
    arguments = ["run", "indelman_1a/d=5/no_solver/0-1", "--scale", "smoke", "--json"]
    record = json.loads(CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout)
    assert (record["level"], record["run"]["device"]) == (level, "cpu")
    assert list(record).index("level") < list(record).index("config")
    assert digest(record) == record["digest"] != digest(record | {"level": 3})


def test_data_digests_guard_the_training(project):
    result = CliRunner().invoke(cli, ["data", "make", "indelman_1a", "--scale", "smoke", "--json"])
    digests = json.loads(result.output)["indelman_1a"]
    assert set(digests) == {"d=5/0-9", "d=10/0-9"} | {f"d={d}/0-199" for d in (5, 10, 25, 40, 60)}
    path = project / "results/smoke/data/indelman_1a.json"
    path.write_text(path.read_text().replace(digests["d=5/0-199"], "0" * 64))
    from structgrad.errors import UserError

    with pytest.raises(UserError, match="nothing was trained"):
        CliRunner().invoke(cli, ["run", "indelman_1a/d=5/direct/0-199", "--scale", "smoke"], catch_exceptions=False)
    assert not (project / "results/smoke/records").exists()


@pytest.mark.parametrize("missing", ["click", "jsonschema"])
def test_the_library_alone_names_the_extra(missing):
    arguments = "sys.argv[1:] = ['list', '--shards']"
    code = f"import sys\nsys.modules[{missing!r}] = None\n{arguments}\nfrom structgrad.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"needs {missing}, which the library alone does not install" in done.stderr
    assert "pip install 'structgrad[repro]'" in done.stderr


def test_a_fault_of_ours_is_no_missing_extra():
    code = "import sys\nsys.modules['structgrad.errors'] = None\nfrom structgrad.__main__ import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
