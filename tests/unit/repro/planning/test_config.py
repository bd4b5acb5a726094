"""Mistakes in a configuration become one line with the nearest right word."""

import re

import pytest
import yaml

from structgrad.errors import UserError
from structgrad.repro.cli import main
from structgrad.repro.planning.config import parse_overrides
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.run import config_digest


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"scal": "smoke"}, r"config.yaml: unknown key 'scal'; did you mean 'scale'\?"),
        ({"scale": "smok"}, r"unknown scale 'smok'; did you mean 'smoke'\?"),
        ({"scale": "xyz"}, r"unknown scale 'xyz'; known: desktop, paper, smoke"),
        ({"arms": ["dirct"]}, r"unknown arm 'dirct'; did you mean 'direct'\?"),
        ({"arms": "direct"}, "config.yaml: arms: 'direct' is neither 'all' nor a list of names"),
        ({"settings": ["d=7"]}, r"unknown setting 'd=7'; did you mean 'd=5'\?"),
        ({"experiments": ["indelman1a"]}, r"unknown experiment 'indelman1a'; did you mean 'indelman_1a'\?"),
        ({"replicas": "three"}, "config.yaml: replicas: 'three' is not of type integer or null"),
        ({"replicas": 0}, "config.yaml: replicas: 0 is less than the minimum of 1"),
        ({"replicas": 1.0}, "config.yaml: replicas: 1.0 is not of type integer or null"),
        ({"replicas": True}, "config.yaml: replicas: True is not of type integer or null"),
        ({"replicas": -(10**30)}, "is less than the minimum of 1"),
        ({"replicas": "3 "}, "config.yaml: replicas: '3 ' is not of type integer or null"),
        ({"time_budget": float("nan")}, "config.yaml: time_budget: nan is not of type number or null"),
        ({"time_budget": float("inf")}, "config.yaml: time_budget: inf is not of type number or null"),
        ({"time_budget": False}, "config.yaml: time_budget: False is not of type number or null"),
        ({"arms": []}, "config.yaml: arms: the list is empty; name at least one, or say all"),
        ({"settings": ["d=5", "d=5"]}, "config.yaml: settings: 'd=5' is named twice"),
        ({"experiments": [["indelman_1a"]]}, r"config.yaml: experiments: \['indelman_1a'\] is not a name"),
        ({"experiments": {"indelman_1a": 1}}, "is neither 'all' nor a list of names"),
        ({"device": "cpu\n"}, r"config.yaml: device: 'cpu\\n' does not match; allowed is cpu or cuda or cuda:1"),
        ({"data_folder": "a\0b"}, "config.yaml: data_folder: .* does not match"),
        ({"data_folder": 3}, "config.yaml: data_folder: 3 is not of type string or null"),
        ({"tracking": "http://a b"}, "config.yaml: tracking: 'http://a b' does not match"),
        ({1: 2}, "config.yaml: unknown key '1'"),
        ({"device": "gpu"}, "config.yaml: device: 'gpu' does not match"),
        ({"tracking": "ftp://x"}, "config.yaml: tracking: 'ftp://x' does not match"),
    ],
)
def test_wrong_configuration(project, overrides, message):
    with pytest.raises(UserError, match=message):
        load_plan(overrides=overrides)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- scale\n", "config.yaml: expected keys and values, found list"),
        (b"", "config.yaml: expected keys and values, found nothing"),
        (b"scale: smoke\nreplicas: 1\nreplicas: 2\n", r"line 3: not valid YAML \('replicas' stands there twice\)"),
        (b"scale: sm\xf6ke\n", "config.yaml: not UTF-8 text"),
        (b"scale: 2020-99-99\n", "config.yaml: not valid YAML"),
        (b"scale: !!python/name:os.system x\n", "config.yaml, line 1: not valid YAML"),
        (b"arms: " + b"[" * 1000 + b"]" * 1000 + b"\n", r"config.yaml: not valid YAML \(too deep\)"),
        (b"arms: " + b"[" * 10**6 + b"\n", r"config.yaml: not valid YAML \(too deep\)"),
        (b"\0\1\2", "config.yaml"),
        (b"scale: smoke\ntime_budget: .nan\n", "config.yaml: time_budget: nan is not of type number or null"),
        (b"scale: smoke\nreplicas: 1.0\n", "config.yaml: replicas: 1.0 is not of type integer or null"),
    ],
)
def test_a_file_that_is_no_configuration(project, capsys, content, message):
    (project / "config.yaml").write_bytes(content)
    with pytest.raises(SystemExit) as left:
        main(["list"])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.count("\n") == 1
    assert re.search(message, said), said


