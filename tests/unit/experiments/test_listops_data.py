"""ListOps expressions: values by an independent evaluator, the grammar's distribution, the original files, batches."""

import ast
import itertools
import statistics

import numpy as np
import pytest
import torch
from scipy import stats
from scipys import rank_correlation, same_distribution
from trainings import parameters

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.experiments.paulus.listops import _grammar, tsv
from structgrad.experiments.paulus.listops.batches import Shuffle, batch_of, sorted_batches
from structgrad.experiments.paulus.listops.data import digest, make
from structgrad.experiments.paulus.listops.expressions import balanced, of_tokens
from structgrad.experiments.paulus.listops.vocabulary import CLOSE, COUNT, IDS, MED, MIN, PAD, SM, SYMBOLS

FEW = {"train": 500, "validation": 100, "test": 100, "max_depth": 3, "max_length": 20}


def config(**changes):
    return parameters(REGISTRY["paulus_2"], "lstm", "ListOps", changes)


SMALL = config(**FEW)


def words(tokens):
    return [SYMBOLS[token] for token in tokens if token != PAD]


def tree(symbols):
    """The expression as nested lists ``["MAX", 2, [...]]``, by Python's own parser."""
    text = " ".join(f"['{s[1:]}'," if s[0] == "[" else f"{s}," if s != "]" else "]," for s in symbols)
    return ast.literal_eval(text.rstrip(","))


def value(node):
    if isinstance(node, int):
        return node
    operands = [value(child) for child in node[1:]]
    functions = {"MIN": min, "MAX": max, "MED": lambda x: int(statistics.median(x)), "SM": lambda x: sum(x) % 10}
    return functions[node[0]](operands)


def height(node):
    return 0 if isinstance(node, int) else 1 + max(map(height, node[1:]))


def parents(symbols):
    """Each symbol's operator: the last one before it that is still open."""
    opened, operators = [], []
    for place, symbol in enumerate(symbols):
        operators.append(opened[-1] if opened else -1)
        if symbol[0] == "[":
            opened.append(place)
        elif symbol == "]":
            opened.pop()
    return operators


def rows(*texts):
    symbols = [[IDS[word] for word in text.split()] for text in texts]
    tokens = np.full((len(texts), max(map(len, symbols))), PAD, np.uint8)
    for row, its in zip(tokens, symbols, strict=True):
        row[: len(its)] = its
    return of_tokens(tokens)


# Expressions


def test_values_parents_and_heights_are_those_of_an_independent_evaluator():
    (drawn,) = balanced([4000], 4, 40, seed=1)
    tokens = drawn.tokens.copy()
    operators = (tokens >= MIN) & (tokens <= MED)
    tokens[operators] = np.random.default_rng(0).integers(MIN, SM + 1, operators.sum())  # the sum modulo 10, too
    for expressions in (drawn, of_tokens(tokens)):
        for place in range(len(expressions)):
            symbols = words(expressions.tokens[place])
            nested = tree(symbols)
            assert expressions.values[place] == value(nested)
            assert expressions.heights[place] == height(nested)
            assert expressions.lengths[place] == len(symbols)
            assert expressions.parents[place][: len(symbols)].tolist() == parents(symbols)


def test_operators_by_hand():
    expressions = rows("[MED 1 2 ]", "[MED 9 0 5 ]", "[MED 3 8 4 9 ]", "[MIN 4 [MAX 2 7 ] ]", "[SM 8 7 9 ]", "5")
    assert expressions.values.tolist() == [1, 5, 6, 4, 4, 5]  # medians 1.5, 5 and 6; 24 modulo 10
    assert expressions.heights.tolist() == [1, 1, 1, 2, 1, 0]


@pytest.mark.parametrize(
    "text", ["[MAX 1 2", "1 2", "]", "[MAX ]", "[MAX 1 2 ] ]", "[MAX 1 2 ] 3", "[MAX 1 [MIN 2 ]", "[MAX [MIN ] 1 ]"]
)
def test_what_is_no_expression_has_no_height(text):
    assert rows(text).heights.tolist() == [-1]


def lengths_given_height(highest, longest):
    """Exact ``P(length = l | height = h)`` for h = 0 .. highest: a recursion over the grammar's polynomials."""
    up_to = []
    for level in range(highest + 1):
        total = np.zeros(longest + 1)
        total[1] += 0.75
        if level:
            for count in range(2, 6):
                children = np.ones(1)
                for _ in range(count):
                    children = np.convolve(children, up_to[-1])[: longest + 1]
                total[2:] += 0.25 / 4 * children[: longest - 1]
        up_to.append(total)
    exact = [up_to[0], *(b - a for a, b in itertools.pairwise(up_to))]
    return [law / law.sum() for law in exact]


