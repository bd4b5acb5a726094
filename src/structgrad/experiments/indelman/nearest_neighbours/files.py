"""The files of real data behind a setting."""

from structgrad.data.images import needed

__all__ = ["needed"]
