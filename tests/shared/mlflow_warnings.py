"""Warnings of MLflow's own, at import, which no test of ours can mend."""

from __future__ import annotations

import pytest

IGNORED = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
