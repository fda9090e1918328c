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
from dataclasses import dataclass
from typing import Annotated

import tyro

from jaxstyle.checks import InputError
from jaxstyle.cli.evaluate import Evaluate
from jaxstyle.cli.samples import Samples
from jaxstyle.cli.stylize import EXIT_INTERRUPTED, Stylize
from jaxstyle.cli.weights import Convert, Info

EXIT_BAD_INPUT = 2


@dataclass
class Weights:
    """Convert networks' weights, or say what is in a file of them."""

    command: Annotated[Convert, tyro.conf.subcommand("convert")] | Annotated[Info, tyro.conf.subcommand("info")]

    def run(self) -> int:
        """Runs the chosen command."""
        return self.command.run()


Command = (
    Annotated[Stylize, tyro.conf.subcommand("stylize")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Samples, tyro.conf.subcommand("samples")]
    | Annotated[Weights, tyro.conf.subcommand("weights")]
)

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
    except KeyboardInterrupt:
        print("jaxstyle: interrupted; nothing was written since the last checkpoint", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parse(argv: Sequence[str] | None) -> Command:
    """Parses the flags; an error of the parser, a box of several lines, becomes one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                Command,  # type: ignore[arg-type]
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
