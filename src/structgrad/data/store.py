"""Where files of real data lie, how they get there, and that they are what they should be.

A file is looked for in the folder that ``STRUCTGRAD_DATA`` names, then in the user's cache, and is otherwise downloaded
to the cache. The named folder is the user's: nothing is ever written to it. Whatever has another content than the
file's sha256 says is refused by name, wherever it lies: a damaged file is an accident that someone should know of.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import tarfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from structgrad.errors import UserError
from structgrad.files import of_user, user_cache, write_bytes

VARIABLE = "STRUCTGRAD_DATA"
ATTEMPTS, PAUSE, TIMEOUT = 3, 1.0, 20.0  # tries of an address, seconds before the second, seconds of silence
TRY_AGAIN = (408, 425, 429)  # beside the server's own faults (500 and more)
CHUNK = 1 << 16


def as_it_is(raw: bytes) -> bytes:
    """The canonical form of a file that has only one."""
    return raw


@dataclass(frozen=True)
class DataFile:
    """A file of a public data set.

    Args:
        path: below a data folder, such as ``label_ranking/iris.txt``.
        sha256: of its content in canonical form.
        addresses: where it can be downloaded, tried in order; or a function that returns them, where that is slow.
        canonical: removes differences without meaning (line ends) from a content; never raises.
        member: its name in the .tar.gz archive that the addresses give, where it is not published by itself.
    """

    path: str
    sha256: str
    addresses: tuple[str, ...] | Callable[[], tuple[str, ...]]
    canonical: Callable[[bytes], bytes] = as_it_is
    member: str | None = None

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses, known by now."""
        return self.addresses() if callable(self.addresses) else self.addresses

    @property
    def advice(self) -> str:
        """How to get it, on any machine."""
        address = self.places[0]
        save = f"save {address}" if self.member is None else f"extract {self.member} from {address} and save it"
        return (
            f"run `structgrad data fetch` with a network, or {save} as {self.path} "
            f"in a folder and set {VARIABLE} (data_folder in config.yaml) to it"
        )


@dataclass(frozen=True)
class Found:
    """A file that is there and right: where, and its content in canonical form."""

    path: Path
    content: bytes


class Named(Protocol):
    """Data that has a name and says how to get it."""

    @property
    def path(self) -> str: ...

    @property
    def advice(self) -> str: ...


class MissingDataError(UserError):
    """Data is not on this machine and cannot be downloaded."""

    def __init__(self, file: Named, why: str) -> None:
        super().__init__(f"{file.path} is not at hand ({why}); {file.advice}")
        self.why = why


class CorruptDataError(UserError):
    """A file is here, but its content is not the published one."""


