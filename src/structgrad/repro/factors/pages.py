"""A study's answer for people: ``results/factors/<experiment>.<arm>.md``, and the terminal's screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill

from structgrad.files import write_text
from structgrad.repro.factors.checking import further
from structgrad.repro.factors.declared import Study, study_behind
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
    lines += ["", "## Which combination", "", *_table(["combination", "trained", "p", "share", *_heads(here)], [
        [study.words(c.combination), "yes" if c.trained else "", f"{c.p:.2g}", f"{c.share:.2g}", *_cells(here, c.cells)]
        for c in answer.candidates[:SHOWN]
    ])]  # fmt: skip
    if answer.checks:
        there = _beside(further(study), answer.printed_there)
        lines += ["", "## On cells that had no part in it", "", checked(answer), ""]
        lines += _table(["combination", "p", *_heads(there)], [
            [study.words(check.combination), f"{check.beside.p:.2g}", *_cells(there, check.beside.cells)]
            for check in answer.checks
        ])  # fmt: skip
    lines += ["", "## Which factor moves which cell", ""]
    lines += _table(
        ["factor", "level", *_heads(zip(places_of(study), answer.printed, strict=True))], _effect_rows(answer)
    )
    return "\n".join(lines) + "\n"


def verdict(answer: Answer) -> str:
    """One paragraph: what the printed column is compatible with."""
    study, count = answer.responses.study, len(answer.candidates)
    trained = len(answer.responses.combinations)
    cells = sum(number is not None for number in answer.printed)
    made = (
        f"{trained} of {count} combinations trained, {study.replicas} replicas each, in {answer.seconds / 60:.0f} min"
    )
    if not answer.compatible:
        best = answer.candidates[0]
        return (
            f"**None of these**: no combination of the levels below is compatible with the {cells} printed numbers; "
            f"the nearest, {study.words(best.combination)}, has p = {best.p:.1g}. {made}."
        )
    first, own = answer.candidates[0], sum(candidate.trained for candidate in answer.compatible)
    predicted = count - trained
    others = f", {predicted - (len(answer.compatible) - own)} of the {predicted} that are predicted are ruled out"
    return (
        f"**{own} of {trained} trained combinations are compatible** with the {cells} printed numbers"
        f"{others if predicted else ''}; the likeliest is {study.words(first.combination)}"
        f" (p = {first.p:.2g}, {first.share:.0%} of the likelihood). "
        f"{made}."
    )


def checked(answer: Answer) -> str:
    """One sentence: whether what is compatible says further cells of the column right."""
    study, cells = answer.responses.study, sum(number is not None for number in answer.printed_there)
    tried = [check for check in answer.checks if check.is_compatible]
    holding = [study.words(check.combination) for check in tried if check.holds]
    where = f"the column's {cells} further cells" if cells > 1 else "the column's one further cell"
    if not tried:
        return f"Nothing compatible was tried on {where}."
    if not holding:
        return f"**None of {len(tried)} tried holds** on {where}."
    verb = "hold" if len(holding) > 1 else "holds"
    return f"**{len(holding)} of {len(tried)} tried {verb}** on {where}: {'; '.join(holding)}."


def screen(study: Study, answer: Answer) -> str:
    """The page's answers in 80 columns."""
    lines = [study.experiment.full_title, study.column, AFTER, "", fill(verdict(answer).replace("**", ""), WIDTH), ""]
    lines += ["      p   share  combination"]
    for candidate in answer.candidates[:SHOWN]:
        numbers = f"{candidate.p:7.2g} {candidate.share:7.2g}  "
        lines.append(
            fill(study.words(candidate.combination), WIDTH, initial_indent=numbers, subsequent_indent=" " * 17)
        )
    if answer.checks:
        lines += ["", fill(checked(answer).replace("**", ""), WIDTH)]
    lines += ["", "what moves most (95 % interval over replicas):"]
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


def _effect_rows(answer: Answer) -> list[list[str]]:
    rows: dict[tuple[str, str], list[str]] = {}
    for effect in answer.effects:
        rows.setdefault((effect.factor, effect.level), []).append(_signed(effect))
    return [[*key, *texts] for key, texts in rows.items()]


def _signed(effect: Effect) -> str:
    digits = effect.place.metric.digits
    return f"{effect.value:+.{digits}f} [{effect.low:+.{digits}f}, {effect.high:+.{digits}f}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
