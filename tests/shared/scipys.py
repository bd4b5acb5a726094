"""Numbers of scipy's whose types its stubs do not know."""

from __future__ import annotations

from typing import Any

from scipy import stats


def rank_correlation(x: Any, y: Any) -> float:
    """Spearman's, of two rows."""
    result: Any = stats.spearmanr(x, y)
    return float(result.statistic)


def same_distribution(x: Any, y: Any) -> float:
    """p of "both samples have one distribution": Kolmogorov and Smirnov's."""
    result: Any = stats.ks_2samp(x, y)
    return float(result.pvalue)
