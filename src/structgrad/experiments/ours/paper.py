"""No paper: what we compare ourselves, with no printed number beside it."""

from structgrad.experiments.paper import Paper

PAPER = Paper(
    name="ours",
    title="Comparisons of the papers' methods that none of them prints",
    authors=("The structgrad authors",),
    year=2026,
    venue="ours",
    url="",
    ours=True,
)
