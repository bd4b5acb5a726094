"""The image sets: read strictly, pinned, and the same as torchvision's own readers give; and the stand-in."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from structgrad.data import images, store
from structgrad.data.digits import digits
from structgrad.data.images import SETS, ImageSet, data_set_of, files_of, load
from structgrad.data.ranking_format import FormatError
from structgrad.errors import UserError

AT_HAND = os.environ.get("STRUCTGRAD_DATA")  # as the session was started: the fixtures change it
FIELDS = ("train", "train_labels", "test", "test_labels")


def published(name):
    """The files of the real set, or skip: no test downloads anything."""
    if not AT_HAND:
        pytest.skip("STRUCTGRAD_DATA names no folder with the published sets")
    for file in files_of(name):
        if store.find(file) is None:
            pytest.skip(f"{file.path} is not in STRUCTGRAD_DATA")
    return [store.fetch(file) for file in files_of(name)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def idx(array, magic):
    """The array as an idx file of bytes, before it is packed."""
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.astype(np.uint8).tobytes()


def idx_files(rng):
    """A set of five images and two, 2 x 3, as the four files hold it, unpacked; and its arrays."""
    arrays = [rng.integers(0, high, shape) for high, shape in ((256, (5, 2, 3)), (10, 5), (256, (2, 2, 3)), (10, 2))]
    return [idx(array, 0x803 if array.ndim == 3 else 0x801) for array in arrays], arrays


def batches(rng):
    """Ten images and three, 3 x 2 x 2, in six batches as CIFAR-10 has them."""
    made = []
    for count in (2, 2, 2, 2, 2, 3):
        rows = rng.integers(0, 256, (count, 12), dtype=np.uint8)
        made.append({b"data": rows, b"labels": rng.integers(0, 10, count).tolist(), b"filenames": [b"x"] * count})
    return made


@pytest.fixture
def have(tmp_path, monkeypatch):
    """Make a set called Tiny of the given files, in a folder of the user's."""

    def make(contents, **sizes):
        archived = len(contents) == 6
        names = images.BATCHES if archived else images.IDX
        pinned = {name: hashlib.sha256(content).hexdigest() for name, content in zip(names, contents, strict=True)}
        kind = ImageSet(10, 3, (3, 2, 2), "CIFAR10", "tiny", pinned, True)
        kind = kind if archived else ImageSet(5, 2, (1, 2, 3), "MNIST", "tiny", pinned)
        (tmp_path / "tiny").mkdir()
        for name, content in zip(names, contents, strict=True):
            (tmp_path / "tiny" / name).write_bytes(content)
        monkeypatch.setitem(SETS, "Tiny", kind._replace(**sizes))
        monkeypatch.setenv("STRUCTGRAD_DATA", str(tmp_path))
        return tmp_path / "tiny"

    files_of.cache_clear()
    yield make
    files_of.cache_clear()


def check(found, expected):
    for name, array in zip(FIELDS, expected, strict=True):
        assert np.array_equal(getattr(found, name), array), name
        assert getattr(found, name).dtype == (np.int64 if "labels" in name else np.uint8)
        assert getattr(found, name).shape == array.shape
        assert getattr(found, name).flags.writeable  # torch.from_numpy warns otherwise
        assert getattr(found, name).flags.c_contiguous


def test_idx_files_are_read(rng, have):
    contents, (train, train_labels, test, test_labels) = idx_files(rng)
    have([gzip.compress(content) for content in contents])
    check(load("Tiny"), (train[:, None], train_labels, test[:, None], test_labels))


def test_batches_are_read_in_order_and_channel_by_channel(rng, have):
    made = batches(rng)
    have([pickle.dumps(batch, protocol=2) for batch in made])
    rows = np.concatenate([batch[b"data"] for batch in made])
    planes = np.array([[[row[4 * c + 2 * y :][:2] for y in range(2)] for c in range(3)] for row in rows])
    labels = np.array([label for batch in made for label in batch[b"labels"]])
    check(load("Tiny"), (planes[:10], labels[:10], planes[10:], labels[10:]))


