"""The same bits on any x86-64 machine: whole short trainings under libraries that are told to be elsewhere.

Each test starts ``machine.py`` in a process whose environment makes torch, MKL, numpy, numba and the C library pick the
code of another processor, or Python add up as its other versions do. A variable that changes nothing of what its
library computes here is named at the end of the test run, since it shows nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import llvmlite.binding
import pytest
import torch
from numpy._core._multiarray_umath import __cpu_dispatch__

from structgrad.experiments import REGISTRY
from structgrad.repro.planning.hyper_parameters import read
from structgrad.repro.planning.resolve import trainer
from structgrad.training.checkpoint import Checkpoint
from structgrad.training.job import Job
from structgrad.training.loop import Limits

PROGRAM = Path(__file__).with_name("machine.py")
RECORD = Path(__file__).parents[2] / "results/paper/records/indelman_1a/d=10/direct.0-199.json"
LIBRARY_OF = {
    "ATEN_CPU_CAPABILITY": "torch",
    "MKL_CBWR": "mkl",
    "MKL_DEBUG_CPU_TYPE": "mkl",
    "MKL_ENABLE_INSTRUCTIONS": "mkl",
    "NPY_DISABLE_CPU_FEATURES": "numpy",
    "NUMBA_CPU_NAME": "numba",
    "GLIBC_TUNABLES": "libm",
    "PYTHON_SUM": "python",
}
MACHINES: dict[str, tuple[int, dict[str, str]]] = {
    "no_vectors_beyond_sse2": (
        1,
        {
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_CBWR": "COMPATIBLE",
            "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
            "NUMBA_CPU_NAME": "generic",
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
        },
    ),
    "avx2_on_two_threads": (
        2,
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "MKL_CBWR": "AVX2",
            "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in __cpu_dispatch__ if name != "X86_V3"),
            "NUMBA_CPU_NAME": "haswell",
        },
    ),
    "mkl_told_sse4_2": (2, {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
    "python_3_12": (1, {"PYTHON_SUM": "compensated"}),  # whose sum is another
    "avx512": (
        1,
        {
            "ATEN_CPU_CAPABILITY": "avx512",
            "MKL_DEBUG_CPU_TYPE": "5",
            "NUMBA_CPU_NAME": llvmlite.binding.get_host_cpu_name(),
        },
    ),
}


def train(threads: int, variables: dict[str, str]) -> dict[str, Any]:
    """What ``machine.py`` prints under these variables and none of the others."""
    environment = {name: value for name, value in os.environ.items() if name not in LIBRARY_OF} | variables
    command = [sys.executable, str(PROGRAM), str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    """This machine as it is, on one thread."""
    return train(1, {})


def test_every_arm_of_every_portable_experiment_is_trained(here):
    arms = {(spec.name, arm.name) for spec in REGISTRY.values() if spec.level == 1 for arm in spec.arms}
    assert {(case.split()[0], case.split()[-1]) for case in here["trained"]} == arms


@pytest.mark.parametrize("machine", MACHINES)
def test_another_machine_trains_the_same_bits(here, machine, record_property):
    threads, variables = MACHINES[machine]
    if machine == "avx512" and "AVX512" not in torch.backends.cpu.get_cpu_capability():
        if os.environ.get("ATEN_CPU_CAPABILITY") is None:
            pytest.skip("this processor has no AVX-512")
        pytest.skip("ATEN_CPU_CAPABILITY hides whether this processor has AVX-512")
    there = train(threads, variables)
    for name, value in variables.items():
        library = LIBRARY_OF[name]
        acts = there["libraries"][library] != here["libraries"][library]
        record_property("emulation", f"{name}={value}: {library} computes {'otherwise' if acts else 'as ever'} here")
    other = [case for case, bits in here["trained"].items() if there["trained"][case] != bits]
    assert not other, f"other bits on {machine}"


def test_a_committed_record_comes_out_again_here(tmp_path):
    """Whichever machine sealed it: 200 trainings with early stopping, from seeds to metrics."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert record["level"] == 1
    spec = REGISTRY[record["experiment"]]
    checkpoint, count = Checkpoint(tmp_path / "none", "key"), len(record["results"])
    job = Job(
        spec.seed_name,
        record["setting"],
        record["arm"],
        0,
        count,
        read(spec, record["config"], record["setting"]),
        checkpoint,
        Limits(),
        lambda *_: None,
    )
    outcome = trainer(spec)(job)
    again = [{"replica": replica, **result.content(spec.clock)} for replica, result in enumerate(outcome.results)]
    assert json.loads(json.dumps([again, outcome.history])) == [record["results"], record["history"]]
