"""No command pools the records of an arm x setting twice: its cells are made once and handed on."""

from collections import Counter

import pytest
from click.testing import CliRunner

from structgrad.repro.cli import cli
from structgrad.repro.judging import cells


@pytest.fixture
def pooled(monkeypatch):
    """How often the cells of each experiment, setting and arm were made of the paper scale's records."""
    counts = Counter()
    make = cells._cells

    def counted(plan, name, setting, arm, metrics):
        counts[name, setting, arm.name] += plan.scale == "paper"  # a page's map looks at other scales, too
        return make(plan, name, setting, arm, metrics)

    monkeypatch.setattr(cells, "_cells", counted)
    return counts


def expected(plan):
    experiments = [part.experiment for part in plan.experiments.values()]
    return {(own.name, setting, arm.name): 1 for own in experiments for setting in own.settings for arm in own.arms}


@pytest.mark.parametrize(
    "words",
    [
        ["tables"],
        ["tables", "--json"],
        ["tables", "--only", "tables"],
        ["tables", "--only", "figures", "--quiet"],
        ["claims"],
        ["report"],
        ["audit"],
    ],
    ids=" ".join,
)
def test_a_command_collects_every_cell_once(finished, options, pooled, words):
    told = CliRunner().invoke(cli, [*words, "--scale", finished.scale, *options])
    assert told.exit_code == 0, told.output
    assert pooled == expected(finished)


def test_an_audit_of_a_damaged_record_does_not_try_again(finished, options, pooled):
    path = next(shard.path for shard in finished.shards)
    path.write_text(path.read_text(encoding="utf-8").replace('"successes": 1', '"successes": 0', 1), encoding="utf-8")
    told = CliRunner().invoke(cli, ["audit", "--scale", finished.scale, *options])
    assert told.exit_code == 1
    assert told.output.count("cannot be rebuilt") == 5  # tables, figures, claims, report and the research object
    assert max(pooled.values()) == 1


def test_explaining_a_cell_makes_those_of_its_table_once(finished, options, pooled):
    """Holm's correction is over the table."""
    cell = "indelman/1a/d=5/Direct/percent_sequences_perfect"
    assert CliRunner().invoke(cli, ["explain", cell, "--scale", finished.scale, *options]).exit_code == 0
    assert {experiment for experiment, _, _ in pooled} == {"indelman_1a"}
    assert set(pooled.values()) == {1}