def change_scale(project, change, experiment="indelman_1a"):
    path = project / "workflow/scales/smoke.yaml"
    content = yaml.safe_load(path.read_text())
    change(content["experiments"][experiment])
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda part: part["overrides"].update(epsilom=3), "unknown hyper-parameter 'epsilom'; did you mean 'epsilon'"),
        (
            lambda part: part["overrides"].update(max_epochs="lots"),
            'indelman_1a: max_epochs should be a valid integer, not "lots"',
        ),
        (
            lambda part: part["overrides"].update(max_epochs={"d=5": 1}),
            'max_epochs should be a valid integer, not {"d=5": 1}',
        ),
        (
            lambda part: part.update(arm_overrides={"direct": {"patience": True}}),
            "patience should be a valid integer, not true",
        ),
        (lambda part: part["overrides"].update(training_set=3), "training_set should be 'fresh' or 'fixed', not 3"),
        (lambda part: part["blocks"][0].update(replica=3), r"unknown key 'replica'; did you mean 'replicas'\?"),
        (lambda part: part["blocks"].append(part["blocks"][0]), "names an arm x setting in two blocks"),
        (lambda part: part["blocks"][0].update(replicas=2.0), "replicas: 2.0 is not of type integer"),
        (lambda part: part["blocks"][0]["arms"].append("direct"), "'direct' is named twice"),
        (lambda part: part["blocks"][0]["arms"].append("dsl"), "unknown arm 'dsl'"),
        (lambda part: part.pop("reason"), "'reason' is a required property"),
    ],
)
def test_wrong_scale_file(project, change, message):
    change_scale(project, change)
    with pytest.raises(UserError, match=message):
        load_plan("smoke")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilom": 3}, "unknown hyper-parameter 'epsilom'; did you mean 'epsilon'"),
        ({"max_epochs": "lots"}, 'indelman_1a: max_epochs should be a valid integer, not "lots"'),
    ],
)
def test_what_changes_for_an_arm_in_no_block_is_read(project, changes, message):
    def change(part):
        assert all("fixed_sigma" not in block["arms"] for block in part["blocks"])
        part["arm_overrides"] = {"fixed_sigma": changes}

    change_scale(project, change)
    with pytest.raises(UserError, match=message):
        load_plan("smoke")


@pytest.mark.parametrize("where", ["overrides", "arm_overrides"])
def test_a_value_for_a_data_set_that_is_not_planned_is_read(project, where):
    def change(candidates):
        changes = {"candidates": candidates}

        def change_part(part):
            assert [block["settings"] for block in part["blocks"]] == [["MNIST k=5"]]
            part.setdefault(where, {}).update(changes if where == "overrides" else {"direct": changes})

        change_scale(project, change_part, "indelman_2")
        return load_plan("smoke").experiments["indelman_2"].scaled("direct")["candidates"]

    assert change({"MNIST": 50}) == {"MNIST": 50}  # those without a value are not planned
    assert change({"MNIST": 50, "CIFAR-10": 60}) == {"MNIST": 50, "CIFAR-10": 60}
    with pytest.raises(UserError, match='indelman_2: candidates should be a valid integer, not "lots"'):
        change({"MNIST": 50, "CIFAR-10": "lots"})
    with pytest.raises(UserError, match="candidates has no value for MNIST k=5, only for CIFAR-10"):
        change({"CIFAR-10": 60})


def test_what_differs_between_data_sets_may_be_one_value_for_all_or_a_mapping(project):
    change_scale(project, lambda part: part["overrides"].update(candidates={"MNIST": 50}, epochs=0.5), "indelman_2")
    assert load_plan("smoke").experiments["indelman_2"].config_of("MNIST k=5", "direct")["epochs"] == 0.5
    change_scale(project, lambda part: part["overrides"].update(candidates={"MNIST": "fifty"}), "indelman_2")
    with pytest.raises(UserError, match='indelman_2: candidates should be a valid integer, not "fifty"'):
        load_plan("smoke")