@pytest.mark.parametrize(
    ("index", "change", "told"),
    [
        (0, lambda raw: raw[:-1], "29 entries instead of 30"),
        (0, lambda raw: raw + b"\0", "31 entries instead of 30"),
        (2, lambda raw: raw[:15], "15 bytes are less than an idx header"),
        (1, lambda raw: b"", "0 bytes are less than an idx header"),
        (0, lambda raw: b"\0\0\x0d\x03" + raw[4:], "its magic number is 0xd03 instead of 0x803"),
        (3, lambda raw: b"\0\0\x08\x03" + raw[4:], "its magic number is 0x803 instead of 0x801"),
        (0, lambda raw: raw[:4] + struct.pack("<I", 5) + raw[8:], r"dimensions are \(83886080, 2, 3\) instead of"),
        (0, lambda raw: raw[:8] + struct.pack(">2I", 3, 2) + raw[16:], r"\(5, 3, 2\) instead of \(5, 2, 3\)"),
        (1, lambda raw: raw[:7] + b"\4" + raw[8:-1], r"dimensions are \(4,\) instead of \(5,\)"),
        (3, lambda raw: raw[:-1] + b"\x0a", r"labels from \d to 10 instead of 0 to 9"),
    ],
)
def test_what_is_no_idx_file_of_the_published_size_is_refused_by_name(rng, have, index, change, told):
    contents, _ = idx_files(rng)
    contents[index] = change(contents[index])
    folder = have([gzip.compress(content) for content in contents])
    with pytest.raises(FormatError, match=told) as raised:
        load("Tiny")
    assert str(raised.value).startswith(f"{folder / images.IDX[index]}: ")


@pytest.mark.parametrize(
    "spoil", [lambda packed: packed[:-9], lambda packed: b"no" + packed[2:], lambda _: b"\x1f\x8b"]
)
def test_what_is_no_gz_file_is_refused_by_name(rng, have, spoil):
    contents = [gzip.compress(content) for content in idx_files(rng)[0]]
    contents[2] = spoil(contents[2])
    have(contents)
    with pytest.raises(FormatError, match=r"t10k-images-idx3-ubyte\.gz: not a whole \.gz file"):
        load("Tiny")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda batch: batch | {b"data": batch[b"data"][:, :-1]}, r"its data are no bytes of shape \(2, 12\)"),
        (lambda batch: batch | {b"data": batch[b"data"][:-1]}, r"its data are no bytes of shape \(2, 12\)"),
        (lambda batch: batch | {b"data": batch[b"data"].astype(np.int64)}, "its data are no bytes"),
        (lambda batch: batch | {b"data": batch[b"data"].tolist()}, "its data are no bytes"),
        (lambda batch: batch | {b"labels": [1]}, "its labels are not 2 whole numbers"),
        (lambda batch: batch | {b"labels": [1.0, 2.0]}, "its labels are not 2 whole numbers"),
        (lambda batch: batch | {b"labels": [-1, 3]}, "labels from -1 to 3 instead of 0 to 9"),
        (lambda batch: {b"data": batch[b"data"]}, "not a batch of CIFAR-10"),
        (lambda batch: [batch], "not a batch of CIFAR-10"),
    ],
)
def test_what_is_no_batch_of_the_published_size_is_refused_by_name(rng, have, change, told):
    made = batches(rng)
    made[3] = change(made[3])
    folder = have([pickle.dumps(batch, protocol=2) for batch in made])
    with pytest.raises(FormatError, match=told) as raised:
        load("Tiny")
    assert str(raised.value).startswith(f"{folder / 'data_batch_4'}: ")


@pytest.mark.parametrize("size", [{"train": 15}, {"test": 2}])
def test_batches_of_another_size_are_refused(rng, have, size):
    have([pickle.dumps(batch, protocol=2) for batch in batches(rng)], **size)
    with pytest.raises(FormatError, match="its data are no bytes of shape"):
        load("Tiny")


