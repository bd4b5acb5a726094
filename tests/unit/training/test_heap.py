"""Memory that a process frees is mapped anew, page by page, unless it is told to keep it."""

import ctypes
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
if sys.argv[1] == "keep":
    from structgrad.training.heap import keep_freed_memory
    keep_freed_memory()
def work():
    for _ in range(10):
        some = [bytearray(b"1") * 2**23 for _ in range(3)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_kept_memory_is_not_mapped_anew():
    faults = {
        how: int(subprocess.run([sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "give back")
    }
    assert faults["keep"] < 0.01 * faults["give back"]
