"""Typed hyper-parameters: all that is declared can be read, and a mistake is one line before anything trains."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, FrozenInstanceError, asdict, fields, replace
from math import inf, nan
from typing import get_args, get_type_hints

import pytest
import yaml

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.experiments.hyper_parameters import HyperParameters
from structgrad.repro.cli import main
from structgrad.repro.planning.hyper_parameters import read
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.planning.resolve import resolved

CELLS = [(name, arm.name) for name, experiment in REGISTRY.items() for arm in experiment.arms]
KINDS = list(dict.fromkeys(experiment.hyper_parameters for experiment in REGISTRY.values()))
DIRECT = REGISTRY["indelman_1a"].config_of("direct")


def plain(value):
    """Tuples as lists, as a record holds them."""
    return json.loads(json.dumps(value))


# What is declared


@pytest.mark.parametrize(("name", "arm"), CELLS)
def test_every_arm_can_be_read_at_every_setting(name, arm):
    experiment = REGISTRY[name]
    for setting in experiment.settings:
        parameters = read(experiment, experiment.config_of(arm), setting)
        assert type(parameters) is experiment.hyper_parameters
        given = resolved(experiment, experiment.config_of(arm), setting)
        content = plain(asdict(parameters))
        assert {key: content[key] for key in given} == plain(given)
        defaults = {field.name: field.default for field in fields(parameters) if field.name not in given}
        assert MISSING not in defaults.values()
        assert {key: content[key] for key in defaults} == plain(defaults)


@pytest.mark.parametrize("scale", ["smoke", "desktop", "paper"])
def test_every_shard_of_every_scale_has_its_own(project, scale):
    plan = load_plan(scale)
    assert {shard.experiment for shard in plan.shards} == set(plan.experiments)
    for shard in plan.shards:
        part = plan.experiments[shard.experiment]
        content = plain(asdict(part.parameters_for(shard)))
        config = part.config_for(shard)
        assert {key: content[key] for key in config} == plain(config)


@pytest.mark.parametrize("name", REGISTRY)
def test_an_experiment_has_a_class_of_its_own_kind(name):
    kind = REGISTRY[name].hyper_parameters
    assert issubclass(kind, HyperParameters)
    assert kind is not HyperParameters
    assert kind.__module__.startswith(f"{REGISTRY[name].package}.")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_named_in_the_docstring(kind):
    documented = "\n".join(base.__doc__ or "" for base in kind.__mro__ if issubclass(base, HyperParameters))
    for base in kind.__mro__:
        own = [name for name in getattr(base, "__annotations__", {}) if name in {field.name for field in fields(kind)}]
        for name in own:
            assert re.search(rf"\b{name}\b", base.__doc__ or ""), f"{base.__name__} does not say what {name} is"
    listed = re.findall(r"^ {8}(\w+(?:, \w+)*): ", documented, re.MULTILINE)
    names = {name for line in listed for name in line.split(", ")}
    assert names <= {field.name for field in fields(kind)}, "its docstring names what it does not have"


@pytest.mark.parametrize("kind", KINDS)
def test_they_cannot_be_changed_and_are_compared_by_value(kind):
    name, arm = next((name, arm) for name, arm in CELLS if REGISTRY[name].hyper_parameters is kind)
    experiment = REGISTRY[name]
    one, other = (read(experiment, experiment.config_of(arm), experiment.settings[0]) for _ in range(2))
    assert one == other == replace(one)
    with pytest.raises(FrozenInstanceError):
        one.anything = 1


def words(name, field):
    """Those that a field of an experiment's hyper-parameters allows."""
    hint = get_type_hints(REGISTRY[name].hyper_parameters)[field]
    return {word for part in (hint, *get_args(hint)) for word in get_args(part) if isinstance(word, str)}


def test_the_words_are_those_that_the_trainers_know():
    from structgrad.experiments.berthet.rankings.losses import LOSSES
    from structgrad.experiments.indelman.nearest_neighbours.networks import EMBEDDINGS
    from structgrad.experiments.indelman.sorting.direct import COSTS
    from structgrad.experiments.indelman.sorting.hyper_parameters import Method
    from structgrad.experiments.indelman.sorting.train import METHODS
    from structgrad.experiments.paulus.graph_layout.edges import EDGES
    from structgrad.experiments.paulus.graph_layout.objective import ESTIMATORS
    from structgrad.experiments.paulus.listops.edges import NOISES

    for name in ("berthet_1", "berthet_2", "berthet_artificial"):
        assert words(name, "loss") == {*LOSSES, "reference"}
    for name in ("indelman_1a", "indelman_1b"):
        assert words(name, "cost") == set(COSTS)
    assert set(get_args(Method)) == {*METHODS, "no_solver"}
    assert words("indelman_2", "network") == set(EMBEDDINGS)
    assert words("paulus_1", "edges") == set(EDGES)
    assert words("paulus_1", "estimator") == {*ESTIMATORS, "reference"}
    assert words("paulus_2", "noise") == set(NOISES)


def test_numbers_of_a_file_are_exact_and_lists_become_tuples():
    table = REGISTRY["berthet_2"]
    rates = [0.1 + 0.2, 1e-300, 5e-324, 1]
    parameters = read(table, table.config_of("squared") | {"learning_rates": rates}, "iris")
    assert parameters.learning_rates == tuple(rates)
    assert [type(rate) for rate in parameters.learning_rates] == [float] * 4
    half = read(REGISTRY["indelman_2"], REGISTRY["indelman_2"].config_of("direct") | {"epochs": 1}, "MNIST k=1")
    assert (half.epochs, type(half.epochs), half.k) == (1.0, float, 1)


# Mistakes


