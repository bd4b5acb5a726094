"""The declared factors and what came of them, for ``docs/deviations.md``."""

from __future__ import annotations

from structgrad.experiments import PAPERS
from structgrad.repro.factors.declared import Study, studies
from structgrad.repro.factors.pages import checked, page_path, verdict
from structgrad.repro.factors.study import answer


def open_choices(paper: str) -> str:
    """A paper's studies, column by column: the open choices, ours first among their levels, and the answer."""
    lines = []
    for study in (study for own in studies().values() for study in own if study.experiment.paper == paper):
        lines += [f"**{study.experiment.heading}, {study.column}** ({', '.join(study.settings)}): {_said(study)}", ""]
        lines += ["| open | levels, ours first | what is open |", "|---|---|---|"]
        lines += [f"| {f.name} | {', '.join(f.levels)} | {f.question} |" for f in study.factors]
        lines.append("")
    return "\n".join(lines) or f"No choice of {PAPERS[paper].name} is declared as a factor.\n"


def _said(study: Study) -> str:
    told = answer(study)
    if told is None:
        return "not trained yet."
    further = f" {checked(told)}" if told.checks else ""
    return f"{verdict(told)}{further} All of it: [{page_path(study).name}](../results/factors/{page_path(study).name})."
