"""The label-ranking sets: their format read strictly, their sizes, and how near the stand-ins come to them."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
from scipy import stats

from structgrad.data import label_ranking, store
from structgrad.data.label_ranking import FILES, SETS, load, stand_in
from structgrad.data.ranking_format import FormatError, canonical, parse
from structgrad.errors import UserError

TINY = b"A1,A2,ranking\n0.5,-1e-3,b>c>a\n1,2,a>b>c\n-3,.25,c>b>a\n"
AT_HAND = os.environ.get("STRUCTGRAD_DATA")  # as the session was started: the fixtures change it


def published(name):
    """The real set, or skip: no test downloads anything."""
    if not AT_HAND:
        pytest.skip("STRUCTGRAD_DATA names no folder with the published sets")
    if store.find(FILES[name]) is None:
        pytest.skip(f"{FILES[name].path} is not in STRUCTGRAD_DATA")
    return load(name)


def test_the_best_label_gets_the_largest_rank():
    data = parse(TINY, "tiny.txt")
    assert data.features.dtype == np.float64
    assert data.features.tolist() == [[0.5, -0.001], [1, 2], [-3, 0.25]]
    assert data.ranks.dtype == np.int64
    assert data.ranks.tolist() == [[0, 2, 1], [2, 1, 0], [0, 1, 2]]  # of labels a, b, c


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"A1,A2,ranking", b"A1,A3,ranking", "line 1: the columns"),
        (b"A1,A2,ranking", b"ranking", "line 1: the columns"),
        (TINY, b"", "line 1: the columns"),
        (b"0.5", b"nan", "line 2: not numbers"),
        (b"0.5", b"", "line 2: not numbers"),
        (b"0.5", b"1_0", "line 2: not numbers"),
        (b"2,a", b"2x,a", "line 3: not numbers"),
        (b".25", b"1e999", "line 4: a number is not finite"),
        (b"1,2,a", b"1,a", "line 3: 1 features instead of 2"),
        (b"1,2,a", b"1,2,3,a", "line 3: 3 features instead of 2"),
        (b"a>b>c", b"a>b", "line 3: 'a>b' does not rank the labels a, b, c"),
        (b"a>b>c", b"a>b>d", "line 3: 'a>b>d' does not rank"),
        (b"a>b>c", b"a>b>b", "line 3: 'a>b>b' is not a strict ranking"),
        (b"a>b>c", b"a>b=c", "line 3: 'a>b=c' is not a strict ranking"),
        (b"a>b>c", b"a>b>", "line 3: 'a>b>' is not a strict ranking"),
        (b"b>c>a", b"abc", "line 2: 'abc' is not a strict ranking"),
        (b"b>c>a\n", b"b>c>a\n\n", "line 3"),
        (b"c>b>a", b"c>b>\xe4", "line 4: not plain text"),
        (TINY[14:], b"", "no rows"),
    ],
)
def test_what_is_not_in_the_format_is_named_with_its_line(old, new, told):
    assert old in TINY
    with pytest.raises(FormatError, match=r"^some/tiny\.txt") as raised:
        parse(TINY.replace(old, new, 1), "some/tiny.txt")
    assert told in str(raised.value)


def test_copies_that_mean_the_same_are_the_same():
    appended = TINY.replace(b"ranking", b"ranking,a,b,c")
    for ranking, positions in ((b"b>c>a", b"2,0,1"), (b"a>b>c", b"0,1,2"), (b"c>b>a", b"2,1,0")):
        appended = appended.replace(ranking, ranking + b"," + positions)
    for copy in (TINY, TINY.replace(b"\n", b"\r\n"), TINY[:-1], appended, appended.replace(b"\n", b"\r\n")):
        assert canonical(copy) == TINY
    for other in (TINY.replace(b"0.5", b"0.50"), TINY[:-3], b"", TINY.replace(b"b>c", b"c>b")):
        assert canonical(other) != TINY


def test_all_files_are_pinned():
    assert len(SETS) == len(FILES) == 21
    assert len({kind.sha256 for kind in SETS.values()}) == 21
    assert SETS["fried"][:3] == (40768, 9, 5)
    for name, file in FILES.items():
        assert file.path == f"label_ranking/{name}.txt"
        assert file.addresses
        assert all(address.startswith("https://raw.githubusercontent.com/") for address in file.places)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A set called tiny, with its file in a folder of the user's."""
    (tmp_path / "label_ranking").mkdir()
    (tmp_path / "label_ranking/tiny.txt").write_bytes(TINY.replace(b"\n", b"\r\n"))
    digest = hashlib.sha256(TINY).hexdigest()
    monkeypatch.setitem(SETS, "tiny", label_ranking.RankingSet(3, 2, 3, (), digest))
    monkeypatch.setitem(FILES, "tiny", store.DataFile("label_ranking/tiny.txt", digest, (), canonical))
    monkeypatch.setenv("STRUCTGRAD_DATA", str(tmp_path))
    return tmp_path / "label_ranking/tiny.txt"


