"""Claims on made-up records for each verdict; the tests behind them against enumeration and hand calculation."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from structgrad.experiments import REGISTRY
from structgrad.repro import claims as module
from structgrad.repro.claims import KINDS, VERDICTS, build_claims, claims, judge_claims, write_claims
from structgrad.repro.claims.sides import arms_of, one_search, sides
from structgrad.repro.claims.steadier import exchanged_pairs
from structgrad.repro.judging import register as register_module
from structgrad.repro.judging.cells import collect_all
from structgrad.repro.judging.numbers import number
from structgrad.repro.judging.register import Entry
from structgrad.repro.judging.significance import holm, paired, slope, unpaired
from structgrad.repro.planning.experiment_plan import Block
from structgrad.repro.planning.plan import load_plan

METRIC = "percent_sequences_perfect_100"
BASE = {
    "id": "made-up", "experiment": "indelman_1a", "sentence": "so", "where": "here", "predicate": "such",
    "metric": METRIC,
}  # fmt: skip
BETTER = BASE | {
    "kind": "better", "quantifier": "each", "settings": ["d=5", "d=10"],
    "first": {"arm": "direct_stochastic"}, "second": {"arm": "direct"},
}  # fmt: skip
DESIGN = {"settings": ["d=5", "d=10", "d=25"], "replicas": 8}


@pytest.fixture
def plan(project):
    return load_plan("paper", DESIGN)


@pytest.fixture
def score(fabricate, sorted_report):
    """Write records whose replicas sort the given numbers of 100 sequences."""

    def write(plan, arm, setting, values, experiment="indelman_1a", **more):
        shard = plan.shards_of(experiment, setting, arm)[0]
        trials = 1 if experiment == "indelman_1a" else 100
        values = np.resize(values, shard.count)
        fabricate(plan, shard, [sorted_report(trials, int(value), trials) for value in values], **more)

    return write


def only(plan, monkeypatch, claim):
    monkeypatch.setattr(module, "claims", lambda: (claim,))
    (judged,) = judge_claims(plan, collect_all(plan))
    return judged


def test_better_at_each_setting_is_supported(plan, score, monkeypatch):
    for setting in ("d=5", "d=10"):
        score(plan, "direct", setting, [80, 90, 70, 85])
        score(plan, "direct_stochastic", setting, [85, 96, 74, 91])
    judged = only(plan, monkeypatch, BETTER)
    assert judged["verdict"] == "supported"
    assert [detail["lead"] for detail in judged["results"]] == [5.25, 5.25]
    assert judged["results"][0]["replicas"] == "8 pairs"
    # of the 2^8 sign patterns only the observed one reaches its sum; Holm doubles it
    assert judged["results"][0]["p_better"] == pytest.approx(2 / 2**8, abs=1e-6)
    assert len(judged["records"]) == 4


def test_better_somewhere_is_enough_for_any_but_not_for_each(plan, score, monkeypatch):
    for setting, lead in (("d=5", [0, 1, -1, 0]), ("d=10", [5, 6, 4, 6])):
        score(plan, "direct", setting, [80, 90, 70, 85])
        score(plan, "direct_stochastic", setting, np.add([80, 90, 70, 85], lead))
    assert only(plan, monkeypatch, BETTER)["verdict"] == "undecided"
    judged = only(plan, monkeypatch, BETTER | {"quantifier": "any"})
    assert (judged["verdict"], judged["reason"]) == ("supported", "better at d=10; open at d=5")


def test_worse_anywhere_is_not_supported(plan, score, monkeypatch):
    for setting, lead in (("d=5", -5), ("d=10", 5)):
        score(plan, "direct", setting, [80, 90, 70, 85])
        score(plan, "direct_stochastic", setting, np.add([80, 91, 70, 85], lead))
    for quantifier in ("each", "any"):
        judged = only(plan, monkeypatch, BETTER | {"quantifier": quantifier})
        assert (judged["verdict"], judged["reason"]) == ("not_supported", "better at d=10; worse at d=5")


def test_lower_is_better_for_errors(plan, score, monkeypatch):
    score(plan, "direct", "d=5", [80, 90, 70, 85])
    score(plan, "direct_stochastic", "d=5", [85, 96, 74, 91])
    judged = only(plan, monkeypatch, BETTER | {"metric": "prop_wrong_mean_100", "settings": ["d=5"]})
    assert judged["verdict"] == "supported"
    assert judged["results"][0]["lead"] == pytest.approx(5.25 * 0.25)


def test_missing_settings_leave_each_undecided_and_all_missing_not_attempted(plan, score, monkeypatch):
    assert only(plan, monkeypatch, BETTER)["verdict"] == "not_attempted"
    score(plan, "direct", "d=5", [80, 90, 70, 85])
    assert only(plan, monkeypatch, BETTER)["verdict"] == "not_attempted"
    score(plan, "direct_stochastic", "d=5", [85, 96, 74, 91])
    judged = only(plan, monkeypatch, BETTER)
    assert (judged["verdict"], judged["missing"]) == ("undecided", ["d=10"])
    assert judged["reason"] == "better at d=5; not run at d=10"


@pytest.mark.parametrize(("lead", "verdict"), [(5, "supported"), (-5, "not_supported"), (0, "undecided")])
def test_a_cut_scale_is_a_conceptual_replication(plan, score, monkeypatch, lead, verdict):
    part = plan.experiments["indelman_1a"]
    cut = replace(part, comparable=False, reason="a tenth of the epochs", blocks={})
    plan = replace(plan, experiments=dict(plan.experiments) | {"indelman_1a": cut})
    score(plan, "direct", "d=5", [80, 90, 70, 85])
    score(plan, "direct_stochastic", "d=5", np.add([80, 90, 70, 85], [lead, lead, lead + (lead > 0), lead]))
    judged = only(plan, monkeypatch, BETTER | {"settings": ["d=5"]})
    assert judged["cut"] == "a tenth of the epochs"
    if verdict == "undecided":
        assert judged["verdict"] == verdict
    else:
        assert judged["verdict"] == f"{verdict}_at_reduced_scale"
        assert judged["reason"].endswith("; the scale cuts the protocol: a tenth of the epochs")


def test_a_block_is_cut_for_itself(plan, score, monkeypatch):
    """The block of the cells that a claim uses says whether they are comparable, not the experiment."""
    for setting in ("d=5", "d=10"):
        score(plan, "direct", setting, [80, 90, 70, 85])
        score(plan, "direct_stochastic", setting, [85, 96, 74, 91])
    part = plan.experiments["indelman_1a"]
    blocks = part.blocks | {("d=10", "direct"): Block(comparable=False, reason="half the data")}
    cut = replace(plan, experiments=dict(plan.experiments) | {"indelman_1a": replace(part, blocks=blocks)})
    judged = only(cut, monkeypatch, BETTER)
    assert (judged["verdict"], judged["cut"]) == ("supported_at_reduced_scale", "half the data")
    assert only(cut, monkeypatch, BETTER | {"settings": ["d=5"]})["verdict"] == "supported"


def test_the_family_is_the_settings_named_whatever_ran(plan, score, monkeypatch):
    score(plan, "direct", "d=5", [80, 90, 70, 85])
    score(plan, "direct_stochastic", "d=5", [85, 96, 74, 91])
    one = only(plan, monkeypatch, BETTER | {"settings": ["d=5"]})["results"][0]
    three = only(plan, monkeypatch, BETTER | {"settings": ["d=5", "d=10", "d=25"], "quantifier": "any"})["results"][0]
    assert one["p_better"] == pytest.approx(1 / 2**8, abs=1e-6)
    assert three["p_better"] == pytest.approx(3 / 2**8, abs=1e-6)


def test_a_column_is_its_main_reading_at_each_setting():
    table = REGISTRY["indelman_2"]
    side = {"experiment": "indelman_2", "column": "Direct Stochastic Learning"}
    assert [arm.name for arm in arms_of(side, "MNIST k=1", table)] == ["direct_stochastic_5"]
    assert [arm.name for arm in arms_of(side, "MNIST k=3", table)] == ["direct_stochastic_1"]
    assert [arm.name for arm in arms_of(side | {"arm": "direct"}, "MNIST k=3", table)] == ["direct"]


def test_a_question_without_an_experiment_is_not_attempted(plan, monkeypatch):
    claim = {"id": "made-up", "paper": "indelman", "of": "paper", "experiment": None, "sentence": "so",
             "where": "here", "predicate": "such", "needs": "a laboratory"}  # fmt: skip
    judged = only(plan, monkeypatch, claim)
    assert (judged["verdict"], judged["reason"]) == ("not_attempted", "needs a laboratory")
    assert judged["printed"]["outcome"] == "not_printed"


def test_the_original_reading_is_judged_too(plan, score, monkeypatch):
    """Where a main reading took another arm's place, both answer."""
    for arm, values in (("direct", [80, 90, 70, 85]), ("direct_stochastic", [85, 96, 74, 91])):
        score(plan, arm, "d=5", values)
    score(plan, "fixed_sigma", "d=5", [90, 99, 80, 95])
    known = Entry("0000000", after_results=True, original="fixed_sigma")
    entries = {"claims": {}, "readings": {"indelman_1a/Direct": known}, "margins": {}}
    monkeypatch.setattr(register_module, "register", lambda: entries)
    claim = BETTER | {"settings": ["d=5"]}
    judged = only(plan, monkeypatch, claim)
    assert judged["verdict"] == "supported"
    assert judged["original_reading"]["arms"] == ["fixed_sigma"]
    assert judged["original_reading"]["verdict"] == "not_supported"
    assert only(plan, monkeypatch, claim | {"of": "ours"})["original_reading"] is None


