"""A solver in several processes: for solvers in Python, which hold the interpreter's lock, so that threads do not help.

Workers import this module and the solver's, and of the library nothing that needs torch.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any, NamedTuple, Self

import numpy as np

from structgrad.arguments import count, kind

STARTS = ("spawn", "fork")
PARTS = 4  # of a batch for each process: some instances take longer than others
PATIENCE = 1.0  # seconds between looks whether the parent still lives


class SolverPool:
    """A solver of one problem made one of batches, over processes: ``BlackBox(pool, event_shape, batched=True)``.

    It may be called from several threads. Processes start with the first batch and end with the ``with`` block, or with
    the parent, however that ends. A script that makes a pool keeps its own work under
    ``if __name__ == "__main__":``, since every worker imports it.

    Args:
        solver: as of :class:`structgrad.polytopes.BlackBox`, not batched; with contexts it is called as
            ``solver(scores, context)``. Workers find it by pickling: a function of a module, a class's instance, a
            ``functools.partial`` of such.
        processes: how many; None: as many as this process may use cores.
        start: ``"spawn"``, a fresh interpreter each; ``"fork"``, a copy of this one, which starts faster, knows what a
            notebook defines, and may hang where this process has threads.

    Raises:
        TypeError: a solver that cannot be pickled.
        ValueError: an unknown way to start.

    >>> with SolverPool(np.sign, processes=2) as pool:
    ...     pool(np.array([[2.0, -3.0], [0.0, 0.5]]))
    array([[ 1., -1.],
           [ 0.,  1.]])
    """

    def __init__(self, solver: Callable[..., Any], processes: int | None = None, start: str = "spawn") -> None:
        kind(solver, "solver", Callable, "a function of scores")  # type: ignore[type-abstract]
        if start not in STARTS:
            raise ValueError(f"start must be one of {STARTS}, not {start!r}")
        self.processes = _cores() if processes is None else count(processes, "processes")
        arguments = (_pickled(solver, "solver"), os.getpid())
        self._maker, self._solves = os.getpid(), getattr(solver, "__name__", type(solver).__name__)
        self._workers: ProcessPoolExecutor | None = ProcessPoolExecutor(
            self.processes, get_context(start), initializer=_enter, initargs=arguments
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # of a model's copies all solve with the same processes, as with the same function

    def __reduce__(self) -> str:
        raise TypeError("a SolverPool cannot be pickled: make one in the process that solves")

    def close(self) -> None:
        """End the processes, once the problems that they are at are solved."""
        workers, self._workers = self._workers, None
        if workers is not None and os.getpid() == self._maker:
            workers.shutdown(cancel_futures=True)

    def __repr__(self) -> str:
        return f"SolverPool({self._solves}, processes={self.processes})"

    def __call__(self, scores: np.ndarray, contexts: Sequence[Any] | None = None) -> np.ndarray:
        """The answers to all problems of a batch ``(B, *event)``, in order: ``(B, *event)``.

        Raises:
            TypeError: scores that are no array, contexts no sequence; a context that cannot be pickled.
            ValueError: contexts of another number than problems; answers of different shapes.
            RuntimeError: a pool that is closed or was made by another process, or a process that died. What the solver
                raises comes as it was, with the problem's place in the batch as a note.
        """
        kind(scores, "scores", np.ndarray, "an array of problems (B, *event)")
        if contexts is not None:
            kind(contexts, "contexts", (Sequence, np.ndarray), "a sequence with one per problem")  # type: ignore[type-abstract]
        if scores.ndim < 1 or (contexts is not None and len(contexts) != len(scores)):
            given = "" if contexts is None else f", with {len(contexts)} contexts"
            raise ValueError(f"scores of shape {scores.shape} must hold a problem for each context{given}")
        if self._workers is None:
            raise RuntimeError("this SolverPool is closed: solve within its with block")
        if os.getpid() != self._maker:
            raise RuntimeError("this SolverPool was made by another process: make one in the process that solves")
        size = max(1, -(-len(scores) // (PARTS * self.processes)))
        futures: list[Future[list[np.ndarray] | _Failure]] = []
        try:
            for first in range(0, len(scores), size):
                part = slice(first, first + size)
                given = None if contexts is None else _packed(list(contexts[part]), first)
                futures.append(self._workers.submit(_solve, scores[part], given, first))
            answers = [answer for future in futures for answer in _found(future.result(), len(scores))]
        except BrokenProcessPool:
            raise RuntimeError(
                "a process of this SolverPool died (killed, out of memory, a crash in the solver's compiled code), or "
                'could not start: a script that makes a pool needs its work under if __name__ == "__main__":'
            ) from None
        finally:
            for future in futures:
                future.cancel()
        shapes = {answer.shape for answer in answers}
        if len(shapes) > 1:
            raise ValueError(f"the solver's output must be of one shape, not of {sorted(shapes)}")
        return np.stack(answers) if answers else scores[:0].copy()


class _Failure(NamedTuple):
    """What a worker could not do: for which item of the batch, why, and where in its code."""

    item: int
    error: Exception
    trace: str


_solver: bytes | Callable[..., Any]  # in a worker: pickled until its first problem


def _enter(solver: bytes, parent: int) -> None:
    """Begin as a worker: wait for problems, end silently with the parent or with Ctrl-C."""
    global _solver
    _solver = solver
    for interrupt in (signal.SIGINT, signal.SIGTERM):  # not as a parent that was copied may handle them
        signal.signal(interrupt, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended; copies of the sentinel's other end may live on in siblings."""
    process = parent_process()
    sentinels = [] if process is None else [process.sentinel]
    while os.getppid() == parent and not wait(sentinels, PATIENCE):
        pass
    os._exit(1)