def test_a_change_for_another_data_set_leaves_a_shard_as_it_was(project):
    def digest(**networks):
        networks = {"MNIST": "convnet", "Fashion-MNIST ConvNet": "convnet", "Fashion-MNIST": "resnet18"} | networks
        change_scale(project, lambda part: part["overrides"].update(network=networks), "indelman_2")
        plan = load_plan("smoke", {"experiments": ["indelman_2"]})
        (shard,) = plan.shards_of("indelman_2", arm="direct")
        assert plan.experiments["indelman_2"].config_for(shard)["network"] == networks["MNIST"]
        return config_digest(plan, shard)

    first = digest()
    assert digest(**{"Fashion-MNIST": "preact_resnet18"}) == first
    assert digest(MNIST="resnet18") != first


def test_whole_partitions_of_the_folds(project):
    change_scale(project, lambda part: part["blocks"][0].update(replicas=11), "berthet_1")
    with pytest.raises(UserError, match="berthet_1: 11 replicas, but its replicas are 10 folds of a partition, or"):
        load_plan("smoke")


def test_broken_yaml_names_its_line(project):
    (project / "config.yaml").write_text("scale: smoke\narms: [direct\n")
    with pytest.raises(UserError, match=r"config.yaml, line 3: not valid YAML"):
        load_plan()


def test_slices_cover_every_replica_once(project):
    change_scale(project, lambda part: part["blocks"][0].update(replicas=10, slice=4))
    shards = load_plan("smoke").shards_of("indelman_1a", "d=5", "direct")
    assert [(s.first, s.count) for s in shards] == [(0, 4), (4, 4), (8, 2)]


def test_replicas_are_a_cap(project):
    assert {s.count for s in load_plan("paper", {"replicas": 7}).shards} == {1, 2, 5, 7}  # 1b: of 20 in slices of 5


def test_a_shard_outside_the_plan_can_be_asked_for(project):
    plan = load_plan("paper")
    shard = plan.shard("indelman_1a/d=25/direct/10-12")
    assert (shard.first, shard.count) == (10, 3)
    for wrong in ("indelman_1a/d=5/dirct/0-1", "indelman_1a/d=2/direct/0-1", "x/d=5/direct/0-1", "direct", "a/b/c/3-1"):
        with pytest.raises(UserError, match="unknown"):
            plan.shard(wrong)


def test_a_setting_has_no_blank_where_a_shell_or_a_file_would_split_it(project):
    plan = load_plan("smoke", {"experiments": ["indelman_2"]})
    shard = plan.shards[0]
    assert (shard.setting, shard.id) == ("MNIST k=5", "indelman_2/MNIST_k=5/direct/0-0")
    assert shard.path.parent.name == "MNIST_k=5"
    assert plan.shard(shard.id) == shard
    assert plan.shard("indelman_2/Fashion-MNIST_ConvNet_k=9/direct/0-1").setting == "Fashion-MNIST ConvNet k=9"
    names = [shard.folder for shard in load_plan("paper").shards]
    assert not any(" " in name for name in names)
    assert len(set(names)) == len({shard.setting for shard in load_plan("paper").shards})


def test_overrides_are_yaml(project):
    assert parse_overrides(["replicas=3", "arms=[direct, no_solver]", "tracking=http://h:1"]) == {
        "replicas": 3,
        "arms": ["direct", "no_solver"],
        "tracking": "http://h:1",
    }
    with pytest.raises(UserError, match="--set takes key=value"):
        parse_overrides(["replicas"])


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("data_folder=/data/a #b: {c} 'd'", "/data/a #b: {c} 'd'"),
        ("data_folder=~", "~"),
        ("data_folder=12", "12"),
        ("data_folder='it''s: a #1'", "it's: a #1"),
        ('data_folder="null"', "null"),
        ("data_folder=null", None),
        ("replicas=null", None),
        ("time_budget=1e3 # seconds", "1e3"),  # YAML takes a point for a float
    ],
)
def test_text_is_taken_as_it_stands(project, pair, value):
    assert parse_overrides([pair]) == {pair.partition("=")[0]: value}


NOT_YAML = ["arms=[a", "replicas=[1", "replicas=2020-99-99", "arms={a: 1, a: 2}", "arms=!!python/name:os.system x"]


@pytest.mark.parametrize("pair", NOT_YAML)
def test_an_override_that_is_not_yaml(project, pair):
    with pytest.raises(UserError, match=f"--set {pair.partition('=')[0]}: .*: not valid YAML"):
        parse_overrides([pair])
