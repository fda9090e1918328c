"""The command line: reads flags, calls the library, writes files. `jaxstyle --help` says what there is.

Exit codes: 0 done; 2 unusable input (one line on stderr says what was expected, what was got, what to do);
3 the optimization failed (its best picture was kept); 130 interrupted (likewise).

Nothing here imports JAX before a command runs, so that `--help` answers at once.
"""

import sys
from collections.abc import Sequence
from typing import Any

from jaxstyle.checks import InputError
from jaxstyle.cli.running import EXIT_INTERRUPTED

EXIT_BAD_INPUT = 2


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


def _parse(argv: Sequence[str] | None) -> Any:
    from jaxstyle.cli.parsing import parse  # here, as the parser takes a while to load

    return parse(argv)
