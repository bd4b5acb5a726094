"""Factors: an additive table gives its effects back, and a hidden combination is named, or none where it has another
factor.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cheap_study import CHEAP, REPLICAS, as_printed, normal_responses, responses_of, study_of
from scipy import stats

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.parallel import set_threads
from structgrad.repro.audit import Scene
from structgrad.repro.audit.studies import studies_rebuild
from structgrad.repro.factors import pages
from structgrad.repro.factors.checking import TRIED, further
from structgrad.repro.factors.compatible import candidates
from structgrad.repro.factors.declared import Factor, Study, studies, study_behind
from structgrad.repro.factors.designs import columns, design, is_enough
from structgrad.repro.factors.distance import DRAWS, compare
from structgrad.repro.factors.effects import effects, lack_of_fit
from structgrad.repro.factors.responses import printed_column
from structgrad.repro.factors.runs import known, path_of, pending, trained, values_of
from structgrad.repro.factors.study import answer
from structgrad.repro.factors.training import spend, try_further
from structgrad.repro.judging.published import Published
from structgrad.repro.planning.hyper_parameters import read

# Designs


@pytest.mark.parametrize(
    ("sizes", "most"), [((2, 3, 2, 2, 3), 36), ((2, 2, 2, 2, 2), 10), ((3, 2, 4), 12), ((2, 2), 9), ((3, 2, 2), 8)]
)
def test_a_design_is_small_enough_and_tells_the_factors_apart(sizes, most):
    study = study_of(*sizes)
    chosen = design(study, most)
    assert chosen[0] == (0,) * len(sizes)
    assert len(chosen) == len(set(chosen)) <= most
    assert set(chosen) <= set(study.combinations())
    assert np.linalg.matrix_rank(columns(study, chosen)) == 1 + sum(size - 1 for size in sizes)


def test_all_combinations_where_they_are_few_enough():
    chosen = design(study_of(2, 3), 6)
    assert sorted(chosen) == list(product(range(2), range(3)))
    assert chosen[0] == (0, 0)
    assert chosen == design(study_of(2, 3), 7) != sorted(chosen)


def test_too_few_are_refused():
    with pytest.raises(UserError, match="6 of 12 combinations cannot tell 3 factors apart, 7 can; raise --budget"):
        design(study_of(2, 3, 2), 6)
    assert len(design(study_of(2, 3, 2), 7)) == 7


def test_a_fraction_has_combinations_to_spare():
    """From as many as the model has columns any prediction looks certain, so that none is made."""
    study = study_of(2, 2, 2, 2, 2)
    few = [tuple(int(n == place) for n in range(5)) for place in range(-1, 5)]  # one choice changed at a time
    assert np.linalg.matrix_rank(columns(study, few)) == len(few) == 6
    assert not is_enough(study, few)
    assert is_enough(study, design(study, 10))
    assert is_enough(study_of(2, 2), list(study_of(2, 2).combinations()))  # nothing is left to predict


# Effects


def test_an_additive_table_gives_its_effects_back():
    study = study_of(2, 3, 2)
    chosen = design(study, 12)
    true = np.array([[50.0, 10, 60, 12], [5, 0, 0, 1], [-3, 0, 2, 0], [4, 0, 0, 0], [0, 7, 0, 0]])
    responses = normal_responses(study, chosen, columns(study, chosen) @ true, 1.0)
    told = effects(responses)
    assert [(effect.factor, effect.level) for effect in told[::4]] == [
        ("f0", "1"),
        ("f1", "1"),
        ("f1", "2"),
        ("f2", "1"),
    ]
    flat = true[1:].flatten()
    for effect, value in zip(told, flat, strict=True):
        error = (effect.high - effect.low) / 2 / stats.t.ppf(0.975, REPLICAS - 1)
        assert abs(effect.value - value) < 4.5 * error
    assert sum(effect.low <= value <= effect.high for effect, value in zip(told, flat, strict=True)) >= 13
    assert np.diag(lack_of_fit(responses).covariance) == pytest.approx(0, abs=0.05)


def test_what_factors_do_together_is_a_lack_of_fit():
    study = study_of(2, 2)
    chosen = list(study.combinations())
    together = np.array([[0.0] * 4, [0] * 4, [0] * 4, [8, 0, 0, 0]])
    lack = np.diag(lack_of_fit(normal_responses(study, chosen, 50 + together, 0.5)).covariance)
    assert lack[0] == pytest.approx(16, rel=0.1)  # residuals of +-2 with one degree of freedom: 4 x 2^2
    assert lack[1:] == pytest.approx(0, abs=0.1)


def test_a_saturated_design_shows_no_lack_of_fit():
    study = study_of(2, 2)
    chosen = list(study.combinations())[:3]
    lack = lack_of_fit(normal_responses(study, chosen, np.full((3, 4), 50.0), 1.0))
    assert lack.free == 0
    assert lack.covariance.tolist() == [[0] * 4] * 4


# Compatible combinations


def test_a_finer_metric_stands_for_the_printed_one():
    study = replace(CHEAP, experiment=REGISTRY["indelman_1a"])
    assert study.printed_metrics == ("percent_sequences_perfect", "prop_wrong_mean")
    assert CHEAP.printed_metrics == CHEAP.metrics


def test_replicas_that_all_agree_do_not_rule_out_a_print_beside_them():
    study = study_of(2)
    values = np.zeros((2, 4, REPLICAS))
    values[:, ::2] = 100.0
    near, far = (as_printed(study, np.array([perfect, 0.3, perfect, 0.3])) for perfect in (98.5, 20))
    assert candidates(responses_of(study, [(0,), (1,)], values), near)[0].is_compatible
    assert not candidates(responses_of(study, [(0,), (1,)], values), far)[0].is_compatible


def test_cells_without_a_print_are_left_out():
    study = study_of(2)
    means = np.array([[50.0, 10, 50, 10], [60, 10, 60, 10]])
    responses = normal_responses(study, [(0,), (1,)], means, 1.0)
    printed = as_printed(study, means[1])
    some = [*printed[:2], None, None]
    assert candidates(responses, some)[0].combination == (1,)
    assert len(candidates(responses, some)[0].cells) == 2
    assert sum(candidate.share for candidate in candidates(responses, some)) == pytest.approx(1)


# The tool on itself


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A project in which all of the cheap study is trained."""
    root = tmp_path_factory.mktemp("project")
    (root / "workflow/scales").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTGRAD_ROOT", str(root))
        set_threads(1)
        assert spend(CHEAP, 1e6) == 0
        yield root