def test_draws_have_the_grammars_distribution_given_height_and_length():
    laws = lengths_given_height(4, 30)
    for level in (1, 2, 4):
        wanted = np.arange(5) == level
        tokens, lengths = np.empty((20000, 30), np.uint8), np.empty(20000, np.int64)
        _grammar.draw(np.random.default_rng(level), wanted, tokens, lengths)
        expressions = of_tokens(tokens)
        assert (expressions.heights == level).all()
        assert (expressions.lengths == lengths).all()
        expected = laws[level] * len(tokens)
        often = expected > 5
        seen = np.bincount(lengths, minlength=31)
        assert stats.chisquare(seen[often], expected[often] * seen[often].sum() / expected[often].sum()).pvalue > 1e-4
        for first, last in ((0, 9), (MIN, MED)):
            counts = np.bincount(tokens.ravel(), minlength=COUNT)[first : last + 1]
            if first == 0 or level == 4:
                assert stats.chisquare(counts).pvalue > 1e-4


def test_the_published_depths_and_lengths_are_as_often_as_the_protocol_measured():
    """Given length <= 50, heights 1 to 5 were measured with mean lengths 5.1, 10.4, 17.0, 24.7 and 32.0."""
    laws = lengths_given_height(5, 50)
    means = [float(law @ np.arange(51)) for law in laws[1:]]
    assert means == pytest.approx([5.1, 10.4, 17.0, 24.7, 32.0], abs=0.15)


def test_sets_are_balanced_by_depth_share_nothing_and_are_alike():
    sets = balanced((3000, 1001, 500), 3, 25, seed=5)
    for expressions, size in zip(sets, (3000, 1001, 500), strict=True):
        assert len(expressions) == size
        counts = np.bincount(expressions.heights, minlength=4)[1:]
        assert counts.max() - counts.min() == (size % 3 > 0)
        assert expressions.lengths.max() <= 25
        assert not (expressions.tokens == SM).any()
    texts = {" ".join(words(row)) for expressions in sets for row in expressions.tokens}
    assert len(texts) == 4501
    large, small = (part.lengths[part.heights == 1] for part in sets[:2])  # what is drawn first is short
    assert same_distribution(large, small) > 1e-3


def test_there_must_be_room_and_enough_expressions():
    with pytest.raises(UserError, match="max_length 9 has no room for depth 3; at least 10"):
        balanced((10,), 3, 9, seed=0)
    with pytest.raises(UserError, match="there are not 301 different expressions"):
        balanced((301,), 1, 4, seed=0)
    (every,) = balanced((300,), 1, 4, seed=0)
    assert len({row.tobytes() for row in every.tokens}) == 3 * 10**2


def test_the_digest_depends_on_the_seed_and_every_size():
    known = digest(SMALL, "ListOps", [1])
    assert known == digest(SMALL, "ListOps", [1, 1])
    others = [digest(config(**FEW | change), "ListOps", [1]) for change in ({"train": 501}, {"max_length": 21})]
    assert len({known, digest(SMALL, "ListOps", [2]), *others}) == 4


# The original files


def original(node):
    """As the original writes it: operands are handed to their operator one by one, in a binary tree."""
    if isinstance(node, int):
        return str(node)
    text = f"[{node[0]}"
    for child in node[1:]:
        text = f"( {text} {original(child)} )"
    return f"( {text} ] )"


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_original_format_is_read(tmp_path):
    (expressions,) = balanced((60,), 3, 25, seed=2)
    lines = [f"{value(tree(words(row)))}\t{original(tree(words(row)))}" for row in expressions.tokens]
    assert lines[0].startswith(f"{expressions.values[0]}\t( ( ( [")
    read = tsv.load(write(tmp_path / "some.tsv", lines))
    assert [words(row) for row in read.tokens] == [words(row) for row in expressions.tokens]
    assert read.values.tolist() == expressions.values.tolist()
    read = tsv.load(write(tmp_path / "sum.tsv", ["4\t( ( ( ( [SM 8 ) 7 ) 9 ) ] )", "7\t7"]))
    assert (read.values.tolist(), read.heights.tolist()) == ([4, 7], [1, 0])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("8\t( ( ( [MAX 2 ) 9 ) ] )", "the label is 8, but the expression's value is 9"),
        ("( ( ( [MAX 2 ) 9 ) ] )", "not a digit"),
        ("12\t( ( ( [MAX 2 ) 9 ) ] )", "the label is '12', not a digit"),
        ("9\t( ( [MAX 2 ) 9 ) ] )", "its parentheses do not match"),
        ("9\t( ( ( [FOO 2 ) 9 ) ] )", "'\\[FOO' is not a symbol of ListOps"),
        ("9\t( ( ( [MAX 2 ) 9 ) )", "it is not one complete expression"),
        ("9\t", "it is not one complete expression"),
    ],
)
def test_a_malformed_line_is_refused_by_file_and_line(tmp_path, line, why):
    with pytest.raises(UserError, match=rf"bad\.tsv, line 2: .*{why}"):
        tsv.load(write(tmp_path / "bad.tsv", ["9\t( ( ( [MAX 2 ) 9 ) ] )", line]))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.tsv: cannot be read"):
        tsv.load(tmp_path / "none.tsv")


