"""Where real data comes from: public files, which can be fetched, and data sets that a user adds."""

from __future__ import annotations

from structgrad.data import store, user_data
from structgrad.data.store import DataFile
from structgrad.data.user_data import UserData

Source = DataFile | UserData


def at_hand(source: Source) -> bool:
    """Whether it is on this machine, and right.

    Raises:
        CorruptDataError: it is here with another content.
    """
    return (user_data.find(source) if isinstance(source, UserData) else store.find(source)) is not None


def obtain(source: Source, silent: dict[str, str] | None = None) -> None:
    """See to it that it is here: files are downloaded (``silent`` as in :func:`structgrad.data.store.fetch`).

    Raises:
        MissingDataError: it is not here and cannot be had.
        CorruptDataError: it is here with another content.
    """
    if isinstance(source, UserData):
        user_data.fetch(source)
    else:
        store.fetch(source, silent)
