"""A published paper: what is said of it wherever its tables are shown or cited."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """Title, authors (given name first, the names as printed), year and venue, and where the text lies.

    ``name`` is that of its folder, and stands first in the ids of its cells. ``data_licence`` says whose the data are
    that its experiments read; empty where all of them are generated. ``ours``: it is no paper, but comparisons of our
    own, which print nothing: it comes last, and what counts or cites papers leaves it out.
    """

    name: str
    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    url: str
    data_licence: str = ""
    ours: bool = False

    def standing(self, comparable: bool) -> str:
        """How its numbers stand to what is printed, in words; ``comparable``: the protocol is not cut."""
        if self.ours:
            return "ours, in full" if comparable else "ours, cut"
        return "comparable with the paper" if comparable else "not comparable with the paper"
