"""The command `jaxstyle`, which `python -m jaxstyle` is as well."""

import signal
import sys


def main() -> int:
    """Runs the command line and returns its exit code."""
    # Ctrl-C while the rest is loaded ends the process without a traceback; the command line heeds it from then on.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from jaxstyle.cli import main

    return main(owns_process=True)


if __name__ == "__main__":
    sys.exit(main())
