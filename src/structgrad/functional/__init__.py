"""Plain functions of the last dimension: soft sorting, ranking and selection, one per file."""

from structgrad.functional.soft_rank import soft_rank
from structgrad.functional.soft_sort import soft_sort
from structgrad.functional.soft_top_k import soft_top_k

__all__ = ["soft_rank", "soft_sort", "soft_top_k"]
