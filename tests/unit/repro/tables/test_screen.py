"""Tables in a terminal: what has a value, in 80 columns, answers first, and what they come to."""

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from structgrad.errors import UserError, unknown
from structgrad.repro.cli import cli
from structgrad.repro.judging.cells import collect_all, find
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.tables.panels import tables
from structgrad.repro.tables.screen import draw, readings, tally


def shown(table, width=80, further=False):
    screen = io.StringIO()
    console = Console(width=width, file=screen)
    for drawn in draw(table, width, further):
        console.print(drawn)
    text = screen.getvalue()
    assert max(map(len, text.splitlines()), default=0) <= width
    return text


@pytest.fixture
def table(finished):
    return tables(finished, collect_all(finished))["indelman_1a"]


def test_answers_first_and_only_what_has_a_value(table):
    text = shown(table)
    assert text.startswith("indelman Table 1a: Learning to sort")
    assert "Direct" in text
    assert "paper 98.5" in text
    assert "d=10" not in text  # nothing ran there
    assert "Gumbel" not in text
    assert "No solver" not in text  # ours alone
    assert "of 100 more" not in text
    assert text.count("d=5") == 2  # sequences and positions


def test_further_readings_are_apart(table):
    text = shown(table, further=True)
    assert "further readings" in text.splitlines()[0]
    assert text.count("98.7") + text.count("98.67") >= 1  # the share of 100 more sequences
    assert readings([table]) == sum(bool(cell.estimate) and not cell.is_answer for cell in table.cells)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_any_width(finished, figured, searched, width):
    for plan in (finished, figured, searched):
        for table in tables(plan, collect_all(plan)).values():
            shown(table, width)
            shown(table, width, further=True)


def test_the_tally(table, figured):
    answers = [cell for cell in table.cells if cell.is_answer]
    text = tally([table])
    assert text.startswith(f"{len(answers)} printed numbers: ")
    assert f"{sum(cell.judgement.verdict == 'not_attempted' for cell in answers)} – not_attempted" in text
    assert tally(tables(figured, collect_all(figured)).values()) == "the papers print no number for these"


def test_the_command(finished, options):
    told = CliRunner().invoke(cli, ["tables", "--only", "tables", *options], catch_exceptions=False)
    lines = told.stdout.rstrip().splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert "printed numbers: " in told.stdout
    assert "further readings: " in lines[-1]
    assert " tables --only tables --further " in lines[-1]
    assert "judging the records of scale paper (" in told.stderr
    more = CliRunner().invoke(cli, ["tables", "--only", "tables", "--further", *options], catch_exceptions=False)
    assert len(more.stdout) > len(told.stdout)


def test_a_table_of_which_nothing_ran_is_not_drawn(project):
    plan = load_plan("paper", {"experiments": ["paulus_1"]})
    assert shown(tables(plan, collect_all(plan))["paulus_1"]) == ""


def test_an_unknown_cell_has_five_neighbours(project):
    plan = load_plan("paper")
    with pytest.raises(UserError) as raised:
        find(plan, "foo")
    assert len(str(raised.value)) < 500
    assert str(raised.value).count("'") == 2 * 6
    with pytest.raises(UserError, match="nearest: 'indelman/1a/d=25/Direct/prop_wrong_mean', "):
        find(plan, "indelman/1a/d=26/Direct/prop_wrong_mean")


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("d=26", ["d=5", "d=25", "d=60", "d=10"], "did you mean 'd=25'?"),
        ("d=9", ["d=5", "d=25", "d=60", "d=10"], "did you mean 'd=10'?"),
        ("dircet", ["direct", "fixed"], "did you mean 'direct'?"),
        ("foo", ["direct", "fixed"], "known: direct, fixed"),
        ("zzz", [f"name{i}" for i in range(100)], "the nearest of 100: "),
    ],
)
def test_the_nearest_name(word, known, hint):
    assert hint in str(unknown("word", word, known))
