"""The command line of the programs that are one function: its parameters are the flags."""

import sys
from collections.abc import Callable

import tyro

from jaxstyle.checks import InputError
from jaxstyle.cli import EXIT_BAD_INPUT


def run_main(main: Callable[..., None], prog: str, description: str | None) -> None:
    """Calls `main` with the values of the flags; unusable input is one line on stderr and the exit code 2."""
    try:
        tyro.cli(main, prog=prog, description=description, config=(tyro.conf.FlagCreatePairsOff,))
    except InputError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
