"""`python -m jaxstyle` is the command `jaxstyle`."""

import sys

from jaxstyle.cli import main

sys.exit(main())