def hidden(study: Study, combination, trial: int) -> list[Published]:
    """The column that a combination prints with seeds that the tool does not have."""
    first = REPLICAS * (trial + 1)
    runs = {setting: trained(study, combination, setting, first) for setting in study.settings}
    return as_printed(study, values_of(study, runs).mean(1))


def found(trials: range) -> list[tuple[bool, bool]]:
    """Of a combination that is drawn and hidden: whether it comes out first, and whether it is compatible."""
    every, right = list(CHEAP.combinations()), []
    for trial in trials:
        combination = random.Random(trial).choice(every)
        told = answer(CHEAP, hidden(CHEAP, combination, trial))
        assert told is not None
        compatible = [candidate.combination for candidate in told.compatible]
        right.append((told.candidates[0].combination == combination, combination in compatible))
    return right


def test_a_hidden_combination_is_named_first(table):
    first, compatible = np.array(found(range(8))).sum(0)
    assert first >= 6
    assert compatible >= 7


@pytest.mark.slow  # half a minute
def test_in_at_least_four_of_five_of_fifty_trials(table):
    """And it is seldom ruled out, although one training in many fails."""
    first, compatible = np.array(found(range(50))).sum(0)
    assert first >= 40
    assert compatible >= 45


@pytest.mark.parametrize("other", [{"hidden": 1}, {"hidden": 2}])
def test_none_of_these_where_another_factor_made_the_table(table, other):
    told = answer(CHEAP, hidden(replace(CHEAP, factors=(Factor("other", "", {"so": other}),)), (0,), 99))
    assert told is not None
    assert told.compatible == []
    assert pages.verdict(told).startswith("**None of these**")