class Trap:
    """What unpickling it does shows that it was unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a file that is not the published one was unpickled",)


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), b"", pickle.dumps({})[:-1]], ids=["trap", "empty", "cut"])
def test_nothing_but_the_published_pickle_is_unpickled(rng, have, content):
    folder = have([pickle.dumps(batch, protocol=2) for batch in batches(rng)])
    (folder / "data_batch_2").write_bytes(content)
    with pytest.raises(store.CorruptDataError, match="data_batch_2 is damaged or another version"):
        load("Tiny")


def test_a_truncated_file_of_the_user_is_refused_before_it_is_read(rng, have):
    folder = have([gzip.compress(content) for content in idx_files(rng)[0]])
    path = folder / images.IDX[1]
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(store.CorruptDataError, match=r"train-labels-idx1-ubyte\.gz is damaged"):
        load("Tiny")


def test_an_unknown_set_is_a_users_error():
    for use in (load, files_of):
        with pytest.raises(UserError, match="unknown image set 'CIFAR10'; did you mean 'CIFAR-10'"):
            use("CIFAR10")


def test_a_setting_begins_with_its_data_set():
    for setting, name in (
        ("MNIST k=5", "MNIST"),
        ("Fashion-MNIST k=1", "Fashion-MNIST"),
        ("Fashion-MNIST ConvNet k=5", "Fashion-MNIST"),
        ("CIFAR-10 k=9", "CIFAR-10"),
    ):
        assert data_set_of(setting) == name


def test_all_files_are_pinned():
    assert [len(files_of(name)) for name in SETS] == [4, 4, 6]
    files = [file for name in SETS for file in files_of(name)]
    assert len({file.sha256 for file in files} | {file.path for file in files}) == 28
    assert all(len(file.sha256) == 64 for file in files)
    assert files[0].path == "mnist/train-images-idx3-ubyte.gz"
    assert files[7].path == "fashion_mnist/t10k-labels-idx1-ubyte.gz"
    assert files[13].path == "cifar10/cifar-10-batches-py/test_batch"
    assert files[13].member == "cifar-10-batches-py/test_batch"
    assert {file.member for file in files[:8]} == {None}
    assert hash(files[0]) == hash(files_of("MNIST")[0])  # a plan keys by them


def test_files_and_addresses_are_torchvisions():
    from torchvision import datasets

    for name, kind in (("MNIST", datasets.MNIST), ("Fashion-MNIST", datasets.FashionMNIST)):
        assert [file.places for file in files_of(name)] == [
            tuple(f"{mirror}{resource}" for mirror in kind.mirrors) for resource, _ in kind.resources
        ]
    parts = datasets.CIFAR10.train_list + datasets.CIFAR10.test_list
    assert [file.member for file in files_of("CIFAR-10")] == [f"{datasets.CIFAR10.base_folder}/{p}" for p, _ in parts]
    for file in files_of("CIFAR-10"):
        assert file.places == (datasets.CIFAR10.url,)
        assert f"extract {file.member} from {datasets.CIFAR10.url} and save it as {file.path}" in file.advice


def test_a_set_is_one_download_of_its_archive_which_is_then_let_go(rng, have, monkeypatch):
    folder = have([pickle.dumps(batch, protocol=2) for batch in batches(rng)])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")
    asked = []
    monkeypatch.setattr(store, "_download", lambda address, _: asked.append(address) or packed.getvalue())
    monkeypatch.setattr(images, "_addresses", lambda name, _: (f"http://far.example/{name}.tar.gz",))
    monkeypatch.setenv("STRUCTGRAD_DATA", str(folder / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    assert len(load("Tiny").train) == 10
    assert asked == ["http://far.example/Tiny.tar.gz"]
    assert store._members.cache_info().currsize == 0
    assert sorted(path.name for path in (store.cache() / "tiny").iterdir()) == sorted(images.BATCHES)
    assert len(load("Tiny").train) == 10
    assert len(asked) == 1


def test_torchvision_is_asked_only_for_what_is_not_at_hand(rng, have, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as if it were not installed
    folder = have([gzip.compress(content) for content in idx_files(rng)[0]])
    assert len(load("Tiny").train) == 5
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    (folder / images.IDX[2]).unlink()
    with pytest.raises(UserError, match=r"t10k-images.* of Tiny is not at hand, and torchvision, .* is not installed"):
        load("Tiny")


def test_planning_imports_neither_torch_nor_torchvision():
    script = (
        "import sys; from structgrad.experiments import REGISTRY; from structgrad.repro.planning.resolve import files; "
        "from structgrad.repro.planning.hyper_parameters import read; table = REGISTRY['indelman_2'];"
        "setting = 'CIFAR-10 k=1'; parameters = read(table, table.config_of('direct'), setting);"
        "assert files(table)(parameters, setting);"
        "import structgrad.data.digits; print({'torch', 'torchvision', 'sklearn', 'scipy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def same_as(theirs, pixels, labels, channels_last):
    data, targets = np.asarray(theirs.data), np.asarray(theirs.targets)
    assert np.array_equal(data.transpose(0, 3, 1, 2) if channels_last else data[:, None], pixels)
    assert np.array_equal(targets, labels)


@pytest.mark.parametrize(("name", "kind"), [("MNIST", "MNIST"), ("Fashion-MNIST", "FashionMNIST")])
def test_idx_sets_are_what_torchvision_reads(name, kind, tmp_path):
    files = published(name)
    from torchvision import datasets

    reader, raw = getattr(datasets, kind), tmp_path / kind / "raw"
    raw.mkdir(parents=True)
    for found, (resource, md5) in zip(files, reader.resources, strict=True):
        assert found.path.name == resource
        assert hashlib.md5(found.content).hexdigest() == md5
        (raw / resource.removesuffix(".gz")).write_bytes(gzip.decompress(found.content))
    ours = load(name)
    assert (*ours.train.shape, len(ours.test)) == (60000, 1, 28, 28, 10000)
    same_as(reader(tmp_path, train=True), ours.train, ours.train_labels, channels_last=False)
    same_as(reader(tmp_path, train=False), ours.test, ours.test_labels, channels_last=False)


def test_cifar_is_what_torchvision_reads(tmp_path):
    files = published("CIFAR-10")
    from torchvision.datasets import CIFAR10

    for found, (part, md5) in zip(files, CIFAR10.train_list + CIFAR10.test_list, strict=True):
        assert found.path.name == part
        assert hashlib.md5(found.content).hexdigest() == md5
    folder = files[0].path.parent
    if not (folder / "batches.meta").is_file():
        pytest.skip("torchvision wants batches.meta too, which is not in STRUCTGRAD_DATA")
    (tmp_path / CIFAR10.base_folder).symlink_to(Path(folder).resolve(), target_is_directory=True)
    ours = load("CIFAR-10")
    assert (*ours.train.shape, len(ours.test)) == (50000, 3, 32, 32, 10000)
    same_as(CIFAR10(tmp_path, train=True), ours.train, ours.train_labels, channels_last=True)
    same_as(CIFAR10(tmp_path, train=False), ours.test, ours.test_labels, channels_last=True)


def test_the_stand_in_has_mnists_format_and_never_changes():
    data, again = digits(), digits()
    assert data.train.shape == (1497, 1, 28, 28)
    assert data.test.shape == (300, 1, 28, 28)
    assert (data.train_labels.shape, data.test_labels.shape) == ((1497,), (300,))
    assert (data.train.dtype, data.train_labels.dtype) == (np.uint8, np.int64)
    assert (data.train.min(), data.train.max()) == (0, 255)
    assert set(data.train_labels) == set(data.test_labels) == set(range(10))
    for name in FIELDS:
        assert getattr(data, name).tobytes() == getattr(again, name).tobytes()
        assert getattr(data, name).flags.writeable
    digest = hashlib.sha256(np.concatenate([data.train, data.test]).tobytes()).hexdigest()
    assert digest.startswith("28e94d53a2698536df9e8e4e")


def test_the_stand_in_is_the_packaged_digits_scaled_up():
    import torch
    from sklearn.datasets import load_digits
    from sklearn.utils import Bunch

    data, packaged = digits(), load_digits()
    assert isinstance(packaged, Bunch)
    small = torch.from_numpy(packaged.images)[:, None] * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False).numpy()
    assert np.abs(np.concatenate([data.train, data.test]) - large).max() <= 0.5 + 1e-9  # rounded, half up
    assert np.array_equal(np.concatenate([data.train_labels, data.test_labels]), packaged.target)
