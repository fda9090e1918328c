"""The command line: reads flags, calls the library, writes files. `jaxstyle --help` says what there is.

Exit codes: 0 done; 2 unusable input (one line on stderr says what was expected, what was got, what to do);
3 the optimization failed (its best picture was kept); 4 the result could not be written anywhere, or not to stdout;
128 + n ended by signal n (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP), the best picture so far kept if there was one.
A reader of stdout or stderr that leaves early (`| head -1`) ends nothing but the printing, and the code stays 0.

Nothing here imports JAX before a command runs, so that `--help` answers at once; nor the parser before signals are
heeded.
"""

import sys
from collections.abc import Sequence
from typing import Any

from jaxstyle.checks import InputError, printable, shorten
from jaxstyle.cli.rescue import LostOutputError
from jaxstyle.cli.stopping import StopRequest, heed_signals
from jaxstyle.cli.streams import guard_streams
from jaxstyle.device_errors import explain

EXIT_BAD_INPUT = 2
EXIT_NOT_WRITTEN = 4

#: Characters of an error's line.
LONGEST_LINE = 2000


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    with guard_streams() as streams, heed_signals(streams.err) as stop:  # type: ignore[arg-type]
        code = _run(argv, stop)
        sys.stdout.flush()
        if code == 0 and streams.lost_output:
            _print_error(f"expected a stdout that takes everything, got {streams.lost_output!r}; write elsewhere")
            return EXIT_NOT_WRITTEN
    return code


def _run(argv: Sequence[str] | None, stop: StopRequest) -> int:
    try:
        command = _parse(argv)
        from jaxstyle.cli.display import show

        with show(quiet=getattr(command, "quiet", False)) as display:
            stop.say, stop.close = display.say, display.stop
            return command.run()
    except SystemExit as end:  # the parser has printed the help
        return end.code if isinstance(end.code, int) else 0
    except LostOutputError as error:
        _print_error(str(error))
        return EXIT_NOT_WRITTEN
    except (InputError, OSError) as error:
        sentence = str(error)
        if isinstance(error, OSError) and error.strerror:  # the system's own words, not ours
            name = "one that cannot be used" if error.filename is None else repr(error.filename)
            sentence = f"expected a usable file, got {name}: {error.strerror}; check the path and the disk"
        _print_error(sentence)
        return EXIT_BAD_INPUT
    except Exception as error:
        explanation = explain(error)
        if explanation is None:
            raise
        _print_error(str(explanation))
        return EXIT_BAD_INPUT


def _print_error(sentence: str) -> None:
    print(printable(f"jaxstyle: {shorten(' '.join(sentence.split()), LONGEST_LINE)}"), file=sys.stderr)


def _parse(argv: Sequence[str] | None) -> Any:
    from jaxstyle.cli.parsing import parse  # here, as the parser takes a while to load

    return parse(argv)
