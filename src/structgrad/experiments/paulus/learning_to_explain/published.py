"""The reviews as Lei, Barzilay and Jaakkola (2016) published them: ratings and words, annotations, vectors of words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from structgrad.experiments.paulus.learning_to_explain.lines import NUMBER, lines, number_in, wrong
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS

WIDTH = 200
REVIEW = (
    "five ratings from 0 to 1 (look, smell, feel, taste, overall) with blanks between, a tab, words with blanks between"
)
ANNOTATION = (
    'an object with "x" (words), "y" (five ratings from 0 to 1) and "0" to "4" (lists of [start, end), places of words)'
)
LARGEST = float(np.finfo(np.float32).max)
VECTOR = f"a word and the {WIDTH} numbers of its vector, with blanks between"


class Review(NamedTuple):
    """A rating, words, and of each word a 0 or 1: whether it is annotated (None: nobody annotated)."""

    rating: float
    words: list[str]
    inside: list[int] | None


def reviews(path: Path, aspect: int) -> Iterator[Review]:
    """Of ``reviews.aspectN.train.txt.gz`` or ``.heldout.txt.gz``, with the rating of an aspect.

    Raises:
        UserError: a line in another form.
    """
    for number, line in lines(path, REVIEW):
        ratings, tab, text = line.partition("\t")
        values = [number_in(part, 0, 1) for part in ratings.split()]
        words = text.split()
        if not tab or "\t" in text or len(values) != len(ASPECTS) + 1 or not words:
            raise wrong(path, number, REVIEW)
        rating = values[aspect]
        if rating is None or None in values:
            raise wrong(path, number, REVIEW)
        yield Review(rating, words, None)


def annotated(path: Path, aspect: int) -> Iterator[Review]:
    """Of ``annotations.json``, one object a line, with what is annotated of an aspect.

    Raises:
        UserError: a line in another form.
    """
    for number, line in lines(path, ANNOTATION):
        try:
            content = json.loads(line)
            words, ratings = content["x"], content["y"]
            spans = [content[str(each)] for each in range(len(ASPECTS) + 1)]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise wrong(path, number, ANNOTATION) from None
        if not _are_words(words) or not _are_ratings(ratings) or not all(_are_spans(some, words) for some in spans):
            raise wrong(path, number, ANNOTATION)
        inside = [0] * len(words)
        for start, end in spans[aspect]:
            inside[start:end] = [1] * (end - start)
        yield Review(float(ratings[aspect]), words, inside)


def vectors(path: Path) -> tuple[list[str], np.ndarray]:
    """Of ``review+wiki.filtered.200.txt.gz``: the words and their vectors ``(words, 200)`` float32.

    Raises:
        UserError: a line in another form, or a word that stands there twice.
    """
    words, rows = list[str](), list[np.ndarray]()
    known = set[str]()
    for number, line in lines(path, VECTOR):
        word, *values = line.split() or [""]
        if len(values) != WIDTH or not all(map(NUMBER.fullmatch, values)):
            raise wrong(path, number, VECTOR)
        try:
            row = np.array(values, np.float64)
        except ValueError:
            raise wrong(path, number, VECTOR) from None
        if not (abs(row) <= LARGEST).all():
            raise wrong(path, number, VECTOR)
        if word in known:
            raise wrong(path, number, f"another word than {word!r}, which had its vector before")
        known.add(word)
        words.append(word)
        rows.append(row.astype(np.float32))
    return words, np.stack(rows)


def _are_words(words: Any) -> bool:
    return (
        isinstance(words, list)
        and bool(words)
        and all(isinstance(word, str) and word.split() == [word] for word in words)
    )


def _are_ratings(ratings: Any) -> bool:
    numbers = isinstance(ratings, list) and len(ratings) == len(ASPECTS) + 1
    return numbers and all(type(rating) in (int, float) and 0 <= rating <= 1 for rating in ratings)


def _are_spans(spans: Any, words: list[str]) -> bool:
    return isinstance(spans, list) and all(
        isinstance(span, list)
        and len(span) == 2
        and all(type(place) is int for place in span)
        and 0 <= span[0] < span[1] <= len(words)
        for span in spans
    )
