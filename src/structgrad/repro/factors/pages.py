"""A study's answer for people: ``results/factors/<experiment>.<arm>.md``, and the terminal's screen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill

from structgrad.files import write_text
from structgrad.repro.factors.checking import further
from structgrad.repro.factors.declared import Study, study_behind
from structgrad.repro.factors.distance import DRAWS, LEAST, Comparison
from structgrad.repro.factors.effects import Effect
from structgrad.repro.factors.responses import Place, places_of
from structgrad.repro.factors.runs import folder
from structgrad.repro.factors.study import Answer
from structgrad.repro.judging.cells import Cell
from structgrad.repro.judging.numbers import fixed
from structgrad.repro.judging.published import Published

SHOWN = 8  # combinations, effects
WIDTH = 80
AFTER = "Made after results were known: it explains, and enters no verdict."


def page_path(study: Study) -> Path:
    """Where a study's page lies."""
    return folder() / f"{study.experiment.name}.{study.arm}.md"


def page_behind(cell: Cell) -> Path | None:
    """The page of the study that asks about a cell's printed column; None where none was made."""
    study = study_behind(cell.experiment.name, cell.arm.answers or "")
    return page_path(study) if study and page_path(study).is_file() else None


def write_page(study: Study, answer: Answer) -> Path:
    """Write a study's page."""
    path = page_path(study)
    write_text(path, page(study, answer))
    return path


def page(study: Study, answer: Answer) -> str:
    """The whole of it, as Markdown."""
    here = _beside(study, answer.printed)
    lines = [f"# {study.experiment.full_title}: {study.column}", "", AFTER, "", verdict(answer), "", "## Factors", ""]
    lines += [f"- **{f.name}** ({', '.join(f.levels)}): {f.question}" for f in study.factors]
    if study.overrides:
        changed = ", ".join(f"{name} {json.dumps(value)}" for name, value in study.overrides.items())
        lines += [f"- all combinations: {changed}"]
    lines += ["", *_combinations(answer, _heads(here))]
    if answer.checks:
        there = _beside(further(study), answer.printed_there)
        lines += ["", "## On cells that had no part in it", "", checked(answer), ""]
        lines += _table(["combination", "p", *_heads(there)], [
            [study.words(check.combination), _p(check.beside.p), *_told(there, check.beside)] for check in answer.checks
        ])  # fmt: skip
        lines += ["", "In brackets behind a value: p of its setting alone."]
    lines += ["", "## Which factor moves which cell", ""]
    lines += _table(
        ["factor", "level", *_heads(zip(places_of(study), answer.printed, strict=True))], _effect_rows(answer)
    )
    return "\n".join(lines) + "\n"


def _combinations(answer: Answer, heads: Sequence[str]) -> list[str]:
    """The likeliest combinations beside the print; what was trained where none can be held against it."""
    study, here = answer.responses.study, _beside(answer.responses.study, answer.printed)
    if study.incomparable:
        shown = [place for place, number in enumerate(answer.printed) if number is not None]
        rows = [
            [study.words(combination), *_cells(here, values.mean(1)[shown])]
            for combination, values in zip(answer.responses.combinations, answer.responses.values, strict=True)
        ]
        return ["## What was trained", "", *_table(["combination", *heads], rows)]
    rows = [
        [study.words(c.combination), "yes" if c.trained else "", _p(c.p), f"{c.share:.2g}", *_cells(here, c.cells)]
        for c in answer.candidates[:SHOWN]
    ]
    return ["## Which combination", "", *_table(["combination", "trained", "p", "share", *heads], rows)]


def verdict(answer: Answer) -> str:
    """One paragraph: what the printed column is compatible with."""
    study = answer.responses.study
    trained, count = len(answer.responses.combinations), len(list(study.combinations()))
    cells = sum(number is not None for number in answer.printed)
    made = (
        f"{trained} of {count} combinations trained, {study.replicas} replicas each, in {answer.seconds / 60:.0f} min"
    )
    if study.incomparable:
        return f"**Not held against the print**, only against each other: {study.incomparable}. {made}."
    first = answer.compatible[0] if answer.compatible else max(answer.candidates, key=lambda candidate: candidate.p)
    named = f"{study.words(first.combination)} ({'' if first.trained else 'only predicted; '}p {_is(first.p)}"
    if not answer.compatible:
        return (
            f"**None of these**: no combination of the levels below is compatible with the {cells} printed numbers; "
            f"the nearest is {named}). {made}."
        )
    own, predicted = sum(candidate.trained for candidate in answer.compatible), count - trained
    others = f", {predicted - (len(answer.compatible) - own)} of the {predicted} that are predicted are ruled out"
    verb = "is" if own == 1 else "are"
    return (
        f"**{own} of {trained} trained combinations {verb} compatible** with the {cells} printed numbers"
        f"{others if predicted else ''}; the likeliest is {named}, {first.share:.0%} of the likelihood). {made}."
    )


