"""Executes the annotations of jaxstyle: shapes by jaxtyping, all other types by beartype.

Importing this module installs the import hook, so it is imported before jaxstyle is. The hook decorates every function
and dataclass. A decorated function is checked when it has returned: its arguments and its result. It is not checked
when it raises, because a wrong argument that a function refuses is no false annotation, and the tests pass many.
"""

import io
from collections.abc import Callable, Hashable
from types import FunctionType
from typing import IO, Any, BinaryIO, Self, TextIO

from beartype import BeartypeConf, FrozenDict, beartype
from jaxtyping import install_import_hook

#: To every type checker, an `int` is a `float` (PEP 484) and each binary stream of `io` a `BinaryIO`. What `Self` is,
#: beartype cannot know of a function that it gets without its class. A `GuardedStream` is a text stream by delegation.
OVERRIDES = FrozenDict({BinaryIO: io.IOBase, IO[str]: object, TextIO: object, Self: object})
CONFIGURATION = BeartypeConf(is_pep484_tower=True, hint_overrides=OVERRIDES)


def check(function: Callable) -> Callable:
    """Returns `function` with a check of all its types.

    The hook asks for it twice for each decorated function, with two stand-ins: one that is called before the body with
    the arguments and has the return type `Any`, and one that is called after it with the arguments and the result.
    """
    return function if function.__annotations__.get("return") is Any else beartype(function, conf=CONFIGURATION)


install_import_hook("jaxstyle", "tests.executed_annotations.check")


def compare_undecorated() -> None:
    """Lets the cache of programs compare functions as they are without the hook's decoration.

    The decorated functions of two equal optimizers close over stand-ins of their own, and are never equal.
    """
    from jaxstyle.optimize import programs  # after the hook is installed

    key_of = programs._key

    def undecorated_key(thing: Any, callers: tuple[int, ...]) -> Hashable:
        while isinstance(thing, FunctionType) and "/jaxtyping/" in thing.__code__.co_filename:
            thing = thing.__wrapped__
        return key_of(thing, callers)

    programs._key = undecorated_key
