"""The Warcraft maps of Vlastelica et al. (2020), as published: berthet Figure 6.

Edmond (DOI 10.17617/3.YJCQ5S), folder ``warcraft_shortest_path_oneskin/12x12``: nine arrays in numpy's format, for
10 000 maps to train on and 1000 each to validate and to test on. They cannot be fetched by a plain address; whoever has
them runs ``structgrad data add warcraft PATH``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from structgrad.data.maps import SIDE, TILE, Maps, are_paths, cheapest, costs_of
from structgrad.data.ranking_format import FormatError
from structgrad.data.user_data import UserData

SPLITS = ("train", "val", "test")
# Form of each array after its first dimension: the shape of an item, kinds of number (numpy's letters), and in words.
FORMS: Mapping[str, tuple[tuple[int, ...], str, str]] = {
    "maps": ((SIDE * TILE, SIDE * TILE, 3), "u", "pixels, uint8 (N, 96, 96, 3)"),
    "vertex_weights": ((SIDE, SIDE), "f", "costs of cells, positive floats (N, 12, 12)"),
    "shortest_paths": ((SIDE, SIDE), "iub", "0 or 1, 1 on the cells of the path, whole numbers (N, 12, 12)"),
}
EXPECTED: Mapping[str, str] = {
    f"{split}_{part}.npy": words for split in SPLITS for part, (_, _, words) in FORMS.items()
}
MD5: Mapping[str, str] = {  # as Edmond lists them; that of test_shortest_paths.npy is not known here
    "train_maps.npy": "c31760c5fbd9d034b6e21a6612895e69",
    "train_vertex_weights.npy": "761cc8098730504335efdefec3b221a6",
    "train_shortest_paths.npy": "1483015985796f3bf9f3e5e00cb8e855",
    "val_maps.npy": "cfe9288a537d46be48c0c287885f8405",
    "val_vertex_weights.npy": "452753f9d8b31ac03bbd532953974072",
    "val_shortest_paths.npy": "95e81a2a3263d6520fa5f07a8701c74a",
    "test_maps.npy": "a5c50ae11e4bd01cb1a2cd76e5849b22",
    "test_vertex_weights.npy": "071dbcf2aa9d98fc255abdcb780151b1",
}
DEARER = 0.01  # by so much of its cost may a path be dearer than the cheapest: costs may be stored in 16 bits


def check(folder: Path) -> tuple[Path, ...]:
    """The nine files, of which each is the published one, or where that is not known goes with its neighbours.

    Raises:
        FormatError: what :func:`read` raises, or a file with another md5 than the published one.
    """
    for split in SPLITS:
        read(folder, split)
    for name, md5 in MD5.items():
        with (folder / name).open("rb") as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
        if found != md5:
            raise FormatError(
                f"{folder / name}: its form is right, but its md5 is {found}, that of the published file {md5}; "
                "expected: the file of DOI 10.17617/3.YJCQ5S, byte for byte"
            )
    return tuple(folder / name for name in EXPECTED)


WARCRAFT = UserData(
    "warcraft",
    "the Warcraft 12x12 maps of Vlastelica et al. (DOI 10.17617/3.YJCQ5S, of whose archive PATH is the folder "
    "warcraft_shortest_path_oneskin/12x12), which have no plain address",
    EXPECTED,
    check,
)


def read(folder: Path, split: str) -> Maps:
    """The maps of a split, ``train``, ``val`` or ``test``, read strictly.

    Raises:
        FormatError: a file is not there, is no whole array of the expected shape and kind, or holds another number of
            maps than its neighbours; a cost that is not positive; what is no path from corner to corner, or not a
            cheapest one. The line names the file, the map where there is one, and the expected form.
    """
    files = {part: folder / f"{split}_{part}.npy" for part in FORMS}
    images, costs, paths = (_array(file, *FORMS[part]) for part, file in files.items())
    counts = {file.name: len(array) for file, array in zip(files.values(), (images, costs, paths), strict=True)}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise FormatError(f"{folder}: the files of {split} hold different numbers of maps ({told}); expected: the same")
    costs = costs.astype(np.float64)
    _refuse_any(~(np.isfinite(costs) & (costs > 0)), files["vertex_weights"], "a cost that is not positive and finite")
    _refuse_any((paths != 0) & (paths != 1), files["shortest_paths"], "an entry that is neither 0 nor 1")
    maps = Maps(images, costs, paths.astype(np.uint8))
    _refuse_any(~are_paths(maps.paths), files["shortest_paths"], "no path from the top-left to the bottom-right cell")
    dear = costs_of(costs, maps.paths) > (1 + DEARER) * costs_of(costs, cheapest(costs))
    _refuse_any(dear, files["shortest_paths"], f"a path that is not a cheapest one by {files['vertex_weights'].name}")
    return maps


def _array(file: Path, shape: tuple[int, ...], kinds: str, words: str) -> np.ndarray:
    expected = f"expected: {words}, in numpy's .npy format"
    if not file.is_file():
        raise FormatError(f"{file}: there is no such file; {expected}")
    try:
        array = np.lib.format.open_memmap(file, mode="r")  # allocates nothing for what a header merely promises
    except Exception as error:  # a damaged header is a literal of Python to numpy, which then raises nearly anything
        raise FormatError(f"{file}: no whole .npy array ({' '.join(str(error).split())[:120]}); {expected}") from error
    if array.dtype.kind not in kinds or (kinds == "u" and array.itemsize != 1):
        raise FormatError(f"{file}: its numbers are {array.dtype}; {expected}")
    if array.shape[1:] != shape or len(array) == 0:
        raise FormatError(f"{file}: its shape is {array.shape}; {expected}")
    return np.array(array)


def _refuse_any(wrong: np.ndarray, file: Path, what: str) -> None:
    """Refuse a file for the first map that has any."""
    if wrong.any():
        first = int(wrong.reshape(len(wrong), -1).any(-1).argmax())
        raise FormatError(f"{file}: map {first} (of {len(wrong)}, from 0): {what}; expected: {EXPECTED[file.name]}")
