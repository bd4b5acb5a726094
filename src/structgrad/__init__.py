"""structgrad: learning through a discrete argmax, and three papers about it, reproduced cell by cell."""

from structgrad import cache

__version__ = "0.1.0"

cache.settle()  # before any module compiles a kernel
