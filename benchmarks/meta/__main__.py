"""`python -m benchmarks.meta`: the command `tune` by itself."""

import sys
from collections.abc import Sequence

import tyro

from benchmarks.meta import Tune
from jaxstyle.checks import InputError
from jaxstyle.cli import EXIT_BAD_INPUT
from jaxstyle.cli.running import EXIT_INTERRUPTED


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags, searches, and returns the exit code."""
    try:
        flags = tyro.cli(Tune, prog="python -m benchmarks.meta", args=argv, config=(tyro.conf.FlagCreatePairsOff,))
        return flags.run()
    except (InputError, OSError) as error:
        print(f"tune: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("tune: interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