def test_the_caps_hold_for_original_data_too(tmp_path):
    (expressions,) = balanced((400,), 4, 40, seed=3)
    expressions = expressions[np.random.default_rng(0).permutation(400)]
    lines = [
        f"{its}\t{original(tree(words(row)))}" for row, its in zip(expressions.tokens, expressions.values, strict=True)
    ]
    inside = int(((expressions.heights <= 2) & (expressions.lengths <= 12)).sum())
    write(tmp_path / "train_d20s.tsv", [*lines, "3\t3"])
    write(tmp_path / "test_d20s.tsv", lines[:200])
    asked = {"tsv": str(tmp_path), "train": inside - 20, "validation": 20, "test": 50, "max_depth": 2}
    asked |= {"max_length": 12}
    data = make(config(**asked), "ListOps", [1])
    assert [len(part) for part in (data.train, data.validation, data.test)] == [inside - 20, 20, 50]
    for part in (data.train, data.validation, data.test):
        assert set(part.heights.tolist()) == {1, 2}
        assert part.tokens.shape[1] == 12
        assert (of_tokens(part.tokens).values == part.values).all()
    with pytest.raises(UserError, match=f"has {inside} and .* expressions of depth 1 to 2 and length at most 12"):
        make(config(**asked | {"train": inside}), "ListOps", [1])


# Batches


def test_an_epoch_has_every_row_once_and_little_padding():
    lengths = make(config(train=5000, validation=5, test=5), "ListOps", [1]).train.lengths
    batches = Shuffle(lengths, 100, 10, torch.Generator().manual_seed(0))
    for _ in range(2):
        epoch = [batches.next() for _ in range(50)]
        assert sorted(np.concatenate(epoch).tolist()) == list(range(5000))
        padded = sum(len(rows) * lengths[rows].max() for rows in epoch)
        assert padded < 1.15 * lengths.sum()  # batches of any lengths: 2.4
    firsts = [lengths[rows].max() for rows in epoch]
    assert abs(rank_correlation(firsts, range(50))) < 0.5  # not from short to long


def test_a_place_in_the_epoch_can_be_restored():
    lengths = np.arange(4, 50).repeat(10)
    first = Shuffle(lengths, 16, 4, torch.Generator().manual_seed(3))
    for _ in range(40):  # in the second epoch
        first.next()
    state = first.state()
    ahead = [first.next().tolist() for _ in range(30)]
    other = Shuffle(lengths, 16, 4, torch.Generator().manual_seed(4))
    other.restore(state)
    assert [other.next().tolist() for _ in range(30)] == ahead


def test_the_matrices_of_a_batch_are_those_of_loops():
    data = make(SMALL, "ListOps", [1]).test
    batch = batch_of(data, np.arange(40))
    for place in range(40):
        symbols = words(data.tokens[place])
        n, up = len(symbols), parents(symbols)
        for i in range(batch.tokens.shape[1]):
            for j in range(batch.tokens.shape[1]):
                both = i < n and j < n
                assert bool(batch.inside[place, i, j]) == both
                assert bool(batch.parse[place, i, j]) == (both and up[j] == i)
                assert bool(batch.scored[place, i, j]) == (both and "]" not in (symbols[i], symbols[j]))


def test_evaluation_sees_every_expression_once():
    data = make(SMALL, "ListOps", [1]).test
    batches = list(sorted_batches(data, 30))
    assert sum(len(batch.values) for batch in batches) == len(data)
    assert sum(int(batch.lengths.sum()) for batch in batches) == data.lengths.sum()
    assert sum(int((batch.tokens == CLOSE).sum()) for batch in batches) == (data.tokens == CLOSE).sum()


@pytest.mark.parametrize("length", [126, 127, 128, 129, 130, 255, 256, 257, 300, 32767, 32769, 32800])
def test_parents_of_long_expressions(length):
    """Places beyond what a byte or two hold: an operator near the end with two operands, after digits."""
    symbols = ["[MAX", *("1" for _ in range(length - 7)), "[MIN", "2", "3", "]", "4", "]"]
    read = of_tokens(np.array([[IDS[symbol] for symbol in symbols]], np.uint8))
    assert read.parents[0].tolist() == parents(symbols)
    assert (read.heights.tolist(), read.values.tolist(), read.lengths.tolist()) == ([2], [4], [length])


@pytest.mark.parametrize("depth", [127, 128, 129, 256, 32768])
def test_heights_of_deep_expressions(depth):
    tokens = np.array([[IDS["[MAX"]] * depth + [IDS["7"]] + [IDS["]"]] * depth], np.uint8)
    read = of_tokens(tokens)
    assert (read.heights.tolist(), read.values.tolist()) == ([depth], [7])
    assert read.parents[0, depth] == depth - 1


def test_symbols_and_values_fit_into_bytes():
    assert COUNT <= 256
    assert max(IDS.values()) < PAD < COUNT
