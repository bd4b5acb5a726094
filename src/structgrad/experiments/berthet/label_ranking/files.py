"""The files of real data behind a setting."""

from structgrad.data.label_ranking import needed

__all__ = ["needed"]
