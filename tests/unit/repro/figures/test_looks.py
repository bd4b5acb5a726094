"""An arm has one look in all figures of its paper, and every machine draws the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from structgrad.experiments import REGISTRY
from structgrad.repro.figures.files import KINDS
from structgrad.repro.figures.looks import look
from structgrad.repro.planning.paths import project_root

DRAW = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_looks
print(json.dumps(test_looks.digests()))
"""


def test_an_arm_has_one_look_in_all_figures_of_its_paper():
    for paper in {experiment.paper for experiment in REGISTRY.values()}:
        looks = {}
        for experiment in (each for each in REGISTRY.values() if each.paper == paper):
            own = {arm.name: look(experiment, arm.name) for arm in experiment.arms if not arm.reference}
            assert len(set(map(repr, own.values()))) == len(own)  # told apart within a figure
            for name, drawn in own.items():
                assert looks.setdefault(name, drawn) == drawn


def digests():
    """The sha256 of every committed figure, drawn anew from its data."""
    found = {}
    for experiment in REGISTRY.values():
        for figure in experiment.figures:
            for data in sorted((project_root() / "results").glob(f"*/figures/{experiment.stem_of(figure)}.csv")):
                svg = KINDS[type(figure)].draw(data.read_bytes(), figure, experiment, "the same everywhere")
                found[str(data.relative_to(project_root()))] = hashlib.sha256(svg).hexdigest()
    return found


@pytest.mark.slow
def test_another_processor_draws_the_same_bytes():
    umath = import_module("numpy._core._multiarray_umath")
    avoided = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name)]
    emulated = os.environ | {"ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": " ".join(avoided)}
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(Path(__file__).parent)],
        env=emulated,
        capture_output=True,
        text=True,
        check=True,
        cwd=project_root(),
    )
    assert json.loads(done.stdout) == digests() != {}
