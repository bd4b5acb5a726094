"""The two layouts in which a user may have the reviews, and whether a folder has one of them, whole and in its form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from structgrad.errors import UserError
from structgrad.experiments.paulus.learning_to_explain import published, tab_separated
from structgrad.experiments.paulus.learning_to_explain.published import Review
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS

VECTORS, ANNOTATIONS = "review+wiki.filtered.200.txt.gz", "annotations.json"
PUBLISHED, PASSED_ON = ("train", "heldout"), ("train", "dev", "test")
EXPECTED = {
    VECTORS: f"a line a word: {published.VECTOR}",
    "reviews.aspectN.train.txt.gz and .heldout.txt.gz": (
        f"N from 0 to 3, one or more; a line a review: {published.REVIEW}"
    ),
    ANNOTATIONS: f"a line a review: {published.ANNOTATION}",
    "or beerN.train, .dev and .test": (
        f"N from 0 to 3, one or more, in place of the reviews and annotations; a header, then a line a review: "
        f"{tab_separated.ROW}; only .test needs the last"
    ),
}


def published_name(aspect: int, part: str) -> str:
    return f"reviews.aspect{aspect}.{part}.txt.gz"


def passed_on_name(aspect: int, part: str) -> str:
    return f"beer{aspect}.{part}"


def check(folder: Path) -> tuple[Path, ...]:
    """Read all of what lies in a folder in either layout; the files that it consists of.

    Raises:
        UserError: what is missing, with its form, or the file, the line and the form that it should have.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; expected one with {', '.join(EXPECTED)}")
    files = [folder / VECTORS]
    for aspect in range(len(ASPECTS)):
        for name, parts in ((published_name, PUBLISHED), (passed_on_name, PASSED_ON)):
            own = [folder / name(aspect, part) for part in parts]
            if any(path.is_file() for path in own):
                files += own
                files += [folder / ANNOTATIONS] if name is published_name else []
    files = list(dict.fromkeys(files))
    missing = [path.name for path in files if not path.is_file()]
    if len(files) == 1:
        missing += [f"{published_name(1, 'train')} (or {passed_on_name(1, 'train')})"]
    if missing:
        forms = "; ".join(f"{name}: {form}" for name, form in EXPECTED.items())
        raise UserError(f"{folder} lacks {', '.join(missing)}. Expected: {forms}")
    for path in files:
        for _ in _reader(path)(path):
            pass
    return tuple(files)


def _reader(path: Path) -> Callable[[Path], Iterator[Review] | tuple[object, ...]]:
    if path.name == VECTORS:
        return published.vectors
    if path.name == ANNOTATIONS:
        return lambda path: published.annotated(path, 0)
    if path.name.startswith("reviews."):
        return lambda path: published.reviews(path, 0)
    return lambda path: tab_separated.reviews(path, annotated=path.suffix == ".test")
