"""Solvers in processes: order, contexts, errors as they were, and no process that outlives its parent."""

import os
import pickle
import signal
import subprocess
import sys
import time
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from structgrad.layers import Perturbed
from structgrad.parallel import set_threads
from structgrad.polytopes import BlackBox, Subset
from structgrad.pool import SolverPool

SOLVERS = '''
"""What workers import."""
import os, time
import numpy as np

def top(theta, k=2):
    y = np.zeros(theta.shape)
    y[np.argsort(-theta, kind="stable")[:k]] = 1
    return y

def owner(theta, folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < 2:  # the other process is at another problem
        time.sleep(0.01)
    return np.array([theta[0], os.getpid()])

class NoWayError(Exception):
    def __init__(self, first, second):  # pickling gives back one argument
        super().__init__(first + second)

def fail(theta, kind=ValueError):
    if theta[0] == 5:
        raise NoWayError("no", " way") if kind is None else kind("no way")
    return theta

def die(theta):
    if theta[0] == 5:
        os._exit(3)
    return theta

def ragged(theta):
    return theta[: int(theta[0])]

def heavy(theta):
    import sys
    return np.array([float("torch" in sys.modules)])

class Refuses:
    def __reduce__(self):
        raise TypeError("not me")

class Lost:
    def __reduce__(self):
        return (importer, ("a_module_that_is_not_there",))

def importer(name):
    return __import__(name)
'''
starts = pytest.mark.parametrize("start", ["spawn", "fork"])


@pytest.fixture
def solvers(tmp_path, monkeypatch):
    (tmp_path / "solvers_of_a_test.py").write_text(SOLVERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    sys.modules.pop("solvers_of_a_test", None)
    import solvers_of_a_test  # type: ignore[import-not-found]

    yield solvers_of_a_test
    sys.modules.pop("solvers_of_a_test", None)


@pytest.fixture(autouse=True)
def _one_thread_again():
    yield
    set_threads(1)


def scores(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("start", "threads"), [("spawn", 2), ("fork", 1)])
def test_a_polytope_of_a_pool_is_that_of_its_solver(solvers, start, threads):
    set_threads(threads)
    theta, ks = scores(19, 2, 5), [1 + i % 4 for i in range(19)]
    single = BlackBox(solvers.top, (5,))
    with SolverPool(partial(solvers.top), 2, start) as pool:
        pooled = BlackBox(pool, (5,), batched=True)
        assert torch.equal(pooled.argmax(theta), single.argmax(theta))
        assert torch.equal(pooled.argmax(theta[:0]), theta[:0])
        assert torch.equal(pooled.given(ks).argmax(theta), single.given(ks).argmax(theta))
        assert torch.equal(pooled.given(ks).argmax(theta)[7], Subset(5, ks[7]).argmax(theta[7]))
        gradients = []
        for box in (single, pooled):
            layer = Perturbed(box.given(ks), samples=3, baseline="maximiser")
            y = layer(theta.requires_grad_(), torch.Generator().manual_seed(1))
            gradients += torch.autograd.grad(y[..., 0].sum(), theta)
        assert torch.equal(*gradients)


@starts
def test_order_is_kept_and_all_processes_work(solvers, tmp_path, start):
    (tmp_path / "seen").mkdir()
    theta = np.arange(24.0).repeat(2).reshape(24, 2)
    with SolverPool(partial(solvers.owner, folder=str(tmp_path / "seen")), 2, start) as pool:
        found = pool(theta)
        assert found[:, 0].tolist() == theta[:, 0].tolist()
        assert len(set(found[:, 1])) == 2
        assert os.getpid() not in found[:, 1]
    for process in set(found[:, 1]):
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)


@pytest.mark.parametrize(("start", "kind"), [("spawn", ValueError), ("fork", KeyError), ("fork", None)])
def test_an_error_comes_as_it_was_with_the_items_place(solvers, start, kind):
    theta = np.arange(9.0).reshape(9, 1)
    with SolverPool(partial(solvers.fail, kind=kind), 2, start) as pool:
        with pytest.raises(RuntimeError if kind is None else kind) as raised:
            pool(theta)
        assert raised.value.args == (("NoWayError: no way",) if kind is None else ("no way",))
        (note,) = raised.value.__notes__
        assert note.startswith("raised for item 5 of 9, in a process of the SolverPool:\nTraceback")
        assert "in fail" in note
        assert pool(theta[:5]).shape == (5, 1)  # it goes on


def test_a_process_that_dies_is_one_line(solvers):
    with SolverPool(solvers.die, 2, "fork") as pool:
        with pytest.raises(RuntimeError, match=r"^a process of this SolverPool died \(killed, out of memory") as raised:
            pool(np.arange(9.0).reshape(9, 1))
        assert "\n" not in str(raised.value)


