"""Which part of docs/deviations.md speaks of an experiment: our readings of its protocol, with their reasons."""

from __future__ import annotations

PAGE = "../../docs/deviations.md"  # seen from results/<scale>/

SECTIONS = {
    "indelman_1a": "indelman-tables-1a-and-1b-sorting",
    "indelman_1b": "indelman-tables-1a-and-1b-sorting",
    "indelman_2": "indelman-table-2-k-nearest-neighbours",
    "berthet_1": "berthet-tables-1-and-2-label-ranking",
    "berthet_2": "berthet-tables-1-and-2-label-ranking",
    "berthet_artificial": "berthet-figures-4-7-and-8-artificial-rankings",
    "berthet_2fig": "berthet-figure-2-perturbed-maximum",
    "berthet_2fig_digits": "berthet-figure-2-perturbed-maximum",
    "berthet_paths": "berthet-figure-6-shortest-paths",
    "paulus_1": "paulus-table-1-graph-layout",
    "paulus_2": "paulus-table-2-listops",
    "paulus_3": "paulus-table-3-learning-to-explain",
    "cross": "ours-cross-equal-maximiser-calls",
}


def link(experiment: str) -> str:
    """The address of its section; of the page where it has none of its own."""
    section = SECTIONS.get(experiment)
    return f"{PAGE}#{section}" if section else PAGE
