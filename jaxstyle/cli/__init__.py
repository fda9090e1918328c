"""The command line: reads flags, calls the library, writes files. `jaxstyle --help` says what there is.

Exit codes: 0 done; 2 unusable input (one line on stderr says what was expected, what was got, what to do);
3 the optimization failed (its best picture was kept); 130 interrupted (likewise).

Nothing here imports JAX before a command runs, so that `--help` answers at once.
"""

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import iter_modules
from typing import Annotated, Any

import tyro

from jaxstyle.checks import InputError
from jaxstyle.cli import commands
from jaxstyle.cli.running import EXIT_INTERRUPTED
from jaxstyle.device_errors import explain

EXIT_BAD_INPUT = 2


_CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    try:
        return _parse(argv).run()
    except (InputError, OSError) as error:
        sentence = str(error)
        if isinstance(error, OSError) and error.strerror:  # the system's own words, not ours
            sentence = f"expected a usable file, got {error.filename!r}: {error.strerror}; check the path and the disk"
        print(f"jaxstyle: {' '.join(sentence.split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        print(f"jaxstyle: {sentence}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("jaxstyle: interrupted; nothing was written since the last checkpoint", file=sys.stderr)
        return EXIT_INTERRUPTED


def _all_commands() -> Any:
    """Returns the union of all classes of flags in `jaxstyle.cli.commands`, each with the name of its command."""
    modules = [import_module(f"{commands.__name__}.{module.name}") for module in iter_modules(commands.__path__)]
    named = [(name, flags) for module in modules for name, flags in module.COMMANDS.items()]
    return reduce(or_, (Annotated[flags, tyro.conf.subcommand(name)] for name, flags in sorted(named)))  # type: ignore


def _parse(argv: Sequence[str] | None) -> Any:
    """Parses the flags; an error of the parser, a box of several lines, becomes one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                _all_commands(),
                args=None if argv is None else list(argv),
                prog="jaxstyle",
                description="Image style transfer by optimization.",
                config=_CONFIG,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(*_condense(complaint.getvalue())) from None


def _condense(box: str) -> tuple[str, str, str]:
    """Returns what was expected, what was got and what to do, from the box that the parser prints."""
    lines = [re.sub(r"[\u2500-\u257f|]|-{3,}", " ", line) for line in box.splitlines()[1:]]
    # What stands eight columns deep is the help text of the options that are named.
    lines = [line.strip() for line in lines if not line.startswith(" " * 10)]
    sentence = " ".join(line for line in lines if line).split("For full helptext")[0].split("Argument helptext")[0]
    return "usable options", " ".join(sentence.split()), "see jaxstyle --help"