class _NotObtainedError(Exception):
    """An address gave nothing; ``silent`` if its host did not even answer."""

    def __init__(self, why: str, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


def named() -> Path | None:
    """The user's own folder of data, where one is named."""
    value = os.environ.get(VARIABLE)
    return of_user(value, VARIABLE) if value else None


def cache() -> Path:
    """Where downloads go: ``$XDG_CACHE_HOME/structgrad/data``, by default below ``~/.cache``."""
    return user_cache() / "structgrad" / "data"


def folders() -> tuple[Path, ...]:
    """Where files are looked for, in order."""
    user = named()
    return (cache(),) if user is None else (user, cache())


def find(file: DataFile) -> Found | None:
    """The file if it is on this machine.

    Raises:
        CorruptDataError: a file of its name is there, with another content.
        UserError: it cannot be read.
    """
    for folder in folders():
        path = folder / file.path
        if not path.exists():
            continue
        try:
            content = file.canonical(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        if (digest := hashlib.sha256(content).hexdigest()) != file.sha256:
            raise CorruptDataError(
                f"{path} is damaged or another version: its sha256 is {digest[:12]}, that of the published file "
                f"{file.sha256[:12]}; nothing was trained on it. Delete it and run `structgrad data fetch`"
            )
        return Found(path, content)
    return None


def fetch(file: DataFile, silent: dict[str, str] | None = None) -> Found:
    """The file from this machine, else downloaded to the cache.

    Args:
        file: which one.
        silent: hosts that did not answer, with what was seen; they are not asked again, and new ones are added.

    Raises:
        MissingDataError: it is not here and cannot be downloaded; the line says how to get it.
        CorruptDataError: it is here with another content, which is never replaced.
        UserError: the cache cannot be written.
    """
    copy = find(file)
    if copy is not None:
        return copy
    silent = {} if silent is None else silent
    reasons = list[str]()
    for address in file.places:
        host = urlsplit(address).netloc
        if host in silent:
            reasons.append(silent[host])
            continue
        try:
            content = _obtain(address, file)
        except _NotObtainedError as error:
            reasons.append(f"{host}: {error}")
            if error.silent:
                silent[host] = reasons[-1]
            continue
        path = cache() / file.path
        write_bytes(path, content)
        return Found(path, content)
    raise MissingDataError(file, "; ".join(dict.fromkeys(reasons)))


def forget_archive() -> None:
    """Let go of the archive that was downloaded last, which is kept in memory for the next of its members."""
    _members.cache_clear()


def _obtain(address: str, file: DataFile) -> bytes:
    """The canonical content at an address, tried again where that may help."""
    fault = _NotObtainedError("not asked")
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        try:
            raw = _download(address, file.path) if file.member is None else _members(address).get(file.member)
        except HTTPError as error:
            error.close()
            fault = _NotObtainedError(f"HTTP status {error.code}")
            if error.code < 500 and error.code not in TRY_AGAIN:
                break
            continue
        except (OSError, HTTPException) as error:
            said = " ".join(str(getattr(error, "reason", None) or error or type(error).__name__).split())
            fault = _NotObtainedError(said[:120], silent=isinstance(error, (URLError, TimeoutError)))
            continue
        except (tarfile.TarError, EOFError, zlib.error) as error:
            fault = _NotObtainedError(f"what it sends is no whole .tar.gz archive: {error}")
            continue
        if raw is None:
            raise _NotObtainedError(f"the archive it sends has no {file.member}")
        content = file.canonical(raw)
        digest = hashlib.sha256(content).hexdigest()
        if digest == file.sha256:
            return content
        what = "what it sends" if file.member is None else f"{file.member} in the archive it sends"
        fault = _NotObtainedError(f"{what} has sha256 {digest[:12]} instead of {file.sha256[:12]}")
        if file.member is not None:  # the archive is whole by its own checksum: it would come as it is once more
            break
    raise fault


@lru_cache(maxsize=1)  # six files of CIFAR-10 are one download; a failure is not kept
def _members(address: str) -> dict[str, bytes]:
    """The files in the .tar.gz archive at the address; nothing is unpacked to the disk.

    Raises:
        OSError, HTTPException: as a download does.
        tarfile.TarError, EOFError, zlib.error: it is not such an archive, or not a whole one.
    """
    packed = _download(address, Path(urlsplit(address).path).name)
    members = dict[str, bytes]()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as content:
            with tarfile.open(fileobj=content, mode="r|") as archive:
                for member in archive:
                    if member.isreg() and (stream := archive.extractfile(member)) is not None:
                        members[member.name] = stream.read()
            while content.read(CHUNK):  # to the end, where the checksum stands
                pass
    except gzip.BadGzipFile as error:  # an OSError, as a fault of the network is
        raise tarfile.ReadError(str(error)) from error
    return members


def _download(address: str, name: str) -> bytes:
    """What is at the address, with a count of megabytes on a terminal."""
    received, show = bytearray(), sys.stderr.isatty()
    with urlopen(address, timeout=TIMEOUT) as answer:
        length = answer.headers.get("Content-Length")
        while chunk := answer.read(CHUNK):
            received += chunk
            if show:
                print(f"{name}: {len(received) / 1e6:.1f} MB", end="\r", file=sys.stderr, flush=True)
    if show:
        print(" " * (len(name) + 16), end="\r", file=sys.stderr, flush=True)
    if length is not None and len(received) < int(length):
        raise HTTPException(f"the connection broke after {len(received)} of {length} bytes")
    return bytes(received)