def checked(answer: Answer) -> str:
    """Whether what is compatible says further cells of the column right, and where it does not."""
    study, cells = answer.responses.study, sum(number is not None for number in answer.printed_there)
    tried = [check for check in answer.checks if check.is_compatible]
    holding = [study.words(check.combination) for check in tried if check.holds]
    where = f"the column's {cells} further cells" if cells > 1 else "the column's one further cell"
    if not tried:
        return f"Nothing compatible was tried on {where}."
    verb = "hold" if len(holding) > 1 else "holds"
    count = f"{len(holding)} of {len(tried)}" if holding else f"None of {len(tried)}"
    words = [f"**{count} tried {verb}** on {where}" + (f": {'; '.join(holding)}" if holding else "")]
    for check in (check for check in tried if not check.holds and check.fails_on and len(study.checks) > 1):
        rest, few = check.beside.p_without(check.fails_on), 2 * len(check.fails_on) < len(study.checks)
        where = ", ".join(check.fails_on) + (f", without which p {_is(rest)}" if few and rest >= LEAST else "")
        words.append(f"{study.words(check.combination)} fails on {where}")
    return ". ".join(words) + "."


def screen(study: Study, answer: Answer) -> str:
    """The page's answers in 80 columns."""
    lines = [study.experiment.full_title, study.column, AFTER, "", fill(verdict(answer).replace("**", ""), WIDTH), ""]
    lines += ["      p   share  combination"] if answer.candidates else []
    for candidate in answer.candidates[:SHOWN]:
        numbers = f"{_p(candidate.p):>7} {candidate.share:7.2g}{' ' if candidate.trained else '?'} "
        lines.append(
            fill(study.words(candidate.combination), WIDTH, initial_indent=numbers, subsequent_indent=" " * 17)
        )
    if any(not candidate.trained for candidate in answer.candidates[:SHOWN]):
        lines += [" " * 15 + "? only predicted"]
    if answer.checks:
        lines += ["", fill(checked(answer).replace("**", ""), WIDTH)]
    lines += ["", "what moves most (95 % interval):"]
    moving = sorted((effect for effect in answer.effects if effect.moves), key=lambda effect: -abs(effect.value))
    for effect in moving[:SHOWN]:
        where = f"{effect.place.setting}, {effect.place.metric.title}"
        text = f"{effect.factor} {effect.level}: {where} {_signed(effect)}"
        lines.append(fill(text, WIDTH, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines if moving else [*lines, "  nothing"])


def _beside(study: Study, printed: Sequence[Published | None]) -> list[tuple[Place, Published | None]]:
    """The cells that have a printed number."""
    return [(place, number) for place, number in zip(places_of(study), printed, strict=True) if number is not None]


def _heads(cells: Iterable[tuple[Place, Published | None]]) -> list[str]:
    return [
        f"{place.setting} {place.metric.unit} ({number.text if number else 'not printed'})" for place, number in cells
    ]


def _cells(cells: Sequence[tuple[Place, Published | None]], values: Sequence[float]) -> list[str]:
    return [fixed(value, place.metric.digits) for (place, _), value in zip(cells, values, strict=True)]


def _told(cells: Sequence[tuple[Place, Published | None]], beside: Comparison) -> list[str]:
    """A combination's cells, each with p of its setting."""
    ps = beside.p_of_settings
    values = _cells(cells, beside.cells)
    return [f"{value} ({_p(ps[place.setting])})" for value, (place, _) in zip(values, cells, strict=True)]


def _p(p: float) -> str:
    """Such as 0.12, with more digits where fewer would lie on LEAST; what no draw exceeded is below their number's
    inverse.
    """
    if p <= 1 / DRAWS:
        return f"< {1 / DRAWS:.2g}"
    return f"{p:.2g}" if (float(f"{p:.2g}") >= LEAST) == (p >= LEAST) else f"{p:.4f}"


def _is(p: float) -> str:
    return _p(p) if p <= 1 / DRAWS else f"= {_p(p)}"


def _effect_rows(answer: Answer) -> list[list[str]]:
    rows: dict[tuple[str, str], list[str]] = {}
    for effect in answer.effects:
        rows.setdefault((effect.factor, effect.level), []).append(_signed(effect))
    return [[*key, *texts] for key, texts in rows.items()]


def _signed(effect: Effect) -> str:
    digits = effect.place.metric.digits
    value, low, high = (
        text if text.startswith("-") else f"+{text}"
        for text in (fixed(number, digits) for number in (effect.value, effect.low, effect.high))
    )
    return f"{value} [{low}, {high}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
