"""The command `jaxstyle`, which is also `python -m jaxstyle`."""

import signal
import sys


def main() -> int:
    """Runs the command line and returns its exit code."""
    # Ctrl-C during the import ends the process without a traceback; afterwards the command line handles it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from jaxstyle.cli import main

    return main(owns_process=True)


if __name__ == "__main__":
    sys.exit(main())