WRONG = [
    ("indelman_1a", {"max_epochs": "lots"}, 'indelman_1a: max_epochs should be a valid integer, not "lots"'),
    ("indelman_1a", {"max_epochs": "40"}, 'indelman_1a: max_epochs should be a valid integer, not "40"'),
    ("indelman_1a", {"max_epochs": True}, "indelman_1a: max_epochs should be a valid integer, not true"),
    ("indelman_1a", {"max_epochs": 2.5}, "indelman_1a: max_epochs should be a valid integer, "),
    ("indelman_1a", {"max_epochs": 2.0}, "indelman_1a: max_epochs should be a valid integer, not 2.0"),
    ("indelman_1a", {"max_epochs": None}, "indelman_1a: max_epochs should be a valid integer, not null"),
    ("indelman_1a", {"max_epochs": {"d=5": 1}}, 'max_epochs should be a valid integer, not {"d=5": 1}'),
    ("indelman_1a", {"max_epochs": 0}, "indelman_1a: max_epochs should be greater than 0, not 0"),
    ("indelman_1a", {"max_epochs": -3}, "indelman_1a: max_epochs should be greater than 0, not -3"),
    ("indelman_1a", {"patience": False}, "indelman_1a: patience should be a valid integer, not false"),
    ("indelman_1a", {"learning_rate": True}, "indelman_1a: learning_rate should be a valid number, not true"),
    ("indelman_1a", {"learning_rate": 0}, "indelman_1a: learning_rate should be greater than 0, not 0"),
    ("indelman_1a", {"learning_rate": inf}, "indelman_1a: learning_rate should be a finite number, not Infinity"),
    ("indelman_1a", {"epsilon": nan}, "indelman_1a: epsilon should be a finite number, not NaN"),
    ("indelman_1a", {"cost": "exactly"}, "cost should be 'column_squares', 'element_squares' or 'exact', not"),
    ("indelman_1a", {"training_set": 3}, "indelman_1a: training_set should be 'fresh' or 'fixed', not 3"),
    ("indelman_1a", {"epsilom": 3}, "unknown hyper-parameter 'epsilom'; did you mean 'epsilon'?"),
    ("indelman_1a", {"method": "direct"}, "unknown hyper-parameter 'method'; "),
    ("berthet_2", {"learning_rates": 0.1}, "berthet_2: learning_rates should be a valid array, not 0.1"),
    (
        "berthet_2",
        {"learning_rates": [0.1, "fast"]},
        'berthet_2: learning_rates.1 should be a valid number, not "fast"',
    ),
    ("berthet_2", {"learning_rates": [0.0]}, "berthet_2: learning_rates.0 should be greater than 0, not 0.0"),
    ("berthet_2", {"source": "publishd"}, "berthet_2: source should be 'published' or 'stand_in', not \"publishd\""),
    ("indelman_2", {"candidates": {"MNIST": "fifty"}}, 'indelman_2: candidates should be a valid integer, not "fifty"'),
    ("indelman_2", {"samples": -1}, "indelman_2: samples should be greater than or equal to 0, not -1"),
    ("indelman_2", {"autocast": 1}, "indelman_2: autocast should be a valid boolean, not 1"),
    ("paulus_1", {"search": {"learning_rate": [1e-4]}}, "paulus_1: search.learning_rate.1 is missing"),
    ("paulus_1", {"search": {"rate": [1e-4, 1e-3]}}, "paulus_1: search.rate.[key] should be 'learning_rate', "),
    ("paulus_2", {"dropout": -0.1}, "paulus_2: dropout should be greater than or equal to 0, not -0.1"),
    ("paulus_2", {"dropout": 1}, "paulus_2: dropout should be less than 1, not 1"),
    ("paulus_2", {"tsv": 3}, "paulus_2: tsv should be a valid string, not 3"),
]
ARM = {"indelman_1a": "direct", "berthet_2": "squared", "indelman_2": "direct", "paulus_1": "top_k", "paulus_2": "lstm"}


@pytest.mark.parametrize(("name", "changes", "said"), WRONG)
def test_a_mistake_is_one_line(name, changes, said):
    experiment = REGISTRY[name]
    with pytest.raises(UserError) as raised:
        read(experiment, experiment.config_of(ARM[name]) | changes, experiment.settings[0])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("lost", sorted(DIRECT.keys() - {"epsilon", "epsilon_growth", "epsilon_cap", "cost"}))
def test_one_that_is_missing_is_named(lost):
    config = {name: value for name, value in DIRECT.items() if name != lost}
    with pytest.raises(UserError) as raised:
        read(REGISTRY["indelman_1a"], config, "d=5")
    assert str(raised.value) == f"indelman_1a: {lost} is missing"


def overridden(project, changes, experiment):
    path = project / "workflow/scales/smoke.yaml"
    content = yaml.safe_load(path.read_text())
    content["experiments"][experiment].setdefault("overrides", {}).update(changes)
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("name", "changes", "said"), [case for case in WRONG if case[0] == "indelman_1a"] + [WRONG[-6], WRONG[-1]]
)
@pytest.mark.parametrize("command", [["run", "indelman_1a/d=5/direct/0-1"], ["reproduce", "--cores", "1"], ["list"]])
def test_the_command_line_says_so_and_trains_nothing(project, capsys, monkeypatch, command, name, changes, said):
    overridden(project, changes, name)
    before = sorted(project.rglob("*"))
    monkeypatch.setattr("structgrad.repro.running.run.run_shard", None)  # whoever calls it fails
    with pytest.raises(SystemExit) as left:
        main([*command, "--scale", "smoke"])
    told = capsys.readouterr().err
    assert left.value.code == 2
    assert said in told
    assert told.count("\n") == 1
    assert sorted(project.rglob("*")) == before
