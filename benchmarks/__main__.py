"""`python -m benchmarks`: compares optimizers, reports it, and finds the best one for your own pictures."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from benchmarks.commands import ListCommand, ResumeCommand, RunCommand
from benchmarks.meta import Tune
from benchmarks.report import Report
from jaxstyle.checks import InputError
from jaxstyle.cli import EXIT_BAD_INPUT
from jaxstyle.cli.running import EXIT_INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    named = tyro.conf.subcommand
    command = tyro.cli(
        Annotated[RunCommand, named("run")]
        | Annotated[ResumeCommand, named("resume")]
        | Annotated[Report, named("report")]
        | Annotated[ListCommand, named("list")]
        | Annotated[Tune, named("tune")],
        args=argv,
        prog="python -m benchmarks",
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    try:
        code = command.run()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of the output, for instance `head`, has ended: the rest is dropped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, OSError) as error:
        print(f"benchmarks: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(
            "benchmarks: interrupted; the records keep all runs that have ended, and `resume` goes on from there",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