def test_a_set_is_loaded_from_the_named_folder(tiny):
    assert load("tiny").ranks.tolist() == parse(TINY, "").ranks.tolist()


def test_a_cut_file_is_refused_before_it_is_read(tiny):
    tiny.write_bytes(TINY[:-2])
    with pytest.raises(store.CorruptDataError, match=r"tiny\.txt is damaged"):
        load("tiny")


def test_a_set_of_another_size_is_refused(tiny, monkeypatch):
    monkeypatch.setitem(SETS, "tiny", SETS["tiny"]._replace(rows=4))
    with pytest.raises(
        FormatError, match=r"tiny\.txt: rows, features and labels are \(3, 2, 3\) instead of \(4, 2, 3\)"
    ):
        load("tiny")


def test_an_unknown_set_is_a_users_error():
    with pytest.raises(UserError, match="unknown label-ranking set 'wime'; did you mean 'wine'"):
        load("wime")
    with pytest.raises(UserError, match="unknown stand-in 'glass'"):
        stand_in("glass")


@pytest.mark.parametrize("name", SETS)
def test_every_published_set_reads(name):
    data, kind = published(name), SETS[name]
    assert data.features.shape == (kind.rows, kind.features)
    assert (np.sort(data.ranks, axis=1) == np.arange(kind.labels)).all()


@pytest.mark.parametrize("name", ["iris", "wine"])
def test_a_stand_in_is_a_ranking_of_its_classes(name):
    data, again = stand_in(name), stand_in(name)
    assert (data.features.shape, data.ranks.shape[1]) == (SETS[name][:2], SETS[name].labels)
    assert (data.features.dtype, data.ranks.dtype) == (np.float64, np.int64)
    assert (np.sort(data.ranks, axis=1) == np.arange(3)).all()
    assert data.features.min() == -1
    assert data.features.max() == 1
    assert data.features.tobytes() == again.features.tobytes()
    assert data.ranks.tobytes() == again.ranks.tobytes()


def test_a_stand_in_ranks_by_the_posterior():
    """Against scipy's normal density, row by row; of equal chances (to three decimals) the first label is better."""
    from sklearn.datasets import load_iris
    from sklearn.utils import Bunch

    data, packaged = stand_in("iris"), load_iris()
    assert isinstance(packaged, Bunch)
    classes = packaged.target
    parts = [data.features[classes == label] for label in range(3)]
    slack = 1e-9 * data.features.var(axis=0).max()
    scores = np.stack(
        [stats.norm.logpdf(data.features, p.mean(0), np.sqrt(p.var(0) + slack)).sum(1) for p in parts], axis=1
    )
    chances = np.exp(scores - scores.max(1, keepdims=True))
    chances = (chances / chances.sum(1, keepdims=True)).round(3)
    for chance, rank in zip(chances, data.ranks, strict=True):
        assert sorted(range(3), key=lambda label: (-chance[label], label)) == list(np.argsort(-rank))


@pytest.mark.parametrize(("name", "same", "spearman"), [("iris", 147 / 150, 0.99), ("wine", 177 / 178, 0.997)])
def test_how_near_a_stand_in_comes_to_the_published_set(name, same, spearman):
    real, made = published(name), stand_in(name)
    distance = ((real.ranks - made.ranks) ** 2).sum(axis=1)
    assert (distance == 0).mean() == pytest.approx(same)
    assert (1 - 6 * distance / 24).mean() == pytest.approx(spearman, abs=5e-4)
    differing = np.abs(real.features - made.features) > 1e-5
    assert differing.sum() == (3 if name == "iris" else 0)
