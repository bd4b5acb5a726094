"""An MLflow store for a finished project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from structgrad.repro.planning.plan import Plan
from structgrad.repro.tracking import mlflow_store


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without runs: preparing one takes MLflow seconds, copying it takes none."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    mlflow_store.connect(f"sqlite:///{path}").search_experiments(max_results=1)
    return path


@pytest.fixture
def ready(finished: Plan, empty: Path) -> Plan:
    """A finished project with a store that has no runs yet."""
    shutil.copy(empty, mlflow_store.database(finished))
    return finished