def test_other_data_or_another_table_is_compared_unpaired(plan, score, monkeypatch):
    x, y = [85, 96, 74, 91], [80, 90, 70, 85]
    score(plan, "direct_stochastic", "d=5", x)
    score(plan, "direct", "d=5", y, seeds=range(50, 58))
    judged = only(plan, monkeypatch, BETTER | {"settings": ["d=5"]})
    assert (judged["verdict"], judged["results"][0]["replicas"]) == ("undecided", "8 against 8")
    score(plan, "direct", "d=5", [99, 98, 100], "indelman_1b", seeds=range(90, 95))
    across = BETTER | {
        "settings": ["d=5"], "quantifier": "any",
        "first": {"experiment": "indelman_1b", "arm": "direct"}, "second": {"arm": "direct"},
    }  # fmt: skip
    judged = only(plan, monkeypatch, across)
    assert (judged["verdict"], judged["results"][0]["replicas"]) == ("supported", "5 against 8")


@pytest.mark.parametrize(
    ("leads", "verdict"),
    [((0, 5, 20), "supported"), ((20, 5, 0), "not_supported"), ((5, 6, 5), "undecided")],
)
def test_widening(plan, score, monkeypatch, leads, verdict):
    for setting, lead in zip(DESIGN["settings"], leads, strict=True):
        score(plan, "direct", setting, [70, 60, 65, 72])
        score(plan, "direct_stochastic", setting, np.add([71, 58, 66, 71], lead))
    claim = BETTER | {"kind": "widening", "settings": DESIGN["settings"]}
    assert only(plan, monkeypatch, claim)["verdict"] == verdict
    longer = claim | {"settings": [*DESIGN["settings"], "d=40"]}
    assert only(plan, monkeypatch, longer)["verdict"] == "undecided"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([20, 25, 18], "supported"), ([48, 52, 50], "undecided"), ([80, 75, 85], "not_supported")],
)
def test_below_a_threshold(plan, score, monkeypatch, values, verdict):
    score(plan, "direct", "d=5", values)
    claim = BASE | {"kind": "below", "threshold": 50, "first": {"arm": "direct"}, "settings": ["d=5"]}
    assert only(plan, monkeypatch, claim)["verdict"] == verdict
    if verdict == "supported":
        assert only(plan, monkeypatch, claim | {"settings": ["d=5", "d=10"]})["verdict"] == "undecided"
    turned = {"supported": "not_supported", "undecided": "undecided", "not_supported": "supported"}
    assert only(plan, monkeypatch, claim | {"kind": "above"})["verdict"] == turned[verdict]