def test_further_cells_tell_a_right_combination_from_one_that_only_fits(table):
    """A column of which a half is one combination's, the other another's: what fits the first half fails the second."""
    study = replace(CHEAP, settings=("d=5",), checks=("d=10",))
    right, wrong = (0, 0, 0), (1, 1, 1)
    first, second = (hidden(CHEAP, combination, 7) for combination in (right, wrong))
    assert spend(study, 1e6) == 0
    told = answer(study, first[:2])
    assert told is not None
    assert told.candidates[0].combination == right
    beyond = further(study)
    values = values_of(beyond, {"d=10": trained(beyond, right, "d=10")})
    responses = responses_of(beyond, [right, wrong], np.stack([values, values]))
    assert compare(responses, right, values, first[2:]).p >= 0.01
    assert compare(responses, right, values, second[2:]).p < 1 / DRAWS


def test_what_is_compatible_is_tried_on_further_cells_beside_the_tables_own(table, monkeypatch):
    study = replace(CHEAP, settings=("d=5",), checks=("d=10",))
    column = hidden(CHEAP, (0, 1, 0), 8)
    whole = {"d=5": column[:2], "d=10": column[2:]}
    for module in ("study", "checking"):
        place = f"structgrad.repro.factors.{module}.printed_column"
        monkeypatch.setattr(place, lambda part: [number for setting in part.settings for number in whole[setting]])
    assert spend(study, 1e6) == 0
    told = answer(study)
    assert told is not None
    assert told.checks[0].combination == (0, 0, 0)
    true = next(check for check in told.checks if check.combination == (0, 1, 0))
    assert true.is_compatible
    assert true.holds
    assert len(told.checks) <= 1 + TRIED
    assert "## On cells that had no part in it" in pages.page(study, told)
    assert study.words((0, 1, 0)) in pages.checked(told)


def test_a_budget_for_further_cells_trains_no_more_of_the_design(table):
    study = replace(CHEAP, replicas=5, settings=("d=5",), checks=("d=10",))
    every = design(study, 8)
    with pytest.raises(UserError, match="too little is trained to say what is compatible"):
        try_further(study, 1e6)
    for combination in every[:-1]:
        trained(study, combination, "d=5")
    assert try_further(study, 1e6) == 0
    assert known(study, every[-1], "d=5") is None
    assert known(study, (0, 0, 0), "d=10") is not None
    with pytest.raises(UserError, match="has no further cells"):
        try_further(replace(study, checks=()), 1e6)


def test_what_is_trained_is_not_trained_again(table):
    paths = sorted((table / "results/factors/runs").rglob("*.json"))
    before = [path.stat().st_mtime_ns for path in paths]
    assert list(pending(CHEAP, list(CHEAP.combinations()))) == []
    assert spend(CHEAP, 1e6) == 0
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_budget_that_is_spent_says_what_is_left(table):
    study = replace(CHEAP, replicas=4)
    assert spend(study, 1e6) == 0
    fewer = replace(study, replicas=3)
    trained(fewer, (0, 0, 0), "d=5")
    assert known(fewer, (0, 0, 0), "d=10") is None
    assert answer(fewer) is None
    with pytest.raises(UserError, match=r"indelman_1a, direct: a combination takes 0\.\d min, and 1 of 8"):
        spend(fewer, 0.0)


def test_a_budget_goes_on_where_another_was_spent(table):
    """Three of four are trained: a budget for one more is enough, where otherwise it is refused."""
    study = replace(CHEAP, replicas=4, factors=CHEAP.factors[:2])
    every = design(study, 4)
    for combination in every[:3]:
        for setting in study.settings:
            trained(study, combination, setting)
    cost = sum(run.seconds for setting in study.settings if (run := known(study, every[0], setting)))
    assert spend(study, 1.5 * max(cost, 1e-3)) <= len(study.settings)  # what it does not manage is left, not refused
    assert spend(study, 1e6) == 0
    assert answer(study) is not None