def _solve(scores: np.ndarray, contexts: bytes | None, first: int) -> list[np.ndarray] | _Failure:
    """The answers to some problems, the first of which is that item of the batch."""
    global _solver
    item = first
    try:
        _solver = solver = _unpickled(_solver, "solver") if isinstance(_solver, bytes) else _solver
        given = None if contexts is None else _unpickled(contexts, "contexts")
        answers = []
        for item, theta in enumerate(scores, first):
            answer = solver(theta) if given is None else solver(theta, given[item - first])
            if hasattr(answer, "detach"):  # a tensor: numpy takes none that asks for a gradient
                answer = answer.detach().cpu()
            answers.append(np.asarray(answer, dtype=np.float64))
        return answers
    except Exception as error:
        return _Failure(item, _portable(error), traceback.format_exc())


def _portable(error: Exception) -> Exception:
    """The error itself if it survives pickling, else one that says the same."""
    try:
        copy = pickle.loads(pickle.dumps(error))
        if type(copy) is type(error) and str(copy) == str(error):
            return error
    except Exception:
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")


def _found(answers: list[np.ndarray] | _Failure, items: int) -> list[np.ndarray]:
    """The answers, or the failure raised in this process."""
    if not isinstance(answers, _Failure):
        return answers
    item, error, trace = answers
    error.add_note(f"raised for item {item} of {items}, in a process of the SolverPool:\n{trace.rstrip()}")
    raise error


def _pickled(value: Any, name: str) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"{name} cannot be pickled for another process ({_line(error)}): it must be made of what modules define, "
            "not of lambdas or local functions"
        ) from None


def _packed(contexts: list[Any], first: int) -> bytes:
    """Contexts pickled together, what they share once; if that fails, the error names the first that cannot be."""
    try:
        return pickle.dumps(contexts)
    except Exception:
        for item, context in enumerate(contexts, first):
            _pickled(context, f"the context of item {item}")
        raise


def _unpickled(value: bytes, name: str) -> Any:
    try:
        return pickle.loads(value)
    except Exception as error:
        raise TypeError(
            f"{name} cannot be found by another process ({_line(error)}): define what it needs in a module that can be "
            'imported, or use start="fork"'
        ) from None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
