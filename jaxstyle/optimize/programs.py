"""Compiled programs, and a cache that finds them again by value: what would be the same program is compiled once."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple

import jax
import numpy as np

#: How many programs a cache keeps: one for each size of the longest sequence from coarse to fine in use, and some more.
MOST_PROGRAMS = 16


class Program(NamedTuple):
    """A compiled `take_steps`, for all runs whose functions and shapes are equal.

    Attributes:
        chunk: `chunk(state, args, stop, num_steps, wants_terms)`: see `jaxstyle.optimize.loop.take_steps`.
        seconds: Time to trace and compile it.
        is_new: Whether it was compiled now, and not found in a cache.
    """

    chunk: jax.stages.Compiled
    seconds: float
    is_new: bool = True


class ProgramCache:
    """Keeps the programs that were used last, by keys that `value_key` and `shape_key` make.

    Args:
        most: How many of them.

    Attributes:
        compilations: How many programs have been compiled, those included that are no longer kept.
    """

    def __init__(self, most: int = MOST_PROGRAMS) -> None:
        self._most, self.compilations = most, 0
        self._programs: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Returns the program for `key`; `make()` compiles it if there is none."""
        if key not in self._programs:
            program = make()
            self.compilations += 1
            while len(self._programs) >= self._most:
                self._programs.popitem(last=False)
            self._programs[key] = program
        self._programs.move_to_end(key)
        return self._programs[key]


class _Identity:
    """Compares by identity what cannot be hashed, and keeps it alive, so that its `id` is not given to another."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


def value_key(thing: Any) -> Hashable:
    """Returns a key that is equal for equal values, and for functions that would be traced to the same program.

    Python compares functions by identity. Here two functions are equal if they have the same code and their defaults
    and the variables that they close over are equal, by this same rule; so are two `functools.partial` of equal
    functions and arguments. Numbers and NumPy arrays compare by type and content, JAX arrays and other objects that
    cannot be hashed by identity.

    >>> make = lambda rate: lambda x: rate * x
    >>> value_key(make(0.1)) == value_key(make(0.1)), value_key(make(0.1)) == value_key(make(0.2))
    (True, False)
    """
    return _key(thing, ())


def _key(thing: Any, callers: tuple[int, ...]) -> Hashable:
    if id(thing) in callers:  # a function that calls itself
        return "itself", callers.index(id(thing))
    key = partial(_key, callers=(*callers, id(thing)))
    if isinstance(thing, partial):
        return partial, key(thing.func), key(thing.args), key(thing.keywords)
    if isinstance(thing, FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        variables = key(cells), key(thing.__defaults__), key(thing.__kwdefaults__)
        return thing.__module__, thing.__qualname__, thing.__code__, *variables
    if isinstance(thing, list | tuple):
        return type(thing), *(key(part) for part in thing)
    if isinstance(thing, dict):
        return dict, *((name, key(value)) for name, value in thing.items())
    if isinstance(thing, np.ndarray):
        return np.ndarray, thing.shape, thing.dtype.str, thing.tobytes()
    try:
        hash(thing)
    except TypeError:
        return _Identity(thing)
    return type(thing), thing


def shape_key(tree: Any) -> Hashable:
    """Returns a key that is equal for trees of equal structure whose arrays have equal shapes and types."""
    leaves, structure = jax.tree.flatten(jax.eval_shape(lambda: tree))
    return structure, *leaves
