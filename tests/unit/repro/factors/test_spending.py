"""What a budget is spent on, and what ``structgrad factors`` says of budgets, tables and runs that are not in order."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from cheap_study import CHEAP
from click.testing import CliRunner

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.parallel import set_threads
from structgrad.repro.cli import cli
from structgrad.repro.documents import DocumentError, read_json
from structgrad.repro.factors import pages, training
from structgrad.repro.factors.checking import further
from structgrad.repro.factors.compatible import Candidate
from structgrad.repro.factors.designs import design
from structgrad.repro.factors.runs import check_replicas, known, path_of, trained
from structgrad.repro.factors.study import answer
from structgrad.repro.factors.training import spend, try_further

FEW = replace(CHEAP, replicas=5, settings=("d=5",), overrides={"max_epochs": 20})


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "workflow/scales").mkdir(parents=True)
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(tmp_path))
    set_threads(1)
    return tmp_path


@pytest.fixture
def fraction(project):
    """Six of eight combinations, which tell the factors apart."""
    for combination in design(FEW, 6):
        trained(FEW, combination, "d=5")


def command(*arguments: str):
    """What it printed, and the error that ends it with code 2."""
    told = CliRunner().invoke(cli, ["factors", *arguments])
    assert told.exception is None or isinstance(told.exception, UserError), told.exc_info
    return " ".join(told.output.split()), str(told.exception)


@pytest.fixture
def declared(monkeypatch):
    """The studies there are: the cheap one, and another of the same table."""
    other = replace(FEW, arm="direct_stochastic", column="Direct Stochastic Learning")
    monkeypatch.setattr("structgrad.repro.factors.declared.studies", lambda: {"indelman_1a": (FEW, other)})
    monkeypatch.setattr("structgrad.repro.planning.plan.load_plan", lambda: None)
    monkeypatch.setattr("structgrad.repro.running.realdata.data_folder", nullcontext)


def test_after_the_design_the_likeliest_that_is_predicted_is_trained(fraction, monkeypatch):
    told, order = answer(FEW), []
    assert told is not None
    train_all = training.train_all

    def noted(study, chosen, *rest):
        order.append(tuple(chosen))
        return train_all(study, chosen, *rest)

    monkeypatch.setattr(training, "train_all", noted)
    assert spend(FEW, 1e6) == 0
    predicted = [candidate for candidate in told.candidates if not candidate.trained]
    first = next((candidate for candidate in predicted if candidate.is_compatible), predicted[0])
    assert order[0] == (first.combination,)
    assert len(order) == 2
    assert all(known(FEW, combination, "d=5") for combination in FEW.combinations())


@pytest.fixture
def played(monkeypatch):
    """A study with further cells whose answers are made up, and what is trained of it in turn.

    Of four combinations without the design 'a' is likelier than 'b', but only 'b' is compatible; once 'a' is trained,
    'c' is.
    """
    study = replace(FEW, factors=FEW.factors[:2], checks=("d=10",))
    base, a, b, c = study.combinations()
    compatible, trained_so_far, turns = {b}, [base], []
    beyond = []

    def told(study):
        left = [combination for combination in (a, b, c) if combination not in trained_so_far]
        ordered = [
            Candidate(combination, combination in trained_so_far, (), 1.0 if combination in compatible else 0.0, 0.2)
            for combination in [*left, *trained_so_far]
        ]
        return SimpleNamespace(candidates=ordered, compatible=[one for one in ordered if one.is_compatible])

    def train(study, chosen, seconds, done):
        if study.checks:
            trained_so_far.extend(chosen)
            turns.append(chosen[0])
            compatible.update({c} if chosen[0] == a else ())
        else:
            beyond.extend(combination for combination in chosen if combination not in beyond)
            turns.append("further")
        return 0

    def still(study, chosen):
        return [(one, "d") for one in chosen if one not in (trained_so_far if study.checks else beyond)]

    stand_ins = {"answer": told, "train_all": train, "pending": still, "is_enough": lambda *_: True}
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(training, name, stand_in)
    monkeypatch.setattr(training, "trained_combinations", lambda study: {})
    return study, (a, b, c), turns


def test_the_compatible_come_before_further_cells_and_these_before_the_rest(played):
    study, (a, b, c), turns = played
    assert spend(study, 1e6) == 0
    assert turns == [b, "further", a, c, "further"]


def test_a_spent_budget_trains_nothing_more_and_says_what_is_left(fraction):
    assert spend(FEW, 0.0) == 2
    assert sum(known(FEW, combination, "d=5") is not None for combination in FEW.combinations()) == 6


def test_the_tables_own_protocol_is_part_of_the_budget(project):
    """It took all of it: too little is left for a design, and the error says what one takes."""
    with pytest.raises(UserError, match=r"a combination takes 0\.\d min, and 1 of 8"):
        spend(FEW, 1e-6)


def test_what_is_cut_or_the_best_of_a_search_is_not_held_against_the_print(fraction):
    cut = replace(FEW, cut="a tenth of the steps")
    told = answer(cut)
    assert told is not None
    assert told.candidates == told.compatible == []
    page = pages.page(cut, told)
    assert "**Not held against the print**, only against each other: a tenth of the steps." in page
    assert "likeliest" not in page + pages.screen(cut, told)
    assert page.count("| rate ") == 6 + 1  # what was trained, and the factor's effect
    assert spend(replace(cut, checks=("d=10",)), 1e6) == 0
    assert known(further(replace(cut, checks=("d=10",))), (0, 0, 0), "d=10") is None
    with pytest.raises(UserError, match="not held against the print \\(a tenth of the steps\\)"):
        try_further(replace(cut, checks=("d=10",)), 1e6)
    search = replace(cut, cut="", experiment=REGISTRY["paulus_1"], arm="spanning_tree_unrolled")
    assert search.incomparable.startswith("the print is the trial that a search selected")
    assert replace(FEW).incomparable == ""


def test_what_is_only_predicted_is_said_to_be(fraction):
    told = answer(FEW)
    assert told is not None
    first = next(candidate for candidate in told.candidates if not candidate.trained)
    assert "(only predicted; p = " in pages.verdict(replace(told, candidates=[first]))
    assert "only predicted" not in pages.verdict(replace(told, candidates=[replace(first, trained=True)]))
    assert "? only predicted" in pages.screen(FEW, told)


def test_the_likeliest_that_is_named_is_a_compatible_one(fraction):
    """A narrow trained combination may be likelier than a wide prediction and yet be ruled out."""
    told = answer(FEW)
    assert told is not None
    one, other = (
        replace(told.candidates[0], p=p, share=0.4, combination=c) for p, c in ((0.01, (1, 1, 1)), (0.2, (0, 1, 0)))
    )
    assert f"the likeliest is {FEW.words((0, 1, 0))}" in pages.verdict(replace(told, candidates=[one, other]))
    near = pages.verdict(replace(told, candidates=[one, replace(other, p=0.0499)]))
    assert "**None of these**" in near
    assert f"the nearest is {FEW.words((0, 1, 0))}" in near
    assert "p = 0.0499" in near


def test_replicas_that_are_too_few_for_a_covariance():
    with pytest.raises(ValueError, match="2 replicas cannot give the covariance of 2 metrics"):
        replace(FEW, replicas=2)


def test_a_run_that_lost_a_result_is_named(fraction):
    path = path_of(FEW, (0, 0, 0), "d=5")
    content = read_json(path)
    del content["metrics"]["prop_wrong_mean_100"][-1]
    path.write_text(json.dumps(content))
    with pytest.raises(DocumentError, match=f"{path.name}: prop_wrong_mean_100 has 4 results of 5 replicas"):
        answer(FEW)
    with pytest.raises(DocumentError):
        check_replicas(content, path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--arm", "squared"], "which TABLE? those with factors: "),
        (["--budget", "5"], "which TABLE? those with factors: "),
        (["indelman_1a", "--budget", "nan"], "--budget wants minutes; inf trains all combinations"),
        (["indelman_1a", "--further"], "--further wants a --budget"),
    ],
)
def test_what_is_asked_for_nothing_is_an_error(arguments, words):
    assert words in command(*arguments)[1]


def test_a_study_without_runs_does_not_hide_the_others(fraction, declared):
    output, error = command("indelman_1a")
    assert "6 of 8 combinations trained" in output
    assert error == "indelman_1a, direct_stochastic: too little is trained to tell; give it a --budget in core-minutes"


def test_an_endless_budget_trains_all(project, declared):
    output, error = command("indelman_1a", "--arm", "direct", "--budget", "inf")
    assert error == "None"
    assert "8 of 8 combinations trained" in output
