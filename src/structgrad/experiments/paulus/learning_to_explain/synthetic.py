"""A synthetic corpus: reviews whose words of sentiment do not say which aspect they are about.

A review has a segment for each aspect and one for the whole beer, in any order. A segment is a string of phrases: a
noun of its aspect with a word of sentiment before it (``great aroma``) or after it (``aroma is great``), a noun alone,
or words of no meaning. All segments draw their words of sentiment from one list, near the segment's own rating, so that
only the words beside one tell what it is about. Ratings of a review correlate. The annotated words are the aspect's
segment.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS, LONGEST, PAD, Corpus, Reviews

NOUNS = (
    "color head lacing foam haze hue clarity carbonation bubbles glass cap body",
    "aroma nose smell scent whiff bouquet hops malt citrus pine yeast spice",
    "mouthfeel texture finish weight fizz creaminess smoothness thickness dryness warmth coating bite",
    "taste flavor sweetness bitterness caramel fruit coffee chocolate roast toffee grain balance",
    "beer brew drink bottle style pint stout lager ale porter pilsner draft",
)
SENTIMENT = (
    "horrible awful terrible bad poor weak faint dull bland plain thin odd so-so average okay fair decent solid fine "
    "pleasant nice good lovely rich impressive great excellent superb outstanding perfect"
)
FILLERS = (
    "the a an of and with in on to this that it its there some very quite rather really just but not so as for from "
    "here then now also after before while when poured into my me i we one two little bit lot more most less about "
    "almost maybe still again even both other each first last next side top bottom"
)
FILLER, NOUN, MOOD, EMPTY = range(4)
PHRASES = np.array(
    [[MOOD, NOUN, EMPTY], [NOUN, FILLER, MOOD], [NOUN, EMPTY, EMPTY], [FILLER, EMPTY, EMPTY], [FILLER, FILLER, EMPTY]]
)
CHANCES = (0.2, 0.1, 0.15, 0.3, 0.25)
CENTRE, SPREAD, CORRELATION = 0.65, 0.2, 0.3  # of the ratings of a review, before they are cut to 0 .. 1
MEDIAN, VARIATION, FEWEST = 60, 0.4, 5  # phrases of a review (log-normal), and the least that a segment has
TONE, CHOICE = 0.1, 0.35  # deviations: of a segment's tone from its rating, of a word from the tone, both in -1 .. 1
WIDTH, STRENGTH, SCATTER = 50, 2.0, 0.3  # of the words' vectors: size, length along what a word means, and the rest


def vocabulary() -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """All words, the first one padding; for each what it is about (5: nothing) and its tone (0: none)."""
    words, about, tone = ["<pad>"], [5], [0.0]
    for number, nouns in enumerate(NOUNS):
        words += nouns.split()
        about += [number] * len(nouns.split())
    moods = SENTIMENT.split()
    words += moods + FILLERS.split()
    tone += [0.0] * (len(about) - 1) + np.linspace(-1, 1, len(moods)).tolist() + [0.0] * len(FILLERS.split())
    about += [5] * (len(words) - len(about))
    return tuple(words), np.array(about), np.array(tone)


def corpus(sizes: tuple[int, int, int], aspect: int, seed: int) -> Corpus:
    """Reviews to train, validate and test on, all annotated. Those of one seed differ between aspects in their ratings
    and annotations alone.
    """
    words, about, tone = vocabulary()
    generator = np.random.default_rng(seed)
    vectors = _vectors(about, tone, generator)
    tokens, lengths, ratings, inside = _reviews(sum(sizes), seed)
    everything = Reviews(tokens, lengths, ratings[:, aspect], inside == aspect)
    first, second = sizes[0], sizes[0] + sizes[1]
    train, validation, test = everything[:first], everything[first:second], everything[second:]
    return Corpus(train, validation, test, test, vectors, words)


def _vectors(about: np.ndarray, tone: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A direction for each of the things that words are about, one for tone, and something of each word's own."""
    directions = generator.standard_normal((7, WIDTH))
    directions *= STRENGTH / np.linalg.norm(directions, axis=1, keepdims=True)
    directions[5] = 0.0
    vectors = directions[about] + tone[:, None] * directions[6]
    vectors += SCATTER * generator.standard_normal(vectors.shape)
    vectors[PAD] = 0.0
    return vectors.astype(np.float32)


@lru_cache(maxsize=2)
def _reviews(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tokens ``(count, n)``, lengths, ratings ``(count, 4)``, and the number of each word's segment."""
    generator = np.random.default_rng([seed, 1])
    segments = len(NOUNS)
    common, own = generator.standard_normal((count, 1)), generator.standard_normal((count, segments))
    latent = CENTRE + SPREAD * (np.sqrt(CORRELATION) * common + np.sqrt(1 - CORRELATION) * own)
    ratings = np.round(np.clip(latent, 0, 1), 1)
    ratings[:, -1] = ratings[:, :-1].mean(1)  # of the whole beer
    order = np.argsort(generator.random((count, segments)), axis=1)

    phrases = MEDIAN * np.exp(VARIATION * generator.standard_normal(count))
    shares = generator.dirichlet([4.0] * segments, count)
    sizes = (FEWEST + np.maximum(phrases[:, None] - FEWEST * segments, 0) * shares).astype(np.int64)
    tones = 2 * ratings - 1 + TONE * generator.standard_normal(ratings.shape)

    review = np.repeat(np.arange(count), sizes.sum(1))  # of each phrase
    segment = np.repeat(order.ravel(), sizes.ravel())
    kinds = PHRASES[generator.choice(len(PHRASES), len(review), p=CHANCES)]
    tokens = _words(kinds, segment[:, None], tones[review, segment][:, None], generator)

    kept = kinds != EMPTY
    width = kept.sum(1)
    lengths = np.bincount(review, width, count).astype(np.int64)
    row, part = np.repeat(review, width), np.repeat(segment, width)
    place = np.arange(len(row)) - (np.cumsum(lengths) - lengths)[row]
    early = place < LONGEST
    lengths = np.minimum(lengths, LONGEST)
    shape = count, int(lengths.max())
    content, inside = np.full(shape, PAD, np.int32), np.full(shape, -1, np.int8)
    content[row[early], place[early]] = tokens[kept][early]
    inside[row[early], place[early]] = part[early]
    return content, lengths, ratings[:, : len(ASPECTS)].astype(np.float32), inside


def _words(kinds: np.ndarray, segment: np.ndarray, tone: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A word for each kind, of its segment and tone."""
    nouns, moods, fillers = len(NOUNS[0].split()), len(SENTIMENT.split()), len(FILLERS.split())
    first_mood = 1 + nouns * len(NOUNS)
    noun = 1 + segment * nouns + generator.integers(nouns, size=kinds.shape)
    meant = np.clip(tone + CHOICE * generator.standard_normal(kinds.shape), -1, 1)
    mood = first_mood + np.round((meant + 1) / 2 * (moods - 1)).astype(np.int64)
    frequent = 1 / np.arange(1, fillers + 1)  # Zipf's law
    filler = first_mood + moods + generator.choice(fillers, kinds.shape, p=frequent / frequent.sum())
    return np.select([kinds == FILLER, kinds == NOUN, kinds == MOOD], [filler, noun, mood], PAD)
