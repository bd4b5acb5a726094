"""Each hot operation of the library against what a user would otherwise take, as ratios, with spread and peak memory.

    python benchmarks/bench_library.py                  everything, under four minutes on two quiet cores
    python benchmarks/bench_library.py --quick          a smoke run
    python benchmarks/bench_library.py --only subset    rows whose name contains this (may be repeated)
    python benchmarks/bench_library.py --write          and put the tables into docs/performance.md
    python benchmarks/bench_library.py --device cuda    ours on a GPU against ours on the CPU instead

How it is measured: ``measure.py`` and docs/performance.md. What is: ``cases.py``, ``cases_draws.py``, ``peers/``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads in the parent: it forks

import torch
from cases import CASES, SWEEPS, Case, Sweep, same
from cases_draws import DRAWS
from measure import MIB, Candidate, Spread, in_child, peak_growth, take_turns
from report import MISS, Table, machine, number, rewrite, spread
from rich.console import Console

from structgrad.parallel import set_threads
from structgrad.polytopes.matching import Matching

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
FLAT = 1.1  # what a sample may cost more than at ten times fewer samples, so that noise is no miss
FIRST_CALL_TARGET = 1.0
FULL, QUICK = (3.0, 5), (0.1, 1)  # seconds for a pair of candidates, and turns at least
CLOCKS = {1: time.process_time, 2: time.perf_counter}

FIRST_CALL = """
import importlib, pkgutil, time, torch
cpu, wall = time.process_time(), time.perf_counter()
import structgrad.noise
for name in ("polytopes", "regularizers", "layers", "losses"):
    package = importlib.import_module("structgrad." + name)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"structgrad.{name}.{module.name}")
imported = time.process_time() - cpu, time.perf_counter() - wall
from structgrad.polytopes.matching import Matching
Matching(5).argmax(torch.eye(5))
print(*imported, time.process_time() - cpu, time.perf_counter() - wall)
"""

Say = Callable[[str, list[str]], None]


@dataclass(frozen=True)
class Phase:
    """Ours and the peer on so many threads: milliseconds a call, and the ratio turn by turn."""

    ratio: Spread
    ours: Spread
    peer: Spread
    form: str = ""


def time_case(case: Case, seconds: float, turns: int) -> tuple[str, dict[int, Phase]]:
    """What the check of equality says, and the timings by threads."""
    set_threads(1)
    pair = case.build(case.batch, "cpu")
    note = pair.agree()
    phases = {}
    for threads, clock in CLOCKS.items():
        set_threads(threads)
        forms = [Candidate(lambda: pair.peer(1), clock)]
        if threads > 1:
            forms.append(Candidate(lambda threads=threads: pair.peer(threads), clock, threads))
        trial = take_turns(forms, seconds / 10, 1) if threads > 1 else [[0.0]]
        best = min(range(len(trial)), key=lambda i: min(trial[i]))
        ours, peer = take_turns([Candidate(pair.ours, clock), forms[best]], seconds, turns)
        peer = [pair.peer_times * value for value in peer]
        ratios = [slow / fast for slow, fast in zip(peer, ours, strict=True)]
        phases[threads] = Phase(
            Spread.of(ratios),
            milliseconds(ours),
            milliseconds(peer),
            "(one thread is faster)" if best < len(forms) - 1 else "",
        )
    return note, phases


def milliseconds(seconds: list[float]) -> Spread:
    return Spread.of([1e3 * value for value in seconds])


def memory(build: Callable[[bool], Callable[[], Any]]) -> float:
    """Peak growth of the call that ``build(False)`` returns, after that of ``build(True)``, a tiny one, loaded code."""
    set_threads(1)
    build(True)()
    return peak_growth(build(False))


def case_memory(case: Case, ours: bool) -> float:
    def build(tiny: bool) -> Callable[[], Any]:
        pair = case.build(1 if tiny else case.batch, "cpu")
        return pair.ours if ours else lambda: pair.peer(1)

    return memory(build)


def time_sweep(sweep: Sweep, seconds: float, turns: int) -> dict[int, list[tuple[Spread, float]]]:
    """By threads, for each number of samples: microseconds per sample, and their ratio to those of fewer samples."""
    calls = [sweep.call(m, "cpu") for m in sweep.samples]
    calls[0]()
    phases = {}
    for threads, clock in CLOCKS.items():
        set_threads(threads)
        columns = take_turns([Candidate(call, clock) for call in calls], seconds, turns)
        cost = [[1e6 * value / m for value in column] for m, column in zip(sweep.samples, columns, strict=True)]
        steps = [1.0] + [statistics.median(b / a for a, b in zip(*pair, strict=True)) for pair in pairwise(cost)]
        phases[threads] = list(zip(map(Spread.of, cost), steps, strict=True))
    return phases


def sweep_memory(sweep: Sweep, samples: int) -> float:
    return memory(lambda tiny: sweep.call(1 if tiny else samples, "cpu"))


def first_call(times: int) -> list[Spread]:
    """CPU and wall seconds of importing, then of importing and a first maximiser, in fresh processes."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def run() -> list[str]:
        command = [sys.executable, "-c", FIRST_CALL]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    run()  # writes the bytecode
    lines = [run() for _ in range(times)]
    return [Spread.of(list(map(float, column))) for column in zip(*lines, strict=True)]