def test_searches_that_are_alike(searched, monkeypatch):
    """The intervals of two cells bound how far apart these can be; at half that bound it is not known."""
    claim = search_claim("tree", "indep") | {"kind": "alike"}
    judged = only(searched, monkeypatch, claim | {"threshold": 1.0})
    (detail,) = judged["results"]
    low, high = detail["between"]
    cells = [cell for cell in collect_all(searched)["fake"] if cell.setting == "T=10" and cell.metric.name == "elbo"]
    tree, indep = (next(cell.estimate for cell in cells if cell.arm.name == name) for name in ("tree", "indep"))
    ends = [tree.low, indep.high, tree.high, indep.low]  # type: ignore[union-attr]
    assert (low, high) == pytest.approx(tuple(np.subtract(ends[::2], ends[1::2])))  # type: ignore[arg-type]
    assert 0 < low < detail["lead"] < high
    for threshold, verdict in ((0.99 * low, "not_supported"), (1.01 * low, "undecided"), (1.01 * high, "supported")):
        assert only(searched, monkeypatch, claim | {"threshold": threshold})["verdict"] == verdict
        turned = claim | {"threshold": threshold, "first": claim["second"], "second": claim["first"]}
        assert only(searched, monkeypatch, turned)["verdict"] == verdict


def search_claim(first, second, metric="elbo"):
    return BASE | {
        "experiment": "fake", "kind": "better", "quantifier": "each", "settings": ["T=10"], "metric": metric,
        "first": {"arm": first}, "second": {"arm": second},
    }  # fmt: skip


