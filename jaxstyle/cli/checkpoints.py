"""Names of several files: a pattern with one placeholder for a number, as for the iteration of a checkpoint."""

import re

from jaxstyle.checks import InputError

#: `{}`, `{:05}`, `{:05d}`, `%d`, `%05d` or `%s`.
_PLACEHOLDER = re.compile(r"\{(?::(0?\d{0,2})d?)?\}|%(0?\d{0,2})[ds]")


def checkpoint_name(
    pattern: str, iteration: int, expected: str = "a checkpoint pattern with one placeholder for the iteration"
) -> str:
    """Returns `pattern` with its placeholder replaced by `iteration`; `expected` is part of the message if it fails.

    Raises:
        InputError: If there is not exactly one placeholder.

    >>> checkpoint_name("out_{:05}.png", 70), checkpoint_name("out_%s.png", 70)
    ('out_00070.png', 'out_70.png')
    """
    found = list(_PLACEHOLDER.finditer(pattern))
    if len(found) != 1:
        raise InputError(expected, repr(pattern), "put one of {}, {:05}, %d, %05d or %s into the name")
    width = found[0].group(1) or found[0].group(2) or ""
    start, end = found[0].span()
    return pattern[:start] + format(iteration, f"{width}d") + pattern[end:]


def checkpoint_names(pattern: str, iterations: int, every: int) -> list[str]:
    """Returns the names of all checkpoints of a run with `iterations` steps, one for each `every` steps."""
    checkpoint_name(pattern, 0)
    return [checkpoint_name(pattern, iteration) for iteration in range(every, iterations + 1, every)]
