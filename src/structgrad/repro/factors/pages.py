"""A study's answer for people: ``results/factors/<experiment>.<arm>.md``, and the terminal's screen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from structgrad.files import write_text
from structgrad.repro.factors.compatible import Candidate
from structgrad.repro.factors.declared import Study
from structgrad.repro.factors.effects import Effect
from structgrad.repro.factors.runs import folder
from structgrad.repro.factors.study import Answer
from structgrad.repro.judging.numbers import fixed

SHOWN = 8  # combinations, effects
WIDTH = 80
AFTER = "Made after results were known: it explains, and enters no verdict."


def page_path(study: Study) -> Path:
    """Where a study's page lies."""
    return folder() / f"{study.experiment.name}.{study.arm}.md"


def write_page(study: Study, answer: Answer) -> Path:
    """Write a study's page."""
    path = page_path(study)
    write_text(path, page(study, answer))
    return path


def page(study: Study, answer: Answer) -> str:
    """The whole of it, as Markdown."""
    lines = [f"# {study.experiment.full_title}: {study.column}", "", AFTER, "", verdict(answer), "", "## Factors", ""]
    lines += [f"- **{f.name}** ({', '.join(f.levels)}): {f.question}" for f in study.factors]
    lines += ["", "## Which combination", "", *_table(["combination", "trained", "p", "share", *_heads(answer)], [
        [study.words(c.combination), "yes" if c.trained else "", f"{c.p:.2g}", f"{c.share:.2g}", *_cells(answer, c)]
        for c in answer.candidates[:SHOWN]
    ])]  # fmt: skip
    lines += ["", "## Which factor moves which cell", ""]
    lines += _table(["factor", "level", *_heads(answer, all_cells=True)], _effect_rows(answer))
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
    first = answer.candidates[0]
    return (
        f"**{len(answer.compatible)} of {count} combinations are compatible** with the {cells} printed numbers; the "
        f"likeliest is {study.words(first.combination)} (p = {first.p:.2g}, {first.share:.0%} of the likelihood). "
        f"{made}."
    )


def screen(study: Study, answer: Answer) -> str:
    """The page's answers in 80 columns."""
    lines = [study.experiment.full_title, study.column, AFTER, "", fill(verdict(answer).replace("**", ""), WIDTH), ""]
    lines += ["      p   share  combination"]
    for candidate in answer.candidates[:SHOWN]:
        numbers = f"{candidate.p:7.2g} {candidate.share:7.2g}  "
        lines.append(
            fill(study.words(candidate.combination), WIDTH, initial_indent=numbers, subsequent_indent=" " * 17)
        )
    lines += ["", "what moves most (95 % interval over replicas):"]
    moving = sorted((effect for effect in answer.effects if effect.moves), key=lambda effect: -abs(effect.value))
    for effect in moving[:SHOWN]:
        where = f"{effect.place.setting}, {effect.place.metric.title}"
        text = f"{effect.factor} {effect.level}: {where} {_signed(effect)}"
        lines.append(fill(text, WIDTH, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines if moving else [*lines, "  nothing"])


def _heads(answer: Answer, all_cells: bool = False) -> list[str]:
    return [
        f"{place.setting} {place.metric.unit} ({number.text if number else 'not printed'})"
        for place, number in zip(answer.responses.places, answer.printed, strict=True)
        if number is not None or all_cells
    ]


def _cells(answer: Answer, candidate: Candidate) -> list[str]:
    beside = [
        place for place, number in zip(answer.responses.places, answer.printed, strict=True) if number is not None
    ]
    return [fixed(value, place.metric.digits) for place, value in zip(beside, candidate.cells, strict=True)]


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
