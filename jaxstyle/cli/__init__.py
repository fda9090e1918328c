"""The command line: reads flags, calls the library, writes files. `jaxstyle --help` lists the commands.

Exit codes: 0 success; 2 unusable input (one line on stderr: what was expected, what the program got, what to do);
3 the optimization failed (its best picture was saved); 4 the result could not be written anywhere, or not to stdout;
128 + n ended by signal n (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP), after saving the best picture, if any.
If stdout or stderr is a pipe that is closed early (`| head -1`), only the printing ends, and the code is still 0.

JAX is not imported before a command runs, so that `--help` is fast; the parser is imported after signals are handled.
"""

from collections.abc import Sequence
from typing import Any

from jaxstyle.checks import DoesNotFitError, InputError, printable, shorten
from jaxstyle.cli.invocation import Invocation, begin
from jaxstyle.cli.rescue import LostOutputError
from jaxstyle.cli.stopping import StoppedError, handle_signals
from jaxstyle.cli.streams import GuardedStream, guard_streams
from jaxstyle.device_errors import explain

EXIT_BAD_INPUT = 2
EXIT_NOT_WRITTEN = 4

#: Largest number of characters of an error's line.
LONGEST_LINE = 2000


def main(argv: Sequence[str] | None = None, *, owns_process: bool = False) -> int:
    """Runs one command and returns its exit code.

    If a Python program calls it, the process is left unchanged: it handles only Ctrl-C and SIGTERM, only in the main
    thread, and neither ends the process.

    Args:
        argv: The words after the program's name; None is those of this process.
        owns_process: Whether the process runs nothing but this command, as the program `jaxstyle` does.
    """
    try:
        with (
            guard_streams(owns_process=owns_process) as streams,
            handle_signals(streams.err, owns_process=owns_process) as stop,  # type: ignore[arg-type]
            begin(Invocation(streams, stop)) as invocation,
        ):
            code = _run(argv, invocation)
            streams.out.flush()
            if code == 0 and streams.lost_output:
                got = f"{streams.lost_output!r} while writing to stdout"
                _print_error(f"expected room for the output, got {got}; redirect it to another disk", streams.err)
                return EXIT_NOT_WRITTEN
        return code
    except StoppedError as stopped:  # raised between two of these lines
        return stopped.exit_code


def _run(argv: Sequence[str] | None, invocation: Invocation) -> int:
    command: Any = None
    err = invocation.streams.err
    try:
        command = _parse(argv)
        from jaxstyle.cli.display import show

        with show(invocation, quiet="quiet" in command.given) as display:
            invocation.stop.log, invocation.stop.close = display.log, display.stop
            return command.run()
    except SystemExit as end:  # the parser has printed the help
        return end.code if isinstance(end.code, int) else 0
    except StoppedError as stopped:
        _print_error(str(stopped), err)
        return stopped.exit_code
    except LostOutputError as error:
        _print_error(str(error), err)
        return EXIT_NOT_WRITTEN
    except DoesNotFitError as error:
        from jaxstyle.cli.advice import on_memory

        _print_error(str(error.advised(on_memory(command, error.scale))), err)
        return EXIT_BAD_INPUT
    except (InputError, OSError) as error:
        sentence = str(error)
        if isinstance(error, OSError) and error.strerror:  # a message of the system, without our three parts
            name = "one that cannot be used" if error.filename is None else repr(error.filename)
            sentence = f"expected a usable file, got {name}: {error.strerror}; check the path and the disk"
        _print_error(sentence, err)
        return EXIT_BAD_INPUT
    except Exception as error:
        explanation = explain(error)
        if explanation is None:
            raise
        _print_error(str(explanation), err)
        return EXIT_BAD_INPUT


def _print_error(sentence: str, err: GuardedStream) -> None:
    # Other spaces are kept, because they may be part of a name.
    line = " ".join(line.strip() for line in sentence.split("\n") if line.strip())
    print(printable(f"jaxstyle: {shorten(line, LONGEST_LINE)}"), file=err)  # type: ignore[arg-type]


def _parse(argv: Sequence[str] | None) -> Any:
    from jaxstyle.cli.parsing import parse  # here, as the parser takes a while to load

    return parse(argv)