def test_searches_are_compared_by_what_they_select(searched, monkeypatch):
    """Of the 70 splits of eight trials only the observed one has all of tree above all of indep."""
    judged = only(searched, monkeypatch, search_claim("tree", "indep"))
    assert (judged["verdict"], judged["reason"]) == ("supported", "better at T=10")
    (detail,) = judged["results"]
    assert (detail["replicas"], detail["p_better"]) == ("4 against 4 trials", pytest.approx(1 / 70, abs=1e-6))
    # the best is the best of a resample with (4^4 - 3^4) / 4^4, and so on
    tree = 175 / 256 * -1060 + 65 / 256 * -1090 + 15 / 256 * -1310 + 1 / 256 * -1340
    indep = 175 / 256 * -1420 + 65 / 256 * -1505 + 15 / 256 * -1590 + 1 / 256 * -1690
    assert detail["lead"] == pytest.approx(tree - indep, abs=1e-6)
    assert detail["p_worse"] == 1
    assert only(searched, monkeypatch, search_claim("indep", "tree"))["verdict"] == "not_supported"
    assert only(searched, monkeypatch, search_claim("tree", "tree"))["verdict"] == "undecided"
    against_one = only(searched, monkeypatch, search_claim("tree", "chance"))
    assert (against_one["verdict"], against_one["results"][0]["p_better"]) == ("undecided", 0.2)


