"""structgrad: learning through a discrete argmax, and three papers about it, reproduced cell by cell."""

__version__ = "0.1.0"
