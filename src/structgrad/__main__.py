"""``python -m structgrad``: the same command line as ``structgrad``."""

from structgrad.repro.cli import main

if __name__ == "__main__":
    main()
