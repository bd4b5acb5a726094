"""Reviews: the published files and those that are passed on, in their exact forms; the synthetic corpus."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from structgrad.data import user_data
from structgrad.data.store import MissingDataError
from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.learning_to_explain import beer, synthetic
from structgrad.experiments.paulus.learning_to_explain.data import digest, make
from structgrad.experiments.paulus.learning_to_explain.files import BEER, OF_ASPECT, needed
from structgrad.experiments.paulus.learning_to_explain.layouts import ANNOTATIONS, VECTORS, check
from structgrad.experiments.paulus.learning_to_explain.reviews import ASPECTS
from structgrad.repro.planning.hyper_parameters import read

TABLE = REGISTRY["paulus_3"]
WORDS = ["good", "aroma", ",", "bad", "taste", "."]
SIZES = 2, 100, 100


def packed(path, lines):
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))


def vector(word, value):
    return " ".join([word, *[f"{value:.6f}"] * 200])


@pytest.fixture
def published(tmp_path):
    """A folder in the published layout, with the aroma alone."""
    folder = tmp_path / "published"
    folder.mkdir()
    packed(folder / VECTORS, [vector(word, place + 1) for place, word in enumerate(WORDS)])
    packed(
        folder / "reviews.aspect1.train.txt.gz",
        ["0.6 0.8 0.7 0.5 0.6\tgood aroma , bad taste .", "0.2 0.4 0.3 0.1 0.2\tbad unheard-of aroma"],
    )
    packed(folder / "reviews.aspect1.heldout.txt.gz", [f"0 {i / 10} 0 0 0\t" + "good " * (i + 1) for i in range(5)])
    spans = {"0": [], "1": [[0, 2], [3, 4]], "2": [], "3": [[3, 6]], "4": []}
    lines = [{"x": WORDS, "y": [0.1, 0.9, 0.3, 0.4, 0.5], **spans, "raw": "kept by some copies"}]
    (folder / ANNOTATIONS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def passed_on(tmp_path):
    """A folder in the tab-separated layout, with the aroma alone."""
    folder = tmp_path / "passed_on"
    folder.mkdir()
    packed(folder / VECTORS, [vector(word, place + 1) for place, word in enumerate(WORDS)])
    header = "task\tlabel\ttext\trationale"
    (folder / "beer1.train").write_text(f"{header}\nbeer1\t0.8\tgood aroma .\t1 1 0\nbeer1\t0.1\tbad\t0\n")
    (folder / "beer1.dev").write_text("task\tlabel\ttext\nbeer1\t0.5\tbad taste\n")
    (folder / "beer1.test").write_text(f"{header}\nbeer1\t1\tgood aroma , bad taste .\t1 1 1 0 0 0\n")
    return folder


def test_the_published_layout(published):
    files = check(published)
    assert {path.name for path in files} == {path.name for path in published.iterdir()}
    read_in = beer.corpus(files, SIZES, 1, 0)
    assert read_in.words is None  # nobody may show them
    np.testing.assert_array_equal(read_in.train.tokens, [[2, 3, 4, 5, 6, 7], [5, 1, 3, 0, 0, 0]])
    np.testing.assert_array_equal(read_in.train.lengths, [6, 3])
    np.testing.assert_allclose(read_in.train.ratings, [0.8, 0.4])
    assert read_in.train.inside is None
    np.testing.assert_array_equal(read_in.vectors[:, 0], [0, 0, 1, 2, 3, 4, 5, 6])
    assert read_in.vectors.dtype == np.float32
    assert (len(read_in.validation), len(read_in.test)) == (2, 3)
    halves = np.concatenate([read_in.validation.ratings, read_in.test.ratings])
    np.testing.assert_allclose(np.sort(halves), np.arange(5) / 10, rtol=1e-6)
    np.testing.assert_array_equal(read_in.annotated.inside, [[1, 1, 0, 1, 0, 0]])
    np.testing.assert_allclose(read_in.annotated.ratings, [0.9])
    other = beer.corpus(files, SIZES, 1, 1)
    orders = [[*part.validation.ratings, *part.test.ratings] for part in (read_in, other)]
    assert orders[0] != orders[1]  # another seed halves otherwise
    assert len(beer.corpus(files, (1, 1, 2), 1, 0).train) == 1


def test_the_tab_separated_layout(passed_on):
    read_in = beer.corpus(check(passed_on), SIZES, 1, 0)
    np.testing.assert_array_equal(read_in.train.tokens, [[2, 3, 7], [5, 0, 0]])
    np.testing.assert_array_equal(read_in.train.inside, [[1, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose(read_in.train.ratings, [0.8, 0.1])
    assert read_in.validation.inside is None
    np.testing.assert_array_equal(read_in.test.inside, [[1, 1, 1, 0, 0, 0]])


def test_what_is_longer_than_350_words_is_cut(published):
    packed(published / "reviews.aspect1.train.txt.gz", ["0 0 0 0 0\t" + "good " * 400])
    train = beer.corpus(check(published), (1, 100, 100), 1, 0).train
    assert train.tokens.shape == (1, 350)
    assert train.lengths.tolist() == [350]


@pytest.mark.parametrize("name", [VECTORS, ANNOTATIONS, "reviews.aspect1.heldout.txt.gz"])
def test_what_is_missing_is_named_with_its_form(published, name):
    (published / name).unlink()
    with pytest.raises(UserError, match=rf"lacks {name.replace('+', '.')}\. Expected: .*a word and the 200 numbers"):
        check(published)


def test_an_empty_folder_lacks_reviews_in_either_form(tmp_path):
    with pytest.raises(UserError, match=r"lacks review\+wiki.*reviews\.aspect1\.train\.txt\.gz \(or beer1\.train\)"):
        check(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        check(tmp_path / "file")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("0.6 0.8 0.7 0.5\tgood", "reviews.aspect1.train.txt.gz"),  # four ratings
        ("0.6 0.8 0.7 0.5 1.2\tgood", "reviews.aspect1.train.txt.gz"),  # beyond 1
        ("0.6 0.8 nan 0.5 0.6\tgood", "reviews.aspect1.train.txt.gz"),
        ("0.6 0.8 0.7 0.5 0.6 good", "reviews.aspect1.train.txt.gz"),  # no tab
        ("0.6 0.8 0.7 0.5 0.6\t", "reviews.aspect1.train.txt.gz"),  # no words
        ("0.6 0.8 0.7 0.5 0.6\tgood\t1", "reviews.aspect1.train.txt.gz"),  # a second tab
        ("0.6 0.8 0.7 0.5 0_1\tgood", "reviews.aspect1.train.txt.gz"),
        (" ".join(["nose", *["1"] * 199]), VECTORS),
        (" ".join(["nose", *["one"] * 200]), VECTORS),
        (vector("good", 3), VECTORS),  # twice
        (" ".join(["nose", "1_0", *["1"] * 199]), VECTORS),
        (" ".join(["nose", "1e300", *["1"] * 199]), VECTORS),  # no float32
    ],
)
def test_a_wrong_packed_line_is_named(published, line, name):
    whole = gzip.decompress((published / name).read_bytes()).decode().splitlines()
    packed(published / name, [*whole, line])
    with pytest.raises(UserError, match=rf"{name.replace('+', '.')}, line {len(whole) + 1}: expected "):
        check(published)


@pytest.mark.parametrize(
    "changes",
    [
        {"x": []},
        {"x": "good aroma"},
        {"y": [0.5] * 4},
        {"y": [0.5, 0.5, 0.5, 0.5, 7]},
        {"1": [[0, 9]]},
        {"1": [[2, 2]]},
        {"1": [[0.0, 2]]},
        {"1": None},
        {"y": [True] * 5},
        {"x": ["", *WORDS[1:]]},
    ],
)
def test_a_wrong_annotation_is_named(published, changes):
    line = json.loads((published / ANNOTATIONS).read_text())
    (published / ANNOTATIONS).write_text(json.dumps(line) + "\n" + json.dumps(line | changes) + "\n")
    with pytest.raises(UserError, match=r'annotations\.json, line 2: expected an object with "x"'):
        check(published)
    for text in ("{\n", "[" * 200_000 + "\n"):
        (published / ANNOTATIONS).write_text(text)
        with pytest.raises(UserError, match=r"annotations\.json, line 1"):
            check(published)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("beer1.train", "task\tlabel\n", 1),
        ("beer1.test", "task\tlabel\ttext\nbeer1\t1\tgood\n", 1),  # the annotation is needed there
        ("beer1.train", "task\tlabel\ttext\trationale\nbeer1\t1\tgood aroma\t1\n", 2),
        ("beer1.train", "task\tlabel\ttext\trationale\nbeer1\t1\tgood\t2\n", 2),
        ("beer1.train", "task\tlabel\ttext\trationale\nbeer1\t1\tgood\n", 2),
        ("beer1.train", "task\tlabel\ttext\nbeer1\t2\tgood\n", 2),
        ("beer1.train", "task\tlabel\ttext\n", 2),  # no reviews
        ("beer1.train", "task\tlabel\ttext\nbeer3\t1\tgood\n", 2),  # another aspect's
        ("beer1.train", "task\tlabel\ttext\nbeer1\t1\tgood\nbeer\t1\tgood\n", 3),
        ("beer1.train", "task\tlabel\ttext\n\t1\tgood\n", 2),
        ("beer1.train", "task\tlabel\ttext\nbeer1\t 1\tgood\n", 2),
    ],
)
def test_a_wrong_tab_separated_line_is_named(passed_on, name, text, line):
    (passed_on / name).write_text(text)
    with pytest.raises(UserError, match=rf"{name}, line {line}: expected "):
        check(passed_on)


def test_a_file_that_breaks_off_or_is_not_packed_is_refused_with_its_form(published):
    path = published / "reviews.aspect1.train.txt.gz"
    whole = path.read_bytes()
    for content in (whole[:-9], b"no gzip\n", whole + b"more"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"cannot be read after line \d \(.*\); expected lines of five ratings"):
            check(published)


def test_a_line_that_is_not_utf_8_is_named(published):
    path = published / "reviews.aspect1.train.txt.gz"
    path.write_bytes(gzip.compress(b"0 0 0 0 0\tgood\n" * 50 + b"0 0 0 0 0\tg\xf6od\n"))
    with pytest.raises(UserError, match=r"txt\.gz, line 51: not UTF-8 text \(byte 12\); expected five ratings"):
        check(published)


@pytest.mark.parametrize(
    "name", [ANNOTATIONS, VECTORS, "reviews.aspect1.train.txt.gz", "reviews.aspect1.heldout.txt.gz"]
)
def test_an_empty_file_is_refused(published, name):
    (published / name).write_bytes(gzip.compress(b"") if name.endswith(".gz") else b"")
    with pytest.raises(UserError, match=rf"{name.replace('+', '.')} is empty; expected lines of "):
        check(published)


def test_an_empty_tab_separated_file_is_refused(passed_on):
    (passed_on / "beer1.dev").write_bytes(b"")
    with pytest.raises(UserError, match=r"beer1\.dev is empty; expected lines of task, label"):
        check(passed_on)


def test_reviews_that_do_not_belong_together_are_refused(published, passed_on):
    packed(published / VECTORS, [vector("unheard", 1)])
    with pytest.raises(UserError, match=r"train\.txt\.gz: no word of its reviews has a vector"):
        check(published)
    header = "task\tlabel\ttext\trationale\n"
    (passed_on / "beer1.test").write_text(f"{header}beer1\t1\tgood\t0\n")
    with pytest.raises(UserError, match=r"beer1\.test: no word is annotated for aroma"):
        check(passed_on)
    for path in passed_on.iterdir():
        path.rename(published / path.name)
    with pytest.raises(UserError, match=r"has aroma in both layouts \(reviews\.aspect1.*beer1\.train, \.\.\.\)"):
        check(published)


def test_a_part_of_the_reviews_is_not_trained_on(published):
    with pytest.raises(
        UserError, match=r"reviews of aroma that were added are 2 to train on and 5 held out; .* 70000 and"
    ):
        beer.corpus(check(published), (80_000, 5000, 5000), 1, 0)


def test_a_setting_on_the_reviews_has_data_once_its_aspect_is_added(published, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = TABLE.config_of("linear") | {"train": 2}
    aroma, taste = (read(TABLE, config, f"{aspect} k=5") for aspect in ("aroma", "taste"))
    generated = read(TABLE, TABLE.config_of("linear"), "synthetic aroma k=5")
    assert needed(aroma, "aroma k=5") == (OF_ASPECT["aroma"],)
    assert needed(generated, "synthetic aroma k=5") == ()
    with pytest.raises(MissingDataError, match=r"withdrawn by their owner.*structgrad data add beer PATH"):
        make(aroma, "aroma k=5", [1])
    user_data.add(BEER, published)
    assert len(make(aroma, "aroma k=5", [1]).train) == 2
    assert digest(aroma, "aroma k=5", [1]) != digest(aroma, "aroma k=5", [2])
    with pytest.raises(MissingDataError, match="not this part"):
        make(taste, "taste k=5", [1])


# The synthetic corpus


def test_synthetic_reviews_have_a_segment_for_each_aspect():
    corpora = [synthetic.corpus((200, 50, 50), aspect, 7) for aspect in range(4)]
    covered: np.ndarray = np.zeros(corpora[0].train.tokens.shape, int)
    for corpus in corpora:
        part = corpus.train
        assert part.inside is not None
        np.testing.assert_array_equal(part.tokens, corpora[0].train.tokens)
        assert (np.diff(np.pad(part.inside, ((0, 0), (1, 1))).astype(int), axis=1) == 1).sum(1).max() == 1
        covered += part.inside
    assert covered.max() == 1  # segments do not overlap
    place = np.arange(covered.shape[1]) < corpora[0].train.lengths[:, None]
    assert not covered[~place].any()
    assert (corpora[0].train.tokens > 0)[place].all()
    assert not (corpora[0].train.tokens > 0)[~place].any()
    assert corpora[0].train.lengths.max() <= 350


def test_only_nouns_tell_an_aspect_and_only_moods_a_rating():
    """Whatever the aspect, words of sentiment are drawn alike at equal ratings: their mean tone tracks the rating."""
    words, about, tone = synthetic.vocabulary()
    assert len(set(words)) == len(words) == len(about) == len(tone)
    for aspect in range(4):
        part = synthetic.corpus((2000, 1, 1), aspect, 3).train
        assert part.inside is not None
        nouns = about[part.tokens] < 5
        assert (about[part.tokens][part.inside & nouns] == aspect).all()
        moods = part.inside & (tone[part.tokens] != 0)
        mean = (tone[part.tokens] * moods).sum(1) / np.maximum(moods.sum(1), 1)
        assert np.corrcoef(mean[moods.any(1)], part.ratings[moods.any(1)])[0, 1] > 0.75
        outside = ~part.inside & (tone[part.tokens] != 0)
        others = (tone[part.tokens] * outside).sum(1) / np.maximum(outside.sum(1), 1)
        assert abs(np.corrcoef(others, part.ratings)[0, 1]) < 0.5


def test_ratings_correlate_as_declared():
    """Rounding and cutting take a little off; 4000 reviews have a standard error of 0.015."""
    ratings = np.stack([synthetic.corpus((4000, 1, 1), aspect, 5).train.ratings for aspect in range(4)])
    between = np.corrcoef(ratings)[np.triu_indices(4, 1)]
    assert np.all(np.abs(between - synthetic.CORRELATION) < 0.06)
    assert set(np.unique(np.round(ratings * 10, 4))) <= set(range(11))


def test_a_seed_gives_one_corpus_and_all_k_have_the_same_reviews():
    def config(k, aspect="aroma"):
        return read(TABLE, TABLE.config_of("linear") | {"train": 50, "test": 10, "validation": 10},
                    f"synthetic {aspect} k={k}")  # fmt: skip

    assert digest(config(10), "", [1]) == digest(config(10), "", [1, 2]) != digest(config(10), "", [2])
    assert digest(config(10), "", [1]) != digest(config(10, "taste"), "", [1])
    assert tuple(ASPECTS) == ("appearance", "aroma", "palate", "taste")