def test_a_search_may_minimise(searched, monkeypatch):
    part = searched.experiments["fake"]
    metrics = tuple(replace(metric, higher_is_better=False) for metric in part.experiment.metrics)
    turned = replace(part, experiment=replace(part.experiment, metrics=metrics))
    plan = replace(searched, experiments={"fake": turned})
    judged = only(plan, monkeypatch, search_claim("indep", "tree"))
    assert (judged["verdict"], judged["results"][0]["p_better"]) == ("supported", pytest.approx(1 / 70, abs=1e-6))
    assert judged["results"][0]["lead"] > 0


def test_claims_name_what_exists():
    for claim in claims():
        assert claim["sentence"]
        assert claim["of"] in ("paper", "ours")
        if claim["experiment"] is None:
            assert claim["needs"]
            continue
        assert claim["kind"] in KINDS
        for side in sides(claim):
            experiment = REGISTRY[side["experiment"]]
            experiment.metric(claim["metric"])
            assert set(claim["settings"]) <= set(experiment.settings)
            arms = [arm for setting in claim["settings"] for arm in arms_of(side, setting, experiment)]
            assert claim["of"] == "ours" or not any("(ours)" in arm.column for arm in arms), claim["id"]
            assert experiment.selected_by is None or claim["kind"] in (
                "better",
                "below",
                "above",
                "alike",
            )  # others pair replicas
            assert claim["kind"] != "steadier" or experiment.metric(claim["metric"]).kind == "mean"
        if claim["kind"] == "widening":
            assert all(number(setting) for setting in claim["settings"])
    assert len({claim["id"] for claim in claims()}) == len(claims())


def test_items_that_scatter_less():
    """Against all exchanges of three pairs, by hand, and exact where the arms are equal."""
    first = np.array([[10, 1.0, 0.5], [10, 2.0, 0.8], [10, 1.5, 0.6]])
    second = np.array([[10, 1.0, 2.5], [10, 2.0, 2.8], [10, 1.5, 3.6]])

    def deviation(rows):
        count, total, squares = np.sum(rows, axis=0)
        return np.sqrt(squares / count - (total / count) ** 2)

    leads = []
    for swaps in product((False, True), repeat=3):
        a, b = (np.where(np.array(swaps)[:, None], x, y) for x, y in ((second, first), (first, second)))
        leads.append(deviation(b) - deviation(a))
    lead, less, more = exchanged_pairs(first, second, seed=1)
    assert lead == pytest.approx(leads[0])
    assert less == np.mean(np.array(leads) >= leads[0] - 1e-12) == 1 / 8
    assert more == 1
    assert exchanged_pairs(first, first, seed=1) == (0, 1, 1)
    many = np.tile(first, (10, 1)), np.tile(second, (10, 1))
    assert exchanged_pairs(*many, seed=1)[1] == pytest.approx(1 / 9999, abs=1e-4)


def test_scatter_of_wrong_positions(plan, score, monkeypatch):
    score(plan, "direct", "d=5", [50, 60, 40, 55])
    score(plan, "direct_stochastic", "d=5", [99, 99, 98, 99])
    claim = BETTER | {"kind": "steadier", "metric": "prop_wrong_mean_100", "settings": ["d=5"]}
    judged = only(plan, monkeypatch, claim)
    assert (judged["verdict"], judged["results"][0]["replicas"]) == ("supported", "8 pairs")
    assert only(plan, monkeypatch, claim | {"settings": ["d=5", "d=10"]})["verdict"] == "undecided"
    turned = claim | {"first": claim["second"], "second": claim["first"]}
    assert only(plan, monkeypatch, turned)["verdict"] == "not_supported"


def test_file_rebuilds_byte_for_byte_and_the_command_prints_it(plan, score):
    score(plan, "direct", "d=5", [80, 90, 70, 85])
    score(plan, "direct_stochastic", "d=5", [85, 96, 74, 91])
    content = build_claims(plan, collect_all(plan))
    again = load_plan("paper", DESIGN)
    assert write_claims(plan, collect_all(plan)).read_bytes() == content == build_claims(again, collect_all(again))
    assert {claim["verdict"] for claim in json.loads(content)["claims"]} <= set(VERDICTS)
    from structgrad.repro.commands.claims import command

    options = [f"--set={key}={json.dumps(value)}" for key, value in DESIGN.items()]
    assert CliRunner().invoke(command, [*options, "--json"], catch_exceptions=False).output.encode() == content
    told = CliRunner().invoke(command, options).output
    assert "undecided" in told
    assert "on the print: holds; ahead at d=5" in told
    assert told.index("what the papers say") < told.index("what we ask besides")


