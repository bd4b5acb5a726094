"""What the kinds of claims share: the replicas' own values, and two arms compared at one setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from structgrad.repro.evidence.gathering import per_replica, value_of
from structgrad.repro.judging.cells import Cell, seed_of, trials
from structgrad.repro.judging.selection import exchanged
from structgrad.repro.judging.significance import ALPHA, holm, paired, unpaired

Claim = Mapping[str, Any]


class Decision(NamedTuple):
    """What a test of a claim comes to; ``details`` has one entry per setting."""

    verdict: str
    reason: str
    details: list[dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """Two arms at one setting: the first's lead in the metric's unit, and p of better and of worse."""

    setting: str
    lead: float
    p_better: float
    p_worse: float
    replicas: str


def values(cell: Cell) -> dict[int, float]:
    """Each replica's own value, in the metric's unit."""
    reports = per_replica(cell.evidence, cell.metric)
    return {r: value_of(report, cell.metric) for r, report in sorted(reports.items())}


def point(cell: Cell) -> float:
    """The cell's value as the table shows it."""
    assert cell.estimate is not None  # a cell without one is not held
    return cell.estimate.value


def sign(cell: Cell) -> int:
    """1 where higher is better, else -1."""
    return 1 if cell.metric.higher_is_better else -1


def shared(first: Cell, second: Cell) -> list[int]:
    """The replicas that both sides trained on the same data (equal data seeds)."""
    a, b = _data_seeds(first), _data_seeds(second)
    return sorted(replica for replica in set(a) & set(b) if a[replica] == b[replica])


def differences(first: Cell, second: Cell) -> list[float]:
    """By how much the first is better than the second, on each shared replica."""
    x, y = values(first), values(second)
    return [sign(first) * (x[r] - y[r]) for r in shared(first, second)]


def compare(claim: Claim, setting: str, pair: Sequence[Cell]) -> Comparison:
    """Test better and worse at a setting, paired where replicas are shared, before any correction.

    The family that Holm corrects for is all settings of the claim, whichever of them have records.
    Folds that are not shared are not compared at all: a test would have to know how far their training sets overlap.
    Of searches the selected trials are compared, whichever they are.
    """
    first, second = pair
    if first.experiment.selected_by:
        return _compare_searches(claim, setting, first, second)
    paired_by = differences(first, second)
    overlap, family = first.experiment.overlap, len(claim["settings"])
    if paired_by:
        seed = seed_of(f"{claim['id']}/{setting}")
        up, down = (paired(paired_by, side, family, seed, overlap) for side in ("greater", "less"))
    elif overlap:
        up = down = 1.0
    else:
        a, b = ([sign(first) * value for value in values(side).values()] for side in (first, second))
        up, down = unpaired(a, b, "greater"), unpaired(a, b, "less")
    replicas = f"{len(paired_by)} pairs" if paired_by else f"{len(values(first))} against {len(values(second))}"
    return Comparison(setting, sign(first) * (point(first) - point(second)), up, down, replicas)


def _compare_searches(claim: Claim, setting: str, first: Cell, second: Cell) -> Comparison:
    a, b = (trials(side.evidence, side.metric) for side in (first, second))
    up, down = exchanged(a, b, seed_of(f"{claim['id']}/{setting}"))
    if sign(first) < 0:
        up, down = down, up
    lead = sign(first) * (point(first) - point(second))
    return Comparison(setting, lead, up, down, f"{len(a)} against {len(b)} trials")


def corrected(claim: Claim, tests: Sequence[Comparison]) -> list[dict[str, Any]]:
    """One detail per setting that has records: better, worse or open at the level, family-wise (Holm).

    The family is the settings that the claim names; one without records stands in it with p = 1.
    """
    lacking = [1.0] * (len(claim["settings"]) - len(tests))
    ups, downs = (holm([*own, *lacking]) for own in ([t.p_better for t in tests], [t.p_worse for t in tests]))
    return [
        {
            "setting": test.setting,
            "lead": rounded(test.lead),
            "replicas": test.replicas,
            "p_better": rounded(up),
            "p_worse": rounded(down),
            "outcome": "better" if up <= ALPHA else "worse" if down <= ALPHA else "open",
        }
        for test, up, down in zip(tests, ups, downs, strict=False)
    ]


def by_outcome(details: Sequence[Mapping[str, Any]]) -> str:
    """``better at d=5, d=10; open at d=25``."""
    settings: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    for detail in details:
        settings[detail["outcome"]].append(detail["setting"])
    return "; ".join(f"{outcome} at {', '.join(where)}" for outcome, where in settings.items() if where)


def not_run(missing: Sequence[str]) -> str:
    """What a reason says of settings without records."""
    return f"; not run at {', '.join(missing)}" if missing else ""


def rounded(value: float) -> float:
    """Six decimals: what every machine agrees on."""
    return float(f"{value:.6f}") + 0.0


def _data_seeds(cell: Cell) -> dict[int, int]:
    return {
        piece.record["replicas"]["first"] + index: seed
        for piece in cell.evidence
        for index, seed in enumerate(piece.record["seeds"].get("data", ()))
    }
