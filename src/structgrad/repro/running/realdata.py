"""The files of real data that a plan needs: where they are, fetching them, and notes beside records that lack them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from structgrad.data import store
from structgrad.data.sources import Source, at_hand, obtain
from structgrad.data.store import MissingDataError
from structgrad.data.user_data import UserData
from structgrad.experiments import Experiment
from structgrad.experiments.hyper_parameters import HyperParameters
from structgrad.files import of_user, write_text
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.plan import Plan
from structgrad.repro.planning.resolve import files
from structgrad.repro.planning.shard import Shard


@contextmanager
def data_folder(plan: Plan) -> Iterator[None]:
    """Look for real data where the configuration says, within this block; everything that reads data runs in one."""
    value = plan.config["data_folder"]
    if value is None:
        yield
        return
    before = os.environ.get(store.VARIABLE)
    os.environ[store.VARIABLE] = str(project_root() / of_user(value, "config.yaml: data_folder"))
    try:
        yield
    finally:
        if before is None:
            del os.environ[store.VARIABLE]
        else:
            os.environ[store.VARIABLE] = before


def needed(experiment: Experiment, parameters: HyperParameters, setting: str) -> tuple[Source, ...]:
    """The files and the user's data sets behind a setting of an experiment; none where its data is generated."""
    named = files(experiment)
    return tuple(named(parameters, setting)) if named else ()


def withheld(experiment: Experiment, parameters: HyperParameters, setting: str) -> str | None:
    """How to get the data behind a setting where nobody may pass it on; None where it can be downloaded or made.

    The same on every machine, whether or not somebody added the data there.
    """
    return next((f.advice for f in needed(experiment, parameters, setting) if isinstance(f, UserData)), None)


def needed_by(plan: Plan, shards: Iterable[Shard]) -> dict[Source, list[Shard]]:
    """Every file that the shards need, with those that need it."""
    users: dict[Source, list[Shard]] = {}
    for shard in shards:
        part = plan.experiments[shard.experiment]
        for file in needed(part.experiment, part.parameters_for(shard), shard.setting):
            users.setdefault(file, []).append(shard)
    return users


@dataclass(frozen=True)
class Fetched:
    """What :func:`fetch` did: paths at hand and downloaded, why others are missing, and which shards are left out."""

    at_hand: tuple[str, ...]
    downloaded: tuple[str, ...]
    missing: Mapping[str, str]
    left_out: tuple[Shard, ...]

    def lines(self) -> list[str]:
        """The same for people; nothing where no file is needed."""
        if not self.at_hand and not self.downloaded and not self.missing:
            return []
        lines = [f"data: {len(self.at_hand)} files at hand, {len(self.downloaded)} downloaded"]
        for why in dict.fromkeys(self.missing.values()):
            lines.append(
                f"not to be had ({why}): {', '.join(p for p, reason in self.missing.items() if reason == why)}"
            )
        if self.left_out:
            places = dict.fromkeys(f"{shard.experiment}/{shard.setting}" for shard in self.left_out)
            lines.append(f"left out: {', '.join(places)}")
            lines.append(
                "their cells say no_data and where each file is published; with a network, or with STRUCTGRAD_DATA "
                "set to a folder that has them: structgrad data fetch"
            )
        return lines


def fetch(plan: Plan, shards: Iterable[Shard]) -> Fetched:
    """Get what the shards need, and leave a note beside each record-to-be whose data cannot be had.

    A note (``<record>.no_data``, one line: how to get the data) makes the cell say ``no_data`` and the workflow leave
    the shard out; it is removed where the data or the record is there.

    Raises:
        CorruptDataError: a file is there and is not the published one.
        UserError: the cache or a note cannot be written.
    """
    shards = list(shards)
    users = needed_by(plan, shards)
    present, downloaded = list[str](), list[str]()
    missing: dict[Source, str] = {}
    silent: dict[str, str] = {}
    with data_folder(plan):
        for file in users:
            there = at_hand(file)
            try:
                obtain(file, silent)
            except MissingDataError as error:
                missing[file] = error.why
            else:
                (present if there else downloaded).append(file.path)
    store.forget_archive()
    lacking = {shard: file for file in missing for shard in users[file]}
    for shard in shards:
        _note(shard, lacking.get(shard))
    left_out = tuple(shard for shard in shards if shard.left_out)
    return Fetched(tuple(present), tuple(downloaded), {file.path: why for file, why in missing.items()}, left_out)


def _note(shard: Shard, file: Source | None) -> None:
    if file is None or shard.path.is_file():
        shard.note.unlink(missing_ok=True)
        return
    text = f"{file.path} was not to be had: {file.advice}\n"  # no word of this machine: tables repeat it
    if not shard.note.is_file() or shard.note.read_text(encoding="utf-8") != text:
        write_text(shard.note, text)
