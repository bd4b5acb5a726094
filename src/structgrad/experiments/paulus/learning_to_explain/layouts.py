"""The two layouts in which a user may have the reviews, and whether a folder has one of them, whole and in its form."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
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
        UserError: what is missing, with its form; an aspect in both layouts; the file, the line and the form that it
            should have; a file of reviews none of whose words has a vector, or without a word that is annotated where
            some should be.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; expected one with {', '.join(EXPECTED)}")
    of_aspects = {aspect: files for aspect in range(len(ASPECTS)) if (files := _files(folder, aspect))}
    files = list(dict.fromkeys([folder / VECTORS, *chain(*of_aspects.values())]))
    missing = [path.name for path in files if not path.is_file()]
    if not of_aspects:
        missing += [f"{published_name(1, 'train')} (or {passed_on_name(1, 'train')})"]
    if missing:
        forms = "; ".join(f"{name}: {form}" for name, form in EXPECTED.items())
        raise UserError(f"{folder} lacks {', '.join(missing)}. Expected: {forms}")
    words = frozenset(published.vectors(folder / VECTORS)[0])
    for aspect, own in of_aspects.items():
        for path in own:
            _check(path, aspect, words)
    return tuple(files)


def _files(folder: Path, aspect: int) -> list[Path]:
    """The files of an aspect, in the layout of which any is there."""
    layouts = (
        [folder / name(aspect, part) for part in parts]
        for name, parts in ((published_name, PUBLISHED), (passed_on_name, PASSED_ON))
    )
    there = [own for own in layouts if any(path.is_file() for path in own)]
    if len(there) > 1:
        both = " and ".join(own[0].name for own in there)
        raise UserError(f"{folder} has {ASPECTS[aspect]} in both layouts ({both}, ...); expected one of them")
    if there and there[0][0].name == published_name(aspect, PUBLISHED[0]):
        there[0].append(folder / ANNOTATIONS)
    return there[0] if there else []


def _check(path: Path, aspect: int, words: frozenset[str]) -> None:
    known = marked = False
    for review in _reviews(path, aspect):
        known = known or not words.isdisjoint(review.words)
        marked = marked or 1 in (review.inside or ())
    if not known:
        raise UserError(f"{path}: no word of its reviews has a vector; expected the words of {VECTORS}")
    if not marked and (path.name == ANNOTATIONS or path.suffix == ".test"):
        raise UserError(f"{path}: no word is annotated for {ASPECTS[aspect]}; expected some of its reviews to have one")


def _reviews(path: Path, aspect: int) -> Iterator[Review]:
    if path.name == ANNOTATIONS:
        return published.annotated(path, aspect)
    if path.name.startswith("reviews."):
        return published.reviews(path, aspect)
    return tab_separated.reviews(path, annotated=path.suffix == ".test")