def test_paired_is_the_sign_flip_test():
    """Against all 2^10 sign patterns."""
    differences = [3.0, -1.0, 2.0, 2.5, 0.0, 4.0, -0.5, 1.0, 1.5, -2.0]
    sums = [np.dot(signs, differences) for signs in product((-1, 1), repeat=10)]
    expected = np.mean([total >= sum(differences) - 1e-9 for total in sums])
    assert paired(differences, "greater", 1, seed=1) == pytest.approx(expected, abs=1e-12)


def test_paired_falls_back_where_sign_flips_cannot_decide():
    """2^-5 = 0.03 is enough for one setting, but not for six."""
    differences = [3.0, 1.0, 2.0, 2.5, 4.0]
    assert paired(differences, "greater", 1, seed=1) == 2**-5
    t = np.mean(differences) / (np.std(differences, ddof=1) / np.sqrt(5))
    assert paired(differences, "greater", 6, seed=1) == pytest.approx(stats.t.sf(t, 4))


def test_paired_without_differences_or_with_equal_ones():
    assert paired([0.0] * 5, "greater", 1, seed=1) == 1
    assert paired([2.0] * 5, "greater", 6, seed=1) == pytest.approx(2**-5)
    assert paired([2.0] * 5, "less", 6, seed=1) == 1
    assert paired([2.0], "greater", 1, seed=1) == 1


def test_unpaired_is_welch_and_copes_with_constants():
    """Welch by hand: x = 1, 2, 3 and y = 0, 1: t = 1.5 / sqrt(1/3 + 1/4)."""
    t = 1.5 / np.sqrt(1 / 3 + 1 / 4)
    degrees = (1 / 3 + 1 / 4) ** 2 / ((1 / 3) ** 2 / 2 + (1 / 4) ** 2 / 1)
    assert unpaired([1, 2, 3], [0, 1], "greater") == pytest.approx(stats.t.sf(t, degrees))
    assert unpaired([1, 1], [1, 1, 1], "greater") == 1
    assert unpaired([2, 2, 2], [1, 1, 1], "greater") == pytest.approx(1 / 20)  # of 6 choose 3 orders one
    assert unpaired([2], [1, 1], "greater") == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_slope_is_least_squares_with_a_sensible_interval():
    rng = np.random.default_rng(0)
    x = [0.0, 1.0, 3.0]
    samples = [2 * place + rng.normal(size=30) for place in x]
    value, low, high = slope(x, samples, seed=1)
    assert value == pytest.approx(np.polyfit(x, [sample.mean() for sample in samples], 1)[0])
    assert low < value < high
    spread = sum((place - 4 / 3) ** 2 for place in x)
    assert (high - low) / 2 == pytest.approx(1.7 / np.sqrt(30 * spread), rel=0.15)  # unit noise, 90 %
    assert slope(x, [[0.0], [1.0], [3.0]], seed=1) == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize("side", ["greater", "less"])