def test_the_page_says_what_it_is(table):
    told = answer(CHEAP)
    assert told is not None
    text = pages.page(CHEAP, told)
    assert pages.AFTER in text
    assert "8 of 8 combinations trained, 40 replicas each" in text
    assert "- **steps** (50, 10): at most" in text
    assert max(map(len, pages.screen(CHEAP, told).splitlines())) <= pages.WIDTH


# Its audit


@pytest.fixture
def audited(table, monkeypatch):
    """A page and its runs, and what an audit finds; afterwards all is as before."""
    told = answer(CHEAP)
    assert told is not None
    page = pages.write_page(CHEAP, told)
    run = path_of(CHEAP, (0, 1, 1), "d=5")
    before = {path: path.read_bytes() for path in (page, run)}
    monkeypatch.setattr("structgrad.repro.audit.studies.studies", lambda: {"indelman_1a": (CHEAP,)})
    scene: Any = Scene(SimpleNamespace(scale="paper"))  # pyright: ignore[reportArgumentType]
    yield page, run, lambda: [str(finding) for finding in studies_rebuild(scene)]
    for path, content in before.items():
        path.write_bytes(content)


def test_an_untouched_study_is_found_to_hold(audited):
    assert audited[2]() == []


@pytest.mark.parametrize(
    ("which", "old", "new", "finding"),
    [
        (0, "8 of 8 combinations trained", "9 of 9 combinations trained", r"factors/indelman_1a\.direct\.md: line 5"),
        (
            1,
            '"hidden": 4',
            '"hidden": 5',
            r"misplaced: what it says belongs at runs/indelman_1a/d=5/\w{16}\.json",
        ),
        (1, '"config": {', '"config": [{', "not a run: "),
        (1, '"arm"', '"arms"', "not a run: it has no arm"),
    ],
)
def test_a_study_that_was_edited(audited, which, old, new, finding):
    path = audited[which]
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    (told,) = audited[2]()
    assert re.search(finding, told)


def test_a_run_whose_numbers_were_edited(audited):
    content = json.loads(audited[1].read_text())
    for report in content["metrics"]["percent_sequences_perfect_100"]:
        report["successes"] = 0
    audited[1].write_text(json.dumps(content))
    assert [told.split(":")[0] for told in audited[2]()] == ["results/factors/indelman_1a.direct.md"]


def test_a_page_of_no_study(audited, table):
    stray = table / "results/factors/better.md"
    stray.write_text("Everything reproduces.\n")
    assert audited[2]() == ["results/factors/better.md: stray: the page of no study that has runs"]
    stray.unlink()


# What is declared


def test_a_protocol_that_two_tables_print_gave_the_same_numbers_but_for_a_digit():
    for study in (study for own in studies().values() for study in own):
        here = printed_column(study)
        for name in study.also:
            for one, other in zip(here, printed_column(replace(study, experiment=REGISTRY[name])), strict=True):
                assert one is not None
                assert other is not None
                assert one.value == pytest.approx(other.value, abs=2.1 * one.rounding)
            assert study_behind(name, study.column) is study
    assert study_behind("berthet_1", "a column of nobody's") is None


def test_the_declared_studies_can_be_trained_in_every_combination():
    for own in studies().values():
        for study in own:
            assert any(number is not None for number in printed_column(study))
            for combination in study.combinations():
                for setting in study.settings:
                    read(study.experiment, study.config_of(combination), setting)


def test_the_first_levels_are_the_tables_own_protocol():
    for own in studies().values():
        for study in own:
            base = study.config_of((0,) * len(study.factors))
            for setting in study.settings:
                ours = read(study.experiment, {**study.experiment.config_of(study.arm), **study.overrides}, setting)
                assert read(study.experiment, base, setting) == ours


def test_two_factors_that_change_one_hyper_parameter():
    with pytest.raises(ValueError, match="hidden is changed by two factors"):
        replace(CHEAP, factors=(CHEAP.factors[2], Factor("again", "", {"8": {"hidden": 8}})))