def on_device(item: Case | Sweep, device: str, seconds: float, turns: int) -> tuple[Phase, float] | None:
    """Ours on a device ("ours") against ours on all cores of the CPU ("peer"), and the peak MiB on the device.

    None where there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        return None
    set_threads(os.cpu_count() or 1)
    if isinstance(item, Case):
        there, here = (item.build(item.batch, place).ours for place in (device, "cpu"))
        both = [value if isinstance(value, tuple) else (value,) for value in (there(), here())]
        for one, other in zip(*both, strict=True):
            same(one.cpu(), other, 1e-4)
    else:
        there, here = (item.call(item.samples[-1], place) for place in (device, "cpu"))
        there()
        here()

    def finished() -> None:
        there()
        if device == "cuda":
            torch.cuda.synchronize()

    fast, slow = take_turns([Candidate(call, time.perf_counter) for call in (finished, here)], seconds, turns)
    peak = 0.0
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        finished()
        peak = (torch.cuda.max_memory_allocated() - held) / MIB
    ratio = Spread.of([a / b for a, b in zip(slow, fast, strict=True)])
    return Phase(ratio, milliseconds(fast), milliseconds(slow)), peak


def on_cpu(cases: list[Case], sweeps: list[Sweep], imports: bool, quick: bool, say: Say) -> list[Table]:
    """Ours against the peers; the cost per sample; the first call."""
    effort = QUICK if quick else FULL
    table = Table(
        f"Ratios, median (min..max) over turns: {machine()}",
        [
            "operation",
            "against",
            "target",
            "threads",
            "ratio",
            "ours, ms",
            "peer, ms",
            "verdict",
            "peak MiB",
        ],
    )
    for case in cases:
        note, phases = in_child(time_case, case, *effort)
        peaks = " / ".join(f"{in_child(case_memory, case, ours):.1f}" for ours in (True, False))
        table.notes.append(f"{case.name}: {note}")
        for threads, phase in phases.items():
            first, target = threads == 1, case.targets.get(threads)
            table.rows.append(
                [
                    case.title if first else "",
                    case.peer if first else phase.form,
                    f"{target:g}x" if target else "",
                    str(threads),
                    spread(phase.ratio, "x"),
                    spread(phase.ours),
                    spread(phase.peer),
                    "" if target is None else "met" if phase.ratio.median >= target else MISS,
                    peaks if first else "",
                ]
            )
            say(case.name, table.rows[-1][3:])
    cost = Table(
        "Microseconds per sample (of the whole batch); step: their ratio to those of ten times fewer samples",
        ["layer", "samples", "1 thread, us", "step", "2 threads, us", "step", "flat or falling", "peak MiB"],
    )
    for sweep in sweeps:
        phases = in_child(time_sweep, sweep, *effort)
        for i, samples in enumerate(sweep.samples):
            (one, step), (two, other_step) = (rows[i] for rows in phases.values())
            flat = max(step, other_step) <= FLAT
            cells = [spread(one), number(step), spread(two), number(other_step), "met" if flat else MISS]
            peak = f"{in_child(sweep_memory, sweep, samples):.1f}"
            cost.rows.append([sweep.title if i == 0 else "", str(samples), *cells, peak])
            say(sweep.name, cost.rows[-1][1:])
    start = Table("Beyond `import torch`, in fresh processes", ["what", "target", "CPU s", "wall s", "verdict"])
    if imports:
        cpu, wall, first_cpu, first_wall = first_call(1 if quick else 5)
        good = "met" if wall.median < FIRST_CALL_TARGET else MISS
        start.rows = [
            ["import of every library module", f"< {FIRST_CALL_TARGET:g} s", spread(cpu), spread(wall), good],
            ["that and a first Matching argmax, kernels cached", "", spread(first_cpu), spread(first_wall), ""],
        ]
    return [table for table in (table, cost, start) if table.rows]


def on_gpu(cases: list[Case], sweeps: list[Sweep], quick: bool, say: Say) -> list[Table]:
    """Ours against ours; nothing where there is no GPU."""
    table = Table(
        f"Ours on a GPU against ours on all cores: {machine()}",
        ["operation", "ratio", "GPU, ms", "CPU, ms", "peak MiB on the GPU"],
    )
    for item in (*cases, *sweeps):
        result = in_child(on_device, item, "cuda", *(QUICK if quick else FULL))
        if result is None:
            return []
        phase, peak = result
        row = [spread(phase.ratio, "x"), spread(phase.ours), spread(phase.peer), number(peak)]
        table.rows.append([item.title, *row])
        say(item.name, row)
    return [table]


def main() -> int:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few turns: does everything run?")
    parser.add_argument("--only", action="append", metavar="NAME", help="rows whose name contains NAME")
    parser.add_argument("--write", action="store_true", help=f"rewrite the tables of docs/{PAGE.name}")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write wants the full run")

    def chosen(name: str) -> bool:
        return not options.only or any(part in name for part in options.only)

    cases = [case for case in (*CASES, *DRAWS) if chosen(case.name)]
    sweeps = [sweep for sweep in SWEEPS if chosen(sweep.name)]
    if not (cases or sweeps or chosen("import")):
        parser.error(f"no such row; there are {', '.join(item.name for item in (*CASES, *DRAWS, *SWEEPS))}, import")
    Matching(1).argmax(torch.eye(1))  # starts numba, once for all children
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)

    def say(name: str, cells: list[str]) -> None:
        if console.is_terminal:
            console.print(f"[dim]{name}: {'  '.join(cells)}[/]", highlight=False)

    if options.device == "cuda":
        tables = on_gpu(cases, sweeps, options.quick, say)
    else:
        tables = on_cpu(cases, sweeps, chosen("import"), options.quick, say)
    if not tables:
        console.print("--device cuda: skipped, torch finds no CUDA device here")
        return 0
    for table in tables:
        table.show(console)
    if options.write:
        rewrite(PAGE, options.device, tables)
        console.print(f"written: docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