def test_one_constant_sample_is_still_welch(side):
    """Against scipy's own Welch, which only warns that it cannot trust a variance of zero."""
    constant, other = [1.0, 1.0 + 1e-15, 1.0], [0.9, 1.3, 1.2, 1.1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        welch: Any = stats.ttest_ind
        pairs = (constant, other), (other, constant)
        expected = [welch(*pair, equal_var=False, alternative=side).pvalue for pair in pairs]
    assert unpaired(constant, other, side) == pytest.approx(expected[0], rel=1e-6)
    assert unpaired(other, constant, side) == pytest.approx(expected[1], rel=1e-6)


COLUMNS = {"exponential": "Simple / E.F. Ent. Top k", "correlated": "Simple / Corr. Top k", "l2x": "Simple / L2X"}


def reviews(fabricate, scores):
    """Cells of Table 3 at a setting; ``scores`` has (validation, precision in %) of each arm's trials."""
    chosen = {"experiments": ["paulus_3"], "settings": ["synthetic aroma k=5"], "replicas": 3}
    plan = load_plan("desktop", chosen | {"arms": [f"simple_{name}" for name in scores]})
    for shard in plan.shards:
        trials = scores[shard.arm.removeprefix("simple_")]
        results = [
            {
                "replica": replica, "steps": 500, "stopped": "max_steps",
                "metrics": {
                    metric.name: {"successes": precision, "trials": 100} if metric.kind == "proportion"
                    else {"sum": 1.0, "sum_squares": 1.0, "count": 2}
                    for metric in REGISTRY["paulus_3"].metrics
                },
                "final": {"validation": validation},
            }
            for replica, (validation, precision) in enumerate(trials)
        ]  # fmt: skip
        fabricate(plan, shard, [result["metrics"] for result in results], changes={"results": results})
    return plan, collect_all(plan)


def test_several_columns_are_one_search(project, fabricate, monkeypatch):
    scores = {
        "exponential": [(-3.0, 30), (-2.0, 40), (-5.0, 90)],
        "correlated": [(-4.0, 80), (-1.0, 60), (-6.0, 10)],
        "l2x": [(-9.0, 20), (-8.0, 20), (-7.0, 20)],
    }
    plan, cells = reviews(fabricate, scores)
    by_arm = {
        cell.arm.name: cell for cell in cells["paulus_3"] if cell.metric.name == "subset_precision" and cell.evidence
    }
    both = one_search([by_arm["simple_exponential"], by_arm["simple_correlated"]])
    ordered = [precision for _, precision in sorted([*scores["exponential"], *scores["correlated"]], reverse=True)]
    assert ordered == [60, 40, 30, 80, 90, 10]  # by validation, best first
    chances = [(6 - k) ** 6 - (5 - k) ** 6 for k in range(6)]
    wanted = sum(chance * value for chance, value in zip(chances, ordered, strict=True)) / 6**6
    assert both.estimate is not None
    assert both.estimate.n == 6
    assert both.estimate.value == pytest.approx(wanted)
    claim = BETTER | {
        "experiment": "paulus_3", "metric": "subset_precision", "settings": ["synthetic aroma k=5"],
        "first": {"columns": [COLUMNS["exponential"], COLUMNS["correlated"]]}, "second": {"columns": [COLUMNS["l2x"]]},
    }  # fmt: skip
    judged = only(plan, monkeypatch, claim)
    assert judged["results"][0]["lead"] == pytest.approx(wanted - 20, abs=1e-3)
    assert len(judged["cells"]) == 3
    assert len(judged["records"]) == len({piece.mark for cell in by_arm.values() for piece in cell.evidence})


def test_the_best_of_those_that_ran_is_not_the_best_of_all(project, fabricate):
    _, cells = reviews(fabricate, {"exponential": [(-3.0, 30)] * 3})
    by_arm = {cell.arm.name: cell for cell in cells["paulus_3"] if cell.metric.name == "subset_precision"}
    both = one_search([by_arm["simple_exponential"], by_arm["simple_correlated"]])
    assert both.estimate is None
    assert both.evidence == ()


def test_only_searches_are_put_together(plan, score):
    score(plan, "direct", "d=5", [80])
    cells = [cell for cell in collect_all(plan)["indelman_1a"] if cell.setting == "d=5" and cell.metric.name == METRIC]
    with pytest.raises(ValueError, match="indelman_1a does not search"):
        one_search(cells[:2])
