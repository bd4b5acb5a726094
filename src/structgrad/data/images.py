"""MNIST, Fashion-MNIST and CIFAR-10: the image sets of indelman Table 2.

Digests are of the files as published. Their addresses are asked of torchvision and only where a file is not at hand:
importing it takes seconds, and learning from files that are there does not need it.
"""

from __future__ import annotations

import gzip
import math
import pickle
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from structgrad.data.ranking_format import FormatError
from structgrad.data.store import DataFile, Found, fetch, forget_archive
from structgrad.errors import UserError, unknown

__all__ = ["SETS", "Images", "data_set_of", "files_of", "load"]

CLASSES = 10
IMAGES, LABELS = 0x803, 0x801  # idx: unsigned bytes in three dimensions and in one
IDX = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
       "t10k-labels-idx1-ubyte.gz")  # fmt: skip
BATCHES = (*(f"data_batch_{index}" for index in range(1, 6)), "test_batch")
ARCHIVED = "cifar-10-batches-py"


@dataclass(frozen=True, eq=False)
class Images:
    """``train`` and ``test`` (N, C, H, W) uint8, and the classes ``train_labels`` and ``test_labels`` (N,) int64."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


class ImageSet(NamedTuple):
    """How many images to train on and to test on, an image's shape, torchvision's class, and each file's sha256.

    ``archived``: it is published as one archive of pickles, not as idx files.
    """

    train: int
    test: int
    shape: tuple[int, int, int]
    torchvision: str
    folder: str
    files: Mapping[str, str]
    archived: bool = False


def _digests(names: tuple[str, ...], *digests: str) -> Mapping[str, str]:
    return dict(zip(names, digests, strict=True))


SETS: Mapping[str, ImageSet] = {
    "MNIST": ImageSet(60000, 10000, (1, 28, 28), "MNIST", "mnist", _digests(
        IDX,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    )),
    "Fashion-MNIST": ImageSet(60000, 10000, (1, 28, 28), "FashionMNIST", "fashion_mnist", _digests(
        IDX,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    )),
    "CIFAR-10": ImageSet(50000, 10000, (3, 32, 32), "CIFAR10", f"cifar10/{ARCHIVED}", _digests(
        BATCHES,
        "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
        "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    ), archived=True),
}  # fmt: skip


@lru_cache
def files_of(name: str) -> tuple[DataFile, ...]:
    """The files of a set: training images and labels, then those for testing.

    Raises:
        UserError: there is no such set.
    """
    if name not in SETS:
        raise unknown("image set", name, SETS)
    kind = SETS[name]
    return tuple(
        DataFile(
            f"{kind.folder}/{file}",
            sha256,
            partial(_addresses, name, file),
            member=f"{ARCHIVED}/{file}" if kind.archived else None,
        )
        for file, sha256 in kind.files.items()
    )


def data_set_of(setting: str) -> str:
    """The set that a setting is about, its first word: ``Fashion-MNIST ConvNet k=5`` is about Fashion-MNIST."""
    return setting.split(" ", 1)[0]


def load(name: str) -> Images:
    """The set of that name, from this machine or downloaded.

    Raises:
        UserError: there is no such set.
        MissingDataError: it is not on this machine and cannot be downloaded.
        CorruptDataError: it is on this machine with another content.
        FormatError: its content is not in the format, or has another size than published.
    """
    try:
        found = [fetch(file) for file in files_of(name)]  # each is by now what was published: pickles may be read
    finally:
        forget_archive()
    kind = SETS[name]
    if kind.archived:
        *batches, last = found
        read = [_read_batch(batch, kind.train // len(batches), kind.shape) for batch in batches]
        images, labels = (np.concatenate(parts) for parts in zip(*read, strict=True))
        return Images(images, labels, *_read_batch(last, kind.test, kind.shape))
    return Images(
        _read_images(found[0], kind.train, kind.shape), _read_labels(found[1], kind.train),
        _read_images(found[2], kind.test, kind.shape), _read_labels(found[3], kind.test),
    )  # fmt: skip


def _addresses(name: str, file: str) -> tuple[str, ...]:
    """Where torchvision downloads a file of the set from."""
    try:
        from torchvision import datasets
    except ImportError as error:
        raise UserError(
            f"{file} of {name} is not at hand, and torchvision, which knows where it is published, is not installed"
        ) from error
    kind = getattr(datasets, SETS[name].torchvision)
    return (kind.url,) if SETS[name].archived else tuple(f"{mirror}{file}" for mirror in kind.mirrors)


def _read_images(found: Found, count: int, shape: tuple[int, int, int]) -> np.ndarray:
    return _read_idx(found, IMAGES, (count, *shape[1:])).reshape(count, *shape)


def _read_labels(found: Found, count: int) -> np.ndarray:
    return _classes(_read_idx(found, LABELS, (count,)), found)


def _read_idx(found: Found, magic: int, shape: tuple[int, ...]) -> np.ndarray:
    """The entries of a packed idx file: its magic number, the dimensions, then bytes, the last dimension fastest."""
    try:
        content = gzip.decompress(found.content)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{found.path}: not a whole .gz file ({error})") from error
    head = 4 * (1 + len(shape))
    if len(content) < head:
        raise FormatError(f"{found.path}: {len(content)} bytes are less than an idx header")
    first, *sizes = np.frombuffer(content, ">u4", 1 + len(shape)).tolist()
    if first != magic:
        raise FormatError(f"{found.path}: its magic number is {first:#x} instead of {magic:#x}")
    if tuple(sizes) != shape:
        raise FormatError(f"{found.path}: its dimensions are {tuple(sizes)} instead of {shape}")
    if len(content) - head != math.prod(shape):
        raise FormatError(f"{found.path}: {len(content) - head} entries instead of {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()  # a copy may be written to


def _read_batch(found: Found, count: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The images and classes of a batch of CIFAR-10: a pickled row an image, one channel after the other."""
    try:
        batch = pickle.loads(found.content, encoding="bytes")
        rows, labels = batch[b"data"], np.asarray(batch[b"labels"])
    except Exception as error:  # a pickle may raise anything
        raise FormatError(f"{found.path}: not a batch of CIFAR-10 ({error!r})") from error
    expected = (count, math.prod(shape))
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape != expected:
        raise FormatError(f"{found.path}: its data are no bytes of shape {expected}")
    if labels.shape != (count,) or labels.dtype.kind != "i":
        raise FormatError(f"{found.path}: its labels are not {count} whole numbers")
    return rows.reshape(count, *shape), _classes(labels, found)


def _classes(labels: np.ndarray, found: Found) -> np.ndarray:
    if labels.min() < 0 or labels.max() >= CLASSES:
        raise FormatError(f"{found.path}: labels from {labels.min()} to {labels.max()} instead of 0 to {CLASSES - 1}")
    return labels.astype(np.int64)
