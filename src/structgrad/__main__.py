"""The command line: ``structgrad``, and ``python -m structgrad``. The library alone has none, and says so."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say in one line what is not installed for it."""
    try:
        from structgrad.repro.cli import main as command_line

        command_line()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "structgrad":
            raise
        print(
            f"structgrad: the command line needs {error.name}, which the library alone does not install; "
            "try: pip install 'structgrad[repro]' (from a checkout: make setup)",
            file=sys.stderr,
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
