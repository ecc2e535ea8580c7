"""`iq`, which is also `python -m iqcli`."""

from typing import NoReturn

from iqcli import interrupts


def main() -> NoReturn:
    """Run the command line of this process, and exit with its code."""
    interrupts.run(_run)


def _run() -> int:
    from iqcli.cli.app import run  # a signal is heard while all this is loaded

    return run()


if __name__ == "__main__":
    main()