def test_what_cannot_be_pickled_is_one_line(solvers):
    def local(theta):
        return theta

    for wrong in (local, lambda theta: theta, partial(solvers.top, k=solvers.Refuses())):
        with pytest.raises(
            TypeError, match=r"^solver cannot be pickled for another process \(.*\): it must be"
        ) as told:
            SolverPool(wrong)
        assert "\n" not in str(told.value)
    theta = np.zeros((4, 3))
    with SolverPool(solvers.top, 2, "fork") as pool:
        with pytest.raises(TypeError, match=r"^the context of item 2 cannot be pickled for .* \(TypeError: not me\)"):
            pool(theta, [1, 2, solvers.Refuses(), 3])
        with pytest.raises(TypeError, match=r"^contexts cannot be found by another process \(ModuleNotFoundError: "):
            pool(theta, [1, 2, solvers.Lost(), 3])
        assert pool(theta, [1, 2, 3, 0]).sum() == 6
    with (
        SolverPool(partial(solvers.top, k=solvers.Lost()), 2, "fork") as pool,
        pytest.raises(TypeError, match=r"^solver cannot be found by another process"),
    ):
        pool(theta)


def test_answers_of_different_shapes_are_named(solvers):
    with SolverPool(solvers.ragged, 2, "fork") as pool:
        with pytest.raises(ValueError, match=r"the solver's output must be of one shape, not of \[\(1,\), \(2,\)\]"):
            pool(np.array([[1.0, 0.0], [2.0, 0.0]]))
        with pytest.raises(ValueError, match=r"the solver's output must be of shape \(2, 2\), not \(2, 1\)"):
            BlackBox(pool, (2,), batched=True).argmax(torch.ones(2, 2))


def test_a_pool_that_is_closed_or_another_processs_is_named(solvers):
    with SolverPool(solvers.top, 2, "fork") as pool:
        child = os.fork()
        if not child:
            try:
                pool(np.zeros((2, 3)))
            except RuntimeError as error:
                os._exit(7 if "was made by another process" in str(error) else 1)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    pool.close()
    with pytest.raises(RuntimeError, match="this SolverPool is closed: solve within its with block"):
        pool(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"start must be one of \('spawn', 'fork'\), not 'thread'"):
        SolverPool(solvers.top, start="thread")


def test_spawned_workers_load_no_torch(solvers):
    with SolverPool(solvers.heavy, 1) as pool:
        assert pool(np.zeros((1, 1))).item() == 0.0


PARENT = """
import sys, time
from functools import partial
import numpy as np
from structgrad.pool import SolverPool
from solvers_of_a_test import owner
if __name__ == "__main__":
    pool = SolverPool(partial(owner, folder=sys.argv[2]), 2, sys.argv[1])
    print(*{int(x) for x in pool(np.ones((16, 2)))[:, 1]}, flush=True)
    time.sleep(300)
"""


def alive(process):
    """Whether it is there and no zombie, which nobody in a container may collect."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("start", "end"), [("spawn", signal.SIGKILL), ("fork", signal.SIGKILL), ("fork", signal.SIGINT)]
)
def test_processes_end_with_their_parent(solvers, tmp_path, start, end):
    if not Path("/proc/self/stat").exists():
        pytest.skip("no /proc to look processes up in")
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    (tmp_path / "seen").mkdir()
    command = [sys.executable, str(script), start, str(tmp_path / "seen")]
    parent = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # whoever started the tests may ignore it, as a shell does for what it runs in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert parent.stdout is not None
    with parent.stdout:
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        assert all(map(alive, workers))
        parent.send_signal(end)
        parent.wait(60)
    until = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_copies_of_a_model_share_the_pool(solvers):
    """A copy of a pool's pipes would close those of the pool when it goes."""
    with SolverPool(solvers.top, 1, "fork") as pool:
        layer, theta = Perturbed(BlackBox(pool, (3,), batched=True), samples=2), torch.zeros(2, 3)
        copies = [deepcopy(layer), deepcopy(layer)]
        found = [each(theta, torch.Generator().manual_seed(0)) for each in (*copies, layer)]
        assert torch.equal(found[0], found[2])
        assert torch.equal(found[1], found[2])
        with pytest.raises(TypeError, match=r"^a SolverPool cannot be pickled: make one in the process that solves$"):
            pickle.dumps(layer)


def test_there_is_a_context_for_each_problem(solvers):
    with SolverPool(solvers.top, 1, "fork") as pool:
        for contexts in ([1], [1, 2, 1]):
            with pytest.raises(ValueError, match=r"^scores of shape \(2, 3\) must hold a problem for each context"):
                pool(np.ones((2, 3)), contexts)
